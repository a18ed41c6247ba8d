"""Stores that rustybt itself wrote, moved into a database: held against what their makers say is in them."""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import shutil
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest

from pipeline_defs.migration.applying import apply_plan, exit_code
from pipeline_defs.migration.planning import plan_store
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.named_bundles import read_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline_defs.migration.moving import Outcome

    type Ask = Callable[..., list[tuple[Any, ...]]]

STORES: Final = PROJECT_ROOT.parent / "shared" / "data" / "rustybt-legacy"

pytestmark = pytest.mark.skipif(not STORES.is_dir(), reason=f"no stores that rustybt wrote in {STORES}")

MARKETS: Final = {
    "v9": {"nse-equities-csv": "NSE"},
    "v10": dict.fromkeys(("nse50", "big3", "nifty-1m", "bad-ohlc", "appended", "overwritten"), "NSE"),
}

HELD = """
WITH held AS (
    SELECT m.bundle_id, m.symbol, rows_stored + rows_quarantined AS n, close_stored + close_quarantined AS close,
           volume_stored + volume_quarantined AS volume, is_reconciled
    FROM migrated_series AS m)
SELECT b.name, sum(h.n), sum(h.close), sum(h.volume), bool_and(h.is_reconciled)
FROM held AS h JOIN migrated_bundles AS b USING (bundle_id) JOIN migrated_stores AS s USING (store_id)
WHERE s.root LIKE %s GROUP BY b.name
"""

# Not from the ledger: from the observations, by what instrument_terms calls them.
STORED = """
SELECT t.symbol, count(*), sum(o.close), sum(o.volume)
FROM (SELECT source, instrument_id, close, volume FROM equity_daily
      UNION ALL SELECT source, instrument_id, close, volume FROM spot_prices) AS o
JOIN instrument_terms AS t USING (instrument_id) WHERE o.source = %s GROUP BY t.symbol
"""


def expected(version: str) -> dict[str, Any]:
    return dict(json.loads((STORES / version / "expected.json").read_text(encoding="utf-8"), parse_float=Decimal))


@pytest.fixture(scope="module")
def moved(
    postgres_url: str, template_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Warehouse, dict[str, list[Outcome]], Path]]:
    """Both stores, copied, in one database."""
    name, template = f"moved_{os.getpid()}", template_url.rsplit("/", 1)[1]
    folder = tmp_path_factory.mktemp("stores")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode())
        warehouse = Warehouse(f"{template_url.rsplit('/', 1)[0]}/{name}")
        outcomes = {}
        for version, markets in MARKETS.items():
            shutil.copytree(STORES / version / "home", folder / version)
            accept = ["bad-ohlc"] if version == "v10" else ["yf-tech"]
            plan = plan_store(folder / version / ".zipline", markets=markets, accept=accept)
            outcomes[version] = apply_plan(warehouse, plan)
        yield warehouse, outcomes, folder
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def query(moved: tuple[Warehouse, dict[str, list[Outcome]], Path]) -> Ask:
    def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
        with moved[0].connect() as connection:
            return connection.execute(statement, values or None).fetchall()

    return run


@pytest.mark.parametrize("version", MARKETS)
def test_rows_and_sums_of_every_bundle_are_those_that_were_written(query: Ask, version: str) -> None:
    told = expected(version)["bundles"]
    held = {name: tuple(rest) for name, *rest in query(HELD, f"%/{version}/.zipline")}

    assert held.keys() >= {"v9": {"yf-tech", "binance-1m"}, "v10": {"nse50", "big3", "nifty-1m", "bad-ohlc"}}[version]
    for name in held.keys() & told.keys():
        one = told[name]
        # The one close that was raised after its checksum was stored is in the file, and in nobody's account of it.
        tampered = Decimal(1) if (version, name) == ("v10", "bad-ohlc") else Decimal(0)
        sums = (Decimal(one["rows"]), Decimal(one["sum_close"]) + tampered, Decimal(one["sum_volume"]), True)
        assert held[name] == sums, name


@pytest.mark.parametrize("name", ["nse50", "big3"])
def test_the_observations_of_every_symbol_add_up_to_what_was_written(query: Ask, name: str) -> None:
    told = expected("v10")["bundles"][name]
    found = {symbol: (rows, close) for symbol, rows, close, _ in query(STORED, f"rustybt/nse/{name}")}

    assert {symbol: close for symbol, (_, close) in found.items()} == told["close_by_symbol"]
    assert sum(rows for rows, _ in found.values()) == told["rows"]


