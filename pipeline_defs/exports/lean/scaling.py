"""Are prices and strikes scaled as LEAN reads them? A file cannot say; the numbers can be implausible.

Where prices are whole numbers of 1 / 10,000, most are whole hundredths; one written without the scale is a ten
thousandth of what it was, and rarely one. And a strike, an option's price and the underlying's price are of one order
of magnitude.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.exports.lean.findings import Finding, Rule
from pipeline_defs.exports.lean.kinds import Resolution, SecurityType, TickType

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    from pipeline_defs.exports.lean.paths import DataFile
    from pipeline_defs.exports.lean.reading import ZipContent

_HUNDREDTHS: Final = 10**6
"""A hundredth, in units of a value's last decimal."""

_MOST: Final = 0.5

_FACTOR: Final = 20
"""How far the middle strike and the underlying may lie apart."""

_PRICE_COLUMN: Final = {TickType.TRADE: "close", TickType.QUOTE: "bid_close"}
type _Symbol = tuple[SecurityType, str, str]

_UNDERLYING: Final = {SecurityType.INDEX_OPTION: SecurityType.INDEX, SecurityType.OPTION: SecurityType.EQUITY}


@dataclass(slots=True)
class _Zip:
    """What the portions of a zip showed: of prices that are scaled how many, and how many whole hundredths."""

    prices: int = 0
    hundredths: int = 0
    scaled: SecurityType | None = None
    middles: list[Decimal] = field(default_factory=list)
    dear: Finding | None = None


class Scales:
    """Prices and strikes of a folder, as they come by."""

    def __init__(self) -> None:
        self._prices: defaultdict[_Symbol, list[Decimal]] = defaultdict(list)
        self._strikes: defaultdict[_Symbol, set[Decimal]] = defaultdict(set)
        self._zips: defaultdict[str, _Zip] = defaultdict(_Zip)

    def see(self, content: ZipContent) -> None:
        """Take note of a portion of a zip.

        Parameters
        ----------
        content : ZipContent
            As it was read.

        """
        file = content.file
        column = _PRICE_COLUMN.get(file.tick_type)
        if column is None or file.resolution is Resolution.TICK or content.rows.is_empty():
            return
        prices = content.rows[column].drop_nulls()
        if prices.is_empty():
            return
        middle = prices.sort()[prices.len() // 2]
        key = (file.security, file.market, file.ticker)
        self._prices[key].append(middle)
        self._strikes[key].update(
            entry.contract.strike for entry in content.entries if entry.contract.strike is not None
        )
        seen = self._zips[file.path]
        if file.security.is_scaled:
            seen.prices += prices.len()
            is_hundredth = pl.col(column).to_physical() % _HUNDREDTHS == 0
            seen.hundredths += content.rows.select(is_hundredth.sum()).item()
            seen.scaled = file.security
            seen.middles.append(middle)
        if seen.dear is None:
            seen.dear = next(_dearer_than_strikes(content, column), None)

    def conclude(self) -> Iterator[Finding]:
        """Judge the zips, and compare strikes with their underlying.

        Yields
        ------
        Finding
            At most two a zip, and one a symbol.

        """
        for path, seen in self._zips.items():
            if seen.scaled is not None and seen.hundredths < seen.prices * _MOST:
                middle = sorted(seen.middles)[len(seen.middles) // 2]
                yield Finding(
                    Rule.SCALE,
                    path,
                    f"most prices are no whole hundredths, the middle one is {middle}: {seen.scaled} prices are "
                    "written times 10,000",
                )
            if seen.dear is not None:
                yield seen.dear
        for (security, market, ticker), strikes in sorted(self._strikes.items()):
            of = _UNDERLYING.get(security)
            prices = self._prices.get((of, market, ticker)) if of is not None and strikes else None
            if not prices:
                continue
            strike, price = sorted(strikes)[len(strikes) // 2], sorted(prices)[len(prices) // 2]
            if not price / _FACTOR <= strike <= price * _FACTOR:
                yield Finding(
                    Rule.SCALE,
                    f"{security}/{market}/{ticker}",
                    f"the middle strike is {strike}, the underlying's price {price}: one of them is not scaled as LEAN "
                    "reads it (strikes times 10,000, index prices as they are)",
                )


def _dearer_than_strikes(content: ZipContent, column: str) -> Iterator[Finding]:
    """Look for options that cost many times their strike."""
    file: DataFile = content.file
    if not file.security.is_option:
        return
    strikes = pl.Series([entry.contract.strike for entry in content.entries], dtype=content.rows.schema[column])
    dear = content.rows.filter(pl.col(column) > strikes.gather(content.rows["entry"]) * _FACTOR)
    for row in dear.head(1).iter_rows(named=True):
        entry = content.entries[row["entry"]]
        what = f"the option costs {row[column]}, at a strike of {entry.contract.strike}: it is scaled once too often"
        yield Finding(Rule.SCALE, f"{file.path}#{entry.name}", what)
