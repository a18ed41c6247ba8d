"""The words of LEAN's file format: security types, resolutions, tick types, option styles and rights.

What each security type means for a file (scaled prices, how options and futures are told apart) belongs here; how names
and lines are spelled belongs to `paths`, `entries` and `lines`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.tables import DAY, MINUTE

SCALE: Final = 10_000
"""Prices of some security types, and every option's strike, are written as this many parts of a currency unit."""


class LeanFormatError(ExportError):
    """A name or a line does not follow LEAN's format."""


class SecurityType(StrEnum):
    """A security type, spelled as in a path."""

    EQUITY = "equity"
    INDEX = "index"
    OPTION = "option"
    INDEX_OPTION = "indexoption"
    FUTURE = "future"
    FUTURE_OPTION = "futureoption"
    CRYPTO = "crypto"
    CRYPTO_FUTURE = "cryptofuture"
    FOREX = "forex"
    CFD = "cfd"

    @property
    def is_scaled(self) -> bool:
        """Whether prices are whole numbers of 1 / `SCALE`."""
        return self in {SecurityType.EQUITY, SecurityType.OPTION, SecurityType.INDEX_OPTION}

    @property
    def is_option(self) -> bool:
        """Whether an entry is named by style, right, strike and expiry."""
        return self in {SecurityType.OPTION, SecurityType.INDEX_OPTION, SecurityType.FUTURE_OPTION}

    @property
    def is_future(self) -> bool:
        """Whether an entry is named by its contract month."""
        return self in {SecurityType.FUTURE, SecurityType.CRYPTO_FUTURE}

    @property
    def is_quoted_only(self) -> bool:
        """Whether files hold quotes alone."""
        return self in {SecurityType.FOREX, SecurityType.CFD}


class Resolution(StrEnum):
    """A resolution, spelled as in a path."""

    TICK = "tick"
    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAILY = "daily"

    @property
    def is_coarse(self) -> bool:
        """Whether one file holds many days and times are dates (hour and daily)."""
        return self in {Resolution.HOUR, Resolution.DAILY}


class TickType(StrEnum):
    """What a file tells of, spelled as in a path."""

    TRADE = "trade"
    QUOTE = "quote"
    OPEN_INTEREST = "openinterest"


class OptionStyle(StrEnum):
    """When an option may be exercised, spelled as in a path."""

    AMERICAN = "american"
    EUROPEAN = "european"


class OptionRight(StrEnum):
    """Call or put, spelled as in an entry's name."""

    CALL = "call"
    PUT = "put"


RESOLUTION_OF_SECONDS: Final = {
    1: Resolution.SECOND,
    MINUTE: Resolution.MINUTE,
    3_600: Resolution.HOUR,
    DAY: Resolution.DAILY,
}
"""Length of a bar to its resolution; bars of other lengths have no place in a LEAN data folder."""

SECONDS_OF_RESOLUTION: Final = {resolution: seconds for seconds, resolution in RESOLUTION_OF_SECONDS.items()}
