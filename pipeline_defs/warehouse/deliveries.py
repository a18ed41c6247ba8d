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
    from pipeline_defs.schema.deliveries import Delivery, FetchCost, Instants
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

# What makes an answer worth keeping in mind: the same reader, the same rules, nothing deleted since.
_AS_NOW: Final = """
  AND l.code_version = %(code_version)s AND l.api_version = %(api_version)s
  AND l.committed_at >= (SELECT seeded_at FROM market_rules_ledger)
  AND NOT EXISTS (SELECT FROM dropped_observations AS d
                  WHERE d.table_name = l.dataset AND l.trade_date < d.dropped_before::date)
"""

_SPANS: Final = f"""
SELECT l.window_start, l.window_end - interval '1 microsecond', l.load_id FROM loads AS l
WHERE l.source = %(source)s AND l.dataset = %(dataset)s AND l.trade_date = %(trade_date)s
  AND l.bar_seconds = %(bar_seconds)s AND l.answer_basis = %(digest)s AND l.status = 'complete'
  AND l.window_start IS NOT NULL AND l.underlying IS NOT DISTINCT FROM %(underlying)s {_AS_NOW}
ORDER BY l.load_id
"""

_LAST_OBSERVATIONS: Final = """
SELECT a.symbol, max(o."timestamp") FROM {table} AS o
JOIN instrument_aliases AS a ON a.instrument_id = o.instrument_id AND a.source = o.source
WHERE o.source = %(source)s AND o.bar_seconds = %(bar_seconds)s
  AND o."timestamp" > %(after)s AND o."timestamp" <= %(until)s
GROUP BY a.symbol
"""

# Since the last load of anything else: a stream, another version of the reader, what was too damaged to be stored.
_ANSWERED: Final = f"""
SELECT l.trade_date, array_agg(DISTINCT a.instrument)
FROM loads AS l CROSS JOIN LATERAL unnest(l.answered) AS a (instrument)
WHERE l.source = %(source)s AND l.dataset = %(dataset)s AND l.trade_date BETWEEN %(first)s AND %(last)s
  AND l.bar_seconds = %(bar_seconds)s AND l.answer_basis = %(basis)s AND l.status <> 'rejected' {_AS_NOW}
  AND NOT EXISTS (
      SELECT FROM loads AS o
      WHERE o.source = l.source AND o.dataset = l.dataset AND o.trade_date = l.trade_date
        AND o.bar_seconds = l.bar_seconds AND o.load_id > l.load_id
        AND (o.status = 'rejected' OR (o.answer_basis, o.code_version, o.api_version)
             IS DISTINCT FROM (l.answer_basis, l.code_version, l.api_version)))
GROUP BY l.trade_date
"""

_NEWEST: Final = """
SELECT max(load_id) FROM loads
WHERE source = %(source)s AND dataset = %(dataset)s AND trade_date = %(trade_date)s AND bar_seconds = %(bar_seconds)s
  AND answer_basis = %(basis)s AND status <> 'rejected'
"""

_AS_IT_IS: Final = """
SELECT load_id, dataset, trade_date, bar_seconds, status, rows_read, rows_read - rows_quarantined,
       'stored up to ' || (window_end - interval '1 microsecond'), window_end - interval '1 microsecond'
FROM loads WHERE load_id = %(load_id)s
"""

