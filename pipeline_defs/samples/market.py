"""One trading day of the sample market: who traded in which minute, at what price, holding what.

Joins the chain, the prices and the hours into frames of numbers. No text and no files here. All
prices are integers of 1/10,000 rupee, all volumes and open interest are units.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from pipeline_defs.samples import prices
from pipeline_defs.samples.chain import CONTRACT_SCHEMA, ChainSpec, list_contracts
from pipeline_defs.samples.hours import Hours, expiry_close, hours_on
from pipeline_defs.samples.prices import PRICE_SCALE, SECONDS_PER_YEAR, Floats, Integers
from pipeline_defs.samples.trading import (
    busy_shape,
    draw_lots,
    fit_to_trades,
    open_interest_by_minute,
    trade_exactly,
    traded_bars,
)
from pipeline_defs.samples.underlyings import UNDERLYINGS, underlying_named

if TYPE_CHECKING:
    import datetime as dt

_SHARE_UNITS_A_MINUTE: Final = 400_000.0


@dataclass(frozen=True, slots=True)
class Weather:
    """How wild a session is.

    Parameters
    ----------
    volatility_factor : float, default 1.0
        Volatility of every underlying, relative to its normal one.
    gaps : tuple of (int, float)
        Second of the session, and the factor by which every underlying's price jumps then, to stay there.
    moves_strikes : bool, default False
        Whether strikes are laid around the last close in place of the price before the first session: what an exchange
        does when a market runs away.

    """

    volatility_factor: float = 1.0
    gaps: tuple[tuple[int, float], ...] = ()
    moves_strikes: bool = False

    def volatility(self, symbol: str) -> float:
        """Yearly volatility of an underlying."""
        return UNDERLYINGS[symbol].annual_volatility * self.volatility_factor

    def blow(self, path: Floats) -> Floats:
        """Let a path of prices, one a second, make the jumps."""
        blown = path.copy()
        for second, factor in self.gaps:
            blown[second:] *= factor
        return blown


CALM: Final = Weather()
"""An ordinary day."""


@dataclass(frozen=True, slots=True)
class DayState:
    """What one session leaves to the next.

    Parameters
    ----------
    spot_closes : dict
        Last price of each underlying, rupees.
    contract_closes : polars.DataFrame
        `exchange_symbol`, `previous_close_e4`, `previous_open_interest`.

    """

    spot_closes: dict[str, float] = field(default_factory=dict)
    contract_closes: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(
            schema={
                "exchange_symbol": pl.String(),
                "previous_close_e4": pl.Int64(),
                "previous_open_interest": pl.Int64(),
            }
        )
    )


@dataclass(frozen=True, slots=True)
class MarketDay:
    """Everything that happened on one trade date.

    Parameters
    ----------
    hours : Hours
        The session.
    contracts : polars.DataFrame
        `chain.CONTRACT_SCHEMA` plus `contract` (row number), `settlement_e4` (model price at the close),
        `previous_close_e4`, `previous_open_interest` (null when new) and `closing_open_interest`.
    bars : polars.DataFrame
        Traded minutes: `contract`, `minute`, `open`, `high`, `low`, `close`, `volume`, `open_interest`;
        sorted by contract and minute.
    spot_paths : dict
        One-second prices of each underlying over the derivatives' hours.
    previous_spot_closes : dict
        Last price of each underlying in the session before, rupees.
    spot_bars : polars.DataFrame
        Minutes of indices and shares in the cash hours: `symbol`, `minute`, `open` to `close`, `volume`.
    state : DayState
        For the next session.

    """

    hours: Hours
    contracts: pl.DataFrame
    bars: pl.DataFrame
    spot_paths: dict[str, Integers]
    previous_spot_closes: dict[str, float]
    spot_bars: pl.DataFrame
    state: DayState

    @property
    def trade_date(self) -> dt.date:
        """The day."""
        return self.hours.trade_date

    def spot_close_e4(self, symbol: str) -> int:
        """Last price of an underlying in the derivatives' hours."""
        return int(self.spot_paths[symbol][-1])


def random_for(seed: int, trade_date: dt.date, purpose: str) -> np.random.Generator:
    """Give each purpose its own random stream, so that adding one does not disturb the others.

    Parameters
    ----------
    seed : int
        Of the sample.
    trade_date : datetime.date
        The session.
    purpose : str
        Any text.

    Returns
    -------
    numpy.random.Generator

    """
    return np.random.default_rng([seed, trade_date.toordinal(), zlib.crc32(purpose.encode())])


