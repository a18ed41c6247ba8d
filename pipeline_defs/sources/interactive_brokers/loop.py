"""The one thread of the process in which the client lives.

The client remembers the first event loop that it sees and uses it for ever, from whichever thread it is called. So all
of its work is done on one loop, in one thread of its own, and everybody else hands over coroutines and waits. Two steps
in one process, and several threads at once, then work alike.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine

_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}
"""By process: a forked child has the dictionary of its parent, but not the thread."""


def run[T](work: Coroutine[object, object, T]) -> T:
    """Do work on the client's loop.

    Parameters
    ----------
    work : coroutine
        Ends by itself: it has timeouts for whatever it waits for.

    Returns
    -------
    object
        Its result.

    Raises
    ------
    Exception
        What it raised.

    """
    future = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return future.result()
    except BaseException:
        # Who is interrupted while waiting leaves nothing running behind.
        future.cancel()
        raise


def adopt_loop() -> None:
    """Let the client use the loop that runs now; to be called on it, before anything is asked of the client."""
    from ib_async import util  # noqa: PLC0415 -- only a connection needs the client

    running = asyncio.get_running_loop()
    if util.getLoop() is not running:
        # Somebody else in the process used the client on another loop, which may be closed by now.
        util.getLoop.cache_clear()
        util.getLoop()


def _loop() -> asyncio.AbstractEventLoop:
    with _lock:
        found = _loops.get(os.getpid())
        if found is None:
            found = _start()
            _loops[os.getpid()] = found
        return found


def _start() -> asyncio.AbstractEventLoop:
    started = asyncio.new_event_loop()

    def work() -> None:
        asyncio.set_event_loop(started)
        started.run_forever()

    threading.Thread(target=work, name="interactive-brokers", daemon=True).start()
    return started
