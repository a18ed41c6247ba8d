from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from pipeline_defs.definitions import defs
from pipeline_defs.orchestration.assets.report import NOTHING_LATE, report_path

if TYPE_CHECKING:
    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse


def materialized(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("data_report")])


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}


def test_the_report_is_written_and_its_metadata_tell_the_key_numbers(
    imported: Warehouse, settings: Settings, instance: dg.DagsterInstance
) -> None:
    del imported
    result = materialized(instance)
    told = metadata(result)
    page = report_path().read_text()

    assert result.success
    assert report_path() == settings.home / "reports" / "data-report.html"
    assert told["report"] == report_path().as_uri()
    assert Path(str(told["path"])).stat().st_size == told["size_bytes"] == len(page.encode())
    assert "| late |" in str(told["key_numbers"])
    assert "data:image/svg+xml;base64," in str(told["coverage_1"])
    assert "options_ticks" in page


def test_what_is_late_fails_the_check_as_a_warning(imported: Warehouse, instance: dg.DagsterInstance) -> None:
    del imported
    (outcome,) = materialized(instance).get_asset_check_evaluations()

    assert (outcome.check_name, outcome.passed, outcome.severity) == (
        NOTHING_LATE,
        False,
        dg.AssetCheckSeverity.WARN,
    )
    assert " late" in str(outcome.metadata["found"].value)


def test_where_nothing_is_expected_nothing_is_late(settings: Settings, instance: dg.DagsterInstance) -> None:
    del settings
    (outcome,) = materialized(instance).get_asset_check_evaluations()

    assert outcome.passed
    assert outcome.metadata["found"].value == "nothing imported"
