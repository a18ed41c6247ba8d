"""Numbers of the warehouse: what is stored of whom and how new it is, what was refused, what is out of date.

Each query is bounded by loads, checks or catalogs; none reads observations. A server that takes longer than the limit
is told by a part that failed.
"""

from __future__ import annotations

import datetime as dt
import shutil
from functools import partial
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from pipeline_defs.settings import load_settings
from pipeline_defs.warehouse.inventory import table_sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import psycopg
    from prometheus_client import Metric

    from pipeline_defs.warehouse.connection import Warehouse

LIMIT_SECONDS: Final = 10

_LOADS: Final = """
SELECT source, dataset, sum(rows_stored - rows_retired)::bigint,
       extract(epoch FROM max(trade_date) FILTER (WHERE status = 'complete'))::bigint,
       extract(epoch FROM max(committed_at) FILTER (WHERE status = 'complete'))::float8, sum(rows_quarantined)::bigint,
       count(*) FILTER (WHERE status = 'complete'), count(*) FILTER (WHERE status = 'empty'),
       count(*) FILTER (WHERE status = 'rejected')
FROM loads GROUP BY 1, 2 ORDER BY 1, 2
"""

_FINDINGS: Final = """
SELECT severity, count(*), count(DISTINCT (dataset, source, trade_date)) FROM quality_latest
WHERE NOT passed GROUP BY 1
"""

# The same as catalog_is_current, asked of all catalogs at once: loads are read once, and not once for each.
_CATALOGS: Final = """
WITH newest AS (SELECT DISTINCT ON (path) * FROM catalogs ORDER BY path, catalog_id DESC),
changes AS MATERIALIZED (
    SELECT trade_date, underlying, max(committed_at) AS changed_at FROM loads
    WHERE rows_stored + rows_corrected + rows_retired > 0 GROUP BY 1, 2
), judged AS (
    SELECT c.format,
           c.known_at IS NOT NULL
           AND coalesce(c.precedence = (SELECT digest FROM source_precedences
                                    ORDER BY precedence_id DESC LIMIT 1), false)
           AND NOT EXISTS (SELECT FROM changes AS l
                           WHERE l.trade_date BETWEEN c.start_date AND c.end_date AND l.changed_at > c.known_at
                             AND (l.underlying IS NULL OR l.underlying = c.underlying))
           AND NOT EXISTS (SELECT FROM instrument_terms_history AS h
                           WHERE h.underlying = c.underlying AND h.known_from <= c.known_at AND h.known_to > c.known_at
                             AND h.valid_from <= c.end_date AND h.valid_to > c.start_date)
           AND NOT EXISTS (SELECT FROM continuous_contracts_history AS h
                           WHERE h.known_from <= c.known_at AND h.known_to > c.known_at
                             AND h.trade_date BETWEEN c.start_date AND c.end_date)
           AND NOT EXISTS (SELECT FROM sessions_history AS h
                           WHERE h.known_from <= c.known_at AND h.known_to > c.known_at
                             AND h.session_date BETWEEN c.start_date AND c.end_date) AS is_current
    FROM newest AS c
)
SELECT format, count(*) FILTER (WHERE is_current), count(*) FILTER (WHERE NOT is_current)
FROM judged GROUP BY 1 ORDER BY 1
"""

_CONNECTIONS: Final = """
SELECT coalesce(state, 'other'), count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY 1
"""


def warehouse_parts(warehouse: Warehouse) -> dict[str, Callable[[], Iterable[Metric]]]:
    """Give the parts of a warehouse, by name; each opens a connection of its own.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.

    Returns
    -------
    dict of str to callable

    """
    readers = {
        "loads": _loads, "quality": _quality, "catalogs": _catalogs, "database": _database, "cache": _cache_use,
    }  # fmt: skip
    parts: dict[str, Callable[[], Iterable[Metric]]] = {
        name: partial(_read, warehouse, reader) for name, reader in readers.items()
    }
    return parts | {"sessions": partial(_sessions, warehouse), "home": _home}


def _read(warehouse: Warehouse, reader: Callable[[psycopg.Connection], Iterable[Metric]]) -> list[Metric]:
    with warehouse.connect() as connection:
        connection.read_only = True
        connection.execute("SELECT set_config('statement_timeout', %s, true)", [f"{LIMIT_SECONDS}s"])
        return list(reader(connection))


