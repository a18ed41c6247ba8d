"""Makes the stored Greeks of a session those that were computed now: all at once, and only what differs is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.greeks.computing import NUMBERS
from pipeline_defs.schema.columns import PRICE, TIMESTAMP
from pipeline_defs.warehouse.transport import copy_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psycopg

    from pipeline_defs.greeks.inputs import Session
    from pipeline_defs.greeks.parameters import GreeksParameters

STORED_SCHEMA: Final[dict[str, pl.DataType]] = {
    "timestamp": TIMESTAMP,
    "instrument_id": pl.Int32(),
    "bar_seconds": pl.Int32(),
    "source": pl.String(),
    "price": PRICE,
    "underlying_price": PRICE,
    "underlying_timestamp": TIMESTAMP,
    "underlying_id": pl.Int32(),
    "forward": pl.Float64(),
    "rate": pl.Float64(),
    "dividend_yield": pl.Float64(),
    "time_to_expiry_years": pl.Float64(),
    **dict.fromkeys(NUMBERS, pl.Float64()),
    "reason": pl.String(),
    "model": pl.String(),
    "forward_method": pl.String(),
    "load_id": pl.Int64(),
    "underlying_load_id": pl.Int64(),
}
"""Columns of the table `option_greeks` but `computed_at`."""

KEY: Final = ("timestamp", "instrument_id", "bar_seconds", "source")

_COLUMNS: Final = ", ".join(f'"{name}"' for name in STORED_SCHEMA)
_VALUES: Final = tuple(name for name in STORED_SCHEMA if name not in KEY)

_IN_SESSION: Final = """t."timestamp" >= %(start)s AND t."timestamp" < %(end)s
    AND t.source = %(source)s AND t.bar_seconds = %(bar_seconds)s"""
_SAME_KEY: Final = " AND ".join(f't."{name}" = f."{name}"' for name in KEY)

_FRESH: Final = f"CREATE TEMP TABLE fresh_greeks ON COMMIT DROP AS SELECT {_COLUMNS} FROM option_greeks WITH NO DATA"

# One pass over both sides; a session that is computed again with the same outcome writes nothing.
_DIFFERENCES: Final = f"""
CREATE TEMP TABLE different_greeks ON COMMIT DROP AS
SELECT f.*, t.source IS NULL AS is_new
FROM fresh_greeks AS f LEFT JOIN option_greeks AS t ON {_SAME_KEY} AND {_IN_SESSION}
WHERE t.source IS NULL
   OR ({", ".join(f"t.{name}" for name in _VALUES)}) IS DISTINCT FROM ({", ".join(f"f.{name}" for name in _VALUES)})
"""

_REMOVE: Final = f"""
DELETE FROM option_greeks AS t
WHERE {_IN_SESSION} AND NOT EXISTS (SELECT FROM fresh_greeks AS f WHERE {_SAME_KEY})
"""

_WRITE: Final = f"""
INSERT INTO option_greeks ({_COLUMNS})
SELECT {_COLUMNS} FROM different_greeks ORDER BY "timestamp", instrument_id
ON CONFLICT ("timestamp", instrument_id, bar_seconds, source) DO UPDATE
SET ({", ".join(_VALUES)}, computed_at) = ROW({", ".join(f"excluded.{name}" for name in _VALUES)}, now())
"""

_COUNT: Final = "SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM different_greeks"


@dataclass(frozen=True, slots=True)
class StoredCounts:
    """Rows by what happened to them; `new + changed + unchanged` are those computed.

    Parameters
    ----------
    new, changed, unchanged, removed : int
        `removed` are rows of bars that are not there any more.

    """

    new: int
    changed: int
    unchanged: int
    removed: int


def stored_rows(options: pl.DataFrame, session: Session, parameters: GreeksParameters) -> pl.DataFrame:
    """Give computed rows the columns of the table.

    Parameters
    ----------
    options : polars.DataFrame
        From `computing.with_greeks`.
    session, parameters
        What they were computed for and with.

    Returns
    -------
    polars.DataFrame
        `STORED_SCHEMA`.

    """
    return options.with_columns(
        bar_seconds=pl.lit(session.bar_seconds, pl.Int32()),
        source=pl.lit(session.source),
        model=pl.lit(parameters.model),
        forward_method=pl.lit(parameters.forward_method),
    ).select(pl.col(name).cast(dtype) for name, dtype in STORED_SCHEMA.items())


def store_greeks(connection: psycopg.Connection, session: Session, pieces: Iterable[pl.DataFrame]) -> StoredCounts:
    """Make the stored session equal to what was computed.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction that holds the session's lock.
    session : Session
        What may be touched.
    pieces : iterable of polars.DataFrame
        `STORED_SCHEMA`, unique by the key over all pieces.

    Returns
    -------
    StoredCounts

    """
    connection.execute(_FRESH)
    rows = 0
    for piece in pieces:
        copy_in(connection, "fresh_greeks", piece)
        rows += piece.height
    connection.execute("ANALYZE fresh_greeks")
    bound = session.parameters()
    # Without statistics of rows that came moments ago, a plan that looks each one up would take minutes.
    connection.execute("SET LOCAL enable_nestloop = off")
    connection.execute(_DIFFERENCES, bound)
    removed = connection.execute(_REMOVE, bound).rowcount
    new, changed = connection.execute(_COUNT).fetchone() or (0, 0)
    connection.execute(_WRITE)
    return StoredCounts(new, changed, rows - new - changed, removed)
