"""What is left of a stretch of time when others are taken away."""

from __future__ import annotations

import datetime as dt
import itertools

from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.freshness.spans import Span, what_is_left

OPEN = dt.datetime(2025, 8, 22, 3, 45, tzinfo=dt.UTC)
MOST = 60

minutes = st.integers(-5, MOST + 5)
spans = st.tuples(minutes, minutes).filter(lambda pair: pair[0] < pair[1])


def at(minute: int) -> dt.datetime:
    return OPEN + dt.timedelta(minutes=minute)


@given(st.lists(spans, max_size=8))
def test_what_is_left_is_exactly_the_minutes_that_no_span_covers(taken: list[tuple[int, int]]) -> None:
    left = what_is_left(Span(at(0), at(MOST)), [Span(at(start), at(end)) for start, end in taken])
    covered = {minute for start, end in taken for minute in range(start + 1, end + 1)}
    found = [minute for minute in range(-5, MOST + 6) if any(span.start < at(minute) <= span.end for span in left)]

    assert found == [minute for minute in range(1, MOST + 1) if minute not in covered]
    assert all(one.end < other.start for one, other in itertools.pairwise(left))
    assert all(span.start < span.end for span in left)
