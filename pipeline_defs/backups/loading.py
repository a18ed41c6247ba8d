"""A dump into an empty database: restored, compared with its checksums and committed as one transaction, or not at all.

``pg_restore`` writes a script, ``psql`` runs it between BEGIN and COMMIT. Before COMMIT the server computes the
checksums of what it has just read in; if one differs, or anything fails, or somebody pulls the plug, the database is
as empty as before.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from pipeline_defs.backups import checksums, programs
from pipeline_defs.backups.checksums import TableChecksum
from pipeline_defs.errors import ConfigurationError, WarehouseError

if TYPE_CHECKING:
    from types import TracebackType

    from pipeline_defs.backups.manifest import DatabaseEntry
    from pipeline_defs.warehouse.connection import Warehouse

_OWN_RELATIONS: Final = """
SELECT n.nspname || '.' || c.relname
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname <> 'information_schema'
  AND n.nspname !~ '^(pg_|_?timescaledb)'
  AND NOT EXISTS (SELECT FROM pg_depend AS d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1
"""
_SNAPSHOT: Final = "public.schema_snapshot"
_FORGET_WORDS: Final = "UPDATE public.schema_snapshot SET server = 'a backup of ' || server;"

_SCRIPT_SETTINGS_SINCE: Final = 17
"""From this version on, ``pg_restore`` writes a setting that older servers do not know."""

_TERMINATED: Final = -13
"""``pg_restore`` when ``psql`` has gone away."""


class Restoring:
    """A restore that is finished but for its COMMIT.

    Parameters
    ----------
    warehouse : Warehouse
        An empty database.
    entry : DatabaseEntry
        What was in the dump.
    dump : Path
        The dump itself, known to be undamaged.

    """

    def __init__(self, warehouse: Warehouse, entry: DatabaseEntry, dump: Path) -> None:
        self._warehouse = warehouse
        self._entry = entry
        self._dump = dump
        self._told = programs.environment(warehouse.url)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Restore and compare.

        Raises
        ------
        ConfigurationError
            If the server, its extension or the programs do not fit the dump.
        WarehouseError
            If the database is not empty, the server refuses, or a checksum differs: every table that does is named.

        """
        missing_roles = self._refuse_unfit()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="pipeline-restore-"))
        self._said = self._stack.enter_context((Path(folder) / "said").open("w+", encoding="utf-8", errors="replace"))
        self._psql: subprocess.Popen[str] = subprocess.Popen(  # noqa: S603 -- PostgreSQL's own program
            [programs.program("psql"), "-XqAtw", "-v", "ON_ERROR_STOP=1", "-f", "-"],
            env=self._told,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        try:
            self._restore(missing_roles)
            self._refuse_differences(self._checksums())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the database empty unless `commit` was called."""
        self._end()

    def commit(self) -> None:
        """Make it visible.

        Raises
        ------
        WarehouseError
            If the server does not confirm it.

        """
        if any(table.name == _SNAPSHOT for table in self._entry.tables):
            # A server prints some definitions in other words once it has read its own: they are compared by name
            # until the next migration run writes them down anew, as after any change of server.
            self._send(_FORGET_WORDS)
        self._ask("COMMIT;", "committed")

    def _refuse_unfit(self) -> list[str]:
        """Refuse what would fail later; give the roles that the dump names and the server does not have."""
        entry = self._entry
        with self._warehouse.connect() as connection:
            server = connection.info.server_version // 10_000
            if own := connection.execute(_OWN_RELATIONS).fetchall():
                raise WarehouseError(
                    f"the database for {entry.name!r} is not empty: it holds {len(own)} relations, the first"
                    f" {own[0][0]}; nothing was restored",
                    where=self._warehouse.public_url,
                    next_step="name an empty database, or say --replace to set this one aside",
                )
            if server < entry.server:
                raise ConfigurationError(
                    f"the server is PostgreSQL {server}, the dump is of {entry.server}",
                    where=self._warehouse.public_url,
                    next_step=f"restore to PostgreSQL {entry.server} or newer",
                )
            if programs.major_version() >= _SCRIPT_SETTINGS_SINCE > server:
                raise ConfigurationError(
                    f"pg_restore is of PostgreSQL {programs.major_version()}, the server of {server}",
                    next_step=f"set {programs.PROGRAMS_VARIABLE} to the programs of PostgreSQL {server}",
                )
            if entry.timescaledb is not None:
                self._refuse_other_extension(connection)
            known = {str(name) for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
        return [role for role in entry.roles if role not in known]

    def _refuse_other_extension(self, connection: Any) -> None:  # noqa: ANN401 -- psycopg is imported where used
        wanted = self._entry.timescaledb
        there = connection.execute(
            "SELECT version FROM pg_available_extension_versions WHERE name = 'timescaledb' AND version = %s", [wanted]
        ).fetchone()
        installed = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
        if there is None or (installed is not None and installed[0] != wanted):
            found = installed[0] if installed is not None else "another version, or none"
            raise ConfigurationError(
                f"the dump is of TimescaleDB {wanted}, the server offers {found}: its tables only fit their own"
                " version",
                where=self._warehouse.public_url,
                next_step=f"install TimescaleDB {wanted}, restore, then ALTER EXTENSION timescaledb UPDATE",
            )

    def _restore(self, missing_roles: list[str]) -> None:
        self._send("BEGIN;", "SET client_min_messages = warning;")
        # Rights are granted to groups without a login; who belongs to them is the server's business, not the dump's.
        self._send(*(f'CREATE ROLE "{role.replace(chr(34), chr(34) * 2)}" NOLOGIN;' for role in missing_roles))
        extended = self._entry.timescaledb is not None
        if extended:
            self._send(f"CREATE EXTENSION IF NOT EXISTS timescaledb VERSION '{self._entry.timescaledb}';")
        self._send("\\o /dev/null")
        if extended:
            self._send("SELECT timescaledb_pre_restore();")
        self._ask("\\o", "begun")
        self._send("\\o /dev/null")
        assert self._psql.stdin is not None  # noqa: S101 -- a pipe was asked for
        with (self._dump.parent / "pg_restore.said").open("w+", encoding="utf-8", errors="replace") as said:
            done = subprocess.run(  # noqa: S603 -- PostgreSQL's own program
                [programs.program("pg_restore"), "--no-owner", "--exit-on-error", "--file=-", self._dump],
                env=self._told,
                stdin=subprocess.DEVNULL,
                stdout=self._psql.stdin,
                stderr=said,
                check=False,
            )
            if done.returncode not in {0, _TERMINATED} and self._psql.poll() is None:
                said.seek(0)
                raise self._failed("pg_restore", said.read())
        if extended:
            self._send("SELECT public.timescaledb_post_restore();")
        self._ask("\\o", "restored")

    def _checksums(self) -> list[TableChecksum]:
        self._send(*(f"{setting};" for setting in checksums.SETTINGS))
        listing = self._ask(f"{' '.join(checksums.TABLES.split())};", "listed")
        tables = [tuple(line.split("|", 1)) for line in listing if "|" in line]
        # Continuous aggregates are views of the extension's; the dump tells which there were.
        known = {f"{schema}.{name}" for schema, name in tables}
        tables += [tuple(table.name.split(".", 1)) for table in self._entry.tables if table.name not in known]
        found = []
        for schema, name in tables:
            line = self._ask(f"{checksums.statement(schema, name)};", "computed")
            found.append(TableChecksum.of_line(f"{schema}.{name}", line[0]))
        return found

    def _refuse_differences(self, found: list[TableChecksum]) -> None:
        if wrong := checksums.differences(self._entry.tables, found):
            raise WarehouseError(
                "what was restored is not what was backed up; nothing is kept:\n  " + "\n  ".join(wrong),
                where=self._warehouse.public_url,
                next_step="restore another backup, and keep this one for whoever looks into it",
            )

    def _send(self, *lines: str) -> None:
        assert self._psql.stdin is not None  # noqa: S101 -- a pipe was asked for
        try:
            self._psql.stdin.writelines(f"{line}\n" for line in lines)
            self._psql.stdin.flush()
        except BrokenPipeError:
            raise self._failed("psql", self._heard()) from None

    def _ask(self, line: str, mark: str) -> list[str]:
        """Send a line and give what is answered before the mark."""
        self._send(line, f"\\echo ={mark}=")
        assert self._psql.stdout is not None  # noqa: S101 -- a pipe was asked for
        answers: list[str] = []
        for answer in self._psql.stdout:
            if answer.strip() == f"={mark}=":
                return answers
            answers.append(answer.rstrip("\n"))
        raise self._failed("psql", self._heard())

    def _heard(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._psql.wait(timeout=10)
        self._said.seek(0)
        return self._said.read()

    def _failed(self, name: str, said: str) -> WarehouseError:
        next_step = "see to what the server says, then restore again: the database is as empty as it was"
        if "max_locks_per_transaction" in said:
            next_step = "raise max_locks_per_transaction (one transaction locks every chunk), and restore again"
        return programs.failed(name, said, self._told, where=self._warehouse.public_url, next_step=next_step)

    def _end(self) -> None:
        """End the session: what was not committed is gone."""
        assert self._psql.stdin is not None  # noqa: S101 -- a pipe was asked for
        with contextlib.suppress(BrokenPipeError):
            self._psql.stdin.close()
        try:
            self._psql.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._psql.kill()
            self._psql.wait()
        self._stack.close()
