"""Writes one of each class with Nautilus 2's own writer; a script for that version's environment: OUTPUT."""

from __future__ import annotations

import sys
from decimal import Decimal
from importlib import import_module

model, persistence = (import_module(f"nautilus_trader.{name}") for name in ("model", "persistence"))

START = 1_755_056_700_000_000_000
EXPIRY = 1_755_165_600_000_000_001
ZERO = {"margin_init": Decimal(0), "margin_maint": Decimal(0)}


def main() -> None:
    catalog = persistence.ParquetDataCatalog(sys.argv[1])
    name, symbol = model.InstrumentId.from_str, model.Symbol
    price, size, currency = model.Price.from_str, model.Quantity.from_str, model.Currency.from_str
    index, option, pair = name("NIFTY.NSE"), name("NIFTY250814C24500.NSE"), name("BTCUSDT.BINANCE")
    contract = (currency("INR"), 2, price("0.05"), size("1"), size("75"), START, START)
    life = (0, EXPIRY)
    catalog.write_instruments(
        [
            model.IndexInstrument(
                index, symbol("NIFTY 50.NSE_IDX"), currency("INR"), 2, 0, price("0.01"), size("1"), START, START
            ),
            model.OptionContract(
                option,
                symbol("NIFTY14AUG2524500CE.NFO"),
                model.AssetClass.INDEX,
                "NIFTY",
                model.OptionKind.CALL,
                price("24500.00"),
                currency("INR"),
                *life,
                *contract[1:],
                exchange="XNSE",
                info={"expiry_date": "2025-08-14", "lot_size_known": True},
                **ZERO,
            ),
            model.FuturesContract(
                name("NIFTY25AUGFUT.NSE"),
                symbol("F"),
                model.AssetClass.INDEX,
                "NIFTY",
                *life,
                *contract,
                exchange="XNSE",
                **ZERO,
            ),
            model.Equity(
                name("TCS.NSE"),
                symbol("TCS"),
                currency("INR"),
                2,
                price("0.05"),
                START,
                START,
                isin="INE467B01029",
                lot_size=size("1"),
                **ZERO,
            ),
            model.CurrencyPair(
                pair,
                symbol("BTC/USDT"),
                currency("BTC"),
                currency("USDT"),
                8,
                8,
                price("0.00000001"),
                size("0.00000001"),
                START,
                START,
                multiplier=size("1"),
                **ZERO,
            ),
        ]
    )
    times = (START, START)
    prices = [price("1.00")] * 4
    kind = model.BarType.from_str("NIFTY.NSE-1-MINUTE-LAST-EXTERNAL")
    catalog.write_bars([model.Bar(kind, *prices, size("1"), *times)])
    none = model.AggressorSide.NO_AGGRESSOR
    catalog.write_trade_ticks([model.TradeTick(pair, price("1.00"), size("0.5"), none, model.TradeId("1-0"), *times)])
    catalog.write_quote_ticks([model.QuoteTick(pair, *prices[:2], size("0.5"), size("0.5"), *times)])
    catalog.write_index_price_updates([model.IndexPriceUpdate(index, price("1.00"), *times)])
    unknown = float("nan")
    catalog.write_option_greeks([model.OptionGreeks(option, *[unknown] * 5, None, None, None, None, 75.0, *times)])


if __name__ == "__main__":
    main()
