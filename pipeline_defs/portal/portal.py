"""`DataPortal`: what a strategy asks of the warehouse, now and looking back, and never ahead.

Here questions are understood and answers shaped; `answering.Answers` finds them, `base.PortalBase` holds the state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import polars.selectors as cs

from pipeline_defs.portal.base import PortalBase
from pipeline_defs.portal.errors import PortalError
from pipeline_defs.portal.resolving import is_one
from pipeline_defs.portal.shapes import classic, load_pandas, present
from pipeline_defs.portal.wanted import DATA_FREQUENCIES, check_fields, length_of, one_of
from pipeline_defs.schema.tables import MINUTE

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from pipeline_defs.portal.resolving import Assets


class DataPortal(PortalBase):
    """Bars and present values of instruments, as a strategy asks for them.

    Parameters
    ----------
    asset_finder : object, optional
        Has ``lookup_symbol(symbol, as_of_date)``; default one over the contract master's dated terms.
    calendar : str or object, optional
        Name of a market, or an object with sessions (of exchange_calendars, too), that every instrument follows;
        default each its own market's.
    data_source : str or Source, optional
        Whose observations; a `Source` is also what live mode asks. Default the declared precedence.
    use_cache : bool, default True
        Keep what was read. False reads the tables anew with each question.
    warehouse : Warehouse, optional
        Default that of the home.
    clock : object, optional
        Anything with ``now()``. One that is given makes this a portal of a backtest; default the wall's, in live mode.
    live : bool, optional
        Read what is missing at the end through its source, first. Default whether no clock is given.
    bundle : str, optional
        A named bundle: its symbols and series alone; or what one source delivered, as
        ``<source>/<dataset>/<seconds>s``.
    source, dataset : str, optional
        Whose observations (the same as a name for `data_source`); from which table alone.
    as_of : datetime.datetime, optional
        Knowledge time: everything as the warehouse knew it then. Default what is known at the first question of a
        backtest, to its end; in live mode, at each.
    adjustments : str, default "none"
        ``splits`` or ``all`` (dividends, too): prices adjusted as of the clock, see `pipeline_defs.portal.adjusting`.
    results : str, default "polars"
        ``polars`` or ``pandas``.
    floats : bool, default False
        Hand numbers over as floats in place of exact decimals.
    data_frequency : str, optional
        ``minute`` or ``daily``: which bars `current` looks at; default the shortest that an instrument has.
    memory_mb : int, default 512
        How much is kept between two questions.
    precedence : Precedence, optional
        Order of sources; default the declared one.

    Raises
    ------
    PortalError
        If an argument is wrong, or contradicts another.

    """

    # Questions. --------------------------------------------------------------------------------------------------

    def history(
        self,
        assets: Assets,
        fields: str | Sequence[str],
        bar_count: int,
        frequency: str = "1d",
    ) -> Any:  # noqa: ANN401 -- a frame of either library, or a series
        """Look back over the last complete bars.

        Parameters
        ----------
        assets : str, Instrument, or a sequence of them
            Symbols or instruments.
        fields : str or sequence of str
            ``open``, ``high``, ``low``, ``close``, ``price``, ``volume``, ``open_interest``, ``source``.
        bar_count : int
            How many buckets of the calendar the window has, the last one complete at the clock's instant.
        frequency : str, default "1d"
            ``1m``, ``5m``, ``15m``, ``30m``, ``1h`` or ``1d``.

        Returns
        -------
        polars.DataFrame or pandas.Series or pandas.DataFrame
            ``timestamp``, ``symbol`` and the fields, a row for each bar that there is, by instrument as asked and time;
            with ``results="pandas"`` what `pipeline_defs.portal.shapes.classic` says.

        Raises
        ------
        PortalError
            If an argument is wrong.
        UnknownSymbolError
            If a symbol means nothing, or several things.
        StaleDataError
            In live mode, if what is missing could not be had.

        """
        with self._lock:
            return self._history(assets, fields, bar_count, frequency, self._now())

    def current(self, assets: Assets, fields: str | Sequence[str]) -> Any:  # noqa: ANN401 -- as above, or a value
        """Give values of the latest complete bar, or of the latest ticks.

        Parameters
        ----------
        assets : str, Instrument, or a sequence of them
            Symbols or instruments.
        fields : str or sequence of str
            Those of `history`, and ``last``, ``last_traded``, ``bid``, ``ask``, ``bid_size``, ``ask_size`` and
            ``contract`` (what a rolling future means).

        Returns
        -------
        Decimal or int or datetime.datetime or str or None, dict, or a frame
            A value for one asset and one field; a dict by field for one asset; else a frame with ``symbol`` and a
            column for each field. With ``results="pandas"`` a Series by field, a Series by asset, a frame asset by
            field. Where nothing traded in the latest bucket, ``open``, ``high``, ``low`` and ``close`` are None and
            ``volume`` is 0; ``price`` and ``open_interest`` are the last ones known.

        Raises
        ------
        PortalError
            If an argument is wrong.
        UnknownSymbolError
            If a symbol means nothing, or several things.
        StaleDataError
            In live mode, if what is missing could not be had.

        """
        with self._lock:
            return self._current(assets, fields, self._now(), self._data_frequency)

    def can_trade(self, assets: Assets) -> Any:  # noqa: ANN401 -- as above
        """Tell whether instruments could be traded now: not expired, in session, and with a price.

        The instant of the close still counts as in session.

        Returns
        -------
        bool, or dict of str to bool, or pandas.Series

        """
        with self._lock:
            now = self._now()
            instruments = self._state.begin(assets, now, MINUTE)
            told = {one.symbol: self._answers.can_trade(one, now) for one in instruments}
            if is_one(assets):
                return next(iter(told.values()))
            return told if self._results == "polars" else load_pandas().Series(told)

    def get_spot_value(
        self,
        assets: Assets,
        field: str,
        dt: dt.datetime,
        data_frequency: str | None = None,
    ) -> Any:  # noqa: ANN401 -- as above
        """Give a field as `current` gave it at an instant: the classic name.

        Raises
        ------
        LookAheadError
            If the instant lies after the clock's.

        """
        with self._lock:
            return self._current(assets, field, self._not_ahead(dt), data_frequency or self._data_frequency)

    def get_history_window(  # noqa: PLR0917 -- the classic signature
        self,
        assets: Assets,
        end_dt: dt.datetime,
        bar_count: int,
        frequency: str,
        field: str,
        data_frequency: str | None = None,
    ) -> Any:  # noqa: ANN401 -- as above
        """Look back from an instant as `history` did then: the classic name. `data_frequency` changes nothing.

        Raises
        ------
        LookAheadError
            If the instant lies after the clock's.

        """
        del data_frequency
        with self._lock:
            return self._history(assets, field, bar_count, frequency, self._not_ahead(end_dt))

    # How. --------------------------------------------------------------------------------------------------------

    def _history(self, assets: Any, fields: Any, bar_count: int, frequency: str, now: dt.datetime) -> Any:  # noqa: ANN401 -- as in `history`
        names = [fields] if isinstance(fields, str) else list(fields)
        check_fields(names, of_present=False)
        if isinstance(bar_count, bool) or not isinstance(bar_count, int) or bar_count < 1:
            raise PortalError(f"bar_count is {bar_count!r}, expected a whole number above zero")
        seconds = length_of(frequency)
        instruments = self._state.begin(assets, now, seconds, bar_count)
        if self._results == "polars":
            frame = self._answers.tidy(instruments, seconds, bar_count, now, fields=names)
            self._state.bars.shrink()
            return frame.with_columns(cs.decimal().cast(pl.Float64)) if self._floats else frame
        seeded = "price" in names
        found = self._answers.windows(instruments, seconds, bar_count, now, fields=names, with_seed=seeded)
        self._state.bars.shrink()
        one_field = isinstance(fields, str)
        return classic(found, names, one_asset=is_one(assets), one_field=one_field, floats=self._floats)

    def _current(self, assets: Any, fields: Any, now: dt.datetime, data_frequency: str | None) -> Any:  # noqa: ANN401 -- as in `current`
        names = [fields] if isinstance(fields, str) else list(fields)
        check_fields(names, of_present=True)
        if data_frequency is not None:
            one_of("data_frequency", data_frequency, DATA_FREQUENCIES)
        length = None if data_frequency is None else DATA_FREQUENCIES[data_frequency]
        instruments = self._state.begin(assets, now, MINUTE)
        values = [self._answers.values(one, names, now, length) for one in instruments]
        self._state.bars.shrink()
        return present(
            [one.symbol for one in instruments],
            {name: [row[name] for row in values] for name in names},
            one_asset=is_one(assets),
            one_field=isinstance(fields, str),
            results=self._results,
            floats=self._floats,
        )
