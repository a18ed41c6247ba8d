"""Which series an import left in the warehouse: what a named bundle points to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_defs.warehouse.named_bundles import BundleMember, read_bundle

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

# The rows name their load, and a load its trade date, whatever the market's zone; the wide window only spares the
# server the chunks of other months.
_SERIES: Final = """
SELECT DISTINCT a.symbol, o.instrument_id
FROM {table} AS o
JOIN loads AS l ON l.load_id = o.load_id
JOIN instrument_aliases AS a ON a.instrument_id = o.instrument_id AND a.source = o.source
WHERE o.source = %(source)s AND o.bar_seconds = %(bar_seconds)s
  AND o."timestamp" >= %(first)s::date - 2 AND o."timestamp" < %(last)s::date + 3
  AND l.trade_date BETWEEN %(first)s AND %(last)s
  AND (%(symbols)s::text[] IS NULL OR a.symbol = ANY (%(symbols)s))
  AND (%(underlyings)s::text[] IS NULL OR EXISTS (
      SELECT FROM instrument_terms AS t
      WHERE t.instrument_id = o.instrument_id AND t.underlying = ANY (%(underlyings)s)))
ORDER BY a.symbol
"""


@dataclass(frozen=True, slots=True)
class BundledUnderlying:
    """What a bundle holds of an underlying by its first source: its shortest bars."""

    underlying: str
    source: str
    bar_seconds: int


_UNDERLYINGS: Final = """
SELECT DISTINCT ON (t.underlying) t.underlying, m.source, m.bar_seconds
FROM named_bundle_members AS m JOIN instrument_terms AS t USING (instrument_id)
WHERE m.bundle_name = %s AND m.bar_seconds > 0
ORDER BY t.underlying, m.bar_seconds, m.source
"""


def find_underlyings(warehouse: Warehouse, bundle: str) -> list[BundledUnderlying]:
    """List what there is to export of a named bundle.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    bundle : str
        Its name.

    Returns
    -------
    list of BundledUnderlying
        By underlying.

    Raises
    ------
    WarehouseError
        If there is no such bundle; near names are shown.

    """
    read_bundle(warehouse, bundle)
    with warehouse.connect() as connection:
        return [BundledUnderlying(*row) for row in connection.execute(_UNDERLYINGS, [bundle]).fetchall()]


def find_series(
    connection: psycopg.Connection,
    source: str,
    dataset: str,
    bar_seconds: int,
    days: tuple[dt.date, dt.date],
    *,
    symbols: Collection[str] | None = None,
    underlyings: Collection[str] | None = None,
) -> list[BundleMember]:
    """List the series of a dataset that have rows in a range of trade dates.

    Parameters
    ----------
    connection : psycopg.Connection
        Any.
    source, dataset : str
        Whose observations, in which table.
    bar_seconds : int
        Resolution; 0 for ticks.
    days : tuple of datetime.date
        First and last trade date, both inclusive.
    symbols : collection of str, optional
        Only those that the source calls so.
    underlyings : collection of str, optional
        Only those of these underlyings.

    Returns
    -------
    list of BundleMember
        By symbol, as the source writes it.

    """
    if dataset not in OBSERVATION_TABLES:
        raise ValueError(f"{dataset!r} is no table of observations")
    rows = connection.execute(
        _SERIES.replace("{table}", dataset).encode(),
        {
            "source": source,
            "bar_seconds": bar_seconds,
            "first": days[0],
            "last": days[1],
            "symbols": None if symbols is None else sorted(symbols),
            "underlyings": None if underlyings is None else sorted(underlyings),
        },
    ).fetchall()
    return [BundleMember(symbol, instrument_id, source, dataset, bar_seconds) for symbol, instrument_id in rows]
