"""Sessions of every kind from their rows to the ledger: each lacks what it should have had, and nothing else."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.gaps.assessing import assess_partition
from pipeline_defs.gaps.ledger import Scope, list_gaps
from pipeline_defs.gaps.series import Series
from pipeline_defs.gaps.supply import Supplies
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.yahoo.adapter import YahooSource
from pipeline_defs.warehouse.loading import import_source
from pipeline_tests.warehouse.deliveries import Delivery, StubSource, make_batch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse

MUCH_LATER = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
FIRST_MINUTE = dt.time(3, 45)
"""What the batches of the tests count their minutes from, UTC: 09:15 in India."""

INDEX = {"kind": "SPOT", "symbol": "X", "underlying": "X", "venue": "NSE", "currency": "INR"}
FUTURE = INDEX | {"kind": "FUT", "expiry": dt.date(2026, 12, 31)}


def series_of(source: str, table: str, day: str) -> Series:
    """Minutes of one day."""
    date = dt.date.fromisoformat(day)
    return Series(table, source, 60, date, date)


def load(warehouse: Warehouse, series: Series, begins: dt.datetime, held: Iterable[int]) -> None:
    """Store the minutes of one dense instrument that close so many minutes after the open."""
    day, table = series.first, series.dataset
    shift = round((begins - dt.datetime.combine(day, FIRST_MINUTE, dt.UTC)).total_seconds() / 60)
    terms: dict[str, Any] = FUTURE if table == "futures_ticks" else INDEX
    zone = "America/New_York" if series.source == "yahoo" else "Asia/Kolkata"
    rows = [("X", shift + minute, "100") for minute in held]
    batch = make_batch(Delivery(rows, contracts={"X": terms}), table=table, trade_date=day, timezone=zone)
    list(import_source(warehouse, StubSource(batch, name=series.source), ImportRequest()))


@pytest.mark.parametrize(
    ("series", "opens", "minutes"),
    [
        (series_of("nse_csv", "futures_ticks", "2025-08-13"), "03:45", 375),
        (series_of("nse_csv", "spot_prices", "2025-02-01"), "03:45", 375),  # a special Saturday
        (series_of("nse_csv", "futures_ticks", "2025-10-21"), "08:15", 60),  # Muhurat
        (series_of("nse_csv", "futures_ticks", "2026-08-03"), "03:45", 385),
        (series_of("nse_csv", "spot_prices", "2026-08-03"), "03:45", 360),
        (series_of("yahoo", "spot_prices", "2025-11-26"), "14:30", 390),
        (series_of("yahoo", "spot_prices", "2025-11-28"), "14:30", 210),  # the day after Thanksgiving
    ],
)
def test_a_session_lacks_its_last_minute_and_nothing_after_it(
    warehouse: Warehouse, settings: Settings, series: Series, opens: str, minutes: int
) -> None:
    begins = dt.datetime.combine(series.first, dt.time.fromisoformat(opens), dt.UTC)
    load(warehouse, series, begins, range(1, minutes))
    found = assess_partition(warehouse, series, series.first, supplies=Supplies(settings), now=MUCH_LATER)

    assert (found.expected_minutes, found.missing) == (minutes, {"source_missing": 1})
    (gap,) = list_gaps(warehouse, Scope())
    assert gap.gap_end == begins + dt.timedelta(minutes=minutes)


def test_a_drills_break_is_closed_and_a_minute_beside_it_is_missing(warehouse: Warehouse, settings: Settings) -> None:
    day = dt.date(2024, 3, 2)  # 09:15 to 10:00 and 11:30 to 12:30
    begins = dt.datetime.combine(day, FIRST_MINUTE, dt.UTC)
    series = Series("futures_ticks", "nse_csv", 60, day, day)
    load(warehouse, series, begins, [*range(1, 46), *range(136, 196)])
    found = assess_partition(warehouse, series, day, supplies=Supplies(settings), now=MUCH_LATER)

    assert (found.present_minutes, found.missing) == (105, {"closed": 90})
    (gap,) = list_gaps(warehouse, Scope())
    assert "disaster-recovery drill with a break" in gap.detail


def test_files_are_due_at_nine_in_the_evening(warehouse: Warehouse, settings: Settings) -> None:
    day = dt.date(2025, 8, 13)
    series = Series("futures_ticks", "nse_csv", 60, day, day)
    nine = dt.datetime(2025, 8, 13, 15, 30, tzinfo=dt.UTC)

    def missing(now: dt.datetime) -> dict[str, int]:
        return assess_partition(warehouse, series, day, supplies=Supplies(settings), now=now).missing

    assert missing(nine - dt.timedelta(seconds=1)) == {"not_yet_due": 375}
    assert list_gaps(warehouse, Scope())[0].detail == "due from 2025-08-13 15:30Z on"
    assert missing(nine) == {"source_missing": 375}


@pytest.mark.parametrize(
    ("universe", "detail"),
    [
        (None, "yahoo cannot be asked"),
        ({"pairs": ["BTC/USDT"]}, "yahoo gives no bars of 60 s of earlier days"),
        ({"indices": ["^GSPC"]}, "yahoo goes back"),
    ],
)
def test_what_an_api_cannot_give_again_says_why(
    warehouse: Warehouse, settings: Settings, universe: dict[str, Any] | None, detail: str
) -> None:
    day = dt.date(2025, 11, 26)

    def make(name: str) -> YahooSource:
        assert name == "yahoo"
        return YahooSource(universe=None if universe is None else SourceUniverse.model_validate(universe))

    found = assess_partition(
        warehouse,
        Series("spot_prices", "yahoo", 60, day, day),
        day,
        supplies=Supplies(settings, make_source=make),
        now=MUCH_LATER,
    )
    assert (found.missing, found.fillable_minutes) == ({"source_missing": 390}, 0)
    assert detail in list_gaps(warehouse, Scope())[0].detail
