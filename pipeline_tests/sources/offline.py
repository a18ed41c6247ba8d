"""What each API source offers to the tests that all sources share: a loopback server that speaks its protocol."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from decimal import Decimal

type Row = tuple[str, dt.datetime, Decimal | None, Decimal | None, Decimal | None, Decimal | None, Decimal | None]
"""Symbol, timestamp (UTC, when the observation was complete), open, high, low, close, volume."""


@dataclass
class Offline:
    """A running server of one source, and what an import from it must give.

    Parameters
    ----------
    environment : dict
        Variables to set: ``PIPELINE_<SOURCE>_ENDPOINT`` and (false) credentials.
    universe : dict
        The source's section of the universe file, as YAML would give it.
    trade_date : datetime.date
        A session of which the server has data for every table in `expected`.
    expected : dict
        Table to the rows of that session, in any order, written by hand from the recorded bodies.
    requests : callable
        Lists the requests for history so far, one text each.
    secrets : list of str
        Values planted in credentials.
    range : tuple of datetime.date or None
        First and last day of a longer range (30 days) of which the server can answer every session.
    fail_next : callable or None
        ``fail_next(status, headers, times)``: let the next requests for history fail so (HTTP servers).

    """

    environment: dict[str, str]
    universe: dict[str, object]
    trade_date: dt.date
    expected: dict[str, list[Row]]
    requests: Callable[[], list[str]]
    secrets: list[str] = field(default_factory=list)
    range: tuple[dt.date, dt.date] | None = None
    fail_next: Callable[[int, dict[str, str], int], None] | None = None


type Start = Callable[[], AbstractContextManager[Offline]]
