"""Where a data file of LEAN lies: paths to their parts and back, for every security type with zipped data.

Pure text. What is inside a zip belongs to `entries` and `lines`; universes, map and factor files, and the two databases
have modules of their own.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from typing import Final

from pipeline_defs.exports.lean.kinds import LeanFormatError, OptionStyle, Resolution, SecurityType, TickType

TICKER: Final = r"[a-z0-9][a-z0-9&.-]*"
"""A ticker in a name. An underscore would end it: LEAN splits names at every ``_``."""

MARKET: Final = r"[a-z0-9][a-z0-9-]*"

_FEWEST_PARTS: Final = 4


@dataclass(frozen=True, slots=True)
class DataFile:
    """A zip of a LEAN data folder.

    Parameters
    ----------
    security : SecurityType
        First part of the path.
    market : str
        E.g. ``india``.
    resolution : Resolution
        Third part.
    ticker : str
        Lower case; of options that of the underlying (of index options, the option's own root).
    tick_type : TickType
        What it tells of; trades where the name does not say (quotes of forex and cfd).
    date : datetime.date or None
        Of the data, at tick, second and minute resolution.
    year : int or None
        Of hour and daily options: one file a year.
    style : OptionStyle or None
        Of options.
    month : str or None
        Contract month ``yyyyMM`` of the future under a future option.

    """

    security: SecurityType
    market: str
    resolution: Resolution
    ticker: str
    tick_type: TickType = TickType.TRADE
    date: dt.date | None = None
    year: int | None = None
    style: OptionStyle | None = None
    month: str | None = None

    @property
    def path(self) -> str:
        """Path below the data folder, with ``/``."""
        folder = [self.security.value, self.market, self.resolution.value]
        if self.security is SecurityType.FUTURE_OPTION:
            folder += [self.ticker, str(self.month)]
        elif not self.resolution.is_coarse:
            folder.append(self.ticker)
        return "/".join([*folder, f"{self._stem}.zip"])

    def on(self, day: dt.date) -> DataFile:
        """Give the file of a day, at a resolution that has one file a day."""
        return replace(self, date=day)

    def in_year(self, year: int) -> DataFile:
        """Give the file of a year, of hour and daily options."""
        return replace(self, year=year)

    @property
    def _stem(self) -> str:
        style = [str(self.style)] if self.security.is_option else []
        if not self.resolution.is_coarse:
            return "_".join([f"{self.date:%Y%m%d}", self.tick_type.value, *style])
        if self.security.is_option:
            return "_".join([self.ticker, f"{self.year:04d}", self.tick_type.value, *style])
        if names_tick_type(self.security):
            return f"{self.ticker}_{self.tick_type}"
        return self.ticker


@dataclass(frozen=True, slots=True)
class _Head:
    """What the first three parts of a path say, and the path for messages."""

    security: SecurityType
    market: str
    resolution: Resolution
    path: str


def names_tick_type(security: SecurityType) -> bool:
    """Tell whether hour and daily files of a security type carry the tick type in their name."""
    return security.is_option or security.is_future or security is SecurityType.CRYPTO


def parse_path(path: str) -> DataFile:
    """Take a path apart.

    Parameters
    ----------
    path : str
        Below the data folder, with ``/``.

    Returns
    -------
    DataFile
        Whose `path` is the one given.

    Raises
    ------
    LeanFormatError
        If it is not exactly the path LEAN would form: a part is missing or unknown, in upper case, not a date, or more
        is there than belongs.

    """
    parts = path.split("/")
    if len(parts) < _FEWEST_PARTS or not parts[-1].endswith(".zip"):
        raise _refused(path, "expected <security type>/<market>/<resolution>/[<ticker>/]<name>.zip")
    head = _Head(_word(SecurityType, parts[0], path), parts[1], _word(Resolution, parts[2], path), path)
    if re.fullmatch(MARKET, head.market) is None:
        raise _refused(path, f"the market {head.market!r} is not in lower case letters and digits")
    words = parts[-1].removesuffix(".zip").split("_")
    file = (
        _parse_coarse(head, parts[3:-1], words) if head.resolution.is_coarse else _parse_fine(head, parts[3:-1], words)
    )
    if re.fullmatch(TICKER, file.ticker) is None:
        raise _refused(
            path, f"the ticker {file.ticker!r} holds other characters than lower case letters, digits, & . -"
        )
    if file.path != path:
        raise _refused(path, f"LEAN would look for {file.path}")
    return file


def _parse_fine(head: _Head, folders: list[str], words: list[str]) -> DataFile:
    if not folders:
        raise _refused(head.path, "expected a folder named after the ticker")
    return DataFile(
        head.security,
        head.market,
        head.resolution,
        ticker=folders[0],
        tick_type=_word(TickType, _at(words, 1, head.path), head.path),
        date=parse_date(words[0], head.path),
        style=_word(OptionStyle, _at(words, 2, head.path), head.path) if head.security.is_option else None,
        month=_month(head, folders),
    )


def _parse_coarse(head: _Head, folders: list[str], words: list[str]) -> DataFile:
    path = head.path
    if head.security.is_option:
        year, tick_type, style = (_at(words, index, path) for index in (1, 2, 3))
        if re.fullmatch(r"\d{4}", year, re.ASCII) is None:
            raise _refused(path, f"expected a year in place of {year!r}")
        return DataFile(
            head.security,
            head.market,
            head.resolution,
            ticker=words[0],
            tick_type=_word(TickType, tick_type, path),
            year=int(year),
            style=_word(OptionStyle, style, path),
            month=_month(head, folders),
        )
    if names_tick_type(head.security):
        tick_type = _word(TickType, _at(words, 1, path), path)
    else:
        tick_type = TickType.QUOTE if head.security.is_quoted_only else TickType.TRADE
    return DataFile(head.security, head.market, head.resolution, words[0], tick_type)


def _month(head: _Head, folders: list[str]) -> str | None:
    return folders[1] if head.security is SecurityType.FUTURE_OPTION and len(folders) > 1 else None


def parse_date(text: str, where: str) -> dt.date:
    """Read a date as names and lines hold it.

    Parameters
    ----------
    text : str
        ``yyyyMMdd``.
    where : str
        For the message.

    Returns
    -------
    datetime.date

    Raises
    ------
    LeanFormatError
        If it is not a date of eight digits.

    """
    if re.fullmatch(r"\d{8}", text, re.ASCII):
        try:
            return dt.date(int(text[:4]), int(text[4:6]), int(text[6:]))
        except ValueError:
            pass
    raise _refused(where, f"expected a date yyyyMMdd in place of {text!r}")


def _word[Word: (SecurityType, Resolution, TickType, OptionStyle)](words: type[Word], text: str, path: str) -> Word:
    try:
        return words(text)
    except ValueError:
        raise _refused(path, f"expected one of {', '.join(words)} in place of {text!r}") from None


def _at(words: list[str], index: int, path: str) -> str:
    if index >= len(words):
        raise _refused(path, f"the name has {len(words)} parts, expected at least {index + 1}")
    return words[index]


def _refused(path: str, why: str) -> LeanFormatError:
    return LeanFormatError(why, where=path)
