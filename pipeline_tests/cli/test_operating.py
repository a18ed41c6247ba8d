"""``pipeline health``, ``metrics`` and ``prune`` as a probe, a scraper and a timer call them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_tests.cli.conftest import Pipeline


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture
def home(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PIPELINE_OBJECT_STORE", "PIPELINE_RAW_ARCHIVE", "PIPELINE_LOGS_BUCKET", "PIPELINE_CODE_SERVER_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    return tmp_path / "home"


def test_a_live_probe_asks_the_home_and_the_database_alone(pipeline: Pipeline, home: Path) -> None:
    ended = pipeline("health", "--profile", "live", "--least-free", "0", "--json")

    told = json.loads(ended.out)
    assert (ended.code, told["healthy"]) == (0, True)
    assert [check["check"] for check in told["checks"]] == ["home", "database"]
    assert list(home.iterdir()) == []


def test_without_a_daemon_the_installation_is_not_ready_and_each_line_says_what_to_do(
    pipeline: Pipeline, home: Path
) -> None:
    assert home
    ended = pipeline("health", "--least-free", "0", "--limit", "120")

    assert ended.code == 1
    states = {line[9:].split("  ")[0]: line.split()[0] for line in ended.out.splitlines() if line[0] != " "}
    assert {name for name, state in states.items() if state == "failed"} == {"daemons"}
    assert states["schema"] == states["clock"] == states["definitions"] == states["runs"] == "ok"
    assert "daemons do not work: ASSET never ran; " in ended.out
    assert "next: start dagster-daemon" in ended.out


def test_a_database_that_is_away_fails_the_probe_without_its_password(
    pipeline: Pipeline, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home
    monkeypatch.setenv("PIPELINE_DATABASE_URL", "postgresql://desk:a-secret@127.0.0.1:9/market")

    ended = pipeline("health", "--profile", "live", "--least-free", "0")

    assert ended.code == 1
    assert "failed   database  postgresql://desk:***@127.0.0.1:9/market: the database did not accept" in ended.out
    assert "a-secret" not in ended.out + ended.err


def test_one_reading_of_the_metrics_is_printed_or_written(pipeline: Pipeline, home: Path, tmp_path: Path) -> None:
    assert home
    printed = pipeline("metrics")
    written = pipeline("metrics", "--output", tmp_path / "pipeline.prom")

    assert (printed.code, written.code, written.out) == (0, 0, "")
    for text in (printed.out, (tmp_path / "pipeline.prom").read_text()):
        found = {family.name: family for family in text_string_to_metric_families(text)}
        success = {sample.labels["part"]: sample.value for sample in found["pipeline_collector_success"].samples}
        assert set(success.values()) == {1.0}
        assert {"runs", "daemons", "event log", "loads", "database", "home"} <= success.keys()
    assert pipeline("metrics", "--listen", "nowhere").code == 1


def test_pruning_is_rehearsed_and_done_and_an_age_of_hours_is_refused(pipeline: Pipeline, home: Path) -> None:
    assert home
    rehearsed = pipeline("prune", "--older-than", "7d", "--dry-run", "--json")
    done = pipeline("prune")

    assert json.loads(rehearsed.out) | {"ended_before": ""} == {
        "ended_before": "",
        "runs": 0,
        "rows": 0,
        "dry_run": True,
    }
    assert done.out.startswith("0 log lines of 0 runs that ended before ")
    assert pipeline("prune", "--older-than", "0d").code == 1
    assert pipeline("prune", "--older-than", "soon").code == 2


def test_errors_are_lines_that_programs_read_when_the_environment_says_so(
    pipeline: Pipeline, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert home
    monkeypatch.setenv("PIPELINE_LOG_FORMAT", "json")

    ended = pipeline("health", "--least-free", "much")

    told = json.loads(ended.err)
    assert ended.code == 1
    assert told["level"] == "ERROR"
    assert told["message"].startswith("'much' is no number of GiB")
    assert told["command"] == ["health"]
