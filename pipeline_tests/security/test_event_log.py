"""Runs that fail with every secret in play, and a search for these over all that Dagster keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import dagster as dg
import pytest

from pipeline_defs.errors import PipelineError, SourceError
from pipeline_defs.operations.logs import without_secrets
from pipeline_defs.orchestration.assets.describing import failures_explained
from pipeline_defs.orchestration.commands.running import run_command, shown_command
from pipeline_defs.orchestration.commands.telling import Listener, failures_told
from pipeline_defs.orchestration.hiding import without_secrets_in
from pipeline_defs.orchestration.runs import open_instance
from pipeline_defs.settings import load_settings
from pipeline_defs.sources.asking.credentials import read_credential

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRETS: Final = {
    "PIPELINE_DATABASE_URL": "Zz-database%2Fpart",
    "AWS_SECRET_ACCESS_KEY": "Zz-object-store",
    "AWS_SESSION_TOKEN": "Zz-session-of-store",
    "POLYGON_API_KEY": "Zz-polygon",
    "ZERODHA_ACCESS_TOKEN": "Zz-zerodha",
    "PIPELINE_ALERT_SMTP_PASSWORD": "Zz-mail",
    "DAGSTER_POSTGRES_PASSWORD": "Zz-dagster",
}
MARK: Final = b"Zz-"
BROKER: Final = "amqp://worker:Zz-broker@127.0.0.1:1//"
SAID: Final = " and ".join((*SECRETS.values(), "Zz-database/part", BROKER))


class OddError(Exception):
    """A client's error that makes its text by itself."""

    def __init__(self, body: str) -> None:
        super().__init__()
        self.body = body

    def __str__(self) -> str:
        return f"the server said {self.body}"


def _odd() -> None:
    raise OddError(SAID)


def _plain() -> None:
    raise RuntimeError(f"connection refused: {SAID}")


def _chained() -> None:
    try:
        dict[str, str]()[SAID]
    except KeyError as error:
        error.add_note(SAID)
        raise ValueError("cannot be read") from error


def _in_passing() -> None:
    try:
        _odd()
    except OddError:
        raise OSError(5, SAID)  # noqa: B904 -- the context is what is tried


def _on_purpose() -> None:
    raise SourceError(f"refused {SAID}", where=SAID, next_step=f"use {SAID}")


def _group() -> None:
    raise ExceptionGroup("several", [OddError(SAID), ValueError(SAID)])


FAILURES: Final = (_plain, _chained, _in_passing, _on_purpose, _group)


@pytest.fixture
def _planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv(
        "PIPELINE_DATABASE_URL", f"postgresql://me:{SECRETS['PIPELINE_DATABASE_URL']}@127.0.0.1:1/market"
    )
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    for name in ("POLYGON_API_KEY", "ZERODHA_ACCESS_TOKEN", "PIPELINE_ALERT_SMTP_PASSWORD"):
        read_credential(name, "a key")


def _job(fail: Callable[[], None], index: int) -> dg.JobDefinition:
    @dg.op(name=f"told_{index}", config_schema={"address": str})
    def told(context) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 -- Dagster reads annotations
        context.log.info(without_secrets(SAID))
        with failures_told(context):
            fail()

    @dg.job(name=f"failing_{index}")
    def failing() -> None:
        told()

    return failing


@pytest.mark.usefixtures("_planted")
def test_no_secret_is_in_events_tags_or_files_of_runs_that_fail(tmp_path: Path) -> None:
    settings = load_settings()
    typed = ["import", "--token", "Zz-typed", f"--database={BROKER}", "--api-key=Zz-typed-too"]
    for index, fail in enumerate(FAILURES):
        with pytest.raises((RuntimeError, ValueError, OSError, SourceError, ExceptionGroup)):
            run_command(
                _job(fail, index), {"address": "none"}, settings, Listener(), tags={"typed": shown_command(typed)}
            )

    with open_instance(settings) as instance:
        runs = list(instance.get_runs())
        assert len(runs) == len(FAILURES)
        assert {run.status for run in runs} == {dg.DagsterRunStatus.FAILURE}
        kept = "\n".join(str(event) for run in runs for event in instance.all_logs(run.run_id))
        kept += "".join(str(run.tags) + str(run.run_config) for run in runs)
    assert "connection refused: " in kept
    assert MARK.decode() not in kept
    files = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    assert [path for path in files if MARK in path.read_bytes()] == []


@pytest.mark.usefixtures("_planted")
@pytest.mark.parametrize("fail", FAILURES)
def test_an_asset_that_fails_tells_no_secret(fail: Callable[[], None]) -> None:
    @dg.asset
    def failing() -> None:
        with failures_explained():
            fail()

    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([failing], instance=instance, raise_on_error=False)
        kept = "\n".join(str(event) for event in instance.all_logs(result.run_id))

    assert not result.success
    assert "***" in kept or "they held a secret" in kept
    assert MARK.decode() not in kept


@pytest.mark.usefixtures("_planted")
def test_an_error_without_secrets_stays_as_it_is() -> None:
    error: Any = OddError("hello")

    assert without_secrets_in(error) is error
    assert str(error) == "the server said hello"
    assert isinstance(without_secrets_in(OddError(SAID)), PipelineError)
