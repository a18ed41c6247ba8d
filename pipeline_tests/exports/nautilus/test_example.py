"""The example for users, run as they run it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.exports.run import PublishedExport


def _run(catalog: Path, instrument: str, quantity: str) -> list[str]:
    finished = subprocess.run(
        [
            *(sys.executable, str(PROJECT_ROOT / "examples" / "nautilus_backtest.py")),
            *("--catalog", str(catalog), "--instrument", instrument, "--quantity", quantity),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.splitlines()


def test_an_option_is_settled_at_the_exchange_s_own_price(published: PublishedExport[Path]) -> None:
    assert _run(published.path, "NIFTY250814C24500.NSE", "75") == [
        "BUY 75 NIFTY250814C24500.NSE at 90.05",
        "SELL 75 NIFTY250814C24500.NSE at 108.40",
    ]


def test_a_pair_is_bought_by_fractions_and_held(published_pairs: PublishedExport[Path]) -> None:
    assert _run(published_pairs.path, "BTCUSDT.BINANCE", "0.5") == ["BUY 0.50000000 BTCUSDT.BINANCE at 117000.01000000"]
