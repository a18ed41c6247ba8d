"""Where an underlying trades, and when: the calendar that a slice of it follows.

The sessions of NSE are in the database, with what was known of them; those of other markets are their calendars' own.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.markets.market import market, market_of, trades_in_parts
from pipeline_defs.schema.columns import TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from pipeline_defs.markets.market import Market

SESSION_SCHEMA: Final[dict[str, pl.DataType]] = {"session_date": pl.Date(), "open": TIMESTAMP, "close": TIMESTAMP}

_LONGEST_BREAK: Final = dt.timedelta(days=10)
"""Longer than any market was closed."""

_TRADES_AT: Final = """
SELECT DISTINCT kind, venue, currency FROM instrument_terms AS t WHERE underlying = %(underlying)s
"""

# A share can trade in two markets under one name (INFY in Mumbai and New York): a source tells of one of them.
_TRADES_AT_BY_SOURCES: Final = f"""
{_TRADES_AT} AND EXISTS (
    SELECT FROM load_instruments AS li JOIN loads AS l USING (load_id)
    WHERE li.instrument_id = t.instrument_id AND l.source = ANY (%(sources)s))
"""


def market_of_underlying(
    connection: psycopg.Connection, underlying: str, sources: Sequence[str]
) -> tuple[Market, bool]:
    """Tell where an underlying trades, and whether in parts of a unit.

    Parameters
    ----------
    connection : psycopg.Connection
        In the slice's snapshot.
    underlying : str
        E.g. ``NIFTY``.
    sources : sequence of str
        Whose instruments are meant, where those of all sources are of several markets.

    Returns
    -------
    tuple of Market and bool
        The market that all its instruments are of, ``ANY`` where there are none, or they disagree; and whether volumes
        of any of them may have decimals.

    """
    for question in (_TRADES_AT, _TRADES_AT_BY_SOURCES):
        rows = connection.execute(question, {"underlying": underlying, "sources": list(sources)}).fetchall()
        markets = {market_of(kind, venue, currency).name for kind, venue, currency in rows}
        if len(markets) <= 1:
            break
    found = market(markets.pop()) if len(markets) == 1 else market("ANY")
    return found, any(trades_in_parts(*terms) for terms in rows)


def sessions_of(calendar: Market, first: dt.date, last: dt.date) -> pl.DataFrame:
    """List the sessions of a market.

    Parameters
    ----------
    calendar : Market
        Whose.
    first, last : datetime.date
        Trade dates, inclusive.

    Returns
    -------
    polars.DataFrame
        `SESSION_SCHEMA`.

    """
    days = calendar.sessions(first, last)
    return pl.DataFrame(
        [(day, calendar.open(day), calendar.close(day)) for day in days], schema=SESSION_SCHEMA, orient="row"
    )


def with_closes(terms: pl.DataFrame, calendar: Market) -> pl.DataFrame:
    """Give contracts the close of the last session up to their expiry.

    Parameters
    ----------
    terms : polars.DataFrame
        With ``expiry``.
    calendar : Market
        Whose sessions.

    Returns
    -------
    polars.DataFrame
        With ``expiry_close``, null without an expiry.

    """
    expiries = terms["expiry"].drop_nulls().unique()
    last = [calendar.sessions(expiry - _LONGEST_BREAK, expiry)[-1] for expiry in expiries]
    closes = pl.Series([calendar.close(day) for day in last], dtype=TIMESTAMP)
    return terms.with_columns(
        expiry_close=pl.col("expiry").replace_strict(expiries, closes, default=None, return_dtype=TIMESTAMP)
    )
