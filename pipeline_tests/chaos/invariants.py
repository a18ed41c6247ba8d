"""What must hold when the faults have stopped and everything was simply run again."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Final

import psycopg

from pipeline_defs.exports.manifest import MANIFEST_NAME
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.doctor import describe
from pipeline_tests.chaos.world import DERIVED, look

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_tests.chaos.world import Found, Key, Reference

PATIENCE_SECONDS: Final = 8.0
"""A killed client's session ends by itself within two seconds of a statement's next look at its client."""

# Every row stands for exactly one line that some load has read and stored, or corrected.
_ACCOUNTS: Final = """
WITH told AS (
    SELECT source, dataset, trade_date, bar_seconds, sum(rows_stored) - sum(rows_retired) AS rows
    FROM loads WHERE status = 'complete' GROUP BY 1, 2, 3, 4),
held AS ({held})
SELECT coalesce(t.dataset, h.dataset), coalesce(t.source, h.source), coalesce(t.trade_date, h.trade_date),
       t.rows, h.rows
FROM told AS t FULL JOIN held AS h USING (source, dataset, trade_date, bar_seconds)
WHERE coalesce(t.rows, 0) <> coalesce(h.rows, 0)
"""
_HELD: Final = """
SELECT source, '{table}' AS dataset, ("timestamp" AT TIME ZONE 'Asia/Kolkata' - interval '1 microsecond')::date
       AS trade_date, bar_seconds, count(*) AS rows FROM {table} GROUP BY 1, 2, 3, 4
"""
_TABLES: Final = ("options_ticks", "futures_ticks", "spot_prices", "equity_daily")

_LEFT: Final = {
    "loads that nobody ended": "SELECT count(*) FROM loads WHERE committed_at = 'infinity' OR NOT status = ANY"
    " ('{{complete,empty,rejected}}')",
    "loads without their files": "SELECT count(*) FROM loads AS l WHERE status = 'complete' AND source <> 'vendor'"
    " AND rows_read > 0 AND rows_stored > 0 AND NOT EXISTS (SELECT FROM load_files AS f WHERE f.load_id = l.load_id)",
    "windows of bars that are pending": "SELECT count(*) FROM pending_bars",
    "history that no load explains": " UNION ALL ".join(
        f"SELECT count(*) FROM {table}_history AS h LEFT JOIN loads AS l ON l.load_id = h.superseded_by"
        " WHERE l.load_id IS NULL HAVING count(*) > 0"
        for table in _TABLES
    ),
    "contracts that were made twice": "SELECT count(*) FROM (SELECT symbol, kind, expiry, strike, option_type"
    " FROM instrument_terms GROUP BY 1, 2, 3, 4, 5 HAVING count(DISTINCT instrument_id) > 1) AS twice",
}

_SESSIONS: Final = """
SELECT state, coalesce(xact_start::text, ''), left(query, 80) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_LOCKS: Final = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database"
    " WHERE datname = current_database())"
)
_TEMPORARY: Final = "SELECT count(*) FROM pg_class WHERE relpersistence = 't'"

_LITTER: Final = (".staging-", ".arriving", ".previous", ".moving", ".tmp", ".partial", ".writing")


def check_stored(url: str, reference: Reference, expected: dict[Key, str], derived: dict[Key, str]) -> Iterator[str]:
    """Nothing lost, nothing double: every partition is what it is without faults, and there is no other."""
    with psycopg.connect(url) as connection:
        yield from _compare(
            look(connection), {key: reference.states[key][version] for key, version in expected.items()}
        )
        yield from _compare(
            look(connection, DERIVED), {key: reference.derived[key][version] for key, version in derived.items()}
        )
        held = " UNION ALL ".join(_HELD.format(table=table) for table in _TABLES)
        for found in connection.execute(_ACCOUNTS.format(held=held).encode()).fetchall():
            yield f"the loads of {found[:3]} account for {found[3]} rows, {found[4]} are stored"
        for what, question in _LEFT.items():
            count = sum(
                int(number) for (number,) in connection.execute(question.replace("{{", "{").replace("}}", "}").encode())
            )
            if count:
                yield f"{count} {what}"
    problems = describe(Warehouse(url))["problems"]
    if problems:
        yield f"the doctor says: {problems}"


