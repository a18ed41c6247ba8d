"""The exchange's own settlement of contracts that expire, from the daily files that give it.

A daily file's settlement price is a contract's own, but on the expiry day of an option it is the underlying's: what the
option is worth follows from it and the strike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_defs.schema.exports import SETTLEMENT_SCHEMA
from pipeline_defs.warehouse.transport import copy_out

if TYPE_CHECKING:
    import polars as pl
    import psycopg

    from pipeline_defs.warehouse.selections import Selection

_SETTLED: Final = """
SELECT t.instrument_id, t.expiry AS session_date,
       CASE WHEN t.kind = 'FUT' THEN o.settlement_price
            WHEN t.option_type = 'CE' THEN greatest(o.settlement_price - t.strike, 0)
            ELSE greatest(t.strike - o.settlement_price, 0) END AS settlement_price,
       CASE t.kind WHEN 'OPT' THEN o.settlement_price END AS underlying_price
FROM {instrument_terms} AS t
JOIN {observations} AS o ON o.instrument_id = t.instrument_id
WHERE t.underlying = %(underlying)s AND t.kind = %(kind)s AND t.expiry BETWEEN %(start_date)s AND %(end_date)s
  AND t.valid_from <= t.expiry AND t.valid_to > t.expiry
  AND o."timestamp" >= %(start)s AND o."timestamp" < %(end)s AND o.bar_seconds = 86400
  AND (o."timestamp" AT TIME ZONE %(zone)s)::date = t.expiry
  AND o.source = %(source)s AND o.settlement_price IS NOT NULL
"""


def read_settlements(connection: psycopg.Connection, selection: Selection) -> pl.DataFrame | None:
    """Read at what the contracts that expire in a slice were settled.

    Parameters
    ----------
    connection : psycopg.Connection
        In the slice's snapshot.
    selection : Selection
        Which underlying, dates and source.

    Returns
    -------
    polars.DataFrame or None
        `SETTLEMENT_SCHEMA`, sorted by instrument; None when no daily file gave any.

    """
    settled = [
        copy_out(connection, selection.statement(_SETTLED, dataset), SETTLEMENT_SCHEMA, selection.parameters(kind=kind))
        for kind, dataset in (("OPT", "options_ticks"), ("FUT", "futures_ticks"))
    ]
    found = settled[0].vstack(settled[1]).sort("instrument_id")
    return None if found.is_empty() else found
