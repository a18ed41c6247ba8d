"""A vendor on paper: candles in a dictionary, a log of what was asked, and troubles that can be planted."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from pipeline_defs.sources.asking.calling import Patience
from pipeline_defs.sources.asking.limiting import SharedLimits
from pipeline_defs.sources.asking.questions import Answer, Dataset, Limit, Listed, Question, Window, answer_rows
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.sources.asking.universe import SourceUniverse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.schema.batches import ImportBatch
    from pipeline_defs.schema.deliveries import Delivery, FetchCost

QUICK = Patience(tries=3, total_seconds=5, first_wait_seconds=0.01)
NOW = dt.datetime(2025, 9, 30, tzinfo=dt.UTC)

type Candle = tuple[dt.datetime, str, str, str, str, int]


@dataclass(kw_only=True)
class PaperSource(ApiSource):
    """Gives whatever stands in `candles`, stamped at the close."""

    name: ClassVar[str] = "paper"  # type: ignore[misc]
    version: ClassVar[str] = "1"
    vendor_url: ClassVar[str] = "https://paper.invalid"
    datasets: ClassVar[tuple[Dataset, ...]] = (
        Dataset("spot_prices", 60, 5, ("EQ", "SPOT")),
        Dataset("equity_daily", 86_400, 60, ("EQ",)),
        Dataset("options_ticks", 60, 5, ("OPT",)),
    )
    limits: ClassVar[tuple[Limit, ...]] = (Limit(1000, 1.0),)

    candles: dict[str, list[Candle]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    trouble: list[Exception] = field(default_factory=list)

    def list_instruments(self, dataset: Dataset, window: Window) -> list[Listed]:
        del window
        if "OPT" in dataset.kinds:
            return [Listed("NIFTY-O", option_terms())]
        return [
            Listed(one.symbol, {"kind": "EQ", "symbol": one.symbol, "underlying": one.symbol, "series": "EQ",
                                "venue": "NSE", "currency": "INR"}, one.first_date, one.last_date)
            for one in self.wanted.equities
        ]  # fmt: skip

    def ask(self, question: Question) -> Answer:
        self.log.append(f"{question.listed.symbol} {question.window}")
        if self.trouble:
            raise self.trouble.pop(0)
        rows = [row for row in self.candles.get(question.listed.symbol, []) if question.start < row[0] <= question.end]
        names = ("timestamp", "open", "high", "low", "close", "volume")
        return Answer(answer_rows({name: [row[at] for row in rows] for at, name in enumerate(names)} if rows else {}))


@dataclass
class PaperLedger:
    """Remembers what it was given, as the warehouse does."""

    marks: set[tuple[dt.date, str]] = field(default_factory=set)
    running: dict[tuple[dt.date, str], list[tuple[dt.datetime, dt.datetime]]] = field(default_factory=dict)
    instruments: dict[tuple[dt.date, str], set[str]] = field(default_factory=dict)
    adopted: list[dt.date] = field(default_factory=list)
    still_fresh: list[dt.date] = field(default_factory=list)
    stored: set[tuple[str, dt.datetime]] = field(default_factory=set)

    def knows_date(self, trade_date: dt.date) -> bool:
        return any(day == trade_date for day, _ in self.marks)

    def holds(self, trade_date: dt.date, digest: str) -> bool:
        return (trade_date, digest) in self.marks

    def spans(
        self, trade_date: dt.date, table: str, bar_seconds: int, digest: str
    ) -> list[tuple[dt.datetime, dt.datetime]]:
        del table, bar_seconds
        return self.running.get((trade_date, digest), [])

    def keep_running(self, trade_date: dt.date, table: str, bar_seconds: int, digest: str) -> None:
        assert self.spans(trade_date, table, bar_seconds, digest)
        self.still_fresh.append(trade_date)

    def last_observations(
        self, table: str, bar_seconds: int, after: dt.datetime, until: dt.datetime
    ) -> dict[str, dt.datetime]:
        del table, bar_seconds
        return {symbol: stamp for symbol, stamp in sorted(self.stored) if after < stamp <= until}

    def answered(
        self, first: dt.date, last: dt.date, table: str, bar_seconds: int, basis: str
    ) -> dict[dt.date, frozenset[str]]:
        del table, bar_seconds
        found = {day: frozenset(names) for (day, of), names in self.instruments.items() if of == basis}
        return {day: names for day, names in found.items() if first <= day <= last}

    def adopt(self, delivery: Delivery, cost: FetchCost, trade_date: dt.date, table: str, bar_seconds: int) -> None:
        del cost, table, bar_seconds
        self.marks.add((trade_date, delivery.digest))
        self.adopted.append(trade_date)

    def commit(self, batch: ImportBatch) -> None:
        rows = batch.observations.join(batch.contracts.select("contract_key", "symbol"), on="contract_key")
        self.stored |= set(rows.select("symbol", "timestamp").iter_rows())
        told = batch.delivery or batch.so_far
        if batch.delivery is not None:
            self.marks.add((batch.trade_date, batch.delivery.digest))
        if told is not None and told.basis is not None:
            self.instruments.setdefault((batch.trade_date, told.basis), set()).update(told.answered)
        if batch.so_far is not None and batch.window is not None:
            start, end = batch.window
            stored = self.running.setdefault((batch.trade_date, batch.so_far.digest), [])
            stored.append((start, end - dt.timedelta(microseconds=1)))


def option_terms() -> dict[str, Any]:
    return {"kind": "OPT", "symbol": "NIFTY-O", "underlying": "NIFTY", "expiry": dt.date(2025, 9, 2),
            "strike": Decimal(24500), "option_type": "CE", "venue": "NSE", "currency": "INR"}  # fmt: skip


def minute(day: str, time: str, *, price: str = "100.05", volume: int = 10) -> Candle:
    """One minute bar by the IST time of its close."""
    close = dt.datetime.fromisoformat(f"{day}T{time}:00+05:30").astimezone(dt.UTC)
    return close, price, price, price, price, volume


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def paper(home: Path) -> Callable[..., PaperSource]:
    """Make the source; every further one shares its home, as another process would."""
    del home

    def make(**fields: Any) -> PaperSource:
        universe = SourceUniverse.model_validate(fields.pop("universe", {"equities": ["RELIANCE"]}))
        return PaperSource(universe=universe, patience=QUICK, clock=lambda: fields.get("now", NOW),
                           **{name: value for name, value in fields.items() if name != "now"})  # fmt: skip

    return make


@pytest.fixture
def limited() -> Callable[[Path], SharedLimits]:
    """Three turns in a fifth of a second."""
    return lambda folder: SharedLimits(folder, "paper", (Limit(3, 0.2),))
