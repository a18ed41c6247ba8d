from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from nautilus_trader.model.currencies import INR
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AssetClass, OptionKind
from nautilus_trader.model.identifiers import InstrumentId, Symbol
from nautilus_trader.model.instruments import Equity, IndexInstrument, Instrument, OptionContract
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from pipeline_defs.backtests.nautilus_hold import MAX_QUANTITY, hold_to_expiry, main
from pipeline_defs.backtests.result import Fill
from pipeline_defs.errors import ConfigurationError, ExportError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:Timestamp.utcnow is deprecated")

CLOSE = dt.datetime(2025, 8, 14, 10, tzinfo=dt.UTC)
BARS = 6
MINUTE_NS = 60 * 10**9
CLOSE_NS = int(CLOSE.timestamp()) * 10**9
FIRST_NS = CLOSE_NS - (BARS - 1) * MINUTE_NS
FIRST = CLOSE - dt.timedelta(minutes=BARS - 1)
OPTION = "NIFTY250814C24500.NSE"


def _bars(name: str, closes: list[str], volume: int, last_ns: int = CLOSE_NS) -> list[Bar]:
    bar_type = BarType.from_str(f"{name}-1-MINUTE-LAST-EXTERNAL")
    first_ns = last_ns - (len(closes) - 1) * MINUTE_NS
    return [
        Bar(
            bar_type,
            Price.from_str(close),
            Price.from_str(f"{Decimal(close) + 5}"),
            Price.from_str(f"{Decimal(close) - 5}"),
            Price.from_str(close),
            Quantity.from_int(volume),
            first_ns + number * MINUTE_NS,
            first_ns + number * MINUTE_NS,
        )
        for number, close in enumerate(closes)
    ]


def _option(strike: str, kind: OptionKind, activation_ns: int = 0) -> OptionContract:
    return OptionContract(
        instrument_id=InstrumentId.from_str(OPTION),
        raw_symbol=Symbol("NIFTY14AUG2524500CE"),
        asset_class=AssetClass.INDEX,
        currency=INR,
        price_precision=2,
        price_increment=Price.from_str("0.05"),
        multiplier=Quantity.from_int(1),
        lot_size=Quantity.from_int(75),
        underlying="NIFTY",
        option_kind=kind,
        strike_price=Price.from_str(strike),
        activation_ns=activation_ns,
        expiration_ns=CLOSE_NS + 1,
        ts_event=0,
        ts_init=0,
    )


def _index() -> Instrument:
    return IndexInstrument(
        InstrumentId.from_str("NIFTY.NSE"),
        Symbol("NIFTY 50"),
        INR,
        2,
        0,
        Price.from_str("0.01"),
        Quantity.from_int(1),
        0,
        0,
    )


def _share() -> Instrument:
    return Equity(
        InstrumentId.from_str("NIFTY.NSE"), Symbol("NIFTY"), INR, 2, Price.from_str("0.05"), Quantity.from_int(1), 0, 0
    )


def _catalog(
    folder: Path,
    option: OptionContract,
    *,
    underlying: Instrument | None = None,
    underlying_close: str = "24512.35",
    volume: int = 30_000,
    underlying_last_ns: int = CLOSE_NS,
) -> Path:
    catalog = ParquetDataCatalog(str(folder))
    catalog.write_data([option])
    catalog.write_data(_bars(OPTION, ["101.05", "99.00", "80.00", "60.00", "30.00", "11.00"], volume))
    if underlying is not None:
        catalog.write_data([underlying])
        catalog.write_data(_bars("NIFTY.NSE", ["24600.10", underlying_close], 0, underlying_last_ns))
    return folder


@pytest.mark.parametrize(
    ("strike", "kind", "settlement", "profit"),
    [
        # Worked out by hand: 24512.35 - 24500 = 12.35, and (12.35 - 101.05) x 75 = -6652.50.
        ("24500.00", OptionKind.CALL, "12.35", "-6652.50"),
        ("24300.50", OptionKind.CALL, "211.85", "8310.00"),
        ("24500.00", OptionKind.PUT, "0.00", "-7578.75"),
        ("24700.05", OptionKind.PUT, "187.70", "6498.75"),
        ("24512.35", OptionKind.CALL, "0.00", "-7578.75"),
    ],
)
def test_profit_is_the_intrinsic_value_less_the_first_close(
    tmp_path: Path, strike: str, kind: OptionKind, settlement: str, profit: str
) -> None:
    result = hold_to_expiry(_catalog(tmp_path, _option(strike, kind), underlying=_index()), OPTION, 75)
    assert (result.entry_price, result.entry_time) == (Decimal("101.05"), FIRST)
    assert (result.exit_price, result.exit_time) == (Decimal(settlement), CLOSE)
    assert result.gross_pnl == Decimal(profit)
    assert result.fills == (Fill("BUY", Decimal("101.05"), FIRST), Fill("SELL", Decimal(settlement), CLOSE))
    assert result.engine == "nautilus_trader 1.231.0"


