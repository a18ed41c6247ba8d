"""A physical backup and the way back to an instant, with PostgreSQL's own programs, shown once from end to end.

    PYTHONPATH=. .venv/bin/python tools/point_in_time.py

A server archives its log; a base backup is taken while it runs, and checked by ``pg_verifybackup``. Then one session is
loaded, the clock is read, and another is loaded. The base backup and the archive are recovered to the instant between:
the first load must be there with the same checksums of every table as then, and nothing of the second.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from pipeline_defs.backups import checksums
from pipeline_defs.samples.generate import benchmark_day, generate
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.embedded.account import ENVIRONMENT, account_reaching, owner_for
from pipeline_defs.warehouse.embedded.cluster import binary_directory
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.migrations import upgrade

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.warehouse.embedded.account import ServerAccount

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
wal_level = replica
max_wal_senders = 4
archive_mode = on
archive_command = 'test ! -f {archive}/%f && cp %p {archive}/%f'
"""
ROWS = 20_000


@dataclass(frozen=True)
class Cluster:
    """A folder with a cluster, and the account that runs it."""

    data: Path
    account: ServerAccount

    def program(self, name: str, *arguments: str | Path) -> str:
        """Run one of PostgreSQL's programs as the cluster's account."""
        with tempfile.TemporaryFile() as output:  # a server that is started inherits it, and would hold a pipe open
            done = subprocess.run(
                self.account.command(binary_directory() / name, *arguments),
                cwd="/",
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                **self.account.identity(),
            )
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
        if done.returncode != 0:
            raise SystemExit(f"{name} failed: {said[-2000:]}")
        return said

    @contextmanager
    def running(self) -> Iterator[Warehouse]:
        """Run the server on a free port."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.program(
            "pg_ctl", "-D", self.data, "-l", self.data / "server.log", "-o", f"-p {port}", "-w", "-t", "300", "start"
        )
        try:
            yield Warehouse(f"postgresql://postgres@127.0.0.1:{port}/postgres")
        finally:
            self.program("pg_ctl", "-D", self.data, "-m", "fast", "-w", "-t", "300", "stop")


def main() -> None:
    """Show it."""
    with tempfile.TemporaryDirectory(prefix="point-in-time-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        owner = owner_for(folder / "none")
        archive, live, backup = folder / "archive", folder / "live", folder / "base"
        for made in (archive, live, backup):
            made.mkdir(mode=0o700)
            owner.own(made)
        account = account_reaching(owner, live, binary_directory() / "postgres")
        server = Cluster(live, account)
        server.program("initdb", "-D", live, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C")
        with (live / "postgresql.conf").open("a") as configuration:
            configuration.write(SETTINGS.format(archive=archive))
        with server.running() as warehouse:
            upgrade(warehouse)
            connection = psycopg.conninfo.conninfo_to_dict(warehouse.url)
            address = ("-h", "127.0.0.1", "-p", str(connection["port"]), "-U", "postgres")
            server.program("pg_basebackup", "-D", backup, *address, "--checkpoint=fast", "--wal-method=stream")
            say(server.program("pg_verifybackup", backup).splitlines()[-1])
            load(warehouse, dt.date(2025, 7, 1), folder)
            expected = table_sums(warehouse)
            instant = ask(warehouse, "SELECT clock_timestamp()")
            say(f"after the first load: {rows(warehouse):,} rows, at {instant}")
            time.sleep(1)
            load(warehouse, dt.date(2025, 7, 2), folder)
            say(f"after the second load: {rows(warehouse):,} rows")
            ask(warehouse, "SELECT pg_switch_wal()")
        say(f"{len(list(archive.iterdir()))} segments of the log were archived")
        shutil.rmtree(live)
        say("the server's folder is gone; recovering")
        recovered = Cluster(backup, account)
        with (backup / "postgresql.conf").open("a") as configuration:
            configuration.write(f"restore_command = 'cp {archive}/%f %p'\n")
            configuration.write(f"recovery_target_time = '{instant}'\nrecovery_target_action = promote\n")
        signal = backup / "recovery.signal"
        signal.touch()
        owner.own(signal)
        with recovered.running() as warehouse:
            while ask(warehouse, "SELECT pg_is_in_recovery()"):
                time.sleep(0.2)
            found = table_sums(warehouse)
            different = checksums.differences(expected, found)
            say(f"after recovery to {instant}: {rows(warehouse):,} rows, {len(found)} tables compared")
            if different:
                raise SystemExit("not what it was:\n" + "\n".join(different))
            load(warehouse, dt.date(2025, 7, 2), folder)
            say(f"and it goes on: the second session loaded again, {rows(warehouse):,} rows")


def load(warehouse: Warehouse, day: dt.date, folder: Path) -> None:
    """Import a generated session."""
    place = folder / day.isoformat()
    if not place.exists():
        generate(benchmark_day(ROWS, 20, day), place)
    for report in import_source(warehouse, get_source("nse_csv"), ImportRequest(path=place / "landing")):
        if report.status != "complete":
            raise SystemExit(report.message)


def table_sums(warehouse: Warehouse) -> list[checksums.TableChecksum]:
    """Compute the checksums of all tables."""
    with warehouse.connect() as connection:
        return checksums.compute(connection)


def rows(warehouse: Warehouse) -> int:
    """Count the observations of options."""
    return int(str(ask(warehouse, "SELECT count(*) FROM options_ticks")))


def ask(warehouse: Warehouse, query: str) -> object:
    """Give the one value of a query."""
    with warehouse.connect(autocommit=True) as connection:
        (value,) = connection.execute(query.encode()).fetchone() or (None,)
        return value


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


if __name__ == "__main__":
    if os.name != "posix":
        sys.exit("only where PostgreSQL's programs for POSIX systems run")
    main()
