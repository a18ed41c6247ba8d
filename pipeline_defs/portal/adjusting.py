"""Prices adjusted for splits and dividends as of an instant: what came later is not known then, and not applied.

A bar of before the ex-date of a split ``r`` (new shares for an old one) is told in shares of now: prices divided by
``r``, volume times ``r``. A bar of before the ex-date of a dividend ``D`` is told as if it had been reinvested: prices
times ``(C - D) / C`` with ``C`` the last close before the ex-date. Factors are fractions, multiplied exactly; the
result is rounded once, half to even, to the eighth decimal (volumes of whole units to whole units). A product of
factors that needs more than 17 digits, as of dozens of dividends, is itself rounded to 17 significant ones before.

Bars of a source that adjusted them for splits already, up to the day on which it was asked, are not divided again; the
splits that come after the instant are taken out of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from pipeline_defs.portal.calendars import microseconds
from pipeline_defs.portal.errors import PortalError
from pipeline_defs.portal.wanted import PRICES
from pipeline_defs.schema.columns import PRICE, PRICE_SCALE, SIZE
from pipeline_defs.warehouse.days import day_bounds

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from pipeline_defs.portal.calendars import Instants
    from pipeline_defs.portal.store import Snapshot

ADJUSTMENTS: Final = ("none", "splits", "all")

_DIGITS: Final = 17
"""Of a factor's numerator and denominator: with the 20 of a price, a product stays within 128 bits."""

_ACTIONS: Final = """
SELECT DISTINCT ON (a.ex_date, a.kind) a.ex_date, a.kind, a.value, a.source
FROM {corporate_actions} AS a WHERE a.instrument_id = ANY (%(ids)s)
ORDER BY a.ex_date, a.kind, array_position(%(sources)s::text[], a.source::text), a.source
"""

_ONE: Final = Fraction(1)


class Action(NamedTuple):
    """A corporate action: ``split`` (new shares for an old one) or ``dividend`` (currency a share)."""

    ex_date: dt.date
    kind: str
    value: Decimal
    source: str


class Close(NamedTuple):
    """A close as a source gave it, and whether that was adjusted for splits."""

    price: Decimal
    is_split_adjusted: bool


def read_actions(snapshot: Snapshot, instrument_ids: Sequence[int], sources: Sequence[str]) -> list[Action]:
    """Read the actions of an instrument, by date.

    Parameters
    ----------
    snapshot : Snapshot
        Open.
    instrument_ids : sequence of int
        Its rows of `instruments`.
    sources : sequence of str
        Whose word counts first; that of others counts where these say nothing.

    Returns
    -------
    list of Action

    """
    rows = snapshot.tuples(_ACTIONS, ids=list(instrument_ids), sources=list(sources))
    return [Action(*row) for row in rows]


