"""What need not be built again, and the counts of how often that was so."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.schema.exports import Verification
from pipeline_defs.warehouse.bundles import BundleCatalog
from pipeline_defs.warehouse.cache import CacheDay, record_cache_use
from pipeline_defs.warehouse.catalogs import record_catalog
from pipeline_defs.warehouse.slices import open_market_slice
from pipeline_tests.warehouse.deliveries import TRADE_DATE, Delivery, make_batch, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

    Load = Callable[..., LoadReport]
    Ask = Callable[..., list[tuple[Any, ...]]]

A = "NIFTY31JAN1910000CE"
NEXT_DAY = TRADE_DATE + dt.timedelta(days=1)


@pytest.fixture
def bundles(warehouse: Warehouse) -> BundleCatalog:
    """The façade over a warehouse with nothing in it."""
    return BundleCatalog(warehouse)


@pytest.fixture
def publish(warehouse: Warehouse) -> Callable[..., int]:
    """Record a catalog of some days, as an export does after its engine confirmed it."""

    def run(path: str, first: dt.date, last: dt.date, content: str = "a") -> int:
        with open_market_slice(warehouse, "NIFTY", first, last) as market:
            pass
        return record_catalog(
            warehouse,
            market,
            format_name="nautilus",
            path=Path(path),
            catalog_hash=content,
            size_bytes=7,
            verification=Verification(passed=True, engine="engine 1", checks={"rows": 1}, failures=()),
        )

    return run


def day(trade_date: dt.date, price: str = "1.50", underlying: str | None = None) -> Any:
    symbol = A if underlying is None else A.replace("NIFTY", underlying)
    contracts = {symbol: option(symbol, underlying=underlying or "NIFTY")}
    return make_batch(Delivery([(symbol, 1, price)], contracts=contracts), trade_date=trade_date, underlying=underlying)


def test_a_published_catalog_reads_as_a_cached_bundle(load: Load, publish: Callable[..., int], ask: Ask) -> None:
    load(day(TRADE_DATE))
    catalog_id = publish("there", TRADE_DATE, NEXT_DAY)

    ((key, published, accessed, *row),) = ask(
        'SELECT cache_key, fetch_timestamp, last_accessed, id, bundle_name, bundle_path, symbols, start, "end",'
        " frequency, size_bytes, row_count FROM bundle_cache"
    )

    assert row == [
        catalog_id,
        "nautilus/NIFTY/2019-01-01..2019-01-02",
        "there",
        '["NIFTY"]',
        "2019-01-01",
        "2019-01-02",
        "1m",
        7,
        1,
    ]
    assert published == accessed
    assert len(key) == 16


def test_a_new_edition_takes_the_place_of_the_old_and_keeps_its_key(
    load: Load, publish: Callable[..., int], ask: Ask
) -> None:
    load(day(TRADE_DATE))
    publish("there", TRADE_DATE, TRADE_DATE, "a")
    publish("elsewhere", TRADE_DATE, TRADE_DATE, "a")
    before: dict[str, str] = dict(ask("SELECT bundle_path, cache_key FROM bundle_cache"))
    newest = publish("there", TRADE_DATE, TRADE_DATE, "b")

    assert dict(ask("SELECT bundle_path, cache_key FROM bundle_cache")) == before
    assert len(set(before.values())) == 2
    assert ask("SELECT id FROM bundle_cache WHERE bundle_path = 'there'") == [(newest,)]


def test_a_longer_catalog_serves_a_shorter_range_but_not_the_other_way_round(
    bundles: BundleCatalog, load: Load, publish: Callable[..., int]
) -> None:
    load(day(TRADE_DATE))
    load(day(NEXT_DAY))
    both = publish("both", TRADE_DATE, NEXT_DAY)
    found = bundles.find_cached("nautilus", "NIFTY", TRADE_DATE, TRADE_DATE)
    assert found is not None
    assert (found.catalog_id, found.path, found.row_count) == (both, "both", 2)

    one = publish("one", TRADE_DATE, TRADE_DATE)
    shortest = bundles.find_cached("nautilus", "NIFTY", TRADE_DATE, TRADE_DATE)
    whole = bundles.find_cached("nautilus", "NIFTY", TRADE_DATE, NEXT_DAY)
    assert shortest is not None
    assert whole is not None
    assert (shortest.catalog_id, whole.catalog_id) == (one, both)
    assert bundles.find_cached("nautilus", "NIFTY", TRADE_DATE, NEXT_DAY + dt.timedelta(days=1)) is None
    assert bundles.find_cached("backtrader", "NIFTY", TRADE_DATE, TRADE_DATE) is None
    assert bundles.find_cached("nautilus", "BANKNIFTY", TRADE_DATE, TRADE_DATE) is None


@pytest.mark.parametrize(
    ("batch", "is_current"),
    [
        (day(TRADE_DATE), True),
        (day(NEXT_DAY), True),
        (day(TRADE_DATE, "1.55", underlying="BANKNIFTY"), True),
        (day(TRADE_DATE, "1.55", underlying="NIFTY"), False),
        (day(TRADE_DATE, "1.55"), False),
    ],
    ids=["unchanged", "another day", "another underlying", "this underlying", "everything"],
)
def test_a_catalog_is_out_of_date_once_its_days_were_changed(
    bundles: BundleCatalog, load: Load, publish: Callable[..., int], batch: Any, *, is_current: bool
) -> None:
    load(day(TRADE_DATE))
    publish("there", TRADE_DATE, TRADE_DATE)

    load(batch)

    assert (bundles.find_cached("nautilus", "NIFTY", TRADE_DATE, TRADE_DATE) is not None) is is_current


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE instrument_terms SET lot_size = 50 WHERE underlying = 'NIFTY'",
        "UPDATE sessions SET kind = 'special' WHERE session_date = '2019-01-01'",
    ],
)
def test_a_catalog_is_out_of_date_once_its_terms_or_sessions_were_changed(
    bundles: BundleCatalog, warehouse: Warehouse, load: Load, publish: Callable[..., int], statement: str
) -> None:
    load(day(TRADE_DATE))
    publish("there", TRADE_DATE, TRADE_DATE)
    assert bundles.find_cached("nautilus", "NIFTY", TRADE_DATE, TRADE_DATE) is not None

    with warehouse.connect() as connection:
        connection.execute(statement.encode())

    assert bundles.find_cached("nautilus", "NIFTY", TRADE_DATE, TRADE_DATE) is None


def test_a_replaced_edition_is_not_found(bundles: BundleCatalog, load: Load, publish: Callable[..., int]) -> None:
    load(day(TRADE_DATE))
    load(day(NEXT_DAY))
    publish("there", TRADE_DATE, NEXT_DAY, "a")
    newest = publish("there", TRADE_DATE, TRADE_DATE, "b")

    found = bundles.find_cached("nautilus", "NIFTY", TRADE_DATE, TRADE_DATE)

    assert found is not None
    assert found.catalog_id == newest
    assert bundles.find_cached("nautilus", "NIFTY", TRADE_DATE, NEXT_DAY) is None


def test_looking_for_a_catalog_is_counted_and_finding_it_leaves_a_mark(
    bundles: BundleCatalog, warehouse: Warehouse, load: Load, publish: Callable[..., int], ask: Ask
) -> None:
    load(day(TRADE_DATE))
    bundles.find_cached("nautilus", "NIFTY", TRADE_DATE, TRADE_DATE)
    publish("there", TRADE_DATE, TRADE_DATE)
    with warehouse.connect() as connection:
        connection.execute("UPDATE catalogs SET size_bytes = 2000")

    found = bundles.find_cached("nautilus", "NIFTY", TRADE_DATE, TRADE_DATE)

    assert found is not None
    assert ask("SELECT last_accessed FROM catalogs") == [(found.last_accessed,)]
    assert found.last_accessed is not None
    assert found.last_accessed > found.published_at
    assert ask("SELECT sum(hit_count), sum(miss_count), sum(total_size_bytes) FROM cache_statistics") == [(1, 2, 2001)]


def test_cache_statistics_have_the_classic_columns_first_hand(ask: Ask) -> None:
    columns: dict[str, str] = dict(
        ask("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'cache_statistics'")
    )

    assert (
        columns.items()
        >= {
            "stat_date": "bigint",
            "hit_count": "bigint",
            "miss_count": "bigint",
            "total_size_mb": "double precision",
            "avg_fetch_latency_ms": "double precision",
        }.items()
    )


def test_counts_add_up_and_the_mean_is_over_the_timed_misses(
    bundles: BundleCatalog, warehouse: Warehouse, ask: Ask
) -> None:
    with warehouse.connect() as connection:
        connection.execute("SELECT record_cache_use(2, 0, 1048576, NULL, '2025-08-14T23:30:00Z')")
        connection.execute("SELECT record_cache_use(0, 3, 524288, 90.5, '2025-08-14T00:00:00Z')")
        connection.execute("SELECT record_cache_use(0, 1, 0, 9.5, '2025-08-14T12:00:00Z')")
        connection.execute("SELECT record_cache_use(1, 1, 0, NULL, '2025-08-14T12:00:00Z')")
        connection.execute("SELECT record_cache_use(1, 0, 7, NULL, '2025-08-15T05:00:00+05:30')")
        connection.execute("SELECT record_cache_use(1, 0, 7, NULL, '2025-08-15T05:30:00+05:30')")
        connection.execute("SELECT record_cache_use(0, 0, 0, NULL, '2025-08-16T12:00:00Z')")

    first, second = dt.date(2025, 8, 14), dt.date(2025, 8, 15)
    assert bundles.list_statistics() == [
        CacheDay(first, 4, 5, 1_572_871, 25.0),
        CacheDay(second, 1, 0, 7, None),
    ]
    assert bundles.list_statistics(since=second) == [CacheDay(second, 1, 0, 7, None)]
    megabytes = ask("SELECT total_size_mb FROM cache_statistics WHERE stat_date = 1755129600")
    assert megabytes == [(pytest.approx(1.5, abs=1e-4),)]


def test_no_count_is_lost_when_many_add_at_once(bundles: BundleCatalog, warehouse: Warehouse) -> None:
    def add(_: int) -> None:
        with warehouse.connect(autocommit=True) as connection:
            for _ in range(25):
                record_cache_use(connection, hits=1, misses=2, size_bytes=10, latency_ms=4)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))

    days = bundles.list_statistics()
    assert sum(day.hits for day in days) == 100
    assert sum(day.misses for day in days) == 200
    assert sum(day.size_bytes for day in days) == 1000
    assert {day.mean_fetch_latency_ms for day in days} == {2.0}
