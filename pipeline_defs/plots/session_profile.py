"""The course of a session: rows, and units traded, in each minute, with open and close marked."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pipeline_defs.plots.svg import BLUE, GREEN, GREY, ORANGE, Picture, spaced, text_pixels

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

_LEFT, _RIGHT, _TOP, _PANEL, _BETWEEN, _BOTTOM = 72, 72, 18, 70, 16, 22
_COLUMNS: Final = 480
"""Pixels, and stretches at most: of more minutes the highest of each stretch is drawn."""

_LABEL_MINUTES: Final = 60


@dataclass(frozen=True, slots=True)
class Minutes:
    """What was counted in each minute, before and after the session too if something came then.

    Parameters
    ----------
    first : datetime.datetime
        Begin of the first minute, in the exchange's zone.
    rows : sequence of int
        Ticks and minute bars of each minute; 0 where there was none.
    volume : sequence of float
        Units traded in each; empty where the table knows none.
    session_open, session_close : datetime.datetime
        In the exchange's zone.

    """

    first: dt.datetime
    rows: Sequence[int]
    volume: Sequence[float]
    session_open: dt.datetime
    session_close: dt.datetime


def draw_session_profile(minutes: Minutes, what: str) -> str:
    """Draw a session, minute by minute.

    Parameters
    ----------
    minutes : Minutes
        At least one.
    what : str
        Table, source and date.

    Returns
    -------
    str
        SVG of less than 20 kB.

    Raises
    ------
    ValueError
        If there is no minute.

    """
    if not minutes.rows:
        raise ValueError("no minute to draw")
    panels = [("rows a minute", [float(count) for count in minutes.rows], BLUE)]
    if any(minutes.volume):
        panels.append(("units a minute", [float(units) for units in minutes.volume], GREEN))
    height = _TOP + len(panels) * (_PANEL + _BETWEEN) + _BOTTOM
    empty = sum(1 for at, count in enumerate(minutes.rows) if not count and _inside(minutes, at))
    picture = Picture(
        _LEFT + _COLUMNS + _RIGHT,
        height,
        f"{what}: {sum(minutes.rows):,} rows, {empty:,} minutes of the session without one",
    )
    last_base = 0.0
    for number, (name, values, color) in enumerate(panels):
        top = _TOP + number * (_PANEL + _BETWEEN)
        last_base = top + _PANEL
        _panel(picture, top, name, values, color)
    _bounds(picture, minutes, last_base)
    _hours(picture, minutes, last_base)
    return picture.to_svg()


def _bounds(picture: Picture, minutes: Minutes, base: float) -> None:
    """Mark open and close; where they lie too near each other for both words, say both at the margin."""
    opened, closed = _x(minutes, minutes.session_open), _x(minutes, minutes.session_close)
    words = f"open {minutes.session_open:%H:%M}", f"close {minutes.session_close:%H:%M}"
    for x in (opened, closed):
        picture.line([(x, _TOP - 4), (x, base)], ORANGE, dash="3 2")
    if opened + text_pixels(words[0]) + 12 > closed - text_pixels(words[1]):
        picture.text(_LEFT, _TOP - 6, ", ".join(words))
        return
    picture.text(opened + 3, _TOP - 6, words[0])
    picture.text(closed - 3, _TOP - 6, words[1], anchor="end")


def _panel(picture: Picture, top: float, name: str, values: Sequence[float], color: str) -> None:
    base, highest = top + _PANEL, max(values)
    levels = _highest_of_stretches(values)
    wide = _COLUMNS / len(levels)
    # Minutes of equal height are one box: a flat day costs few bytes.
    boxes: list[tuple[float, float, float, float]] = []
    for at, level in enumerate(levels):
        high = round(_PANEL * level / highest, 1) if highest else 0.0
        if not high:
            continue
        if boxes and boxes[-1][3] == high and abs(boxes[-1][0] + boxes[-1][2] - (_LEFT + at * wide)) < wide / 2:
            x, y, before, _ = boxes[-1]
            boxes[-1] = (x, y, before + wide, high)
        else:
            boxes.append((_LEFT + at * wide, base - high, wide, high))
    picture.rectangles(boxes, color)
    picture.line([(_LEFT, base), (_LEFT + _COLUMNS, base)], GREY)
    picture.text(_LEFT - 6, top + 9, f"{_short(highest)}", anchor="end")
    picture.text(_LEFT - 6, base, "0", anchor="end")
    first, _, rest = name.partition(" ")
    picture.text(_LEFT + _COLUMNS + 6, top + 9, first)
    picture.text(_LEFT + _COLUMNS + 6, top + 22, rest)


def _highest_of_stretches(values: Sequence[float]) -> list[float]:
    """Thin out: no spike is lost, and no gap that is longer than a stretch."""
    if len(values) <= _COLUMNS:
        return list(values)
    bounds = [at * len(values) // _COLUMNS for at in range(_COLUMNS + 1)]
    return [max(values[start:end]) for start, end in pairwise(bounds)]


def _hours(picture: Picture, minutes: Minutes, base: float) -> None:
    labels = []
    for at in range(len(minutes.rows)):
        instant = minutes.first.timestamp() + 60 * at
        local = minutes.first.fromtimestamp(instant, minutes.first.tzinfo)
        if local.minute % _LABEL_MINUTES == 0:
            labels.append((_x(minutes, local), f"{local:%H:%M}"))
    zone = minutes.first.tzname() or ""
    end = _LEFT + _COLUMNS + 6
    kept = [place for place in spaced(labels) if place[0] + text_pixels(place[1]) / 2 < end - 4]
    for x, words in kept:
        picture.line([(x, base), (x, base + 4)], GREY)
        picture.text(x, base + 16, words, anchor="middle")
    picture.text(end, base + 16, zone)


def _x(minutes: Minutes, instant: dt.datetime) -> float:
    passed = (instant.timestamp() - minutes.first.timestamp()) / 60
    return _LEFT + _COLUMNS * min(max(passed / len(minutes.rows), 0.0), 1.0)


def _inside(minutes: Minutes, at: int) -> bool:
    instant = minutes.first.timestamp() + 60 * at
    return minutes.session_open.timestamp() <= instant < minutes.session_close.timestamp()


def _short(value: float) -> str:
    """Write a count in at most six characters."""
    for limit, divisor, unit in ((1e4, 1, ""), (1e7, 1e3, "k"), (1e10, 1e6, "M")):
        if value < limit:
            return f"{value / divisor:,.0f}{unit}"
    return f"{value / 1e9:,.0f}G"
