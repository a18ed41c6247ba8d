from __future__ import annotations

import base64
import datetime as dt
import shutil
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.definitions import defs
from pipeline_defs.errors import SourceError
from pipeline_defs.orchestration.assets.outcomes import describe_files
from pipeline_defs.orchestration.assets.sources import table_key
from pipeline_defs.orchestration.checks import judge_ledger
from pipeline_defs.orchestration.evidence import Partition
from pipeline_defs.orchestration.importing import SelectedTables
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.registry import get_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import dagster as dg

    from pipeline_defs.orchestration.runs import CheckOutcome, PartitionRun
    from pipeline_defs.samples.generate import GeneratedSample
    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_tests.orchestration.conftest import CleanRun

    type Land = Callable[[GeneratedSample], Path]
    type Materialize = Callable[[str, str], PartitionRun]

DAY = "2025-08-13"
DAILY = "group:ingestion or group:bars"


def count(warehouse: Warehouse, table: str) -> int:
    with warehouse.connect() as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def outcome(run: PartitionRun, asset: str, name: str) -> CheckOutcome:
    (found,) = [check for check in run.checks if (check.asset, check.name) == (asset, name)]
    return found


def test_a_session_fills_every_table_and_its_bars(clean: CleanRun, tiny_sample: GeneratedSample) -> None:
    assert clean.run.succeeded, clean.run.failures
    assert set(clean.run.metadata) == {
        *("nse_csv/options_ticks", "nse_csv/futures_ticks", "nse_csv/spot_prices", "nse_csv/equity_daily"),
        *("options_hourly", "options_daily"),
    }
    for asset, metadata in clean.run.metadata.items():
        assert metadata["dagster/partition_row_count"] == count(clean.warehouse, asset.rpartition("/")[2]) > 0
    rows_read = sum(metadata.get("rows_read", 0) for metadata in clean.run.metadata.values())
    assert rows_read == sum(tiny_sample.rows.values())


def test_the_metadata_tells_what_happened(clean: CleanRun) -> None:
    metadata = clean.run.metadata["nse_csv/options_ticks"]

    assert metadata["rows_read"] == metadata["rows_stored"] == metadata["dagster/partition_row_count"]
    assert [metadata[f"rows_{name}"] for name in ("unchanged", "corrected", "retired", "quarantined")] == [0] * 4
    assert metadata["instruments"] == 6
    assert metadata["seconds"] > 0
    assert metadata["files_read"] == 2
    assert metadata["folder"] == str(clean.landing)
    assert "| gdfl_fo_minute/" in metadata["files"]
    assert "| 60 s | complete |" in metadata["loads"]
    assert metadata["refused"] == "No line was refused."
    assert clean.run.metadata["nse_csv/spot_prices"]["path"].startswith("NIFTY, lowest 24,")


def picture(markdown: str) -> str:
    return base64.b64decode(markdown.partition("data:image/svg+xml;base64,")[2].removesuffix(")")).decode()


def test_the_pictures_show_the_session_with_its_open_and_close_and_how_full_it_is(clean: CleanRun) -> None:
    metadata = clean.run.metadata["nse_csv/options_ticks"]
    drawn = picture(metadata["day"])

    rows = count(clean.warehouse, "options_ticks WHERE bar_seconds <= 60")
    assert f"options_ticks nse_csv {DAY}: {rows:,} rows, " in drawn
    assert ">open 09:15<" in drawn
    assert ">close 15:30<" in drawn
    assert ">IST<" in drawn
    assert "day" not in clean.run.metadata["nse_csv/equity_daily"], "a day has no minutes"
    assert ">nse_csv NIFTY<" in picture(clean.run.metadata["options_daily"]["coverage"])


def test_a_load_without_files_names_none() -> None:
    assert describe_files([]) == {}


def test_progress_is_told_line_by_line(clean: CleanRun) -> None:
    assert clean.progress[0] == "import_nse_csv: begins"
    assert "nse_csv/spot_prices: 375 rows" in clean.progress
    assert "nse_csv/spot_prices: rows_accounted_for passed" in clean.progress


