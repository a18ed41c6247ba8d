"""People's own files through Dagster: the sensor waits until they have arrived, the asset takes them in and tells."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from pipeline_defs.definitions import defs
from pipeline_defs.errors import ConfigurationError, WarehouseError
from pipeline_defs.orchestration import uploads
from pipeline_defs.orchestration.uploads import KEY, uploads_sensor
from pipeline_defs.uploads import taking, waiting
from pipeline_defs.uploads.taking import TakenIn
from pipeline_tests.sources.manual_csv.reading import MAPPING, OWN_HEADER, OWN_ROW, write

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse


def upload(folder: Path, *rows: str, name: str = "mine.csv") -> Path:
    write((folder / name).with_suffix(".mapping.toml"), MAPPING)
    return write(folder / name, OWN_HEADER, *(rows or (OWN_ROW,)))


def look(cursor: str | None) -> dg.SensorResult:
    answer = uploads_sensor(dg.build_sensor_context(cursor=cursor))
    assert isinstance(answer, dg.SensorResult)
    return answer


def reason(result: dg.SensorResult) -> str:
    assert isinstance(result.skip_reason, dg.SkipReason)
    return result.skip_reason.skip_message or ""


def run(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return defs.resolve_job_def("take_in_uploads").execute_in_process(instance=instance, raise_on_error=False)


def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    assert event.asset_key == KEY
    return {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}


def test_the_sensor_starts_a_run_when_a_file_was_the_same_at_two_looks(settings: Settings) -> None:
    upload(settings.uploads_dir)

    first = look(None)
    second = look(first.cursor)
    third = look(second.cursor)

    assert not first.run_requests
    assert reason(first) == "still arriving: mine.csv"
    assert [str(request.run_key)[:8] for request in second.run_requests or []] == ["uploads:"]
    assert not third.run_requests
    assert "nothing new in" in reason(third)


def test_the_sensor_refuses_a_folder_that_only_its_own_host_sees_and_says_what_to_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(settings.uploads_dir)
    monkeypatch.setenv("PIPELINE_HOSTS", "many")
    with pytest.raises(ConfigurationError, match=r"(?s)on the disk of one host.*'pipeline import' on the host that"):
        look(None)

    monkeypatch.setenv("PIPELINE_SHARED_FOLDER", str(settings.uploads_dir))
    assert reason(look(None)) == "still arriving: mine.csv"


def test_a_file_that_still_grows_does_not_keep_the_others_waiting(settings: Settings) -> None:
    upload(settings.uploads_dir)
    upload(settings.uploads_dir, name="late.csv")
    first = look(None)
    upload(settings.uploads_dir, OWN_ROW, OWN_ROW, name="late.csv")
    second = look(first.cursor)

    assert len(second.run_requests or []) == 1
    third = look(second.cursor)
    assert len(third.run_requests or []) == 1
    assert (second.run_requests or [])[0].run_key != (third.run_requests or [])[0].run_key


def test_a_file_of_the_same_name_is_asked_for_again_when_it_comes_again(settings: Settings) -> None:
    path = upload(settings.uploads_dir)
    cursor = look(look(None).cursor).cursor
    path.unlink()
    cursor = look(cursor).cursor
    assert json.loads(cursor or "") == {}
    upload(settings.uploads_dir, OWN_ROW, OWN_ROW)

    assert look(look(cursor).cursor).run_requests


def test_a_file_that_a_run_left_where_it_is_is_asked_for_again_later_under_another_key(settings: Settings) -> None:
    upload(settings.uploads_dir)
    asked = look(look(None).cursor)
    requests, cursor = list(asked.run_requests or []), asked.cursor
    for _ in range(waiting.LOOKS_UNTIL_AGAIN):
        again = look(cursor)
        requests, cursor = requests + list(again.run_requests or []), again.cursor

    assert len({request.run_key for request in requests}) == len(requests) == 2


def test_an_empty_folder_is_told(settings: Settings) -> None:
    assert reason(look(None)) == f"nothing new in {settings.uploads_dir}"


def test_the_asset_takes_in_what_is_there_and_tells_files_counts_and_reports(
    settings: Settings, warehouse: Warehouse, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "time", _NoTime)
    upload(settings.uploads_dir)
    write(settings.uploads_dir / "odd.csv", "what,is,this", "1,2,3")

    result = run(instance)

    assert result.success
    metadata = told(result)
    assert (metadata["files_done"], metadata["files_rejected"], metadata["rows_stored"]) == (1, 1, 1)
    assert metadata["dagster/row_count"] == 1
    assert "| mine.csv | done |" in metadata["files"]
    assert "| odd.csv | rejected |" in metadata["files"]
    assert "](file:///" in metadata["files"]
    assert len(metadata["reports"]) == 2
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert "odd.csv" in str(check.metadata["found"].value)
    with warehouse.connect() as connection:
        assert connection.execute("SELECT dagster_run_id FROM loads").fetchall() == [(result.run_id,)]


def test_nothing_waiting_is_told_and_is_no_failure(settings: Settings, instance: dg.DagsterInstance) -> None:
    result = run(instance)

    assert result.success
    assert told(result)["files"] == "Nothing was waiting."
    assert (settings.uploads_dir / ".lock").exists()


def test_many_files_are_shown_in_part(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "time", _NoTime)
    monkeypatch.setattr(uploads, "_MAX_SHOWN", 1)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        write(settings.uploads_dir / name, "x")

    assert told(run(instance))["files"].endswith("and 2 more")


def test_what_is_not_the_files_fault_fails_the_run_with_the_next_step(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = WarehouseError("the server is away", next_step="start it")
    monkeypatch.setattr(taking, "take_in", lambda *_, **__: TakenIn(failures=[("mine.csv", error)]))

    result = run(instance)

    assert not result.success
    assert told(result)["left_where_they_are"] == 1
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    explained = failure.step_failure_data.user_failure_data
    assert explained is not None
    assert explained.description == "the server is away\nNext: start it"
    assert settings.uploads_dir.name == "uploads"


class _NoTime:
    @staticmethod
    def sleep(seconds: float) -> None:
        del seconds