def _loads(connection: psycopg.Connection) -> Iterator[Metric]:
    labels = ["source", "table"]
    rows = GaugeMetricFamily("pipeline_rows", "Rows that loads stored, less those that they retired", labels=labels)
    session = GaugeMetricFamily(
        "pipeline_newest_session_timestamp_seconds", "Midnight UTC of the newest stored trade date", labels=labels
    )
    stored = GaugeMetricFamily("pipeline_last_load_timestamp_seconds", "When a load last ended well", labels=labels)
    refused = GaugeMetricFamily("pipeline_quarantined_lines", "Lines that loads refused, with a reason", labels=labels)
    loads = GaugeMetricFamily("pipeline_loads", "Loads by how they ended", labels=[*labels, "status"])
    for source, table, count, newest, last, quarantined, *ended in connection.execute(_LOADS):
        rows.add_metric([source, table], count)
        if newest is not None:
            session.add_metric([source, table], newest)
            stored.add_metric([source, table], last)
        refused.add_metric([source, table], quarantined)
        for status, number in zip(("complete", "empty", "rejected"), ended, strict=True):
            loads.add_metric([source, table, status], number)
    yield from (rows, session, stored, refused, loads)
    pending = connection.execute("SELECT count(*) FROM pending_bars").fetchall()[0][0]
    yield GaugeMetricFamily("pipeline_pending_bar_windows", "Windows whose bars are behind their rows", value=pending)


def _quality(connection: psycopg.Connection) -> Iterator[Metric]:
    found = {severity: counts for severity, *counts in connection.execute(_FINDINGS)}
    findings = GaugeMetricFamily("pipeline_quality_findings", "Checks that fail as of now", labels=["severity"])
    for severity in ("error", "warn", "info"):
        findings.add_metric([severity], found.get(severity, [0, 0])[0])
    yield findings
    yield GaugeMetricFamily(
        "pipeline_quality_blocked_partitions", "Partitions with an error, from which nothing is derived",
        value=found.get("error", [0, 0])[1],
    )  # fmt: skip


def _catalogs(connection: psycopg.Connection) -> Iterator[Metric]:
    catalogs = GaugeMetricFamily(
        "pipeline_catalogs", "Published catalogs, by whether what they were made from has changed since",
        labels=["format", "current"],
    )  # fmt: skip
    for name, current, outdated in connection.execute(_CATALOGS):
        catalogs.add_metric([name, "yes"], current)
        catalogs.add_metric([name, "no"], outdated)
    yield catalogs


def _database(connection: psycopg.Connection) -> Iterator[Metric]:
    (row,) = connection.execute(
        "SELECT pg_database_size(current_database()), current_setting('max_connections')::integer"
    ).fetchall()
    yield GaugeMetricFamily("pipeline_database_size_bytes", "Size of the database", value=row[0])
    yield GaugeMetricFamily("pipeline_database_connections_limit", "Connections that the server takes", value=row[1])
    connections = GaugeMetricFamily("pipeline_database_connections", "Connections of clients", labels=["state"])
    for state, count in connection.execute(_CONNECTIONS):
        connections.add_metric([state], count)
    yield connections
    size = GaugeMetricFamily("pipeline_table_size_bytes", "Size of a table, with its indexes", labels=["table"])
    for table in table_sizes(connection):
        size.add_metric([table["table"]], table["size_bytes"] or 0)
    yield size


def _cache_use(connection: psycopg.Connection) -> Iterator[Metric]:
    (row,) = connection.execute(
        "SELECT coalesce(sum(hit_count), 0)::bigint, coalesce(sum(miss_count), 0)::bigint FROM cache_statistics"
    ).fetchall()
    requests = CounterMetricFamily(
        "pipeline_cache_requests", "Requests for what was there already, and for what had to be fetched",
        labels=["outcome"],
    )  # fmt: skip
    requests.add_metric(["hit"], row[0])
    requests.add_metric(["miss"], row[1])
    yield requests


def _sessions(warehouse: Warehouse) -> Iterator[Metric]:
    from pipeline_defs.operations.overdue import overdue_sessions  # noqa: PLC0415 -- imports polars

    overdue = GaugeMetricFamily(
        "pipeline_sessions_overdue", "Of the latest sessions, those that are due and not stored",
        labels=["source", "table"],
    )  # fmt: skip
    for (source, table), days in overdue_sessions(warehouse, dt.datetime.now(dt.UTC)).items():
        overdue.add_metric([source, table], len(days))
    yield overdue


def _home() -> Iterator[Metric]:
    from pipeline_defs.storage.cache import CatalogCache  # noqa: PLC0415 -- as above

    settings = load_settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    usage = shutil.disk_usage(settings.home)
    yield GaugeMetricFamily("pipeline_home_free_bytes", "Free on the disk of PIPELINE_HOME", value=usage.free)
    yield GaugeMetricFamily("pipeline_home_size_bytes", "Size of the disk of PIPELINE_HOME", value=usage.total)
    copies = CatalogCache(settings.cache_dir, settings.cache_bytes).catalogs() if settings.cache_dir.is_dir() else []
    taken = sum(copy.size_bytes for copy in copies)
    yield GaugeMetricFamily("pipeline_read_cache_size_bytes", "Taken by local copies of catalogs", value=taken)
    yield GaugeMetricFamily("pipeline_read_cache_limit_bytes", "What they may take", value=settings.cache_bytes)
