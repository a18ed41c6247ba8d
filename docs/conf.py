"""The documentation's site: MyST Markdown and notebooks, a reference made of the docstrings, nothing fetched.

``make docs`` builds it. A line ``{{ name }}`` of a page becomes what `PARTS` makes for it when the site is built, so
that it cannot drift from what it describes. Pages that need a database (the tables) are made by
``tools/table_pages.py``, committed, and compared with a real database by a test.
"""

# ruff: noqa: INP001 -- Sphinx's configuration, not a package

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pygments.lexers.special import TextLexer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sphinx.application import Sphinx

_HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE.parent))  # the clone that the page belongs to, whatever is installed

import pipeline_defs  # noqa: E402
from tools.command_pages import commands_markdown  # noqa: E402

project = "Market-data pipeline"
version = release = pipeline_defs.__version__
root_doc = "index"
exclude_patterns = ["conf.py"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

myst_heading_anchors = 4  # as on GitHub, so that one link serves both
nb_execution_mode = "off"  # what is shown was run once, and a test runs it again

default_role = "code"
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_mock_imports = ["backtrader", "nautilus_trader"]  # engines take seconds to load, and nothing of theirs is shown
autodoc_typehints = "none"  # the docstrings say the types
napoleon_google_docstring = False

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_show_sphinx = False

PARTS: Final[dict[str, Callable[[], str]]] = {"commands": commands_markdown}
_PLACE: Final = re.compile(r"^\{\{ (\w+) \}\}$", flags=re.MULTILINE)

_PERHAPS: Final = re.compile(r"^(\S+)\?$", flags=re.MULTILINE)
"""An entry of a table of contents for a page that may be there: ``portal?``."""


class _Table(TextLexer):  # type: ignore[misc] # Pygments carries no types
    """Comma-separated values, shown as they are: Pygments knows no such language."""

    name = "csv"
    aliases = ("csv",)


def fill_in(_app: Sphinx, _docname: str, content: list[str]) -> None:
    """Put what is made in its places; a name for which nothing is made is an error."""
    text = _PLACE.sub(lambda place: PARTS[place[1]](), content[0])
    content[0] = _PERHAPS.sub(lambda entry: entry[1] if (_HERE / f"{entry[1].strip()}.md").is_file() else "", text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Join the build."""
    app.connect("source-read", fill_in)
    app.add_lexer("csv", _Table)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
