"""What the benchmarks of the database share: a server of their own, and what work costs on both sides of the wire."""

# ruff: noqa: INP001, S608 -- beside scripts, not in a package; the tables are our own

from __future__ import annotations

import os
import resource
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from pipeline_defs.warehouse import embedded
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.migrations import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable

TABLES: Final = ("options_ticks", "futures_ticks", "spot_prices")
SETTLE_SECONDS: Final = 0.25
"""A backend's last ticks are booked when it has ended."""

_CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Server:
    """A PostgreSQL server on this machine, and the CPU time its processes have used.

    Parameters
    ----------
    folder : Path
        Where a durable embedded server is started if no URL is given.
    url : str, optional
        A database of a server that runs already; all its tables of ours are emptied.

    """

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self._folder = folder if url is None else None
        self.url = embedded.ensure_running(folder) if url is None else url
        upgrade(Warehouse(self.url))
        ((data, self.version),) = self.ask(
            "SELECT current_setting('data_directory'), current_setting('server_version')"
        )
        extension = self.ask("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
        self.extension = str(extension[0][0]) if extension else None
        self.pid = int((Path(str(data)) / "postmaster.pid").read_text(encoding="utf-8").split()[0])

    @property
    def name(self) -> str:
        """Server and extension with their versions."""
        return f"PostgreSQL {self.version}" + (f", TimescaleDB {self.extension}" if self.extension else "")

    def stop(self) -> None:
        """Stop it if it is our own."""
        if self._folder is not None:
            embedded.stop(self._folder)

    def ask(self, query: str) -> list[tuple[object, ...]]:
        """Give the rows of a query."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def execute(self, *statements: str) -> None:
        """Run statements, each in its own transaction."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def empty(self) -> None:
        """Forget every row of ours and settle the disk, so that each round starts alike."""
        bars = self.ask(
            "SELECT relname FROM pg_class WHERE relname IN ('options_hourly', 'options_daily') AND relkind = 'r'"
        )
        tables = [*TABLES, *(str(name) for (name,) in bars), "partition_fingerprints", "loads", "instruments"]
        self.execute(f"TRUNCATE {', '.join(tables)} CASCADE", "CHECKPOINT")

    def cpu_seconds(self) -> float:
        """Sum user and system time of the postmaster, its children, and those it has reaped."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(") ")[2].split()
            except OSError:  # ended while we looked
                continue
            if int(stat.parent.name) == self.pid:
                ticks += sum(map(int, fields[11:15]))
            elif int(fields[1]) == self.pid:
                ticks += sum(map(int, fields[11:13]))
        return ticks / _CLOCK_TICKS

    def measure(self, work: Callable[[], object]) -> dict[str, float]:
        """Do a piece of work, here or in child processes.

        Parameters
        ----------
        work : callable
            The work.

        Returns
        -------
        dict of str to float
            Seconds of `wall`, `client_cpu`, `server_cpu` and both together (`cpu`); `wal_mb` written.

        """
        self.execute("CHECKPOINT")
        wal = self._wal_bytes()
        client, server, begun = _client_cpu_seconds(), self.cpu_seconds(), time.perf_counter()
        work()
        wall = time.perf_counter() - begun
        time.sleep(SETTLE_SECONDS)
        client, server = _client_cpu_seconds() - client, self.cpu_seconds() - server
        return {
            "wall": wall,
            "client_cpu": client,
            "server_cpu": server,
            "cpu": client + server,
            "wal_mb": (self._wal_bytes() - wal) / 1e6,
        }

    def _wal_bytes(self) -> int:
        return int(str(self.ask("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")[0][0]))


def _client_cpu_seconds() -> float:
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def median(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Take the median of each figure."""
    return {name: round(statistics.median(row[name] for row in rounds), 3) for name in rounds[0]}


def dump(server: Server, folder: Path) -> dict[str, Path]:
    """Write the stored rows out, contract after contract, as the files hold them."""
    ready = {}
    for table in TABLES:
        ready[table] = folder / f"{table}.csv"
        with psycopg.connect(server.url) as connection, ready[table].open("wb") as file:
            query = f"COPY (SELECT * FROM {table} ORDER BY instrument_id, timestamp, sequence) TO STDOUT (FORMAT csv)"
            with connection.cursor().copy(query.encode()) as copy:
                for block in copy:
                    file.write(block)
    return ready
