"""Every example in a docstring of the package runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys

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


def said(code: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    return ran.stdout.strip()


def test_the_package_alone_does_not_import_pytorch() -> None:
    assert said("import slide_rs, sys; print('torch' in sys.modules)") == "False"


def test_without_pytorch_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["torch"] = None
try:
    import slide_rs.torch
except ImportError as error:
    print(error)
"""
    assert said(code) == "slide_rs.torch needs torch: pip install 'slide_rs[torch]'"
