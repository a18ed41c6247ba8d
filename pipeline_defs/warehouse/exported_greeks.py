"""Greeks of a slice's option bars, for an exporter: only those that were computed from the bars that are exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.exports import GREEKS_SCHEMA
from pipeline_defs.schema.tables import TICK
from pipeline_defs.warehouse.observations import numbered_parts
from pipeline_defs.warehouse.transport import copy_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from pipeline_defs.warehouse.selections import Selection

_DATES_SHOWN: Final = 5

# Bars of the contract-days that a slice takes, each from one source.
_TAKEN: Final = """
unnest(%(day_sources)s::text[], %(day_instrument_ids)s::integer[], %(day_dates)s::date[])
    AS d (source, instrument_id, trade_date)
JOIN {table} AS o
    ON o.source = d.source AND o.instrument_id = d.instrument_id
    AND d.trade_date = ((o."timestamp" - %(belongs_before)s) AT TIME ZONE %(zone)s)::date
    AND o."timestamp" >= %(start)s AND o."timestamp" < %(end)s AND o.bar_seconds = %(bar_seconds)s
"""

# A row without numbers counts as computed: it says why there are none.
_BEHIND: Final = f"""
SELECT o.trade_date, count(*) AS bars
FROM (SELECT d.trade_date, o."timestamp", o.instrument_id, o.bar_seconds, o.source, o.close
      FROM {_TAKEN.format(table="options_ticks")} WHERE o.open IS NOT NULL) AS o
LEFT JOIN option_greeks AS g USING ("timestamp", instrument_id, bar_seconds, source)
WHERE g.price IS DISTINCT FROM o.close
GROUP BY 1 ORDER BY 1
"""

_READ: Final = f"""
SELECT {", ".join(f'o."{name}"' for name in GREEKS_SCHEMA)}
FROM {_TAKEN.format(table="option_greeks")}
WHERE o.implied_volatility IS NOT NULL
"""


def _days(coverage: pl.DataFrame) -> dict[str, list[object]]:
    return {
        "day_sources": coverage["source"].to_list(),
        "day_instrument_ids": coverage["instrument_id"].to_list(),
        "day_dates": coverage["trade_date"].to_list(),
    }


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
        numbered = numbered_parts(self.coverage, instrument_ids)
        for part in self.coverage.join(numbered, on="export_id", maintain_order="left").partition_by("part"):
            ids = part.select("instrument_id", "export_id").unique()
            rows = copy_out(self.connection, _READ, GREEKS_SCHEMA, self.selection.parameters(**_days(part)))
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
    behind = connection.execute(_BEHIND, selection.parameters(**_days(options))).fetchall()
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
