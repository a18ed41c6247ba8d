"""The vendor's ticker in a process of its own: its reactor can be started only once in a process.

Run by ``listening``, which writes one line of JSON to our standard input: key, token, address, instruments. We write
lines of JSON: ``ticks``, a ``silence`` once it is over, and the ``end`` if there is one. The end of our input, which
the end of our parent brings as well, ends us.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import threading
import time
from typing import IO, Any, Final

from pipeline_defs.sources.asking.credentials import guard_logger, redact, remember_secret

DEAD_SECONDS: Final = 10.0
"""Kite beats each second or so; the client does not notice when it stops, so we do."""

_LONGEST_DELAY_SECONDS: Final = 5
_FIRST_DELAY_SECONDS: Final = 0.2
_TRIES: Final = 300
_FORBIDDEN: Final = "(403 "


class Listener:
    """What the ticker calls back.

    Parameters
    ----------
    instruments : list of int
        Tokens.
    output : file
        Where lines go.
    dead_seconds : float
        After so long without a sign of life the connection is dropped and made anew.

    """

    def __init__(self, instruments: list[int], output: IO[str], dead_seconds: float = DEAD_SECONDS) -> None:
        self._instruments, self._output, self._dead_seconds = instruments, output, dead_seconds
        self._alive_at = time.time()
        self._connected_at: float | None = None
        self._trouble = self._complaint = ""
        self.is_over = False

    def on_connect(self, ticker: Any, _response: object) -> None:  # noqa: ANN401 -- of a library without types
        """Subscribe; the ticker does so by itself after a reconnection."""
        ticker.factory.initialDelay = _FIRST_DELAY_SECONDS
        self._connected_at = time.time()
        if ticker.subscribed_tokens:
            # A connection that was lost between the two requests below would be made anew without the full mode.
            ticker.subscribed_tokens = dict.fromkeys(self._instruments, ticker.MODE_FULL)
        else:
            ticker.subscribe(self._instruments)
            ticker.set_mode(ticker.MODE_FULL, self._instruments)

    def on_message(self, _ticker: object, _payload: bytes, _is_binary: bool) -> None:  # noqa: FBT001 -- its signature
        """Take any message, a heartbeat too, for a sign of life."""
        now = time.time()
        if self._trouble:
            self._tell({"silence": [self._alive_at, now, self._trouble]})
            self._trouble = ""
        self._alive_at = now

    def on_ticks(self, _ticker: object, ticks: list[dict[str, Any]]) -> None:
        """Tell ticks, as short rows.

        What comes before the full mode is set has no time, and what has never traded no price: neither is a tick.
        """
        rows = [row_of(tick) for tick in ticks if tick["mode"] == "full" and tick["last_price"]]
        if rows:
            self._tell({"ticks": rows})

    def on_close(self, ticker: Any, code: object, reason: object) -> None:  # noqa: ANN401
        """Remember why; a refused login ends it."""
        self._connected_at = None
        said = redact(f"{code} {reason}{self._complaint}")
        self._trouble = self._trouble or f"the connection was closed ({said[:300]})"
        self._complaint = ""
        if _FORBIDDEN in said:
            self._end(ticker, said, expired=True)

    def on_error(self, _ticker: object, code: object, reason: object) -> None:
        """Remember what Kite said: code 0 is a message of its own, any other comes with a close."""
        if code == 0:
            self._complaint = f"; before, Kite said: {reason}"

    def on_reconnect(self, _ticker: object, tries: int) -> None:
        """Remember that there was no connection."""
        self._trouble = self._trouble or f"no connection ({tries} tries)"

    def on_noreconnect(self, ticker: Any) -> None:  # noqa: ANN401
        """Give up when the ticker does."""
        self._end(ticker, f"{self._trouble or 'no connection'}; gave up after {_TRIES} tries", expired=False)

    def watch(self, ticker: Any) -> None:  # noqa: ANN401
        """Drop a connection that says nothing any more."""
        heard_at = max(self._alive_at, self._connected_at or 0.0)
        if self._connected_at is not None and time.time() - heard_at > self._dead_seconds:
            self._trouble = f"no heartbeat for {self._dead_seconds:g} s"
            self._connected_at = None
            ticker.ws.dropConnection(abort=True)

    def _end(self, ticker: Any, reason: str, *, expired: bool) -> None:  # noqa: ANN401
        if not self.is_over:
            self.is_over = True
            self._tell({"end": reason, "expired": expired})
            ticker.stop_retry()
            ticker.stop()

    def _tell(self, message: dict[str, object]) -> None:
        self._output.write(json.dumps(message) + "\n")
        self._output.flush()


def row_of(tick: dict[str, Any]) -> list[object]:
    """Shorten a tick.

    Parameters
    ----------
    tick : dict
        Of the ticker, in full mode; an index has less.

    Returns
    -------
    list
        Token, second of the epoch, last price, last quantity, volume of the day, open interest, then price and
        quantity of the best bid and of the best ask. Prices are floats: a whole number over 100, whose shortest text,
        which JSON has, is exact.

    """
    told = tick.get("exchange_timestamp")
    second = None if told is None else int(told.replace(tzinfo=dt.UTC).timestamp())
    best = [(tick.get("depth") or {}).get(side) or [{}] for side in ("buy", "sell")]
    quotes = [part.get(name) if part.get("quantity") else None for (part, *_) in best for name in ("price", "quantity")]
    measured = [tick.get(name) for name in ("last_price", "last_traded_quantity", "volume_traded", "oi")]
    return [tick["instrument_token"], second or None, *measured, *quotes]


def main() -> None:
    """Listen until our input ends."""
    order = json.loads(sys.stdin.readline())
    for secret in (order["key"], order["token"]):
        remember_secret(secret)
    guard_logger("kiteconnect", "kiteconnect.ticker", "autobahn", "twisted")
    # The client turns the exchange's seconds into local time without a zone: let that be UTC.
    os.environ["TZ"] = "UTC"
    time.tzset()

    from kiteconnect import KiteTicker  # noqa: PLC0415 -- after the zone is set
    from twisted.internet import reactor, task  # noqa: PLC0415

    loop: Any = reactor
    ticker = KiteTicker(
        order["key"],
        order["token"],
        root=order["root"],
        reconnect_max_tries=_TRIES,
        reconnect_max_delay=_LONGEST_DELAY_SECONDS,
    )
    listener = Listener(order["instruments"], sys.stdout, order.get("dead_seconds") or DEAD_SECONDS)
    for name in ("on_connect", "on_message", "on_ticks", "on_close", "on_error", "on_reconnect", "on_noreconnect"):
        setattr(ticker, name, getattr(listener, name))
    task.LoopingCall(listener.watch, ticker).start(listener_pause(order), now=False)

    def wait_for_the_end() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        loop.callFromThread(loop.stop)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    ticker.connect()


def listener_pause(order: dict[str, Any]) -> float:
    """How often to look for signs of life."""
    return min(1.0, (order.get("dead_seconds") or DEAD_SECONDS) / 2)


if __name__ == "__main__":
    main()
