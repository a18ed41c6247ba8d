"""One stored partition as the checks see it: its session, its newest loads, and a tally of its rows by instrument.

The tally is one scan of the partition that counts, for every condition on a single row, how many rows meet it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import polars as pl

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets.session_tables import hours_on
from pipeline_defs.quality.specs import FUTURES, OPTIONS
from pipeline_defs.warehouse.transport import copy_out

if TYPE_CHECKING:
    import psycopg

    from pipeline_defs.markets.market import Market

IN_DAY: Final = """
    o."timestamp" >= %(start)s AND o."timestamp" <= %(end)s AND o.source = %(source)s
    AND (o."timestamp" > %(start)s OR o.bar_seconds = 0) AND (o."timestamp" < %(end)s OR o.bar_seconds > 0)
"""
"""Condition on an observation table called ``o``. Where a market trades at midnight, the bar that closes then belongs
to the day that ends, and the tick to the day that begins."""

CONDITIONS: Final = {
    # What the constraints of the tables let through, and what stands there should somebody have dropped them.
    "ohlc": """(o.open IS NULL) <> (o.high IS NULL) OR (o.high IS NULL) <> (o.low IS NULL) OR o.close <= 0
        OR o.close NOT BETWEEN o.low AND o.high OR o.open NOT BETWEEN o.low AND o.high
        OR (o.bar_seconds = 0 AND (o.open <> o.close OR o.high <> o.low))""",
    "duplicates": "o.bar_seconds > 0 AND o.sequence > 0",
    "outside_session": """NOT %(trades)s OR (o.bar_seconds < 86400 AND (o."timestamp" > %(close)s
        OR o."timestamp" < %(open)s OR (o."timestamp" = %(open)s AND o.bar_seconds > 0)))""",
    "zero_volume": "o.volume = 0 AND o.bar_seconds > 0 AND o.open IS NOT NULL",
    "crossed_quotes": "o.bid_price > o.ask_price AND o.ask_price > 0",
    "locked_quotes": "o.bid_price = o.ask_price AND o.bid_price > 0",
    "quoted": "o.bid_price > 0 AND o.ask_price > 0",
}
"""Conditions on a single row, each in SQL."""

_TALLY: Final = f"""
SELECT o.instrument_id, o.bar_seconds, count(*) AS rows,
       {", ".join(f"count(*) FILTER (WHERE {condition}) AS {name}" for name, condition in CONDITIONS.items())}
FROM {{table}} AS o WHERE {IN_DAY} GROUP BY o.instrument_id, o.bar_seconds ORDER BY o.instrument_id, o.bar_seconds
"""

TALLY_SCHEMA: Final[dict[str, pl.DataType]] = {
    "instrument_id": pl.Int32(),
    "bar_seconds": pl.Int32(),
    "rows": pl.Int64(),
    **dict.fromkeys(CONDITIONS, pl.Int64()),
}

# The terms in force on the trade date; a contract whose terms begin later or ended before is known all the same.
_INSTRUMENTS: Final = """
SELECT i.instrument_id, t.kind, t.symbol, t.underlying, coalesce(t.expiry, f.expiry) AS expiry,
       t.strike::float8 AS strike, t.option_type, coalesce(t.tick_size, 0.05)::float8 AS tick_size
FROM unnest(%(ids)s::integer[]) AS i (instrument_id)
CROSS JOIN LATERAL (
    SELECT * FROM instrument_terms AS t WHERE t.instrument_id = i.instrument_id
    ORDER BY t.valid_from <= %(trade_date)s AND t.valid_to > %(trade_date)s DESC, t.valid_from DESC LIMIT 1) AS t
LEFT JOIN continuous_contracts AS c ON c.instrument_id = i.instrument_id AND c.trade_date = %(trade_date)s
LEFT JOIN LATERAL (
    SELECT f.expiry FROM instrument_terms AS f WHERE f.instrument_id = c.contract_id
    ORDER BY f.valid_from <= %(trade_date)s AND f.valid_to > %(trade_date)s DESC, f.valid_from DESC LIMIT 1) AS f
    ON true
