"""A stream: the ticker's process, what it tells, and its end with ours."""

from __future__ import annotations

import datetime as dt
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.asking.credentials import redact
from pipeline_defs.sources.asking.streaming import Heard, Silence
from pipeline_defs.sources.zerodha.session import SessionExpiredError
from pipeline_defs.sources.zerodha.ticks import Ticks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline_defs.sources.asking.questions import Listed

_MODULE: Final = "pipeline_defs.sources.zerodha.ticker_process"
_PATIENCE_SECONDS: Final = 0.2
_LAST_WORDS: Final = 300
_MOST_LINES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Order:
    """What the ticker's process is told.

    Parameters
    ----------
    key, token : str
        Credentials: they reach the process through its input, where no list of processes shows them.
    root : str or None
        Address in place of Kite's own.
    dead_seconds : float or None
        After how long without a sign of life a connection counts as lost; default that of the process.

    """

    key: str
    token: str = field(repr=False)
    root: str | None
    dead_seconds: float | None = None


def listen(listed: Sequence[Listed], order: Order, stop: threading.Event) -> Iterator[Heard | Silence]:
    """Give what the ticker tells, until told to stop.

    Parameters
    ----------
    listed : sequence of Listed
        Of what.
    order : Order
        How to reach Kite.
    stop : threading.Event
        Ends it.

    Yields
    ------
    Heard or Silence

    Raises
    ------
    SessionExpiredError
        If Kite refuses the session.
    SourceError
        If the connection cannot be made for long, or the process ends by itself.

    """
    ticks = Ticks(listed)
    with _ticker(listed, order) as (lines, last_words):
        while not stop.is_set():
            told: list[list[Any]] = []
            for line in _waiting(lines):
                message: dict[str, Any] = {"end": ""} if line is None else json.loads(line, parse_float=str)
                if "ticks" in message:
                    told.extend(message["ticks"])
                    continue
                # In the order in which they were told: what was heard before a silence comes before it.
                yield from ticks.heard(told) if told else ()
                told = []
                if line is None and stop.is_set():
                    return
                if "end" in message:
                    raise _ended(message, last_words)
                yield _silence(message["silence"])
            yield from ticks.heard(told) if told else ()


def _waiting(lines: queue.SimpleQueue[str | None]) -> Iterator[str | None]:
    """Give the lines that are there; wait a little for the first."""
    with suppress(queue.Empty):
        yield lines.get(timeout=_PATIENCE_SECONDS)
        for _ in range(_MOST_LINES):
            yield lines.get_nowait()


def _silence(told: list[Any]) -> Silence:
    start, end, reason = told
    first, last = (dt.datetime.fromtimestamp(float(at), dt.UTC) for at in (start, end))
    return Silence(first, last, redact(str(reason)))


def _ended(message: dict[str, Any], last_words: IO[bytes]) -> SourceError:
    reason = redact(str(message["end"]))
    if message.get("expired"):
        return SessionExpiredError(f"Kite refused the stream ({reason})")
    if not reason:
        last_words.seek(0)
        reason = redact(last_words.read().decode("utf-8", "replace"))[-_LAST_WORDS:].strip()
        reason = f"the ticker's process ended: {reason or 'without a word'}"
    return SourceError(reason, where="zerodha stream", next_step="start the stream again; import the gap in partitions")


@contextmanager
def _ticker(listed: Sequence[Listed], order: Order) -> Iterator[tuple[queue.SimpleQueue[str | None], IO[bytes]]]:
    """Run the process; it is gone when we leave."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "TZ": "UTC"}
    with tempfile.TemporaryFile() as last_words:
        process = subprocess.Popen(  # noqa: S603 -- our own module
            [sys.executable, "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=last_words,
            env=environment,
            start_new_session=True,  # Ctrl-C is for us, who then end it
            text=True,
        )
        reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
        try:
            reader.start()
            _tell(process, listed, order)
            yield lines, last_words
        finally:
            _end(process, reader)


def _tell(process: subprocess.Popen[str], listed: Sequence[Listed], order: Order) -> None:
    content = {
        "key": order.key,
        "token": order.token,
        "root": order.root,
        "dead_seconds": order.dead_seconds,
        "instruments": [int(one.vendor_id) for one in listed],
    }
    if process.stdin is not None:
        # A process that could not start says why with its last words.
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(content) + "\n")
            process.stdin.flush()


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    if process.stdout is not None:
        for line in process.stdout:
            lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str], reader: threading.Thread) -> None:
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()
    try:
        process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    reader.join()
    if process.stdout is not None:
        process.stdout.close()
