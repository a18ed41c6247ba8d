"""The state of the warehouse for people: what the server can do, what is stored, and what is not in order.

Reads only. It must answer on a database in any state, an empty or a half-migrated one too: that is when it is needed.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_defs.warehouse import inventory
from pipeline_defs.warehouse.migrations import State, find_drift, migration_states, server_layers

if TYPE_CHECKING:
    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.migrations import Drift, MigrationState

TESTED_POSTGRES = range(15, 19)
OLDEST_FULL_EDITION = (2, 26, 3)
"""Before it, refreshes that overlap may leave a bar twice."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person should know.

    Parameters
    ----------
    what : str
        What was found.
    next_step : str
        What to do about it.

    """

    what: str
    next_step: str


def describe(warehouse: Warehouse, *, quick: bool = False) -> dict[str, Any]:
    """Describe server, capabilities, size and content of the warehouse, for `pipeline doctor`.

    Parameters
    ----------
    warehouse : Warehouse
        The database; it need not be migrated.
    quick : bool, default False
        Leave out what reads every row: the search for orphans.

    Returns
    -------
    dict
        JSON-ready. ``problems`` is empty if all is in order; ``warnings`` can wait.

    """
    with warehouse.connect() as connection:
        connection.read_only = True
        server = _server(connection)
        states = migration_states(connection)
        drift = find_drift(connection)
        pending = _count(connection, "pending_bars")
        orphans = {} if quick else _orphans(connection)
        state = {
            "database": warehouse.public_url,
            **server,
            "migrations": _migrations(connection, states, drift),
            "capabilities": _capabilities(connection, server),
            "tables": inventory.table_sizes(connection),
            "chunks": inventory.chunk_summary(connection),
            "job_problems": inventory.job_problems(connection),
            "storage_policies": inventory.storage_policies(connection),
            "pending_bar_windows": pending,
            "rows_without_load": {name: loads for name, (loads, _) in orphans.items() if loads},
            "rows_without_instrument": {name: instruments for name, (_, instruments) in orphans.items() if instruments},
            "datasets": _datasets(connection),
        }
    problems = [*_migration_problems(states, drift), *_row_problems(state), *_job_findings(state)]
    warnings = [*_server_warnings(server), *_waiting(pending, states, drift)]
    return {
        **state,
        "problems": [asdict(finding) for finding in problems],
        "warnings": [asdict(finding) for finding in warnings],
    }


def _server(connection: psycopg.Connection) -> dict[str, Any]:
    version, number, size, extension, licence = inventory.one_row(
        connection,
        "SELECT current_setting('server_version'), current_setting('server_version_num')::integer,"
        " pg_database_size(current_database()),"
        " (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),"
        " current_setting('timescaledb.license', true)",
    )
    full = licence == "timescale"
    edition = "plain PostgreSQL"
    if extension is not None:
        edition = f"TimescaleDB {extension}, {'full' if full else 'Apache'} edition"
    return {
        "server": version,
        "server_major": number // 10_000,
        "edition": edition,
        "timescaledb": None if extension is None else {"version": extension, "license": licence},
        "size_bytes": size,
    }


def _migrations(connection: psycopg.Connection, states: list[MigrationState], drift: Drift) -> dict[str, Any]:
    applied = Counter(entry.layer for entry in states if entry.applied_at is not None)
    return {
        "layers_possible": server_layers(connection),
        "applied": dict(applied),
        "not_in_order": {entry.name: entry.state.value for entry in states if entry.state is not State.APPLIED},
        "schema_fingerprint": drift.fingerprint,
        "schema_recorded": drift.recorded,
        "drift": list(drift.differences),
        "beside": list(drift.foreign),
    }


def _capabilities(connection: psycopg.Connection, server: dict[str, Any]) -> dict[str, str]:
    """Say of each capability that it is in use, or why not."""
    names = ("hypertables", "continuous_aggregates", "compression")
    if not inventory.uses_timescaledb(connection):
        offered = "timescaledb" in server_layers(connection)
        why = "not in use: " + (
            "the extension is not created in this database yet, 'pipeline db upgrade' does it"
            if offered
            else "the server has no TimescaleDB extension"
        )
        return dict.fromkeys(names, why)
    in_use = inventory.one_row(
        connection,
        "SELECT (SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_schema = current_schema()),"
        " (SELECT count(*) FROM timescaledb_information.continuous_aggregates WHERE view_schema = current_schema()),"
        " (SELECT count(*) FROM timescaledb_information.hypertables"
        " WHERE hypertable_schema = current_schema() AND compression_enabled)",
    )
    full = server["timescaledb"]["license"] == "timescale"
    not_migrated = "not in use: its migration is not applied, run 'pipeline db upgrade'"
    licence = f"not in use: the licence of this edition ({server['timescaledb']['license']}) does not allow it"
    reasons = (not_migrated, *(2 * (not_migrated if full else licence,)))
    units = ("tables", "views", "tables")
    return {
        name: f"in use, {count} {unit}" if count else reason
        for name, count, unit, reason in zip(names, in_use, units, reasons, strict=True)
    }


def _datasets(connection: psycopg.Connection) -> list[dict[str, Any]]:
    if not inventory.relation_exists(connection, "loads"):
        return []
    rows = connection.execute(
        "SELECT dataset, bar_seconds, count(*), min(trade_date), max(trade_date), sum(rows_stored)::bigint"
        " FROM loads WHERE status = 'complete' GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchall()
    return [
        {
            "dataset": dataset,
            "bar_seconds": bar_seconds,
            "loads": count,
            "first": first.isoformat(),
            "last": last.isoformat(),
            "rows_stored": stored,
        }
        for dataset, bar_seconds, count, first, last, stored in rows
    ]


def _count(connection: psycopg.Connection, table: str) -> int:
    if not inventory.relation_exists(connection, table):
        return 0
    return int(inventory.one_row(connection, f"SELECT count(*) FROM {table}")[0])


def _orphans(connection: psycopg.Connection) -> dict[str, tuple[int, int]]:
    """Count rows whose load or instrument does not exist; no foreign key guards them."""
    return {
        table: (loads, instruments)
        for table in OBSERVATION_TABLES
        if all(inventory.relation_exists(connection, name) for name in (table, "loads", "instruments"))
        for loads, instruments in [
            inventory.one_row(
                connection,
                "SELECT count(*) FILTER (WHERE l.load_id IS NULL), count(*) FILTER (WHERE i.instrument_id IS NULL)"
                f" FROM {table} AS o LEFT JOIN loads AS l USING (load_id) LEFT JOIN instruments AS i"
                " USING (instrument_id)",
            )
        ]
    }


def _migration_problems(states: list[MigrationState], drift: Drift) -> list[Finding]:
    steps = {
        State.OUTSTANDING: "run 'pipeline db upgrade'; every import and export does it as well",
        State.CHANGED: "restore the file and put the change into a new migration",
        State.UNKNOWN: "use the pipeline version that wrote this database, or a newer one",
        State.STRANDED: "give the server back the edition it had: it cannot carry what is applied",
    }
    findings = []
    for kind, step in steps.items():
        names = [entry.name for entry in states if entry.state is kind]
        if names:
            findings.append(Finding(f"migrations {kind.value}: {', '.join(names)}", step))
    findings += [
        Finding(
            f"the schema is not as the migrations left it: {difference}",
            "undo the change by hand, or put it into a migration if it is to stay",
        )
        for difference in drift.differences
    ]
    return findings


def _row_problems(state: dict[str, Any]) -> list[Finding]:
    return [
        Finding(
            f"{count} rows of {table} name {what} that does not exist",
            f"find them with SQL in {table}, restore the {key} rows or delete the orphans, then refresh their bars",
        )
        for key, column, what in (
            ("loads", "rows_without_load", "a load"),
            ("instruments", "rows_without_instrument", "an instrument"),
        )
        for table, count in state[column].items()
    ]


def _job_findings(state: dict[str, Any]) -> list[Finding]:
    findings = []
    for job in state["job_problems"]:
        name = f"background job {job['job_id']} ({job['procedure']})"
        if job["failures"]:
            findings.append(
                Finding(
                    f"{name} failed {job['failures']} times since it last succeeded: {job['message']}",
                    "do its work from the command line, and delete the job if the server cannot run it",
                )
            )
        else:
            findings.append(
                Finding(
                    f"{name} has been due since {job['due_since']} and does not start",
                    "raise the server's timescaledb.max_background_workers and max_worker_processes, or delete the job",
                )
            )
    return findings


def _server_warnings(server: dict[str, Any]) -> list[Finding]:
    findings = []
    if server["server_major"] not in TESTED_POSTGRES:
        findings.append(
            Finding(
                f"PostgreSQL {server['server']} is none of the tested versions,"
                f" {TESTED_POSTGRES[0]} to {TESTED_POSTGRES[-1]}",
                "use a tested version, or run the tests against this one",
            )
        )
    extension = server["timescaledb"]
    if extension is not None and extension["license"] == "timescale":
        numbers = tuple(int(part) for part in re.findall(r"\d+", extension["version"])[:3])
        if numbers < OLDEST_FULL_EDITION:
            oldest = ".".join(map(str, OLDEST_FULL_EDITION))
            findings.append(
                Finding(
                    f"TimescaleDB {extension['version']} is older than {oldest}: overlapping refreshes may double bars",
                    f"upgrade the extension to {oldest} or newer",
                )
            )
    return findings


def _waiting(pending: int, states: list[MigrationState], drift: Drift) -> list[Finding]:
    findings = []
    if pending:
        findings.append(
            Finding(
                f"the bars of {pending} windows are behind their observations",
                "nothing while an import is running; otherwise the next import brings them up to date",
            )
        )
    if not drift.recorded and any(entry.applied_at is not None for entry in states):
        findings.append(
            Finding(
                "no migration has recorded the schema yet, so changes by hand cannot be told",
                "run 'pipeline db upgrade', which takes the schema as it is",
            )
        )
    return findings
