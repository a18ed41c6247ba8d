"""A command's run: its end is the run's end, whatever ended it; and several commands share one home."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipeline_defs.errors import DamageError, SourceError
from pipeline_defs.ingesting import ImportOrder
from pipeline_defs.orchestration.commands import JOBS
from pipeline_defs.orchestration.commands.exports import EXPORT_JOB, ExportConfig
from pipeline_defs.orchestration.commands.imports import IMPORT_JOB, ImportConfig, config_of, tags_of
from pipeline_defs.orchestration.commands.running import HOST, PROCESS, run_command, shown_command
from pipeline_defs.orchestration.commands.telling import Listener
from pipeline_defs.orchestration.runs import open_instance

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.progress import Step
    from pipeline_defs.samples.generate import GeneratedSample
    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse

DAY = dt.date(2025, 8, 13)


def run(order: ImportOrder, settings: Settings, listener: Listener | None = None) -> str:
    return run_command(IMPORT_JOB, config_of(order), settings, listener or Listener(), tags=tags_of(order))


def runs(settings: Settings) -> list[dg.DagsterRun]:
    with open_instance(settings) as instance:
        return list(instance.get_runs())[::-1]


def loads(warehouse: Warehouse) -> list[tuple[str, str, int]]:
    with warehouse.connect() as connection:
        return connection.execute(
            "SELECT dagster_run_id, status, count(*) FROM loads GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()


def test_the_listener_hears_of_progress_and_of_each_load_which_names_its_run(
    settings: Settings, warehouse: Warehouse, tiny_sample: GeneratedSample
) -> None:
    steps: list[Step] = []
    reports: list[object] = []
    order = ImportOrder(source="nse_csv", path=tiny_sample.landing, start_date=DAY, end_date=DAY)
    run_id = run(order, settings, Listener(on_progress=steps.append, on_result=reports.append))

    assert steps[0].total == 1
    assert steps[-1].done == 1
    assert loads(warehouse) == [(run_id, "complete", len(reports))]


@pytest.mark.parametrize("how", ["signal", "exception"])
def test_an_interrupted_command_is_a_cancelled_run_and_what_was_stored_stays(
    settings: Settings, warehouse: Warehouse, tiny_sample: GeneratedSample, how: str
) -> None:
    def interrupt(report: object) -> None:
        del report
        if how == "exception":
            raise KeyboardInterrupt
        os.kill(os.getpid(), signal.SIGINT)

    order = ImportOrder(source="nse_csv", path=tiny_sample.landing)
    with pytest.raises(KeyboardInterrupt):
        run(order, settings, Listener(on_result=interrupt))

    (cancelled,) = runs(settings)
    assert cancelled.status is dg.DagsterRunStatus.CANCELED
    ((run_id, status, count),) = loads(warehouse)
    assert (run_id, status) == (cancelled.run_id, "complete")
    assert count >= 1


def test_a_damaged_delivery_is_a_failed_run_and_the_assets_know_of_the_rest(
    settings: Settings, tiny_sample: GeneratedSample, tmp_path: Path
) -> None:
    damaged = tmp_path / "landing"
    for file in tiny_sample.landing.rglob("*"):
        if file.is_file():
            copy = damaged / file.relative_to(tiny_sample.landing)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    spoil(damaged)
    with pytest.raises(DamageError, match="stored nothing"):
        run(ImportOrder(source="nse_csv", path=damaged), settings)

    (failed,) = runs(settings)
    assert failed.status is dg.DagsterRunStatus.FAILURE
    with open_instance(settings) as instance:
        known = {key.path[-1] for key in instance.all_asset_keys()}
        (event,) = instance.all_logs(failed.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert known == {"futures_ticks", "spot_prices", "equity_daily"}
    assert "pipeline quarantine --load" in str(event.dagster_event)


def spoil(folder: Path) -> None:
    """Make every option line of the day unreadable but for its ticker."""
    for file in folder.rglob("*.csv"):
        header, *lines = file.read_text(encoding="utf-8").splitlines()
        if any("CE" in line or "PE" in line for line in lines):
            spoilt = [",".join([line.split(",")[0], *["x"] * line.count(",")]) for line in lines]
            file.write_text("\n".join([header, *spoilt]), encoding="utf-8")


def test_a_run_whose_process_was_killed_is_ended_by_the_next_command(
    settings: Settings, tiny_sample: GeneratedSample
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with open_instance(settings) as instance:
        config = {"ops": {"bring_in": {"config": {"source": "nse_csv"}}}}
        made, alive = (
            instance.create_run_for_job(
                IMPORT_JOB, run_config=config, tags={HOST: socket.gethostname(), PROCESS: str(pid)}
            )
            for pid in (process.pid, os.getpid())
        )
        for one in (made, alive):
            instance.report_dagster_event(
                dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "import_data"), one.run_id
            )
    run(ImportOrder(source="nse_csv", path=tiny_sample.landing), settings)

    found = {one.run_id: one.status for one in runs(settings)}
    assert found[made.run_id] is dg.DagsterRunStatus.FAILURE
    assert found[alive.run_id] is dg.DagsterRunStatus.STARTED


def test_two_commands_at_once_on_a_new_home_both_succeed(settings: Settings, tiny_sample: GeneratedSample) -> None:
    command = [sys.executable, "-m", "pipeline_defs.cli.main", "import", "--source", "nse-csv", "--json"]
    with subprocess.Popen(
        [*command, "--path", str(tiny_sample.landing)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as other:
        while not (settings.dagster_home / ".opening").exists() and other.poll() is None:
            time.sleep(0.01)
        ours = run(ImportOrder(source="nse_csv", path=tiny_sample.landing), settings)
        out, error = other.communicate()

    assert (other.returncode, error) == (0, "")
    found = runs(settings)
    assert {one.run_id for one in found} == {ours, json.loads(out)["dagster_run_id"]}
    assert {one.status for one in found} == {dg.DagsterRunStatus.SUCCESS}


def test_what_the_launchpad_is_given_is_the_same_order(tmp_path: Path) -> None:
    order = ImportOrder(
        source="interactive_brokers",
        path=tmp_path / "x",
        mapping=tmp_path / "m.toml",
        underlying="NIFTY",
        tables=("spot_prices",),
        symbols=("AAPL", "MSFT"),
        kind="equity",
        market="US",
        exchange="binance",
        frequency="1d",
        start_date=DAY,
        end_date=DAY,
        reread=True,
        bundle="b",
        ib_host="127.0.0.1",
        ib_port=7497,
        ib_client_id=3,
    )

    assert ImportConfig(**config_of(order)).order() == order
    assert ImportConfig(source="yahoo").order() == ImportOrder(source="yahoo")
    dg.validate_run_config(IMPORT_JOB, {"ops": {"bring_in": {"config": config_of(order)}}})
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.validate_run_config(IMPORT_JOB, {"ops": {"bring_in": {"config": {"source": "yahoo", "password": "x"}}}})


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    ("job", "config", "words"),
    [
        (IMPORT_JOB, {"source": "nope"}, "no source 'nope'"),
        (IMPORT_JOB, {"source": "yahoo", "symbols": ["A"], "start_date": "yesterday"}, "start_date"),
        (
            EXPORT_JOB,
            {"format": "csv", "underlying": "X", "start_date": "2025-8-1", "end_date": "2025-08-02", "output": "/x"},
            "start_date",
        ),
        (
            EXPORT_JOB,
            {
                "format": "csv",
                "underlying": "X",
                "start_date": "2025-08-01",
                "end_date": "2025-08-02",
                "output": "/x",
                "as_of": "then",
            },
            "as_of",
        ),
    ],
)
def test_a_mistake_in_the_launchpad_is_a_failure_that_says_what(
    job: dg.JobDefinition, config: dict[str, object], words: str, instance: dg.DagsterInstance
) -> None:
    result = job.execute_in_process(
        instance=instance, run_config={"ops": {job.graph.node_defs[0].name: {"config": config}}}, raise_on_error=False
    )

    (failed,) = [event for event in result.all_events if event.is_step_failure]
    told = failed.step_failure_data.user_failure_data
    assert told is not None
    assert words in str(told.description)


def test_the_code_location_has_the_very_jobs_that_commands_run() -> None:
    from pipeline_defs.definitions import defs  # noqa: PLC0415 -- takes a moment

    for job in JOBS:
        assert defs.resolve_job_def(job.name).get_job_snapshot_id() == job.get_job_snapshot_id()
    assert set(ExportConfig.model_fields) >= {"format", "underlying", "output"}


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["import", "--path", "a b"], "pipeline import --path 'a b'"),
        (["export", "--output", "https://me:pw@host/x"], "pipeline export --output 'https://***@host/x'"),
        (
            ["x", "--api-key", "k", "--token=t", "--secret", "s"],
            "pipeline x --api-key '***' '--token=***' --secret '***'",
        ),
    ],
)
def test_nothing_secret_is_in_the_command_that_a_run_shows(arguments: list[str], shown: str) -> None:
    assert shown_command(arguments) == shown


def test_what_fails_otherwise_reaches_the_command_as_it_was_raised(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(order: ImportOrder, settings: Settings) -> None:
        del order, settings
        raise ZeroDivisionError

    monkeypatch.setattr("pipeline_defs.ingesting.prepare_import", broken)
    with pytest.raises(ZeroDivisionError):
        run(ImportOrder(source="nse_csv"), settings)
    (failed,) = runs(settings)
    assert failed.status is dg.DagsterRunStatus.FAILURE


def test_a_source_that_gives_nothing_is_a_failed_run(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        run(ImportOrder(source="nse_csv", path=tmp_path), settings)
    assert [one.status for one in runs(settings)] == [dg.DagsterRunStatus.FAILURE]