def trade_one_day(
    trade_date: dt.date,
    chains: tuple[ChainSpec, ...],
    *,
    seed: int,
    nights: int,
    state: DayState,
    extra_symbols: tuple[str, ...] = (),
    activity: float = 1.0,
    exact_rows: int | None = None,
    weather: Weather = CALM,
) -> MarketDay:
    """Invent one session.

    Parameters
    ----------
    trade_date : datetime.date
        A session of the exchange.
    chains : tuple of ChainSpec
        Derivatives to list.
    seed : int
        Same seed, same day.
    nights : int
        Calendar days since the session before; 0 at the start.
    state : DayState
        What the session before left.
    extra_symbols : tuple of str
        Underlyings without derivatives: indices and shares to print as well.
    activity : float, default 1.0
        Trading relative to the sample market's normal; less leaves more minutes without a trade.
    exact_rows : int, optional
        Number of contract minutes that trade; default is what activity brings about.
    weather : Weather, default CALM
        How wild the session is.

    Returns
    -------
    MarketDay

    Raises
    ------
    ConfigurationError
        If `exact_rows` exceeds the minutes of all contracts, or a symbol is unknown.
    MarketRuleError
        If `trade_date` is not a session.

    """
    hours = hours_on(trade_date)
    symbols = list(dict.fromkeys([*(chain.symbol for chain in chains), *extra_symbols]))
    previous = {symbol: state.spot_closes.get(symbol, underlying_named(symbol).start_price) for symbol in symbols}
    spot_paths = {
        symbol: prices.round_to_tick(
            weather.blow(
                prices.session_path(
                    random_for(seed, trade_date, f"path {symbol}"),
                    previous[symbol],
                    hours.derivative_minutes * 60,
                    weather.volatility(symbol),
                    nights,
                )
            ),
            UNDERLYINGS[symbol].tick_e4,
        )
        for symbol in symbols
    }
    centres = (
        previous if weather.moves_strikes else {chain.symbol: UNDERLYINGS[chain.symbol].start_price for chain in chains}
    )
    listed = [list_contracts(chain, trade_date, centres[chain.symbol]) for chain in chains]
    contracts = (
        pl.concat([pl.DataFrame(schema=CONTRACT_SCHEMA), *listed])
        .with_row_index("contract")
        .join(state.contract_closes, on="exchange_symbol", how="left", maintain_order="left")
    )
    rng = random_for(seed, trade_date, "trading")
    dense = _price_contracts(contracts, spot_paths, hours, weather, rng)
    lots = draw_lots(contracts, spot_paths, hours, activity, rng)
    if exact_rows is not None:
        lots = trade_exactly(lots, exact_rows, rng)
    open_interest = open_interest_by_minute(contracts, lots, rng)
    contracts = contracts.with_columns(
        pl.Series("settlement_e4", dense[:, -1, 3]), pl.Series("closing_open_interest", open_interest[:, -1])
    )
    bars = traded_bars(contracts, dense, lots, open_interest)
    return MarketDay(
        hours=hours,
        contracts=contracts,
        bars=bars,
        spot_paths=spot_paths,
        previous_spot_closes=previous,
        spot_bars=_spot_bars(spot_paths, hours, seed),
        state=DayState(
            spot_closes={symbol: float(path[-1]) / PRICE_SCALE for symbol, path in spot_paths.items()},
            contract_closes=contracts.select(
                "exchange_symbol",
                previous_close_e4="settlement_e4",
                previous_open_interest="closing_open_interest",
            ),
        ),
    )


def _price_contracts(
    contracts: pl.DataFrame,
    spot_paths: dict[str, Integers],
    hours: Hours,
    weather: Weather,
    rng: np.random.Generator,
) -> Integers:
    """Price every contract in every minute: shape (contracts, minutes, 4)."""
    minutes = hours.derivative_minutes
    dense = np.empty((contracts.height, minutes, 4), dtype=np.int64)
    # Open at the start of the minute, extremes in the middle, close when it is complete.
    point_seconds = np.arange(minutes)[:, None] * 60 + np.array([0, 30, 30, 60])
    groups = contracts.partition_by("underlying", "expiry", "kind", maintain_order=True)
    for group in groups:
        symbol, expiry, kind = group.row(0)[2], group["expiry"][0], group["kind"][0]
        spot_bars = prices.bars_by_minute(spot_paths[symbol])
        life_seconds = (expiry_close(expiry, hours) - hours.derivative_open).total_seconds()
        years = (life_seconds - point_seconds) / SECONDS_PER_YEAR
        rows = group["contract"].to_numpy()
        if kind == "FUT":
            noise = rng.standard_normal(minutes) * 2e-5
            dense[rows] = prices.future_bars(spot_bars, years, noise)
            continue
        dense[rows] = _option_bars(group, spot_bars, years, weather.volatility(symbol))
    return dense


def _option_bars(group: pl.DataFrame, spot_bars: Integers, years: Floats, volatility: float) -> Integers:
    """Bars of all options of one expiry; calls are dearest at the high of the underlying, puts at its low."""
    strikes = group["strike_e4"].to_numpy()
    unique_strikes, strike_of_row = np.unique(strikes, return_inverse=True)
    premiums = prices.out_of_the_money_premiums(spot_bars.ravel(), unique_strikes, years.ravel(), volatility)
    premiums = premiums.reshape(len(unique_strikes), *spot_bars.shape)[strike_of_row]
    direction = np.where(group["option_type"].to_numpy() == "CE", 1, -1)[:, None, None]
    intrinsic = np.maximum(direction * (spot_bars[None] - strikes[:, None, None]), 0)
    return prices.enclose(premiums + intrinsic)


def _spot_bars(spot_paths: dict[str, Integers], hours: Hours, seed: int) -> pl.DataFrame:
    """Minutes of indices (volume 0) and shares in the cash market's hours."""
    frames = []
    for symbol, path in spot_paths.items():
        bars = prices.bars_by_minute(path)[hours.cash_minutes]
        if hours.auction_minute is not None:
            bars[-1] = bars[-1, 3]
        volume = np.zeros(len(bars), dtype=np.int64)
        if UNDERLYINGS[symbol].kind == "EQ":
            rng = random_for(seed, hours.trade_date, f"shares {symbol}")
            rates = _SHARE_UNITS_A_MINUTE * UNDERLYINGS[symbol].activity * busy_shape(hours.derivative_minutes)
            volume = 1 + (rng.standard_exponential(len(bars)) * rates[hours.cash_minutes]).astype(np.int64)
            bars = fit_to_trades(bars, volume)
        frames.append(
            pl.DataFrame(
                {
                    "symbol": pl.repeat(symbol, len(bars), eager=True),
                    "minute": hours.cash_minutes,
                    "open": bars[:, 0],
                    "high": bars[:, 1],
                    "low": bars[:, 2],
                    "close": bars[:, 3],
                    "volume": volume,
                }
            )
        )
    return pl.concat(frames)
