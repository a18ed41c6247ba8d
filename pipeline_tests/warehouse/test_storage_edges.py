"""Retention at its edges: the first day that is kept, ages that come back as they were given, servers that change."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.warehouse import maintenance
from pipeline_defs.warehouse.maintenance import StoragePolicy
from pipeline_defs.warehouse.migrations import downgrade, upgrade
from pipeline_tests.warehouse.deliveries import SESSION_OPEN, TRADE_DATE, Delivery, make_batch

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

type Ask = Callable[..., list[tuple[Any, ...]]]

A = "NIFTY31JAN1910000CE"
BARS = "SELECT 'hour', * FROM options_hourly UNION ALL SELECT 'session', * FROM options_daily ORDER BY 1, 2, 3, 4, 5"


def forget_before(warehouse: Warehouse, day: dt.date) -> None:
    """Delete what is older than a day, and keep everything from then on."""
    age = dt.datetime.now(dt.UTC).date() - day
    maintenance.set_policy(warehouse, StoragePolicy("options_ticks", None, age))
    maintenance.maintain(warehouse)
    maintenance.set_policy(warehouse, StoragePolicy("options_ticks", None, None))


@pytest.mark.parametrize("days", [1, 45, 400, 2000])
def test_ages_come_back_as_they_were_given(warehouse: Warehouse, days: int) -> None:
    policy = StoragePolicy("options_ticks", dt.timedelta(days=1), dt.timedelta(days=days))
    maintenance.set_policy(warehouse, policy)

    assert policy in maintenance.list_policies(warehouse)


def test_the_first_day_that_is_kept_can_be_corrected(
    warehouse: Warehouse, load: Callable[..., LoadReport], ask: Ask
) -> None:
    kept = dt.date(2019, 1, 9)
    for day in (kept - dt.timedelta(days=1), kept):
        load(make_batch(Delivery([(A, 1, "1.05")]), trade_date=day))
    forget_before(warehouse, kept)

    report = load(make_batch(Delivery([(A, 1, "2.05")]), trade_date=kept))

    assert report.corrected == 1
    assert ask("SELECT close FROM options_daily ORDER BY bucket") == [(Decimal("1.05"),), (Decimal("2.05"),)]


def test_a_refresh_that_begins_at_the_open_reaches_the_first_hour(
    warehouse: Warehouse, load: Callable[..., LoadReport], ask: Ask
) -> None:
    load(make_batch(Delivery([(A, minute, "1.05") for minute in (1, 70, 370)])))
    with warehouse.connect() as connection:
        connection.execute("UPDATE options_ticks SET close = 2.05, open = 2.05, high = 2.05, low = 2.05")

    with warehouse.connect(autocommit=True) as connection:
        connection.execute("CALL refresh_bars(%s, %s)", [SESSION_OPEN, SESSION_OPEN + dt.timedelta(hours=6)])

    assert ask("SELECT * FROM check_bars('2018-12-31', '2019-01-02')") == []
    assert ask("SELECT DISTINCT open, close FROM options_hourly") == [(Decimal("2.05"), Decimal("2.05"))]


def test_a_maintenance_with_nothing_to_delete_remembers_no_horizon(
    warehouse: Warehouse, load: Callable[..., LoadReport], ask: Ask
) -> None:
    load(make_batch(Delivery([(A, 1, "1.05")])))
    forget_before(warehouse, TRADE_DATE)

    assert all(horizon.year > 2000 for (horizon,) in ask("SELECT dropped_before FROM dropped_observations"))
    assert ask("SELECT count(*) FROM options_ticks") == [(1,)]


def test_a_part_of_a_session_is_checked_without_false_alarm(load: Callable[..., LoadReport], ask: Ask) -> None:
    load(make_batch(Delivery([(A, minute, "1.05") for minute in (1, 70, 370)])))

    assert ask("SELECT * FROM check_bars('2019-01-01 03:50+00', '2019-01-01 05:00+00')") == []


def test_bars_of_deleted_observations_survive_the_way_back_and_forth(
    warehouse: Warehouse, load: Callable[..., LoadReport], ask: Ask
) -> None:
    if not ask("SELECT FROM schema_migrations WHERE name LIKE 'timescaledb_full/%%'"):
        pytest.skip("needs full TimescaleDB")
    load(make_batch(Delivery([(A, minute, f"{minute}.05") for minute in (1, 70, 370)])))
    forget_before(warehouse, dt.date(2019, 1, 9))
    bars = ask(BARS)
    assert bars

    downgrade(warehouse, 1002)
    assert ask("SELECT relkind::text FROM pg_class WHERE relname = 'options_daily'") == [("r",)]
    assert ask(BARS) == bars
    upgrade(warehouse)
    assert ask("SELECT count(*) FROM pending_bars") == [(1,)]
    load(make_batch(Delivery([(A, 1, "1.05")]), table="futures_ticks", trade_date=dt.date(2019, 1, 10)))

    assert ask(BARS) == bars
    assert ask("SELECT count(*) FROM pending_bars") == [(0,)]
