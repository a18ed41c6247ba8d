"""The database is full of connections, slow, or fails over to its standby: what an operator sees, and that it heals."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg

from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.embedded.account import ENVIRONMENT
from pipeline_defs.warehouse.embedded.cluster import binary_directory, prepare, url
from pipeline_defs.warehouse.migrations import upgrade
from pipeline_tests.chaos.operations import Operation
from pipeline_tests.chaos.processes import Order
from pipeline_tests.chaos.running import DEADLINE_SECONDS
from pipeline_tests.chaos.world import CORRECTED, DAYS, FIRST, look

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.warehouse.embedded.account import ServerAccount
    from pipeline_tests.chaos.running import Engine

DAY = DAYS[0]


def test_a_connection_storm_is_said_to_be_one_and_passes(engine: Engine) -> None:
    with engine.workshop() as shop:
        operation = Operation("import", str(engine.deliveries.landing(FIRST)), DAY)
        with engine.database.flooded(shop.database) as taken:
            assert taken > 50
            code, output = shop.run(operation)

        assert code == 1
        assert "connection" in output
        assert "too many clients" in output or "connection slots" in output
        assert engine.database.password not in output
        shop.must(operation)


def test_a_slow_database_takes_longer_and_stores_the_same(engine: Engine) -> None:
    with engine.workshop() as shop, engine.database.slowed(0.02):
        shop.must(Operation("import", str(engine.deliveries.landing(FIRST)), DAY))

        with psycopg.connect(shop.url) as connection:
            found = look(connection)
    assert found == {
        key: states[FIRST]
        for key, states in engine.reference.states.items()
        if key[1] == "nse_csv" and key[2] == DAY and FIRST in states
    }


class Replicated:
    """A primary that waits for its standby before it says that something is committed, and that standby."""

    def __init__(self, folder: Path) -> None:
        self._primary, self._standby = folder / "primary", folder / "standby"
        self._programs = binary_directory()

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Start both; gives the URL that names them both."""
        self._primary.mkdir()
        account = prepare(self._primary, durable=False)
        data, copy = self._primary / "data", self._standby / "data"
        settings = (
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_wal_senders = 4\nwal_level = replica\n"
            "hot_standby = on\nsynchronous_standby_names = ''\nsynchronous_commit = remote_apply\nfsync = off\n"
            "wal_receiver_status_interval = 100ms\nmax_locks_per_transaction = 256\nshared_buffers = 32MB\n"
        )
        with (data / "postgresql.conf").open("a") as file:
            file.write(settings)
        with (data / "pg_hba.conf").open("a") as file:
            file.write("host replication all 127.0.0.1/32 scram-sha-256\n")
        ports = [_free_port(), _free_port()]
        self._control(account, data, "start", "-o", f"-p {ports[0]}")
        try:
            address = url(self._primary, ports[0], "postgres")
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("CREATE DATABASE pipeline TEMPLATE template0")
            upgrade(Warehouse(url(self._primary, ports[0])))
            self._standby.mkdir()
            account.own(self._standby)
            password = urlsplit(address).password or ""
            self._call(
                account,
                "pg_basebackup",
                "-D",
                str(copy),
                "-R",
                "-X",
                "stream",
                "-c",
                "fast",
                "--no-sync",
                "-d",
                address,
            )
            copy.chmod(0o700)
            self._control(account, copy, "start", "-o", f"-p {ports[1]}")
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                connection.execute("SELECT pg_reload_conf()")
            self.account, self.primary_data, self.standby_data = account, data, copy
            yield (
                f"postgresql://pipeline:{password}@127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/pipeline"
                "?target_session_attrs=read-write"
            )
        finally:
            for place in (data, copy):
                with contextlib.suppress(subprocess.CalledProcessError):
                    self._control(account, place, "stop", "-m", "immediate")

    def fail_over(self) -> None:
        """Kill the primary, as the loss of its machine does, and make the standby the new one."""
        pid = int((self.primary_data / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
        self._control(self.account, self.standby_data, "promote")

    def _control(self, account: ServerAccount, data: Path, *arguments: str) -> None:
        self._call(account, "pg_ctl", "-D", str(data), "-l", str(data / "log"), "-w", "-t", "60", *arguments)

    def _call(self, account: ServerAccount, program: str, *arguments: str) -> None:
        subprocess.run(
            account.command(self._programs / program, *arguments),
            cwd="/",
            env=ENVIRONMENT,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **account.identity(),
        )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_a_failover_in_the_middle_of_an_import_loses_nothing_and_stores_nothing_twice(
    engine: Engine, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.owner() == tmp_path.owner() and str(parent).startswith("/tmp/"):  # noqa: S108 -- pytest's own folders
            parent.chmod(parent.stat().st_mode | 0o055)
    servers = Replicated(tmp_path)
    with servers.running() as address, engine.workshop() as shop:
        environment = {**shop.environment, "PIPELINE_DATABASE_URL": address}

        def start(version: str) -> object:
            operation = Operation("import", str(engine.deliveries.landing(version)), DAYS[0], DAYS[-1])
            return engine.start(Order((operation,)), environment, shop.places.new_log())

        first = start(FIRST)
        assert first.wait(DEADLINE_SECONDS) == 0, first.output  # type: ignore[attr-defined]
        correction = start(CORRECTED)
        with psycopg.connect(address, autocommit=True) as connection:
            deadline = time.monotonic() + 60
            while connection.execute("SELECT count(*) FROM loads WHERE rows_corrected > 0").fetchone() == (0,):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            acknowledged = connection.execute("SELECT max(load_id) FROM loads").fetchone()
        servers.fail_over()
        code = correction.wait(DEADLINE_SECONDS)  # type: ignore[attr-defined]
        assert code in {0, 1}, correction.output  # type: ignore[attr-defined]
        assert acknowledged is not None
        with psycopg.connect(address, autocommit=True) as connection:
            known = connection.execute("SELECT max(load_id) FROM loads").fetchone()
        assert known is not None
        assert known[0] >= acknowledged[0], "a load that was said to be committed is gone"

        again = start(CORRECTED)
        assert again.wait(DEADLINE_SECONDS) == 0, again.output  # type: ignore[attr-defined]

        with psycopg.connect(address) as connection:
            found = look(connection)
        assert found == {
            key: states[CORRECTED]
            for key, states in engine.reference.states.items()
            if key[1] == "nse_csv" and CORRECTED in states
        }
