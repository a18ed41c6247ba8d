"""Time travel through the whole import: what the vendor on the loopback is asked, and what it is not."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.orchestration.comparisons import ledger
from pipeline_defs.orchestration.evidence import Partition
from pipeline_defs.warehouse.cache import list_statistics
from pipeline_tests.freshness.conftest import BAJAJ, RELIANCE, Traveller, candle

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse


def stored(warehouse: Warehouse) -> list[tuple[str, str]]:
    """Symbol and close, in India, of every row."""
    with warehouse.connect() as connection:
        rows = connection.execute(
            "SELECT a.symbol, to_char(o.timestamp AT TIME ZONE 'Asia/Kolkata', 'YYYY-MM-DD HH24:MI')"
            " FROM spot_prices AS o JOIN instrument_aliases AS a USING (instrument_id, source) ORDER BY 2, 1"
        ).fetchall()
    return [(symbol, time) for symbol, time in rows]


def asked_of(traveller: Traveller) -> list[str]:
    return [path.split("/")[3] for path in traveller.kite.history]


@pytest.mark.parametrize(
    ("day", "begins", "before", "due"),
    [
        ("2025-08-22", "09:15", "2025-08-22T15:44:59", "2025-08-22T15:45:00"),
        ("2025-02-01", "09:15", "2025-02-01T15:44:59", "2025-02-01T15:45:00"),  # the budget of a Saturday
        ("2026-02-01", "09:15", "2026-02-01T15:44:59", "2026-02-01T15:45:00"),  # and of a Sunday
        ("2024-11-01", "18:00", "2024-11-01T19:14:59", "2024-11-01T19:15:00"),  # Muhurat in the evening
        ("2026-07-31", "09:15", "2026-07-31T15:44:59", "2026-07-31T15:45:00"),
        ("2026-08-03", "09:15", "2026-08-03T15:54:59", "2026-08-03T15:55:00"),  # the first day of the later close
    ],
)
def test_a_session_is_asked_once_after_it_is_due_and_never_again(
    traveller: Traveller, day: str, begins: str, before: str, due: str
) -> None:
    traveller.kite.candles[RELIANCE] = [candle(f"{day}T{begins}")]
    reports = traveller.go(before, day)
    assert [report.is_hit for report in reports] == [False]

    assert [report.cache for report in traveller.go(due, day)] == ["miss"]
    for later in (due, f"{day}T23:59:59", "2027-12-01T12:00:00"):
        assert traveller.asked(later, day) == 0
    assert len(asked_of(traveller)) == 2
    assert traveller.counts() == (3, 2)


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("2025-08-23", "weekend"),
        ("2025-08-24", "weekend"),
        ("2025-08-27", "holiday Ganesh Chaturthi"),
        ("2026-08-15", "weekend"),
    ],
)
def test_closed_days_are_never_asked(traveller: Traveller, day: str, reason: str) -> None:
    for _ in range(2):
        (report,) = traveller.go("2026-12-01T12:00:00", day)
        assert (report.status, report.message, report.cache) == ("empty", reason, "hit")

    assert traveller.kite.paths == []


def test_only_the_missing_days_of_a_range_are_asked_holes_in_the_middle_included(traveller: Traveller) -> None:
    now = "2025-09-01T12:00:00"
    for day in ("2025-08-18", "2025-08-20", "2025-08-22"):
        traveller.go(now, day)
    before = len(traveller.kite.history)
    reports = traveller.go(now, "2025-08-18", "2025-08-25")
    days = [path.partition("from=")[2][:10] for path in traveller.kite.history[before:]]

    assert days == ["2025-08-19", "2025-08-21", "2025-08-25"]
    assert sum(report.is_hit for report in reports) == 3 + 2  # the weekend, too
    assert traveller.asked(now, "2025-08-18", "2025-08-25") == 0


def test_one_more_symbol_costs_one_request_and_takes_no_row_away(traveller: Traveller, warehouse: Warehouse) -> None:
    now = "2025-09-01T12:00:00"
    traveller.go(now, "2025-08-18", "2025-08-22")
    rows = stored(warehouse)
    traveller.equities = ["RELIANCE", "BAJAJ-AUTO"]
    before = len(traveller.kite.history)
    reports = traveller.go(now, "2025-08-18", "2025-08-22")

    assert asked_of(traveller)[before:] == [BAJAJ]
    assert [(report.stored, report.retired, report.corrected) for report in reports] == [(3, 0, 0)] * 5
    assert [row for row in stored(warehouse) if row[0] == "RELIANCE"] == rows
    assert traveller.asked(now, "2025-08-18", "2025-08-22") == 0
    traveller.equities = ["BAJAJ-AUTO"]
    again = traveller.go(now, "2025-08-18", "2025-08-22")
    assert [report.cache for report in again] == ["hit"] * 5
    assert len(stored(warehouse)) == 2 * len(rows)
    traveller.equities = ["RELIANCE"]
    assert traveller.asked(now, "2025-08-18", "2025-08-22") == 0


def test_a_running_session_is_asked_from_where_it_is_stored_and_once_more_when_it_is_due(
    traveller: Traveller, warehouse: Warehouse
) -> None:
    day = "2025-08-22"
    traveller.kite.candles[RELIANCE] = [candle(f"{day}T09:{minute}") for minute in range(15, 60)]
    assert traveller.asked(f"{day}T09:14:00", "2025-08-21") > 0  # the list of contracts of that morning is there

    assert traveller.asked(f"{day}T09:30:20", day) == 1
    assert stored(warehouse)[-1] == ("RELIANCE", "2025-08-22 09:30")
    assert traveller.asked(f"{day}T09:35:00", day) == 0
    (report,) = traveller.go(f"{day}T09:35:00", day)
    assert report.message == "stored up to 2025-08-22 04:00:00+00"
    assert traveller.asked(f"{day}T09:35:10", day) == 1
    (first, second) = traveller.kite.history[-2:]
    assert ("from=2025-08-22+00%3A00%3A00" in first, "from=2025-08-22+09%3A30%3A00" in second) == (True, True)
    assert stored(warehouse)[-1] == ("RELIANCE", "2025-08-22 09:35")

    (settled,) = traveller.go(f"{day}T15:45:00", day)
    assert (settled.unchanged, settled.stored, settled.corrected, settled.retired) == (20, 25, 0, 0)
    assert traveller.asked(f"{day}T15:45:00", day) == 0


def test_what_the_vendor_took_back_after_the_close_is_retired(traveller: Traveller, warehouse: Warehouse) -> None:
    day = "2025-08-22"
    traveller.kite.candles[RELIANCE] = [candle(f"{day}T09:15"), candle(f"{day}T09:16")]
    traveller.go(f"{day}T09:20:00", day)
    traveller.kite.candles[RELIANCE] = [candle(f"{day}T09:15", price=1401.0)]
    (report,) = traveller.go(f"{day}T15:45:00", day)

    assert (report.corrected, report.retired) == (1, 1)
    assert stored(warehouse) == [("RELIANCE", "2025-08-22 09:16")]


def test_asked_always_everything_is_asked_and_counts_as_missed(traveller: Traveller) -> None:
    now = "2025-09-01T12:00:00"
    traveller.go(now, "2025-08-22")
    for _ in range(2):
        assert traveller.asked(now, "2025-08-22", reread=True) == 1

    assert traveller.counts() == (0, 3)
    assert traveller.asked(now, "2025-08-22") == 0


def test_another_reader_or_rule_makes_a_day_stale(
    traveller: Traveller, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = "2025-09-01T12:00:00"
    traveller.go(now, "2025-08-22")
    traveller.equities = ["RELIANCE", "BAJAJ-AUTO"]
    monkeypatch.setattr("pipeline_defs.__version__", "99.0.0")
    before = len(traveller.kite.history)
    traveller.go(now, "2025-08-22")
    assert asked_of(traveller)[before:] == [RELIANCE, BAJAJ]

    with warehouse.connect() as connection:
        connection.execute("UPDATE market_rules_ledger SET seeded_at = clock_timestamp()")
    assert traveller.asked(now, "2025-08-22") == 2


def test_what_was_refused_as_damaged_is_asked_again_for_every_symbol(traveller: Traveller) -> None:
    now = "2025-09-01T12:00:00"
    traveller.go(now, "2025-08-22")
    worthless = [candle(f"2025-08-22T{9 + m // 60:02d}:{m % 60:02d}", -1) for m in range(15, 150)]
    traveller.kite.candles[RELIANCE] = worthless
    (rejected,) = traveller.go(now, "2025-08-22", reread=True)
    assert rejected.status == "rejected"
    del traveller.kite.candles[RELIANCE]

    assert traveller.asked(now, "2025-08-22") == 1
    assert traveller.asked(now, "2025-08-22") == 0


def test_a_day_of_statistics_tells_hits_misses_size_and_latency(traveller: Traveller, warehouse: Warehouse) -> None:
    now = "2025-09-01T12:00:00"
    (missed,) = traveller.go(now, "2025-08-22")
    (hit,) = traveller.go(now, "2025-08-22")
    (day,) = list_statistics(warehouse)

    assert (day.hits, day.misses) == (1, 1)
    assert missed.size_bytes > 100
    assert day.size_bytes == missed.size_bytes + hit.size_bytes == 2 * missed.size_bytes
    assert day.mean_fetch_latency_ms is not None
    assert day.mean_fetch_latency_ms == pytest.approx(missed.fetch_seconds * 1000)
    assert 0 < missed.fetch_seconds < 60
    assert day.day == dt.datetime.now(dt.UTC).date()
    assert (missed.calls, hit.calls, hit.fetch_seconds) == (2, 0, 0.0)  # the list of contracts, and the history


def test_after_the_whole_day_came_its_rows_are_accounted_for_again(traveller: Traveller, warehouse: Warehouse) -> None:
    day = "2025-08-22"
    partition = Partition("spot_prices", "zerodha", dt.date.fromisoformat(day))
    traveller.kite.candles[RELIANCE] = [candle(f"{day}T09:15"), candle(f"{day}T09:16")]
    traveller.go(f"{day}T09:16:30", day)
    assert ledger(warehouse, partition) == []  # a minute does not account for a day

    traveller.go(f"{day}T15:45:00", day)
    assert [line.agrees for line in ledger(warehouse, partition)] == [True]
    with warehouse.connect() as connection:
        connection.execute("DELETE FROM spot_prices WHERE timestamp = '2025-08-22 09:16+05:30'")
    assert [line.agrees for line in ledger(warehouse, partition)] == [False]
