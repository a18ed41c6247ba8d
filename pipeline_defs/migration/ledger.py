"""How far a migration has come: rows of ``migrated_stores`` and what hangs on them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import pipeline_defs

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterator

    import psycopg

    from pipeline_defs.migration.assembling import Assembly
    from pipeline_defs.migration.plan import BundlePlan, Plan
    from pipeline_defs.migration.stamping import Stamps
    from pipeline_defs.warehouse.connection import Warehouse

LOCK: Final = "market-data-pipeline migration of stores"

_STORE: Final = """
INSERT INTO migrated_stores AS s (system, root, plan) VALUES (%(system)s, %(root)s, %(plan)s::jsonb)
ON CONFLICT (system, root) DO UPDATE SET plan = excluded.plan, planned_at = now()
WHERE s.plan <> excluded.plan
"""

_STORE_ID: Final = "SELECT store_id FROM migrated_stores WHERE system = %(system)s AND root = %(root)s"

# What is running, done or failed keeps what it was begun with; a new plan of it is another digest.
_BUNDLE: Final = """
INSERT INTO migrated_bundles AS b (store_id, name, source, bundle_name, kind, era, market, stamps, state, reason,
                                   detail, next_step, digest, stated, rows_found, close_found, volume_found,
                                   lines_refused, code_version)
VALUES (%(store_id)s, %(name)s, %(source)s, %(bundle_name)s, %(kind)s, %(era)s, %(market)s, %(stamps)s, %(state)s,
        %(reason)s, %(detail)s, %(next_step)s, %(digest)s, %(stated)s::jsonb, %(rows_found)s, %(close_found)s,
        %(volume_found)s, %(lines_refused)s, %(code_version)s)
ON CONFLICT (store_id, name) DO UPDATE
SET (source, bundle_name, kind, era, market, stamps, state, reason, detail, next_step, digest, stated, rows_found,
     close_found, volume_found, lines_refused, rows_stored, rows_quarantined, instruments_before, planned_at,
     started_at, finished_at, code_version)
  = (excluded.source, excluded.bundle_name, excluded.kind, excluded.era, excluded.market, excluded.stamps,
     excluded.state, excluded.reason, excluded.detail, excluded.next_step, excluded.digest, excluded.stated,
     excluded.rows_found, excluded.close_found, excluded.volume_found, excluded.lines_refused, NULL, NULL, NULL, now(),
     NULL, NULL, excluded.code_version)
WHERE b.state IN ('planned', 'quarantined', 'rolled_back')
  AND (b.state = 'rolled_back' OR (b.digest, b.state, b.reason, b.source) IS DISTINCT FROM
       (excluded.digest, excluded.state, excluded.reason, excluded.source))
"""

_ENTRY: Final = """
SELECT bundle_id, name, kind, source, bundle_name, market, stamps, state, reason, detail, next_step, digest, rows_found,
       rows_stored, rows_quarantined, lines_refused
FROM migrated_bundles WHERE (store_id = %(store_id)s AND name = %(name)s) OR bundle_id = %(bundle_id)s
"""

_TAKEN_BY: Final = """
SELECT s.root, b.name FROM migrated_bundles AS b JOIN migrated_stores AS s USING (store_id)
WHERE b.source = %(source)s AND b.state NOT IN ('quarantined', 'rolled_back')
  AND (b.store_id, b.name) <> (%(store_id)s, %(name)s)
"""

_QUALITY: Final = """
INSERT INTO migrated_quality (bundle_id, position, era, validated_at, passed, row_count, start_date, end_date,
                              missing_days, missing_days_count, outlier_count, ohlcv_violations)
VALUES (%(bundle_id)s, %(position)s, %(era)s, %(validated_at)s, %(passed)s, %(row_count)s, %(start)s, %(end)s,
        %(missing_days)s::jsonb, %(missing_days_count)s, %(outlier_count)s, %(ohlcv_violations)s)
