"""The demo runs the whole path on a home of its own and says what came of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.demo import _succeeded
from pipeline_defs.errors import PipelineError
from pipeline_defs.orchestration.runs import PartitionRun
from pipeline_defs.warehouse.embedded import stop

if TYPE_CHECKING:
    from pathlib import Path


def test_the_demo_imports_exports_and_both_engines_agree(tmp_path: Path) -> None:
    environment = {**os.environ, "PIPELINE_HOME": str(tmp_path)}
    try:
        completed = subprocess.run(
            [sys.executable, "-m", "pipeline_defs.demo"], env=environment, capture_output=True, text=True, check=False
        )
    finally:
        stop(tmp_path / "postgres")

    assert completed.returncode == 0, completed.stderr
    summary = completed.stdout
    assert "sessions    5: 2025-08-08 to 2025-08-14" in summary
    assert "confirmed by nautilus_trader" in summary
    assert "confirmed by backtrader" in summary
    assert "parity      backtrader, csv, lean, nautilus, parquet give the same bars:" in summary
    profits = re.findall(r"profit (-?[\d.]+) ", summary)
    assert len(profits) == 2
    assert profits[0] == profits[1]
    assert "make ui" in summary
    assert (tmp_path / "catalogs" / "nautilus" / "NIFTY" / "2025-08" / "_manifest.json").is_file()


def test_a_failed_run_ends_the_demo_with_what_the_step_said() -> None:
    with pytest.raises(PipelineError, match="the file is damaged"):
        _succeeded(PartitionRun(run_id="1", succeeded=False, failures=["the file is damaged"]))
