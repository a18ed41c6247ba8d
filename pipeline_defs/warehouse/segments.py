"""One instrument's bars over a long range, quickly: months in one piece, made when they are first read.

The observation tables are laid out for what loads and exports do: a day at a time. One instrument's year is spread over
all of their pages, so that no index brings it together (docs/freshness.md has the figures). A month that was read is
therefore kept in one piece, and given again for as long as nothing of it changed: the loads say so, in the order of the
knowledge clock. A month that is not current is read from the table, in the same snapshot.
"""

from __future__ import annotations

import calendar
import datetime as dt
import io
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import WarehouseError
from pipeline_defs.schema.columns import MARKET_ZONE
from pipeline_defs.schema.exports import BAR_SCHEMA
from pipeline_defs.schema.tables import OBSERVATION_TABLES, SIZES, TICK
from pipeline_defs.warehouse.days import day_bounds
from pipeline_defs.warehouse.transport import copy_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

type Piece = tuple[int, dt.date]
"""An instrument, and the first day of a month."""

_FIND: Final = """
SELECT s.instrument_id, s.month, s.content FROM bar_segments AS s
WHERE s.dataset = %(dataset)s AND s.source = %(source)s AND s.bar_seconds = %(bar_seconds)s
  AND s.instrument_id = ANY (%(instrument_ids)s) AND s.month = ANY (%(months)s) AND s.zone = %(zone)s
  AND bar_segment_is_current(s)
"""

_ROWS: Final = """
SELECT o.instrument_id, o."timestamp", o.open, o.high, o.low, o.close, o.volume, o.open_interest
FROM {table} AS o
WHERE o."timestamp" >= %(start)s AND o."timestamp" < %(end)s AND o.bar_seconds = %(bar_seconds)s
  AND o.source = %(source)s AND o.open IS NOT NULL AND o.instrument_id = ANY (%(instrument_ids)s)
"""

_KEEP: Final = """
INSERT INTO bar_segments AS s (dataset, source, bar_seconds, instrument_id, month, zone, known_at, rows, content)
VALUES (%(dataset)s, %(source)s, %(bar_seconds)s, %(instrument_id)s, %(month)s, %(zone)s, %(known_at)s, %(rows)s,
        %(content)s)
ON CONFLICT (dataset, source, bar_seconds, instrument_id, month) DO UPDATE
SET zone = excluded.zone, known_at = excluded.known_at, rows = excluded.rows, content = excluded.content
WHERE s.known_at < excluded.known_at OR s.zone <> excluded.zone
"""


def segment_schema(table: str) -> dict[str, pl.DataType]:
    """Give the schema of `read_bars` of a table: `BAR_SCHEMA`, with sizes as the table has them."""
    types = OBSERVATION_TABLES[table].polars_schema()
    return {
        name: types[name] if name in SIZES or name == "open_interest" else dtype for name, dtype in BAR_SCHEMA.items()
    }


def read_bars(
    warehouse: Warehouse,
    table: str,
    source: str,
    instrument_ids: Sequence[int],
    days: tuple[dt.date, dt.date],
    *,
    bar_seconds: int = 60,
    zone: str = MARKET_ZONE,
) -> pl.DataFrame:
    """Read the bars of a few instruments over a range of trade dates.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    table, source : str
        Observation table; whose observations.
    instrument_ids : sequence of int
        Of what; as stored, merged duplicates are not looked up.
    days : tuple of datetime.date
        First and last trade date, both inclusive.
    bar_seconds : int, default 60
        Resolution of the stored bars.
    zone : str, default "Asia/Kolkata"
        Whose days the trade dates are.

    Returns
    -------
    polars.DataFrame
        `segment_schema`, decimals exact, sorted by instrument and time; everything as one snapshot shows it.

    Raises
    ------
    WarehouseError
        If there is no such table, or `bar_seconds` is not above zero: ticks are read by `slices`.

    """
    if table not in OBSERVATION_TABLES or bar_seconds <= TICK:
        raise WarehouseError(
            f"no bars of {bar_seconds} s in {table!r}",
            next_step=f"name one of {', '.join(OBSERVATION_TABLES)} and a length above zero",
        )
    import psycopg  # noqa: PLC0415 -- a client library is loaded where it is used

    months = _months(*days)
    what: dict[str, Any] = {"dataset": table, "source": source, "bar_seconds": bar_seconds, "zone": zone}
    ids = sorted(set(instrument_ids))
    with warehouse.connect() as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            frames, made, known_at = read_months(connection, what, ids, months)
        # What others kept meanwhile is no reason to fail, as it would be within the snapshot.
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        if made:
            keep_months(connection, what, made, known_at)
    start, end = day_bounds(*days, zone, of_closes=True)
    empty = pl.DataFrame(schema=segment_schema(table))
    rows = pl.concat([empty, *(frames[one, month] for one in ids for month in months)])
    return rows.filter((pl.col("timestamp") >= start) & (pl.col("timestamp") < end))


