"""Cut SQL text into single statements, as a server does that is given a whole file.

Needed only for migrations that no transaction may hold: a text sent in one piece is one transaction.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline_defs.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator

# The order matters: a quote or comment that is never closed matches nothing but `stray`.
_TOKEN = re.compile(
    r"""
    (?P<comment> --[^\n]* )
  | (?P<block> /\* )
  | (?P<quoted> [eE]'(?:[^'\\]|\\.|'')*+' | '(?:[^']|'')*+' | "(?:[^"]|"")*+" )
  | (?P<dollar> \$(?P<tag>(?:[^\W\d]\w*)?)\$ .*? \$(?P=tag)\$ )
  | (?P<word> [^\W\d][\w$]* )
  | (?P<stray> ['"] | \$(?:[^\W\d]\w*)?\$ )
  | (?P<space> \s+ )
  | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")


def split_statements(text: str) -> list[str]:
    """Cut at semicolons that are not inside quotes, comments, parentheses or a body in standard SQL.

    Parameters
    ----------
    text : str
        Any number of statements.

    Returns
    -------
    list of str
        In order, without the semicolon; pieces of nothing but comments are left out.

    Raises
    ------
    WarehouseError
        If a quote or a comment is never closed.

    """
    statements: list[str] = []
    start, depth, bodies = 0, 0, 0
    words: list[str] = []
    has_content = False
    for kind, begin, end in _tokens(text):
        if kind in {"comment", "space"}:
            continue
        piece = text[begin:end]
        if piece == ";" and depth == 0 and bodies == 0:
            if has_content:
                statements.append(text[start:begin].strip())
            start, words, has_content = end, [], False
            continue
        has_content = True
        if kind == "word":
            words.append(piece.lower())
            bodies = max(0, bodies + _body_step(words, bodies))
        elif kind == "other":
            depth = max(0, depth + (piece == "(") - (piece == ")"))
    if has_content:
        statements.append(text[start:].strip())
    return statements


def _tokens(text: str) -> Iterator[tuple[str, int, int]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        kind = "other" if match is None else str(match.lastgroup)
        end = at + 1 if match is None else match.end()
        if kind == "block":
            kind, end = "comment", _end_of_block_comment(text, at)
        elif kind == "stray":
            raise _never_closed(text, at)
        yield kind, at, end
        at = end


def _end_of_block_comment(text: str, begin: int) -> int:
    """Comments nest."""
    depth = 0
    for edge in _BLOCK_EDGE.finditer(text, begin):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    raise _never_closed(text, begin)


def _body_step(words: list[str], bodies: int) -> int:
    """Count ``BEGIN ATOMIC … END`` of a function, whose semicolons do not end the statement; CASE ends in END, too."""
    routine = words[0] == "create" and not {"function", "procedure"}.isdisjoint(words[1:4])
    if not routine:
        return 0
    if words[-2:] == ["begin", "atomic"] or (bodies > 0 and words[-1] == "case"):
        return 1
    return -1 if words[-1] == "end" else 0


def _never_closed(text: str, begin: int) -> WarehouseError:
    line = text.count("\n", 0, begin) + 1
    return WarehouseError(
        f"a quote or comment that opens with {text[begin : begin + 2]!r} is never closed",
        where=f"line {line}",
        next_step="close it",
    )
