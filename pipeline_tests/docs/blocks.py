"""The fenced blocks of the documentation: where they stand, what language they are in, and what is said about them.

The first line of a block is its language and, after it, what the tests should know::

    ```csv file=drop/reliance.csv      written there for the blocks that come after it on the page
    ```console notest: needs TWS       not run, and why

Readers do not see either: the pages show the language alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from pathlib import Path

_FENCE: Final = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<info>.*)$")
_INFO: Final = re.compile(r"^(?P<language>\S*)(?: file=(?P<file>\S+))?(?: notest: (?P<reason>.+))?$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Parameters
    ----------
    page : str
        Path of the page from the project's root.
    line : int
        Of the opening fence, from 1.
    language : str
        First word after the fence; ``{name}`` is a directive of the site.
    file : str or None
        Where the page's later blocks find the text.
    reason : str or None
        Why the block is not run.
    text : str
        What stands between the fences, without their indentation.

    """

    page: str
    line: int
    language: str
    file: str | None
    reason: str | None
    text: str

    def __str__(self) -> str:
        """Name its place, as editors do."""
        return f"{self.page}:{self.line}"


@cache
def pages() -> tuple[str, ...]:
    """List the README and the pages of the documentation, as they are called from the project's root."""
    found = sorted(path for path in (PROJECT_ROOT / "docs").rglob("*.md"))
    return ("README.md", *(path.relative_to(PROJECT_ROOT).as_posix() for path in found))


@cache
def blocks_of(page: str) -> tuple[Block, ...]:
    """Collect a page's blocks, directives of the site apart."""
    return tuple(block for block in parse(page, PROJECT_ROOT / page) if not block.language.startswith("{"))


def parse(page: str, path: Path) -> list[Block]:
    """Take a page apart.

    Raises
    ------
    ValueError
        If a block is not closed, or nobody can tell what its first line means; with file and line.

    """
    found: list[Block] = []
    lines = iter(enumerate(path.read_text(encoding="utf-8").splitlines(), start=1))
    for number, line in lines:
        opened = _FENCE.match(line)
        if opened is None:
            continue
        info = _INFO.match(opened["info"].strip())
        if info is None:
            raise ValueError(f"{page}:{number}: {opened['info']!r} is no 'language [file=NAME] [notest: reason]'")
        body: list[str] = []
        for _, inner in lines:
            if inner.strip() == opened["fence"]:
                break
            body.append(inner.removeprefix(opened["indent"]))
        else:
            raise ValueError(f"{page}:{number}: the block is not closed")
        found.append(Block(page, number, info["language"], info["file"], info["reason"], "\n".join(body) + "\n"))
    return found
