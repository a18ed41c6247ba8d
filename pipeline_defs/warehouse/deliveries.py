"""Deliveries the warehouse was given before: an unchanged file costs a look, not an import.

A delivery counts as held only if reading it again could not give anything else: the same files, read whole, by the same
version of the reader and of the market's rules, with nothing loaded into their partitions since.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pipeline_defs
from pipeline_defs.warehouse.reports import LoadReport

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    import psycopg

    from pipeline_defs.schema.batches import SourceMetadata
    from pipeline_defs.warehouse.faults import PersistentConnection

_KNOWS_DATE: Final = """
SELECT EXISTS (SELECT FROM loads WHERE source = %(source)s AND trade_date = %(trade_date)s
               AND delivery_digest IS NOT NULL)
"""

# The newest load of each partition that the delivery fills; it must be of this delivery, and all of them there.
_HELD: Final = """
SELECT l.load_id, l.delivery_parts
FROM (SELECT DISTINCT ON (dataset, bar_seconds) * FROM loads
      WHERE source = %(source)s AND trade_date = %(trade_date)s
        AND (dataset, bar_seconds) IN (
            SELECT dataset, bar_seconds FROM loads
            WHERE source = %(source)s AND trade_date = %(trade_date)s AND delivery_digest = %(digest)s)
      ORDER BY dataset, bar_seconds, load_id DESC) AS l
WHERE l.delivery_digest = %(digest)s AND l.status <> 'rejected' AND l.underlying IS NOT DISTINCT FROM %(underlying)s
  AND l.code_version = %(code_version)s AND l.api_version = %(api_version)s
  AND l.committed_at >= (SELECT seeded_at FROM market_rules_ledger)
  AND NOT EXISTS (SELECT FROM dropped_observations AS d
                  WHERE d.table_name = l.dataset AND l.trade_date < d.dropped_before::date)
  AND l.delivery_parts = (SELECT count(*) FROM (
      SELECT DISTINCT dataset, bar_seconds FROM loads
      WHERE source = %(source)s AND trade_date = %(trade_date)s AND delivery_digest = %(digest)s) AS parts)
ORDER BY l.dataset, l.bar_seconds
"""

_REPEAT: Final = """
INSERT INTO loads (source, dataset, trade_date, bar_seconds, underlying, status, source_type, source_url, api_version,
                   fetched_at, rows_read, rows_stored, rows_unchanged, rows_corrected, rows_retired, rows_quarantined,
                   checksum, code_version, dagster_run_id, message, delivery_digest, delivery_parts, committed_at)
SELECT source, dataset, trade_date, bar_seconds, underlying, status, source_type, %(source_url)s, api_version,
       clock_timestamp(), rows_read, 0, rows_read - rows_quarantined, 0, 0, rows_quarantined,
       checksum, code_version, %(dagster_run_id)s,
       CASE status WHEN 'empty' THEN message ELSE 'same files as load ' || load_id END,
       delivery_digest, delivery_parts, stamp_knowledge()
FROM loads WHERE load_id = %(load_id)s
RETURNING load_id, dataset, trade_date, bar_seconds, status, rows_read, rows_unchanged, message
"""

_COPY_DETAILS: Final = (
    (
        "INSERT INTO load_files (load_id, file_index, path, member, logical_name, sha256, size_bytes, layout)"
        " SELECT %(new)s, file_index, path, member, logical_name, sha256, size_bytes, layout"
        " FROM load_files WHERE load_id = %(old)s"
    ),
    (
        "INSERT INTO quarantine (load_id, file_index, line, reason, text)"
        " SELECT %(new)s, file_index, line, reason, text FROM quarantine WHERE load_id = %(old)s"
    ),
    (
        "INSERT INTO quality_results (load_id, check_name, passed, expected, found, detail)"
        " SELECT %(new)s, check_name, passed, expected, found, detail FROM quality_results WHERE load_id = %(old)s"
    ),
)


@dataclass(slots=True)
class Ledger:
    """Answers a source's question, and writes the loads of what it then leaves out.

    Parameters
    ----------
    connection : PersistentConnection
        Where loads are.
    metadata : SourceMetadata
        Of the source that asks.
    underlying : str or None
        What the request is restricted to.
    dagster_run_id : str or None
        Recorded with the loads.

    """

    connection: PersistentConnection
    metadata: SourceMetadata
    underlying: str | None
    dagster_run_id: str | None
    _held: list[list[int]] = field(default_factory=list)

    def knows_date(self, trade_date: dt.date) -> bool:
        """Tell whether any delivery of the date was taken in."""
        return bool(self._ask(_KNOWS_DATE, trade_date, "")[0][0])

    def holds(self, trade_date: dt.date, digest: str) -> bool:
        """Tell whether the delivery is stored as it would be read now; remember it for `confirm` if so."""
        held = self._ask(_HELD, trade_date, digest)
        if not held or any(parts != len(held) for _, parts in held):
            return False
        self._held.append([load_id for load_id, _ in held])
        return True

    def confirm(self) -> Iterator[LoadReport]:
        """Record that what was left out is still as it was.

        Yields
        ------
        LoadReport
            As a full import would have given it; one for each partition, committed together by delivery.

        """
        while self._held:
            load_ids = self._held.pop(0)
            where = f"{self.metadata.source}: loads {', '.join(map(str, load_ids))}"

            def work(connection: psycopg.Connection, load_ids: list[int] = load_ids) -> list[LoadReport]:
                with connection.transaction():
                    return [self._repeat(connection, load_id) for load_id in load_ids]

            yield from self.connection.run(work, where)

    def _ask(self, query: str, trade_date: dt.date, digest: str) -> list[tuple[Any, ...]]:
        parameters = {
            "source": self.metadata.source,
            "trade_date": trade_date,
            "digest": digest,
            "underlying": self.underlying,
            "code_version": pipeline_defs.__version__,
            "api_version": self.metadata.api_version,
        }
        return self.connection.run(
            lambda connection: connection.execute(query.encode(), parameters).fetchall(),
            f"{self.metadata.source} {trade_date}",
        )

    def _repeat(self, connection: psycopg.Connection, load_id: int) -> LoadReport:
        parameters = {
            "load_id": load_id,
            "source_url": self.metadata.source_url,
            "dagster_run_id": self.dagster_run_id,
        }
        (row,) = connection.execute(_REPEAT, parameters).fetchall()
        new, dataset, trade_date, bar_seconds, status, read, unchanged, message = row
        for statement in _COPY_DETAILS:
            connection.execute(statement.encode(), {"new": new, "old": load_id})
        reasons = connection.execute("SELECT reason, count(*) FROM quarantine WHERE load_id = %s GROUP BY 1", [new])
        return LoadReport(
            load_id=new,
            dataset=dataset,
            trade_date=trade_date,
            bar_seconds=bar_seconds,
            status=status,
            read=read,
            stored=0,
            unchanged=unchanged,
            corrected=0,
            retired=0,
            quarantined=dict(reasons.fetchall()),
            message=message,
        )
