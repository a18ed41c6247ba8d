"""Rows of LEAN's symbol properties: currency, multiplier, price step and lot.

LEAN's own file has three rows for India, whose columns are shifted by one, and none for its options. Quantities and
volumes of an export are units, so the multiplier is 1 and the lot is the exchange's: an order of 75 is one lot of 75,
and profit is price times quantity, as in every other engine this project exports to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.exports.lean.entries import plain_text
from pipeline_defs.exports.lean.kinds import LeanFormatError, SecurityType
from pipeline_defs.exports.lean.lines import NUMBER

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROPERTIES_PATH: Final = "symbol-properties/symbol-properties-database.csv"

PROPERTIES_HEADER: Final = (
    "market,symbol,type,description,quote_currency,contract_multiplier,minimum_price_variation,lot_size,market_ticker,"
    "minimum_order_size,price_magnifier,strike_multiplier"
)

WILDCARD: Final = "[*]"

HAS_DEFAULTS: Final = frozenset({SecurityType.EQUITY, SecurityType.INDEX, SecurityType.FOREX, SecurityType.CFD})
"""Security types that LEAN does with its defaults for (multiplier 1, step 0.01, lot 1) when there is no row."""

_DERIVATIVE_STEP: Final = "0.05"
_STEP: Final = "0.01"
_FRACTION_STEP: Final = "0.00000001"

_NUMBER_PATTERN: Final = rf"{NUMBER}(?:[eE][-+]?[0-9]+)?"
_FEWEST_FIELDS: Final = 8


@dataclass(frozen=True, slots=True)
class PropertiesRow:
    """A row; `text` is the whole line."""

    market: str
    symbol: str
    security: str
    text: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What LEAN looks a row up by, without regard to case."""
        return self.market.lower(), self.symbol.lower(), self.security.lower()


def properties_rows(named: pl.DataFrame) -> tuple[list[str], list[str]]:
    """Write a row for every symbol of an export.

    Parameters
    ----------
    named : polars.DataFrame
        Of `pipeline_defs.exports.lean.symbols.with_symbols`.

    Returns
    -------
    tuple of list of str
        Rows, sorted, and notes on what had to be assumed.

    """
    rows, notes = [], []
    symbols = named.group_by("market", "ticker", "security", maintain_order=True).agg(
        pl.col("lot_size").drop_nulls().unique().sort(),
        pl.col("tick_size").drop_nulls().unique().sort(),
        pl.col("kind", "venue", "underlying", "currency", "base_currency").first(),
    )
    for symbol in symbols.sort("market", "security", "ticker").iter_rows(named=True):
        rows.append(_row(symbol))
        notes += _notes(symbol)
    return rows, notes


def read_rows(text: str) -> list[PropertiesRow]:
    """Read a file of symbol properties.

    Parameters
    ----------
    text : str
        Of the file.

    Returns
    -------
    list of PropertiesRow
        In the order of the file, without comments.

    Raises
    ------
    LeanFormatError
        If a row has fewer than eight fields, or a multiplier, step or lot that is no number.

    """
    rows: list[PropertiesRow] = []
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in lines[1:]:
        fields = line.split(",")
        if len(fields) < _FEWEST_FIELDS or not all(re.fullmatch(_NUMBER_PATTERN, field) for field in fields[5:8]):
            raise LeanFormatError(f"is not a row of symbol properties: {line!r}", where=PROPERTIES_PATH)
        rows.append(PropertiesRow(fields[0], fields[1], fields[2], line))
    return rows


def find_row(rows: Iterable[PropertiesRow], security: SecurityType, market: str, ticker: str) -> PropertiesRow | None:
    """Look a row up as LEAN does: by the ticker, then by the market.

    Parameters
    ----------
    rows : iterable of PropertiesRow
        Of the file.
    security : SecurityType
        Of the symbol.
    market, ticker : str
        Of the symbol.

    Returns
    -------
    PropertiesRow or None

    """
    by_key: Mapping[tuple[str, str, str], PropertiesRow] = {row.key: row for row in rows}
    securities = [security.value]
    if security is SecurityType.FUTURE_OPTION:
        securities.append(SecurityType.FUTURE.value)
    keys = [(market, symbol, name) for name in securities for symbol in (ticker, WILDCARD)]
    return next((by_key[key] for key in keys if key in by_key), None)


def _row(symbol: dict[str, Any]) -> str:
    is_derivative = symbol["kind"] in {"OPT", "FUT"}
    steps = symbol["tick_size"]
    step = plain_text(min(steps)) if steps else _DERIVATIVE_STEP if is_derivative else _STEP
    lot = str(gcd(*symbol["lot_size"])) if symbol["lot_size"] else "1"
    ticker = symbol["ticker"].upper()
    description, market_ticker = f"{symbol['underlying']} {symbol['security']}", ""
    if symbol["kind"] == "PAIR":
        # LEAN takes the base currency to be what is left of the ticker without the quote currency.
        description, market_ticker = f"{symbol['base_currency']}/{symbol['currency']}", ticker
        step = plain_text(min(steps)) if steps else _FRACTION_STEP
        lot = lot if symbol["lot_size"] else _FRACTION_STEP
    fields = (
        symbol["market"],
        ticker,
        symbol["security"],
        description,
        symbol["currency"],
        "1",
        step,
        lot,
        market_ticker,
    )
    return ",".join(fields)


def _notes(symbol: dict[str, Any]) -> list[str]:
    notes, name = [], f"{symbol['security']} {symbol['ticker'].upper()}"
    lots, is_derivative = symbol["lot_size"], symbol["kind"] in {"OPT", "FUT"}
    if len(lots) > 1:
        notes.append(
            f"contracts of {name} have lots of {' and '.join(str(lot) for lot in lots)}, but LEAN knows one lot a "
            f"symbol: the row says {gcd(*lots)}, so that no right order is rounded"
        )
    if is_derivative and not lots:
        notes.append(f"the lot of {name} is not known: the row says 1")
    if not symbol["tick_size"] and symbol["kind"] == "PAIR":
        notes.append(f"the price step of {name} is not known: the row says {_FRACTION_STEP}")
    return notes
