"""Every example in a docstring of the package runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
import slide_rs.torch

MODULES = [
    module.name for module in pkgutil.iter_modules(slide_rs.torch.__path__, "slide_rs.torch.")
]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module_print_what_they_say(name: str) -> None:
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=OPTIONS)
    assert failed == 0
    assert module.__doc__
    for public in module.__all__:
        assert getattr(module, public).__doc__ or not callable(getattr(module, public)), public
