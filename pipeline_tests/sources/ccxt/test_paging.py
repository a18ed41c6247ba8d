"""No candle is missed and none invented, whatever way an exchange pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.ccxt.paging import Walk
from pipeline_defs.sources.ccxt.rows import CANDLE_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 60_000
START = 28_000_000 * STEP
FUTURE = START + 10_000 * STEP


def frame(times: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"time": times, **{name: ["1"] * len(times) for name in CANDLE_SCHEMA if name != "time"}},
                        schema=CANDLE_SCHEMA)  # fmt: skip


def open_ended(candles: list[int], most: int) -> Callable[[int, int], pl.DataFrame]:
    """From a time on, as many as fit."""
    return lambda since, limit: frame([time for time in candles if time >= since][: min(limit, most)])


def in_a_span(candles: list[int], most: int) -> Callable[[int, int], pl.DataFrame]:
    """Of the span that so many candles would fill: empty in an outage, though there are later ones."""
    return lambda since, limit: frame([time for time in candles if since <= time < since + min(limit, most) * STEP])


def with_one_before(candles: list[int], most: int) -> Callable[[int, int], pl.DataFrame]:
    """With the candle before the first one that was asked for."""
    asked = open_ended(candles, most)
    return lambda since, limit: pl.concat([frame([since - STEP]), asked(since, limit)])


@settings(deadline=None)
@given(
    minutes=st.sets(st.integers(-5, 130)),
    length=st.integers(1, 120),
    limit=st.integers(1, 40),
    cut=st.integers(0, 39),
    paging=st.sampled_from([open_ended, in_a_span, with_one_before]),
)
def test_every_candle_arrives_once_and_in_order(
    minutes: set[int], length: int, limit: int, cut: int, paging: Callable[..., Callable[[int, int], pl.DataFrame]]
) -> None:
    candles = sorted(START + minute * STEP for minute in minutes)
    # Also where the exchange gives fewer than its own limit; a span must be as long as one believes.
    most = limit if paging is in_a_span else max(1, limit - cut)
    end = START + length * STEP

    rows = Walk(paging(candles, most), "some", "1m", STEP, limit).collect(START, end, FUTURE)

    assert rows["time"].to_list() == [time for time in candles if START <= time < end]


def test_what_has_not_begun_is_not_asked_for() -> None:
    asked: list[int] = []

    def page(since: int, limit: int) -> pl.DataFrame:
        asked.append(since)
        return frame([START + minute * STEP for minute in range(3) if START + minute * STEP >= since][:limit])

    rows = Walk(page, "some", "1m", STEP, 500).collect(START, START + 1440 * STEP, START + 2 * STEP + 1)

    assert rows.height == 3
    assert asked == [START]


@pytest.mark.parametrize("newest", [FUTURE, FUTURE - 600 * STEP])
@pytest.mark.parametrize("heeds_limit", [True, False])
def test_an_exchange_that_gives_its_newest_wherever_one_begins_is_found_out(newest: int, *, heeds_limit: bool) -> None:
    """Also where nothing has traded for long."""
    candles = [newest - minute * STEP for minute in range(800, 0, -1)]

    with pytest.raises(SourceError, match=r"some serves only the newest .* candles of 1m, from"):
        Walk(lambda _, limit: frame(candles[-limit:] if heeds_limit else candles), "some", "1m", STEP, 500).collect(
            START, START + 600 * STEP, FUTURE
        )


def test_a_full_page_behind_an_outage_is_no_such_exchange() -> None:
    candles = [START + minute * STEP for minute in range(300, 1000)]

    rows = Walk(open_ended(candles, 500), "some", "1m", STEP, 500).collect(START, START + 900 * STEP, FUTURE)

    assert rows["time"].to_list() == candles[:600]


def test_a_pair_that_was_listed_later_is_no_such_exchange() -> None:
    listed = [FUTURE - minute * STEP for minute in range(30, 0, -1)]

    rows = Walk(open_ended(listed, 500), "kraken", "1m", STEP, 500).collect(FUTURE - 40 * STEP, FUTURE, FUTURE)

    assert rows.height == 30


def test_an_exchange_that_gives_only_older_candles_is_found_out() -> None:
    with pytest.raises(SourceError, match=r"some was asked for candles from 2023-03-28 .* and gave only older ones"):
        Walk(lambda *_: frame([START - 9 * STEP]), "some", "1m", STEP, 500).collect(START, FUTURE, FUTURE)


def test_rows_without_a_time_are_kept_once() -> None:
    first = pl.concat([frame([START]), frame([0]).with_columns(time=pl.lit(None, pl.Int64))])
    pages = [first, frame([])]

    rows = Walk(lambda *_: pages.pop(0), "some", "1m", STEP, 2).collect(START, START + 2 * STEP, FUTURE)

    assert rows["time"].to_list() == [START, None]
