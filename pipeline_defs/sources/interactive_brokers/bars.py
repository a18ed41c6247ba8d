"""Bars of one request: how it is put, and what its rows mean.

IB stamps a bar with its begin: seconds since 1970 for parts of a day, ``YYYYMMDD`` for days. It counts back from an end
by "days" that are its own, so it may give more than was asked for; what lies before the window is left out, and the
note of the answer says how much.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.schema.tables import DAY
from pipeline_defs.sources.asking.exact import prices_of, sizes_of
from pipeline_defs.sources.asking.questions import Answer, answer_rows
from pipeline_defs.sources.interactive_brokers.contracts import Target
from pipeline_defs.sources.interactive_brokers.replies import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline_defs.markets.market import Market
    from pipeline_defs.sources.asking.questions import Dataset, Question

SHOWN: Final = "TRADES"
SIZES: Final = {
    60: "1 min",
    120: "2 mins",
    180: "3 mins",
    300: "5 mins",
    600: "10 mins",
    900: "15 mins",
    1_200: "20 mins",
    1_800: "30 mins",
    3_600: "1 hour",
    7_200: "2 hours",
    10_800: "3 hours",
    14_400: "4 hours",
    28_800: "8 hours",
    DAY: "1 day",
}
"""Lengths of bars that TWS gives for a whole day, in its words."""

_NOON: Final = dt.time(12)
_SECOND: Final = dt.timedelta(seconds=1)
_INSTANT: Final = r"^[0-9]{9,11}$"
_DATE: Final = r"^[0-9]{8}$"
_UNSET: Final = (
    "",
    "-1",
    "-1.0",
    "2147483647",
    "9223372036854775807",
    "-9223372036854775808",
    "1.7976931348623157E308",
)
"""How TWS writes that it does not know a volume."""


def check_size(dataset: Dataset) -> None:
    """Refuse bars of a length that TWS does not give.

    Raises
    ------
    ConfigurationError
        Naming the lengths that it does.

    """
    if dataset.bar_seconds not in SIZES:
        raise ConfigurationError(
            f"TWS gives no bars of {dataset.bar_seconds} s for a whole day; it gives: {', '.join(SIZES.values())}",
            where=f"universe, interactive_brokers, bars of {dataset.table}",
            next_step="name one of these",
        )


def send_bars(question: Question, now: dt.datetime, market: Market) -> Callable[[Any, int], None]:
    """Give what sends the request for a question's bars.

    Parameters
    ----------
    question : Question
        One instrument and window.
    now : datetime.datetime
        UTC: TWS is not asked for an end that lies in the future.
    market : Market
        Whose days the window's are.

    Returns
    -------
    callable
        Takes the client and the request's number.

    """
    check_size(question.dataset)
    contract = Target.read(question.listed.vendor_id).contract(question.listed.kind)
    day_end = market.bounds(question.window.last)[1]
    # At midnight the next day would be meant. Within a day TWS cuts the bar that an end falls into: none may be cut.
    last = min(question.end if question.end < day_end else day_end - _SECOND, now)
    days = (question.window.last - question.window.first).days + 1

    def send(client: Any, number: int) -> None:  # noqa: ANN401 -- the client's own class
        client.reqHistoricalData(
            number,
            contract,
            utc_text(last),
            f"{days} D",
            SIZES[question.dataset.bar_seconds],
            SHOWN,
            True,  # noqa: FBT003 -- regular hours only; the client takes it by place
            2,
            False,  # noqa: FBT003 -- and nothing after the answer
            [],
        )

    return send


def utc_text(instant: dt.datetime) -> str:
    """Write an instant so that TWS does not read it in a zone of its own."""
    return f"{instant.astimezone(dt.UTC):%Y%m%d %H:%M:%S} UTC"


def cancel_bars(client: Any, number: int) -> None:  # noqa: ANN401 -- the client's own class
    """Tell TWS that nobody waits for the bars any longer."""
    client.cancelHistoricalData(number)


def read_bars(rows: pl.DataFrame, question: Question, market: Market) -> Answer:
    """Make the answer of the rows that TWS sent.

    Parameters
    ----------
    rows : polars.DataFrame
        `replies.BAR_FIELDS`, as text.
    question : Question
        What was asked.
    market : Market
        Whose sessions give a daily bar its close.

    Returns
    -------
    Answer

    """
    is_daily = question.dataset.bar_seconds >= DAY
    ends = _closes(rows["date"], market) if is_daily else _ends(rows["date"], question.dataset.bar_seconds)
    begins = ends if is_daily else ends - dt.timedelta(seconds=question.dataset.bar_seconds)
    inside = (begins >= question.start).fill_null(value=True)
    rows, ends = rows.filter(inside), ends.filter(inside)
    prices = {name: prices_of(plain(rows[name])) for name in ("open", "high", "low", "close")}
    texts, volume = read_sizes(rows["volume"], Target.read(question.listed.vendor_id))
    if question.listed.kind == "SPOT":
        volume = volume.clear(len(volume))  # nobody trades an index: its zero means nothing
    frame = rows.with_columns(
        ends.alias("ends"),
        _any_null(prices),
        (texts.is_not_null() & volume.is_null() & (question.listed.kind != "SPOT")).alias("bad_size"),
    )
    reason = frame.select(
        pl.when(pl.col("ends").is_null())
        .then(pl.lit("bad_time"))
        .when("bad_price")
        .then(pl.lit("bad_price"))
        .when("bad_size")
        .then(pl.lit("bad_quantity"))
        .otherwise(pl.lit(None, pl.String()))
        .alias("reason")
    )["reason"]
    shown = rows.select(pl.concat_str(pl.all(), separator=",").alias("text"))["text"]
    unread = shown.set(reason.is_null(), None)
    left_out = int((~inside).sum())
    return Answer(
        answer_rows({"timestamp": ends, **prices, "volume": volume, "reason": reason, "text": unread}),
        f"{left_out} bars before the window were left out" if left_out else "",
    )


def read_sizes(texts: pl.Series, target: Target) -> tuple[pl.Series, pl.Series]:
    """Read volumes or sizes, in units.

    Parameters
    ----------
    texts : polars.Series
        IB's decimals, of contracts.
    target : Target
        Whose multiplier turns them into units.

    Returns
    -------
    tuple of polars.Series
        The texts, null where IB says that it does not know; and the numbers, null as well where there is none, or no
        whole one: a TWS that counts shares by the hundred writes 34906.45, which no part of a share can be told from.

    """
    known = texts.set(texts.is_in(_UNSET), None)
    sizes = sizes_of(plain(known))
    sizes = sizes.set((sizes % 1 != 0).fill_null(value=False), None)
    if target.multiplier == 1:
        return known, sizes
    if target.multiplier != target.multiplier.to_integral_value():
        # Parts of a unit in one contract: there is no whole number of units to store.
        return known.clear(len(known)), sizes.clear(len(sizes))
    times = int(target.multiplier)
    return known, pl.DataFrame([sizes.alias("size")]).select((pl.col("size") * times).cast(sizes.dtype))["size"]


def _any_null(prices: dict[str, pl.Series]) -> pl.Series:
    return pl.DataFrame(prices).select(pl.any_horizontal(pl.all().is_null()).alias("bad_price"))["bad_price"]


def _ends(dates: pl.Series, seconds: int) -> pl.Series:
    begins = dates.set(~dates.str.contains(_INSTANT), None).cast(pl.Int64)
    ends = pl.from_epoch(begins + seconds, time_unit="s")
    return ends.cast(pl.Datetime("us")).dt.replace_time_zone("UTC").cast(TIMESTAMP)


def _closes(dates: pl.Series, market: Market) -> pl.Series:
    days = dates.set(~dates.str.contains(_DATE), None).str.to_date("%Y%m%d", strict=False)
    known: Sequence[dt.date] = days.drop_nulls().unique().to_list()
    closes = pl.DataFrame(
        {"day": known, "close": [_close(day, market) for day in known]}, schema={"day": pl.Date(), "close": TIMESTAMP}
    )
    return pl.DataFrame({"day": days}).join(closes, on="day", how="left", maintain_order="left")["close"]


def _close(day: dt.date, market: Market) -> dt.datetime:
    """Give a session's close; of a day that was none its noon, by which the shared rules refuse it."""
    first, last = market.covered
    if first <= day <= last and market.closed_reason(day) is None:
        return market.close(day)
    return dt.datetime.combine(day, _NOON, dt.UTC)
