"""Which queue a run goes to, and how a launcher finds out that its worker is dead."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import yaml
from dagster._core.launcher import WorkerStatus

from pipeline_defs.orchestration.sharing import CONFIGURATION_TAG, configuration_digest
from pipeline_defs.orchestration.workers import launcher
from pipeline_defs.orchestration.workers.signs import SLOT_TAG, Listener, giving_signs
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.sources.registry import api_sources
from pipeline_tests.orchestration.workers_fixtures import a_run, instance_with, launch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dagster as dg

LEASE_SECONDS = 0.6


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The instance of ``deploy/celery``, with a broker in this process's memory."""
    monkeypatch.setattr(launcher, "broker_url", lambda: "memory://")
    monkeypatch.setattr(launcher, "run_settings", dict)
    configured = yaml.safe_load((PROJECT_ROOT / "deploy/celery/run_launcher.yaml").read_text(encoding="utf-8"))
    with instance_with(configured) as opened:
        yield opened


@pytest.mark.parametrize("source", api_sources())
def test_runs_that_ask_a_vendor_go_to_the_one_host_that_keeps_its_limits(
    instance: dg.DagsterInstance, source: str
) -> None:
    assert launch(instance, a_run(instance, pools={source})).tags["dagster-celery/queue"] == "asking"


def test_other_runs_go_to_any_worker(instance: dg.DagsterInstance) -> None:
    run = launch(instance, a_run(instance))

    assert run.tags["dagster-celery/queue"] == "runs"
    assert run.tags[CONFIGURATION_TAG] == configuration_digest()
    with instance.run_launcher.celery.connection() as connection:  # type: ignore[attr-defined]
        (message,) = [connection.SimpleQueue("runs").get(timeout=5)]
    assert message.headers["task"] == "execute_job"
    assert run.run_id in str(message.payload)


@pytest.mark.parametrize("job", ["fill_gaps", "backfill", "import_data"])
def test_jobs_that_ask_several_vendors_go_to_that_host_too(instance: dg.DagsterInstance, job: str) -> None:
    assert launch(instance, a_run(instance, job_name=job)).tags["dagster-celery/queue"] == "asking"


def test_a_queue_that_a_person_names_is_kept(instance: dg.DagsterInstance) -> None:
    run = a_run(instance, tags={"dagster-celery/queue": "heavy"})
    assert launch(instance, run).tags["dagster-celery/queue"] == "heavy"


def test_a_run_whose_sign_does_not_change_is_dead_and_one_whose_sign_does_is_not(instance: dg.DagsterInstance) -> None:
    now = [0.0]
    made = instance.run_launcher
    assert isinstance(made, launcher.WorkerRunLauncher)
    made._listener = Listener(lambda: now[0])
    run = a_run(instance)
    with giving_signs(instance, run.run_id, "north/0", lease_seconds=60):
        tagged = instance.get_run_by_id(run.run_id)
        assert tagged is not None
        assert tagged.tags[SLOT_TAG] == "north/0"
        assert made.check_run_worker_health(tagged).status is WorkerStatus.RUNNING
        now[0] = 89
        assert made.check_run_worker_health(tagged).status is WorkerStatus.RUNNING
        instance.run_storage.set_cursor_values({"pipeline/sign_of_life/north/0": f"{run.run_id} 7"})
        now[0] = 91
        assert made.check_run_worker_health(tagged).status is WorkerStatus.RUNNING
    now[0] = 182
    found = made.check_run_worker_health(tagged)
    assert found.status is WorkerStatus.FAILED
    assert "north/0 gave no sign of life for 91 s" in str(found.msg)


def test_another_runs_sign_from_the_same_slot_is_no_sign(instance: dg.DagsterInstance) -> None:
    now = [0.0]
    listener = Listener(lambda: now[0])
    first = a_run(instance, tags={SLOT_TAG: "north/0"})
    for number in (1, 2, 3):
        instance.run_storage.set_cursor_values({"pipeline/sign_of_life/north/0": f"another {number}"})
        now[0] += 10
        silent = listener.silent_seconds(instance, first)
    assert silent == 20


def test_a_run_that_cannot_reach_the_database_ends_itself_before_it_is_taken_for_dead(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(instance)
    ended: list[str] = []
    over = threading.Event()

    def end(reason: str) -> None:
        ended.append(reason)
        over.set()

    with giving_signs(instance, run.run_id, "north/0", LEASE_SECONDS, on_end=end):
        hangs = threading.Event()
        monkeypatch.setattr(type(instance.run_storage), "set_cursor_values", lambda *_: hangs.wait(30))
        assert over.wait(30)
        hangs.set()
    assert "could not reach Dagster's database" in ended[0]


def test_a_run_that_was_ended_by_somebody_else_ends_itself(instance: dg.DagsterInstance) -> None:
    run = a_run(instance)
    ended: list[str] = []
    over = threading.Event()

    def end(reason: str) -> None:
        ended.append(reason)
        over.set()

    with giving_signs(instance, run.run_id, "north/0", LEASE_SECONDS * 5, on_end=end):
        instance.report_run_failed(run, "taken for dead")
        assert over.wait(30)
    assert "was ended by somebody else" in ended[0]
