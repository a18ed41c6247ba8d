"""What a portal is made of, and its state: knowledge, clock, connection, and what runners ask.

The questions of a strategy are `portal.DataPortal`'s.
"""

from __future__ import annotations

import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from pipeline_defs.portal.adjusting import ADJUSTMENTS
from pipeline_defs.portal.answering import Answers
from pipeline_defs.portal.calendars import calendar_of, instant_of, microseconds
from pipeline_defs.portal.clocks import Clock, WallClock, in_utc
from pipeline_defs.portal.errors import LookAheadError
from pipeline_defs.portal.finding import AssetFinder
from pipeline_defs.portal.resolving import read_members, series_of
from pipeline_defs.portal.rules import Rules
from pipeline_defs.portal.shapes import RESULTS
from pipeline_defs.portal.state import State
from pipeline_defs.portal.wanted import DATA_FREQUENCIES, length_of, one_of
from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_defs.settings import load_settings
from pipeline_defs.warehouse.connection import open_warehouse
from pipeline_defs.warehouse.precedence import load_precedence

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.portal.adjusting import Action
    from pipeline_defs.portal.instruments import FindsAssets, Instrument
    from pipeline_defs.portal.reading_through import ReadThrough
    from pipeline_defs.portal.resolving import Assets
    from pipeline_defs.schema.batches import Source
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.precedence import Precedence

DEFAULT_MEMORY_MB: Final = 512


class PortalBase:
    """See `pipeline_defs.portal.portal.DataPortal`."""

    def __init__(
        self,
        asset_finder: FindsAssets | None = None,
        calendar: object | None = None,
        data_source: str | Source | None = None,
        use_cache: bool = True,  # noqa: FBT001, FBT002 -- the classic signature
        *,
        warehouse: Warehouse | None = None,
        clock: Clock | None = None,
        live: bool | None = None,
        bundle: str | None = None,
        source: str | None = None,
        dataset: str | None = None,
        as_of: dt.datetime | None = None,
        adjustments: str = "none",
        results: str = "polars",
        floats: bool = False,
        data_frequency: str | None = None,
        memory_mb: int = DEFAULT_MEMORY_MB,
        precedence: Precedence | None = None,
    ) -> None:
        self._arguments = {name: value for name, value in locals().items() if name not in {"self", "as_of"}}
        one_of("adjustments", adjustments, ADJUSTMENTS)
        one_of("results", results, RESULTS)
        if data_frequency is not None:
            one_of("data_frequency", data_frequency, DATA_FREQUENCIES)
        if dataset is not None:
            one_of("dataset", dataset, OBSERVATION_TABLES)
        self.clock: Clock = clock or WallClock()
        self.as_of = None if as_of is None else in_utc(as_of, "as_of")
        self.is_live = (clock is None if live is None else live) and as_of is None
        self.warehouse = warehouse or open_warehouse(load_settings())
        name, given, dataset = series_of(data_source, source, dataset, bundle)
        self._adjustments, self._results, self._floats = adjustments, results, floats
        self._data_frequency = data_frequency
        order = precedence or load_precedence(load_settings().home)
        follows = None if calendar is None else calendar_of(calendar)
        rules = Rules(order, name, dataset, follows, self.is_live)
        # Nothing that the portal holds may hold the portal: its connection and its bars go when it is dropped, not
        # whenever cycles are collected next.
        now = partial(_time_of, self.clock)
        self._state = State(
            self.warehouse, self.as_of, rules, most_bytes=memory_mb << 20, given=given, clock=now, keeps=use_cache
        )
        weakref.finalize(self, self._state.store.close)
        own = AssetFinder(self._state.store, market=calendar if isinstance(calendar, str) else None, source=name)
        self.asset_finder: FindsAssets = asset_finder or own
        self._state.resolve_with(own, asset_finder, read_members(self.warehouse, bundle))
        self._answers = Answers(self._state.bars, self._state.ticks, rules, adjustments)
        self._lock = threading.RLock()

    # State. ------------------------------------------------------------------------------------------------------

    def at(self, as_of: dt.datetime) -> Self:
        """Give a portal with the same arguments and clock that knows what was known at an instant."""
        return type(self)(**self._arguments, as_of=as_of)

    @property
    def known_at(self) -> dt.datetime | None:
        """Knowledge time of what is read; None before the first question."""
        return self._state.store.known_at

    @property
    def snapshots_read(self) -> int:
        """How often the database was asked; what is served from memory does not ask it."""
        return self._state.store.statements

    def refresh(self) -> None:
        """Forget everything that was read, and let a backtest know what is known now."""
        with self._lock:
            self._state.store.forget_pin()
            self._state.forget()

    def close(self) -> None:
        """Let go of the connection; a later question opens another."""
        self._state.store.close()

    @property
    def read_through(self) -> ReadThrough:
        """What live mode has asked of sources."""
        return self._state.read_through

    def instrument(self, asset: str | Instrument) -> Instrument:
        """Find what a symbol means at the clock's date."""
        return self.instruments([asset])[0]

    def instruments(self, assets: Assets) -> list[Instrument]:
        """Find what symbols mean at the clock's date.

        Whoever names all that a strategy will ask about before it asks has it read in one go, month by month.
        """
        with self._lock:
            return self._state.begin(assets, self._now(), count=0)

    def buckets(
        self, asset: str | Instrument, frequency: str, first: dt.datetime, last: dt.datetime
    ) -> list[dt.datetime]:
        """List the closes of an instrument's buckets after one instant and up to another: the calendar's, not data."""
        grid = self._state.bars.grid(self.instrument(asset), length_of(frequency))
        begin, end = microseconds(in_utc(first, "first")), microseconds(in_utc(last, "last"))
        return [instant_of(int(one)) for one in grid.between(begin, end)]

    def latest_bar(self, asset: str | Instrument, frequency: str) -> dict[str, Any] | None:
        """Give the last complete bar that there is, exact whatever `floats` says; None if there is none."""
        with self._lock:
            now = self._now()
            return self._answers.latest_bar(
                self._state.begin(asset, now, length_of(frequency))[0], length_of(frequency), now
            )

    def actions_between(self, asset: str | Instrument, before: dt.datetime, now: dt.datetime) -> list[Action]:
        """List the corporate actions whose ex-date has begun between two instants, as they change what is held.

        Splits that prices are told in already are left out. `now` may not lie after the clock.
        """
        with self._lock:
            until = self._not_ahead(now)
            (instrument,) = self._state.begin(asset, until, count=0)
            return self._answers.actions_between(instrument, in_utc(before, "before"), until)

    def _now(self) -> dt.datetime:
        return _time_of(self.clock)

    def _not_ahead(self, instant: dt.datetime) -> dt.datetime:
        wanted, now = in_utc(instant, "the instant"), self._now()
        if wanted > now:
            raise LookAheadError(
                f"{wanted.isoformat()} lies after the portal's clock, which shows {now.isoformat()}",
                next_step="ask for an instant that has come, or put the clock ahead",
            )
        return wanted


def _time_of(clock: Clock) -> dt.datetime:
    return in_utc(clock.now(), "the clock")
