from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

import pipeline_defs
from pipeline_defs.errors import ConfigurationError
from pipeline_defs.quality.results import list_failures, list_partitions, list_results, store
from pipeline_defs.quality.specs import SPECS_BY_NAME, Failure, Outcome
from pipeline_tests.warehouse.deliveries import TRADE_DATE, Delivery, make_batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.connection import Warehouse

CLEAN = Delivery([("A", minute, "100") for minute in range(1, 11)])
REFUSED = Delivery(CLEAN.rows, rejects=[(90, "high_below_low", "a\x00b"), (91, "duplicate", "c")])
PARTITION = {"dataset": "options_ticks", "source": "nse_csv", "trade_date": TRADE_DATE}


def versions(warehouse: Warehouse) -> list[tuple[object, ...]]:
    """Row versions of results and failures: equal when nothing was written."""
    with warehouse.connect() as connection:
        return [
            row
            for table in ("quality_checks", "quality_failures")
            for row in connection.execute(f"SELECT xmin::text, t::text FROM {table} AS t ORDER BY 2").fetchall()
        ]


def test_the_same_loads_checked_again_write_nothing(
    warehouse: Warehouse, load: Callable[..., None], check: Callable[..., dict[str, Outcome]]
) -> None:
    load(make_batch(REFUSED))
    first = check("options_ticks", TRADE_DATE)
    before = versions(warehouse)

    again = check("options_ticks", TRADE_DATE)

    assert again == first
    assert versions(warehouse) == before
    assert not first["ohlc_refused"].passed


def test_a_new_load_gives_new_rows_and_the_old_ones_stay_readable(
    warehouse: Warehouse, load: Callable[..., None], check: Callable[..., dict[str, Outcome]]
) -> None:
    load(make_batch(REFUSED))
    check("options_ticks", TRADE_DATE)
    load(make_batch(CLEAN))
    check("options_ticks", TRADE_DATE)

    (newest,) = list_results(warehouse, check="ohlc_refused")
    history = list_results(warehouse, check="ohlc_refused", history=True)

    assert newest.passed
    assert {(result.passed, tuple(result.load_ids)) for result in history} == {(False, (1,)), (True, (2,))}
    (failed,) = [result for result in history if not result.passed]
    (row,) = list_failures(warehouse, [failed.check_id])[failed.check_id]
    assert row.detail == "folder/day.csv line 90: high_below_low: a\N{REPLACEMENT CHARACTER}b"
    assert (row.symbol, row.timestamp) == (None, None)


def test_a_result_that_changed_without_a_load_replaces_the_one_before(warehouse: Warehouse) -> None:
    """Prices of the underlying may arrive after the options were checked."""
    spec = SPECS_BY_NAME["intrinsic_bounds"]
    keep = {"load_ids": [7], "code_version": pipeline_defs.__version__}
    blind = Outcome(0, 0, "bounds", "no price of the underlying to compare with")
    seen = Outcome(9, 1, "bounds", "1 of 9 prices outside", failures=(Failure("close 1"),))
    for outcome in (blind, seen, seen):
        with warehouse.connect() as connection:
            store(connection, PARTITION, spec, outcome, **keep)  # type: ignore[arg-type]

    (only,) = list_results(warehouse, history=True)

    assert (only.passed, only.failing, only.found) == (False, 1, "1 of 9 prices outside")
    assert [row.detail for row in list_failures(warehouse, [only.check_id])[only.check_id]] == ["close 1"]

    with warehouse.connect() as connection:
        store(connection, PARTITION, spec, Outcome(9, 0, "bounds", "0 outside"), **keep)  # type: ignore[arg-type]
    assert list_failures(warehouse, [only.check_id]) == {}


def test_what_was_found_last_is_the_latest_even_if_it_was_found_before(warehouse: Warehouse) -> None:
    spec = SPECS_BY_NAME["ohlc"]
    for version, failing in (("1", 0), ("2", 3), ("1", 0)):
        with warehouse.connect() as connection:
            store(
                connection,
                PARTITION,
                spec,
                Outcome(9, failing, "order", f"by {version}"),
                load_ids=[1],
                code_version=version,
            )

    (newest,) = list_results(warehouse)

    assert newest.found == "by 1"
    assert len(list_results(warehouse, history=True)) == 2


@pytest.mark.needs_real_backend("two checkers at once")
def test_checkers_of_one_partition_queue(
    warehouse: Warehouse, load: Callable[..., None], check: Callable[..., dict[str, Outcome]]
) -> None:
    load(make_batch(REFUSED))
    lock = f"quality|options_ticks|nse_csv|{TRADE_DATE}"
    done = threading.Event()

    def run() -> None:
        check("options_ticks", TRADE_DATE)
        done.set()

    with warehouse.connect(autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [lock])
        waiting = threading.Thread(target=run)
        waiting.start()
        assert not done.wait(0.5)
        # What is loaded while it waits is seen: the snapshot is taken after the lock.
        load(make_batch(CLEAN))
        other.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [lock])
    waiting.join(timeout=30)

    assert done.is_set()
    assert {tuple(result.load_ids) for result in list_results(warehouse)} == {(2,)}


def test_partitions_are_listed_as_they_were_loaded(warehouse: Warehouse, load: Callable[..., None]) -> None:
    load(make_batch(CLEAN))
    load(make_batch(CLEAN), source="manual_csv")

    assert list_partitions(warehouse, source="manual_csv") == [("options_ticks", "manual_csv", TRADE_DATE)]
    assert len(list_partitions(warehouse)) == 2
    assert list_partitions(warehouse, dataset="spot_prices") == []


def test_a_table_that_does_not_exist_is_named(check: Callable[..., dict[str, Outcome]]) -> None:
    with pytest.raises(ConfigurationError, match="no dataset 'trades', expected one of options_ticks"):
        check("trades", TRADE_DATE)
