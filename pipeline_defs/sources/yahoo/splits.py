"""Makes sure that no split goes unnoticed: what is known of which symbol, and which splits are new."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from pipeline_defs.schema.batches import Finding
from pipeline_defs.sources.asking.questions import digest_of
from pipeline_defs.sources.yahoo.actions import Split, actions_of, splits_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from pipeline_defs.markets.market import Market
    from pipeline_defs.sources.asking.questions import Window
    from pipeline_defs.sources.yahoo.ledger import ActionLedger

SPLITS_KNOWN: Final = "splits_known"
"""Finding: a split that is new has made stored bars stale, or it is not known whether one has."""

_DAY: Final = dt.timedelta(days=1)


class SplitWatch:
    """Watches for splits.

    Parameters
    ----------
    ledger : ActionLedger
        What is known.
    market : Market
        Whose days count.
    clock : callable
        Tells the time, UTC.

    """

    def __init__(self, ledger: ActionLedger, market: Market, clock: Callable[[], dt.datetime]) -> None:
        self._ledger, self._market, self._clock = ledger, market, clock
        self._news: list[str] = []

    def learn_all(self, symbol: str, chart: dict[str, Any] | None) -> list[Split]:
        """Take over all corporate actions of a symbol; give the splits that are new."""
        return self._learn(symbol, chart, None, self._today() - _DAY)

    def learn_window(self, symbol: str, chart: dict[str, Any] | None, window: Window) -> list[Split]:
        """Take over the corporate actions of a window; give the splits that are new."""
        until = self._ledger.known(symbol).until
        reaches = until is not None and not self._sessions_between(until, window.first)
        last = min(window.last, self._today() - _DAY if not self._is_over(window.last) else window.last)
        knows_more = reaches and until is not None and last > until
        return self._learn(symbol, chart, (window.first, window.last), last if knows_more else None)

    def is_current(self, symbol: str, wanted: tuple[dt.date, dt.date] | None = None) -> bool:
        """Tell whether the splits up to the last finished session are known, or will be.

        Parameters
        ----------
        symbol : str
            Yahoo's.
        wanted : tuple of datetime.date, optional
            First and last day that are about to be asked for: what they will tell counts as known.

        Returns
        -------
        bool

        """
        until, today = self._ledger.known(symbol).until, self._today()
        if until is None:
            return False
        if wanted is not None and not self._sessions_between(until, wanted[0]):
            until = max(until, wanted[1])
        return not self._sessions_between(until, today)

    def revision(self, symbols: Iterable[str]) -> str:
        """Name the known splits of some symbols; empty if there is none."""
        known = [
            (split.symbol, split.ex_date, split.ratio)
            for symbol in symbols
            for split in splits_of(self._ledger.known(symbol).actions)
        ]
        return digest_of(sorted(known)) if known else ""

    def doubt(self, symbol: str, why: str) -> None:
        """Remember that the splits of a symbol could not be asked for."""
        self._news.append(f"splits of {symbol} are not known up to now: {why}")

    def findings(self) -> tuple[Finding, ...]:
        """Tell what is new, once."""
        news, self._news = self._news, []
        if not news:
            return ()
        return (
            Finding(
                SPLITS_KNOWN,
                passed=False,
                expected="no split since the stored bars were asked for",
                found=news[0] if len(news) == 1 else f"{len(news)} events",
                detail="; ".join(news),
            ),
        )

    def _learn(
        self,
        symbol: str,
        chart: dict[str, Any] | None,
        span: tuple[dt.date, dt.date] | None,
        until: dt.date | None,
    ) -> list[Split]:
        new = self._ledger.learn(symbol, actions_of(chart, symbol), span, until)
        self._news += map(str, new)
        return new

    def _today(self) -> dt.date:
        return min(self._market.trade_date(self._clock()), self._market.covered[1])

    def _is_over(self, day: dt.date) -> bool:
        return self._clock() >= self._market.bounds(day)[1]

    def _sessions_between(self, after: dt.date, before: dt.date) -> list[dt.date]:
        return self._market.sessions(after + _DAY, before - _DAY)
