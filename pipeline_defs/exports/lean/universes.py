"""The files that tell LEAN which contracts there are: without one for a day, the chain of the next day is empty.

LEAN shows the file of a day from the next midnight on, so what is known at the end of the day belongs in it: prices,
volume and open interest of the day, for every contract that has a bar and can still be traded tomorrow.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.exports.lean.columns import plain_decimal
from pipeline_defs.exports.lean.greeks import GREEKS_COLUMNS
from pipeline_defs.exports.lean.kinds import LeanFormatError, SecurityType
from pipeline_defs.exports.lean.lines import NUMBER

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

OPTION_HEADER: Final = (
    "#expiry,strike,right,open,high,low,close,volume,open_interest,implied_volatility,delta,gamma,vega,theta,rho"
)
FUTURE_HEADER: Final = "#expiry,open,high,low,close,volume,open_interest"

_GREEKS: Final = "," * 6
"""Implied volatility and Greeks where they are not known: LEAN reads an empty field as 0."""

_PRICES: Final = ",".join([NUMBER] * 4)
_OPTIONAL: Final = rf"(?:{NUMBER})?"
_GREEK_PATTERN: Final = rf"(?:,{_OPTIONAL}){{6}}"
_PATTERNS: Final = {
    "option": rf"[0-9]{{8}},{NUMBER},[CP],{_PRICES},{_OPTIONAL},{_OPTIONAL}{_GREEK_PATTERN}",
    "underlying": rf",,,{_PRICES},{_OPTIONAL},{_OPTIONAL}{_GREEK_PATTERN}",
    "future": rf"[0-9]{{6}},{_PRICES},{_OPTIONAL},{_OPTIONAL}",
}


def universe_path(security: str, market: str, ticker: str, day: dt.date) -> str:
    """Say where the universe of a day lies.

    Parameters
    ----------
    security, market, ticker : str
        As in the paths of the contracts' data.
    day : datetime.date
        Trade date.

    Returns
    -------
    str
        E.g. ``indexoption/india/universes/nifty/20250801.csv``.

    """
    return f"{security}/{market}/universes/{ticker}/{day:%Y%m%d}.csv"


def daily_bars(bars: pl.DataFrame) -> pl.DataFrame:
    """Aggregate bars by instrument and session.

    Parameters
    ----------
    bars : polars.DataFrame
        Sorted bars with `session_date`.

    Returns
    -------
    polars.DataFrame
        `instrument_id`, `session_date`, `open`, `high`, `low`, `close`, `volume`, `open_interest` (the last that was
        told).

    """
    return bars.group_by("instrument_id", "session_date", maintain_order=True).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
        pl.col("open_interest").drop_nulls().last(),
    )


def universe_files(daily: pl.DataFrame, named: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Write the universes of all options and futures.

    Parameters
    ----------
    daily : polars.DataFrame
        Of `daily_bars`, of all instruments; with Greeks where `greeks.with_greeks` added them.
    named : polars.DataFrame
        Of `pipeline_defs.exports.lean.symbols.with_symbols`.

    Yields
    ------
    tuple of str
        Path and content, sorted by path.

    """
    rows = daily.join(
        named.select(
            "instrument_id", "kind", "security", "market", "ticker", "expiry", "strike", "option_type", "engine_id"
        ),
        on="instrument_id",
    )
    listed = rows.filter(pl.col("kind").is_in(["OPT", "FUT"]) & (pl.col("expiry") > pl.col("session_date"))).sort(
        "expiry", "strike", "option_type"
    )
    underlying = {
        (row["session_date"], row["security"]): f",,,{row['values']}{_GREEKS}"
        for row in _with_values(rows.filter(pl.col("kind").is_in(["SPOT", "EQ"])).sort("engine_id"))
        .sort("engine_id", descending=True)
        .iter_rows(named=True)
    }
    days = listed.select("security", "market", "ticker", "session_date").unique().sort(pl.all())
    texts = (
        _universe_lines(listed)
        .group_by("security", "market", "ticker", "session_date", maintain_order=True)
        .agg("text")
    )
    for security, market, ticker, day in days.iter_rows():
        own = texts.filter(security=security, market=market, ticker=ticker, session_date=day)["text"].item().to_list()
        head = [FUTURE_HEADER]
        if security != SecurityType.FUTURE:
            of = SecurityType.INDEX if security == SecurityType.INDEX_OPTION else SecurityType.EQUITY
            line = underlying.get((day, of.value))
            head = [OPTION_HEADER] if line is None else [OPTION_HEADER, line]
        yield universe_path(security, market, ticker, day), "\n".join([*head, *own]) + "\n"


def check_universe(text: str, security: SecurityType, where: str) -> int:
    """Check the lines of a universe.

    Parameters
    ----------
    text : str
        Of the file.
    security : SecurityType
        First part of its path.
    where : str
        For messages.

    Returns
    -------
    int
        Contracts that are in it.

    Raises
    ------
    LeanFormatError
        If the header is missing, a line has another form than LEAN reads, or there is no contract.

    """
    header = FUTURE_HEADER if security.is_future else OPTION_HEADER
    lines = text.splitlines()
    if not lines or lines[0] != header:
        raise LeanFormatError(f"expected the header {header}", where=where)
    contract = _PATTERNS["future" if security.is_future else "option"]
    contracts = 0
    for number, line in enumerate(lines[1:], start=2):
        if re.fullmatch(contract, line, re.ASCII):
            contracts += 1
        elif security.is_future or not re.fullmatch(_PATTERNS["underlying"], line, re.ASCII):
            raise LeanFormatError(f"line {number} is not one of a universe: {line!r}", where=where)
    if contracts == 0:
        raise LeanFormatError("names no contract, so that the next day's chain is empty", where=where)
    return contracts


def _universe_lines(listed: pl.DataFrame) -> pl.DataFrame:
    option = pl.concat_str(
        pl.col("expiry").dt.to_string("%Y%m%d"),
        plain_decimal("strike"),
        pl.col("option_type").str.head(1),
        pl.col("values"),
        _greeks(listed.columns),
        separator=",",
    )
    future = pl.concat_str(pl.col("expiry").dt.to_string("%Y%m"), pl.col("values"), separator=",")
    return _with_values(listed).with_columns(text=pl.when(kind="OPT").then(option).otherwise(future))


def _greeks(columns: list[str]) -> pl.Expr:
    if GREEKS_COLUMNS[0] not in columns:
        return pl.lit(_GREEKS.removeprefix(","))
    return pl.concat_str(*(plain_decimal(name).fill_null("") for name in GREEKS_COLUMNS), separator=",")


def _with_values(rows: pl.DataFrame) -> pl.DataFrame:
    volume = plain_decimal("volume") if rows.schema["volume"] != pl.Int64() else pl.col("volume").cast(pl.String)
    prices = (plain_decimal(name) for name in ("open", "high", "low", "close"))
    interest = pl.col("open_interest").cast(pl.String).fill_null("")
    return rows.with_columns(values=pl.concat_str(*prices, volume, interest, separator=","))
