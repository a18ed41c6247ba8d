"""Stretches of time, open at the begin and closed at the end, as bars are: a bar belongs to its close."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable


class Span(NamedTuple):
    """From an instant, exclusive, to another, inclusive; UTC.

    Parameters
    ----------
    start, end : datetime.datetime
        With a zone; the end is the later one.

    """

    start: dt.datetime
    end: dt.datetime


def what_is_left(whole: Span, taken: Iterable[Span]) -> tuple[Span, ...]:
    """Take spans away from one.

    Parameters
    ----------
    whole : Span
        What is wanted.
    taken : iterable of Span
        What is there, in any order; they may overlap each other and reach out of the whole.

    Returns
    -------
    tuple of Span
        Ascending, apart from each other, holes in the middle included.

    """
    left: list[Span] = []
    reached = whole.start
    for span in sorted(taken):
        if span.start > reached:
            left.append(Span(reached, min(span.start, whole.end)))
        reached = max(reached, span.end)
        if reached >= whole.end:
            break
    if reached < whole.end:
        left.append(Span(reached, whole.end))
    return tuple(left)
