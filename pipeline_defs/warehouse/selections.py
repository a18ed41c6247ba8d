"""What of the warehouse a slice is made of: observations of one underlying, at one resolution, by source.

The statements that say what there is, and the frames they give. Everything is bound to a `Selection`, which also says
whether the tables of today are meant or what was known of them at an earlier instant. The observations themselves are
read by `observations`; opening a slice is `slices`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.markets.market import market
from pipeline_defs.schema.columns import SIZE, TIMESTAMP
from pipeline_defs.schema.exports import INSTRUMENT_SCHEMA, TERM_PERIOD_SCHEMA
from pipeline_defs.schema.tables import DAY, SIZES, TICK
from pipeline_defs.warehouse.calendars import with_closes
from pipeline_defs.warehouse.days import day_bounds
from pipeline_defs.warehouse.transport import copy_out

if TYPE_CHECKING:
    import psycopg

    from pipeline_defs.markets.market import Market

_STAMPED_CLOSES: Final = dt.timedelta(microseconds=1)

# What exists: source, instrument and trade date with its row count, of every table that can hold the resolution.
_COVERAGE_SCHEMA: Final[dict[str, pl.DataType]] = {
    "dataset": pl.String(),
    "source": pl.String(),
    "instrument_id": pl.Int32(),
    "export_id": pl.Int32(),
    "trade_date": pl.Date(),
    "rows": pl.Int64(),
    "first_timestamp": TIMESTAMP,
    "last_timestamp": TIMESTAMP,
}

_COVERAGE_OF_TABLE: Final = """
SELECT '{dataset}' AS dataset, o.source, o.instrument_id,
       coalesce(c.contract_id, m.instrument_id, o.instrument_id) AS export_id, o.trade_date, o.rows,
       o.first_timestamp, o.last_timestamp
FROM (SELECT source, instrument_id, (("timestamp" - %(belongs_before)s) AT TIME ZONE %(zone)s)::date AS trade_date,
             count(*) AS rows, min("timestamp") AS first_timestamp, max("timestamp") AS last_timestamp
      FROM {observations} AS o
      WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s AND bar_seconds = %(bar_seconds)s
        AND source = ANY (%(sources)s) AND open IS NOT NULL
        AND instrument_id IN (SELECT instrument_id FROM {instrument_terms} AS t WHERE underlying = %(underlying)s)
      GROUP BY 1, 2, 3) AS o
LEFT JOIN {continuous_contracts} AS c USING (instrument_id, trade_date)
LEFT JOIN instrument_merges_as_of(coalesce(%(known_at)s::timestamptz, 'infinity')) AS m
    ON m.duplicate_id = o.instrument_id
"""

_TERMS: Final = """
SELECT t.instrument_id, t.kind, t.symbol, t.underlying, t.expiry, t.strike, t.option_type, t.rank, t.series, t.isin,
       t.lot_size, t.tick_size, t.venue, t.currency, k.base_currency,
       (SELECT s.close FROM {sessions} AS s WHERE s.market = 'NSE' AND s.segment = 'FO' AND s.session_date <= t.expiry
        ORDER BY s.session_date DESC LIMIT 1) AS expiry_close
FROM unnest(%(instrument_ids)s::integer[], %(last_dates)s::date[]) AS i (instrument_id, last_date)
JOIN {instrument_terms} AS t
    ON t.instrument_id = i.instrument_id AND t.valid_from <= i.last_date AND t.valid_to > i.last_date
JOIN instruments AS k ON k.instrument_id = i.instrument_id
"""

_TERM_PERIODS: Final = """
SELECT t.instrument_id, nullif(t.valid_from, '-infinity') AS valid_from, nullif(t.valid_to, 'infinity') AS valid_to,
       t.symbol, t.underlying, t.expiry, t.strike, t.lot_size, t.tick_size, t.multiplier
FROM unnest(%(instrument_ids)s::integer[], %(first_dates)s::date[], %(last_dates)s::date[])
    AS i (instrument_id, first_date, last_date)
