"""How long a vendor asks to wait: read once for all vendors, in seconds or from a date, and never nonsense."""

from __future__ import annotations

import datetime as dt
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.sources.asking.calling import retry_after

NOON = dt.datetime(2023, 10, 12, 12, tzinfo=dt.UTC)
DAY = 86_400.0


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        (None, None),
        ("", None),
        ("30", 30.0),
        (" 0.5 ", 0.5),
        ("0", 0.0),
        ("999999999999", DAY),
        ("soon", None),
        ("-1", None),
        ("1e9", None),
        ("nan", None),
        ("inf", None),
        ("٣", None),
        (".5", None),
        ("Thu, 12 Oct 2023 12:00:30 GMT", 30.0),
        ("Thursday, 12-Oct-23 12:00:30 GMT", 30.0),
        ("Thu Oct 12 12:00:30 2023", 30.0),
        ("Thu, 12 Oct 2023 12:00:30 -0000", 30.0),
        ("Thu, 12 Oct 2023 12:00:30", 30.0),
        ("Thu, 12 Oct 2023 17:31:00 +0530", 60.0),
        ("Thu, 12 Oct 2023 11:00:00 GMT", 0.0),
        ("Fri, 12 Oct 2123 12:00:30 GMT", DAY),
        ("Thu, 99 Oct 2023 12:00:30 GMT", None),
        ("Mon, 01 Jan 1900 00:00:00 +1400", 0.0),
    ],
)
def test_seconds_and_dates_are_read_and_anything_else_is_no_wait(told: str | None, seconds: float | None) -> None:
    assert retry_after(told, NOON) == seconds


@given(st.integers(-100_000, 100_000))
def test_a_date_of_http_means_the_seconds_until_then(seconds: int) -> None:
    told = format_datetime(NOON + dt.timedelta(seconds=seconds), usegmt=True)
    assert retry_after(told, NOON) == min(max(float(seconds), 0.0), DAY)


@given(st.text())
def test_no_text_is_a_wait_below_zero_above_a_day_or_a_crash(told: str) -> None:
    wait = retry_after(told, NOON)
    assert wait is None or 0 <= wait <= DAY


def test_a_date_is_compared_with_the_clock_where_no_time_is_given() -> None:
    later = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60), usegmt=True)
    wait = retry_after(later)
    assert wait is not None
    assert 50 < wait <= 60
