"""Bars across every era of hours: the same on every server, whatever they are kept in.

On full TimescaleDB some of these sessions are continuous aggregates and some are tables, behind views; the expected
bars are computed here by sorting, without any function of the warehouse.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pipeline_defs.warehouse.reports import LoadReport
from pipeline_tests.warehouse.deliveries import TRADE_DATE, Delivery, make_batch

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

type Load = Callable[..., LoadReport]
type Ask = Callable[..., list[tuple[Any, ...]]]

A, B = "NIFTY31JAN1910000CE", "NIFTY31JAN1910050CE"

ERAS = [
    dt.date(2005, 3, 1),  # 09:55 to 15:30
    dt.date(2009, 6, 1),
    dt.date(2010, 1, 5),  # 09:00
    dt.date(2010, 10, 18),  # the first day that opened at 09:15
    dt.date(2019, 1, 1),
    dt.date(2021, 2, 24),  # extended to 17:00
    dt.date(2024, 3, 2),  # a Saturday
    dt.date(2024, 11, 1),  # muhurat, 18:00 to 19:00
]

EXPECTED = """
WITH placed AS (
    SELECT s.open AS session_open, o.*,
           s.open + interval '1 hour' * least(
               floor(extract(epoch FROM o."timestamp" - make_interval(secs => o.bar_seconds) - s.open) / 3600),
               ceil(extract(epoch FROM s.close - s.open) / 3600) - 1) AS hour
    FROM options_ticks AS o
    JOIN sessions AS s ON s.market = 'NSE' AND s.segment = 'FO' AND o."timestamp" BETWEEN s.open AND s.close
), buckets AS (
    SELECT 'hour' AS length, hour AS bucket, placed.* FROM placed WHERE bar_seconds <= 3600
    UNION ALL
    SELECT 'session', session_open, placed.* FROM placed
)
SELECT length, bucket, instrument_id, bar_seconds, source,
       (array_agg(open ORDER BY "timestamp", sequence))[1], max(high), min(low),
       (array_agg(close ORDER BY "timestamp" DESC, sequence DESC))[1], sum(volume),
       (array_agg(open_interest ORDER BY "timestamp" DESC, sequence DESC))[1], count(*)
