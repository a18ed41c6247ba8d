"""What a session's Greeks are made of: bars of options with their terms, and bars of what underlies them.

Reads only, all of them in the caller's snapshot. Options are read an hour at a time, along the key, so that a day of a
whole market fits into memory; what underlies them is small and read at once.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import WarehouseError
from pipeline_defs.schema.columns import PRICE, TIMESTAMP
from pipeline_defs.warehouse.days import day_bounds
from pipeline_defs.warehouse.transport import copy_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

OPTION_SCHEMA: Final[dict[str, pl.DataType]] = {
    "timestamp": TIMESTAMP,
    "instrument_id": pl.Int32(),
    "price": PRICE,
    "is_traded": pl.Boolean(),
    "load_id": pl.Int64(),
}
"""Bars; `is_traded` where units changed hands in the bar."""

TERMS_SCHEMA: Final[dict[str, pl.DataType]] = {
    "instrument_id": pl.Int32(),
    "underlying": pl.String(),
    "expiry": pl.Date(),
    "expiry_instant": TIMESTAMP,
    "strike": pl.Float64(),
    "is_call": pl.Boolean(),
    "currency": pl.String(),
}
"""Terms of options on the trade date; `expiry_instant` is the close of the last session of their life."""

UNDERLYING_SCHEMA: Final[dict[str, pl.DataType]] = {
    "timestamp": TIMESTAMP,
    "underlying_id": pl.Int32(),
    "underlying": pl.String(),
    "expiry": pl.Date(),
    "expiry_instant": TIMESTAMP,
    "price": PRICE,
    "load_id": pl.Int64(),
    "is_alias": pl.Boolean(),
    "rank": pl.Int16(),
}
"""Traded bars of futures under the contract they meant, or of spots, whose expiry is null."""

_HOUR: Final = dt.timedelta(hours=1)

# Truth values as text: COPY would write t and f, which are none to a reader of CSV.
_OPTIONS: Final = """
SELECT "timestamp", instrument_id, close AS price, coalesce(open IS NOT NULL AND volume > 0, false)::text AS is_traded,
       load_id
FROM options_ticks
WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s AND bar_seconds = %(bar_seconds)s AND source = %(source)s
"""

# Beyond the calendar's last session nobody knows what will be a holiday: the expiry date counts as it stands.
_EXPIRY_INSTANT: Final = """
CASE WHEN t.expiry > (SELECT max(session_date) FROM sessions WHERE market = 'NSE' AND segment = 'FO')
     THEN (t.expiry + (SELECT (close AT TIME ZONE 'Asia/Kolkata')::time FROM sessions
                       WHERE market = 'NSE' AND segment = 'FO' ORDER BY session_date DESC LIMIT 1))
          AT TIME ZONE 'Asia/Kolkata'
     ELSE (SELECT s.close FROM sessions AS s WHERE s.market = 'NSE' AND s.segment = 'FO' AND s.session_date <= t.expiry
           ORDER BY s.session_date DESC LIMIT 1) END
"""

_TERMS: Final = f"""
SELECT i.instrument_id, t.underlying, t.expiry, {_EXPIRY_INSTANT} AS expiry_instant, t.strike::float8 AS strike,
       (t.option_type = 'CE')::text AS is_call, t.currency
FROM unnest(%(ids)s::integer[]) AS i (instrument_id)
LEFT JOIN instrument_merges_as_of('infinity') AS m ON m.duplicate_id = i.instrument_id
JOIN instrument_terms AS t ON t.instrument_id = coalesce(m.instrument_id, i.instrument_id)
    AND t.valid_from <= %(trade_date)s AND t.valid_to > %(trade_date)s AND t.kind = 'OPT'
"""

_FUTURES: Final = f"""
SELECT o."timestamp", t.instrument_id AS underlying_id, t.underlying, t.expiry, t.expiry_instant, o.close AS price,
       o.load_id, (t.instrument_id <> o.instrument_id)::text AS is_alias, 0 AS rank
FROM futures_ticks AS o
LEFT JOIN continuous_contracts AS c ON c.instrument_id = o.instrument_id AND c.trade_date = %(trade_date)s
LEFT JOIN instrument_merges_as_of('infinity') AS m ON m.duplicate_id = o.instrument_id
JOIN (SELECT t.instrument_id, t.underlying, t.expiry, {_EXPIRY_INSTANT} AS expiry_instant FROM instrument_terms AS t
      WHERE t.kind = 'FUT' AND t.valid_from <= %(trade_date)s AND t.valid_to > %(trade_date)s
        AND t.expiry >= %(trade_date)s) AS t
    ON t.instrument_id = coalesce(c.contract_id, m.instrument_id, o.instrument_id)
WHERE o."timestamp" >= %(start)s AND o."timestamp" < %(end)s AND o.bar_seconds = %(bar_seconds)s
  AND o.source = %(source)s AND o.open IS NOT NULL
