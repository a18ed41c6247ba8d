"""Would LEAN find it? What must lie beside the data: hours, symbol properties, universes, map and factor files.

LEAN is silent about most of this: a chain is empty, a price is rounded to a wrong step, a bar outside the hours is
dropped.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import polars as pl

from pipeline_defs.exports.lean.corporate import check_factors, check_map
from pipeline_defs.exports.lean.databases import read_hours
from pipeline_defs.exports.lean.findings import Finding, Rule
from pipeline_defs.exports.lean.kinds import LeanFormatError, Resolution, SecurityType, TickType
from pipeline_defs.exports.lean.market_hours import DATABASE_NAMES, HOURS_PATH, Segment, find_entry, segments_on
from pipeline_defs.exports.lean.symbol_properties import (
    HAS_DEFAULTS,
    PROPERTIES_PATH,
    PropertiesRow,
    find_row,
    read_rows,
)
from pipeline_defs.exports.lean.universes import check_universe, universe_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline_defs.exports.lean.entries import Contract
    from pipeline_defs.exports.lean.paths import DataFile
    from pipeline_defs.exports.lean.reading import ZipContent

_LISTED: Final = frozenset({SecurityType.OPTION, SecurityType.INDEX_OPTION, SecurityType.FUTURE})
"""Security types whose chains come from universes."""

type Symbol = tuple[SecurityType, str, str]


class Lookup:
    """What LEAN would look for, gathered from the zips of a folder.

    Parameters
    ----------
    root : Path
        Data folder.

    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.findings: list[Finding] = []
        self._hours: dict[str, Any] = self._read(HOURS_PATH, Rule.HOURS, read_hours, {})
        self._rows: list[PropertiesRow] = self._read(PROPERTIES_PATH, Rule.PROPERTIES, _read_properties, [])
        self._symbols: set[Symbol] = set()
        self._listed: defaultdict[Symbol, defaultdict[dt.date, set[Contract]]] = defaultdict(lambda: defaultdict(set))

    def see(self, content: ZipContent) -> None:
        """Take note of a portion of a zip, and check that its data lie within the market's hours.

        Parameters
        ----------
        content : ZipContent
            As it was read.

        """
        file = content.file
        symbol = (file.security, file.market, file.ticker)
        self._symbols.add(symbol)
        if file.date is not None and file.security in _LISTED and file.tick_type is not TickType.OPEN_INTEREST:
            self._listed[symbol][file.date] |= {entry.contract for entry in content.entries}
        if file.tick_type is not TickType.OPEN_INTEREST and not content.rows.is_empty():
            try:
                found = self._outside(content, find_entry(self._hours, *symbol))
                # The portions of a zip mostly tell the same.
                self.findings += [finding for finding in found if finding not in self.findings]
            except (LeanFormatError, LookupError, TypeError, AttributeError) as error:
                what = f"the entry for {'/'.join(symbol)} cannot be read: {error}"
                self.findings.append(Finding(Rule.HOURS, HOURS_PATH, what))

    def conclude(self) -> list[Finding]:
        """Check what belongs to the folder as a whole.

        Returns
        -------
        list of Finding
            All of them, also those of `see`.

        """
        for symbol in sorted(self._symbols):
            self.findings += self._symbol(*symbol)
        for symbol, days in sorted(self._listed.items()):
            last = {contract: day for day in sorted(days) for contract in days[day]}
            for day in sorted(days):
                if any(_lives_on(contract, day, last[contract]) for contract in days[day]):
                    self.findings += self._universe(symbol, day)
        return self.findings

    def _symbol(self, security: SecurityType, market: str, ticker: str) -> Iterator[Finding]:
        name = f"{security}/{market}/{ticker}"
        if find_entry(self._hours, security, market, ticker) is None:
            key = f"{DATABASE_NAMES[security]}-{market}-[*]"
            yield Finding(Rule.HOURS, HOURS_PATH, f"no entry {key} for {name}: LEAN would stop when it is added")
        if security not in HAS_DEFAULTS and find_row(self._rows, security, market, ticker) is None:
            row = f"{market},{ticker.upper()},{security}"
            yield Finding(Rule.PROPERTIES, PROPERTIES_PATH, f"no row {row},...: LEAN would take lot 1 and step 0.01")
        if security is SecurityType.EQUITY:
            yield from self._corporate(market, ticker)

    def _corporate(self, market: str, ticker: str) -> Iterator[Finding]:
        for kind in ("map", "factor"):
            path = f"equity/{market}/{kind}_files/{ticker}.csv"
            if not (self._root / path).is_file():
                yield Finding(Rule.MAPPING, path, "is missing: the share would have no history of names and prices")
                continue
            try:
                text = (self._root / path).read_text(encoding="ascii")
                if kind == "map":
                    check_map(text, ticker, path)
                else:
                    check_factors(text, path)
            except (LeanFormatError, UnicodeDecodeError) as error:
                yield Finding(Rule.MAPPING, path, getattr(error, "what", str(error)))

    def _universe(self, symbol: Symbol, day: dt.date) -> Iterator[Finding]:
        path = universe_path(*symbol, day)
        if not (self._root / path).is_file():
            yield Finding(
                Rule.UNIVERSE, path, f"is missing, while there are data of {day}: the next chain would be empty"
            )
            return
        try:
            check_universe((self._root / path).read_text(encoding="ascii"), symbol[0], path)
        except (LeanFormatError, UnicodeDecodeError) as error:
            yield Finding(Rule.UNIVERSE, path, getattr(error, "what", str(error)))

    def _outside(self, content: ZipContent, entry: Any) -> Iterator[Finding]:  # noqa: ANN401 -- JSON
        file = content.file
        if entry is None or file.resolution is Resolution.HOUR:
            return
        zones = ZoneInfo(entry["dataTimeZone"]), ZoneInfo(entry["exchangeTimeZone"])
        if file.date is None:
            for day in content.rows["time"].dt.date().unique().sort():
                if not segments_on(entry, day):
                    yield Finding(
                        Rule.HOURS, file.path, f"LEAN drops the data of {day}: the market is closed on that day"
                    )
            return
        for time in content.rows.select(pl.col("time").min(), last=pl.col("time").max()).row(0):
            local = _in_zone(file, time, *zones)
            since = dt.timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)
            if not any(_holds(segment, since) for segment in segments_on(entry, local.date())):
                yield Finding(Rule.HOURS, file.path, f"LEAN drops the line at {local}: the market is closed then")

    def _read[Kind](self, path: str, rule: Rule, read: Callable[[Path], Kind], empty: Kind) -> Kind:
        try:
            return read(self._root / path)
        except FileNotFoundError:
            self.findings.append(Finding(rule, path, "is missing"))
        except (LeanFormatError, UnicodeDecodeError) as error:
            self.findings.append(Finding(rule, path, getattr(error, "what", str(error))))
        return empty


def _read_properties(path: Path) -> list[PropertiesRow]:
    return read_rows(path.read_text(encoding="utf-8-sig"))


def _in_zone(file: DataFile, milliseconds: int, data: ZoneInfo, exchange: ZoneInfo) -> dt.datetime:
    midnight = dt.datetime.combine(file.date or dt.date.min, dt.time(), data)
    naive = midnight.replace(tzinfo=None) + dt.timedelta(milliseconds=milliseconds)
    return naive.replace(tzinfo=data).astimezone(exchange).replace(tzinfo=None)


def _lives_on(contract: Contract, day: dt.date, last: dt.date) -> bool:
    """Tell whether a contract can be traded after a day; of a future the month is known, not the day it expires."""
    if contract.expiry is not None:
        return contract.expiry > day
    return last > day or str(contract.month) > f"{day:%Y%m}"


def _holds(segment: Segment, since_midnight: dt.timedelta) -> bool:
    return segment.start <= since_midnight < segment.end