def test_the_second_import_changes_no_row_and_keeps_the_data_version(
    land: Land, tiny_sample: GeneratedSample, materialize: Materialize, instance: dg.DagsterInstance
) -> None:
    land(tiny_sample)
    key = table_key("nse_csv", "options_ticks")

    def version() -> str:
        event = instance.get_latest_materialization_event(key)
        assert event is not None
        assert event.asset_materialization is not None
        return str((event.asset_materialization.tags or {})["dagster/data_version"])

    materialize(DAILY, DAY)
    first = version()
    metadata = materialize(DAILY, DAY).metadata["nse_csv/options_ticks"]

    assert metadata["rows_unchanged"] == metadata["rows_read"]
    assert [metadata[f"rows_{name}"] for name in ("stored", "corrected", "retired")] == [0] * 3
    assert version() == first


def test_a_corrected_file_changes_the_data_version_of_its_table_only(
    land: Land, tiny_sample: GeneratedSample, materialize: Materialize, instance: dg.DagsterInstance
) -> None:
    folder = land(tiny_sample)
    tables = ("options_ticks", "futures_ticks", "spot_prices", "equity_daily")

    def versions() -> dict[str, str]:
        events = {table: instance.get_latest_materialization_event(table_key("nse_csv", table)) for table in tables}
        return {
            table: event.asset_materialization.tags["dagster/data_version"]
            for table, event in events.items()
            if event and event.asset_materialization and event.asset_materialization.tags
        }

    materialize(DAILY, DAY)
    before = versions()
    (indices,) = (folder / "gdfl_index_minute").glob("*.csv")
    lines = indices.read_text().splitlines(keepends=True)
    indices.write_text("".join(lines[:-1]))
    run = materialize(DAILY, DAY)

    assert run.metadata["nse_csv/spot_prices"]["rows_retired"] == 1
    assert {table for table in tables if versions()[table] != before[table]} == {"spot_prices"}


def test_checks_of_a_clean_session_show_both_sides(clean: CleanRun) -> None:
    assert all(check.passed for check in clean.run.checks if check.blocking)
    assert outcome(clean.run, "nse_csv/equity_daily", "rows_accounted_for").metadata == {"expected": 4, "found": 4}
    assert outcome(clean.run, "options_daily", "bars_equal_ticks").passed
    coverage = outcome(clean.run, "nse_csv/futures_ticks", "session_findings")
    assert not coverage.passed  # the sample has 50 minutes of each future
    assert "375 minutes" in coverage.metadata["expected"]
    assert "50 to 50 minutes" in coverage.metadata["found"]


def test_only_the_selected_table_is_touched(
    land: Land, tiny_sample: GeneratedSample, materialize: Materialize, warehouse: Warehouse
) -> None:
    land(tiny_sample)

    run = materialize('key:"nse_csv/spot_prices"', DAY)

    assert run.succeeded
    assert set(run.metadata) == {"nse_csv/spot_prices"}
    assert count(warehouse, "spot_prices") > 0
    assert count(warehouse, "options_ticks") == 0


def test_a_dirty_session_stores_the_good_rows_and_tells_the_reasons(
    land: Land, dirty_sample: GeneratedSample, materialize: Materialize, warehouse: Warehouse
) -> None:
    land(dirty_sample)

    run = materialize(DAILY, "2025-08-12")

    assert run.succeeded, run.failures
    metadata = run.metadata["nse_csv/options_ticks"]
    with warehouse.connect() as connection:
        reasons: dict[str, int] = dict(
            connection.execute(
                "SELECT reason, count(*) FROM quarantine JOIN loads USING (load_id)"
                " WHERE dataset = 'options_ticks' GROUP BY reason"
            ).fetchall()
        )
    assert metadata["rows_quarantined"] == sum(reasons.values()) > 0
    for reason, lines in reasons.items():
        assert f"| {reason} | {lines:,} |" in metadata["refused"]
    assert outcome(run, "nse_csv/options_ticks", "rows_accounted_for").passed
    assert outcome(run, "options_hourly", "bars_equal_ticks").passed
    findings = outcome(run, "nse_csv/futures_ticks", "session_findings")
    assert not findings.passed
    assert not findings.blocking


