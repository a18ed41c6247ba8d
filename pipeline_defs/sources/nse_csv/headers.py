"""Which declared layout a file has: its header matches exactly, spelling aside, or the file is refused."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Final

from pipeline_defs.errors import SchemaDriftError
from pipeline_defs.sources.nse_csv.layouts import LAYOUTS, LAYOUTS_BY_NAME, Layout

_SPELLINGS: Final = {"optiontype": "optiontyp", "oi": "openinterest"}


@dataclass(frozen=True, slots=True)
class Recognised:
    """A file's layout, and how many fields its lines have.

    Parameters
    ----------
    layout : Layout
        Which one.
    field_count : int
        Fields a line; above the layout's columns by the empty ones at the end of the header.

    """

    layout: Layout
    field_count: int


def recognise(head: bytes, usual_layout: str | None, label: str) -> Recognised:
    """Find the layout of a file from its first lines.

    Parameters
    ----------
    head : bytes
        The first lines, the header first where there is one.
    usual_layout : str or None
        What the file's name promises: decides between layouts that share a header, and is the only
        layout that a file without header may have.
    label : str
        How messages name the file.

    Returns
    -------
    Recognised

    Raises
    ------
    SchemaDriftError
        If the header is not exactly that of a declared layout, spelling aside.

    """
    lines = head.decode("utf-8", "replace").splitlines()
    names = [_normalised(name) for name in lines[0].split(",")]
    field_count = len(names)
    while len(names) > 1 and not names[-1]:
        names.pop()
    usual = None if usual_layout is None else LAYOUTS_BY_NAME[usual_layout]
    candidates = [layout for layout in LAYOUTS if layout.header == tuple(names)]
    if candidates:
        return Recognised(min(candidates, key=lambda layout: _distance(layout, usual)), field_count)
    if usual is not None and usual.header is None:
        expected = len(usual.columns)
        if any(line.count(",") + 1 == expected for line in lines):
            return Recognised(usual, expected)
        raise SchemaDriftError(
            f"{usual.name} has {expected} fields a line and no header; found {field_count}: {lines[0][:200]!r}",
            where=label,
            next_step="check that the file is what its name says",
        )
    raise _drift(names, label)


def _normalised(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return _SPELLINGS.get(plain, plain)


def _distance(layout: Layout, usual: Layout | None) -> int:
    """How far a layout is from the usual one: the same, of the same table, another."""
    if usual is None:
        return 0
    return 0 if layout is usual else 1 if layout.table == usual.table else 2


def _drift(names: list[str], label: str) -> SchemaDriftError:
    """Show expected against found, column by column, for the layout most like the header."""
    headers = {layout.header: layout.name for layout in reversed(LAYOUTS) if layout.header is not None}
    likeness = {header: difflib.SequenceMatcher(None, header, tuple(names)).ratio() for header in headers}
    nearest = max(likeness, key=lambda header: likeness[header])
    if likeness[nearest] == 0:
        shown = ", ".join(repr(name[:40]) for name in names[:20])
        return SchemaDriftError(
            f"no known layout has any of its columns: {shown}",
            where=label,
            next_step=f"known layouts are {', '.join(sorted(headers.values()))}",
        )
    rows = []
    for position in range(max(len(nearest), len(names))):
        expected = nearest[position] if position < len(nearest) else "(nothing)"
        found = (names[position][:40] or "(blank)") if position < len(names) else "(nothing)"
        rows.append(f"  {position + 1:>2}  {expected:<20} {found:<20}{'' if expected == found else '  <- differs'}")
    table = "\n".join(["      expected             found", *rows])
    return SchemaDriftError(
        f"unknown header; the nearest layout is {headers[nearest]}:\n{table}",
        where=label,
        next_step="if the vendor changed the layout, declare it in pipeline_defs/sources/nse_csv/layouts.py",
    )
