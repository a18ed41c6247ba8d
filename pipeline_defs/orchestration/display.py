"""Tables and small plots for metadata, as Markdown.

Pictures are drawn by hand: a plotting library would cost more to import than the run that shows its plot.
"""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PLOT_POINTS: Final = 96
PLOT_STEP: Final = 3
PLOT_HEIGHT: Final = 40
"""A plot has so many points at most, so many pixels apart and high."""

INLINE_CHARACTERS: Final = 1_000
"""The UI shows shorter Markdown in place, longer behind a link."""


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table.

    Parameters
    ----------
    header : sequence of str
        Column names.
    rows : iterable of sequence
        One cell for each column; integers get thousands separators and stand right.

    Returns
    -------
    str
        Markdown.

    """
    body = [list(row) for row in rows]
    numeric = [bool(body) and all(isinstance(row[column], int) for row in body) for column in range(len(header))]
    lines = [
        _line(header),
        _line(["---:" if is_number else "---" for is_number in numeric]),
        *(_line([f"{cell:,}" if isinstance(cell, int) else _escaped(str(cell)) for cell in row]) for row in body),
    ]
    return "\n".join(lines)


def sparkline(values: Sequence[float], caption: str) -> str:
    """Draw a line without axes, with lowest and highest value in the caption.

    Parameters
    ----------
    values : sequence of float
        In order.
    caption : str
        What is drawn.

    Returns
    -------
    str
        Markdown with the picture inside; only the caption when there are fewer than two values.

    """
    if len(values) < 2:  # noqa: PLR2004 -- a line needs two points
        return f"{caption}: too few values to draw"
    lowest, highest = min(values), max(values)
    levels = [_level(value, lowest, highest) for value in _thinned(values)]
    steps = "".join(f"l{PLOT_STEP} {after - before}" for before, after in pairwise(levels))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{PLOT_STEP * (len(levels) - 1)}" height="{PLOT_HEIGHT}">'
        f'<path fill="none" stroke="#36c" d="M0 {levels[0]}{steps}"/></svg>'
    )
    picture = base64.b64encode(svg.encode()).decode()
    return f"{caption}, lowest {lowest:,.10g}, highest {highest:,.10g}\n\n![](data:image/svg+xml;base64,{picture})"


def _thinned(values: Sequence[float]) -> list[float]:
    """Keep lowest and highest value of each stretch, in their order: neither a gap nor a spike may get lost."""
    if len(values) <= PLOT_POINTS:
        return list(values)
    stretches = PLOT_POINTS // 2
    bounds = [at * len(values) // stretches for at in range(stretches + 1)]
    kept: list[float] = []
    for start, end in pairwise(bounds):
        stretch = range(start, end)
        extremes = {min(stretch, key=values.__getitem__), max(stretch, key=values.__getitem__)}
        kept += [values[position] for position in sorted(extremes)]
    return kept


def _level(value: float, lowest: float, highest: float) -> int:
    """Give the row of pixels of a value; the first row is the highest."""
    span = highest - lowest
    return round((PLOT_HEIGHT - 2) * (1 - ((value - lowest) / span if span else 0.5))) + 1


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
