"""Stores that rustybt itself wrote: what is read equals what was put in."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.migration import csvdir
from pipeline_defs.migration.amounts import KEY, WHEN
from pipeline_defs.migration.frames import DAILY_SCHEMA, DAILY_SECONDS, MINUTE_SCHEMA, MINUTE_SECONDS
from pipeline_defs.migration.planning import plan_csvdir, plan_store
from pipeline_defs.migration.reading import check_unchanged, read_actions, read_series
from pipeline_tests.migration.stores import REAL, needs_real_stores, state_of

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.migration.plan import BundlePlan, Plan

pytestmark = needs_real_stores

_MARKETS = {"nse50": "NSE", "big3": "NSE"}


def expected(generation: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((REAL / generation / "expected.json").read_text(), parse_float=Decimal)
    return told


@pytest.fixture(scope="module")
def v9() -> Plan:
    before = state_of(REAL / "v9/home")
    plan = plan_store(REAL / "v9/home/.zipline")
    assert state_of(REAL / "v9/home") == before
    return plan


@pytest.fixture(scope="module")
def v10() -> Plan:
    before = state_of(REAL / "v10/home")
    plan = plan_store(REAL / "v10/home/.zipline", markets=_MARKETS)
    assert state_of(REAL / "v10/home") == before
    return plan


def by_name(plan: Plan) -> dict[str, BundlePlan]:
    return {one.name: one for one in plan.bundles}


def rows_of(plan: BundlePlan, bar_seconds: int) -> pl.DataFrame:
    return pl.concat(chunk.rows for chunk in read_series(plan, bar_seconds))


def test_version_9_is_what_was_put_in(v9: Plan) -> None:
    bundles, told = by_name(v9), expected("v9")

    assert v9.store.eras == (9,)
    assert bundles.keys() == told["bundles"].keys()
    for name, want in told["bundles"].items():
        plan = bundles[name]
        assert plan.decision == "take", plan.detail
        assert [one.symbol for one in plan.bundle.symbols] == want["symbols"]
        assert [one.symbol for one in plan.series] == want["symbols"]
        assert plan.bundle.source_type == want["source"]
        assert plan.rows == want["rows"]
        assert plan.sum_close == Decimal(want["sum_close"])
        assert plan.sum_volume == Decimal(want["sum_volume"])
    assert (bundles["yf-tech"].market, bundles["nse-equities-csv"].market) == ("US", "NSE")
    assert (bundles["binance-1m"].market, bundles["binance-1m"].venue) == ("CRYPTO", "binance")
    assert {one.kind for one in bundles["binance-1m"].series} == {"PAIR"}


def test_a_file_that_grew_is_told_and_read_up_to_where_its_checksum_proves_it(v9: Plan) -> None:
    plan, told = by_name(v9)["yf-tech"], expected("v9")

    (note,) = [one for one in plan.notes if one.check == "checksum"]
    assert not note.passed
    assert told["tampered"] == f"yf-tech/{note.found.removeprefix('1 bytes were appended to ')}"
    assert rows_of(plan, DAILY_SECONDS).height == 360


def test_cached_answers_of_version_9_are_counted_and_left(v9: Plan) -> None:
    told = expected("v9")
    found = {one.name.removeprefix("cache_"): one for one in v9.caches}

    assert [one.what for one in v9.orphans] == ["cache_row"] * told["orphan_cache_entries"]
    assert found.keys() | {one.name for one in v9.orphans} == told["cache"].keys()
    for key, plan in found.items():
        want = told["cache"][key]
        assert (plan.decision, plan.reason) == ("quarantine", "symbols_unknown")
        assert plan.rows == want["rows"]
        assert (plan.sum_close, plan.sum_volume) == (Decimal(want["sum_close"]), Decimal(want["sum_volume"]))


def test_version_10_is_what_was_put_in(v10: Plan) -> None:
    bundles, told = by_name(v10), expected("v10")

    assert bundles.keys() == {*told["bundles"], "csvdir40"}
    for name, want in told["bundles"].items():
        plan = bundles[name]
        # One close was raised by one after the file was stored, which its checksum shows.
        tampered = Decimal(name == "bad-ohlc")
        assert plan.rows == want["rows"]
        assert plan.sum_close == want["sum_close"] + tampered
        assert plan.sum_volume == want["sum_volume"]
        if plan.decision == "take":
            assert [one.symbol for one in plan.series] == want["symbols_in_order"]
        for symbol, close in want.get("close_by_symbol", {}).items() if plan.decision == "take" else ():
            assert {one.symbol: one.sum_close for one in plan.series}[symbol] == close
        if "first" in want:
            assert str(min(one.first for one in plan.series)) == want["first"]
            assert str(max(one.last for one in plan.series)) == want["last"]
    assert {one.name: one.reason for one in v10.quarantined if one.bundle.kind != "cache"} == {
        "overwritten": "sids_reused",
        "appended": "sids_reused",
        "bad-ohlc": "checksum_mismatch",
    }
    assert bundles["nifty-1m"].bundle.bar_lengths == (MINUTE_SECONDS,)
    assert {one.kind for one in bundles["nifty-1m"].series} == {"SPOT"}


def test_ids_of_the_global_table_are_not_taken_for_the_numbers_of_a_later_bundle(v10: Plan) -> None:
    assert [(one.symbol, one.sid) for one in by_name(v10)["big3"].bundle.symbols] == [
        ("RELIANCE", 1),
        ("TCS", 2),
        ("INFY", 3),
    ]


def test_cached_answers_of_version_10_are_quarantined_and_can_be_taken(v10: Plan) -> None:
    told = expected("v10")

    assert len(v10.caches) + len(v10.orphans) == told["cache_entries"]
    assert [one.name for one in v10.orphans] == [told["orphan_cache_key"]]
    assert {one.reason for one in v10.caches} == {"provenance_unknown"}

    again = plan_store(REAL / "v10/home/.zipline", markets={"cache": "NSE"}, take_caches=True)

    taken = [one for one in again.caches if one.decision == "take"]
    assert sum(one.rows for one in taken) == 4 * 122 + 630
    assert rows_of(taken[0], DAILY_SECONDS).schema == DAILY_SCHEMA


def test_rows_of_parquet_bundles_equal_the_file_they_were_ingested_from(v10: Plan) -> None:
    raw = pl.read_csv(REAL / "v10/raw/nse50.csv", infer_schema=False)
    amount = DAILY_SCHEMA["close"]
    wanted = raw.select(
        "symbol",
        pl.col(raw.columns[0]).str.head(10).str.to_date().alias("date"),
        *(pl.col(name).cast(amount) for name in ("open", "high", "low", "close", "volume")),
    )
    found = rows_of(by_name(v10)["nse50"], DAILY_SECONDS).drop("file_index", "line")

    assert found.sort("symbol", "date").equals(wanted.select(found.columns).sort("symbol", "date"))


def test_every_row_of_the_bcolz_bundle_equals_its_csv_file(v10: Plan) -> None:
    plan = by_name(v10)["csvdir40"]
    wanted = pl.concat(
        part.rows
        for path, symbol, daily in csvdir.files_of(REAL / "v10/raw-csvdir")
        for part in csvdir.read_bars(REAL / "v10/raw-csvdir" / path, symbol, daily=daily)
    )
    found = rows_of(plan, DAILY_SECONDS).rename({"symbol": KEY, "date": WHEN}).drop("file_index", "line")

    assert (plan.market, plan.rows, found.height) == ("US", 50_320, 50_320)
    assert found.sort(KEY, WHEN).equals(wanted.select(found.columns).sort(KEY, WHEN))
    assert plan.bundle.older_ingestions == ("2026-11-21T04;02;19.438821",)


def test_actions_of_the_bcolz_bundle_equal_those_of_its_csv_files(v10: Plan) -> None:
    bcolz = by_name(v10)["csvdir40"]
    (folder,) = plan_csvdir(REAL / "v10/raw-csvdir", market="US").bundles

    found = read_actions(bcolz)

    assert found.height == bcolz.actions == 153
    assert found.equals(read_actions(folder))
    assert folder.sum_close == bcolz.sum_close
    assert found.filter(kind="split").rows(named=True)[0]["value"] == 2


def test_reading_is_the_plan_again_and_leaves_no_trace(v10: Plan) -> None:
    before = state_of(REAL / "v10/home")
    for plan in v10.taken:
        check_unchanged(plan)
        for seconds in plan.bundle.bar_lengths:
            rows = rows_of(plan, seconds)
            sums = rows.group_by("symbol").agg(pl.len(), pl.col("close").sum(), pl.col("volume").sum())
            assert {row[0]: row[1:] for row in sums.rows()} == {
                one.symbol: (one.rows, one.sum_close, one.sum_volume) for one in plan.of_length(seconds)
            }

    assert state_of(REAL / "v10/home") == before


def test_a_window_of_days_is_that_part_of_the_rows(v10: Plan) -> None:
    plan = by_name(v10)["nifty-1m"]
    day = plan.series[0].first.date()  # type: ignore[attr-defined]

    part = pl.concat(chunk.rows for chunk in read_series(plan, MINUTE_SECONDS, first=day, last=day))

    assert part.schema == MINUTE_SCHEMA
    assert part.height == 750
    assert part["timestamp"].dt.date().unique().to_list() == [day]


def test_plans_are_json_and_the_same_each_time(v10: Plan) -> None:
    again = plan_store(REAL / "v10/home/.zipline", markets=_MARKETS)

    assert again.to_json() == v10.to_json()
    told = again.to_dict()
    assert told["store"]["eras"] == [10]
    assert {one["name"]: one["sum_close"] for one in told["bundles"]}["big3"] == "1938308.48000000"


def test_a_copy_of_the_store_elsewhere_is_planned_the_same(v9: Plan, tmp_path: Path) -> None:
    shutil.copytree(REAL / "v9/home", tmp_path / "home")
    copy = plan_store(tmp_path / "home/.zipline")

    assert [one.fingerprint for one in copy.bundles] == [one.fingerprint for one in v9.bundles]
