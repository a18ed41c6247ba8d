"""What an API source can be asked, and the one shape every answer has."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from pipeline_defs.schema.batches import CONTRACT_SCHEMA
from pipeline_defs.schema.columns import PRICE, SIZE, TIMESTAMP

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

ANSWER_SCHEMA: Final[dict[str, pl.DataType]] = {
    "timestamp": TIMESTAMP,
    "open": PRICE,
    "high": PRICE,
    "low": PRICE,
    "close": PRICE,
    "volume": SIZE,
    "open_interest": SIZE,
    "bid_price": PRICE,
    "bid_size": SIZE,
    "ask_price": PRICE,
    "ask_size": SIZE,
    "reason": pl.String(),
    "text": pl.String(),
}
"""One row per row of the reply, in its order; row k is line k + 1.

`timestamp` is when the observation was complete: the adapter has shifted a stamp of the bar's start, and given a daily
bar the close of its session. Columns that a source does not have are null. `reason` is set, and `text` shows the row,
where the adapter itself refuses it (a price that is no number, say); the shared rules judge all others.
"""


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a source can give for one table.

    Parameters
    ----------
    table : str
        One of `pipeline_defs.schema.tables.OBSERVATION_TABLES`.
    bar_seconds : int
        Length of the bars; 0 for ticks.
    max_days : int
        Calendar days that one request may cover.
    kinds : tuple of str
        Instrument kinds in it: OPT, FUT, SPOT, EQ or PAIR.
    delay_seconds : int, default 0
        How long after a session's close the source's answer is complete.
    history_days : int or None
        How far back it reaches; None without a limit.

    """

    table: str
    bar_seconds: int
    max_days: int
    kinds: tuple[str, ...]
    delay_seconds: int = 0
    history_days: int | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A vendor's rate limit.

    Parameters
    ----------
    requests : int
        At most so many,
    seconds : float
        in so long.
    group : str, default "history"
        Kind of request it is for.

    """

    requests: int
    seconds: float
    group: str = "history"


@dataclass(frozen=True, slots=True)
class Listed:
    """An instrument that is wanted, as the source calls it.

    Parameters
    ----------
    vendor_id : str
        What is asked for: a token, a ticker, a pair.
    terms : dict
        Columns of `CONTRACT_SCHEMA` but ``contract_key``; those that are missing are null.
    first_date, last_date : datetime.date or None
        Trade dates on which it is wanted, both inclusive; None is open.

    """

    vendor_id: str
    terms: dict[str, Any]
    first_date: dt.date | None = None
    last_date: dt.date | None = None

    def __post_init__(self) -> None:
        """Refuse terms that no contract has."""
        unknown = self.terms.keys() - CONTRACT_SCHEMA.keys() - {"contract_key"}
        if unknown:
            raise ValueError(f"terms {sorted(unknown)} are no columns of a contract")

    @property
    def symbol(self) -> str:
        """What the source calls it, for people."""
        return str(self.terms["symbol"])

    @property
    def kind(self) -> str:
        """OPT, FUT, SPOT, EQ or PAIR."""
        return str(self.terms["kind"])

    def is_wanted(self, trade_date: dt.date) -> bool:
        """Tell whether the instrument is wanted on a day; an expired contract is not."""
        expiry = self.terms.get("expiry")
        return (
            (self.first_date is None or trade_date >= self.first_date)
            and (self.last_date is None or trade_date <= self.last_date)
            and (expiry is None or trade_date <= expiry)
        )


@dataclass(frozen=True, slots=True)
class Window:
    """Trade dates that one request covers.

    Parameters
    ----------
    first, last : datetime.date
        Both inclusive.

    """

    first: dt.date
    last: dt.date

    def __str__(self) -> str:
        """Show one day, or from-to."""
        return str(self.first) if self.first == self.last else f"{self.first}..{self.last}"


@dataclass(frozen=True, slots=True)
class Question:
    """One request for history: one instrument, one dataset, one window.

    Parameters
    ----------
    source, version : str
        Adapter's name; version of what its answers mean.
    dataset : Dataset
        Which bars.
    listed : Listed
        Of what.
    window : Window
        When.
    start, end : datetime.datetime
        The window as instants, UTC: begin of its first and end of its last trade date, the latter exclusive.

    """

    source: str
    version: str
    dataset: Dataset
    listed: Listed
    window: Window
    start: dt.datetime
    end: dt.datetime

    @property
    def where(self) -> str:
        """Name it in messages: source, symbol, table, window."""
        return f"{self.source} {self.listed.symbol} {self.dataset.table} {self.window}"

    @property
    def digest(self) -> str:
        """Tell it from every other question."""
        return digest_of(
            self.source,
            self.version,
            self.dataset.table,
            self.dataset.bar_seconds,
            self.listed.vendor_id,
            self.listed.terms,
            str(self.window),
        )


class Action(NamedTuple):
    """One corporate action of the share that was asked about.

    Parameters
    ----------
    ex_date : datetime.date
        First session at the new price.
    kind : str
        ``split`` or ``dividend``.
    value : Decimal
        New shares for an old one, or currency a share; above zero.

    """

    ex_date: dt.date
    kind: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole: an adapter raises rather than give a part of it.

    Parameters
    ----------
    rows : polars.DataFrame
        `ANSWER_SCHEMA`; empty when the source says that it has nothing.
    note : str, default ""
        What else was said, for provenance: a plan's delay, an adjustment.
    actions : tuple of Action or None
        Of the window; None when the source was not asked for any, which is not the same as none.

    """

    rows: pl.DataFrame
    note: str = field(default="")
    actions: tuple[Action, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse rows of any other shape."""
        if self.rows.schema != pl.Schema(ANSWER_SCHEMA):
            raise ValueError(f"rows have {dict(self.rows.schema)}, expected {ANSWER_SCHEMA}")


def answer_rows(columns: Mapping[str, pl.Series | list[Any]]) -> pl.DataFrame:
    """Make the rows of an answer; columns that are not given are null.

    Parameters
    ----------
    columns : dict
        Some of `ANSWER_SCHEMA`, of equal length. Text and integers are read as decimals; floats must go through
        `exact` first.

    Returns
    -------
    polars.DataFrame
        `ANSWER_SCHEMA`.

    """
    frame = pl.DataFrame(columns)
    for name, dtype in frame.schema.items():
        if dtype.is_float():
            raise TypeError(f"column {name!r} holds floats: make them exact first")
    missing = [pl.lit(None).alias(name) for name in ANSWER_SCHEMA if name not in frame.columns]
    return frame.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in ANSWER_SCHEMA.items())


def digest_of(*parts: object) -> str:
    """Give the SHA-256 of values, in one canonical spelling."""
    text = json.dumps(parts, sort_keys=True, default=_spelled)
    return hashlib.sha256(text.encode()).hexdigest()


def _spelled(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return str(value)
