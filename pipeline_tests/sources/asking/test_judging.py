"""Each row of an answer is stored, or refused for the first reason that applies; none is lost."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.markets.market import market
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.schema.validating import validate_data
from pipeline_defs.sources.asking.assembling import WindowOfAnswers
from pipeline_defs.sources.asking.judging import REASONS, gather, judge
from pipeline_defs.sources.asking.questions import Answer, Dataset, Listed, Question, Window, answer_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_defs.markets.market import Market

NSE, US, CRYPTO = market("NSE"), market("US"), market("CRYPTO")
DAY = dt.date(2025, 8, 25)
LATER = dt.datetime(2025, 9, 30, tzinfo=dt.UTC)
MINUTES = Dataset("spot_prices", 60, 5, ("EQ",))


def judged(rows: Mapping[str, Any], of: Market = NSE, dataset: Dataset = MINUTES, now: dt.datetime = LATER,
           window: Window | None = None, *, fractional: bool = False) -> pl.DataFrame:  # fmt: skip
    window = window or Window(DAY, DAY)
    question = Question("paper", "1", dataset, Listed("X", {"kind": "EQ", "symbol": "X"}), window,
                        of.bounds(window.first)[0], of.bounds(window.last)[1])  # fmt: skip
    gathered = gather([(question, Answer(answer_rows(rows)))], of)
    assert set(gathered["trade_date"]) == {window.first}
    return judge(gathered, dataset, window.first, of, now, fractional=[0] if fractional else [])


def at(clock: str, day: str = "2025-08-25", zone: str = "+05:30") -> dt.datetime:
    return dt.datetime.fromisoformat(f"{day}T{clock}{zone}").astimezone(dt.UTC)


def bar(clock: str = "09:16", **changed: Any) -> dict[str, list[Any]]:
    good = {"timestamp": at(clock), "open": "100", "high": "101", "low": "99", "close": "100.5", "volume": "5"}
    return {name: [value] for name, value in (good | changed).items()}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (bar(), None),
        (bar("15:30"), None),
        (bar(reason="bad_open", text="x"), "bad_open"),
        (bar(timestamp=None), "bad_time"),
        (bar(timestamp=at("09:16", "2025-08-26")), "outside_window"),
        (bar(close=None), "bad_price"),
        (bar(low="0"), "non_positive_price"),
        (bar(high="98"), "high_below_low"),
        (bar(close="102"), "price_outside_range"),
        (bar(volume="-1"), "bad_quantity"),
        (bar(volume="0.5"), "bad_quantity"),
        (bar(volume=None), None),
        (bar("09:15"), "before_open"),
        (bar("15:31"), "after_close"),
    ],
)
def test_a_row_is_refused_for_the_first_reason(row: dict[str, list[Any]], reason: str | None) -> None:
    assert judged(row)["reason"].to_list() == [reason]
    assert reason is None or reason in {*REASONS, "bad_open"}


def test_a_row_of_a_closed_day_within_the_window_is_counted_under_its_first_session() -> None:
    row = bar(timestamp=at("09:16", "2025-08-23"))
    found = judged(row, window=Window(dt.date(2025, 8, 22), DAY))

    assert found["reason"].to_list() == ["not_a_session"]


def test_what_completes_later_is_a_running_bar() -> None:
    assert judged(bar(), now=at("09:15:59"))["reason"].to_list() == ["running_bar"]
    assert judged(bar(), now=at("09:16"))["reason"].to_list() == [None]


def test_trades_before_the_open_in_the_united_states_are_extended_hours() -> None:
    rows = {"timestamp": [at(clock, zone="-04:00") for clock in ("03:59", "08:00", "09:31", "16:01", "20:01")],
            "close": ["1"] * 5}  # fmt: skip
    assert judged(rows, US)["reason"].to_list() == [
        "before_open", "extended_hours", None, "extended_hours", "after_close"
    ]  # fmt: skip


def test_the_last_hour_that_the_close_cuts_short_is_complete_at_the_close() -> None:
    hours = Dataset("spot_prices", 3600, 5, ("EQ",))
    found = judged(bar("16:30", timestamp=at("16:30", zone="-04:00")), US, hours)

    assert found.select("timestamp", "reason").row(0) == (at("16:00", zone="-04:00"), None)


def test_a_day_of_a_market_that_never_closes_ends_with_the_bar_of_midnight() -> None:
    rows = {"timestamp": [dt.datetime(2025, 8, 26, tzinfo=dt.UTC)], "close": ["1"], "volume": ["0.00012"]}
    assert judged(rows, CRYPTO, fractional=True)["reason"].to_list() == [None]


@pytest.mark.parametrize(
    ("of", "kind", "reason"),
    [
        (US, "EQ", None),
        (US, "SPOT", "bad_quantity"),
        (US, "OPT", "bad_quantity"),
        (NSE, "EQ", "bad_quantity"),
        (NSE, "FUT", "bad_quantity"),
        (CRYPTO, "PAIR", None),
        (CRYPTO, "EQ", "bad_quantity"),
    ],
)
def test_parts_of_a_unit_are_stored_of_the_kinds_that_a_market_trades_so(
    of: Market, kind: str, reason: str | None
) -> None:
    named = {"kind": kind, "symbol": "X", "underlying": "X", "venue": of.venue, "currency": of.currency}
    listed = Listed("X", named)
    question = Question("paper", "1", MINUTES, listed, Window(DAY, DAY), *of.bounds(DAY))
    told = answer_rows({"timestamp": [of.close(DAY)], "close": ["1"], "volume": ["0.5"]})
    window = WindowOfAnswers("paper", "paper 1", MINUTES, [(question, Answer(told))], of)

    batch, _ = window.batch(DAY, ImportRequest(), None, LATER)

    assert batch is not None
    assert batch.rejects["reason"].to_list() == ([] if reason is None else [reason])
    assert batch.observations["volume"].to_list() == ([Decimal("0.5")] if reason is None else [])
    validate_data(batch)


def test_equal_rows_are_kept_once_and_conflicting_ones_not_at_all() -> None:
    twice = {name: values * 2 for name, values in bar().items()}
    assert judged(twice)["reason"].to_list() == [None, "duplicate"]
    twice["close"] = ["100.5", "100.6"]
    assert judged(twice)["reason"].to_list() == ["conflicting_duplicate"] * 2
    twice["close"] = ["100.5", "500"]
    assert judged(twice)["reason"].to_list() == [None, "price_outside_range"]


def test_ticks_of_one_instant_are_numbered_as_they_came() -> None:
    rows = {"timestamp": [at("09:15:01")] * 3 + [at("09:15:02")], "close": ["1", "1", "2", "3"]}
    found = judged(rows, dataset=Dataset("spot_prices", 0, 1, ("EQ",)))

    assert found["sequence"].to_list() == [0, 1, 2, 0]
    assert found["reason"].to_list() == [None] * 4


def test_no_answers_are_no_rows() -> None:
    assert gather([], NSE).is_empty()


CLOCKS = st.integers(-60, 500).map(lambda minute: at("09:15") + dt.timedelta(minutes=minute))
VALUES = st.one_of(st.none(), st.decimals(min_value=-5, max_value=200, places=2))


@given(st.lists(st.tuples(CLOCKS, VALUES, VALUES, VALUES, VALUES, VALUES), max_size=30))
def test_every_row_comes_out_once_and_the_good_ones_are_sound(rows: list[tuple[dt.datetime, Any]]) -> None:
    names = ("timestamp", "open", "high", "low", "close", "volume")
    if not rows:
        return
    found = judged({name: [row[index] for row in rows] for index, name in enumerate(names)})
    good = found.filter(pl.col("reason").is_null())

    assert found["line"].to_list() == list(range(1, len(rows) + 1))
    assert not good.select("file_index", "timestamp", "sequence").is_duplicated().any()
    assert good.filter((pl.col("close") <= Decimal(0)) | (pl.col("high") < pl.col("low"))).is_empty()
    assert all(at("09:15") < stamp <= at("15:30") for stamp in good["timestamp"])
