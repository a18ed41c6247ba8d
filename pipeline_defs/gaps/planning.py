"""From fillable gaps to the fewest requests that can fill them: which days, which tables, which instruments.

An API is asked for single instruments where a gap is theirs alone, and for a whole day where everybody lacks something.
Files are read whole, so of them only the days count. Neighbouring sessions make one request.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.gaps.supply import FileSupply
from pipeline_defs.markets.market import market
from pipeline_defs.sources.asking.windows import cut_windows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline_defs.gaps.ledger import Gap
    from pipeline_defs.gaps.supply import Supplies, Supply
    from pipeline_defs.warehouse.connection import Warehouse

_LONGEST_DAYS: Final = 366
_DAY: Final = dt.timedelta(days=1)

_SYMBOLS: Final = """
SELECT coalesce(m.instrument_id, a.instrument_id), a.symbol
FROM instrument_aliases AS a LEFT JOIN instrument_merges_as_of('infinity') AS m ON m.duplicate_id = a.instrument_id
WHERE a.source = %s AND coalesce(m.instrument_id, a.instrument_id) = ANY (%s)
"""


@dataclass(frozen=True, slots=True)
class Refill:
    """One request that fills gaps.

    Parameters
    ----------
    source : str
        Adapter name.
    first, last : datetime.date
        Trade dates, both inclusive.
    kinds : frozenset of (str, int)
        Tables and resolutions that are taken.
    symbols : frozenset of str or None
        Instruments as the source writes them; None for all.
    gaps : tuple of Gap
        What it is for.
    is_archived : bool
        Whether the files come from the raw archive.

    """

    source: str
    first: dt.date
    last: dt.date
    kinds: frozenset[tuple[str, int]]
    symbols: frozenset[str] | None
    gaps: tuple[Gap, ...]
    is_archived: bool = False

    @property
    def tables(self) -> frozenset[str]:
        """Tables alone."""
        return frozenset(table for table, _ in self.kinds)

    @property
    def minutes(self) -> int:
        """Missing slots it is for."""
        return sum(gap.minutes for gap in self.gaps)

    def __str__(self) -> str:
        """Show it for people."""
        days = str(self.first) if self.first == self.last else f"{self.first} to {self.last}"
        whom = "all instruments" if self.symbols is None else ", ".join(sorted(self.symbols))
        where = " from the raw archive" if self.is_archived else ""
        return f"{self.source} {', '.join(sorted(self.tables))} {days}: {whom}{where}"


def plan_refills(warehouse: Warehouse, gaps: Iterable[Gap], supplies: Supplies) -> list[Refill]:
    """Make the requests.

    Parameters
    ----------
    warehouse : Warehouse
        Where the sources' names of instruments are.
    gaps : iterable of Gap
        Fillable ones.
    supplies : Supplies
        What the sources have.

    Returns
    -------
    list of Refill
        By source, then day.

    """
    by_source: dict[str, list[Gap]] = defaultdict(list)
    for gap in gaps:
        by_source[gap.source].append(gap)
    refills: list[Refill] = []
    for source, own in sorted(by_source.items()):
        supply = supplies.of(source)
        if isinstance(supply, FileSupply):
            refills += _of_files(supply, own)
        else:
            refills += _of_answers(warehouse, supply, own)
    return refills


def _of_files(supply: FileSupply, gaps: list[Gap]) -> list[Refill]:
    by_day: dict[dt.date, list[Gap]] = defaultdict(list)
    for gap in gaps:
        by_day[gap.trade_date].append(gap)
    alike: dict[tuple[frozenset[tuple[str, int]], bool], list[dt.date]] = defaultdict(list)
    for day, own in by_day.items():
        kinds = frozenset((gap.dataset, gap.bar_seconds) for gap in own)
        alike[kinds, not supply.has_landed(day)].append(day)
    refills = [
        Refill(
            supply.source,
            first,
            last,
            kinds,
            None,
            tuple(gap for day in sorted(by_day) if first <= day <= last and day in days for gap in by_day[day]),
            is_archived,
        )
        for (kinds, is_archived), days in alike.items()
        for first, last in _runs(supply.market, days)
    ]
    return sorted(refills, key=lambda refill: (refill.first, sorted(refill.kinds)))


def _of_answers(warehouse: Warehouse, supply: Supply, gaps: list[Gap]) -> list[Refill]:
    symbols = _symbols(warehouse, supply.source, gaps)
    whole = {
        (gap.dataset, gap.bar_seconds, gap.trade_date)
        for gap in gaps
        if gap.instrument_id is None or gap.instrument_id not in symbols
    }
    # Days of each instrument, or of the whole table (None); a day that is asked for whole needs no single questions.
    days: dict[tuple[str, int, int | None], dict[dt.date, list[Gap]]] = defaultdict(lambda: defaultdict(list))
    for gap in gaps:
        is_whole = (gap.dataset, gap.bar_seconds, gap.trade_date) in whole
        days[gap.dataset, gap.bar_seconds, None if is_whole else gap.instrument_id][gap.trade_date].append(gap)
    alike: dict[tuple[dt.date, dt.date, str, int, bool], list[tuple[int | None, list[Gap]]]] = defaultdict(list)
    for (table, bar_seconds, instrument), of_day in days.items():
        for first, last in _runs(supply.market, list(of_day)):
            own = [gap for day in sorted(of_day) if first <= day <= last for gap in of_day[day]]
            alike[first, last, table, bar_seconds, instrument is None].append((instrument, own))
    return [
        Refill(
            supply.source,
            first,
            last,
            frozenset({(table, bar_seconds)}),
            None if is_whole else frozenset(name for one, _ in asked if one is not None for name in symbols[one]),
            tuple(gap for _, own in asked for gap in own),
        )
        for (first, last, table, bar_seconds, is_whole), asked in sorted(alike.items(), key=lambda item: item[0])
    ]


def _symbols(warehouse: Warehouse, source: str, gaps: list[Gap]) -> dict[int, set[str]]:
    wanted = sorted({gap.instrument_id for gap in gaps if gap.instrument_id is not None})
    found: dict[int, set[str]] = defaultdict(set)
    with warehouse.connect() as connection:
        for instrument, symbol in connection.execute(_SYMBOLS, [source, wanted]).fetchall():
            found[instrument].add(symbol)
    return dict(found)


def _runs(market_name: str, days: list[dt.date]) -> list[tuple[dt.date, dt.date]]:
    """Join neighbouring sessions: a run goes over closed days, never over a session that is not wanted."""
    calendar = market(market_name)
    first, last = min(days), max(days)
    every = (first + _DAY * offset for offset in range((last - first).days + 1))
    closed = frozenset(day for day in every if calendar.closed_reason(day) is not None)
    return [(window.first, window.last) for window in cut_windows(sorted(set(days)), _LONGEST_DAYS, closed)]
