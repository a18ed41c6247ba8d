"""The example runs as its first lines say, and its profit is that of a calculation by hand."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl

from pipeline_defs.exports.backtrader.build import build_files
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.exports.backtrader.slices import nifty_slice

if TYPE_CHECKING:
    from pathlib import Path


def close_at(folder: Path, contract: str, stamp: str) -> Decimal:
    lines = (folder / f"{contract}_1m.csv").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(stamp))
    return Decimal(line.split(",")[4])


def test_the_straddle_is_bought_and_settled_at_expiry(tmp_path: Path) -> None:
    build_files(nifty_slice(), tmp_path)
    finished = subprocess.run(
        [sys.executable, "examples/backtrader_backtest.py", str(tmp_path), "--lots", "2"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    # Of the strikes that expire on the 14th, 24600 lies nearest to the index, and has a call alone.
    name, stamp = "NIFTY_250814_24600_CE", "2025-08-14 15:01"
    entry = close_at(tmp_path, name, stamp)
    # 2 lots of 75; the index closes at 24607.85.
    profit = (Decimal("7.85") - entry) * 150
    assert finished.stdout.splitlines() == [
        f"{stamp} {name} bought at {entry:.2f}",
        f"2025-08-14 15:30 {name} settled (last underlying bar) at 7.85",
        f"profit {profit:.2f}, cash {1_000_000 + profit:.2f}",
    ]


def test_without_a_contract_that_expires_there_is_nothing_to_trade_and_the_exit_code_says_so(tmp_path: Path) -> None:
    market = nifty_slice(2)
    kept = market.instruments.filter(pl.col("instrument_id").is_in([1, 14, 15]))
    build_files(
        dataclasses.replace(
            market, instruments=kept, read_bars=lambda *_: market.read_bars(kept["instrument_id"].to_list())
        ),
        tmp_path,
    )
    finished = subprocess.run(
        [sys.executable, "examples/backtrader_backtest.py", str(tmp_path)],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert finished.stdout == "profit 0.00, cash 1000000.00\n"
