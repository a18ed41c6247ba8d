"""The exchange's own settlement of contracts that expire, from the daily files that give it.

A daily file's settlement price is a contract's own, but on the expiry day of an option it is the underlying's: what the
option is worth follows from it and the strike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.exports import SETTLEMENT_SCHEMA
from pipeline_defs.warehouse.transport import copy_out

if TYPE_CHECKING:
    from collections.abc import Collection

    import psycopg

    from pipeline_defs.warehouse.precedence import Precedence
    from pipeline_defs.warehouse.selections import Selection

# Of each contract, what the first source in order says.
_SETTLED: Final = """
SELECT DISTINCT ON (t.instrument_id) o.source, o.load_id, t.instrument_id, t.expiry AS session_date,
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
  AND o.source = ANY (%(order)s) AND o.settlement_price IS NOT NULL
ORDER BY t.instrument_id, array_position(%(order)s::text[], o.source::text), o."timestamp" DESC
"""

_SCHEMA: Final[dict[str, pl.DataType]] = {"source": pl.String(), "load_id": pl.Int64(), **SETTLEMENT_SCHEMA}


@dataclass(frozen=True, slots=True)
class Settlements:
    """Settlements, and who gave them.

    Parameters
    ----------
    rows : polars.DataFrame
        `SETTLEMENT_SCHEMA` with `source` and `load_id`.

    """

    rows: pl.DataFrame

    @property
    def prices(self) -> pl.DataFrame:
        """`SETTLEMENT_SCHEMA`, sorted by instrument."""
        return self.rows.select(list(SETTLEMENT_SCHEMA))

    @property
    def sources(self) -> tuple[str, ...]:
        """Who gave them, sorted."""
        return tuple(sorted(set(self.rows["source"])))

    def load_ids_beside(self, sources: Collection[str]) -> set[int]:
        """Name the loads of other sources than those."""
        return set(self.rows.filter(~pl.col("source").is_in(list(sources)))["load_id"])


def read_settlements(
    connection: psycopg.Connection, selection: Selection, precedence: Precedence | None
) -> Settlements | None:
    """Read at what the contracts that expire in a slice were settled.

    Parameters
    ----------
    connection : psycopg.Connection
        In the slice's snapshot.
    selection : Selection
        Which underlying and dates.
    precedence : Precedence or None
        Whose word counts; None for the selection's only source.

    Returns
    -------
    Settlements or None
        None when no daily file gave any.

    """
    settled = [
        copy_out(
            connection,
            selection.statement(_SETTLED, dataset),
            _SCHEMA,
            selection.parameters(
                kind=kind,
                order=list(selection.sources if precedence is None else precedence.order(dataset, "NSE")),
            ),
        )
        for kind, dataset in (("OPT", "options_ticks"), ("FUT", "futures_ticks"))
    ]
    found = settled[0].vstack(settled[1]).sort("instrument_id")
    return None if found.is_empty() else Settlements(found)
