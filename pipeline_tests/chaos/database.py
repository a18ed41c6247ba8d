"""A server of one's own that can be restarted, cut off, slowed down and flooded, and copies of a template in it."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import psycopg

from pipeline_defs.warehouse import embedded
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.migrations import upgrade
from pipeline_tests.warehouse.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPLATE: Final = "template_world"
_NUMBERS: Final = itertools.count(1)


class Database:
    """A server; everybody but the readers reaches it through a door.

    Parameters
    ----------
    folder : Path
        Where its files are; other accounts must be able to enter it.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "postgres"
        self._door: Proxy | None = None
        self._restarting = threading.Lock()

    def __enter__(self) -> Self:
        """Start it, with a migrated template."""
        self.start()
        self.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
        upgrade(Warehouse(self.url(TEMPLATE)))
        self._door = Proxy(self.url("postgres")).__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        if self._door is not None:
            self._door.__exit__(None, None, None)
        embedded.stop(self._folder)

    @property
    def door(self) -> Proxy:
        """Between it and the processes of the world."""
        assert self._door is not None
        return self._door

    def start(self) -> None:
        """Start it; on a port of its own each time, to which the door leads."""
        self._url = embedded.ensure_running(self._folder, durable=False)
        if self._door is not None:
            self._door.target = self._url

    def url(self, name: str) -> str:
        """Give the way past the door."""
        return urlsplit(self._url)._replace(path=f"/{name}").geturl()

    def url_through_door(self, name: str) -> str:
        """Give the way through the door."""
        return urlsplit(self.door.url)._replace(path=f"/{name}").geturl()

    @property
    def password(self) -> str:
        """What nobody may print."""
        return urlsplit(self._url).password or ""

    def execute(self, statement: str) -> None:
        """Run a statement in the maintenance database."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextlib.contextmanager
    def copy(self) -> Iterator[str]:
        """Give the name of a copy of the template, and drop it afterwards."""
        name = f"world_{os.getpid()}_{next(_NUMBERS)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    # What may happen to it.

    def restart(self, *, immediately: bool) -> None:
        """Stop it, as a crash does or in order, and start it again; one restart after the other."""
        with self._restarting:
            found = embedded.status(self._folder).postmaster
            if found is not None and immediately:
                os.kill(found.pid, signal.SIGQUIT)
                deadline = time.monotonic() + 20
                while embedded.status(self._folder).postmaster is not None and time.monotonic() < deadline:
                    time.sleep(0.02)
            elif found is not None:
                embedded.stop(self._folder)
            self.start()

    def cut(self) -> None:
        """Cut every connection that goes through the door."""
        self.door.cut()

    def terminate(self, name: str) -> None:
        """End every session of a database, as an administrator does."""
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    @contextlib.contextmanager
    def slowed(self, seconds: float) -> Iterator[None]:
        """Let every packet of a client wait."""
        self.door.delay_seconds = seconds
        try:
            yield
        finally:
            self.door.delay_seconds = 0.0

    @contextlib.contextmanager
    def flooded(self, name: str) -> Iterator[int]:
        """Take every connection that it has left, for a program that never gives one back; give their number."""
        taken: list[psycopg.Connection] = []
        try:
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    taken.append(psycopg.connect(self.url(name)))
            yield len(taken)
        finally:
            for connection in taken:
                connection.close()
