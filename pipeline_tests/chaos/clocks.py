"""A process whose clock is wrong: what Python asks is answered with a shift; the database's clock is its own."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any


def shift_clock(seconds: float) -> None:
    """Shift the clock of this process; monotonic clocks run on, as they do when an administrator sets the time."""
    shift = dt.timedelta(seconds=seconds)
    real_datetime, real_time, real_time_ns = dt.datetime, time.time, time.time_ns

    class Shifted(real_datetime):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return real_datetime.now(tz) + shift

    dt.datetime = Shifted  # type: ignore[misc]
    time.time = lambda: real_time() + seconds
    time.time_ns = lambda: real_time_ns() + int(seconds * 1e9)