"""

# The number of the newest instrument may be of somebody whose transaction is open: it is not one of ours either way.
_BEGIN: Final = """
UPDATE migrated_bundles
SET state = 'running', reason = NULL, detail = '', next_step = '', finished_at = NULL,
    started_at = coalesce(started_at, clock_timestamp()),
    instruments_before = coalesce(instruments_before, (
        SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence})::integer)
WHERE bundle_id = %(bundle_id)s
"""

_FAIL: Final = """
UPDATE migrated_bundles SET state = 'failed', reason = %(reason)s, detail = %(detail)s, next_step = %(next_step)s,
                            finished_at = clock_timestamp()
WHERE bundle_id = %(bundle_id)s
"""

_LOADED: Final = """
SELECT dataset, bar_seconds, trade_date FROM loads WHERE source = %(source)s AND delivery_digest = %(digest)s
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger says of a bundle.

    Parameters
    ----------
    bundle_id : int
        Row of ``migrated_bundles``.
    name : str
        Of the bundle, or of the cached answer.
    kind : str
        ``parquet``, ``bcolz``, ``csvdir`` or ``cache``.
    source, bundle_name : str or None
        Names in the warehouse.
    market : str or None
        Whose sessions its days are.
    stamps : {"start", "end"} or None
        Which end of a minute its stamps name.
    state : str
        ``planned``, ``running``, ``done``, ``failed``, ``rolled_back`` or ``quarantined``.
    reason : str or None
        Why it failed or is quarantined.
    detail, next_step : str
        The same for a person, and what to do.
    digest : str
        Of what it was, or is to be, imported from.
    rows_found, lines_refused : int
        Bars in its files, and lines that are no bar.
    rows_stored, rows_quarantined : int or None
        What became of the bars; None while nobody has counted.

    """

    bundle_id: int
    name: str
    kind: str
    source: str | None
    bundle_name: str | None
    market: str | None
    stamps: Stamps | None
    state: str
    reason: str | None
    detail: str
    next_step: str
    digest: str
    rows_found: int
    rows_stored: int | None
    rows_quarantined: int | None
    lines_refused: int


@contextmanager
def one_at_a_time(warehouse: Warehouse) -> Iterator[None]:
    """Hold off other migrations and roll-backs of the same database: they queue.

    Yields
    ------
    None
        While the lock is held; a killed process lets go of it.

    """
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [LOCK])
        yield


def register_store(connection: psycopg.Connection, system: str, plan: Plan) -> int:
    """Write a store's newest plan; give its number."""
    told = {"system": system, "root": str(plan.store.root.absolute()), "plan": plan.to_json()}
    connection.execute(_STORE, told)
    (row,) = connection.execute(_STORE_ID, told).fetchall()
    return int(row[0])


def register_bundle(
    connection: psycopg.Connection,
    store_id: int,
    plan: BundlePlan,
    *,
    source: str | None,
    bundle_name: str | None,
    stamps: Stamps | None,
    digest: str,
) -> Entry:
    """Write what a bundle is and is to become, with its quality history, unless it was begun before.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction.
    store_id : int
        Of its store.
    plan : BundlePlan
        What was found.
    source, bundle_name : str or None
        Names in the warehouse; None of what is quarantined.
    stamps : {"start", "end"} or None
        Which end of a minute its stamps name.
    digest : str
        Of what is read and how.

    Returns
    -------
    Entry
        As the ledger has it now.

    """
    bundle = plan.bundle
    is_taken = plan.decision == "take"
    stated = {
        "source_type": bundle.source_type,
        "source_url": bundle.source_url,
        "api_version": bundle.api_version,
        "data_version": bundle.data_version,
        "fetched_at": bundle.fetched_at,
        "ingestion": bundle.ingestion,
        "older_ingestions": bundle.older_ingestions,
        "symbols": [asdict(one) for one in bundle.symbols],
        **asdict(bundle.stated),
        "notes": [asdict(note) for note in plan.notes],
    }
    written = connection.execute(
        _BUNDLE,
        {
            "store_id": store_id,
            "name": plan.name,
            "source": source if is_taken else None,
            "bundle_name": bundle_name if is_taken else None,
            "kind": bundle.kind,
            "era": bundle.era,
            "market": plan.market,
            "stamps": stamps,
            "state": "planned" if is_taken else "quarantined",
            "reason": None if is_taken else plan.reason,
            "detail": plan.detail,
            "next_step": plan.next_step,
            "digest": digest,
            "stated": json.dumps(stated, default=str),
            "rows_found": plan.rows,
            "close_found": plan.sum_close,
            "volume_found": plan.sum_volume,
            "lines_refused": plan.refused,
            "code_version": pipeline_defs.__version__,
        },
    ).rowcount
    entry = read_entry(connection, store_id, plan.name)
    if written:
        connection.execute("DELETE FROM migrated_quality WHERE bundle_id = %s", [entry.bundle_id])
        _write_quality(connection, entry.bundle_id, plan)
    return entry


