from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import dagster as dg

from pipeline_defs.markets.sessions import session_dates
from pipeline_defs.orchestration.automation import landing
from pipeline_defs.orchestration.automation.landing import landing_sensor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from pipeline_defs.samples.generate import GeneratedSample
    from pipeline_defs.settings import Settings


def look(cursor: str | None) -> dg.SensorResult:
    answer = landing_sensor(dg.build_sensor_context(cursor=cursor))
    assert isinstance(answer, dg.SensorResult)
    return answer


def test_the_sensor_asks_for_a_date_at_the_second_look_and_not_again(
    land: Callable[[GeneratedSample], Path], tiny_sample: GeneratedSample
) -> None:
    land(tiny_sample)
    first = look(None)
    second = look(first.cursor)
    third = look(second.cursor)

    assert first.run_requests == []
    assert "still arriving: 2025-08-13" in str(first.skip_reason)
    assert [request.partition_key for request in second.run_requests or []] == ["2025-08-13"]
    assert third.run_requests == []


def test_the_sensor_asks_again_when_a_file_was_replaced(
    land: Callable[[GeneratedSample], Path], tiny_sample: GeneratedSample
) -> None:
    folder = land(tiny_sample)
    asked = look(look(None).cursor)
    replaced = next(path for path in folder.rglob("*.csv"))
    replaced.write_bytes(replaced.read_bytes() + b"\n")
    again = look(look(asked.cursor).cursor)

    keys = [request.run_key for answer in (asked, again) for request in answer.run_requests or []]
    assert len(set(keys)) == 2


def test_the_sensor_says_what_it_leaves_alone(settings: Settings) -> None:
    settings.landing_dir.mkdir(parents=True)
    (settings.landing_dir / "NIFTY.csv").write_text("x")
    (settings.landing_dir / "GFDLNFO_15082025.csv").write_text("x")
    answer = look(look(None).cursor)

    assert answer.run_requests == []
    assert "1 files name no trade date" in str(answer.skip_reason)
    assert "2025-08-15 has no partition" in str(answer.skip_reason)


def test_the_sensor_waits_for_the_close(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.landing_dir.mkdir(parents=True)
    (settings.landing_dir / "GFDLNFO_14082025.csv").write_text("x")
    monkeypatch.setattr(landing, "session_close", lambda _: dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    answer = look(look(None).cursor)

    assert answer.run_requests == []
    assert "not over" in str(answer.skip_reason)


def test_a_folder_of_years_is_taken_in_over_several_looks(settings: Settings) -> None:
    days = session_dates(dt.date(2025, 1, 1), dt.date(2025, 3, 31))
    settings.landing_dir.mkdir(parents=True)
    for day in days:
        (settings.landing_dir / f"GFDLNFO_{day:%d%m%Y}.csv").write_text("x")
    cursor, asked = look(None).cursor, []
    for _ in range(3):
        answer = look(cursor)
        cursor = answer.cursor
        asked.append([request.partition_key for request in answer.run_requests or []])

    assert [len(part) for part in asked] == [25, 25, len(days) - 50]
    assert [key for part in asked for key in part] == [day.isoformat() for day in days]
    assert len(json.loads(cursor or "")) == len(days)


def test_an_empty_landing_folder_is_a_reason_to_skip(settings: Settings) -> None:
    assert f"nothing new below {settings.landing_dir}" in str(look(None).skip_reason)