@dataclass(frozen=True)
class Adjuster:
    """Adjusts bars of one instrument.

    Parameters
    ----------
    actions : list of Action
        All that are known, those of after the instant, too.
    zone : str
        Whose days ex-dates are.
    with_dividends : bool
        Whether dividends count.
    adjusts : callable
        Tells whether a source tells of dividends in shares of the day on which it was asked.
    close_before : callable
        Gives the last close before a day begins, an instant in microseconds since 1970; None if there is none.

    """

    actions: list[Action]
    zone: str
    with_dividends: bool
    adjusts: Callable[[str], bool]
    close_before: Callable[[int], Close | None]

    def bars(self, stamps: Instants, columns: dict[str, pl.Series], today: dt.date) -> dict[str, pl.Series]:
        """Adjust consecutive bars.

        Parameters
        ----------
        stamps : numpy.ndarray
            Microseconds since 1970, ascending.
        columns : dict of str to polars.Series
            Of `BLOCK_SCHEMA`; ``is_split_adjusted`` must be among them.
        today : datetime.date
            As of when: actions with a later ex-date are not applied.

        Returns
        -------
        dict of str to polars.Series
            The same columns.

        Raises
        ------
        PortalError
            If a dividend is no less than the price it is paid out of.

        """
        if not self.actions or not len(stamps):
            return columns
        adjusted = columns["is_split_adjusted"]
        edges = self._edges(stamps, adjusted, today)
        factors = [self._factors(int(stamps[begin]), today, is_adjusted=adjusted[begin]) for begin in edges]
        if all(price == volume == _ONE for price, volume in factors):
            return columns
        ends = [*edges[1:], len(stamps)]
        pieces: dict[str, list[pl.Series]] = {name: [] for name in columns}
        for begin, end, (price, volume) in zip(edges, ends, factors, strict=True):
            for name, column in columns.items():
                factor = price if name in {*PRICES, "price"} else volume if name == "volume" else _ONE
                pieces[name].append(times(column.slice(begin, end - begin), factor))
        return {name: pl.concat(of) for name, of in pieces.items()}

    def as_paid(self, dividend: Action) -> Action:
        """Give a dividend in the shares that it was paid for, whatever shares its source tells it in."""
        if not self.adjusts(dividend.source):
            return dividend
        splits = self._later_splits(dividend.ex_date, with_day=False)
        return dividend._replace(value=dividend.value * splits.numerator / splits.denominator)

    def _edges(self, stamps: Instants, adjusted: pl.Series, today: dt.date) -> list[int]:
        """Find where, among consecutive bars, another factor may begin to hold."""
        begins = np.array([self._begin(one.ex_date) for one in self.actions if one.ex_date <= today], np.int64)
        at = np.searchsorted(stamps, begins, side="left")
        changed = np.flatnonzero((adjusted != adjusted.shift(1)).fill_null(value=False).to_numpy())
        return sorted({0, *(int(one) for one in at if one < len(stamps)), *(int(one) for one in changed)})

    def _factors(self, stamp: int, today: dt.date, *, is_adjusted: bool) -> tuple[Fraction, Fraction]:
        """Give the factors of prices and volume of a bar."""
        splits = _ONE
        dividends = _ONE
        for one in self.actions:
            is_ahead = one.ex_date > today
            if one.kind == "split":
                if is_adjusted and is_ahead:
                    splits /= Fraction(one.value)
                elif not is_adjusted and not is_ahead and stamp < self._begin(one.ex_date):
                    splits *= Fraction(one.value)
            elif self.with_dividends and not is_ahead and stamp < self._begin(one.ex_date):
                dividends *= self._left_by(one)
        return dividends / splits, splits

    def _left_by(self, dividend: Action) -> Fraction:
        """Give the part of the price that a dividend leaves, both in shares as they were traded before it."""
        close = self.close_before(self._begin(dividend.ex_date))
        if close is None:
            return _ONE
        day = dividend.ex_date
        price = Fraction(close.price) * (self._later_splits(day, with_day=True) if close.is_split_adjusted else _ONE)
        paid = Fraction(self.as_paid(dividend).value)
        if paid >= price:
            raise PortalError(
                f"a dividend of {float(paid):g} on {dividend.ex_date} is no less than the close before it,"
                f" {float(price):g}",
                next_step="correct the action or the price, or ask with adjustments='splits'",
            )
        return (price - paid) / price

    def _later_splits(self, day: dt.date, *, with_day: bool) -> Fraction:
        """Give what turns an amount a share of now into one of the shares of before a day."""
        factor = _ONE
        for one in self.actions:
            if one.kind == "split" and (one.ex_date > day or (with_day and one.ex_date == day)):
                factor *= Fraction(one.value)
        return factor

    def _begin(self, day: dt.date) -> int:
        return microseconds(day_bounds(day, zone=self.zone, of_closes=True)[0])


def times(values: pl.Series, factor: Fraction) -> pl.Series:
    """Multiply decimals or whole numbers by a fraction, in whole-number arithmetic, and round once, half to even.

    Parameters
    ----------
    values : polars.Series
        `PRICE`, `SIZE` or Int64, nulls allowed; any other type comes back as it is.
    factor : fractions.Fraction
        Not negative.

    Returns
    -------
    polars.Series
        Of the same name and type.

    """
    is_decimal = values.dtype in {PRICE, SIZE}
    if factor == _ONE or not (is_decimal or values.dtype == pl.Int64):
        return values
    numerator, denominator = _bounded(factor, 9 if values.dtype == SIZE else _DIGITS)
    whole = (values.to_physical() if is_decimal else values).cast(pl.Int128).alias("raw")
    by = pl.lit(denominator, pl.Int128)
    exact = pl.col("raw") * pl.lit(numerator, pl.Int128)
    floor, rest = exact // by, exact % by
    is_up = (rest * 2 > by) | ((rest * 2 == by) & (floor % 2 == 1))
    rounded = whole.to_frame().select(floor + is_up.cast(pl.Int128)).to_series().alias(values.name)
    if not is_decimal:
        return rounded.cast(values.dtype)
    unit = pl.lit(Decimal(1).scaleb(-PRICE_SCALE), pl.Decimal(38, PRICE_SCALE))
    scaled = rounded.cast(pl.Decimal(38, 0)).to_frame().select(pl.col(values.name) * unit)
    return scaled.to_series().cast(values.dtype)


def _bounded(factor: Fraction, digits: int) -> tuple[int, int]:
    """Give numerator and denominator of so many digits at most, rounded to as many significant ones if need be."""
    most = 10**digits
    if factor.numerator < most and factor.denominator < most:
        return factor.numerator, factor.denominator
    places = digits
    while round(factor * 10**places) >= most:
        places -= 1
    return round(factor * 10**places), 10**places
