from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import dagster as dg

from pipeline_defs.definitions import defs
from pipeline_defs.exports.registry import EXPORTERS
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.sources.registry import SOURCES, trading_at

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = [
    "polars",
    "scipy",
    "matplotlib",
    "psycopg",
    "pyarrow",
    "pandas",
    "nautilus_trader",
    "backtrader",
    "pandas_market_calendars",
]

BARS = ("options_hourly", "options_daily")
GROUPS = {"ingestion", "api_ingestion", "bars", "greeks", "catalogs", "uploads", "gaps", "reconciliation", "reports"}


def test_definitions_import_no_library_that_only_a_run_needs() -> None:
    program = (
        f"import json, sys, pipeline_defs.definitions; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert json.loads(printed.stdout) == []
    assert printed.stderr == ""


def test_dagster_validates_the_workspace(tmp_path: Path) -> None:
    validated = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", str(PROJECT_ROOT / "workspace.yaml")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )

    assert validated.returncode == 0, validated.stderr
    assert "All code locations passed validation" in validated.stderr + validated.stdout


def test_every_source_and_format_of_the_registries_has_its_assets() -> None:
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}

    assert keys == {
        *(f"{source}/{table}" for source, entry in SOURCES.items() for table in entry.tables),
        *BARS,
        "option_greeks",
        *(f"catalogs/{name}" for name in EXPORTERS),
        "catalogs/certificate",
        "manual_csv/uploads",
        "data_report",
        *(f"{source}/gap_ledger" for source in SOURCES),
        "gaps/backfill",
        "reconciliation",
    }


def test_every_asset_says_whose_it_is_what_it_is_and_in_which_group() -> None:
    for spec in defs.resolve_all_asset_specs():
        assert list(spec.owners) == ["team:market-data"], spec.key
        assert spec.description, spec.key
        assert spec.group_name in GROUPS, spec.key
        assert spec.kinds, spec.key
        assert spec.code_version, spec.key
        is_unpartitioned = spec.group_name in {"uploads", "reports"} or spec.key.path[-1] == "backfill"
        assert (spec.partitions_def is None) == is_unpartitioned, spec.key


def test_every_table_shows_its_columns_before_it_was_ever_filled() -> None:
    for spec in defs.resolve_all_asset_specs():
        if spec.group_name not in {"catalogs", "uploads", "gaps", "reconciliation", "reports"}:
            schema = spec.metadata["dagster/column_schema"]
            assert isinstance(schema, dg.TableSchema)
            assert schema.columns
            assert spec.metadata["dagster/table_name"] == f"public.{spec.key.path[-1]}"


def test_lineage_runs_from_tables_to_bars_and_catalogs() -> None:
    graph = defs.resolve_asset_graph()
    parents = {
        key.to_user_string(): sorted(parent.to_user_string() for parent in graph.get(key).parent_keys)
        for key in graph.get_all_asset_keys()
    }

    assert parents["options_daily"] == [f"{source}/options_ticks" for source in trading_at("NSE", "options_ticks")]
    assert parents["catalogs/nautilus"] == sorted(
        f"{source}/{table}"
        for table in ("futures_ticks", "options_ticks", "spot_prices")
        for source in trading_at("NSE", table)
    )
    assert {"nse_csv/options_ticks", "zerodha/options_ticks"} <= set(parents["catalogs/nautilus"])
    assert parents["catalogs/certificate"] == [f"catalogs/{name}" for name in sorted(EXPORTERS)]
    assert parents["nse_csv/options_ticks"] == []


def test_checks_that_mean_wrong_data_block() -> None:
    graph = defs.resolve_asset_graph()
    blocking = {check.name for check in graph.asset_check_keys if graph.get(check).blocking}

    assert blocking == {
        "rows_accounted_for",
        "no_rows_without_load",
        "bars_equal_ticks",
        "greeks_within_bounds",
        "volatility_reprices",
        "engine_verified",
        "manifest_intact",
        "parity",
        "ohlc",
        "duplicates",
        "expiry_after_trade",
        "crossed_quotes",
    }


def test_nothing_starts_by_itself_after_an_installation_and_each_says_what_it_would_do() -> None:
    repository = defs.get_repository_def()
    assert len(repository.schedule_defs) > 10
    for schedule in repository.schedule_defs:
        assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED, schedule.name
        assert len(schedule.description or "") > 100, schedule.name
    for sensor in repository.sensor_defs:
        assert sensor.default_status is dg.DefaultSensorStatus.STOPPED, sensor.name