def _compare(found: Found, wanted: Found) -> Iterator[str]:
    for key in sorted(found.keys() | wanted.keys(), key=str):
        if found.get(key) != wanted.get(key):
            yield f"{' '.join(map(str, key))}: expected {wanted.get(key)}, found {found.get(key)}"


def check_sessions(url: str) -> Iterator[str]:
    """No session, lock or temporary table of somebody who is gone."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    left: list[str] = []
    while time.monotonic() < deadline:
        with psycopg.connect(url, autocommit=True) as connection:
            left = [f"a session is left: {row}" for row in connection.execute(_SESSIONS.encode()).fetchall()]
            for what, question in (("advisory locks", _LOCKS), ("temporary tables", _TEMPORARY)):
                (count,) = connection.execute(question.encode()).fetchone() or (0,)
                left += [f"{count} {what} are left"] if count else []
        if not left:
            return
        time.sleep(0.1)
    yield from left


def check_litter(root: Path) -> Iterator[str]:
    """No file that a killed process left and nobody takes away."""
    for path in sorted(root.rglob("*")):
        if any(part in path.name for part in _LITTER) or (path.name.startswith(".") and path.name[-1].isdigit()):
            yield f"litter: {path.relative_to(root)}"
    for path in (root / "home" / "publishing").glob("*"):
        yield f"litter: {path.relative_to(root)}"
    for path in (root / "temporary").rglob("*"):
        if path.name == ".lock" or path == root / "temporary" / f"market-data-pipeline-{os.getuid()}":
            continue
        yield f"litter: {path.relative_to(root)}"


def check_secrets(root: Path, secrets: list[str]) -> Iterator[str]:
    """No secret in anything that was printed or written."""
    for path in root.rglob("*"):
        if path.is_file() and path.stat().st_size < 4_000_000:
            content = path.read_bytes()
            for secret in secrets:
                if secret and secret.encode() in content:
                    yield f"a secret stands in {path.relative_to(root)}"


def files_besides(root: Path) -> list[str]:
    """List the files of a published folder that its manifest does not name."""
    manifest = json.loads((root / MANIFEST_NAME).read_text(encoding="utf-8"))
    named = {entry["path"] for entry in manifest["objects"]} | {MANIFEST_NAME}
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return sorted(found - named)


# What the engine read back of the newest catalog of a place, against what is stored now.
_READBACKS: Final = """
WITH newest AS (SELECT DISTINCT ON (path) * FROM catalogs ORDER BY path, catalog_id DESC),
told AS (
    SELECT c.path, r.instrument_id, r.rows, r.close_sum
    FROM newest AS c JOIN catalog_readbacks AS r USING (catalog_id)
    JOIN instruments AS i USING (instrument_id) WHERE i.kind = 'OPT'),
stored AS ({stored}),
wanted AS (
    SELECT c.path, s.instrument_id, s.rows, s.closes
    FROM newest AS c JOIN stored AS s ON s.day BETWEEN c.start_date AND c.end_date),
differing AS (
    (SELECT * FROM told EXCEPT SELECT * FROM wanted) UNION ALL (SELECT * FROM wanted EXCEPT SELECT * FROM told))
SELECT path, count(DISTINCT instrument_id) FROM differing GROUP BY 1
"""
_STORED: Final = """
SELECT instrument_id, ("timestamp" AT TIME ZONE 'Asia/Kolkata' - interval '1 microsecond')::date AS day,
       count(*) AS rows, sum(close) AS closes
FROM options_ticks WHERE source = 'nse_csv' AND bar_seconds = 60 GROUP BY 1, 2
"""


def check_readbacks(url: str) -> Iterator[str]:
    """What the engine read of the options of every published catalog is what is stored."""
    with psycopg.connect(url) as connection:
        for path, count in connection.execute(_READBACKS.format(stored=_STORED).encode()).fetchall():
            yield f"{count} instruments of catalog {path} are not what is stored"
