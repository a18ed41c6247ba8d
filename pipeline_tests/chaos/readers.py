"""Those who look on all the time: every partition they see is an old or a new one, every catalog they open is whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Final, Self

import psycopg

from pipeline_defs.exports.manifest import MANIFEST_NAME
from pipeline_tests.chaos.world import look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pipeline_tests.chaos.world import Reference

PAUSE_SECONDS: Final = 0.05
LOOKS_PAUSE: Final = 4.0
"""Of the time a look takes: readers are not to keep the others from working."""


class Readers:
    """A reader of the tables and one of the published folders.

    Parameters
    ----------
    url : callable
        Gives the database's address, which changes with every restart.
    reference : Reference
        What may be seen.
    catalogs : iterable of Path
        Where exports are published.

    """

    def __init__(self, url: Callable[[], str], reference: Reference, catalogs: Iterable[Path]) -> None:
        self.violations: list[str] = []
        self.looks = 0
        self._url, self._reference, self._catalogs = url, reference, list(catalogs)
        self._appeared: set[Path] = set()
        self._finished = threading.Event()
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._tables, self._folders)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finished.set()
        for thread in self._threads:
            thread.join(20)

    def _tables(self) -> None:
        while not self._finished.is_set():
            with contextlib.suppress(psycopg.Error), psycopg.connect(self._url(), autocommit=True) as connection:
                while not self._finished.is_set():
                    began = time.monotonic()
                    self._judge(connection)
                    time.sleep(max(PAUSE_SECONDS, LOOKS_PAUSE * (time.monotonic() - began)))
            time.sleep(PAUSE_SECONDS)

    def _judge(self, connection: psycopg.Connection) -> None:
        self.looks += 1
        for key, state in look(connection).items():
            if state not in self._reference.known(key):
                self._say(f"a reader saw {' '.join(map(str, key))} with {state[0]} rows, in no state it ever had")

    def _folders(self) -> None:
        while not self._finished.is_set():
            for place in self._catalogs:
                said = read_catalog(place)
                if said is not None:
                    self._appeared.add(place)
                elif place in self._appeared:
                    self._say(f"catalog {place.name} was there, and a reader found nothing")
                if said:
                    self._say(f"catalog {place.name}: {said}")
            time.sleep(PAUSE_SECONDS)

    def _say(self, what: str) -> None:
        if what not in self.violations:
            self.violations.append(what)


def read_catalog(place: Path) -> str | None:
    """Read a published folder as one who has opened it; say what was wrong, "" if nothing, None if nothing is there."""
    try:
        folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        manifest = json.loads(_read(MANIFEST_NAME, folder))
        for entry in manifest["objects"]:
            if hashlib.sha256(_read(entry["path"], folder)).hexdigest() != entry["sha256"]:
                return f"{entry['path']} is not what the manifest says"
    except FileNotFoundError as error:
        # Old trees go away a moment after they were replaced; who reads that long opens the folder again.
        with contextlib.suppress(FileNotFoundError):
            if not os.path.samestat(os.fstat(folder), place.stat()):
                return ""
        return f"{error.filename} is missing"
    finally:
        os.close(folder)
    return ""


def _read(name: str, folder: int) -> bytes:
    descriptor = os.open(name, os.O_RDONLY, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()
