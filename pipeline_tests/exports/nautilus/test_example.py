"""The example for users, run as they run it."""

from __future__ import annotations

import runpy
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.exports.run import PublishedExport


EXAMPLE = PROJECT_ROOT / "examples" / "nautilus_backtest.py"


def test_an_option_is_settled_at_the_exchange_s_own_price(published: PublishedExport[Path]) -> None:
    option = ("--instrument", "NIFTY250814C24500.NSE", "--quantity", "75")
    finished = subprocess.run(
        [sys.executable, str(EXAMPLE), "--catalog", str(published.path), *option],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines() == [
        "BUY 75 NIFTY250814C24500.NSE at 90.05",
        "SELL 75 NIFTY250814C24500.NSE at 108.40",
    ]


@pytest.mark.filterwarnings("ignore:Timestamp.utcnow is deprecated")
def test_a_pair_is_bought_by_fractions_and_held(published_pairs: PublishedExport[Path]) -> None:
    run = runpy.run_path(str(EXAMPLE))["run"]
    assert run([published_pairs.path], "BTCUSDT.BINANCE", Decimal("0.5")) == [
        "BUY 0.50000000 BTCUSDT.BINANCE at 117000.01000000"
    ]
