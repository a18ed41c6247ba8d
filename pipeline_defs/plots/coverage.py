"""Coverage as a heat map: what share of what was due is there, by row (contract, bundle) and column (session, month).

Blue, the fuller the stronger, so that it reads on light and dark ground. What was due and is not there at all is orange
and half as high: the shape says it too.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.plots.svg import BLUE, GREY, ORANGE, Picture, shortened, spaced, text_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_ROWS: Final = 40
MOST_COLUMNS: Final = 260
_WIDTH: Final = 720.0
_ROW_HEIGHT: Final = 18.0
_LABEL_SHARE: Final = 0.34
_TOP: Final = 18.0
_STEPS: Final = ((0.5, 0.25), (0.9, 0.45), (0.99, 0.7))
"""Shares below the first number are drawn with the second as opacity; all others in full."""

_LEGEND: Final = (("nothing", 0.0), ("< 50 %", 0.25), ("< 90 %", 0.45), ("< 99 %", 0.7), ("≥ 99 %", 1.0))


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is drawn.

    Parameters
    ----------
    rows, columns : sequence of str
        Labels. Equal labels of neighbouring columns are written once, over the first of them.
    shares : sequence of sequence of float or None
        By row and column, 0 to 1; None where nothing was due.

    """

    rows: Sequence[str]
    columns: Sequence[str]
    shares: Sequence[Sequence[float | None]]


def draw_coverage(coverage: Coverage, what: str) -> str:
    """Draw the heat map.

    Parameters
    ----------
    coverage : Coverage
        Of more than `MOST_ROWS` rows the fullest are left out, of more than `MOST_COLUMNS` columns the first.
    what : str
        What is seen, with its range.

    Returns
    -------
    str
        SVG of less than 60 kB.

    Raises
    ------
    ValueError
        If there is no cell, or the shares are not one for each row and column.

    """
    if not coverage.rows or not coverage.columns:
        raise ValueError("no cell to draw")
    if len(coverage.shares) != len(coverage.rows) or any(len(row) != len(coverage.columns) for row in coverage.shares):
        raise ValueError("shares must have one value for each row and column")
    shown = _worst_rows(coverage)
    columns = coverage.columns[-MOST_COLUMNS:]
    left = min(_WIDTH * _LABEL_SHARE, max(text_pixels(coverage.rows[row]) for row in shown) + 8)
    wide = (_WIDTH - left) / len(columns)
    picture = Picture(_WIDTH, _TOP + _ROW_HEIGHT * len(shown) + 26, what)
    _column_labels(picture, columns, left, wide)
    boxes: dict[float, list[tuple[float, float, float, float]]] = defaultdict(list)
    for at, row in enumerate(shown):
        y = _TOP + at * _ROW_HEIGHT
        picture.text(left - 6, y + 12, shortened(coverage.rows[row], left - 8), anchor="end")
        for start, end, share in _runs(coverage.shares[row][-MOST_COLUMNS:]):
            boxes[_opacity(share)].append(_box(left + start * wide, y, (end - start) * wide, share))
    for opacity in sorted(boxes):
        picture.rectangles(boxes[opacity], BLUE if opacity else ORANGE, opacity or 1.0)
    _legend(picture, left, _TOP + _ROW_HEIGHT * len(shown) + 8)
    return picture.to_svg()


def _worst_rows(coverage: Coverage) -> list[int]:
    """Choose which rows are drawn, in their order."""
    if len(coverage.rows) <= MOST_ROWS:
        return list(range(len(coverage.rows)))

    def fullness(row: int) -> float:
        due = [share for share in coverage.shares[row] if share is not None]
        return sum(due) / len(due) if due else 1.0

    return sorted(sorted(range(len(coverage.rows)), key=fullness)[:MOST_ROWS])


def _runs(shares: Sequence[float | None]) -> list[tuple[int, int, float]]:
    """Join neighbours that are drawn alike into (start, end, share)."""
    runs: list[tuple[int, int, float]] = []
    for at, share in enumerate(shares):
        if share is None:
            continue
        if runs and runs[-1][1] == at and _opacity(runs[-1][2]) == _opacity(share):
            runs[-1] = (runs[-1][0], at + 1, share)
        else:
            runs.append((at, at + 1, share))
    return runs


def _opacity(share: float) -> float:
    if share <= 0:
        return 0.0
    return next((opacity for below, opacity in _STEPS if share < below), 1.0)


def _box(x: float, y: float, wide: float, share: float) -> tuple[float, float, float, float]:
    high = _ROW_HEIGHT - 3
    return (x, y + 1 + high / 4, wide, high / 2) if share <= 0 else (x, y + 1, wide, high)


def _column_labels(picture: Picture, columns: Sequence[str], left: float, wide: float) -> None:
    starts = [at for at in range(len(columns)) if at == 0 or columns[at] != columns[at - 1]]
    places = []
    for at in starts:
        x = left + at * wide
        half = text_pixels(columns[at]) / 2
        if x + 2 * half <= _WIDTH:
            places.append((x + half, columns[at]))
    for middle, words in spaced(places):
        start = middle - text_pixels(words) / 2
        picture.text(start, _TOP - 6, words)
        picture.line([(start, _TOP - 3), (start, _TOP)], GREY)


def _legend(picture: Picture, left: float, y: float) -> None:
    x = left
    for words, opacity in _LEGEND:
        box = (x, y + 3, 12.0, 6.0) if not opacity else (x, y, 12.0, 12.0)
        picture.rectangles([box], BLUE if opacity else ORANGE, opacity or 1.0)
        picture.text(x + 16, y + 10, words)
        x += 16 + text_pixels(words) + 12