def _write_quality(connection: psycopg.Connection, bundle_id: int, plan: BundlePlan) -> None:
    rows = [
        {
            **asdict(one),
            "bundle_id": bundle_id,
            "position": position,
            "missing_days": json.dumps(list(one.missing_days)),
        }
        for position, one in enumerate(plan.bundle.quality, start=1)
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(_QUALITY, rows)


def read_entry(connection: psycopg.Connection, store_id: int, name: str) -> Entry:
    """Read what the ledger says of a bundle that it has."""
    (row,) = connection.execute(_ENTRY, {"store_id": store_id, "name": name, "bundle_id": None}).fetchall()
    return Entry(*row)


def read_entry_by_id(connection: psycopg.Connection, bundle_id: int) -> Entry:
    """Read what the ledger says of a bundle, by its number."""
    (row,) = connection.execute(_ENTRY, {"store_id": None, "name": None, "bundle_id": bundle_id}).fetchall()
    return Entry(*row)


def taken_by(connection: psycopg.Connection, store_id: int, name: str, source: str) -> tuple[str, str] | None:
    """Give root and name of another bundle whose observations have the source's name; None if there is none."""
    found = connection.execute(_TAKEN_BY, {"store_id": store_id, "name": name, "source": source}).fetchone()
    return None if found is None else (str(found[0]), str(found[1]))


def begin_bundle(connection: psycopg.Connection, bundle_id: int) -> None:
    """Say that a bundle's rows may be there from now on."""
    (row,) = connection.execute("SELECT pg_get_serial_sequence('instruments', 'instrument_id')").fetchall()
    connection.execute(_BEGIN.replace("{sequence}", str(row[0])).encode(), {"bundle_id": bundle_id})


def fail_bundle(connection: psycopg.Connection, bundle_id: int, *, reason: str, detail: str, next_step: str) -> None:
    """Say that a bundle's migration ended without what was planned; what was stored stays, to be looked at."""
    told = {"bundle_id": bundle_id, "reason": reason, "detail": detail, "next_step": next_step}
    connection.execute(_FAIL, told)


def loaded_days(connection: psycopg.Connection, source: str, digest: str) -> set[tuple[str, int, dt.date]]:
    """List table, length of bars and trade date of what was stored of a bundle before."""
    rows: Collection[tuple[Any, ...]] = connection.execute(_LOADED, {"source": source, "digest": digest}).fetchall()
    return {(str(table), int(seconds), day) for table, seconds, day in rows}


def plan_series(connection: psycopg.Connection, bundle_id: int, assembly: Assembly) -> None:
    """Write what was found of each symbol, to be held against what is stored."""
    connection.execute("DELETE FROM migrated_series WHERE bundle_id = %s", [bundle_id])
    rows = [
        (bundle_id, one.symbol, table, seconds, one.rows, one.sum_close, one.sum_volume)
        for (table, seconds), series in assembly.groups.items()
        for one in series
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO migrated_series"
            " (bundle_id, symbol, dataset, bar_seconds, rows_found, close_found, volume_found)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            rows,
        )