JOIN {instrument_terms} AS t
    ON t.instrument_id = i.instrument_id AND t.valid_from <= i.last_date AND t.valid_to > i.first_date
"""

_LOADS: Final = """
SELECT DISTINCT load_id FROM {observations} AS o
WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s AND bar_seconds = %(bar_seconds)s AND source = %(source)s
  AND instrument_id = ANY (%(instrument_ids)s)
"""

_LOADS_OF_DAYS: Final = """
SELECT DISTINCT o.load_id FROM {observations} AS o
JOIN unnest(%(instrument_ids)s::integer[], %(trade_dates)s::date[]) AS d (instrument_id, trade_date)
    ON d.instrument_id = o.instrument_id
    AND d.trade_date = ((o."timestamp" - %(belongs_before)s) AT TIME ZONE %(zone)s)::date
WHERE o."timestamp" >= %(start)s AND o."timestamp" < %(end)s AND o.bar_seconds = %(bar_seconds)s
  AND o.source = %(source)s
"""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is read: bound into every statement.

    Parameters
    ----------
    underlying : str
        E.g. ``NIFTY``.
    start_date, end_date : datetime.date
        Trade dates, inclusive.
    bar_seconds : int
        Resolution of the stored observations, 0 for ticks.
    sources : tuple of str
        Whose observations may be taken.
    known_at : datetime.datetime or None
        As of when; None for now.
    market : Market
        Where the underlying trades: its days are those of the market's zone.
    fractional : bool
        Whether parts of a unit of the underlying itself are traded: sizes are decimals.

    """

    underlying: str
    start_date: dt.date
    end_date: dt.date
    bar_seconds: int
    sources: tuple[str, ...]
    known_at: dt.datetime | None
    market: Market
    fractional: bool

    @property
    def zone(self) -> str:
        """Zone of the trade dates."""
        return self.market.zone

    @property
    def is_pair(self) -> bool:
        """Whether the underlying is a pair, which has neither contracts nor settlements nor corporate actions."""
        return self.market is market("CRYPTO")

    @property
    def has_own_sessions(self) -> bool:
        """Whether the sessions are those of the market's calendar, and not those that the database holds."""
        return self.market in {market("CRYPTO"), market("US")}

    @property
    def tables(self) -> tuple[str, ...]:
        """Observation tables that can hold the underlying at this resolution."""
        if self.is_pair:
            return ("spot_prices",)
        daily = ("equity_daily",) if self.bar_seconds >= DAY else ()
        return ("options_ticks", "futures_ticks", "spot_prices", *daily)

    def typed(self, schema: dict[str, pl.DataType]) -> dict[str, pl.DataType]:
        """Give a schema of bars or ticks with the type that sizes have here; bars and ticks know no other decimals."""
        if not self.fractional:
            return schema
        return {name: SIZE if name in {*SIZES, "size"} - {"open_interest"} else dtype for name, dtype in schema.items()}

    def parameters(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401 -- values of any SQL type
        """Bind the selection, and more, into a statement."""
        is_bar = self.bar_seconds > TICK
        start, end = day_bounds(self.start_date, self.end_date, self.zone, of_closes=is_bar)
        return {
            "underlying": self.underlying,
            "start_date": self.start_date,
            "end_date": self.end_date,
            "start": start,
            "end": end,
            "bar_seconds": self.bar_seconds,
            "sources": list(self.sources),
            "known_at": self.known_at,
            "zone": self.zone,
            "belongs_before": _STAMPED_CLOSES if is_bar else dt.timedelta(),
            **more,
        }

    def statement(self, template: str, dataset: str = "") -> str:
        """Name the tables: those of today, or what was known of them at `known_at`."""
        for table in ("sessions", "instrument_terms", "continuous_contracts", "corporate_actions"):
            template = template.replace(f"{{{table}}}", self._relation(table))
        return template.replace("{dataset}", dataset).replace("{observations}", self._relation(dataset))

    def _relation(self, table: str) -> str:
        return table if self.known_at is None else f"{table}_as_of(%(known_at)s)"


def read_coverage(connection: psycopg.Connection, selection: Selection) -> pl.DataFrame:
    """Count what there is, by instrument and trade date.

    Parameters
    ----------
    connection : psycopg.Connection
        In the slice's snapshot.
    selection : Selection
        What is meant.

    Returns
    -------
    polars.DataFrame
        `dataset`, `source`, `instrument_id` as stored, `export_id` as exported, `trade_date`, `rows`,
        `first_timestamp`, `last_timestamp`, `is_alias`; rolling futures whose contract the source delivered itself are
        left out.

    """
    query = " UNION ALL ".join(selection.statement(_COVERAGE_OF_TABLE, table) for table in selection.tables)
    coverage = copy_out(connection, query, _COVERAGE_SCHEMA, selection.parameters())
    # The contract itself is better evidence than the rolling alias that meant it.
    return coverage.with_columns(is_alias=pl.col("instrument_id") != pl.col("export_id")).filter(
        ~pl.col("is_alias") | pl.col("is_alias").all().over("source", "export_id", "trade_date")
    )


def read_instruments(
    connection: psycopg.Connection, selection: Selection, coverage: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Describe each instrument by the terms of its last observation, and give the terms valid at each of them.

    Parameters
    ----------
    connection, selection
        As for `read_coverage`.
    coverage : polars.DataFrame
        What `read_coverage` gave.

    Returns
    -------
    tuple of polars.DataFrame
        `INSTRUMENT_SCHEMA` and `TERM_PERIOD_SCHEMA`.

    """
    summary = coverage.group_by("export_id").agg(
        pl.col("first_timestamp").min(),
        pl.col("last_timestamp").max(),
        row_count=pl.col("rows").sum(),
        first_date=pl.col("trade_date").min(),
        last_date=pl.col("trade_date").max(),
    )
    bounds = selection.parameters(
        instrument_ids=summary["export_id"].to_list(),
        first_dates=summary["first_date"].to_list(),
        last_dates=summary["last_date"].to_list(),
    )
    described = [name for name in INSTRUMENT_SCHEMA if name not in {"first_timestamp", "last_timestamp", "row_count"}]
    terms = copy_out(
        connection,
        selection.statement(_TERMS),
        {name: INSTRUMENT_SCHEMA[name] for name in described},
        bounds,
    )
    if selection.has_own_sessions:
        terms = with_closes(terms, selection.market)
    periods = copy_out(connection, selection.statement(_TERM_PERIODS), TERM_PERIOD_SCHEMA, bounds)
    instruments = (
        terms.join(summary, left_on="instrument_id", right_on="export_id", how="inner")
        .select(list(INSTRUMENT_SCHEMA))
        .sort("kind", "expiry", "strike", "option_type", "instrument_id")
    )
    return instruments, periods.sort("instrument_id", "valid_from")


def read_load_ids(connection: psycopg.Connection, selection: Selection, coverage: pl.DataFrame) -> set[int]:
    """Name the loads that wrote what a coverage, as chosen, counts."""
    found: set[int] = set()
    for (dataset, source), of_source in coverage.partition_by("dataset", "source", as_dict=True).items():
        if of_source["is_partial"].any():
            statement, days = _LOADS_OF_DAYS, of_source.select("instrument_id", "trade_date")
            bound = {"instrument_ids": days["instrument_id"].to_list(), "trade_dates": days["trade_date"].to_list()}
        else:
            statement, bound = _LOADS, {"instrument_ids": of_source["instrument_id"].unique().to_list()}
        query = selection.statement(statement, str(dataset))
        parameters = selection.parameters(source=source, **bound)
        found |= set(copy_out(connection, query, {"load_id": pl.Int64()}, parameters)["load_id"])
    return found
