"""Every example in a docstring runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
import slide_rs

# The modules of `peers` are programs for other interpreters; tests/torch looks at those of `torch`.
MODULES = [
    module.name
    for package, prefix in (
        (slide_rs, "slide_rs."),
        (slide_rs.callbacks, "slide_rs.callbacks."),
    )
    for module in pkgutil.iter_modules(package.__path__, prefix)
    if module.name.rsplit(".", 1)[1] not in ("_core", "__main__", "torch")
]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


@pytest.mark.parametrize("name", ["slide_rs", *MODULES])
def test_examples_of_a_module_print_what_they_say(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    for public in module.__all__:
        found = getattr(module, public)
        if isinstance(found, type) or callable(found):
            assert found.__doc__, f"{name}.{public}"
