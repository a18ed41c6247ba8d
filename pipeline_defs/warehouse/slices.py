"""Read one underlying over a range of trade dates, for an exporter.

Everything is read in one snapshot: what is imported meanwhile is seen wholly or not at all. The same reads answer what
was known at an earlier instant. Continuous futures come out under the contract they meant, unless the contract itself
was delivered for that day.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.schema.exports import BAR_SCHEMA, INSTRUMENT_SCHEMA, TERM_PERIOD_SCHEMA, MarketSlice
from pipeline_defs.schema.tables import DAY, MINUTE
from pipeline_defs.warehouse.days import EXCHANGE_ZONE, day_bounds
from pipeline_defs.warehouse.transport import copy_out

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

ROWS_AT_A_TIME: Final = 2_000_000
"""Bars held in memory by a reader: about 300 MB of frames."""

_SESSION_SCHEMA: Final[dict[str, pl.DataType]] = {"session_date": pl.Date(), "open": TIMESTAMP, "close": TIMESTAMP}

_SESSIONS: Final = """
SELECT session_date, open, close FROM {sessions} AS s
WHERE market = 'NSE' AND segment = 'FO' AND session_date BETWEEN %(start_date)s AND %(end_date)s
ORDER BY session_date
"""

# What exists: instrument and trade date with its row count, for every observation table that can hold bars.
_COVERAGE_SCHEMA: Final[dict[str, pl.DataType]] = {
    "dataset": pl.String(),
    "instrument_id": pl.Int32(),
    "export_id": pl.Int32(),
    "trade_date": pl.Date(),
    "rows": pl.Int64(),
    "first_timestamp": TIMESTAMP,
    "last_timestamp": TIMESTAMP,
}

_COVERAGE_OF_TABLE: Final = """
SELECT '{dataset}' AS dataset, o.instrument_id,
       coalesce(c.contract_id, m.instrument_id, o.instrument_id) AS export_id, o.trade_date, o.rows,
       o.first_timestamp, o.last_timestamp
FROM (SELECT instrument_id, ("timestamp" AT TIME ZONE 'Asia/Kolkata')::date AS trade_date, count(*) AS rows,
             min("timestamp") AS first_timestamp, max("timestamp") AS last_timestamp
      FROM {observations} AS o
      WHERE "timestamp" >= %(start)s AND "timestamp" < %(end)s AND bar_seconds = %(bar_seconds)s
        AND source = %(source)s AND open IS NOT NULL
        AND instrument_id IN (SELECT instrument_id FROM {instrument_terms} AS t WHERE underlying = %(underlying)s)
      GROUP BY 1, 2) AS o
LEFT JOIN {continuous_contracts} AS c USING (instrument_id, trade_date)
LEFT JOIN instrument_merges_as_of(coalesce(%(known_at)s::timestamptz, 'infinity')) AS m
    ON m.duplicate_id = o.instrument_id
"""

_BARS_OF_TABLE: Final = """
SELECT o.instrument_id, o."timestamp", o.open, o.high, o.low, o.close, coalesce(o.volume, 0) AS volume, o.open_interest
FROM {observations} AS o
WHERE o."timestamp" >= %(start)s AND o."timestamp" < %(end)s AND o.bar_seconds = %(bar_seconds)s
  AND o.source = %(source)s AND o.open IS NOT NULL AND o.instrument_id = ANY (%(instrument_ids)s)
"""

_TERMS: Final = """
SELECT t.instrument_id, t.kind, t.symbol, t.underlying, t.expiry, t.strike, t.option_type, t.rank, t.series, t.isin,
       t.lot_size, t.tick_size, t.venue, t.currency, NULL::text AS base_currency,
       (SELECT s.close FROM {sessions} AS s WHERE s.market = 'NSE' AND s.segment = 'FO' AND s.session_date <= t.expiry
        ORDER BY s.session_date DESC LIMIT 1) AS expiry_close
FROM unnest(%(instrument_ids)s::integer[], %(last_dates)s::date[]) AS i (instrument_id, last_date)
JOIN {instrument_terms} AS t
    ON t.instrument_id = i.instrument_id AND t.valid_from <= i.last_date AND t.valid_to > i.last_date
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


