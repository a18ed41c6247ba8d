"""An engine reports from a process of its own; a process that dies is a failed verification."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl

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
