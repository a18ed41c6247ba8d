"""Pruning deletes lines that nobody reads, and nothing that Dagster knows: in SQLite and in PostgreSQL."""

import datetime as dt
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.orchestration.automation.pruning import prune_events
from pipeline_defs.orchestration.operations import event_retention
from pipeline_defs.orchestration.operations.event_retention import DELETED, prune_log_lines
from pipeline_tests.orchestration.operations.knowledge import known

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAYS = dg.StaticPartitionsDefinition(["2025-08-13", "2025-08-14"])
LONG_AGO = "2020-01-01T00:00:00+00:00"
LATER = dt.datetime.now(dt.UTC) + dt.timedelta(days=40)


@dg.asset(partitions_def=DAYS, check_specs=[dg.AssetCheckSpec("rows", asset="prices")])
def prices(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
    for number in range(25):
        context.log.info("line %d", number)
    context.log_event(dg.AssetObservation("prices", partition=context.partition_key, metadata={"seen": 1}))
    return dg.MaterializeResult(
        metadata={"rows": 7},
        data_version=dg.DataVersion(f"of {context.partition_key}"),
        check_results=[dg.AssetCheckResult(check_name="rows", passed=True, metadata={"found": 7})],
    )


@pytest.fixture
def files(tmp_path: "Path") -> "Iterator[dg.DagsterInstance]":
    """An instance that keeps events in files."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest) -> dg.DagsterInstance:
    """An instance that keeps events in files, and one that keeps them in a database."""
    instance: dg.DagsterInstance
    if request.param == "postgresql":
        instance = request.getfixturevalue("server_instance")
        instance.wipe()
        instance.run_storage.set_cursor_values({event_retention._DONE_UNTIL: LONG_AGO})
    else:
        instance = request.getfixturevalue("files")
    return instance


@dg.asset(partitions_def=DAYS, deps=[prices])
def broken() -> None:
    raise ValueError


def run(instance: dg.DagsterInstance, day: str) -> str:
    return dg.materialize([prices], partition_key=day, instance=instance).run_id


def lines(instance: dg.DagsterInstance, run_id: str) -> int:
    return len(instance.all_logs(run_id))


def test_what_dagster_knows_is_as_before_and_log_lines_are_gone(kept: dg.DagsterInstance) -> None:
    first, second = run(kept, "2025-08-13"), run(kept, "2025-08-14")
    keys = [dg.AssetKey("prices")]
    before, counted = known(kept, keys, first), lines(kept, first) + lines(kept, second)
    assert before["partitions"] == {keys[0]: {"2025-08-13", "2025-08-14"}}
    assert before["checks"]

    rehearsed = prune_log_lines(kept, dry_run=True, now=LATER)
    assert lines(kept, first) + lines(kept, second) == counted
    pruned = prune_log_lines(kept, now=LATER)

    assert (pruned.runs, pruned.rows) == (rehearsed.runs, rehearsed.rows)
    assert pruned.runs == 2
    assert lines(kept, first) + lines(kept, second) == counted - pruned.rows
    assert pruned.rows >= 50
    assert known(kept, keys, first) == before
    left = {entry.dagster_event.event_type for entry in kept.all_logs(first) if entry.dagster_event}
    assert not left & DELETED
    assert dg.DagsterEventType.ASSET_OBSERVATION in left


def test_a_run_that_failed_can_still_be_run_again_from_where_it_failed(files: dg.DagsterInstance) -> None:
    failed = dg.materialize([prices, broken], partition_key="2025-08-13", instance=files, raise_on_error=False).run_id
    outputs = len(files.all_logs(failed, of_type=dg.DagsterEventType.STEP_OUTPUT))

    assert prune_log_lines(files, now=LATER).rows > 25

    assert len(files.all_logs(failed, of_type=dg.DagsterEventType.STEP_OUTPUT)) == outputs > 0
    assert len(files.all_logs(failed, of_type=dg.DagsterEventType.STEP_FAILURE)) == 1


def test_young_and_unfinished_runs_keep_every_line(files: dg.DagsterInstance) -> None:
    young = run(files, "2025-08-13")
    running = files.create_run_for_job(dg.define_asset_job("again", [prices]).resolve(
        asset_graph=dg.Definitions([prices]).resolve_asset_graph()), status=dg.DagsterRunStatus.STARTED)  # fmt: skip
    files.report_engine_event("still at it", running)
    counted = lines(files, young), lines(files, running.run_id)

    assert prune_log_lines(files).rows == 0
    assert prune_log_lines(files, dt.timedelta(days=41), now=LATER).rows == 0
    prune_log_lines(files, now=LATER)

    assert lines(files, young) < counted[0]
    assert lines(files, running.run_id) == counted[1]


def test_a_run_that_was_pruned_is_not_looked_at_again(files: dg.DagsterInstance) -> None:
    run(files, "2025-08-13")
    assert prune_log_lines(files, now=LATER).runs == 1

    assert prune_log_lines(files, now=LATER).runs == 0


def test_a_clock_that_was_wrong_once_does_not_end_pruning(files: dg.DagsterInstance) -> None:
    run(files, "2025-08-13")
    prune_log_lines(files, now=LATER + dt.timedelta(days=3650))

    assert prune_log_lines(files, now=LATER).runs == 1


def test_more_lines_than_a_statement_takes_go_in_turns(
    kept: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_retention, "ROWS_PER_STATEMENT", 10)
    monkeypatch.setattr(event_retention, "RUNS_PER_PAGE", 1)
    done = [run(kept, "2025-08-13"), run(kept, "2025-08-14")]

    pruned = prune_log_lines(kept, now=LATER)

    assert pruned.rows > 50
    assert all(not entry.is_dagster_event or entry.get_dagster_event().event_type not in DELETED
               for run_id in done for entry in kept.all_logs(run_id))  # fmt: skip


def test_an_age_of_hours_is_refused(instance: dg.DagsterInstance) -> None:
    with pytest.raises(ConfigurationError, match="less than a day"):
        prune_log_lines(instance, dt.timedelta(hours=3))


def test_the_job_prunes_the_instance_it_runs_on(files: dg.DagsterInstance) -> None:
    done = run(files, "2025-08-13")

    result = prune_events.execute_in_process(
        instance=files, run_config={"ops": {"prune_old_log_lines": {"config": {"days": 1}}}}
    )

    assert result.success
    assert lines(files, done) > 25  # of today
