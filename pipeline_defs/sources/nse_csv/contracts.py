"""Names and columns to contracts: one row per identity, however many spellings it has in the input.

How a name reads is the business of `pipeline_defs.markets.tickers`; here each distinct name is asked
once, and what no rule or grammar knows becomes a reason.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import TickerError
from pipeline_defs.markets.tickers.grammars import parse_many
from pipeline_defs.schema.batches import CONTRACT_SCHEMA
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.schema.tables import table_for
from pipeline_defs.sources.nse_csv.reasons import BAD_TICKER, EXPIRED_CONTRACT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_defs.markets.tickers.contract import Contract
    from pipeline_defs.markets.tickers.grammars import Grammar

CURRENCY: Final = "INR"

_BEFORE_ANY_CONTRACT: Final = dt.date(1994, 1, 1)

TERMS: Final[dict[str, pl.DataType]] = {
    **{name: dtype for name, dtype in CONTRACT_SCHEMA.items() if name != "contract_key"},
    "table": pl.String(),
}
"""What is known of a contract before it has a key, and the table of its observations."""

IDENTITY: Final = ("kind", "underlying", "expiry", "strike", "option_type", "rank", "series", "venue")
"""Two names with equal identity are one contract."""


def read_tickers(
    tickers: Sequence[str], expiries: pl.Series | None, *, grammar: Grammar, trade_date: dt.date, bar_seconds: int
) -> pl.DataFrame:
    """Read distinct tickers.

    Parameters
    ----------
    tickers : sequence of str
        As delivered.
    expiries : polars.Series or None
        Expiry of each, where the file says so; it wins over name and rule.
    grammar : str
        How the layout writes tickers.
    trade_date : datetime.date
        The day on which the names were used.
    bar_seconds : int
        Resolution, which decides the table of shares.

    Returns
    -------
    polars.DataFrame
        `TERMS` and ``reason``; row k belongs to ticker k. Terms are null where the reason is ``bad_ticker``.

    """
    said: Sequence[dt.date | None] = [None] * len(tickers) if expiries is None else expiries.to_list()
    rows = [
        _terms(contract, expiry, trade_date, bar_seconds)
        for contract, expiry in zip(_parse(list(tickers), grammar, trade_date), said, strict=True)
    ]
    # Strikes go in as text: from Decimal objects polars loads NumPy, which takes longer than all the rest here.
    as_text = TERMS | {"strike": pl.String(), "reason": pl.String()}
    return pl.DataFrame(rows, schema=as_text, orient="row").with_columns(pl.col("strike").cast(PRICE))


def unify(terms: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Merge rows of terms that mean the same contract.

    Parameters
    ----------
    terms : polars.DataFrame
        `TERMS`.

    Returns
    -------
    tuple of (polars.DataFrame, polars.Series)
        `TERMS` without repeats, in order of first appearance and each completed from the others; and for
        each row of the input its position in them (UInt32).

    """
    facts = [name for name in TERMS if name not in IDENTITY]
    merged = terms.group_by(IDENTITY, maintain_order=True).agg(pl.col(name).drop_nulls().first() for name in facts)
    if merged.height == terms.height:
        return terms.select(list(TERMS)), pl.int_range(terms.height, dtype=pl.UInt32(), eager=True)
    numbered = merged.select(*IDENTITY, pl.int_range(pl.len(), dtype=pl.UInt32()).alias("position"))
    positions = terms.select(IDENTITY).join(numbered, on=IDENTITY, how="left", nulls_equal=True, maintain_order="left")
    return merged.select(list(TERMS)), positions["position"]


def _parse(tickers: list[str], grammar: Grammar, trade_date: dt.date) -> list[Contract | TickerError]:
    """Read names; the grammars refuse an expired contract, so ask for those again as of an early day."""
    readings = parse_many(tickers, grammar, trade_date)
    failed = [position for position, reading in enumerate(readings) if isinstance(reading, TickerError)]
    retried = parse_many([tickers[position] for position in failed], grammar, _BEFORE_ANY_CONTRACT)
    for position, reading in zip(failed, retried, strict=True):
        readings[position] = reading
    return readings


def _terms(
    contract: Contract | TickerError, said_expiry: dt.date | None, trade_date: dt.date, bar_seconds: int
) -> tuple[Any, ...]:
    if isinstance(contract, TickerError):
        return (*[None] * len(TERMS), BAD_TICKER)
    expiry = said_expiry or contract.expiry
    values: dict[str, Any] = {
        "kind": contract.kind,
        "symbol": contract.ticker,
        "underlying": contract.underlying,
        "expiry": expiry,
        "strike": None if contract.strike is None else format(contract.strike, "f"),
        "option_type": contract.option_type,
        "rank": contract.rank,
        "series": contract.series,
        "venue": contract.venue,
        "currency": CURRENCY,
        "table": table_for(contract.kind, bar_seconds),
    }
    is_expired = expiry is not None and expiry < trade_date
    return (*(values.get(name) for name in TERMS), EXPIRED_CONTRACT if is_expired else None)
