"""Parts of pages that are made when the site is built, from what they describe: a line ``{{ name }}`` becomes Markdown.

What is generated here cannot drift: it is read from the command line's own declarations. Pages that need a database
(the tables) are made by ``tools/table_pages.py`` and committed, and a test compares them with a real database.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pygments.lexers.special import TextLexer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sphinx.application import Sphinx

_PLACE: Final = re.compile(r"^\{\{ (\w+) \}\}$", flags=re.MULTILINE)


def _commands() -> str:
    from command_pages import commands_markdown  # noqa: PLC0415 -- loads the command line

    return commands_markdown()


PARTS: Final[dict[str, Callable[[], str]]] = {"commands": _commands}


def fill_in(_app: Sphinx, _docname: str, content: list[str]) -> None:
    """Replace each place by what is made for it; a name that nothing is made for stays, and is seen."""
    content[0] = _PLACE.sub(lambda place: PARTS[place[1]]() if place[1] in PARTS else place[0], content[0])


class _Table(TextLexer):
    """Comma-separated values: as they are, since Pygments has no lexer of that name."""

    name = "csv"
    aliases = ("csv",)


def setup(app: Sphinx) -> dict[str, Any]:
    """Join the build."""
    app.connect("source-read", fill_in)
    app.add_lexer("csv", _Table)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
