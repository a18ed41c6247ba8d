from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline_defs.schema.batches import Finding, ImportBatch
from pipeline_defs.sources.nse_csv.adapter import NseCsvSource
from pipeline_defs.sources.nse_csv.findings import judge_coverage

type Write = Callable[..., Path]
type Row = Callable[..., str]
type Read = Callable[..., Any]

MINUTE_HEADER = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest"


def finding(batch: ImportBatch, check: str) -> Finding | None:
    found = [finding for finding in batch.findings if finding.check == check]
    assert len(found) <= 1
    return found[0] if found else None


def minutes(start: dt.time, count: int) -> list[str]:
    first = dt.datetime.combine(dt.date(2025, 8, 20), start)
    return [f"{first + dt.timedelta(minutes=n):%H:%M}:59" for n in range(count)]


def test_full_session_of_an_index_is_covered(read: Read, write: Write, minute_row: Row) -> None:
    rows = [minute_row(ticker="NIFTY 50.NSE_IDX", time=time) for time in minutes(dt.time(9, 15), 375)]
    found = finding(read(write("x.csv", MINUTE_HEADER, *rows)).only, "session_coverage")
    assert found == Finding(
        check="session_coverage",
        passed=True,
        expected="375 minutes of each of 1 instruments",
        found="375 to 375 minutes, 0 instruments short",
    )


def test_missing_minutes_of_a_future_are_named(read: Read, write: Write, minute_row: Row) -> None:
    full = [minute_row(ticker="NIFTY-I.NFO", time=time) for time in minutes(dt.time(9, 15), 375)]
    short = [minute_row(ticker="NIFTY-II.NFO", time=time) for time in minutes(dt.time(9, 15), 374)]
    found = finding(read(write("x.csv", MINUTE_HEADER, *full, *short)).only, "session_coverage")
    assert found is not None
    assert (found.passed, found.detail) == (False, "NIFTY-II.NFO 374")


def test_closing_auction_is_not_expected_to_have_minutes(read: Read, write: Write, minute_row: Row) -> None:
    times = [*minutes(dt.time(9, 15), 360), "15:28:59"]
    rows = [minute_row(ticker="NIFTY 50.NSE_IDX", date="18/08/2026", time=time) for time in times]
    batch = read(write("x.csv", MINUTE_HEADER, *rows)).only
    found = finding(batch, "session_coverage")
    assert found is not None
    assert (found.passed, found.expected) == (True, "360 minutes of each of 1 instruments")
    assert batch.observations.height == 361


def test_options_and_shares_need_not_trade_every_minute(read: Read, write: Write, minute_row: Row) -> None:
    for ticker in ("NIFTY28AUG2524500CE.NFO", "RELIANCE.NSE"):
        batch = read(write("x.csv", MINUTE_HEADER, minute_row(ticker=ticker))).only
        assert finding(batch, "session_coverage") is None


def test_day_without_a_session_has_no_coverage(read: Read, write: Write, minute_row: Row) -> None:
    batch = read(write("x.csv", MINUTE_HEADER, minute_row(ticker="NIFTY 50.NSE_IDX"))).only
    sunday = dt.date(2025, 8, 24)
    assert judge_coverage(batch.contracts, batch.observations, sunday, 60) is None


@pytest.mark.parametrize(("lines", "expected"), [((49, 51), "51 of 100"), ((50, 50), None), ((40, 59), None)])
def test_damage_is_reported_above_the_fraction_of_at_least_a_hundred_lines(
    read: Read, write: Write, minute_row: Row, lines: tuple[int, int], expected: str | None
) -> None:
    good_lines, bad_lines = lines
    times = minutes(dt.time(9, 15), good_lines)
    rows = [*(minute_row(time=time) for time in times), *["broken"] * bad_lines]
    batch = read(write("x.csv", MINUTE_HEADER, *rows)).only
    found = finding(batch, "damaged_fraction")
    assert (None if found is None else found.found) == expected
    assert batch.observations.height == good_lines


def test_fraction_is_a_setting(read: Read, write: Write, minute_row: Row) -> None:
    rows = [*(minute_row(time=time) for time in minutes(dt.time(9, 15), 90)), *["broken"] * 10]
    batch = read(write("x.csv", MINUTE_HEADER, *rows), NseCsvSource(max_damaged_fraction=0.05)).only
    found = finding(batch, "damaged_fraction")
    assert found is not None
    assert (found.passed, found.expected, found.found) == (False, "at most 5% of lines refused", "10 of 100")


def test_expiry_on_a_closed_day_is_reported(read: Read, write: Write, minute_row: Row) -> None:
    batch = read(write("x.csv", MINUTE_HEADER, minute_row(ticker="NIFTY30AUG2524500CE.NFO"))).only
    found = finding(batch, "expiry_not_a_session")
    assert found is not None
    assert (found.passed, found.detail) == (False, "NIFTY30AUG2524500CE.NFO")
    assert "2025-08-30" in found.found


def test_expiry_beyond_the_calendar_is_not_judged(read: Read, write: Write, minute_row: Row) -> None:
    batch = read(write("x.csv", MINUTE_HEADER, minute_row(ticker="NIFTY25DEC8024500CE.NFO"))).only
    assert finding(batch, "expiry_not_a_session") is None


def test_strikes_far_from_a_spot_of_the_same_import_are_reported(read: Read, write: Write, minute_row: Row) -> None:
    spot = {"open": "24500", "high": "24500", "low": "24500", "close": "24500"}
    rows = [
        minute_row(ticker="NIFTY 50.NSE_IDX", **spot),
        minute_row(ticker="NIFTY28AUG2524500CE.NFO"),
        minute_row(ticker="NIFTY28AUG25245000CE.NFO"),
        minute_row(ticker="NIFTY28AUG25245PE.NFO"),
        minute_row(ticker="BANKNIFTY28AUG2510CE.NFO"),
    ]
    found = finding(read(write("x.csv", MINUTE_HEADER, *rows)).table("options_ticks"), "strike_far_from_spot")
    assert found is not None
    assert found.detail == "NIFTY28AUG25245000CE.NFO, NIFTY28AUG25245PE.NFO"


def test_long_lists_are_shortened(read: Read, write: Write, minute_row: Row) -> None:
    rows = [minute_row(ticker=f"NIFTY30AUG25{strike}CE.NFO") for strike in range(24000, 24700, 100)]
    found = finding(read(write("x.csv", MINUTE_HEADER, *rows)).only, "expiry_not_a_session")
    assert found is not None
    assert found.detail.endswith("NIFTY30AUG2524400CE.NFO and 2 more")
