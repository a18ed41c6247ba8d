"""Signs of life of a run on a worker, and the end of a run that can give none.

A worker's process writes a sign into Dagster's database every few seconds. The launcher, on another machine, compares
what it reads with what it read before, by its own clock: a run whose sign does not change is taken for dead. The
process itself gives up earlier: when it could not write for the length of its lease it ends itself, with its
transactions. So a machine that was cut off, and comes back, has nothing left that could write behind a retry's back.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import dagster as dg

SLOT_TAG: Final = "pipeline/worker"
"""Tag of a run: which worker's which process executes it."""

LEASE_SECONDS: Final = 60
"""How long a run may be unable to give a sign before it ends itself."""

DEAD_AFTER_LEASES: Final = 1.5
"""A run without a new sign for so many leases is dead; longer than it needs to end itself."""

_SIGNS_PER_LEASE: Final = 6
_KEY: Final = "pipeline/sign_of_life/"
_logger = logging.getLogger(__name__)


def give_up(reason: str) -> None:
    """End this process at once, with everything it has open."""
    _logger.critical("run ends itself: %s", reason)
    os._exit(1)


@contextmanager
def giving_signs(
    instance: dg.DagsterInstance,
    run_id: str,
    slot: str,
    lease_seconds: float,
    on_end: Callable[[str], None] = give_up,
) -> Iterator[None]:
    """Give signs of life while a run is executed.

    Parameters
    ----------
    instance : dagster.DagsterInstance
        Where they are kept.
    run_id : str
        The run.
    slot : str
        Worker and process; used again by the next run, so that signs do not pile up.
    lease_seconds : float
        See `LEASE_SECONDS`.
    on_end : callable, optional
        What ends the process when no sign could be given for so long, or the run was ended by others meanwhile.

    """
    over = threading.Event()
    last = [time.monotonic()]
    _sign(instance, run_id, slot, 0)
    instance.add_run_tags(run_id, {SLOT_TAG: slot})

    def keep_signing() -> None:
        number, ended_before = 0, False
        while not over.wait(lease_seconds / _SIGNS_PER_LEASE):
            number += 1
            try:
                _sign(instance, run_id, slot, number)
                run = instance.get_run_by_id(run_id)
            except Exception as error:  # noqa: BLE001 -- whatever it is, what counts is for how long
                _logger.warning("no sign of life: %s", type(error).__name__)
                continue
            last[0] = time.monotonic()
            # Twice: a run that ends by itself is seen as ended for a moment, too.
            has_ended = run is None or run.is_finished
            if has_ended and ended_before and not over.is_set():
                on_end(f"run {run_id} was ended by somebody else")
                return
            ended_before = has_ended

    def watch() -> None:
        # Apart from the thread that signs: it may hang for minutes in a connection that is gone.
        while not over.wait(lease_seconds / (4 * _SIGNS_PER_LEASE)):
            silent = time.monotonic() - last[0]
            if silent > lease_seconds:
                on_end(f"run {run_id} could not reach Dagster's database for {silent:.0f} s")
                return

    threads = [threading.Thread(target=target, daemon=True) for target in (keep_signing, watch)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()


class Listener:
    """What a launcher heard of the runs it sent out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard: dict[str, tuple[str | None, float]] = {}

    def silent_seconds(self, instance: dg.DagsterInstance, run: dg.DagsterRun) -> float:
        """Say for how long a run has given no new sign.

        Parameters
        ----------
        instance : dagster.DagsterInstance
            Where signs are kept.
        run : dagster.DagsterRun
            The run.

        Returns
        -------
        float
            0 when the sign has changed, or when it is looked at for the first time.

        """
        sign = _read(instance, run)
        now = self._clock()
        before = self._heard.get(run.run_id)
        if before is None or before[0] != sign:
            self._heard[run.run_id] = (sign, now)
            return 0.0
        return now - before[1]

    def forget(self, run_id: str) -> None:
        """Let go of a run that is dead."""
        self._heard.pop(run_id, None)


def _sign(instance: dg.DagsterInstance, run_id: str, slot: str, number: int) -> None:
    instance.run_storage.set_cursor_values({f"{_KEY}{slot}": f"{run_id} {number}"})


def _read(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str | None:
    slot = run.tags.get(SLOT_TAG)
    if slot is None:
        return None
    sign = instance.run_storage.get_cursor_values({f"{_KEY}{slot}"}).get(f"{_KEY}{slot}")
    # Another run's sign: this one's process is not there any more.
    return sign if sign is not None and sign.startswith(f"{run.run_id} ") else None
