"""Settings of the documentation as a site: `python -m sphinx -W -b html docs site`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

from blade_tune import __version__

project = "blade-tune"
author = "the authors of blade-tune"
release = version = __version__

extensions = [
    "myst_parser",
    "repository_pages",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["captures"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 5  # anchors as forges have them, so that `page.md#a-heading` leads there
smartquotes = False  # `--flag` in running text keeps its dashes
default_role = "code"  # docstrings have code between single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "blade-tune"
html_static_path = ["theme"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
