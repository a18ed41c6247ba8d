"""Which contracts are listed on a trade date, and what each vendor calls them.

Only listings and names belong here; prices and trading are in ``prices`` and ``trading``.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

import polars as pl

from pipeline_defs.markets import expiries
from pipeline_defs.samples.prices import PRICE_SCALE
from pipeline_defs.samples.underlyings import Underlying, underlying_named

CONTRACT_SCHEMA: Final[dict[str, pl.DataType]] = {
    "kind": pl.String(),
    "underlying": pl.String(),
    "expiry": pl.Date(),
    "strike_e4": pl.Int64(),
    "option_type": pl.String(),
    "rank": pl.Int64(),
    "lot_size": pl.Int64(),
    "ticker": pl.String(),
    "exchange_symbol": pl.String(),
    "date_symbol": pl.String(),
}
"""One row per listed contract: `kind` is OPT or FUT, `rank` counts expiries from 1 by kind.

`ticker` is GDFL's name (futures roll: ``NIFTY-I``), `exchange_symbol` the exchange's own, which is
the same through the life of a contract, `date_symbol` the one with the expiry as YYMMDD.
"""

_WEEKLY_MONTH_CODES: Final = "123456789OND"
_LOWEST_STRIKE_SHARE: Final = 0.25
_HIGHEST_STRIKE_SHARE: Final = 3.0


@dataclass(frozen=True, slots=True)
class ChainSpec:
    """How much of one underlying's chain to list.

    Parameters
    ----------
    symbol : str
        Key of `UNDERLYINGS`.
    strikes_each_side : int
        Strikes above and below the central one; 0 lists the central one only.
    strike_every : int, default 1
        Take each n-th strike of the exchange's ladder.
    weeklies, monthlies : int, default 0 and 1
        Expiries of either kind from the trade date on.
    futures : int, default 3
        Nearest monthly futures, at most three.

    """

    symbol: str
    strikes_each_side: int
    strike_every: int = 1
    weeklies: int = 0
    monthlies: int = 1
    futures: int = 3


def list_contracts(chain: ChainSpec, trade_date: dt.date, centre: float) -> pl.DataFrame:
    """List the options and futures of one underlying on a trade date.

    Parameters
    ----------
    chain : ChainSpec
        How many strikes and expiries.
    trade_date : datetime.date
        A session.
    centre : float
        Price around which strikes are laid, rupees; keep it fixed through a range of sessions so
        that contracts live on from day to day.

    Returns
    -------
    polars.DataFrame
        `CONTRACT_SCHEMA`; futures first, then options by expiry, strike, calls before puts.

    """
    underlying = underlying_named(chain.symbol)
    lot_size = underlying.lot_size(trade_date)
    rows: list[dict[str, object]] = [
        {
            "kind": "FUT",
            "underlying": chain.symbol,
            "expiry": expiry,
            "rank": rank,
            "lot_size": lot_size,
            "ticker": f"{chain.symbol}-{'I' * rank}",
            "exchange_symbol": f"{chain.symbol}{expiry:%y%b}FUT".upper(),
            "date_symbol": f"{chain.symbol}{expiry:%y%m%d}FUT",
        }
        for rank, expiry in enumerate(monthly_expiries(chain.symbol, trade_date, chain.futures), start=1)
    ]
    for rank, expiry in enumerate(option_expiries(chain, trade_date), start=1):
        exchange_expiry = (
            f"{expiry:%y%b}".upper() if is_monthly(chain.symbol, expiry, trade_date) else weekly_code(expiry)
        )
        for strike_e4 in strike_ladder(underlying, centre, chain):
            strike = f"{strike_e4 / PRICE_SCALE:.10g}"
            rows.extend(
                {
                    "kind": "OPT",
                    "underlying": chain.symbol,
                    "expiry": expiry,
                    "strike_e4": strike_e4,
                    "option_type": option_type,
                    "rank": rank,
                    "lot_size": lot_size,
                    "ticker": f"{chain.symbol}{expiry:%d%b%y}{strike}{option_type}".upper(),
                    "exchange_symbol": f"{chain.symbol}{exchange_expiry}{strike}{option_type}",
                    "date_symbol": f"{chain.symbol}{expiry:%y%m%d}{strike}{option_type}",
                }
                for option_type in ("CE", "PE")
            )
    return pl.DataFrame(rows, schema=CONTRACT_SCHEMA)


def count_contracts(chain: ChainSpec, trade_date: dt.date, centre: float) -> int:
    """Count what `list_contracts` would list, without listing it."""
    strikes = strike_ladder(underlying_named(chain.symbol), centre, chain)
    return chain.futures + 2 * len(strikes) * len(option_expiries(chain, trade_date))


def option_expiries(chain: ChainSpec, trade_date: dt.date) -> list[dt.date]:
    """Find the expiries with options, weekly and monthly, ascending."""
    weeklies = weekly_expiries(chain.symbol, trade_date, chain.weeklies)
    return sorted({*weeklies, *monthly_expiries(chain.symbol, trade_date, chain.monthlies)})


def monthly_expiries(symbol: str, trade_date: dt.date, count: int) -> list[dt.date]:
    """Find the next monthly expiries on or after a trade date."""
    return [expiries.nth_monthly_expiry(symbol, trade_date, rank) for rank in range(1, count + 1)]


def strike_ladder(underlying: Underlying, centre: float, chain: ChainSpec) -> list[int]:
    """Strikes around a price, ascending, in 1/10,000 rupee; none absurdly far from it."""
    step = underlying.strike_step_e4 * chain.strike_every
    middle = round(centre * PRICE_SCALE / step) * step
    lowest, highest = centre * PRICE_SCALE * _LOWEST_STRIKE_SHARE, centre * PRICE_SCALE * _HIGHEST_STRIKE_SHARE
    offsets = range(-chain.strikes_each_side, chain.strikes_each_side + 1)
    return [middle + offset * step for offset in offsets if lowest <= middle + offset * step <= highest]


def weekly_expiries(symbol: str, trade_date: dt.date, count: int) -> list[dt.date]:
    """Find the next weekly expiries on or after a trade date: fewer than `count` where fewer are listed."""
    weeks = [trade_date + dt.timedelta(weeks=ahead) for ahead in range(count + 1)]
    found = {expiries.weekly_expiry(symbol, week, trade_date) for week in weeks}
    return sorted(expiry for expiry in found if expiry is not None and expiry >= trade_date)[:count]


def is_monthly(symbol: str, expiry: dt.date, as_of: dt.date) -> bool:
    """Tell whether an expiry is the monthly one of its month."""
    return expiries.monthly_expiry(symbol, expiry.year, expiry.month, as_of) == expiry


def weekly_code(expiry: dt.date) -> str:
    """Write a weekly expiry the exchange's way: year, month as 1-9, O, N, D, and day."""
    return f"{expiry:%y}{_WEEKLY_MONTH_CODES[expiry.month - 1]}{expiry:%d}"
