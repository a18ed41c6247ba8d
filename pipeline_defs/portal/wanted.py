"""What can be asked for: fields and frequencies, and of which stored bars a frequency is made."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from pipeline_defs.portal.errors import PortalError
from pipeline_defs.schema.tables import DAY, MINUTE, TICK

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

HOUR: Final = 3_600

FREQUENCIES: Final = {"1m": 60, "5m": 300, "15m": 900, "30m": 1_800, "1h": HOUR, "1d": DAY}
"""Name to length in seconds."""

DATA_FREQUENCIES: Final = {"minute": MINUTE, "hour": HOUR, "daily": DAY}
"""What the classic arguments call the bars that are looked at."""

_OTHER_NAMES: Final = {"minute": "1m", "hour": "1h", "daily": "1d", "day": "1d"}

PRICES: Final = ("open", "high", "low", "close")
BAR_FIELDS: Final = (*PRICES, "price", "volume", "open_interest", "source")
"""Fields of a bar. `price` is the close, carried forward where a shape has room for it."""

PRESENT_FIELDS: Final = ("last", "last_traded", "bid", "ask", "bid_size", "ask_size", "contract")
"""Fields that only `current` has."""

_STORED: Final = (DAY, HOUR, 1_800, 900, 300, MINUTE, TICK)
"""Resolutions that a longer bar can be made of, the longest first."""


def length_of(frequency: str) -> int:
    """Give the seconds of a frequency.

    Raises
    ------
    PortalError
        If there is no such frequency.

    """
    seconds = FREQUENCIES.get(_OTHER_NAMES.get(frequency, frequency))
    if seconds is None:
        raise PortalError(f"no frequency {frequency!r}", next_step=f"use one of {', '.join(FREQUENCIES)}")
    return seconds


def made_of(seconds: int) -> list[int]:
    """List the stored resolutions that give bars of a length: that length itself first, ticks last."""
    return [stored for stored in _STORED if stored == TICK or (stored <= seconds and seconds % stored == 0)]


def finest(stored: Collection[int]) -> int:
    """Give the shortest bars that can be made of stored resolutions; of nothing, minutes."""
    lengths = [max(one, MINUTE) for one in stored]
    return min(lengths, default=MINUTE)


def check_fields(fields: Sequence[str], *, of_present: bool) -> None:
    """Refuse fields that there are not.

    Parameters
    ----------
    fields : sequence of str
        As asked for.
    of_present : bool
        Whether those of `current` are allowed.

    Raises
    ------
    PortalError
        If one is unknown, the list is empty, or one stands in it twice.

    """
    allowed = (*BAR_FIELDS, *PRESENT_FIELDS) if of_present else BAR_FIELDS
    if not fields or len(set(fields)) < len(fields):
        raise PortalError(f"fields {list(fields)}, expected each at most once and at least one")
    for field in fields:
        if field in allowed:
            continue
        if field in PRESENT_FIELDS:
            raise PortalError(f"{field!r} has no history", next_step=f"ask for it with current(…, {field!r})")
        near = difflib.get_close_matches(str(field), allowed, n=1)
        guess = f"did you mean {near[0]!r}? " if near else ""
        raise PortalError(f"no field {field!r}", next_step=f"{guess}There are {', '.join(allowed)}")


def one_of(name: str, value: object, choices: Collection[str]) -> None:
    """Refuse a value that is none of its choices."""
    if value not in choices:
        raise PortalError(f"{name} is {value!r}, expected one of {', '.join(choices)}")