"""

_SPOTS: Final = """
SELECT o."timestamp", o.instrument_id AS underlying_id, t.underlying, NULL::date AS expiry,
       NULL::timestamptz AS expiry_instant, o.close AS price, o.load_id, 'false' AS is_alias,
       CASE WHEN t.kind = 'SPOT' THEN 0 WHEN t.series = 'EQ' THEN 1 ELSE 2 END AS rank
FROM {table} AS o
JOIN instrument_terms AS t ON t.instrument_id = o.instrument_id AND t.kind IN ('SPOT', 'EQ')
    AND t.valid_from <= %(trade_date)s AND t.valid_to > %(trade_date)s
WHERE o."timestamp" >= %(start)s AND o."timestamp" < %(end)s AND o.bar_seconds = %(bar_seconds)s
  AND o.source = %(source)s AND o.open IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Session:
    """The bars whose Greeks are computed together.

    Parameters
    ----------
    trade_date : datetime.date
        Session of the NSE.
    source : str
        Whose observations.
    bar_seconds : int
        Resolution of the bars, above 0.

    """

    trade_date: dt.date
    source: str
    bar_seconds: int

    @property
    def bounds(self) -> tuple[dt.datetime, dt.datetime]:
        """First instant, inclusive, and last, exclusive, at which a bar of the session can close."""
        return day_bounds(self.trade_date, of_closes=True)

    @property
    def name(self) -> str:
        """What writers of the same rows queue for, and how errors name it."""
        return f"option_greeks|{self.source}|{self.trade_date}|{self.bar_seconds}"

    def parameters(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401 -- values of any SQL type
        """Bind the session, and more, into a statement."""
        start, end = self.bounds
        bound = {"trade_date": self.trade_date, "source": self.source, "bar_seconds": self.bar_seconds}
        return {**bound, "start": start, "end": end, **more}


def read_options(connection: psycopg.Connection, session: Session) -> Iterator[pl.DataFrame]:
    """Read the options' bars, in pieces along the time, each bar of an instant in the same piece.

    Parameters
    ----------
    connection : psycopg.Connection
        In a snapshot.
    session : Session
        Which.

    Yields
    ------
    polars.DataFrame
        `OPTION_SCHEMA` and `TERMS_SCHEMA`, sorted by time and instrument; pieces without rows are left out.

    Raises
    ------
    WarehouseError
        If a bar is of an instrument that was no option on the trade date: it would be left out in silence.

    """
    terms = pl.DataFrame(schema=TERMS_SCHEMA)
    start, end = session.bounds
    while start < end:
        until = min(start + _HOUR, end)
        bars = copy_out(connection, _OPTIONS, OPTION_SCHEMA, session.parameters(start=start, end=until))
        start = until
        if bars.is_empty():
            continue
        unseen = bars.select(pl.col("instrument_id").unique()).join(terms, on="instrument_id", how="anti")
        if unseen.height:
            ids = unseen["instrument_id"].to_list()
            terms = terms.vstack(copy_out(connection, _TERMS, TERMS_SCHEMA, session.parameters(ids=ids)))
        _refuse_unknown(bars, terms, session)
        yield bars.join(terms, on="instrument_id", how="inner").sort("timestamp", "instrument_id")


def _refuse_unknown(bars: pl.DataFrame, terms: pl.DataFrame, session: Session) -> None:
    unknown = bars.join(terms, on="instrument_id", how="anti")
    if unknown.height:
        raise WarehouseError(
            f"{unknown.height} bars are of instruments that have no terms of an option on {session.trade_date}, such as"
            f" instrument {unknown.item(0, 'instrument_id')}",
            where=f"options_ticks of {session.source}",
            next_step="look at them with 'pipeline doctor'",
        )


def read_futures(connection: psycopg.Connection, session: Session) -> pl.DataFrame:
    """Read the futures' bars; a rolling alias only where the contract itself was not delivered.

    Returns
    -------
    polars.DataFrame
        `UNDERLYING_SCHEMA`, sorted by time.

    """
    rows = copy_out(connection, _FUTURES, UNDERLYING_SCHEMA, session.parameters())
    own = ~pl.col("is_alias") | pl.col("is_alias").all().over("underlying_id")
    return rows.filter(own).unique(["timestamp", "underlying_id"], keep="first").sort("timestamp", "underlying_id")


def read_spots(connection: psycopg.Connection, session: Session) -> pl.DataFrame:
    """Read the bars of indices and shares, one instrument for an underlying: the index, or the share's main series.

    Returns
    -------
    polars.DataFrame
        `UNDERLYING_SCHEMA`, sorted by time.

    """
    tables = ("spot_prices", "equity_daily")
    query = " UNION ALL ".join(_SPOTS.replace("{table}", table) for table in tables)
    rows = copy_out(connection, query, UNDERLYING_SCHEMA, session.parameters())
    main = pl.col("underlying_id").sort_by("rank", "underlying_id").first().over("underlying")
    return rows.filter(pl.col("underlying_id") == main).sort("timestamp", "underlying_id")
