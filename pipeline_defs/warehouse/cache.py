"""What need not be fetched or built again: published catalogs, and how often having something served.

Which catalog is out of date is decided in SQL (`catalog_is_current`), where loads and their times are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pipeline_defs.settings import load_settings
from pipeline_defs.warehouse.precedence import declare_precedence, load_precedence

if TYPE_CHECKING:
    import datetime as dt

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

# A catalog of the range or of a longer one; the shortest first.
_FIND_CACHED: Final = """
SELECT c.catalog_id, c.format, c.underlying, c.start_date, c.end_date, c.path, c.catalog_hash, c.rows, c.size_bytes,
       c.published_at, c.last_accessed
FROM catalogs AS c
WHERE c.format = %(format)s AND c.underlying = %(underlying)s
  AND c.start_date <= %(start)s AND c.end_date >= %(end)s AND catalog_is_current(c)
ORDER BY c.end_date - c.start_date, c.catalog_id DESC LIMIT 1
"""

_TOUCH: Final = "UPDATE catalogs SET last_accessed = clock_timestamp() WHERE catalog_id = %s RETURNING last_accessed"

_STATISTICS: Final = """
SELECT to_timestamp(stat_date), hit_count, miss_count, total_size_bytes, avg_fetch_latency_ms
FROM cache_statistics WHERE stat_date >= coalesce(classic_time(%s::date), 0) ORDER BY stat_date
"""


@dataclass(frozen=True, slots=True)
class CachedCatalog:
    """A published catalog that need not be built again; instants are UTC, its size None when it was not counted."""

    catalog_id: int
    format: str
    underlying: str
    start_date: dt.date
    end_date: dt.date
    path: str
    catalog_hash: str
    row_count: int
    size_bytes: int | None
    published_at: dt.datetime
    last_accessed: dt.datetime | None


@dataclass(frozen=True, slots=True)
class CacheDay:
    """How a UTC day's requests were served.

    Parameters
    ----------
    day : datetime.date
        The day.
    hits, misses : int
        Requests for what was there already, and for what had to be fetched.
    size_bytes : int
        Size of what was asked for.
    mean_fetch_latency_ms : float or None
        Over the misses of which the latency is known; None when there is none.

    """

    day: dt.date
    hits: int
    misses: int
    size_bytes: int
    mean_fetch_latency_ms: float | None


def find_cached(
    warehouse: Warehouse, format_name: str, underlying: str, start_date: dt.date, end_date: dt.date
) -> CachedCatalog | None:
    """Find a published catalog that holds a range and is not out of date; count the hit or the miss.

    Whether its files are still at their path is for the reader to see.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    format_name : str
        E.g. ``nautilus``.
    underlying : str
        E.g. ``NIFTY``.
    start_date, end_date : datetime.date
        Trade dates, inclusive; a catalog of a longer range serves, too.

    Returns
    -------
    CachedCatalog or None
        None when it must be built.

    """
    wanted = {"format": format_name, "underlying": underlying, "start": start_date, "end": end_date}
    precedence = load_precedence(load_settings().home)
    with warehouse.connect() as connection:
        if not _may_count(connection):  # a reader's login: it finds the same, and leaves no trace
            row = connection.execute(_FIND_CACHED, wanted).fetchone()
            return None if row is None else CachedCatalog(*row)
        declare_precedence(connection, precedence.to_json(), precedence.digest)
        row = connection.execute(_FIND_CACHED, wanted).fetchone()
        if row is None:
            record_cache_use(connection, hits=0, misses=1)
            return None
        found = CachedCatalog(*row)
        (touched,) = connection.execute(_TOUCH, [found.catalog_id]).fetchall()
        record_cache_use(connection, hits=1, misses=0, size_bytes=found.size_bytes or 0)
    return replace(found, last_accessed=touched[0])


def _may_count(connection: psycopg.Connection) -> bool:
    row = connection.execute("SELECT has_table_privilege('cache_statistics', 'UPDATE')").fetchone()
    return row is not None and bool(row[0])


def record_cache_use(
    connection: psycopg.Connection, *, hits: int, misses: int, size_bytes: int = 0, latency_ms: float | None = None
) -> None:
    """Add to the day's counts; any number of processes may do so at once.

    Parameters
    ----------
    connection : psycopg.Connection
        In a short transaction or in autocommit mode: the day's row is held until the transaction ends.
    hits, misses : int
        Requests for what was there already, and for what had to be fetched.
    size_bytes : int, default 0
        Size of what was asked for.
    latency_ms : float, optional
        Of all the misses together.

    """
    connection.execute(
        "SELECT record_cache_use(%s::bigint, %s::bigint, %s::bigint, %s::numeric)",
        [hits, misses, size_bytes, latency_ms],
    )


def list_statistics(warehouse: Warehouse, *, since: dt.date | None = None) -> list[CacheDay]:
    """List how requests were served, by day.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    since : datetime.date, optional
        First UTC day; default all.

    Returns
    -------
    list of CacheDay
        Days without any request are left out.

    """
    with warehouse.connect() as connection:
        rows = connection.execute(_STATISTICS, [since]).fetchall()
    return [CacheDay(instant.date(), *counts) for instant, *counts in rows]
