"""An API whose answers follow from symbol and day: every process hears the same."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Final
from zlib import crc32

from pipeline_defs.markets.market import market
from pipeline_defs.sources.asking.questions import Answer, Dataset, Limit, Listed, Question, Window, answer_rows
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.sources.asking.universe import SourceUniverse

SYMBOLS: Final = ("INFY", "SBIN")
MINUTES: Final = 5


@dataclass(kw_only=True)
class Vendor(ApiSource):
    """The adapter."""

    name: ClassVar[str] = "vendor"  # type: ignore[misc]
    version: ClassVar[str] = "1"
    vendor_url: ClassVar[str] = "https://vendor.invalid"
    datasets: ClassVar[tuple[Dataset, ...]] = (Dataset("spot_prices", 60, 30, ("EQ",)),)
    limits: ClassVar[tuple[Limit, ...]] = (Limit(1_000_000, 1.0),)

    def list_instruments(self, dataset: Dataset, window: Window) -> list[Listed]:
        """Name the shares of the universe."""
        del dataset, window
        terms = {"kind": "EQ", "series": "EQ", "venue": "NSE", "currency": "INR"}
        return [
            Listed(one.symbol, {**terms, "symbol": one.symbol, "underlying": one.symbol})
            for one in self.wanted.equities
        ]

    def ask(self, question: Question) -> Answer:
        """Answer with the first minutes of each session."""
        symbol, of = question.listed.symbol, market("NSE")
        rows = [
            (of.open(day) + dt.timedelta(minutes=minute + 1), _close(symbol, day, minute))
            for day in of.sessions(question.window.first, question.window.last)
            for minute in range(MINUTES)
        ]
        prices = {key: [close for _, close in rows] for key in ("open", "high", "low", "close")}
        return Answer(answer_rows({"timestamp": [stamp for stamp, _ in rows], **prices, "volume": [1] * len(rows)}))


def vendor_until(last: dt.date) -> Vendor:
    """Give the vendor as it is asked an hour after a day's close."""
    now = market("NSE").close(last) + dt.timedelta(hours=1)
    return Vendor(universe=SourceUniverse.model_validate({"equities": list(SYMBOLS)}), clock=lambda: now)


def _close(symbol: str, day: dt.date, minute: int) -> Decimal:
    return Decimal(20_000 + crc32(f"{symbol} {day} {minute}".encode()) % 40_000) / 20