def read_months(
    connection: psycopg.Connection, what: dict[str, Any], instrument_ids: Sequence[int], months: Sequence[dt.date]
) -> tuple[dict[Piece, pl.DataFrame], dict[Piece, pl.DataFrame], dt.datetime | None]:
    """Read whole months of instruments within a snapshot of one's own.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction of one snapshot.
    what : dict
        ``dataset``, ``source``, ``bar_seconds`` (above zero) and ``zone``.
    instrument_ids : sequence of int
        Of what.
    months : sequence of datetime.date
        Their first days.

    Returns
    -------
    tuple
        Frames of `segment_schema` by instrument and month; those of them that were read from the table, and the
        knowledge time of the snapshot: what `keep_months` takes, once the transaction is over.

    """
    asked = {**what, "instrument_ids": list(instrument_ids), "months": list(months)}
    found = connection.execute(_FIND, asked, binary=True).fetchall()
    frames = {(one, month): pl.read_ipc(content, use_pyarrow=False) for one, month, content in found}
    missing = {month: [one for one in instrument_ids if (one, month) not in frames] for month in months}
    made, known_at = _from_table(connection, what, {month: of for month, of in missing.items() if of})
    return frames | made, made, known_at


def _from_table(
    connection: psycopg.Connection, what: dict[str, Any], wanted: dict[dt.date, list[int]]
) -> tuple[dict[Piece, pl.DataFrame], dt.datetime | None]:
    """Read months that are not there in one piece, and the knowledge time of the snapshot."""
    if not wanted:
        return {}, None
    ((known_at,),) = connection.execute("SELECT instant FROM knowledge_clock").fetchall()
    schema = segment_schema(what["dataset"])
    made: dict[Piece, pl.DataFrame] = {}
    for month, ids in wanted.items():
        start, end = day_bounds(month, _last_day(month), what["zone"], of_closes=True)
        parameters = {**what, "start": start, "end": end, "instrument_ids": ids}
        rows = copy_out(connection, _ROWS.replace("{table}", what["dataset"]), schema, parameters)
        parts = rows.sort("instrument_id", "timestamp").partition_by("instrument_id", as_dict=True)
        made |= {(one, month): parts.get((one,), rows.clear()) for one in ids}
    return made, known_at


def keep_months(
    connection: psycopg.Connection,
    what: dict[str, Any],
    made: dict[Piece, pl.DataFrame],
    known_at: dt.datetime | None,
) -> None:
    """Keep months that `read_months` had to read from the table; what another kept meanwhile and knows more stays."""
    rows = []
    for (one, month), frame in made.items():
        content = io.BytesIO()
        frame.write_ipc(content, compression="lz4")
        more = {"instrument_id": one, "month": month, "known_at": known_at, "rows": frame.height}
        rows.append({**what, **more, "content": content.getvalue()})
    with connection.transaction():
        connection.cursor().executemany(_KEEP, rows)


def _months(first: dt.date, last: dt.date) -> list[dt.date]:
    months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    return [dt.date(month // 12, month % 12 + 1, 1) for month in months]


def _last_day(month: dt.date) -> dt.date:
    return month.replace(day=calendar.monthrange(month.year, month.month)[1])