def test_many_refused_lines_warn_with_the_command_that_shows_them(
    land: Land, tiny_sample: GeneratedSample, materialize: Materialize
) -> None:
    folder = land(tiny_sample)
    (indices,) = (folder / "gdfl_index_minute").glob("*.csv")
    lines = indices.read_text().splitlines()
    indices.write_text("\n".join([*lines[:-10], *("broken" for _ in range(10))]) + "\n")

    share = outcome(materialize(DAILY, DAY), "nse_csv/spot_prices", "quarantine_share")

    assert (share.passed, share.blocking) == (False, False)
    assert share.metadata["expected"] == "at most 1.00%"
    assert share.metadata["found"] == "2.67%"
    assert "pipeline quarantine --load " in share.metadata["detail"]


def test_a_partition_that_is_mostly_broken_fails_with_the_next_command(
    land: Land, tiny_sample: GeneratedSample, materialize: Materialize, warehouse: Warehouse
) -> None:
    folder = land(tiny_sample)
    (indices,) = (folder / "gdfl_index_minute").glob("*.csv")
    header, *lines = indices.read_text().splitlines()
    indices.write_text("\n".join([header, *lines[:100], *("broken" for _ in range(275))]) + "\n")

    run = materialize(DAILY, DAY)

    assert not run.succeeded
    assert "pipeline quarantine --load " in run.failures[0]
    assert "spot_prices 2025-08-13" in run.failures[0]
    assert count(warehouse, "spot_prices") == 0
    assert "nse_csv/spot_prices" not in run.metadata
    assert "nse_csv/options_ticks" in run.metadata
    assert "options_daily" not in run.metadata


def test_a_session_without_files_is_an_error_that_says_what_was_looked_for(
    land: Land, tiny_sample: GeneratedSample, materialize: Materialize
) -> None:
    folder = land(tiny_sample)

    run = materialize(DAILY, "2025-08-14")

    assert not run.succeeded
    assert run.metadata == {}
    for part in ("14082025", "20250814", "14AUG2025", str(folder), "run the partition again"):
        assert part in run.failures[0]


def test_a_landing_folder_that_does_not_exist_is_an_error(materialize: Materialize) -> None:
    run = materialize(DAILY, DAY)

    assert not run.succeeded
    assert "13082025" in run.failures[0]


def test_a_broken_archive_is_told_as_what_it_is(
    land: Land, tiny_sample: GeneratedSample, materialize: Materialize
) -> None:
    folder = land(tiny_sample)
    (archive,) = (folder / "fo_bhavcopy").glob("*.zip")
    archive.write_bytes(archive.read_bytes()[:100])

    run = materialize(DAILY, DAY)

    assert not run.succeeded
    assert archive.name in run.failures[0]
    assert "looked for" not in run.failures[0]


def test_a_table_that_came_yesterday_and_not_today_warns(
    land: Land, tiny_sample: GeneratedSample, dirty_sample: GeneratedSample, materialize: Materialize
) -> None:
    folder = land(tiny_sample)
    land(dirty_sample)
    materialize(DAILY, "2025-08-12")
    shutil.rmtree(folder / "gdfl_index_minute")

    run = materialize(DAILY, DAY)

    missed = outcome(run, "nse_csv/spot_prices", "delivered")
    assert run.succeeded
    assert (missed.passed, missed.blocking) == (False, False)
    assert missed.metadata == {"expected": "rows, as on 2025-08-12", "found": "none"}
    assert run.metadata["nse_csv/spot_prices"]["empty_reason"] == "nothing was delivered for this table"
    assert outcome(run, "nse_csv/options_ticks", "delivered").passed


