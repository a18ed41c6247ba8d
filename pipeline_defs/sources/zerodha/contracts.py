"""The universe's shares, indices and chains, as the dumps know them.

Each trade date is resolved by the dump nearest to it: which contract was the nearest, how it was called, and what its
lot was, is that day's. What has expired cannot be asked for any more, and is an error rather than a gap.
"""

from __future__ import annotations

import datetime as dt
import difflib
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import MarketRuleError, SourceError
from pipeline_defs.markets.expiries import monthly_expiry, weekly_expiry
from pipeline_defs.schema.tables import table_for
from pipeline_defs.sources.asking.questions import Listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline_defs.sources.asking.questions import Dataset
    from pipeline_defs.sources.asking.universe import Chain, Named, SourceUniverse
    from pipeline_defs.sources.zerodha.dumps import Dump, Dumps

_EXPIRED: Final = "expired contracts are not served"
_TERMS: Final[tuple[str, ...]] = (
    "kind",
    "symbol",
    "underlying",
    "expiry",
    "strike",
    "option_type",
    "series",
    "lot_size",
    "tick_size",
)
_WORDS: Final = {"FUT": "futures", "OPT": "options"}
_NEAR, _MAX_SHOWN = 5, 8
_HOME: Final = "NSE"


def resolve(universe: SourceUniverse, dataset: Dataset, trade_dates: Sequence[dt.date], dumps: Dumps) -> list[Listed]:
    """Name the instruments of a dataset.

    Parameters
    ----------
    universe : SourceUniverse
        What is wanted.
    dataset : Dataset
        Of which kinds.
    trade_dates : sequence of datetime.date
        Sessions, ascending.
    dumps : Dumps
        The machine's.

    Returns
    -------
    list of Listed

    Raises
    ------
    SourceError
        If no dump knows one of them, or it has expired.

    """
    kinds = {kind for kind in dataset.kinds if table_for(kind, dataset.bar_seconds) == dataset.table}
    named = {"EQ": universe.equities, "SPOT": universe.indices}
    chains = {"FUT": universe.futures, "OPT": universe.options}
    found: list[Listed] = []
    for kind in (kind for kind in named if kind in kinds):
        for one in named[kind]:
            # What was delisted has a last date, and is sought only in dumps of its time.
            dates = _within(one, trade_dates)
            found.extend([_named(one, kind, dates, dumps)] if dates else [])
    for kind in (kind for kind in chains if kind in kinds):
        for chain in chains[kind]:
            found.extend(_chain(chain, kind, _within(chain, trade_dates), dumps))
    return list({(one.vendor_id, one.symbol, one.first_date, str(one.terms)): one for one in found}.values())


def _within(wanted: Named | Chain, trade_dates: Sequence[dt.date]) -> list[dt.date]:
    """Give the dates on which something is wanted."""
    first, last = wanted.first_date or dt.date.min, wanted.last_date or dt.date.max
    return [day for day in trade_dates if first <= day <= last]


def _named(one: Named, kind: str, trade_dates: Sequence[dt.date], dumps: Dumps) -> Listed:
    """Find a share or an index in the dump of then; one that is called otherwise since, in today's."""
    then = dumps.nearest(trade_dates[-1])
    venue = one.venue or _HOME
    for dump in (then, dumps.newest()):
        listed = dump.instruments().filter(kind=kind, venue=venue)
        rows = listed.filter(symbol=one.symbol)
        if rows.height:
            more = {"underlying": one.underlying, "currency": one.currency}
            return _listed(rows.row(0, named=True), venue, one.first_date, one.last_date, **more)
    near = difflib.get_close_matches(one.symbol, listed["symbol"].unique().to_list(), _NEAR, 0.6)
    raise SourceError(
        f"{one.symbol} is not in {then.shown} ({'an index' if kind == 'SPOT' else 'a share'} of {venue}){_or(near)}",
        where=f"zerodha {one.symbol}",
        next_step="correct the symbol in the universe; Kite's own spelling is wanted",
    )


def _chain(chain: Chain, kind: str, dates: Sequence[dt.date], dumps: Dumps) -> Iterator[Listed]:
    """Find contracts of an underlying: on each date those of its own dump, joined where dumps agree."""
    spans: dict[tuple[str, str], Listed] = {}
    seen: set[dt.date] = set()
    before: dt.date | None = None
    for day in dates:
        dump = dumps.nearest(day)
        contracts, venue = _contracts(chain, kind, dump)
        known = set(contracts["expiry"].to_list())
        seen |= known
        _refuse_missed(chain, kind, day, dump)
        expiries = chain.choose_expiries(known, day)
        if not expiries:
            raise _no_expiry(chain, kind, day, known=known, dump=dump)
        for expiry in expiries:
            if expiry < dumps.today:
                raise _gone(chain, kind, day, expiry)
        for row in contracts.filter(pl.col("expiry").is_in(expiries)).iter_rows(named=True):
            one = _listed(row, venue, day, day, currency=chain.currency)
            key = (one.vendor_id, str(one.terms))
            if key in spans and spans[key].last_date != before:
                yield spans.pop(key)
            spans[key] = Listed(one.vendor_id, one.terms, spans[key].first_date if key in spans else day, day)
        before = day
    if isinstance(chain.expiries, tuple) and dates:
        unknown = sorted(day for day in chain.expiries if day >= dates[-1] and day not in seen)
        if unknown:
            raise _no_expiry(chain, kind, dates[-1], known=seen, dump=dumps.nearest(dates[-1]), wanted=unknown)
    yield from spans.values()


