"""Which contracts of a chain are wanted.

IB lists futures for two years after they expired, but options only while they live. So which option expiry was the
nearest one on a past day can be told only if none can have vanished since.
"""

from __future__ import annotations

import datetime as dt
import re
from itertools import pairwise
from typing import TYPE_CHECKING

from pipeline_defs.errors import SchemaDriftError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline_defs.sources.asking.universe import Chain


def read_expiry(text: str) -> dt.date:
    """Read ``YYYYMMDD``.

    Raises
    ------
    SchemaDriftError
        If it is something else.

    """
    try:
        if re.fullmatch(r"[0-9]{8}", text) is None:
            raise ValueError  # noqa: TRY301 -- one message for a wrong form and for a day that never was
        return dt.date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise SchemaDriftError(
            f"TWS lists an expiry {text!r}, expected YYYYMMDD",
            where="interactive_brokers",
            next_step="nothing was stored; report it with this message",
        ) from None


def may_have_vanished(known: Iterable[dt.date], trade_date: dt.date, today: dt.date) -> bool:
    """Tell whether an expiry between a past day and today may be missing from a list of living ones.

    Parameters
    ----------
    known : iterable of datetime.date
        Living expiries.
    trade_date : datetime.date
        Past, or today.
    today : datetime.date
        When the list was made.

    Returns
    -------
    bool
        False if the chain's closest spacing leaves no room for one.

    """
    if trade_date >= today:
        return False
    ordered = sorted({day for day in known if day >= today})
    gaps = [later - sooner for sooner, later in pairwise(ordered)]
    return not gaps or ordered[0] - min(gaps) >= trade_date


def choose_option_expiries(chain: Chain, known: set[dt.date], trade_date: dt.date, today: dt.date) -> list[dt.date]:
    """Choose the expiries of an option chain.

    Parameters
    ----------
    chain : Chain
        What is wanted.
    known : set of datetime.date
        Living expiries.
    trade_date, today : datetime.date
        The day that is asked for, and the day on which it is.

    Returns
    -------
    list of datetime.date
        Ascending.

    Raises
    ------
    SourceError
        If it cannot be told which was the nearest one, or none of the named ones lives.

    """
    if isinstance(chain.expiries, int) and may_have_vanished(known, trade_date, today):
        raise SourceError(
            f"which option expiry of {chain.underlying} was the nearest one on {trade_date} cannot be told on {today}:"
            " IB lists living options only",
            where=f"interactive_brokers {chain.underlying}",
            next_step="import options on their own day, or name the expiries in the universe (expiries: [2026-12-18])",
        )
    chosen = chain.choose_expiries(known, trade_date)
    if not chosen:
        alive = ", ".join(str(day) for day in sorted(known)[:8]) or "none"
        raise SourceError(
            f"no option expiry of {chain.underlying} that is wanted for {trade_date} is alive (expired options are not"
            f" served); the next ones are {alive}",
            where=f"interactive_brokers {chain.underlying}",
            next_step="correct the expiries in the universe",
        )
    return chosen


def choose_trading_class(chain: str, wanted: str, offered: Sequence[str]) -> str:
    """Choose among classes of contracts that share an underlying: ``SPX`` has ``SPX`` and ``SPXW``.

    Parameters
    ----------
    chain : str
        The underlying's symbol.
    wanted : str
        The class that the universe names (``SPX.SPXW``), or nothing.
    offered : sequence of str
        What there is.

    Returns
    -------
    str
        The wanted one; else the one named like the underlying; else the only one.

    Raises
    ------
    SourceError
        If there is no such class, or several and none is named.

    """
    classes = sorted(set(offered))
    if wanted:
        if wanted in classes:
            return wanted
        problem = f"{chain} has no trading class {wanted}"
    elif chain in classes:
        return chain
    elif len(classes) == 1:
        return classes[0]
    else:
        problem = f"{chain} has several trading classes and none is named {chain}"
    raise SourceError(
        f"{problem}; there are: {', '.join(classes) or 'none'}",
        where=f"interactive_brokers {chain}",
        next_step=f"name one in the universe, as underlying: {chain}.{classes[0] if classes else 'CLASS'}",
    )
