"""Answers to questions that were understood: windows that end at an instant, and the present of it.

Instruments and instants are given here; names, clocks and what may be asked when are `portal`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.portal.calendars import instant_of, microseconds
from pipeline_defs.portal.shapes import BarWindow, tidy
from pipeline_defs.portal.wanted import PRESENT_FIELDS, PRICES
from pipeline_defs.schema.tables import TICK, table_for

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from decimal import Decimal

    import polars as pl

    from pipeline_defs.portal.adjusting import Action
    from pipeline_defs.portal.bars import Bars, Found
    from pipeline_defs.portal.calendars import Instants
    from pipeline_defs.portal.instruments import Instrument
    from pipeline_defs.portal.rules import Rules
    from pipeline_defs.portal.ticks import TickDays

_OF_TICKS: Final = frozenset(PRESENT_FIELDS) - {"contract"}


@dataclass(frozen=True)
class Answers:
    """Answers of one portal.

    Parameters
    ----------
    bars : Bars
        What is read.
    ticks : TickDays
        Likewise.
    rules : Rules
        What may be read.
    adjustments : str
        ``none``, ``splits`` or ``all``.

    """

    bars: Bars
    ticks: TickDays
    rules: Rules
    adjustments: str

    def windows(
        self,
        instruments: Sequence[Instrument],
        seconds: int,
        count: int,
        now: dt.datetime,
        *,
        fields: Sequence[str],
        with_seed: bool,
    ) -> list[BarWindow]:
        """Give the last buckets of each instrument that are complete at an instant, and the bars in them.

        Parameters
        ----------
        instruments : sequence of Instrument
            In the order of the answer.
        seconds : int
            Length of the buckets.
        count : int
            How many; of each calendar where there are several.
        now : datetime.datetime
            UTC.
        fields : sequence of str
            What is wanted of the bars.
        with_seed : bool
            Find the last price before each window, too.

        Returns
        -------
        list of BarWindow

        """
        stamp = microseconds(now)
        grids = [self.bars.grid(one, seconds) for one in instruments]
        found: dict[int, BarWindow] = {}
        for grid in dict.fromkeys(grids):
            places = [at for at, one in enumerate(grids) if one is grid]
            closes = grid.window(stamp, count)
            first = int(closes[0]) if len(closes) else stamp + 1
            of_grid = [instruments[at] for at in places]
            names = ["timestamp", *fields, *(["is_split_adjusted"] if self.adjustments != "none" else [])]
            bars = self.bars.between(of_grid, seconds, names, first, stamp)
            for at, (stamps, columns) in zip(places, bars, strict=True):
                found[at] = self._window(
                    instruments[at], seconds, closes, stamps, columns, now=stamp, with_seed=with_seed
                )
        return [found[at] for at in range(len(instruments))]

    def tidy(
        self, instruments: Sequence[Instrument], seconds: int, count: int, now: dt.datetime, *, fields: Sequence[str]
    ) -> pl.DataFrame:
        """Give the same bars as one tidy frame."""
        grid = self.bars.grid(instruments[0], seconds)
        is_plain = self.adjustments == "none" or not any(self.bars.actions(one) for one in instruments)
        if len(instruments) > 1 and is_plain and all(self.bars.grid(one, seconds) is grid for one in instruments):
            stamp = microseconds(now)
            closes = grid.window(stamp, count)
            frame = self.bars.tidy(instruments, seconds, fields, int(closes[0]) if len(closes) else stamp + 1, stamp)
            if frame is not None:
                return frame
        return tidy(self.windows(instruments, seconds, count, now, fields=fields, with_seed=False), fields)

    def values(
        self, instrument: Instrument, fields: Sequence[str], now: dt.datetime, seconds: int | None
    ) -> dict[str, Any]:
        """Give the present values of an instrument.

        Parameters
        ----------
        instrument : Instrument
            Which.
        fields : sequence of str
            Checked.
        now : datetime.datetime
            UTC.
        seconds : int or None
            Length of the bars that are looked at; None for the shortest that there are.

        Returns
        -------
        dict

        """
        stamp = microseconds(now)
        day = self.bars.day(instrument, stamp, is_close=False)
        length = self.bars.finest(instrument, day) if seconds is None else seconds
        values: dict[str, Any] = dict.fromkeys(fields)
        bar = self.bars.last(instrument, length, stamp)
        if "volume" in values:
            values["volume"] = 0
        if bar is not None:
            latest = self.bars.grid(instrument, length).window(stamp, 1)
            is_latest = bool(len(latest)) and bar.stamp >= int(latest[0])
            told = self._told(instrument, bar, stamp)
            if not is_latest:
                told |= dict.fromkeys(PRICES)
                told["volume"] = told["volume"] * 0
            told["last"], told["last_traded"] = told["price"], instant_of(bar.stamp)
            values |= {field: told[field] for field in fields if field in told}
        if _OF_TICKS.intersection(fields):
            zone = self.bars.calendar(instrument).zone
            order = self.rules.order(table_for(instrument.kind, TICK), instrument)
            ticks = self.ticks.present(self.bars.supply(instrument), order, day, zone, now)
            values |= {field: ticks[field] for field in fields if field in ticks}
        if "contract" in values and instrument.kind == "CONT":
            values["contract"] = self.ticks.contract(instrument.instrument_ids, day)
        return values

    def can_trade(self, instrument: Instrument, now: dt.datetime) -> bool:
        """Tell whether an instrument could be traded: not expired, in session, and with a price."""
        stamp = microseconds(now)
        calendar = self.bars.calendar(instrument)
        # The close, at midnight where a market never closes, still belongs to its session.
        day = self.bars.day(instrument, stamp)
        if instrument.expiry is not None and day > instrument.expiry:
            return False
        if day not in calendar.sessions(day, day) or not calendar.open(day) < now <= calendar.close(day):
            return False
        return self.bars.last(instrument, self.bars.finest(instrument, day), stamp) is not None

    def latest_bar(self, instrument: Instrument, seconds: int, now: dt.datetime) -> dict[str, Any] | None:
        """Give the last bar that was complete at an instant, by column; None if there is none."""
        stamp = microseconds(now)
        found = self.bars.last(instrument, seconds, stamp)
        return None if found is None else self._told(instrument, found, stamp)

    def actions_between(self, instrument: Instrument, before: dt.datetime, now: dt.datetime) -> list[Action]:
        """List the actions whose ex-date has begun since an instant, in the units in which prices are told."""
        day = {instant: self.bars.day(instrument, microseconds(instant), is_close=False) for instant in (before, now)}
        begun = [one for one in self.bars.actions(instrument) if day[before] < one.ex_date <= day[now]]
        if not begun:
            return []
        bar = self.bars.last(instrument, self.bars.finest(instrument, day[now]), microseconds(now))
        as_stored = self.adjustments == "none"
        is_told = as_stored and bar is not None and bool(bar.block.value("is_split_adjusted", bar.at))
        adjuster = self.bars.adjuster(instrument, with_dividends=True)
        return [
            one if one.kind == "split" or is_told else adjuster.as_paid(one)
            for one in begun
            if one.kind != "split" or not is_told
        ]

    def _window(
        self,
        instrument: Instrument,
        seconds: int,
        closes: Instants,
        stamps: Instants,
        columns: dict[str, pl.Series],
        *,
        now: int,
        with_seed: bool,
    ) -> BarWindow:
        seed = None
        if with_seed and len(closes) and not (len(stamps) and stamps[0] == closes[0]):
            seed = self._price_before(instrument, seconds, int(closes[0]), now)
        return BarWindow(instrument.symbol, closes, stamps, self._adjusted(instrument, stamps, columns, now), seed)

    def _price_before(self, instrument: Instrument, seconds: int, stamp: int, now: int) -> Decimal | None:
        found = self.bars.last(instrument, seconds, stamp - 1)
        if found is None:
            return None
        price: Decimal | None = self._told(instrument, found, now)["price"]
        return price

    def _told(self, instrument: Instrument, bar: Found, now: int) -> dict[str, Any]:
        stamps = bar.block.stamps[bar.at : bar.at + 1]
        columns = self._adjusted(instrument, stamps, bar.columns(), now)
        return {name: column[0] for name, column in columns.items()}

    def _adjusted(
        self, instrument: Instrument, stamps: Instants, columns: dict[str, pl.Series], now: int
    ) -> dict[str, pl.Series]:
        if self.adjustments == "none" or not self.bars.actions(instrument):
            return columns
        adjuster = self.bars.adjuster(instrument, with_dividends=self.adjustments == "all")
        return adjuster.bars(stamps, columns, self.bars.day(instrument, now, is_close=False))
