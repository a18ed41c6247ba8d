"""Trades and quotes of one day, page by page.

A page holds at least 1000 ticks, and all of the last second that it holds: the next one begins a second later. Ticks of
one second are told apart by their order alone. A trade carries the quote that stood when its second began: which quotes
of the same second came first, IB does not say.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.sources.asking.exact import prices_of
from pipeline_defs.sources.asking.questions import Answer, answer_rows
from pipeline_defs.sources.interactive_brokers.bars import read_sizes, utc_text
from pipeline_defs.sources.interactive_brokers.contracts import Target
from pipeline_defs.sources.interactive_brokers.replies import QUOTE_FIELDS, TRADE_FIELDS, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.sources.asking.questions import Question
    from pipeline_defs.sources.interactive_brokers.session import Reply

TRADES: Final = "TRADES"
QUOTES: Final = "BID_ASK"
PAGE: Final = 1_000
TURNS: Final = {TRADES: 1, QUOTES: 2}
"""How often a page counts against IB's limit."""

MAX_PAGES: Final = 20_000
_SECOND: Final = dt.timedelta(seconds=1)
_INSTANT: Final = r"^[0-9]{9,11}$"


def read_all(
    question: Question, what: str, now: dt.datetime, ask: Callable[[Callable[[Any, int], None], int], Reply]
) -> pl.DataFrame:
    """Read every tick of a question's window.

    Parameters
    ----------
    question : Question
        One instrument and day.
    what : str
        `TRADES` or `QUOTES`.
    now : datetime.datetime
        UTC: there is nothing later.
    ask : callable
        Sends a request (which takes the client and a number), after so many turns under the limit.

    Returns
    -------
    polars.DataFrame
        Text, with the column ``instant``; rows whose time cannot be read have none.

    Raises
    ------
    SourceError
        If the pages do not advance.

    """
    names = TRADE_FIELDS if what == TRADES else QUOTE_FIELDS
    end = min(question.end, now)
    begin = question.start
    pages = [pl.DataFrame(schema={**dict.fromkeys(names, pl.String()), "instant": TIMESTAMP})]
    for _ in range(MAX_PAGES):
        if begin >= end:
            break
        reply = ask(_send(question, what, begin), TURNS[what])
        if reply.rows is None or reply.rows.is_empty():
            break
        page = reply.rows.with_columns(_instants(reply.rows["time"]).alias("instant"))
        latest = page["instant"].max()
        if not isinstance(latest, dt.datetime) or latest < begin:
            raise SourceError(
                f"a page of ticks from {begin} on ends at {latest!s}",
                where=question.where,
                next_step="nothing was stored; if it happens again, report it with this message",
            )
        pages.append(page.filter((pl.col("instant") < end).fill_null(value=True)))
        begin = latest + _SECOND
    else:
        raise SourceError(f"more than {MAX_PAGES} pages of ticks on one day", where=question.where)
    return pl.concat(pages)


def read_ticks(trades: pl.DataFrame, quotes: pl.DataFrame, question: Question) -> Answer:
    """Make the answer of a day's trades and quotes.

    Parameters
    ----------
    trades, quotes : polars.DataFrame
        As `read_all` gives them.
    question : Question
        What was asked.

    Returns
    -------
    Answer
        One row per trade.

    """
    target = Target.read(question.listed.vendor_id)
    standing = quotes.select(
        "instant",
        _quoted(quotes["bid_price"]),
        _quoted(quotes["ask_price"]),
        read_sizes(quotes["bid_size"], target)[1].alias("bid_size"),
        read_sizes(quotes["ask_size"], target)[1].alias("ask_size"),
    ).filter(pl.col("instant").is_not_null())
    price = prices_of(plain(trades["price"]))
    texts, volume = read_sizes(trades["size"], target)
    rows = trades.select("instant").with_row_index("place").with_columns(price=price, volume=volume)
    quoted = (
        rows.sort("instant", maintain_order=True)
        .join_asof(standing.sort("instant", maintain_order=True), on="instant", allow_exact_matches=False)
        .sort("place")
    )
    reason = quoted.with_columns(bad_size=texts.is_not_null() & volume.is_null()).select(
        pl.when(pl.col("instant").is_null())
        .then(pl.lit("bad_time"))
        .when(pl.col("price").is_null())
        .then(pl.lit("bad_price"))
        .when("bad_size")
        .then(pl.lit("bad_quantity"))
        .otherwise(pl.lit(None, pl.String()))
        .alias("reason")
    )["reason"]
    shown = trades.select(pl.concat_str(TRADE_FIELDS, separator=",").alias("text"))["text"]
    return Answer(
        answer_rows(
            {
                "timestamp": quoted["instant"],
                **dict.fromkeys(("open", "high", "low", "close"), quoted["price"]),
                **{name: quoted[name] for name in ("volume", "bid_price", "bid_size", "ask_price", "ask_size")},
                "reason": reason,
                "text": shown.set(reason.is_null(), None),
            }
        )
    )


def _send(question: Question, what: str, begin: dt.datetime) -> Callable[[Any, int], None]:
    contract = Target.read(question.listed.vendor_id).contract(question.listed.kind)

    def send(client: Any, number: int) -> None:  # noqa: ANN401 -- the client's own class
        client.reqHistoricalTicks(
            number,
            contract,
            utc_text(begin),
            "",
            PAGE,
            what,
            True,  # noqa: FBT003 -- regular hours only; the client takes it by place
            False,  # noqa: FBT003 -- quotes whose sizes alone changed as well
            [],
        )

    return send


def _quoted(texts: pl.Series) -> pl.Series:
    """Read the price of a quote; 0 and -1 say that nobody quotes."""
    prices = prices_of(plain(texts))
    return prices.set((prices <= 0).fill_null(value=False), None)


def _instants(times: pl.Series) -> pl.Series:
    seconds = times.set(~times.str.contains(_INSTANT), None).cast(pl.Int64)
    return pl.from_epoch(seconds, time_unit="s").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(TIMESTAMP)
