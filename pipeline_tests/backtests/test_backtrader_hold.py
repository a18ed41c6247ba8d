"""Held to expiry in Backtrader: known prices, to the paisa, and the same as in Nautilus."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.backtests.backtrader_hold import ENGINE, MAX_QUANTITY, hold_to_expiry, main
from pipeline_defs.errors import ConfigurationError, ExportError
from pipeline_defs.exports.backtrader.build import build_files
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.exports.backtrader.slices import (
    SESSIONS,
    bars_of,
    close_of,
    instrument,
    make_slice,
    nifty_slice,
    option,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import MarketSlice

CALL = "NIFTY_250814_24600_CE"
FIRST_BAR = dt.datetime(2025, 8, 13, 9, 31, tzinfo=dt.UTC)
EXPIRY = dt.datetime(2025, 8, 14, 10, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("export")
    build_files(nifty_slice(), root)
    return root


def build(market: MarketSlice, root: Path) -> Path:
    root.mkdir()
    build_files(market, root)
    return root


def test_an_option_is_bought_at_its_first_close_and_settled_at_its_intrinsic_value(directory: Path) -> None:
    result = hold_to_expiry(directory, CALL, 75)
    # First close 92.05; the index closes at 24607.85.
    assert (result.engine, result.instrument, result.quantity) == (ENGINE, CALL, 75)
    assert (result.entry_price, result.entry_time) == (Decimal("92.05"), FIRST_BAR)
    assert (result.exit_price, result.exit_time) == (Decimal("7.85"), EXPIRY)
    assert result.gross_pnl == Decimal("-6315.00")
    assert [(fill.side, fill.price, fill.timestamp) for fill in result.fills] == [
        ("BUY", Decimal("92.05"), FIRST_BAR),
        ("SELL", Decimal("7.85"), EXPIRY),
    ]


@pytest.mark.parametrize(
    ("contract", "pnl"),
    [
        ("NIFTY_250814_24500_CE", "17.80"),
        ("NIFTY_250814_24500_PE", "-91.05"),
        ("NIFTY_250814_24650.5_PE", "-50.40"),
        ("NIFTY_250814_FUT", "7.80"),
    ],
)
def test_calls_puts_and_futures_each_have_their_own_outcome(directory: Path, contract: str, pnl: str) -> None:
    assert hold_to_expiry(directory, contract, 1).gross_pnl == Decimal(pnl)


@pytest.mark.parametrize("quantity", [1, 75, 12_345, MAX_QUANTITY])
def test_the_profit_and_loss_is_exact_at_any_quantity(directory: Path, quantity: int) -> None:
    assert hold_to_expiry(directory, CALL, quantity).gross_pnl == (Decimal("7.85") - Decimal("92.05")) * quantity


def test_prices_are_written_with_paise(directory: Path) -> None:
    result = json.loads(hold_to_expiry(directory, "NIFTY_250814_24500_PE", 75).to_json())
    assert [fill["price"] for fill in result["fills"]] == ["91.05", "0.00"]
    assert result["settlement_price"] == "0.00"
    assert result["gross_pnl"] == "-6828.75"


def test_an_option_that_stops_trading_before_its_expiry_is_settled_at_the_expiry(tmp_path: Path) -> None:
    early = pl.col("timestamp") < close_of(SESSIONS[1]) - dt.timedelta(minutes=10)
    market = make_slice(
        [instrument(1, "SPOT"), option(2, "24500", "CE")],
        [bars_of(1, "24561.35", "0", minutes=30), bars_of(2, "60.1", minutes=30).filter(early)],
    )
    result = hold_to_expiry(build(market, tmp_path / "export"), "NIFTY_250814_24500_CE", 75)
    assert (result.exit_price, result.exit_time) == (Decimal("61.35"), EXPIRY)


def test_an_option_may_trade_before_its_underlying(tmp_path: Path) -> None:
    market = make_slice(
        [instrument(1, "SPOT"), option(2, "24500", "CE")],
        [bars_of(1, "24561.35", "0", minutes=5), bars_of(2, "60.1", minutes=30)],
    )
    result = hold_to_expiry(build(market, tmp_path / "export"), "NIFTY_250814_24500_CE", 75)
    assert result.entry_time == FIRST_BAR
    assert result.entry_price == Decimal("60.10")


@pytest.mark.parametrize("quantity", [0, -75, MAX_QUANTITY + 1])
def test_a_quantity_out_of_range_is_refused(directory: Path, quantity: int) -> None:
    with pytest.raises(ConfigurationError, match=f"quantity was {quantity}, expected 1 to 1000000 units"):
        hold_to_expiry(directory, CALL, quantity)


def test_a_contract_that_is_not_there_is_refused(directory: Path) -> None:
    with pytest.raises(ConfigurationError, match="names NIFTY_250814_1_CE are not among the 8 known ones"):
        hold_to_expiry(directory, "NIFTY_250814_1_CE", 75)


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        ("NIFTY_250828_24500_CE", "the contract expires at 2025-08-28 15:30:00, and the export holds no settlement"),
        ("NIFTY_IDX", "the contract never expires"),
    ],
)
def test_what_does_not_expire_within_the_export_is_refused(directory: Path, contract: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        hold_to_expiry(directory, contract, 75)


@pytest.mark.parametrize(("day", "told"), [(0, "; orders ended as Rejected"), (1, "")])
def test_a_contract_whose_only_bar_is_the_one_at_its_expiry_is_not_bought(tmp_path: Path, day: int, told: str) -> None:
    last = pl.col("timestamp") == close_of(SESSIONS[day])
    market = make_slice(
        [instrument(1, "SPOT"), option(2, "24500", "CE", SESSIONS[day])],
        [bars_of(1, "24561.35", "0", minutes=5), bars_of(2, "60.1", minutes=5).filter(last)],
    )
    root = build(market, tmp_path / "export")
    with pytest.raises(ExportError) as caught:
        hold_to_expiry(root, f"NIFTY_25081{3 + day}_24500_CE", 75)
    # Of what happens with the very last bar, Backtrader tells a strategy nothing.
    assert caught.value.what == f"executions were [] units, expected [75, -75]{told}"


def test_the_command_prints_one_json_object(directory: Path) -> None:
    arguments = ["--directory", str(directory), "--contract", CALL, "--quantity", "75", "--json"]
    finished = subprocess.run(
        [sys.executable, "-m", "pipeline_defs.backtests.backtrader_hold", *arguments],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(finished.stdout) == {
        "engine": ENGINE,
        "instrument": CALL,
        "quantity": 75,
        "fills": [
            {"side": "BUY", "price": "92.05", "timestamp": "2025-08-13T09:31:00+00:00"},
            {"side": "SELL", "price": "7.85", "timestamp": "2025-08-14T10:00:00+00:00"},
        ],
        "settlement_price": "7.85",
        "gross_pnl": "-6315.00",
    }


def test_the_command_prints_a_sentence_or_an_error(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--directory", str(directory), "--contract", CALL, "--quantity"]
    assert main([*arguments, "75"]) == 0
    assert "gross profit and loss -6315.00" in capsys.readouterr().out
    assert main([*arguments, "0"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"{CALL}: quantity was 0")


@pytest.mark.filterwarnings("ignore:Timestamp.utcnow is deprecated")  # Nautilus' own
def test_both_engines_fill_at_the_same_prices_and_agree_to_the_paisa(directory: Path, tmp_path: Path) -> None:
    from pipeline_defs.backtests import nautilus_hold  # noqa: PLC0415 -- imports Nautilus
    from pipeline_defs.exports.nautilus.build import build_catalog  # noqa: PLC0415 -- imports Nautilus

    build_catalog(nifty_slice(), tmp_path)
    pairs = {
        "NIFTY_250814_24500_CE": "NIFTY250814C24500.NSE",
        "NIFTY_250814_24500_PE": "NIFTY250814P24500.NSE",
        "NIFTY_250814_24600_CE": "NIFTY250814C24600.NSE",
        "NIFTY_250814_24650.5_PE": "NIFTY250814P24650.5.NSE",
    }
    for name, nautilus_id in pairs.items():
        here = json.loads(hold_to_expiry(directory, name, 75).to_json())
        there = json.loads(nautilus_hold.hold_to_expiry(tmp_path, nautilus_id, 75).to_json())
        for key in ("quantity", "fills", "settlement_price", "gross_pnl"):
            assert here[key] == there[key], (name, key)
