"""A whole trade date: every two sources that hold the same table, and each against the exchange's daily file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Final

from pipeline_defs.reconciliation.comparing import BHAVCOPY, BHAVCOPY_SOURCE, Reconciliation, reconcile_day
from pipeline_defs.reconciliation.trading_days import NSE
from pipeline_defs.schema.tables import DAY, KIND_TABLES, MINUTE, OBSERVATION_TABLES
from pipeline_defs.warehouse.precedence import MARKET_OF_TERMS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterable

    from pipeline_defs.warehouse.connection import Warehouse

# Nothing was ever stored of a partition without a load; repeats of a known delivery do not list its instruments again.
_HELD: Final = """
SELECT DISTINCT dataset, source, bar_seconds FROM loads
WHERE trade_date = %(trade_date)s AND status = 'complete' ORDER BY dataset, source, bar_seconds
"""

_LISTED: Final = f"""
SELECT DISTINCT l.dataset, l.source, {MARKET_OF_TERMS}, t.kind FROM loads AS l
JOIN load_instruments AS i USING (load_id)
JOIN instrument_terms AS t ON t.instrument_id = i.instrument_id AND t.valid_from <= l.trade_date
    AND t.valid_to > l.trade_date
WHERE l.trade_date = %(trade_date)s AND l.status = 'complete'
"""  # noqa: S608 -- a constant of this package

_DATES: Final = """
SELECT DISTINCT trade_date FROM loads
WHERE status = 'complete' AND trade_date BETWEEN %(start_date)s AND %(end_date)s
  AND (%(sources)s::text[] IS NULL OR source = ANY (%(sources)s)) ORDER BY trade_date
"""

_REFEREED: Final = ("options_ticks", "futures_ticks", "equity_daily")


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two sources to compare.

    Parameters
    ----------
    dataset : str
        Observation table.
    left, right : str
        Sources; the right one may be `BHAVCOPY`.
    bar_seconds : int
        Length of the bars.

    """

    dataset: str
    left: str
    right: str
    bar_seconds: int


def find_pairings(warehouse: Warehouse, trade_date: dt.date) -> list[Pairing]:
    """Find what can be compared on a trade date.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    trade_date : datetime.date
        The day.

    Returns
    -------
    list of Pairing
        Every two sources of a table and a market, at each length of bars that one of them has and that the other has or
        can be brought to; and each source with data below a day that the exchange's daily file can judge.

    """
    with warehouse.connect() as connection:
        held = connection.execute(_HELD, {"trade_date": trade_date}).fetchall()
        listed = connection.execute(_LISTED, {"trade_date": trade_date}).fetchall()
    pairings = []
    for dataset in OBSERVATION_TABLES:
        by_source, markets = _held_of(dataset, held, listed)
        for left, right in combinations(sorted(by_source), 2):
            if markets[left] & markets[right]:
                lengths = _common_lengths(dataset, by_source[left], by_source[right])
                pairings += [Pairing(dataset, left, right, seconds) for seconds in lengths]
        if dataset in _REFEREED and (dataset, BHAVCOPY_SOURCE, DAY) in held:
            pairings += [
                Pairing(dataset, source, BHAVCOPY, DAY)
                for source in sorted(by_source)
                if min(by_source[source]) < DAY and NSE in markets[source]
            ]
    return pairings


def _held_of(
    dataset: str, held: list[tuple[str, str, int]], listed: list[tuple[str, str, str, str]]
) -> tuple[dict[str, set[int]], dict[str, set[str]]]:
    """Give the lengths of bars and the markets of a table, by source; days of shares can be made of their minutes."""
    lengths: dict[str, set[int]] = {}
    markets: dict[str, set[str]] = {}
    tables = {dataset: set(KIND_TABLES)}
    if dataset == "equity_daily" and any(table == dataset for table, _, _ in held):
        tables["spot_prices"] = {"EQ"}
    for table, source, market, kind in listed:
        if kind in tables.get(table, ()):
            markets.setdefault(source, set()).add(market)
    for table, source, seconds in held:
        is_wanted = any(
            kind in tables.get(table, ()) for place, by, _, kind in listed if (place, by) == (table, source)
        )
        if is_wanted and (table == dataset or seconds < DAY):
            lengths.setdefault(source, set()).add(seconds)
    return lengths, markets


def _common_lengths(dataset: str, left: set[int], right: set[int]) -> list[int]:
    wanted = {seconds for seconds in left | right if seconds > 0} or {MINUTE}
    if dataset == "equity_daily":
        wanted = {DAY}
    return sorted(
        seconds
        for seconds in wanted
        if all(any(one <= seconds and seconds % max(one, 1) == 0 for one in side) for side in (left, right))
    )


def choose_pairings(
    found: Iterable[Pairing],
    dataset: str | None = None,
    left: str | None = None,
    right: str | None = None,
    lengths: Collection[int] | None = None,
) -> list[Pairing]:
    """Keep the pairings that somebody asks for, turned the way they were asked for.

    Parameters
    ----------
    found : iterable of Pairing
        What can be compared.
    dataset, left, right : str, optional
        Only these.
    lengths : collection of int, optional
        Bar lengths in seconds, in place of those that the sources have; a length is left out where a source has nothing
        so fine. The exchange's daily file judges days, so that it is only there for 86400.

    Returns
    -------
    list of Pairing

    """
    chosen: dict[Pairing, None] = {}
    finest: dict[tuple[str, str, str], int] = {}
    for one in found:
        turned = one
        if one.right != BHAVCOPY and (left == one.right or right == one.left):
            turned = replace(one, left=one.right, right=one.left)
        if dataset in {None, one.dataset} and left in {None, turned.left} and right in {None, turned.right}:
            chosen[turned] = None
            key = (turned.dataset, turned.left, turned.right)
            finest[key] = min(finest.get(key, DAY), turned.bar_seconds)
    if lengths is None:
        return list(chosen)
    return [
        Pairing(*key, seconds)
        for key, least in finest.items()
        for seconds in sorted(lengths)
        if seconds >= least and seconds % least == 0
    ]


def reconcile_session(
    warehouse: Warehouse, trade_date: dt.date, pairings: Iterable[Pairing] | None = None
) -> list[Reconciliation]:
    """Compare everything that can be compared on a trade date.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    trade_date : datetime.date
        The day.
    pairings : iterable of Pairing, optional
        Default all that `find_pairings` finds.

    Returns
    -------
    list of Reconciliation
        In the order of the pairings.

    """
    wanted = find_pairings(warehouse, trade_date) if pairings is None else pairings
    return [
        reconcile_day(warehouse, one.dataset, trade_date, one.left, one.right, bar_seconds=one.bar_seconds)
        for one in wanted
    ]


def dates_held(
    warehouse: Warehouse, start_date: dt.date, end_date: dt.date, sources: Iterable[str] | None = None
) -> list[dt.date]:
    """List the trade dates of which some sources (default any) stored something."""
    wanted = {"start_date": start_date, "end_date": end_date, "sources": None if sources is None else list(sources)}
    with warehouse.connect() as connection:
        return [trade_date for (trade_date,) in connection.execute(_DATES, wanted).fetchall()]
