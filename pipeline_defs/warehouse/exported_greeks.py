"""Greeks of a slice's option bars, for an exporter: only those that were computed from the bars that are exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.exports import GREEKS_SCHEMA
from pipeline_defs.schema.tables import TICK
from pipeline_defs.warehouse.selections import bounded_parts
from pipeline_defs.warehouse.transport import copy_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from pipeline_defs.warehouse.selections import Selection

_DATES_SHOWN: Final = 5

_BARS: Final = """
"timestamp" >= %(start)s AND "timestamp" < %(end)s AND bar_seconds = %(bar_seconds)s AND source = %(source)s
    AND instrument_id = ANY (%(instrument_ids)s)
"""

# A row without numbers counts as computed: it says why there are none.
_BEHIND: Final = f"""
SELECT (("timestamp" - %(belongs_before)s) AT TIME ZONE %(zone)s)::date AS trade_date, count(*) AS bars
FROM (SELECT "timestamp", instrument_id, close FROM options_ticks WHERE {_BARS} AND open IS NOT NULL) AS o
LEFT JOIN (SELECT "timestamp", instrument_id, price FROM option_greeks WHERE {_BARS}) AS g
    USING ("timestamp", instrument_id)
WHERE g.price IS DISTINCT FROM o.close
GROUP BY 1 ORDER BY 1
"""

_READ: Final = f"""
SELECT {", ".join(f'"{name}"' for name in GREEKS_SCHEMA)} FROM option_greeks
WHERE {_BARS} AND implied_volatility IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class StoredGreeks:
    """Reads Greeks within a snapshot, under the ids that the bars are exported with.

    Parameters
    ----------
    connection : psycopg.Connection
        The slice's snapshot.
    selection : Selection
        Which bars.
    coverage : polars.DataFrame
        From `selections.read_coverage`, of options alone, sorted by `export_id`.

    """

    connection: psycopg.Connection
    selection: Selection
    coverage: pl.DataFrame

    def __call__(self, instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        """Give them in bounded parts."""
        for part in bounded_parts(self.coverage, instrument_ids):
            ids = part.select("instrument_id", "export_id").unique()
            bound = self.selection.parameters(instrument_ids=ids["instrument_id"].to_list())
            rows = copy_out(self.connection, _READ, GREEKS_SCHEMA, bound)
            yield (
                rows.join(ids, on="instrument_id", how="inner")
                .with_columns(instrument_id="export_id")
                .select(list(GREEKS_SCHEMA))
                .sort("instrument_id", "timestamp")
            )


def open_greeks(connection: psycopg.Connection, selection: Selection, coverage: pl.DataFrame) -> StoredGreeks:
    """Make sure that there are Greeks of every option bar of a slice, and give their reader.

    Parameters
    ----------
    connection : psycopg.Connection
        In the slice's snapshot.
    selection : Selection
        Which bars.
    coverage : polars.DataFrame
        From `selections.read_coverage`.

    Returns
    -------
    StoredGreeks

    Raises
    ------
    ExportError
        If an earlier state of knowledge or bars made of ticks are asked for, the slice has no option, or Greeks of a
        bar were never computed or come from another price than is stored now.

    """
    where = f"{selection.underlying} {selection.start_date} to {selection.end_date}"
    if selection.known_at is not None:
        raise ExportError(
            "Greeks are kept as they were computed last: what was known earlier cannot be exported with them",
            where=where,
            next_step="leave out --as-of or --greeks",
        )
    if selection.bar_seconds == TICK:
        raise ExportError(
            "Greeks belong to stored bars, not to bars that are made of ticks",
            where=where,
            next_step="leave out --from-ticks or --greeks",
        )
    options = coverage.filter(pl.col("dataset") == "options_ticks")
    if options.is_empty():
        raise ExportError("there is no option, hence no Greeks", where=where, next_step="leave out --greeks")
    bound = selection.parameters(instrument_ids=options["instrument_id"].unique().to_list())
    behind = connection.execute(_BEHIND, bound).fetchall()
    if behind:
        dates = ", ".join(str(trade_date) for trade_date, _ in behind[:_DATES_SHOWN])
        more = f" and {len(behind) - _DATES_SHOWN} more" if len(behind) > _DATES_SHOWN else ""
        raise ExportError(
            f"{sum(bars for _, bars in behind)} option bars have no Greeks, or were corrected since these were"
            f" computed: {dates}{more}",
            where=where,
            next_step="materialise option_greeks of these sessions, with this source and length of bars",
        )
    return StoredGreeks(connection, selection, options.sort("export_id"))