def _contracts(chain: Chain, kind: str, dump: Dump) -> tuple[pl.DataFrame, str]:
    """Give the contracts of a chain that a dump lists, of one venue."""
    every = dump.instruments().filter(kind=kind)
    own = every.filter(underlying=chain.underlying)
    venues = sorted(set(own["venue"].to_list()))
    venue = chain.venue or (_HOME if _HOME in venues or not venues else venues[0])
    at_venue = own.filter(venue=venue)
    if at_venue.is_empty():
        near = difflib.get_close_matches(chain.underlying, every["underlying"].unique().to_list(), _NEAR, 0.6)
        elsewhere = f"; they trade at {', '.join(venues)}" if venues else _or(near)
        raise SourceError(
            f"no {_WORDS[kind]} of {chain.underlying} at {venue} in {dump.shown} ({_EXPIRED}){elsewhere}",
            where=f"zerodha {chain.underlying} {_WORDS[kind]}",
            next_step="correct the underlying in the universe; Kite's own spelling is wanted",
        )
    if kind == "FUT":
        return at_venue, venue
    typed = at_venue.filter(pl.col("option_type").is_in(chain.option_types))
    taken = typed.filter(pl.Series([chain.takes_strike(strike) for strike in typed["strike"]], dtype=pl.Boolean))
    if taken.is_empty():
        raise SourceError(
            f"no strike of {chain.underlying} in {dump.shown} is wanted; they reach from"
            f" {_plain(typed['strike'].min())} to {_plain(typed['strike'].max())}",
            where=f"zerodha {chain.underlying} options",
            next_step="correct strikes and option_types in the universe",
        )
    return taken, venue


def _refuse_missed(chain: Chain, kind: str, day: dt.date, dump: Dump) -> None:
    """Refuse to take for the nearest contracts of a day what was only the nearest when a later dump was made."""
    if not isinstance(chain.expiries, int) or dump.date <= day:
        return
    where = f"zerodha {chain.underlying} {_WORDS[kind]}"
    try:
        expiry = _first_expiry(chain.underlying, kind, day, dump.date)
    except MarketRuleError as error:
        raise SourceError(
            f"which {_WORDS[kind]} of {chain.underlying} were the nearest on {day} is not known: {dump.shown} are"
            f" later, and {error.what}",
            where=where,
            next_step="name expiries by their dates in the universe",
        ) from None
    if expiry is None:
        return
    later = (dump.date - dt.timedelta(days=back) for back in range((dump.date - day).days + 1))
    missed = next(one for one in later if _first_expiry(chain.underlying, kind, one, dump.date) is not None)
    raise SourceError(
        f"the nearest {_WORDS[kind]} of {chain.underlying} on {day} expired on {expiry}, and {dump.shown} list them no"
        f" more; {_EXPIRED} by Kite",
        where=where,
        next_step=f"ask for days from {missed + dt.timedelta(days=1)} on, and for each day before its contracts expire",
    )


def _first_expiry(underlying: str, kind: str, day: dt.date, before: dt.date) -> dt.date | None:
    """Give the first expiry by the rules on or after a day and before another."""
    following = day.replace(day=28) + dt.timedelta(days=7)
    # Later months are of no interest: the first expiry is that of the first month, or of the one after it.
    months = {(at.year, at.month) for at in (day, following)}
    found = {monthly_expiry(underlying, year, month, day) for year, month in months}
    if kind == "OPT":
        weeks = range((before - day).days // 7 + 2)
        found |= {e for week in weeks if (e := weekly_expiry(underlying, day + dt.timedelta(weeks=week), day))}
    return min((expiry for expiry in found if day <= expiry < before), default=None)


def _listed(row: dict[str, Any], venue: str, first: dt.date | None, last: dt.date | None, **more: str | None) -> Listed:
    terms: dict[str, Any] = {name: row[name] for name in _TERMS if row[name] is not None}
    terms |= {"venue": venue, "currency": row["currency"]}
    terms |= {name: value for name, value in more.items() if value is not None}
    return Listed(row["vendor_id"], terms, first, last)


def _gone(chain: Chain, kind: str, day: dt.date, expiry: dt.date) -> SourceError:
    return SourceError(
        f"{chain.underlying} {_WORDS[kind]} of {day} expired on {expiry}; {_EXPIRED} by Kite",
        where=f"zerodha {chain.underlying} {_WORDS[kind]}",
        next_step=f"ask for days after {expiry}, and for each day before its contracts expire",
    )


def _no_expiry(
    chain: Chain, kind: str, day: dt.date, *, known: set[dt.date], dump: Dump, wanted: Sequence[dt.date] = ()
) -> SourceError:
    named = sorted(wanted) or (sorted(chain.expiries) if isinstance(chain.expiries, tuple) else [])
    expiring = f" expiring {', '.join(map(str, named))}" if named else f" on {day}"
    nearest = sorted(known, key=lambda one: abs(one - (named[0] if named else day)))[:_MAX_SHOWN]
    return SourceError(
        f"no {_WORDS[kind]} of {chain.underlying}{expiring} in {dump.shown} ({_EXPIRED});"
        f" it has {', '.join(map(str, sorted(nearest)))}",
        where=f"zerodha {chain.underlying} {_WORDS[kind]}",
        next_step="correct expiries in the universe",
    )


def _plain(strike: object) -> str:
    return f"{strike.normalize():f}" if isinstance(strike, Decimal) else "none"


def _or(near: list[str]) -> str:
    return f"; did you mean {', '.join(near)}?" if near else ""
