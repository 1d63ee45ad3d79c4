"""How the documentation is built: `make docs`."""

from __future__ import annotations

import slide_rs

project = "slide_rs"
author = "the slide_rs developers"
copyright = "the slide_rs developers"
release = version = slide_rs.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]

# In docstrings, single backticks mark names, which need not be links.
default_role = "literal"
# The layer for PyTorch is documented where there is no PyTorch.
autodoc_mock_imports = ["torch"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
# Links to sources are for readers of the repository, decisions are listed by their own README, and
# attributes of several classes have one name.
suppress_warnings = ["myst.xref_missing", "ref.python", "toc.not_included"]

nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
copybutton_prompt_text = r">>> |\.\.\. |\$ |In \[\d*\]: "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = "slide_rs"
html_static_path = ["_static"]
html_css_files = ["pictures.css"]
