"""What these tests offer to those that all sources share."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

from pipeline_tests.sources.offline import Offline, Row
from pipeline_tests.sources.zerodha.server import KEY, SECRET, TOKEN, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

TRADE_DATE = dt.date(2025, 8, 20)

UNIVERSE: dict[str, object] = {
    "equities": ["RELIANCE"],
    "indices": ["NIFTY 50"],
    "futures": [{"underlying": "NIFTY", "expiries": [dt.date(2030, 12, 31)]}],
    "options": [{"underlying": "NIFTY", "expiries": [dt.date(2030, 12, 31)], "strikes": [24500, 24500]}],
}


def _row(symbol: str, close: str, *measured: str | None) -> Row:
    instant = dt.datetime.fromisoformat(f"2025-08-20T{close}:00+00:00")
    opened, high, low, closed, volume = (None if text is None else Decimal(text) for text in measured)
    return symbol, instant, opened, high, low, closed, volume


EXPECTED: dict[str, list[Row]] = {
    "equity_daily": [_row("RELIANCE", "10:00", "1400", "1401.5", "1399.55", "1400.1", "2000")],
    "spot_prices": [
        _row("RELIANCE", "03:46", "1400", "1401.5", "1399.55", "1400.35", "1000"),
        _row("RELIANCE", "03:47", "1400.35", "1400.85", "1400.35", "1400.8", "250"),
        _row("RELIANCE", "10:00", "1400.8", "1400.8", "1400.1", "1400.1", "750"),
        _row("NIFTY 50", "03:46", "24420", "24421.5", "24419.55", "24420.35", None),
        _row("NIFTY 50", "03:47", "24420.35", "24420.85", "24420.35", "24420.8", None),
        _row("NIFTY 50", "10:00", "24420.8", "24420.8", "24420.1", "24420.1", None),
    ],
    "futures_ticks": [
        _row("NIFTY30DECFUT", "03:46", "24620", "24621.5", "24619.55", "24620.35", "1000"),
        _row("NIFTY30DECFUT", "03:47", "24620.35", "24620.85", "24620.35", "24620.8", "250"),
        _row("NIFTY30DECFUT", "10:00", "24620.8", "24620.8", "24620.1", "24620.1", "750"),
    ],
    "options_ticks": [
        _row("NIFTY30DEC24500CE", "03:46", "200", "201.5", "199.55", "200.35", "1000"),
        _row("NIFTY30DEC24500CE", "03:47", "200.35", "200.85", "200.35", "200.8", "250"),
        _row("NIFTY30DEC24500CE", "10:00", "200.8", "200.8", "200.1", "200.1", "750"),
        _row("NIFTY30DEC24500PE", "03:46", "180", "181.5", "179.55", "180.35", "1000"),
        _row("NIFTY30DEC24500PE", "03:47", "180.35", "180.85", "180.35", "180.8", "250"),
        _row("NIFTY30DEC24500PE", "10:00", "180.8", "180.8", "180.1", "180.1", "750"),
    ],
}
"""The 20th of the server's made-up month, by hand: base price plus 20, and each bar at its close in UTC."""


@contextmanager
def start() -> Iterator[Offline]:
    with serve() as kite:
        yield Offline(
            environment={
                "PIPELINE_ZERODHA_ENDPOINT": kite.url,
                "ZERODHA_API_KEY": KEY,
                "ZERODHA_API_SECRET": SECRET,
                "ZERODHA_ACCESS_TOKEN": TOKEN,
            },
            universe=UNIVERSE,
            trade_date=TRADE_DATE,
            expected=EXPECTED,
            requests=lambda: list(kite.history),
            secrets=[KEY, SECRET, TOKEN],
            range=(dt.date(2025, 8, 1), dt.date(2025, 8, 30)),
            fail_next=kite.fail_next,
        )