_REPEAT: Final = """
INSERT INTO loads (source, dataset, trade_date, bar_seconds, underlying, status, source_type, source_url, api_version,
                   fetched_at, rows_read, rows_stored, rows_unchanged, rows_corrected, rows_retired, rows_quarantined,
                   checksum, code_version, dagster_run_id, message, delivery_digest, delivery_parts, answer_basis,
                   answered, committed_at)
SELECT source, dataset, trade_date, bar_seconds, %(underlying)s, status, source_type, %(source_url)s, api_version,
       clock_timestamp(), rows_read, 0, rows_read - rows_quarantined, 0, 0, rows_quarantined,
       checksum, code_version, %(dagster_run_id)s,
       CASE status WHEN 'empty' THEN message ELSE 'same files as load ' || load_id END,
       coalesce(%(digest)s, delivery_digest), delivery_parts, answer_basis, answered, stamp_knowledge()
FROM loads WHERE load_id = %(load_id)s
RETURNING load_id, dataset, trade_date, bar_seconds, status, rows_read, rows_unchanged, message, NULL
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


@dataclass(frozen=True, slots=True)
class _LeftOut:
    """What a source left out: the loads that hold it, and as what they are to be known from now on."""

    load_ids: list[int]
    digest: str | None = None
    calls: int = 0
    seconds: float = 0.0
    is_running: bool = False


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
    _left_out: list[_LeftOut] = field(default_factory=list)

    def knows_date(self, trade_date: dt.date) -> bool:
        """Tell whether any delivery of the date was taken in."""
        return bool(self._ask(_KNOWS_DATE, trade_date)[0][0])

    def holds(self, trade_date: dt.date, digest: str) -> bool:
        """Tell whether the delivery is stored as it would be read now; remember it for `confirm` if so."""
        held = self._ask(_HELD, trade_date, digest=digest)
        if not held or any(parts != len(held) for _, parts in held):
            return False
        self._left_out.append(_LeftOut([load_id for load_id, _ in held]))
        return True

    def spans(self, trade_date: dt.date, table: str, bar_seconds: int, digest: str) -> Instants:
        """List the stretches of a running session that are stored; see `keep_running`."""
        found = self._ask(_SPANS, trade_date, dataset=table, bar_seconds=bar_seconds, digest=digest)
        return [(start, end) for start, end, _ in found]

    def keep_running(self, trade_date: dt.date, table: str, bar_seconds: int, digest: str) -> None:
        """Remember for `confirm` that a running session is fresh: its newest load, which is not repeated."""
        found = self._ask(_SPANS, trade_date, dataset=table, bar_seconds=bar_seconds, digest=digest)
        self._left_out.append(_LeftOut([found[-1][2]], is_running=True))

    def last_observations(
        self, table: str, bar_seconds: int, after: dt.datetime, until: dt.datetime
    ) -> dict[str, dt.datetime]:
        """Give each instrument's last stored observation of a stretch (from, exclusive, to, inclusive), by symbol."""
        query = _LAST_OBSERVATIONS.replace("{table}", table)
        return dict(self._ask(query, until.date(), bar_seconds=bar_seconds, after=after, until=until))

    def answered(
        self, first: dt.date, last: dt.date, table: str, bar_seconds: int, basis: str
    ) -> dict[dt.date, frozenset[str]]:
        """Name the instruments whose final answers are stored, by trade date."""
        found = self._ask(_ANSWERED, first, first=first, last=last, dataset=table, bar_seconds=bar_seconds, basis=basis)
        return {trade_date: frozenset(instruments) for trade_date, instruments in found}

    def adopt(self, delivery: Delivery, cost: FetchCost, trade_date: dt.date, table: str, bar_seconds: int) -> None:
        """Remember for `confirm` that other deliveries hold all that this one would bring."""
        ((newest,),) = self._ask(_NEWEST, trade_date, dataset=table, bar_seconds=bar_seconds, basis=delivery.basis)
        self._left_out.append(_LeftOut([newest], delivery.digest, cost.calls, cost.seconds))

    def confirm(self) -> Iterator[LoadReport]:
        """Record that what was left out is still as it was.

        Yields
        ------
        LoadReport
            As a full import would have given it; one for each partition, committed together by delivery.

        """
        while self._left_out:
            left_out = self._left_out.pop(0)
            where = f"{self.metadata.source}: loads {', '.join(map(str, left_out.load_ids))}"

            def work(connection: psycopg.Connection, left_out: _LeftOut = left_out) -> list[LoadReport]:
                with connection.transaction():
                    return [self._repeat(connection, load_id, left_out) for load_id in left_out.load_ids]

            yield from self.connection.run(work, where)

    def _ask(self, query: str, trade_date: dt.date, **more: object) -> list[tuple[Any, ...]]:
        parameters = {
            "source": self.metadata.source,
            "trade_date": trade_date,
            "underlying": self.underlying,
            "code_version": pipeline_defs.__version__,
            "api_version": self.metadata.api_version,
            **more,
        }
        return self.connection.run(
            lambda connection: connection.execute(query.encode(), parameters).fetchall(),
            f"{self.metadata.source} {trade_date}",
        )

    def _repeat(self, connection: psycopg.Connection, load_id: int, left_out: _LeftOut) -> LoadReport:
        parameters = {
            "load_id": load_id,
            "source_url": self.metadata.source_url,
            "dagster_run_id": self.dagster_run_id,
            "digest": left_out.digest,
            "underlying": self.underlying,
        }
        (row,) = connection.execute(_AS_IT_IS if left_out.is_running else _REPEAT, parameters).fetchall()
        new, dataset, trade_date, bar_seconds, status, read, unchanged, message, complete_to = row
        for statement in () if left_out.is_running else _COPY_DETAILS:
            connection.execute(statement.encode(), {"new": new, "old": load_id})
        size = connection.execute(
            "SELECT coalesce(sum(size_bytes), 0)::bigint FROM load_files WHERE load_id = %s", [load_id]
        ).fetchall()
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
            calls=left_out.calls,
            fetch_seconds=left_out.seconds,
            size_bytes=size[0][0],
            complete_to=complete_to,
        )
