"""The documentation's site: MyST Markdown and notebooks, a reference made of the docstrings, nothing fetched."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "_extensions"), str(Path(__file__).parent.parent)]

import pipeline_defs

project = "Market-data pipeline"
author = "The authors of the market-data pipeline"
version = release = pipeline_defs.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated_pages"]
root_doc = "index"

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
nb_execution_mode = "off"
napoleon_google_docstring = False
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"
autodoc_mock_imports = ["backtrader", "nautilus_trader"]  # engines: seconds to load, nothing of theirs is shown
default_role = "code"
