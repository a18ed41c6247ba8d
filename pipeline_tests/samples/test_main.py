from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.samples.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path


def test_a_preset_is_written_and_summed_up_as_json(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline_defs.samples", "--preset", "tiny", "--output", str(tmp_path)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    summary = json.loads(finished.stdout)
    assert summary["preset"] == "tiny"
    assert summary["rows"] == sum(product["rows"] for product in summary["products"].values())
    assert summary["files"] == len([path for path in (tmp_path / "landing").rglob("*") if path.is_file()])


@pytest.mark.parametrize(
    "arguments", [["--preset", "demo"], ["--preset", "benchmark", "--rows", "5000", "--files", "20"]]
)
def test_other_presets_are_written_as_well(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--output", str(tmp_path)]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["preset"] == arguments[1]
    assert (summary["truth"] is None) == (arguments[1] == "benchmark")


def test_what_cannot_be_made_is_said_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--preset", "benchmark", "--rows", "10", "--files", "20", "--output", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "ask for more rows or fewer files" in captured.err
