"""An engine reports from a process of its own; a process that dies is a failed verification."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.exports.patience import TooSlowError, run_engine
from pipeline_defs.exports.verifying import MAX_FAILURES, REPORT_FILE, Report, verify_in_process
from pipeline_defs.schema.exports import BuiltExport

if TYPE_CHECKING:
    from pathlib import Path


def test_many_failures_are_told_in_part(tmp_path: Path) -> None:
    report = Report("engine 1")
    for number in range(MAX_FAILURES + 7):
        report.expect("bar", number, -1)
    report.write(tmp_path)

    told = json.loads((tmp_path / REPORT_FILE).read_text())["failures"]
    assert (len(told), told[-1]) == (MAX_FAILURES + 1, "and 7 more")


def test_a_process_that_ends_without_a_report_fails_the_verification(tmp_path: Path) -> None:
    built = BuiltExport(tmp_path, {}, pl.DataFrame(), "engine 1", {})

    verification = verify_in_process("pipeline_defs.no_such_module", built, lambda _: ["already wrong"])

    assert not verification.passed
    assert verification.failures[0] == "already wrong"
    assert "exit code 1" in verification.failures[1]
    assert "no_such_module" in verification.failures[1]


def test_an_engine_that_hangs_is_ended_and_nothing_counts_as_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_ENGINE_SECONDS", "5")
    built = BuiltExport(tmp_path, {}, pl.DataFrame(), "engine 1", {})

    with pytest.raises(TooSlowError, match="not done after 5 s and was ended; nothing is published") as told:
        verify_in_process("pipeline_tests.exports.hanging", built, lambda _: [])

    assert told.value.where == str(tmp_path)
    assert "PIPELINE_ENGINE_SECONDS" in str(told.value.next_step)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "ten", "604801", "٣"])
def test_a_time_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_ENGINE_SECONDS", text)
    with pytest.raises(ConfigurationError, match=r"PIPELINE_ENGINE_SECONDS: is .*, expected a whole number of seconds"):
        run_engine(["true"], where="an export")
