"""What checks found, in the database: written once for each state of a partition, read newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    import psycopg

    from pipeline_defs.quality.specs import Outcome, Spec
    from pipeline_defs.warehouse.connection import Warehouse

# An equal result is left alone, unless another state was judged in between: then this one is the newest again.
_STORE: Final = """
INSERT INTO quality_checks AS q (dataset, source, trade_date, check_name, severity, passed, examined, failing, expected,
                                 found, detail, load_ids, checked_at, code_version)
VALUES (%(dataset)s, %(source)s, %(trade_date)s, %(check_name)s, %(severity)s, %(passed)s, %(examined)s, %(failing)s,
        %(expected)s, %(found)s, %(detail)s, %(load_ids)s, clock_timestamp(), %(code_version)s)
ON CONFLICT (dataset, source, trade_date, check_name, load_ids, code_version) DO UPDATE
SET severity = excluded.severity, passed = excluded.passed, examined = excluded.examined, failing = excluded.failing,
    expected = excluded.expected, found = excluded.found, detail = excluded.detail, checked_at = excluded.checked_at
WHERE (q.severity, q.passed, q.examined, q.failing, q.expected, q.found, q.detail)
      IS DISTINCT FROM (excluded.severity, excluded.passed, excluded.examined, excluded.failing, excluded.expected,
                        excluded.found, excluded.detail)
   OR q.check_id <> (SELECT l.check_id FROM quality_latest AS l
                     WHERE (l.dataset, l.source, l.trade_date, l.check_name)
                         = (q.dataset, q.source, q.trade_date, q.check_name))
   OR %(failures)s::jsonb IS DISTINCT FROM (
       SELECT coalesce(jsonb_agg(jsonb_build_array(f.instrument_id, extract(epoch FROM f."timestamp"), f.bar_seconds,
                                                   f.detail) ORDER BY f.position), '[]')
       FROM quality_failures AS f WHERE f.check_id = q.check_id)
RETURNING check_id
"""

_STORE_FAILURES: Final = """
INSERT INTO quality_failures (check_id, position, instrument_id, "timestamp", bar_seconds, detail)
SELECT %(check_id)s, f.position, (f.value ->> 0)::integer, to_timestamp((f.value ->> 1)::numeric),
       (f.value ->> 2)::integer, f.value ->> 3
FROM jsonb_array_elements(%(failures)s::jsonb) WITH ORDINALITY AS f (value, position)
"""

_RESULTS: Final = """
SELECT q.check_id, q.dataset, q.source, q.trade_date, q.check_name, q.severity, q.passed, q.examined, q.failing,
       q.expected, q.found, q.detail, q.load_ids, q.checked_at, q.code_version
FROM __FROM__ AS q
WHERE (%(dataset)s::text IS NULL OR q.dataset = %(dataset)s) AND (%(source)s::text IS NULL OR q.source = %(source)s)
  AND (%(trade_date)s::date IS NULL OR q.trade_date = %(trade_date)s)
  AND (%(check)s::text IS NULL OR q.check_name = %(check)s)
ORDER BY q.trade_date, q.source, q.dataset, q.passed, array_position(ARRAY['error', 'warn', 'info'], q.severity),
         q.check_name, q.checked_at
"""

_FAILURES: Final = """
SELECT f.check_id, f.position, f.instrument_id, t.symbol, f."timestamp", f.bar_seconds, f.detail
FROM quality_failures AS f
JOIN quality_checks AS q USING (check_id)
LEFT JOIN LATERAL (
    SELECT t.symbol FROM instrument_terms AS t WHERE t.instrument_id = f.instrument_id
    ORDER BY t.valid_from <= q.trade_date AND t.valid_to > q.trade_date DESC, t.valid_from DESC LIMIT 1) AS t ON true