@dataclass(frozen=True, slots=True)
class _Selection:
    """What is read: bound into every statement."""

    underlying: str
    start_date: dt.date
    end_date: dt.date
    bar_seconds: int
    source: str
    tables: tuple[str, ...]
    known_at: dt.datetime | None

    def parameters(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401 -- values of any SQL type
        start, end = day_bounds(self.start_date, self.end_date)
        return {
            "underlying": self.underlying,
            "start_date": self.start_date,
            "end_date": self.end_date,
            "start": start,
            "end": end,
            "bar_seconds": self.bar_seconds,
            "source": self.source,
            "known_at": self.known_at,
            **more,
        }

    def statement(self, template: str, dataset: str = "") -> str:
        """Name the tables: those of today, or what was known of them at `known_at`."""
        for table in ("sessions", "instrument_terms", "continuous_contracts"):
            template = template.replace(f"{{{table}}}", self._relation(table))
        return template.replace("{dataset}", dataset).replace("{observations}", self._relation(dataset))

    def _relation(self, table: str) -> str:
        return table if self.known_at is None else f"{table}_as_of(%(known_at)s)"


@contextmanager
def open_market_slice(
    warehouse: Warehouse,
    underlying: str,
    start_date: dt.date,
    end_date: dt.date,
    *,
    bar_seconds: int = MINUTE,
    source: str = "nse_csv",
    known_at: dt.datetime | None = None,
) -> Iterator[MarketSlice]:
    """Describe what the warehouse holds of an underlying, with a reader for its bars.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    underlying : str
        E.g. ``NIFTY``.
    start_date, end_date : datetime.date
        Trade dates, inclusive.
    bar_seconds : int, default 60
        Resolution to export.
    source : str, default "nse_csv"
        Whose observations.
    known_at : datetime.datetime, optional
        Read what was known at this instant, corrections since left out; default what is known now.

    Yields
    ------
    MarketSlice
        Usable inside the block only: its reads share one connection and one snapshot.

    Raises
    ------
    ExportError
        If the warehouse holds no bar of the selection.

    """
    import psycopg  # noqa: PLC0415 -- a client library is loaded where it is used

    if known_at is not None and known_at.tzinfo is None:
        raise ExportError(
            f"the instant {known_at} has no time zone",
            next_step="write it with its offset, e.g. 2025-08-14T18:00+05:30",
        )
    tables = ("options_ticks", "futures_ticks", "equity_daily" if bar_seconds >= DAY else "spot_prices")
    selection = _Selection(underlying, start_date, end_date, bar_seconds, source, tables, known_at)
    with warehouse.connect() as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        # Tables that were filled moments ago have no statistics yet: a nested loop over them would take minutes.
        connection.execute("SET LOCAL enable_nestloop = off")
        sessions = copy_out(connection, selection.statement(_SESSIONS), _SESSION_SCHEMA, selection.parameters())
        coverage = _coverage(connection, selection)
        if coverage.is_empty():
            as_known = "" if known_at is None else f" as known at {known_at.isoformat()}"
            raise ExportError(
                f"no {bar_seconds}-second bars of {underlying} from {start_date} to {end_date} in the warehouse"
                f"{as_known}",
                where=f"source {source}",
                next_step="import the days first, or check the name with 'pipeline doctor'",
            )
        instruments, term_periods = _instruments(connection, selection, coverage)
        load_ids = _load_ids(connection, selection, coverage)

        def read_bars(instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
            for part in _parts(coverage, instrument_ids):
                yield _read_part(connection, selection, part)

        yield MarketSlice(
            underlying,
            start_date,
            end_date,
            bar_seconds,
            sessions,
            instruments,
            read_bars,
            load_ids,
            known_at or _knowledge_time(connection),
            term_periods,
        )


def _knowledge_time(connection: psycopg.Connection) -> dt.datetime:
    """Give the stamp of the newest change that the snapshot sees."""
    (row,) = connection.execute("SELECT instant FROM knowledge_clock").fetchall()
    instant: dt.datetime = row[0]
    return instant


def _coverage(connection: psycopg.Connection, selection: _Selection) -> pl.DataFrame:
    query = " UNION ALL ".join(selection.statement(_COVERAGE_OF_TABLE, table) for table in selection.tables)
    coverage = copy_out(connection, query, _COVERAGE_SCHEMA, selection.parameters())
    # The contract itself is better evidence than the rolling alias that meant it.
    return coverage.with_columns(is_alias=pl.col("instrument_id") != pl.col("export_id")).filter(
        ~pl.col("is_alias") | pl.col("is_alias").all().over("export_id", "trade_date")
    )


def _instruments(
    connection: psycopg.Connection, selection: _Selection, coverage: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Describe each instrument by the terms of its last bar, and give the terms valid at each of its bars."""
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
    periods = copy_out(connection, selection.statement(_TERM_PERIODS), TERM_PERIOD_SCHEMA, bounds)
    instruments = (
        terms.join(summary, left_on="instrument_id", right_on="export_id", how="inner")
        .select(list(INSTRUMENT_SCHEMA))
        .sort("kind", "expiry", "strike", "option_type", "instrument_id")
    )
    return instruments, periods.sort("instrument_id", "valid_from")


def _load_ids(connection: psycopg.Connection, selection: _Selection, coverage: pl.DataFrame) -> tuple[int, ...]:
    query = " UNION ".join(selection.statement(_LOADS, table) for table in coverage["dataset"].unique().sort())
    ids = coverage["instrument_id"].unique().to_list()
    loads = copy_out(connection, query, {"load_id": pl.Int64()}, selection.parameters(instrument_ids=ids))
    return tuple(loads["load_id"].unique().sort().to_list())


def _parts(coverage: pl.DataFrame, instrument_ids: list[int] | None) -> list[pl.DataFrame]:
    """Cut the coverage by exported instrument so that each part holds a bounded number of rows."""
    wanted = coverage if instrument_ids is None else coverage.filter(pl.col("export_id").is_in(instrument_ids))
    sizes = wanted.group_by("export_id").agg(pl.col("rows").sum()).sort("export_id")
    numbered = sizes.with_columns(part=(pl.col("rows").cum_sum() - 1) // ROWS_AT_A_TIME)
    return wanted.join(numbered.select("export_id", "part"), on="export_id").partition_by("part")


def _read_part(connection: psycopg.Connection, selection: _Selection, part: pl.DataFrame) -> pl.DataFrame:
    frames = [
        copy_out(
            connection,
            selection.statement(_BARS_OF_TABLE, dataset),
            BAR_SCHEMA,
            selection.parameters(instrument_ids=rows["instrument_id"].unique().to_list()),
        )
        for (dataset,), rows in part.partition_by("dataset", as_dict=True).items()
    ]
    bars = pl.concat(frames)
    if part["is_alias"].any():
        days = part.select("instrument_id", "trade_date", "export_id")
        bars = (
            bars.with_columns(trade_date=pl.col("timestamp").dt.convert_time_zone(EXCHANGE_ZONE.key).dt.date())
            .join(days, on=["instrument_id", "trade_date"], how="inner")
            .with_columns(instrument_id="export_id")
            .select(list(BAR_SCHEMA))
        )
    return bars.sort("instrument_id", "timestamp")
