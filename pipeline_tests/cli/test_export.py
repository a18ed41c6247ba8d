"""Lines of ``export`` as people type them: a catalog that its engine confirmed, and a run with its provenance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipeline_defs.exports.manifest import check_manifest, read_manifest
from pipeline_defs.samples.generate import tiny_day
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.named_bundles import add_to_bundle
from pipeline_defs.warehouse.stored_series import find_series

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_tests.cli.conftest import Home, Typed

DAY = "2025-08-13"
MATERIALISED, OBSERVED = dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION


@pytest.fixture(scope="module")
def stored(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home with one small session."""
    landing = tiny_day(tmp_path_factory.mktemp("tiny")).landing
    list(import_source(home.warehouse, get_source("nse_csv", path=str(landing)), ImportRequest()))
    return home


def line(format_name: str, output: object, *, first: str = DAY, last: str = DAY) -> str:
    return f"export --format {format_name} --underlying NIFTY --start-date {first} --end-date {last} --output {output}"


@pytest.mark.parametrize("format_name", ["nautilus", "backtrader", "lean", "csv", "parquet"])
def test_an_export_is_a_run_that_tells_what_it_published(
    stored: Home, typed: Typed, format_name: str, tmp_path: Path
) -> None:
    told = typed(line(format_name, tmp_path / "out"))

    assert (told.code, told.err) == (0, "")
    assert f"{tmp_path / 'out'}: " in told.out
    assert "confirmed by" in told.out
    assert check_manifest(tmp_path / "out") == []
    (run,) = stored.new_runs()
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert run.tags["pipeline/command"] == f"pipeline {line(format_name, tmp_path / 'out')}"
    assert (run.tags["pipeline/format"], run.tags["pipeline/underlying"]) == (format_name, "NIFTY")
    (output,) = stored.events(run, dg.DagsterEventType.STEP_OUTPUT)
    manifest = read_manifest(tmp_path / "out")
    assert output.metadata["catalog_hash"].value == manifest["catalog_hash"]
    assert output.metadata["path"].value == str(tmp_path / "out")
    assert output.metadata["engine"].value
    assert output.metadata["count_bars"].value > 100
    assert stored.events(run, MATERIALISED) == stored.events(run, OBSERVED) == []


def test_an_export_in_the_place_of_a_partition_tells_its_asset(stored: Home, typed: Typed) -> None:
    place = stored.settings.catalogs_dir / "csv" / "NIFTY" / "2025-08"
    assert typed(line("csv", place)).code == 0
    (run,) = stored.new_runs()
    (observed,) = stored.events(run, OBSERVED)
    assert observed.asset_observation.asset_key.to_user_string() == "catalogs/csv"
    assert str(observed.asset_observation.partition) == "2025-08|NIFTY"
    assert stored.events(run, MATERIALISED) == []

    assert typed(line("csv", place, first="2025-08-01", last="2025-08-31")).code == 0
    (run,) = stored.new_runs()
    (made,) = stored.events(run, MATERIALISED)
    catalog_hash = read_manifest(place)["catalog_hash"]
    assert str(made.materialization.partition) == "2025-08|NIFTY"
    assert made.materialization.tags["dagster/data_version"] == catalog_hash
    (check,) = stored.events(run, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    assert (check.check_name, check.passed, str(check.partition)) == ("engine_verified", True, "2025-08|NIFTY")


def test_a_dry_run_tells_what_would_be_exported_and_makes_no_run(stored: Home, typed: Typed, tmp_path: Path) -> None:
    told = typed(f"{line('lean', tmp_path / 'out')} --bars 1m,1h --dry-run --json")
    (would,) = json.loads(told.out)["would_export"]
    read = typed(f"{line('lean', tmp_path / 'out')} --dry-run")

    assert (told.code, read.code) == (0, 0)
    assert (would["sessions"], would["contract_days"]) == (1, {"nse_csv": would["instruments"]})
    assert would["bars"]["60"] > would["bars"]["3600"] > 0
    assert f"  {would['instruments']} instruments (" in read.out
    assert f"{would['bars']['60']} bars of 60 s" in read.out
    assert not (tmp_path / "out").exists()
    assert stored.new_runs() == []


def test_a_bundle_is_exported_underlying_by_underlying(stored: Home, typed: Typed, tmp_path: Path) -> None:
    with stored.warehouse.connect() as connection:
        ((day,),) = connection.execute("SELECT DISTINCT trade_date FROM loads").fetchall()
        members = find_series(connection, "nse_csv", "spot_prices", 60, (day, day))
        add_to_bundle(connection, "indices", members)
    asked = f"export --bundle indices --format csv --start-date {DAY} --end-date {DAY} --output {tmp_path / 'out'}"
    told = typed(f"{asked} --json")

    assert told.code == 0, told.err
    exports = json.loads(told.out)["exports"]
    assert [one["path"] for one in exports] == [str(tmp_path / "out" / "NIFTY")]
    assert [run.run_id for run in stored.new_runs()] == [one["dagster_run_id"] for one in exports]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--format excel --underlying NIFTY", 2, "expected one of backtrader", 0),
        ("--format csv --underlying NIFTI", 1, "no 60-second bars of NIFTI", 1),
        ("--format csv --underlying NIFTY --source nobody", 1, "no 60-second bars of NIFTY", 1),
        ("--format csv --bundle nope", 1, "no bundle is named 'nope'", 0),
        ("--format csv", 2, "name one of --underlying and --bundle", 0),
        ("--format csv --underlying NIFTY --as-of yesterday", 2, "is not an instant", 0),
    ],
)
def test_what_is_wrong_gives_one_clear_message_and_the_right_exit_code(
    stored: Home, typed: Typed, wrong: tuple[str, int, str, int], tmp_path: Path
) -> None:
    options, code, words, runs = wrong
    told = typed(f"export {options} --start-date {DAY} --end-date {DAY} --output {tmp_path / 'out'}")

    assert (told.code, told.out) == (code, ""), told.err
    assert words in told.err
    assert "Traceback" not in told.err
    assert not (tmp_path / "out").exists()
    assert [run.status for run in stored.new_runs()] == [dg.DagsterRunStatus.FAILURE] * runs


def test_dates_the_wrong_way_round_are_refused(stored: Home, typed: Typed, tmp_path: Path) -> None:
    told = typed(line("csv", tmp_path / "out", first="2025-08-14"))

    assert (told.code, stored.new_runs()) == (2, [])
    assert "exchange the two" in told.err