def test_every_value_of_a_bundle_is_that_of_the_csv_file_it_was_made_from(query: Ask) -> None:
    with (STORES / "v10/raw/nse50.csv").open(encoding="utf-8", newline="") as file:
        written = {
            (row["symbol"], dt.date.fromisoformat((row.get("date") or row["timestamp"])[:10])): tuple(
                Decimal(row[field]) for field in ("open", "high", "low", "close", "volume")
            )
            for row in csv.DictReader(file)
        }
    stored = query(
        "SELECT t.symbol, l.trade_date, o.open, o.high, o.low, o.close, o.volume FROM equity_daily AS o"
        " JOIN instrument_terms AS t USING (instrument_id) JOIN loads AS l USING (load_id)"
        " WHERE o.source = 'rustybt/nse/nse50'"
    )

    assert len(written) == 12_250
    assert {(symbol, day): tuple(values) for symbol, day, *values in stored} == written


def test_a_bcolz_bundle_is_in_whole(query: Ask) -> None:
    assert query(
        'SELECT count(*), count(DISTINCT instrument_id), count(DISTINCT "timestamp") FROM equity_daily'
        " WHERE source = 'rustybt/us/csvdir40'"
    ) == [(50_320, 40, 1258)]


def test_minutes_end_when_their_session_does(query: Ask) -> None:
    assert query(
        'SELECT trade_date, min("timestamp")::time, max("timestamp")::time, count(*) FROM spot_prices'
        " JOIN loads USING (load_id) WHERE loads.source = 'rustybt/nse/nifty_1m' GROUP BY 1 ORDER BY 1"
    ) == [(dt.date(2023, 8, day), dt.time(3, 46), dt.time(10), 750) for day in (14, 16)]


def test_what_cannot_be_told_apart_is_left_with_its_reason(
    moved: tuple[Warehouse, dict[str, list[Outcome]], Path],
) -> None:
    left = {one.entry.name: one.entry.reason for one in moved[1]["v10"] if one.entry.state == "quarantined"}

    assert {name: left.pop(name) for name in ("appended", "overwritten")} == dict.fromkeys(
        ("appended", "overwritten"), "sids_reused"
    )
    assert len(left) == 5
    assert set(left.values()) == {"provenance_unknown"}
    assert exit_code(moved[1]["v10"]) == 3


def test_bars_that_contradict_themselves_are_listed_with_file_and_line(query: Ask) -> None:
    found = query("SELECT symbol, reason, path, close FROM migrated_refusals WHERE bundle = 'bad-ohlc' ORDER BY line")

    assert len(found) >= 2
    assert {row[0] for row in found} == {"BAD"}
    assert {row[1] for row in found} <= {"high_below_low", "price_outside_range"}
    assert all(row[2].endswith("bad-ohlc/daily_bars/year=2023/month=2/data.parquet") for row in found)


def test_old_bundles_keep_their_names_and_symbols(moved: tuple[Warehouse, dict[str, list[Outcome]], Path]) -> None:
    found = read_bundle(moved[0], "nifty-1m")

    assert [(one.symbol, one.dataset, one.bar_seconds) for one in found.members] == [
        ("BANKNIFTY", "spot_prices", 60),
        ("NIFTY", "spot_prices", 60),
    ]


def test_what_the_store_said_of_their_quality_is_kept(query: Ask) -> None:
    assert query("SELECT passed, ohlcv_violations FROM legacy_quality WHERE bundle = 'bad-ohlc'") == [(False, 2)]
    assert query("SELECT count(DISTINCT bundle) FROM legacy_quality") == [(10,)]


def test_the_stores_are_as_they_were(moved: tuple[Warehouse, dict[str, list[Outcome]], Path]) -> None:
    for version in MARKETS:
        original, copy = STORES / version / "home", moved[2] / version
        files = sorted(path.relative_to(original) for path in original.rglob("*"))
        assert files == sorted(path.relative_to(copy) for path in copy.rglob("*"))
        assert all(
            (original / path).read_bytes() == (copy / path).read_bytes()
            for path in files
            if (original / path).is_file()
        )


def test_moving_the_same_stores_again_stores_nothing(moved: tuple[Warehouse, dict[str, list[Outcome]], Path]) -> None:
    plan = plan_store(moved[2] / "v9/.zipline", markets=MARKETS["v9"], accept=["yf-tech"])
    outcomes = apply_plan(moved[0], plan)

    assert sum(one.stored_now for one in outcomes) == 0
    assert [one.was_done for one in outcomes if one.entry.state == "done"] == [True, True, True]