FROM buckets GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
"""
STORED = """
SELECT 'hour', * FROM options_hourly UNION ALL SELECT 'session', * FROM options_daily ORDER BY 1, 2, 3, 4, 5
"""


@pytest.fixture
def hours(ask: Ask) -> Callable[[dt.date], tuple[int, int]]:
    """Give a session's open and close in minutes from 03:45 UTC, as deliveries count them."""

    def find(day: dt.date) -> tuple[int, int]:
        ((opened, closed),) = ask(
            "SELECT open, close FROM sessions WHERE market = 'NSE' AND segment = 'FO' AND session_date = %s", day
        )
        grid = dt.datetime.combine(day, dt.time(3, 45), dt.UTC)
        return tuple(int((instant - grid).total_seconds()) // 60 for instant in (opened, closed))  # type: ignore[return-value]

    return find


@pytest.fixture
def continuous(ask: Ask) -> None:
    """Only where the bars are continuous aggregates."""
    if not ask("SELECT FROM schema_migrations WHERE name LIKE 'timescaledb_full/%%'"):
        pytest.skip("needs full TimescaleDB")


def price(minute: int, salt: int = 0) -> str:
    return f"{(minute * 7919 + salt * 104_729) % 900 + 1}.05"


@pytest.mark.parametrize("day", ERAS, ids=str)
def test_bars_of_every_era_are_those_of_its_session(
    load: Load, ask: Ask, hours: Callable[[dt.date], tuple[int, int]], day: dt.date
) -> None:
    first, last = hours(day)
    minutes = [*range(first + 1, last + 1, 7), first + 60, last]
    bars = [(symbol, minute, price(minute)) for symbol in (A, B) for minute in sorted(set(minutes))]
    ticks = [(A, minute, price(minute, 1)) for minute in (first, first, first + 30, first + 60, last, last)]
    load(make_batch(Delivery(bars), trade_date=day))
    load(make_batch(Delivery(ticks), trade_date=day, bar_seconds=0, sequences=list(range(len(ticks)))))
    load(make_batch(Delivery([(A, last, "5")]), trade_date=day, bar_seconds=86_400))

    expected = ask(EXPECTED)

    assert {(length, seconds) for length, _, _, seconds, *_ in expected} == {
        ("hour", 0),
        ("hour", 60),
        ("session", 0),
        ("session", 60),
        ("session", 86_400),
    }
    assert ask(STORED) == expected
    assert ask("SELECT * FROM check_bars('2000-01-01', '2100-01-01')") == []


def test_late_corrected_and_retired_rows_reach_their_bars_in_every_era(
    load: Load, ask: Ask, hours: Callable[[dt.date], tuple[int, int]]
) -> None:
    days = [dt.date(2009, 6, 1), dt.date(2019, 1, 1), dt.date(2024, 11, 1)]
    for day in days:
        first, last = hours(day)
        load(
            make_batch(
                Delivery([(A, minute, price(minute)) for minute in range(first + 1, last + 1, 5)]), trade_date=day
            )
        )
    for day in reversed(days):  # below what was aggregated before
        first, last = hours(day)
        late = [(A, minute, price(minute)) for minute in range(first + 3, last + 1, 5)]
        load(make_batch(Delivery([(A, first + 1, "1.05"), *late]), trade_date=day))

    assert ask(STORED) == ask(EXPECTED)
    assert ask("SELECT count(*) FROM options_ticks_history") != [(0,)]


def test_a_bar_that_was_tampered_with_or_never_made_is_found(warehouse: Warehouse, load: Load, ask: Ask) -> None:
    load(make_batch(Delivery([(A, 1, "5"), (A, 70, "6")])))
    with warehouse.connect() as connection:
        connection.execute("UPDATE options_ticks SET close = 5.05, high = 6 WHERE close = 5")
        connection.execute(
            "INSERT INTO options_ticks (timestamp, instrument_id, bar_seconds, sequence, source, close, load_id)"
            " SELECT timestamp + interval '2 hours', instrument_id, bar_seconds, 0, source, 7, load_id"
            " FROM options_ticks WHERE close = 6"
        )

    found = ask("SELECT bars, bucket, stored IS NULL FROM check_bars('2018-12-31', '2019-01-02')")

    opened = dt.datetime.combine(TRADE_DATE, dt.time(3, 45), dt.UTC)
    assert found == [
        ("options_daily", opened, False),
        ("options_hourly", opened, False),
        ("options_hourly", opened + dt.timedelta(hours=3), True),
    ]
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("CALL refresh_bars('2019-01-01', '2019-01-02')")
    assert ask("SELECT * FROM check_bars('2018-12-31', '2019-01-02')") == []


@pytest.mark.usefixtures("continuous")
@pytest.mark.parametrize("view", ["options_hourly", "options_daily"])
@pytest.mark.parametrize(
    "statement", ["DELETE FROM {}", "UPDATE {} SET volume = 1", "INSERT INTO {0} SELECT * FROM {0}"]
)
def test_nobody_writes_into_continuous_bars(warehouse: Warehouse, load: Load, view: str, statement: str) -> None:
    load(make_batch(Delivery([(A, 1, "5")])))

    with warehouse.connect() as connection, pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        connection.execute(statement.format(view).encode())


@pytest.mark.usefixtures("continuous")
def test_regular_sessions_are_aggregates_and_others_tables(
    load: Load, ask: Ask, hours: Callable[[dt.date], tuple[int, int]]
) -> None:
    for day in (dt.date(2019, 1, 1), dt.date(2024, 11, 1)):
        first, _ = hours(day)
        load(make_batch(Delivery([(A, first + 1, "5")]), trade_date=day))

    assert ask("SELECT bucket::date, close FROM irregular_daily_bars") == [(dt.date(2024, 11, 1), Decimal(5))]
    assert ask("SELECT bucket::date, close FROM options_daily ORDER BY 1") == [
        (dt.date(2019, 1, 1), Decimal(5)),
        (dt.date(2024, 11, 1), Decimal(5)),
    ]