@pytest.mark.parametrize("volume", [0, 75])
def test_the_whole_order_is_filled_at_the_close_whatever_the_volume(tmp_path: Path, volume: int) -> None:
    catalog = _catalog(tmp_path, _option("24500.00", OptionKind.CALL), underlying=_index(), volume=volume)
    result = hold_to_expiry(catalog, OPTION, 7_500)
    assert result.gross_pnl == (Decimal("12.35") - Decimal("101.05")) * 7_500
    assert len(result.fills) == 2


def test_an_option_on_a_share_is_valued_in_cash(tmp_path: Path) -> None:
    result = hold_to_expiry(_catalog(tmp_path, _option("24500.00", OptionKind.CALL), underlying=_share()), OPTION, 75)
    assert (result.exit_price, result.gross_pnl) == (Decimal("12.35"), Decimal("-6652.50"))


@pytest.mark.parametrize("quantity", [0, -75, MAX_QUANTITY + 1])
def test_quantities_out_of_range_are_refused(tmp_path: Path, quantity: int) -> None:
    with pytest.raises(ConfigurationError, match=f"quantity was {quantity}"):
        hold_to_expiry(tmp_path, OPTION, quantity)


def test_an_instrument_that_is_not_there_or_no_option_is_refused(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path, _option("24500.00", OptionKind.CALL), underlying=_index())
    with pytest.raises(ConfigurationError, match=r"NIFTY250814C1\.NSE is not in the catalog, expected an option"):
        hold_to_expiry(catalog, "NIFTY250814C1.NSE", 75)
    with pytest.raises(ConfigurationError, match=r"NIFTY\.NSE is of class IndexInstrument, expected an option"):
        hold_to_expiry(catalog, "NIFTY.NSE", 75)


def test_an_option_without_its_underlying_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"the underlying NIFTY\.NSE is not in the catalog"):
        hold_to_expiry(_catalog(tmp_path, _option("24500.00", OptionKind.CALL)), OPTION, 75)


def test_an_option_without_bars_is_refused(tmp_path: Path) -> None:
    ParquetDataCatalog(str(tmp_path)).write_data([_option("24500.00", OptionKind.CALL)])
    ParquetDataCatalog(str(tmp_path)).write_data([_index()])
    with pytest.raises(ConfigurationError, match="holds no bars of the instrument"):
        hold_to_expiry(tmp_path, OPTION, 75)


@pytest.mark.parametrize("hours", [24, -17, -24])
def test_an_underlying_without_a_price_in_the_last_session_is_refused(tmp_path: Path, hours: int) -> None:
    catalog = _catalog(
        tmp_path,
        _option("24500.00", OptionKind.CALL),
        underlying=_index(),
        underlying_last_ns=CLOSE_NS + hours * 3_600 * 10**9,
    )
    with pytest.raises(ConfigurationError, match="expected one of the same session"):
        hold_to_expiry(catalog, OPTION, 75)


def test_an_order_that_the_engine_refuses_is_an_error_with_its_reason(tmp_path: Path) -> None:
    late = _option("24500.00", OptionKind.CALL, activation_ns=CLOSE_NS)
    with pytest.raises(ExportError, match=r"bought 0 and settled 0 of 75 units; the engine refused: .*activation"):
        hold_to_expiry(_catalog(tmp_path, late, underlying=_index()), OPTION, 75)


def test_the_command_line_prints_one_json_object(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path, _option("24500.00", OptionKind.CALL), underlying=_index())
    command = ["-m", "pipeline_defs.backtests.nautilus_hold", "--catalog", str(catalog), "--instrument", OPTION]
    done = subprocess.run(
        [sys.executable, *command, "--quantity", "75", "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {
        "engine": "nautilus_trader 1.231.0",
        "instrument": OPTION,
        "quantity": 75,
        "fills": [
            {"side": "BUY", "price": "101.05", "timestamp": "2025-08-14T09:55:00+00:00"},
            {"side": "SELL", "price": "12.35", "timestamp": "2025-08-14T10:00:00+00:00"},
        ],
        "settlement_price": "12.35",
        "gross_pnl": "-6652.50",
    }
    assert done.stderr == ""


def test_the_command_line_says_it_in_words_and_fails_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = _catalog(tmp_path, _option("24500.00", OptionKind.CALL), underlying=_index())
    options = ["--catalog", str(catalog), "--quantity", "75", "--instrument"]
    assert main([*options, OPTION]) == 0
    assert "75 x NIFTY250814C24500.NSE bought at 101.05" in capsys.readouterr().out
    assert main([*options, "NIFTY.NSE"]) == 1
    assert "expected an option" in capsys.readouterr().err