WHERE f.check_id = ANY (%(check_ids)s) ORDER BY f.check_id, f.position
"""


@dataclass(frozen=True, slots=True)
class StoredFailure:
    """A failing row as it is told to people.

    Parameters
    ----------
    position : int
        From 1.
    instrument_id, symbol : int or None, str or None
        Which instrument, and what it was called on the trade date.
    timestamp : datetime.datetime or None
        UTC.
    bar_seconds : int or None
        Resolution.
    detail : str
        Values, file and line where known.

    """

    position: int
    instrument_id: int | None
    symbol: str | None
    timestamp: dt.datetime | None
    bar_seconds: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class StoredCheck:
    """A row of `quality_checks`.

    Parameters
    ----------
    check_id : int
        Its key.
    dataset, source, trade_date, check_name : str, str, datetime.date, str
        What was judged by what.
    severity : str
        ``error``, ``warn`` or ``info``.
    passed : bool
        Whether nothing fails.
    examined, failing : int
        How many were looked at, and how many fail.
    expected, found, detail : str
        Both sides, and what else a person should know.
    load_ids : list of int
        Newest loads of the partition at that time.
    checked_at : datetime.datetime
        When it was found first, or again after another state.
    code_version : str
        Of the pipeline.

    """

    check_id: int
    dataset: str
    source: str
    trade_date: dt.date
    check_name: str
    severity: str
    passed: bool
    examined: int
    failing: int
    expected: str
    found: str
    detail: str
    load_ids: list[int]
    checked_at: dt.datetime
    code_version: str


def store(
    connection: psycopg.Connection,
    partition: Mapping[str, Any],
    spec: Spec,
    outcome: Outcome,
    *,
    load_ids: Sequence[int],
    code_version: str,
) -> None:
    """Write the result of one check; the same result of the same loads again changes nothing.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction.
    partition : mapping
        ``dataset``, ``source`` and ``trade_date``.
    spec : Spec
        The check.
    outcome : Outcome
        What it found.
    load_ids : sequence of int
        Newest loads of the partition.
    code_version : str
        Of the pipeline.

    """
    from psycopg.types.json import Jsonb  # noqa: PLC0415 -- a client library is loaded where it is used

    failures = Jsonb(
        [
            [row.instrument_id, row.timestamp and row.timestamp.timestamp(), row.bar_seconds, _storable(row.detail)]
            for row in outcome.failures
        ]
    )
    row = connection.execute(
        _STORE,
        {
            **partition,
            "check_name": spec.name,
            "severity": spec.severity,
            "passed": outcome.passed,
            "examined": outcome.examined,
            "failing": outcome.failing,
            "expected": outcome.expected,
            "found": outcome.found,
            "detail": outcome.detail,
            "load_ids": list(load_ids),
            "code_version": code_version,
            "failures": failures,
        },
    ).fetchone()
    if row is not None:
        connection.execute("DELETE FROM quality_failures WHERE check_id = %s", row)
        connection.execute(_STORE_FAILURES, {"check_id": row[0], "failures": failures})


def _storable(text: str) -> str:
    """Replace what PostgreSQL's text cannot hold."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def list_results(
    warehouse: Warehouse,
    *,
    dataset: str | None = None,
    source: str | None = None,
    trade_date: dt.date | None = None,
    check: str | None = None,
    history: bool = False,
) -> list[StoredCheck]:
    """List what checks found.

    Parameters
    ----------
    warehouse : Warehouse
        Migrated.
    dataset, source, check : str, optional
        Only these.
    trade_date : datetime.date, optional
        Only this day.
    history : bool, default False
        Whether earlier results are listed, too, and not only the newest of each check.

    Returns
    -------
    list of StoredCheck
        By day, source and table; failures first, the gravest of them first.

    """
    wanted = {"dataset": dataset, "source": source, "trade_date": trade_date, "check": check}
    query = _RESULTS.replace("__FROM__", "quality_checks" if history else "quality_latest")
    with warehouse.connect() as connection:
        return [StoredCheck(*row) for row in connection.execute(query.encode(), wanted).fetchall()]


def list_failures(warehouse: Warehouse, check_ids: Sequence[int]) -> dict[int, list[StoredFailure]]:
    """List the failing rows that were kept of some results, by check id."""
    found: dict[int, list[StoredFailure]] = {}
    with warehouse.connect() as connection:
        for check_id, *row in connection.execute(_FAILURES.encode(), {"check_ids": list(check_ids)}).fetchall():
            found.setdefault(check_id, []).append(StoredFailure(*row))
    return found


def symbols_of(warehouse: Warehouse, instrument_ids: Sequence[int]) -> dict[int, str]:
    """Name instruments as they were called last."""
    query = (
        "SELECT DISTINCT ON (instrument_id) instrument_id, symbol FROM instrument_terms"
        " WHERE instrument_id = ANY (%s) ORDER BY instrument_id, valid_from DESC"
    )
    with warehouse.connect() as connection:
        return dict(connection.execute(query, [list(instrument_ids)]).fetchall())


def list_partitions(
    warehouse: Warehouse,
    *,
    dataset: str | None = None,
    source: str | None = None,
    trade_date: dt.date | None = None,
) -> list[tuple[str, str, dt.date]]:
    """List the partitions that were ever loaded: dataset, source and trade date, the earliest first."""
    query = (
        "SELECT DISTINCT dataset, source, trade_date FROM loads"
        " WHERE (%(dataset)s::text IS NULL OR dataset = %(dataset)s)"
        " AND (%(source)s::text IS NULL OR source = %(source)s)"
        " AND (%(trade_date)s::date IS NULL OR trade_date = %(trade_date)s) ORDER BY trade_date, source, dataset"
    )
    wanted = {"dataset": dataset, "source": source, "trade_date": trade_date}
    with warehouse.connect() as connection:
        return connection.execute(query, wanted).fetchall()
