"""Hourly and daily bars: session buckets, exact values, only touched buckets written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pipeline_defs.warehouse.reports import LoadReport
from pipeline_tests.warehouse.deliveries import SESSION_OPEN, Delivery, bar_versions, make_batch

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

type Load = Callable[..., LoadReport]
type Ask = Callable[..., list[tuple[Any, ...]]]

A = "NIFTY31JAN1910000CE"

# The bars of every bucket computed another way: by sorting, without the functions under test.
RECOMPUTED = """
SELECT o.instrument_id, o.bar_seconds, o.source,
       s.open + interval '1 hour' * least(
           floor(extract(epoch FROM o.timestamp - make_interval(secs => o.bar_seconds) - s.open) / 3600),
           ceil(extract(epoch FROM s.close - s.open) / 3600) - 1) AS bucket,
       (array_agg(o.open ORDER BY o.timestamp, o.sequence))[1] AS open, max(o.high) AS high, min(o.low) AS low,
       (array_agg(o.close ORDER BY o.timestamp DESC, o.sequence DESC))[1] AS close, sum(o.volume) AS volume, count(*)
FROM options_ticks AS o JOIN sessions AS s ON s.segment = 'FO' AND o.timestamp BETWEEN s.open AND s.close
GROUP BY 1, 2, 3, 4
"""


def test_the_first_hour_starts_at_the_open_and_the_last_is_short(load: Load, ask: Ask) -> None:
    load(make_batch(Delivery([(A, minute, f"{minute}.25") for minute in (1, 60, 61, 375)])))

    assert ask("SELECT bucket, open, high, low, close, volume, observations FROM options_hourly ORDER BY bucket") == [
        (SESSION_OPEN, Decimal("1.25"), Decimal("60.25"), Decimal("1.25"), Decimal("60.25"), 150, 2),
        (SESSION_OPEN + dt.timedelta(hours=1), *[Decimal("61.25")] * 4, 75, 1),
        (SESSION_OPEN + dt.timedelta(hours=6), *[Decimal("375.25")] * 4, 75, 1),
    ]
    assert ask("SELECT bucket, open, high, low, close, volume, open_interest, observations FROM options_daily") == [
        (SESSION_OPEN, Decimal("1.25"), Decimal("375.25"), Decimal("1.25"), Decimal("375.25"), 300, 1500, 4)
    ]


def test_ticks_of_one_second_open_and_close_in_file_order(load: Load, ask: Ask) -> None:
    rows = [(A, 1, "5"), (A, 1, "3"), (A, 1, "9"), (A, 1, "4")]
    load(make_batch(Delivery(rows), bar_seconds=0, sequences=[0, 1, 2, 3]))

    assert ask("SELECT open, high, low, close FROM options_hourly") == [
        (Decimal(5), Decimal(9), Decimal(3), Decimal(4))
    ]


def test_a_tick_at_the_very_close_belongs_to_the_last_hour(load: Load, ask: Ask) -> None:
    load(make_batch(Delivery([(A, 375, "5")]), bar_seconds=0))

    assert ask("SELECT bucket FROM options_hourly") == [(SESSION_OPEN + dt.timedelta(hours=6),)]


def test_in_a_one_hour_session_there_is_one_bucket(load: Load, ask: Ask) -> None:
    """Muhurat 2024-11-01: 18:00 to 19:00 exchange time."""
    day = dt.date(2024, 11, 1)
    ((opened, closed),) = ask("SELECT open, close FROM sessions WHERE segment = 'FO' AND session_date = %s", day)
    minutes = [
        int((at - dt.datetime(2024, 11, 1, 3, 45, tzinfo=dt.UTC)).total_seconds() // 60) for at in (opened, closed)
    ]
    load(make_batch(Delivery([(A, minutes[0] + 1, "5"), (A, minutes[1], "6")]), trade_date=day))

    assert ask("SELECT bucket, observations FROM options_hourly") == [(opened, 2)]


def test_corrected_and_vanished_rows_update_exactly_their_buckets(load: Load, ask: Ask) -> None:
    load(make_batch(Delivery([(A, minute, "5") for minute in (1, 70, 130)])))
    untouched = bar_versions(ask, "hourly", SESSION_OPEN)

    load(make_batch(Delivery([(A, 1, "5"), (A, 70, "6")])))

    assert len(untouched) == 1
    assert bar_versions(ask, "hourly", SESSION_OPEN) == untouched
    assert ask("SELECT bucket, close FROM options_hourly ORDER BY bucket") == [
        (SESSION_OPEN, Decimal(5)),
        (SESSION_OPEN + dt.timedelta(hours=1), Decimal(6)),
    ]
    assert ask("SELECT close, observations FROM options_daily") == [(Decimal(6), 2)]


def test_bars_equal_a_computation_from_the_observations_by_sorting(load: Load, ask: Ask) -> None:
    prices = [
        (f"C{key}", minute, f"{(key * 7919 + minute * 104729) % 5000 + 1}.05")
        for key in range(7)
        for minute in range(1, 376, 3)
    ]
    load(make_batch(Delivery(prices)))

    assert ask(
        "SELECT count(*) FROM (SELECT instrument_id, bar_seconds, source, bucket, open, high, low, close, volume,"
        f" observations FROM options_hourly EXCEPT ({RECOMPUTED})) AS d"
    ) == [(0,)]
    assert ask(f"SELECT count(*) FROM ({RECOMPUTED}) AS r") == ask("SELECT count(*) FROM options_hourly")


def test_daily_observations_become_daily_bars_of_their_own(load: Load, ask: Ask) -> None:
    load(make_batch(Delivery([(A, 375, "5")]), bar_seconds=86_400))
    load(make_batch(Delivery([(A, 375, "6")])))

    assert ask("SELECT bar_seconds, close FROM options_daily ORDER BY 1") == [(60, Decimal(6)), (86_400, Decimal(5))]
    assert ask("SELECT bar_seconds FROM options_hourly") == [(60,)]


def test_refresh_inside_a_transaction_is_refused(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("SELECT 1")
        with pytest.raises(psycopg.errors.InvalidTransactionTermination):
            connection.execute("CALL refresh_bars(now(), now())")