def test_a_session_that_is_not_over_is_refused(
    land: Land, tiny_sample: GeneratedSample, materialize: Materialize, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(tiny_sample)
    from pipeline_defs.orchestration import partitions  # noqa: PLC0415 -- patched below

    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
    monkeypatch.setattr(partitions, "session_close", lambda *_: later)

    run = materialize(DAILY, DAY)

    assert not run.succeeded
    assert "is not over before" in run.failures[0]


def test_rows_that_no_load_wrote_stop_what_comes_after(imported: Warehouse, materialize: Materialize) -> None:
    with imported.connect() as connection:
        connection.execute(
            'INSERT INTO options_ticks ("timestamp", instrument_id, bar_seconds, sequence, source, close, load_id)'
            ' SELECT "timestamp", instrument_id, 30, 0, source, close, 999999 FROM options_ticks LIMIT 1'
        )

    run = materialize(DAILY, DAY)

    assert not run.succeeded
    assert outcome(run, "nse_csv/options_ticks", "no_rows_without_load").metadata == {"expected": 0, "found": 1}
    assert "options_daily" not in run.metadata


def test_rows_that_vanished_are_missed_and_healed_by_the_next_import(
    imported: Warehouse, materialize: Materialize
) -> None:
    partition = Partition("futures_ticks", "nse_csv", dt.date.fromisoformat(DAY))
    with imported.connect() as connection:
        connection.execute(
            'DELETE FROM futures_ticks WHERE bar_seconds = 60 AND "timestamp" ='
            ' (SELECT max("timestamp") FROM futures_ticks WHERE bar_seconds = 60)'
        )

    missed = judge_ledger(imported, partition)
    run = materialize(DAILY, DAY)

    lost = run.metadata["nse_csv/futures_ticks"]["rows_stored"]
    assert lost > 0
    assert (missed.passed, missed.expected, missed.found) == (False, 102, 102 - lost)
    assert f"says 100 rows written and 100 there, found {100 - lost} and {100 - lost}" in missed.detail
    assert judge_ledger(imported, partition).passed


def test_bars_that_differ_from_their_ticks_fail_the_check(imported: Warehouse, materialize: Materialize) -> None:
    with imported.connect() as connection:
        connection.execute("DROP PROCEDURE refresh_bars")
        connection.execute("CREATE PROCEDURE refresh_bars(timestamptz, timestamptz) LANGUAGE sql AS ''")
        connection.execute("UPDATE options_hourly SET high = high + 0.05 WHERE high IS NOT NULL")
        connection.execute("DELETE FROM options_daily WHERE ctid IN (SELECT ctid FROM options_daily LIMIT 1)")

    run = materialize("group:bars", DAY)

    assert not run.succeeded
    assert not outcome(run, "options_hourly", "bars_equal_ticks").passed
    assert "6 of 6 instruments differ" in outcome(run, "options_hourly", "bars_equal_ticks").metadata["detail"]
    assert "1 of 12 instruments differ" in outcome(run, "options_daily", "bars_equal_ticks").metadata["detail"]


def test_bars_of_a_session_without_options_are_an_error(materialize: Materialize) -> None:
    run = materialize("group:bars", DAY)

    assert not run.succeeded
    assert "materialise options_ticks of 2025-08-13 first" in run.failures[0]


def test_each_run_is_recorded_with_its_loads(clean: CleanRun) -> None:
    with clean.warehouse.connect() as connection:
        assert connection.execute("SELECT DISTINCT dagster_run_id FROM loads").fetchall() == [(clean.run.run_id,)]


def test_a_source_without_the_selected_table_says_what_it_has(tiny_sample: GeneratedSample) -> None:
    source = SelectedTables(get_source("nse_csv", path=str(tiny_sample.landing / "cm_bhavcopy")), ["options_ticks"])

    with pytest.raises(SourceError, match="nothing for options_ticks; it has equity_daily"):
        list(source.fetch(ImportRequest()))


def test_the_landing_folder_may_be_elsewhere(
    settings: Settings, tiny_sample: GeneratedSample, instance: dg.DagsterInstance
) -> None:
    del settings
    result = defs.resolve_job_def("nse_daily").execute_in_process(
        partition_key=DAY,
        instance=instance,
        run_config={"resources": {"nse_csv_import": {"config": {"folder": str(tiny_sample.landing)}}}},
    )

    assert result.success


def test_a_table_of_which_no_file_came_is_done_without_rows_and_with_the_reason(
    land: Land, tiny_sample: GeneratedSample, materialize: Materialize, instance: dg.DagsterInstance
) -> None:
    shutil.rmtree(land(tiny_sample) / "cm_bhavcopy")

    run = materialize(DAILY, DAY)

    assert run.succeeded, run.failures
    metadata = run.metadata["nse_csv/equity_daily"]
    assert metadata["empty_reason"] == "nothing was delivered for this table"
    assert (metadata["rows_read"], metadata["dagster/partition_row_count"]) == (0, 0)
    # A backfill is complete when every partition it asked for is there, and failed when one never came.
    assert instance.get_materialized_partitions(table_key("nse_csv", "equity_daily")) == {DAY}
    assert all(check.passed for check in run.checks if check.blocking)
