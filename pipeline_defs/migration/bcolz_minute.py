"""``minute_equities.bcolz``: one table of minute bars for each number, without any stamp in it.

A value's place is its minute: every session of the calendar has ``minutes_per_day`` places, the first of which is the
minute that ends one minute after the open. Places that hold zeros are minutes without trades, or after an early close.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import MarketRuleError, SourceError
from pipeline_defs.markets.market import market
from pipeline_defs.migration.amounts import KEY, LINE, PRICES, WHEN, exact_bars
from pipeline_defs.migration.bcolz_daily import thousandths
from pipeline_defs.migration.blosc_columns import open_column, read_json
from pipeline_defs.migration.walking import entries_below
from pipeline_defs.schema.columns import TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.migration.amounts import Bars

FOLDER: Final = "minute_equities.bcolz"
METADATA: Final = "metadata.json"

CALENDARS: Final = {"XNYS": "US", "NYSE": "US", "XNAS": "US", "NASDAQ": "US"}
"""Calendars whose sessions the market of ours has, too. Another one's places cannot be turned into minutes."""

_PLACES_AT_ONCE: Final = 1 << 17
_MINUTE: Final = dt.timedelta(minutes=1)
_MINUTES_PER_DAY_WITHOUT_VERSION: Final = 390
_CALENDAR_SINCE: Final = 2
_RATIOS: Final = frozenset(10**power for power in range(9))


@dataclass(frozen=True, slots=True)
class MinuteLayout:
    """Which minute a place is, and what prices were multiplied by.

    Parameters
    ----------
    sessions : tuple of datetime.date
        From the first session of the table to the last.
    market_name : str
        Whose sessions they are.
    minutes_per_day : int
        Places of a session.
    ratio : int
        Power of ten that prices were multiplied by.
    ratios : dict of int to int
        The same for numbers that have another.

    """

    sessions: tuple[dt.date, ...]
    market_name: str
    minutes_per_day: int
    ratio: int
    ratios: dict[int, int]

    def minutes(self, start: int, stop: int) -> pl.Series:
        """Give the stamps of some places: the ends of their minutes, UTC."""
        of = market(self.market_name)
        first, last = start // self.minutes_per_day, (stop - 1) // self.minutes_per_day
        opens = pl.Series([of.open(day) for day in self.sessions[first : last + 1]], dtype=TIMESTAMP)
        places = pl.DataFrame({"place": pl.int_range(start, stop, eager=True)})
        session = pl.col("place") // self.minutes_per_day - first
        minute = pl.col("place") % self.minutes_per_day + 1
        return places.select(pl.lit(opens).gather(session) + pl.duration(minutes=minute)).to_series()


def sids_of(folder: Path) -> dict[int, str]:
    """List the numbers that have a table: number, and path below the folder with ``/``."""
    found = {}
    for path in entries_below(folder, ending=".bcolz"):
        if path.stem.isdecimal():
            found[int(path.stem)] = path.relative_to(folder).as_posix()
    return found


def read_layout(folder: Path) -> MinuteLayout:
    """Read ``metadata.json``.

    Parameters
    ----------
    folder : Path
        ``minute_equities.bcolz``.

    Returns
    -------
    MinuteLayout

    Raises
    ------
    SourceError
        If it does not tell the sessions, or tells those of a calendar that is not known here.

    """
    path = folder / METADATA
    told = read_json(path)
    try:
        version = int(told.get("version", 0))
        per_day = int(told["minutes_per_day"]) if version else _MINUTES_PER_DAY_WITHOUT_VERSION
        calendar = str(told["calendar_name"]) if version >= _CALENDAR_SINCE else "XNYS"
        first, last = (dt.date.fromisoformat(str(told[name])[:10]) for name in ("start_session", "end_session"))
        ratio = int(told["ohlc_ratio"])
        ratios = {int(sid): int(one) for sid, one in (told.get("ohlc_ratios_per_sid") or {}).items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(f"it does not say which minutes are stored: {error!r}", where=str(path)) from error
    if per_day <= 0 or not {ratio, *ratios.values()} <= _RATIOS:
        raise SourceError(f"minutes_per_day {per_day}, ohlc_ratio {ratio}, {ratios or 'no others'}", where=str(path))
    if calendar not in CALENDARS:
        raise SourceError(
            f"its minutes are counted in the calendar {calendar!r}, expected one of {', '.join(CALENDARS)}",
            where=str(path),
            next_step="export the bars as CSV with the old system, and migrate that folder",
        )
    try:
        sessions = tuple(market(CALENDARS[calendar]).sessions(first, last))
    except MarketRuleError as error:
        raise SourceError(error.what, where=str(path), next_step=error.next_step) from error
    return MinuteLayout(sessions, CALENDARS[calendar], per_day, ratio, ratios)


def read_minutes(folder: Path, sid: int) -> Iterator[Bars]:
    """Read the minute bars of one number.

    Parameters
    ----------
    folder : Path
        ``minute_equities.bcolz``.
    sid : int
        Number.

    Yields
    ------
    Bars
        Places that hold nothing are left out; `LINE` is the place, counted from 1.

    Raises
    ------
    SourceError
        If the table is damaged, or has more places than its calendar has minutes.

    """
    layout = read_layout(folder)
    table = folder / sids_of(folder)[sid]
    columns = {name: open_column(table / name) for name in (*PRICES, "volume")}
    lengths = {column.length for column in columns.values()}
    most = len(layout.sessions) * layout.minutes_per_day
    if len(lengths) != 1 or max(lengths) > most:
        raise SourceError(
            f"its columns have {sorted(lengths)} places, expected equally many and at most {most:,}:"
            f" {len(layout.sessions):,} sessions of {layout.minutes_per_day} minutes",
            where=str(table),
        )
    ratio = layout.ratios.get(sid, layout.ratio)
    for start in range(0, max(lengths), _PLACES_AT_ONCE):
        stop = min(start + _PLACES_AT_ONCE, max(lengths))
        values = {name: column.read(start, stop) for name, column in columns.items()}
        frame = pl.DataFrame({name: pl.Series(name, array.astype("int64")) for name, array in values.items()})
        frame = frame.with_columns(
            layout.minutes(start, stop).alias(WHEN),
            pl.int_range(start + 1, stop + 1, dtype=pl.Int64).alias(LINE),
            pl.lit(sid, pl.Int64).alias(KEY),
        ).filter(pl.any_horizontal(pl.col(*PRICES, "volume") != 0))
        yield exact_bars(frame.with_columns(thousandths(name, ratio) for name in PRICES))
