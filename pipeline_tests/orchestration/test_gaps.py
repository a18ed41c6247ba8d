"""The gap ledger through Dagster: assessed after an import, plotted by session, filled from the launchpad."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.definitions import defs
from pipeline_defs.gaps.ledger import Scope, list_gaps
from pipeline_defs.orchestration.assets.gaps import BACKFILL_KEY, NOTHING_MISSING
from pipeline_tests.gaps.landing import OUTAGE, THURSDAY, TUESDAY, WEDNESDAY, WHOLE, land

if TYPE_CHECKING:
    from collections.abc import Callable

    import dagster as dg

    from pipeline_defs.orchestration.runs import CheckOutcome, PartitionRun
    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse

SPOT = 'key:"nse_csv/spot_prices"'
LEDGER = 'key:"nse_csv/gap_ledger"'
HOLED = [minute for minute in WHOLE if minute not in OUTAGE]


def missing(run: PartitionRun) -> CheckOutcome:
    (outcome,) = [check for check in run.checks if check.name == NOTHING_MISSING]
    return outcome


def fill(instance: dg.DagsterInstance, **config: Any) -> tuple[dg.ExecuteInProcessResult, dict[str, Any]]:
    result = defs.resolve_job_def("fill_gaps").execute_in_process(
        instance=instance, raise_on_error=False, run_config={"ops": {"backfill_gaps": {"config": config}}}
    )
    metadata = {}
    for event in result.get_asset_materialization_events():
        assert event.asset_key == BACKFILL_KEY
        told = event.step_materialization_data.materialization.metadata
        metadata = {name: value.value for name, value in told.items()}
    return result, metadata


def test_an_import_is_assessed_and_its_outage_warns_with_the_rows(
    settings: Settings, warehouse: Warehouse, materialize: Callable[[str, str], PartitionRun]
) -> None:
    land(settings, WEDNESDAY, {"NIFTY 50": HOLED, "NIFTY BANK": WHOLE})
    run = materialize(SPOT, "2025-08-13")
    assert run.succeeded, run.failures

    outcome = missing(run)
    assert (outcome.passed, outcome.blocking) == (False, False)
    assert (outcome.metadata["expected_minutes"], outcome.metadata["present_minutes"]) == (750, 735)
    assert outcome.metadata["found"] == "15 minutes"
    assert "NIFTY 50.NSE_IDX has no row, others have" in outcome.metadata["gaps"]
    assert [gap.minutes for gap in list_gaps(warehouse, Scope())] == [15]

    land(settings, WEDNESDAY, {"NIFTY 50": WHOLE, "NIFTY BANK": WHOLE})
    assert missing(materialize(SPOT, "2025-08-13")).passed


def test_the_ledger_of_a_session_gives_numbers_that_plot(
    settings: Settings, materialize: Callable[[str, str], PartitionRun]
) -> None:
    for day, minutes in ((TUESDAY, WHOLE), (WEDNESDAY, HOLED)):
        land(settings, day, {"NIFTY 50": minutes})
        materialize(SPOT, day.isoformat())

    told = materialize(LEDGER, "2025-08-13").metadata["nse_csv/gap_ledger"]
    assert {name: told[name] for name in told if isinstance(told[name], int)} == {
        "expected_minutes": 375, "present_minutes": 360, "missing_source_missing": 15, "missing_quarantined": 0,
        "missing_no_trade": 0, "missing_not_yet_due": 0, "fillable_minutes": 15,
    }  # fmt: skip
    assert told["coverage"] == 0.96
    # The day after was not loaded: it is missed, since the series is expected to go on.
    after = materialize(LEDGER, "2025-08-14").metadata["nse_csv/gap_ledger"]
    assert (after["missing_source_missing"], after["coverage"]) == (375, 0.0)
    assert "no load of this session" in after["gaps"]


def test_a_source_that_was_never_loaded_has_no_ledger_and_says_so(
    settings: Settings, materialize: Callable[[str, str], PartitionRun]
) -> None:
    run = materialize('key:"ccxt/gap_ledger"', "2025-08-13")

    assert not run.succeeded
    assert "ccxt was not loaded around 2025-08-13" in run.failures[0]
    assert settings.landing_dir.name == "landing"


def test_the_launchpad_fills_what_its_configuration_names(
    settings: Settings,
    warehouse: Warehouse,
    materialize: Callable[[str, str], PartitionRun],
    instance: dg.DagsterInstance,
) -> None:
    for day in (WEDNESDAY, THURSDAY):
        land(settings, day, {"NIFTY 50": HOLED})
        materialize(SPOT, day.isoformat())
        land(settings, day, {"NIFTY 50": WHOLE})

    rehearsed, told = fill(instance, source="nse-csv", dry_run=True)
    assert rehearsed.success
    assert (told["requests"], told["asked_minutes"], told["filled_minutes"]) == (1, 30, 0)
    assert told["done"] == "Nothing was asked."

    result, told = fill(instance, dataset="spot_prices", first_date="2025-08-13", last_date="2025-08-13")
    assert result.success
    assert (told["requests"], told["asked_minutes"], told["filled_minutes"], told["remaining_minutes"]) == (
        1,
        15,
        15,
        0,
    )
    assert "| nse_csv spot_prices 2025-08-13: all instruments | 15 |" in told["done"]
    (check,) = result.get_asset_check_evaluations()
    assert check.passed
    assert [gap.trade_date for gap in list_gaps(warehouse, Scope())] == [THURSDAY]
    with warehouse.connect() as connection:
        last = connection.execute("SELECT dagster_run_id FROM loads ORDER BY load_id DESC LIMIT 1").fetchall()
    assert last == [(result.run_id,)]


def test_what_stays_missing_warns_and_what_cannot_be_read_fails(
    settings: Settings, materialize: Callable[[str, str], PartitionRun], instance: dg.DagsterInstance
) -> None:
    path = land(settings, WEDNESDAY, {"NIFTY 50": HOLED})
    materialize(SPOT, "2025-08-13")
    result, told = fill(instance)
    assert result.success
    assert (told["filled_minutes"], told["remaining_minutes"]) == (0, 15)
    assert not result.get_asset_check_evaluations()[0].passed

    path.write_text("what,is,this\n1,2,3\n", encoding="utf-8")
    result, told = fill(instance)
    assert not result.success
    assert told["failed_requests"] == 1


@pytest.mark.usefixtures("settings")
def test_a_date_that_is_none_is_refused(instance: dg.DagsterInstance) -> None:
    result, _ = fill(instance, first_date="yesterday")

    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert "'yesterday' is not a date, expected YYYY-MM-DD" in str(failed.step_failure_data.user_failure_data)
