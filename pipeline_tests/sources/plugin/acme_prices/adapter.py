"""One request to Acme, and what its reply means."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.asking.exact import prices_of, sizes_of
from pipeline_defs.sources.asking.questions import Answer, Dataset, Limit, Listed, Question, Window, answer_rows
from pipeline_defs.sources.asking.source import ApiSource


@dataclass(kw_only=True)
class AcmeSource(ApiSource):
    """Daily bars of US shares."""

    name = "acme"
    version: ClassVar[str] = "acme 1"
    vendor_url: ClassVar[str] = "https://api.acme.example"
    default_market: ClassVar[str] = "US"
    datasets: ClassVar[tuple[Dataset, ...]] = (Dataset("equity_daily", 86_400, max_days=365, kinds=("EQ",)),)
    limits: ClassVar[tuple[Limit, ...]] = (Limit(requests=5, seconds=1.0),)

    def list_instruments(self, dataset: Dataset, window: Window) -> list[Listed]:
        """Take the shares that the universe file names."""
        del dataset, window  # they are the same for all
        terms = {"kind": "EQ", "series": "EQ", "venue": "US", "currency": "USD"}
        names = [share.symbol for share in self.wanted.equities]
        return [Listed(name, {**terms, "symbol": name, "underlying": name}) for name in names]

    def ask(self, question: Question) -> Answer:
        """Ask once: the base class waits for its turn, tries again, and judges the rows."""
        days, symbol = question.window, question.listed.vendor_id
        url = f"{self.endpoint or self.vendor_url}/bars/{symbol}?from={days.first}&to={days.last}"
        try:
            with urllib.request.urlopen(url, timeout=self.patience.try_seconds) as reply:  # noqa: S310
                bars = json.load(reply, parse_float=str, parse_int=str)["bars"]  # text keeps every digit
        except urllib.error.HTTPError as error:
            kind = TryAgainError if error.code in {429, 500, 502, 503} else SourceError
            raise kind(f"Acme answered {error.code} for {symbol}") from None
        except (OSError, ValueError, KeyError) as error:
            raise TryAgainError(f"Acme's reply was not whole: {type(error).__name__}") from None
        texts = pl.DataFrame(bars, schema=dict.fromkeys(("day", "open", "high", "low", "close", "volume"), pl.String))
        prices = {name: prices_of(texts[name]) for name in ("open", "high", "low", "close")}
        closes = [self.market.close(date.fromisoformat(day)) for day in texts["day"]]
        return Answer(answer_rows({"timestamp": closes, **prices, "volume": sizes_of(texts["volume"])}))
