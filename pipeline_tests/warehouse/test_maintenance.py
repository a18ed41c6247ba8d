"""Compression and retention: nothing is lost unless it was said, and what stays is right."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse import maintenance
from pipeline_defs.warehouse.maintenance import StoragePolicy
from pipeline_defs.warehouse.slices import open_market_slice
from pipeline_tests.warehouse.deliveries import TRADE_DATE, Delivery, make_batch

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

type Ask = Callable[..., list[tuple[Any, ...]]]

A, B = "NIFTY31JAN1910000CE", "NIFTY31JAN1910050CE"
ROWS = [(symbol, minute, f"{minute}.05") for symbol in (A, B) for minute in range(1, 376)]
ONE_DAY = dt.timedelta(days=1)


@pytest.fixture
def compresses(ask: Ask) -> bool:
    """Whether the server under test compresses."""
    return bool(ask("SELECT FROM schema_migrations WHERE name LIKE 'timescaledb_full/%%'"))


@pytest.fixture
def full(compresses: bool) -> None:  # noqa: FBT001 -- a fixture
    """Only on full TimescaleDB."""
    if not compresses:
        pytest.skip("needs full TimescaleDB")


def wrong_bars(ask: Ask) -> list[tuple[Any, ...]]:
    return ask("SELECT * FROM check_bars('2000-01-01', '2100-01-01')")


def test_by_default_nothing_is_deleted(warehouse: Warehouse, load: Callable[..., LoadReport], ask: Ask) -> None:
    load(make_batch(Delivery(ROWS)))

    assert {policy.keep_for for policy in maintenance.list_policies(warehouse)} == {None}
    report = maintenance.maintain(warehouse)

    assert all(change.action == "compressed" for change in report.changes)
    assert ask("SELECT count(*) FROM options_ticks") == [(len(ROWS),)]


@pytest.mark.usefixtures("full")
def test_compressed_rows_are_read_corrected_retired_and_compressed_again(
    warehouse: Warehouse, load: Callable[..., LoadReport], ask: Ask
) -> None:
    load(make_batch(Delivery(ROWS)))
    (change,) = maintenance.maintain(warehouse).changes
    assert (change.table, change.action) == ("options_ticks", "compressed")
    assert change.bytes_before is not None
    assert change.bytes_after is not None
    assert change.bytes_after < change.bytes_before

    with open_market_slice(warehouse, "NIFTY", TRADE_DATE, TRADE_DATE) as market:
        rows = pl.concat(list(market.read_bars()))
    assert sorted(rows["close"].to_list()) == sorted(Decimal(price) for _, _, price in ROWS)

    report = load(make_batch(Delivery(ROWS)))
    assert (report.stored, report.unchanged) == (0, len(ROWS))
    assert maintenance.maintain(warehouse).changes == (), "an unchanged re-import decompresses nothing"

    changed = [(A, 1, "9.05"), *ROWS[1:-1], (B, 375, "8.05")]
    report = load(make_batch(Delivery(changed)))
    assert (report.corrected, report.unchanged) == (2, len(ROWS) - 2)
    report = load(make_batch(Delivery(changed[1:])))
    assert (report.retired, report.unchanged) == (1, len(ROWS) - 1)
    assert wrong_bars(ask) == []
    assert ask("SELECT close FROM options_ticks_history ORDER BY 1") == [
        (Decimal("1.05"),),
        (Decimal("9.05"),),
        (Decimal("375.05"),),
    ]

    (again,) = maintenance.maintain(warehouse).changes
    assert again.object == change.object
    assert ask("SELECT count(*), sum(close) FROM options_ticks") == [
        (len(ROWS) - 1, sum(Decimal(price) for _, _, price in changed[1:]))
    ]


@pytest.mark.usefixtures("full")
def test_a_correction_of_everything_in_a_compressed_chunk_passes_the_servers_limit(
    warehouse: Warehouse, load: Callable[..., LoadReport], ask: Ask
) -> None:
    load(make_batch(Delivery(ROWS)))
    maintenance.maintain(warehouse)
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET timescaledb.max_tuples_decompressed_per_dml_transaction = 10")
        connection.execute("SELECT pg_reload_conf()")
    try:
        report = load(make_batch(Delivery([(symbol, minute, "7.07") for symbol, minute, _ in ROWS])))
    finally:
        with warehouse.connect(autocommit=True) as connection:
            connection.execute("ALTER SYSTEM RESET timescaledb.max_tuples_decompressed_per_dml_transaction")
            connection.execute("SELECT pg_reload_conf()")

    assert report.corrected == len(ROWS)
    assert wrong_bars(ask) == []


def test_retention_deletes_observations_and_keeps_their_bars(
    warehouse: Warehouse, load: Callable[..., LoadReport], ask: Ask
) -> None:
    today = dt.datetime.now(dt.UTC).date()
    load(make_batch(Delivery(ROWS)))
    load(make_batch(Delivery([(A, 1, "9.05"), *ROWS[1:]])))
    bars = ask("SELECT * FROM options_hourly ORDER BY 1, 2, 3, 4"), ask("SELECT * FROM options_daily ORDER BY 1, 2")
    maintenance.set_policy(warehouse, StoragePolicy("options_ticks", None, 100 * ONE_DAY))

    report = maintenance.maintain(warehouse)

    assert [change.action for change in report.changes] == ["dropped"]
    assert ask("SELECT count(*) FROM options_ticks") == [(0,)]
    assert ask("SELECT count(*) FROM options_ticks_history") == [(0,)]
    ((horizon,),) = ask("SELECT dropped_before FROM dropped_observations")
    assert dt.datetime.combine(TRADE_DATE, dt.time(), dt.UTC) < horizon
    assert horizon.date() <= today - 100 * ONE_DAY
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("CALL refresh_bars('2018-12-01', '2019-02-01')")
    assert bars == (
        ask("SELECT * FROM options_hourly ORDER BY 1, 2, 3, 4"),
        ask("SELECT * FROM options_daily ORDER BY 1, 2"),
    )
    assert wrong_bars(ask) == []
    assert maintenance.maintain(warehouse).changes == ()
    with pytest.raises(WarehouseError, match="retention has deleted options_ticks before"):
        load(make_batch(Delivery(ROWS)))
    assert ask("SELECT count(*) FROM options_ticks") == [(0,)]


def test_a_policy_is_read_as_it_was_set(warehouse: Warehouse) -> None:
    policy = StoragePolicy("options_ticks", 31 * ONE_DAY, 1825 * ONE_DAY)

    maintenance.set_policy(warehouse, policy)

    assert policy in maintenance.list_policies(warehouse)


def test_younger_observations_stay(warehouse: Warehouse, load: Callable[..., LoadReport], ask: Ask) -> None:
    load(make_batch(Delivery(ROWS)))
    age = dt.datetime.now(dt.UTC).date() - TRADE_DATE
    maintenance.set_policy(warehouse, StoragePolicy("options_ticks", None, age + 9 * ONE_DAY))

    assert maintenance.maintain(warehouse).changes == ()
    assert ask("SELECT count(*) FROM options_ticks") == [(len(ROWS),)]


def test_bars_that_are_pending_are_made_before_their_observations_go(
    warehouse: Warehouse, load: Callable[..., LoadReport], ask: Ask
) -> None:
    report = load(make_batch(Delivery(ROWS)))
    with warehouse.connect() as connection:
        connection.execute(
            "INSERT INTO pending_bars VALUES ('2018-12-31 18:30+00', '2019-01-01 18:30+00', %s)", [report.load_id]
        )
    maintenance.set_policy(warehouse, StoragePolicy("options_ticks", None, 100 * ONE_DAY))

    maintenance.maintain(warehouse)

    assert ask("SELECT count(*) FROM pending_bars") == [(0,)]
    assert ask("SELECT count(*) FROM options_daily") == [(2,)]


@pytest.mark.parametrize(
    "policy",
    [
        StoragePolicy("loads", None, None),
        StoragePolicy("options_ticks", dt.timedelta(hours=1), None),
        StoragePolicy("options_ticks", 30 * ONE_DAY, 20 * ONE_DAY),
    ],
)
def test_policies_that_make_no_sense_are_refused(warehouse: Warehouse, policy: StoragePolicy) -> None:
    before = maintenance.list_policies(warehouse)

    with pytest.raises(WarehouseError):
        maintenance.set_policy(warehouse, policy)

    assert maintenance.list_policies(warehouse) == before


def test_a_server_without_a_scheduler_says_so(warehouse: Warehouse, compresses: bool) -> None:  # noqa: FBT001
    if compresses:
        pytest.skip("full TimescaleDB has a scheduler")
    with pytest.raises(WarehouseError, match="takes full TimescaleDB"):
        maintenance.schedule(warehouse, ONE_DAY)
    assert not maintenance.maintain(warehouse).can_compress


@pytest.mark.usefixtures("full")
def test_the_servers_scheduler_can_be_given_the_task_and_relieved_of_it(
    warehouse: Warehouse, load: Callable[..., LoadReport], ask: Ask
) -> None:
    jobs = "SELECT job_id, schedule_interval FROM timescaledb_information.jobs WHERE proc_name = 'maintain_storage'"
    assert ask(jobs) == [], "off by default"
    load(make_batch(Delivery(ROWS)))

    maintenance.schedule(warehouse, ONE_DAY)
    maintenance.schedule(warehouse, 2 * ONE_DAY)

    ((job, interval),) = ask(jobs)
    assert interval == 2 * ONE_DAY
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("CALL run_job(%s)", [job])
    assert ask("SELECT table_name, action FROM storage_log") == [("options_ticks", "compressed")]
    maintenance.schedule(warehouse, None)
    assert ask(jobs) == []
