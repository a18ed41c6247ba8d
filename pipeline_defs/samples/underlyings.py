"""The underlyings of the sample market: indices and shares with their terms.

Lot sizes and price levels are those of 2025 and serve samples only: they are no reference data.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.samples.prices import PRICE_SCALE, TICK_E4


@dataclass(frozen=True, slots=True)
class Underlying:
    """An index or share of the sample market.

    Parameters
    ----------
    symbol : str
        Name in derivatives and cash symbols.
    kind : str
        ``SPOT`` (index) or ``EQ`` (share).
    index_name : str
        Name in index files; empty for shares.
    start_price : float
        Level before the first sample session, rupees.
    annual_volatility : float
        Yearly standard deviation of log returns, also the at-the-money volatility of options.
    strike_step_e4 : int
        Distance of strikes in 1/10,000 rupee; 0 when nothing is listed on it.
    lot_sizes : tuple of (datetime.date, int)
        First trade date and lot size, ascending.
    activity : float
        Trading relative to NIFTY.
    tick_e4 : int, default 500
        Step of printed values in 1/10,000 rupee.
    isin, full_name : str
        Of shares, as the cash bhavcopy prints them.

    """

    symbol: str
    kind: str
    index_name: str
    start_price: float
    annual_volatility: float
    strike_step_e4: int
    lot_sizes: tuple[tuple[dt.date, int], ...]
    activity: float
    tick_e4: int = TICK_E4
    isin: str = ""
    full_name: str = ""

    def lot_size(self, trade_date: dt.date) -> int:
        """Lot size in force on a trade date; the first one known before that."""
        in_force = [lot for since, lot in self.lot_sizes if since <= trade_date]
        return in_force[-1] if in_force else self.lot_sizes[0][1]


_ALWAYS: Final = dt.date(2000, 1, 1)

UNDERLYINGS: Final = {
    underlying.symbol: underlying
    for underlying in (
        Underlying(
            symbol="NIFTY",
            kind="SPOT",
            index_name="NIFTY 50",
            start_price=24_590.0,
            annual_volatility=0.12,
            strike_step_e4=50 * PRICE_SCALE,
            lot_sizes=(
                (_ALWAYS, 75),
                (dt.date(2024, 4, 26), 25),
                (dt.date(2024, 11, 20), 75),
                (dt.date(2025, 12, 31), 65),
            ),
            activity=1.0,
        ),
        Underlying(
            symbol="BANKNIFTY",
            kind="SPOT",
            index_name="NIFTY BANK",
            start_price=55_520.0,
            annual_volatility=0.13,
            strike_step_e4=100 * PRICE_SCALE,
            lot_sizes=(
                (_ALWAYS, 15),
                (dt.date(2024, 11, 20), 30),
                (dt.date(2025, 4, 25), 35),
                (dt.date(2025, 12, 31), 30),
            ),
            activity=0.6,
        ),
        Underlying(
            symbol="NIFTYNXT50",
            kind="SPOT",
            index_name="NIFTY NEXT 50",
            start_price=66_480.0,
            annual_volatility=0.16,
            strike_step_e4=100 * PRICE_SCALE,
            lot_sizes=((_ALWAYS, 10), (dt.date(2024, 11, 20), 25)),
            activity=0.01,
        ),
        Underlying(
            symbol="INDIAVIX",
            kind="SPOT",
            index_name="INDIA VIX",
            start_price=12.0425,
            annual_volatility=0.9,
            strike_step_e4=0,
            lot_sizes=((_ALWAYS, 1),),
            activity=0.0,
            tick_e4=25,
        ),
        Underlying(
            symbol="RELIANCE",
            kind="EQ",
            index_name="",
            start_price=1_388.6,
            annual_volatility=0.22,
            strike_step_e4=10 * PRICE_SCALE,
            lot_sizes=((_ALWAYS, 500),),
            activity=0.05,
            isin="INE002A01018",
            full_name="RELIANCE INDUSTRIES LTD",
        ),
        Underlying(
            symbol="M&M",
            kind="EQ",
            index_name="",
            start_price=3_214.0,
            annual_volatility=0.24,
            strike_step_e4=50 * PRICE_SCALE,
            lot_sizes=((_ALWAYS, 200),),
            activity=0.03,
            isin="INE101A01026",
            full_name="MAHINDRA & MAHINDRA LTD",
        ),
        Underlying(
            symbol="ASHOKLEY",
            kind="EQ",
            index_name="",
            start_price=121.35,
            annual_volatility=0.30,
            strike_step_e4=25_000,
            lot_sizes=((_ALWAYS, 5_000),),
            activity=0.02,
            isin="INE208A01029",
            full_name="ASHOK LEYLAND LTD",
        ),
        Underlying(
            symbol="360ONE",
            kind="EQ",
            index_name="",
            start_price=1_052.4,
            annual_volatility=0.34,
            strike_step_e4=20 * PRICE_SCALE,
            lot_sizes=((_ALWAYS, 500),),
            activity=0.01,
            isin="INE466L01038",
            full_name="360 ONE WAM LTD",
        ),
    )
}
"""The sample market: decimal strikes, names with ``&``, names that begin or end with digits."""


def underlying_named(symbol: str) -> Underlying:
    """Look an underlying of the sample market up.

    Raises
    ------
    ConfigurationError
        If there is none of that name.

    """
    if symbol not in UNDERLYINGS:
        raise ConfigurationError(
            f"the sample market has no underlying {symbol!r}", next_step=f"choose from {', '.join(UNDERLYINGS)}"
        )
    return UNDERLYINGS[symbol]
