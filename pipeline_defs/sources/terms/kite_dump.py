"""The instruments dump of the Kite API: every live contract of a day, with its lot, tick and the exchange's number.

The dump does not say of which day it is, so the caller must. It knows live contracts only: whoever wants the history
archives one a day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ConfigurationError, TickerError
from pipeline_defs.markets.tickers.grammars import parse_many
from pipeline_defs.markets.tickers.index_names import underlying_of_index
from pipeline_defs.sources.terms.tables import day, deliver, price, read_table, whole

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from pipeline_defs.schema.terms import TermsDelivery

_COLUMNS: Final = (
    *("exchange_token", "tradingsymbol", "name", "expiry", "strike", "tick_size", "lot_size", "instrument_type"),
    *("segment", "exchange"),
)
_VENUES: Final = {"NSE": "NSE", "NFO": "NSE", "BSE": "BSE", "BFO": "BSE"}
_MARKETS: Final = {"NSE": "NSE-CM", "NFO": "NSE-FO", "BSE": "BSE-CM", "BFO": "BSE-FO"}
_KINDS: Final = {"EQ": "EQ", "FUT": "FUT", "CE": "OPT", "PE": "OPT"}
_SERIES: Final = r"-([A-Z][A-Z0-9])$"
"""What follows a share's symbol when it is not of the main series; BAJAJ-AUTO has none."""


def read(path: Path, as_of: dt.date | None) -> TermsDelivery:
    """Read a dump.

    Parameters
    ----------
    path : Path
        ``/instruments`` or ``/instruments/NFO`` as saved.
    as_of : datetime.date or None
        The day on which it was fetched.

    Returns
    -------
    TermsDelivery

    Raises
    ------
    ConfigurationError
        If no day is given.
    SourceError
        If it is not such a dump.

    """
    if as_of is None:
        raise ConfigurationError(
            "the dump does not say of which day it is",
            where=str(path),
            next_step="give the day on which it was fetched with --as-of",
        )
    text, digest = read_table(path, _COLUMNS)
    kind = (
        pl.when(pl.col("segment") == "INDICES")
        .then(pl.lit("SPOT"))
        .otherwise(pl.col("instrument_type").replace_strict(_KINDS, default=None, return_dtype=pl.String()))
    )
    named = text.with_columns(kind=kind, listed=pl.col("exchange").replace_strict(_VENUES, default=None))
    is_share, is_option = pl.col("kind") == "EQ", pl.col("kind") == "OPT"
    expires = pl.col("kind").is_in(["FUT", "OPT"])
    said = named.select(
        "line",
        "kind",
        valid_from=pl.lit(as_of),
        token=pl.when(pl.col("exchange_token").is_not_null() & (pl.col("kind") != "SPOT")).then(
            pl.format("{}:{}", pl.col("exchange").replace_strict(_MARKETS, default=None), "exchange_token")
        ),
        venue="listed",
        underlying=_underlyings(named, as_of),
        expiry=pl.when(expires).then(day("expiry")),
        strike=pl.when(is_option).then(price("strike")),
        option_type=pl.when(is_option).then("instrument_type"),
        series=pl.when(is_share).then(pl.col("tradingsymbol").str.extract(_SERIES).fill_null("EQ")),
        lot_size=pl.when(expires).then(whole("lot_size")),
        tick_size=pl.when(pl.col("kind") != "SPOT").then(price("tick_size")),
        # Used as a name for what is seen for the first time; a spelling of the broker's is no change of the contract.
        symbol="tradingsymbol",
        currency=pl.lit("INR"),
        reason=pl.when(pl.col("listed").is_null()).then(pl.format("the exchange {} is not covered", "exchange")),
        lot_text="lot_size",
        tick_text="tick_size",
    )
    unread = {
        "the lot size is no whole number": expires & pl.col("lot_text").is_not_null() & pl.col("lot_size").is_null(),
        "the tick size is no price": pl.col("tick_text").is_not_null()
        & (pl.col("kind") != "SPOT")
        & pl.col("tick_size").is_null(),
    }
    return deliver(path, digest, said, source="kite", precedence=20, unread=unread)


def _underlyings(named: pl.DataFrame, as_of: dt.date) -> pl.Series:
    """Name the underlying: a share's symbol, an index's short name, of a contract ``name`` or what its ticker says."""
    symbols = named["tradingsymbol"].fill_null("").to_list()
    kinds, names = named["kind"].to_list(), named["name"].to_list()
    unnamed = [
        place
        for place, (kind, name) in enumerate(zip(kinds, names, strict=True))
        if kind in {"FUT", "OPT"} and name is None
    ]
    read_names = dict(zip(unnamed, parse_many([symbols[place] for place in unnamed], "exchange", as_of), strict=True))
    shares = named["tradingsymbol"].str.replace(_SERIES, "").to_list()

    def of(place: int, kind: str | None) -> str | None:
        if kind == "SPOT":
            return underlying_of_index(symbols[place])
        if kind == "EQ":
            return str(shares[place]) if shares[place] else None
        reading = read_names.get(place)
        if reading is None:
            return None if names[place] is None else str(names[place])
        return None if isinstance(reading, TickerError) else reading.underlying

    return pl.Series([of(place, kind) for place, kind in enumerate(kinds)], dtype=pl.String())
