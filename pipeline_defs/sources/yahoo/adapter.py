"""The source `yahoo`.

Yahoo gives prices adjusted for every split up to the day on which it is asked, and not for dividends: stored as given,
with the corporate actions beside them. A split that comes later adjusts what is stored already, so each run makes sure
that it knows all splits; a new one changes `revision`, and the days are asked again.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Final

import polars as pl

from pipeline_defs.errors import PipelineError, SourceError
from pipeline_defs.schema.tables import DAY, MINUTE, TICK, table_for
from pipeline_defs.settings import load_settings
from pipeline_defs.sources.asking.questions import Answer, Dataset, Limit, Listed, Question, Window
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.sources.yahoo.actions import Split, splits_of, told_of
from pipeline_defs.sources.yahoo.bars import NO_TRADE, rows_of
from pipeline_defs.sources.yahoo.charts import Charts
from pipeline_defs.sources.yahoo.checking import check_meta
from pipeline_defs.sources.yahoo.client import HOST
from pipeline_defs.sources.yahoo.ledger import ActionLedger
from pipeline_defs.sources.yahoo.naming import underlying_of, venue_of
from pipeline_defs.sources.yahoo.reach import reach_of, refuse_too_old
from pipeline_defs.sources.yahoo.replies import UnknownSymbolError
from pipeline_defs.sources.yahoo.splits import SplitWatch
from pipeline_defs.sources.yahoo.streaming import listen

if TYPE_CHECKING:
    import datetime as dt
    import threading
    from collections.abc import Iterator, Sequence

    from pipeline_defs.schema.batches import ImportBatch, ImportRequest
    from pipeline_defs.sources.asking.streaming import Heard, Silence
    from pipeline_defs.sources.asking.universe import Named

_LOGGER: Final = logging.getLogger(__name__)


@dataclass(kw_only=True)
class YahooSource(ApiSource):
    """Bars of Yahoo Finance.

    Parameters
    ----------
    universe, patience, endpoint, clock
        As of `ApiSource`.

    """

    name = "yahoo"
    version: ClassVar[str] = "chart-v8/1"
    vendor_url: ClassVar[str] = HOST
    supports_live: ClassVar[bool] = True
    default_market: ClassVar[str] = "US"
    datasets: ClassVar[tuple[Dataset, ...]] = (
        # The official close and volume of a day come some hours after it; minutes come up to 20 minutes late.
        Dataset("equity_daily", DAY, max_days=3650, kinds=("EQ",), delay_seconds=4 * 3600),
        Dataset("spot_prices", MINUTE, max_days=7, kinds=("EQ", "SPOT"), delay_seconds=1800, history_days=29),
    )
    live_datasets: ClassVar[tuple[Dataset, ...]] = (Dataset("spot_prices", TICK, max_days=1, kinds=("EQ", "SPOT")),)
    limits: ClassVar[tuple[Limit, ...]] = (Limit(60, 60), Limit(1500, 3600))
    """Yahoo publishes none; these are careful."""

    _open_charts: Charts | None = field(default=None, init=False, repr=False)
    _open_watch: SplitWatch | None = field(default=None, init=False, repr=False)
    _revision: str | None = field(default=None, init=False, repr=False)

    # What the base class asks for. -------------------------------------------------------------------------------

    @classmethod
    def section_of(cls, symbol: str) -> str:
        """Tell indices, which begin with ``^``, from shares."""
        return "indices" if symbol.startswith("^") else "equities"

    def list_instruments(self, dataset: Dataset, window: Window) -> list[Listed]:
        """Name the shares and indices of the universe; no request is made.

        Raises
        ------
        ConfigurationError
            If Yahoo has no bars of the wanted length.
        SourceError
            If the window is older than what Yahoo serves.

        """
        if dataset.bar_seconds != TICK:
            refuse_too_old(dataset, window, self.market.trade_date(self.clock()))
        named = [("EQ", one) for one in self.wanted.equities] + [("SPOT", one) for one in self.wanted.indices]
        return [self._listed(kind, one) for kind, one in named if table_for(kind, dataset.bar_seconds) == dataset.table]

    def ask(self, question: Question) -> Answer:
        """Ask for one chart.

        Raises
        ------
        TryAgainError
            If no whole chart came.
        SourceError
            If Yahoo does not know the symbol, or gives no such bars.
        ConfigurationError
            If the universe says something else of the instrument than Yahoo does.

        """
        symbol = question.listed.vendor_id
        interval = reach_of(question.dataset).interval
        chart = self._charts.bars(symbol, interval, question.start, question.end)
        if chart is not None:
            check_meta(chart["meta"], question, self.market)
        rows = rows_of(chart, question, self.market)
        if question.listed.kind == "EQ":
            self._heed(self._watch.learn_window(symbol, chart, question.window))
        # Bars within the day come with the actions of some days only: the daily ones speak of them.
        is_daily = question.dataset.bar_seconds == DAY
        return Answer(rows, self._note(rows, question), told_of(self.actions(question)) if is_daily else None)

    def revision(self, dataset: Dataset) -> str:
        """Name the splits that adjust daily bars; what was stored before a new one is asked again.

        Bars within the day stay as they were stored: those of some weeks ago are not served again.

        Parameters
        ----------
        dataset : Dataset
            One of `datasets`.

        Returns
        -------
        str
            Empty as long as no share of the universe was ever split.

        """
        if dataset.bar_seconds < DAY:
            return ""
        if self._revision is None:
            self._revision = self._watch.revision(one.symbol for one in self.wanted.equities)
        return self._revision

    def revision_of(self, dataset: Dataset, listed: Listed) -> str:
        """Name the splits of one share, as `revision` does for all."""
        return "" if dataset.bar_seconds < DAY else self._watch.revision([listed.vendor_id])

    def fetch(self, request: ImportRequest) -> Iterator[ImportBatch]:
        """Give what is not stored yet, after making sure that all splits are known.

        Yields
        ------
        ImportBatch
            As of `ApiSource.fetch`; the first one after news of a split has a finding that names it.

        """
        try:
            if request.start_date and request.end_date and (request.tables is None or "equity_daily" in request.tables):
                self.refresh_splits((request.start_date, request.end_date))
            self._revision = None
            for batch in super().fetch(request):
                yield replace(batch, findings=(*batch.findings, *self._watch.findings()))
        finally:
            self.close()

    def stream(self, dataset: Dataset, listed: Sequence[Listed], stop: threading.Event) -> Iterator[Heard | Silence]:
        """Give last prices as they happen; see `pipeline_defs.sources.yahoo.streaming`.

        Raises
        ------
        SourceError
            If anything but ticks of ``spot_prices`` is wanted, or Yahoo cannot be reached to begin with.

        """
        if dataset.table != "spot_prices" or dataset.bar_seconds != TICK:
            raise SourceError(
                f"Yahoo streams ticks of spot_prices, not {dataset.table} of {dataset.bar_seconds} s",
                next_step="ask for ticks of spot_prices, or import bars in partitions",
            )
        yield from listen(listed, stop, endpoint=self.endpoint, patience=self.patience)

    def close(self) -> None:
        """Let go of the connections."""
        if self._open_charts is not None:
            self._open_charts.close()

    # Corporate actions. ------------------------------------------------------------------------------------------

    def actions(self, question: Question) -> pl.DataFrame:
        """Give the corporate actions within a question's window, as its answer told them; no request is made.

        Parameters
        ----------
        question : Question
            That was asked, by this process or another one of this machine.

        Returns
        -------
        polars.DataFrame
            `pipeline_defs.sources.yahoo.actions.SOURCE_ACTION_SCHEMA`.

        """
        window = question.window
        known = self.known_actions(question.listed.vendor_id)
        return known.filter(pl.col("ex_date").is_between(window.first, window.last))

    def known_actions(self, symbol: str) -> pl.DataFrame:
        """Give all corporate actions of a symbol that this machine was told of, as `actions` does."""
        return _ledger().known(symbol).actions

    def splits_since(self, symbol: str, since: dt.date) -> list[Split]:
        """List the splits after a day: bars that were asked for on it are stale if there is any.

        Parameters
        ----------
        symbol : str
            Yahoo's.
        since : datetime.date
            When the bars were asked for.

        Returns
        -------
        list of Split
            By date.

        """
        return [split for split in splits_of(self.known_actions(symbol)) if split.ex_date > since]

    def refresh_splits(self, wanted: tuple[dt.date, dt.date] | None = None) -> list[Split]:
        """Ask for the corporate actions of every share of which a finished session is not known yet.

        One small request a share; none where daily imports have kept up. If one fails, what is known stays known, the
        others wait, and the next batch says so.

        Parameters
        ----------
        wanted : tuple of datetime.date, optional
            First and last day that are about to be asked for: their answers tell of splits as well.

        Returns
        -------
        list of Split
            Those that are new.

        """
        new: list[Split] = []
        for symbol in (one.symbol for one in self.wanted.equities):
            if self._watch.is_current(symbol, wanted):
                continue
            try:
                chart = self.call(lambda symbol=symbol: self._charts.actions(symbol), f"yahoo {symbol} splits")  # type: ignore[misc]
                new += self._watch.learn_all(symbol, chart)
            except UnknownSymbolError:
                continue  # the question for its bars says so
            except PipelineError as error:
                _LOGGER.warning("splits of %s are not known: %s", symbol, error)
                self._watch.doubt(symbol, error.what)
                break
        return self._heed(new)

    # ---------------------------------------------------------------------------------------------------------------

    def _heed(self, new: list[Split]) -> list[Split]:
        """Let go of answers that were kept for days not yet stored: they are of before the split."""
        for split in new:
            _LOGGER.warning("%s", split)
        if new:
            shutil.rmtree(load_settings().home / "answers" / self.name, ignore_errors=True)
        return new

    @property
    def _charts(self) -> Charts:
        if self._open_charts is None:
            self._open_charts = Charts(self.endpoint, self.patience.try_seconds)
        return self._open_charts

    @property
    def _watch(self) -> SplitWatch:
        if self._open_watch is None:
            self._open_watch = SplitWatch(_ledger(), self.market, self.clock)
        return self._open_watch

    def _listed(self, kind: str, one: Named) -> Listed:
        venue = one.venue or venue_of(one.symbol) or self.market.venue
        terms = {
            "kind": kind,
            "symbol": one.symbol,
            "underlying": one.underlying or underlying_of(one.symbol),
            "venue": venue,
            "currency": one.currency or self.market.currency,
            "series": "EQ" if kind == "EQ" and venue == "NSE" else None,
        }
        return Listed(one.symbol, terms, one.first_date, one.last_date)

    def _note(self, rows: pl.DataFrame, question: Question) -> str:
        idle = rows.filter(pl.col("reason") == NO_TRADE).height
        when = f"{self.clock():%Y-%m-%dT%H:%MZ}"
        told = [
            f"prices and volumes as Yahoo adjusted them for splits, not for dividends, at {when}",
            *map(str, self.splits_since(question.listed.vendor_id, question.window.first)),
            *([f"{idle} bars without a trade"] if idle else []),
        ]
        return "; ".join(told)


def _ledger() -> ActionLedger:
    return ActionLedger(load_settings().home / "yahoo-actions")
