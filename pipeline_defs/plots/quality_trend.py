"""Quality over sessions: for each check a row of marks, one a session, passed low and failed high."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.plots.svg import GREEN, GREY, ORANGE, Picture, shortened, text_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_SESSIONS: Final = 120
MOST_CHECKS: Final = 40
_WIDTH: Final = 720.0
_ROW_HEIGHT: Final = 20.0
_LEFT: Final = 260.0
_RIGHT: Final = 90.0
_PASSED_HEIGHT: Final = 4.0
_FAILED_HEIGHT: Final = 16.0


@dataclass(frozen=True, slots=True)
class Trend:
    """One check over sessions.

    Parameters
    ----------
    name : str
        Of the check, with what it looks at.
    passed : sequence of bool or None
        By session, ascending; None where it was not made.

    """

    name: str
    passed: Sequence[bool | None]


def draw_quality_trend(trends: Sequence[Trend], first: str, last: str) -> str:
    """Draw checks over sessions.

    Parameters
    ----------
    trends : sequence of Trend
        All over the same sessions, of which the last `MOST_SESSIONS` are drawn; of more than `MOST_CHECKS` those that
        failed most often.
    first, last : str
        The first and last session.

    Returns
    -------
    str
        SVG of less than 60 kB.

    Raises
    ------
    ValueError
        If there is nothing to draw, or the trends are not over the same sessions.

    """
    if not trends or not trends[0].passed:
        raise ValueError("no check to draw")
    if len({len(trend.passed) for trend in trends}) != 1:
        raise ValueError("trends must be over the same sessions")
    worst = sorted(range(len(trends)), key=lambda at: -trends[at].passed[-MOST_SESSIONS:].count(False))[:MOST_CHECKS]
    shown = [trends[at] for at in sorted(worst)]
    picture = Picture(
        _WIDTH, _ROW_HEIGHT * len(shown) + 22, f"{len(shown)} checks from {first} to {last}: high marks are failures"
    )
    for at, trend in enumerate(shown):
        _row(picture, at * _ROW_HEIGHT, trend)
    base = _ROW_HEIGHT * len(shown) + 16
    picture.text(_LEFT, base, first)
    if _LEFT + text_pixels(first) + 12 < _WIDTH - _RIGHT - text_pixels(last):
        picture.text(_WIDTH - _RIGHT, base, last, anchor="end")
    return picture.to_svg()


def _row(picture: Picture, top: float, trend: Trend) -> None:
    passed = trend.passed[-MOST_SESSIONS:]
    wide = (_WIDTH - _LEFT - _RIGHT) / len(passed)
    base = top + _ROW_HEIGHT - 2
    for outcome, color, high in ((True, GREEN, _PASSED_HEIGHT), (False, ORANGE, _FAILED_HEIGHT)):
        picture.rectangles(
            [
                (_LEFT + start * wide, base - high, (end - start) * wide, high)
                for start, end in _runs(passed, outcome=outcome)
            ],
            color,
        )
    picture.line([(_LEFT, base), (_WIDTH - _RIGHT, base)], GREY, width=0.5)
    failed, made = passed.count(False), len(passed) - passed.count(None)
    picture.text(_LEFT - 8, base - 3, shortened(trend.name, _LEFT - 8), anchor="end")
    picture.text(_WIDTH - _RIGHT + 8, base - 3, f"{failed} of {made}")


def _runs(passed: Sequence[bool | None], *, outcome: bool) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for at, one in enumerate(passed):
        if one is not outcome:
            continue
        if runs and runs[-1][1] == at:
            runs[-1] = (runs[-1][0], at + 1)
        else:
            runs.append((at, at + 1))
    return runs