"""

INSTRUMENT_SCHEMA: Final[dict[str, pl.DataType]] = {
    "instrument_id": pl.Int32(),
    "kind": pl.String(),
    "symbol": pl.String(),
    "underlying": pl.String(),
    "expiry": pl.Date(),
    "strike": pl.Float64(),
    "option_type": pl.String(),
    "tick_size": pl.Float64(),
}

_LOADS: Final = """
SELECT DISTINCT ON (bar_seconds, underlying, window_start IS NULL) load_id
FROM loads WHERE dataset = %(dataset)s AND source = %(source)s AND trade_date = %(trade_date)s
    AND committed_at < 'infinity'
ORDER BY bar_seconds, underlying, window_start IS NULL, load_id DESC
"""


@dataclass(frozen=True)
class Day:
    """A partition, read through one connection whose snapshot all its checks share.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction that sees one state.
    dataset, source : str
        Observation table; adapter.
    trade_date : datetime.date
        Day of the market.
    market : Market
        Whose sessions are meant.
    now : datetime.datetime
        UTC; what is due is decided by it.

    """

    connection: psycopg.Connection
    dataset: str
    source: str
    trade_date: dt.date
    market: Market
    now: dt.datetime

    def session(self, day: dt.date) -> tuple[dt.datetime, dt.datetime] | None:
        """Give open and close of the dataset's session on a day, UTC; None when its market is closed."""
        if self.market.name != "NSE":
            closed = self.market.closed_reason(day) is not None
            return None if closed else (self.market.open(day), self.market.close(day))
        hours = hours_on(day, "FO" if self.dataset in {OPTIONS, FUTURES} else "CM")
        if hours is None:
            return None
        midnight = self.market.bounds(day)[0]
        opens, closes = (
            midnight + dt.timedelta(hours=time.hour, minutes=time.minute) for time in (hours.open, hours.close)
        )
        return opens, closes

    @cached_property
    def hours(self) -> tuple[dt.datetime, dt.datetime] | None:
        """The partition's own session; None when the market was closed, or its calendar does not reach."""
        try:
            return self.session(self.trade_date)
        except MarketRuleError:
            return None

    @property
    def minutes(self) -> float:
        """Length of the session; 0 without one."""
        return 0.0 if self.hours is None else (self.hours[1] - self.hours[0]).total_seconds() / 60

    def clock(self, instant: dt.datetime) -> str:
        """Write an instant as the market's clock shows it."""
        return f"{instant.astimezone(ZoneInfo(self.market.zone)):%H:%M}"

    @property
    def is_over(self) -> bool:
        """Whether the session has closed, so that all of it can be expected."""
        return self.hours is None or self.hours[1] <= self.now

    def parameters(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401 -- values of any SQL type
        """Bind the partition, and more, into a statement."""
        start, end = self.market.bounds(self.trade_date)
        opens, closes = self.hours or (start, end)
        return {
            "dataset": self.dataset,
            "source": self.source,
            "trade_date": self.trade_date,
            "start": start,
            "end": end,
            "trades": self.hours is not None,
            "open": opens,
            "close": closes,
            **more,
        }

    def statement(self, template: str) -> bytes:
        """Insert the table's name, which is one of our own, where a template says ``{table}``."""
        return template.replace("{table}", self.dataset).encode()

    def ask(self, template: str, **more: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 -- values of any SQL type
        """Run a query over the partition and give its rows."""
        return self.connection.execute(self.statement(template), self.parameters(**more)).fetchall()

    def read(self, template: str, schema: dict[str, pl.DataType], **more: Any) -> pl.DataFrame:  # noqa: ANN401
        """Run a query over the partition and give a frame."""
        query = self.statement(template).decode()
        return copy_out(self.connection, query, schema, self.parameters(**more))

    @cached_property
    def load_ids(self) -> list[int]:
        """The newest load of each resolution and restriction; a stream's last part stands for those before it."""
        return sorted(load_id for (load_id,) in self.ask(_LOADS))

    @cached_property
    def tally(self) -> pl.DataFrame:
        """Rows by instrument and resolution, and how many meet each condition: `TALLY_SCHEMA`."""
        return pl.DataFrame(self.ask(_TALLY), schema=TALLY_SCHEMA, orient="row")

    @cached_property
    def instruments(self) -> pl.DataFrame:
        """What the instruments of the partition were on its date: `INSTRUMENT_SCHEMA`."""
        ids = self.tally["instrument_id"].unique().to_list()
        return pl.DataFrame(self.ask(_INSTRUMENTS, ids=ids), schema=INSTRUMENT_SCHEMA, orient="row")
