"""One publisher at a time: a lease on a prefix, kept in the object store itself.

The lease is an object that only one can create. Its holder renews it; who dies leaves it behind, and whoever waits
takes it over: at once if the holder ran on this machine and is gone, else when it was not renewed for its own term.
What is done during a turn does not belong here.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import StorageError
from pipeline_defs.storage.answers import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.storage.locations import S3Location
    from pipeline_defs.storage.objects import ObjectStore

LEASE_SECONDS: Final = 90.0
WAIT_SECONDS: Final = 600.0
POLL_SECONDS: Final = 0.5


class Turn:
    """The right to write below a prefix.

    Parameters
    ----------
    store : ObjectStore
        Where the lease lies.
    lease : S3Location
        The lease's object.
    lease_seconds : float
        Unrenewed for so long, it counts as left behind.

    """

    def __init__(self, store: ObjectStore, lease: S3Location, lease_seconds: float) -> None:
        self._store = store
        self._lease = lease
        self._lease_seconds = lease_seconds
        self._etag: str | None = None
        self._lost = False
        self._over = threading.Event()
        self._renewing = threading.Thread(target=self._renew, daemon=True)

    def check(self) -> None:
        """Raise if somebody else has taken the turn over, which happens to a process that was suspended."""
        if self._lost:
            raise StorageError(
                f"this process did not renew its lease for {self._lease_seconds:g} seconds, and another publisher took"
                " over",
                where=str(self._lease),
                next_step="publish again",
            )

    def take(self, wait_seconds: float) -> None:
        """Take the turn, or wait for it.

        Raises
        ------
        StorageError
            If it is still another's after `wait_seconds`; names that publisher.

        """
        deadline = time.monotonic() + wait_seconds
        while True:
            self._etag = self._store.write(self._lease, self._claim(), if_absent=True)
            if self._etag is not None:
                break
            found = self._store.read(self._lease)
            if isinstance(found, Answer):  # given back this instant
                continue
            holder = _holder(found.data)
            if _is_gone(holder) or found.age_seconds > float(holder.get("lease_seconds", self._lease_seconds)):
                self._etag = self._store.write(self._lease, self._claim(), if_etag=found.etag)
                if self._etag is not None:
                    break
            if time.monotonic() > deadline:
                raise StorageError(
                    f"another publisher is at work: process {holder.get('pid')} on {holder.get('host')}, which was"
                    f" heard of {found.age_seconds:.0f} s ago",
                    where=str(self._lease),
                    next_step="wait for it and publish again",
                )
            time.sleep(min(POLL_SECONDS, self._lease_seconds / 4))
        self._renewing.start()

    def give_back(self) -> None:
        """End the turn."""
        self._over.set()
        if self._renewing.is_alive():
            self._renewing.join()
        if self._etag is not None and not self._lost:
            self._store.delete_many([self._lease])

    def _renew(self) -> None:
        while not self._over.wait(self._lease_seconds / 4):
            try:
                renewed = self._store.write(self._lease, self._claim(), if_etag=self._etag)
            except StorageError:
                continue  # the store may come back before the lease ends; if not, others find it unrenewed
            if renewed is None:
                self._lost = True
                return
            self._etag = renewed

    def _claim(self) -> bytes:
        # The nonce makes each claim an object of its own, so that its ETag tells it from every other.
        return json.dumps({**_self(), "lease_seconds": self._lease_seconds, "nonce": secrets.token_hex(8)}).encode()


@contextmanager
def turn(
    store: ObjectStore, lease: S3Location, *, wait_seconds: float = WAIT_SECONDS, lease_seconds: float = LEASE_SECONDS
) -> Iterator[Turn]:
    """Hold the only right to write below a prefix.

    Parameters
    ----------
    store : ObjectStore
        Where the prefix is.
    lease : S3Location
        The object that is the lease.
    wait_seconds : float, default 600
        How long to queue behind another.
    lease_seconds : float, default 90
        How long one who cannot be heard of keeps the turn.

    Yields
    ------
    Turn

    Raises
    ------
    StorageError
        If it is still another's after `wait_seconds`.

    """
    mine = Turn(store, lease, lease_seconds)
    mine.take(wait_seconds)
    try:
        yield mine
    finally:
        mine.give_back()


def _self() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "kernel": _kernel(), "started": _started(os.getpid())}


def _holder(data: bytes) -> dict[str, Any]:
    try:
        holder = json.loads(data)
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _is_gone(holder: dict[str, Any]) -> bool:
    """Tell whether the holder was a process of this very kernel and namespace that runs no more."""
    kernel, pid = _kernel(), holder.get("pid")
    if kernel is None or holder.get("kernel") != kernel or not isinstance(pid, int):
        return False
    return _started(pid) != holder.get("started")


def _kernel() -> str | None:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """When a process began, by the kernel's count; None if there is none, or if it is dead but for its parent."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
    except OSError:
        return None
    return None if state in {"Z", "X"} else fields[18]
