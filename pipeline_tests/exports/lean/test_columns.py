from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.exports.lean.columns import QUOTE_PRICES, cut, interest_lines, quote_lines, trade_lines
from pipeline_defs.exports.lean.kinds import Resolution, SecurityType
from pipeline_defs.exports.lean.lines import OpenInterest, Prices, QuoteBar, TradeBar, format_line
from pipeline_defs.schema.columns import PRICE
from pipeline_tests.exports.lean.slices import SESSIONS

IST = "Asia/Kolkata"
PRICES = st.tuples(*[st.decimals("-9999", "999999", allow_nan=False, places=4)] * 4)
BARS = st.lists(st.tuples(st.integers(0, 86_399), PRICES, st.integers(0, 10**9)), min_size=1, max_size=20)
SCHEMA = {"start": pl.Datetime("us"), **dict.fromkeys(("open", "high", "low", "close"), PRICE), "volume": pl.Int64()}


def midnight() -> dt.datetime:
    return dt.datetime.combine(SESSIONS[0], dt.time())


def in_zone(frame: pl.DataFrame) -> pl.DataFrame:
    stamp = pl.col("start").dt.replace_time_zone(IST).dt.convert_time_zone("UTC")
    return frame.with_columns(start=stamp, known=stamp, session_date=pl.lit(SESSIONS[0]))


def text_of(fields: pl.DataFrame) -> list[str]:
    whole = b"".join(bytes(part) for _, part in cut(fields, fields.select(pl.lit(1))))
    return whole.decode().splitlines()


@given(
    BARS,
    st.sampled_from([SecurityType.EQUITY, SecurityType.CRYPTO]),
    st.sampled_from([Resolution.MINUTE, Resolution.HOUR]),
)
def test_columns_are_written_as_the_lines_are(
    bars: list[tuple[int, tuple[Decimal, ...], int]], security: SecurityType, resolution: Resolution
) -> None:
    starts = [midnight() + dt.timedelta(seconds=at) for at, _, _ in bars]
    rows = [(start, *prices, volume) for start, (_, prices, volume) in zip(starts, bars, strict=True)]
    frame = in_zone(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    found = text_of(trade_lines(frame, resolution, IST, is_scaled=security.is_scaled))
    times: list[Decimal | dt.datetime] = [
        start.replace(second=0) if resolution.is_coarse else Decimal((start - midnight()).seconds * 1000)
        for start in starts
    ]
    expected = [
        TradeBar(time, Prices(*prices), Decimal(volume)) for time, (_, prices, volume) in zip(times, bars, strict=True)
    ]
    assert found == [format_line(line, security, resolution) for line in expected]


@given(st.lists(st.tuples(st.none() | PRICES, st.none() | PRICES, st.integers(1, 10**6)), min_size=1, max_size=20))
def test_quotes_are_written_as_the_lines_are_an_absent_side_as_empty_fields(
    bars: list[tuple[tuple[Decimal, ...] | None, tuple[Decimal, ...] | None, int]],
) -> None:
    schema = {**dict.fromkeys(QUOTE_PRICES, PRICE), "bid_size": pl.Int64(), "ask_size": pl.Int64()}
    nothing = (None,) * 4
    rows = [(*(bid or nothing), *(ask or nothing), size if bid else 0, size if ask else 0) for bid, ask, size in bars]
    frame = in_zone(pl.DataFrame(rows, schema=schema, orient="row").with_columns(start=pl.lit(midnight())))
    found = text_of(quote_lines(frame, Resolution.MINUTE, IST, is_scaled=True))
    expected = [
        QuoteBar(
            Decimal(0),
            Prices(*bid) if bid else None,
            Decimal(size if bid else 0),
            Prices(*ask) if ask else None,
            Decimal(size if ask else 0),
        )
        for bid, ask, size in bars
    ]
    assert found == [format_line(line, SecurityType.OPTION, Resolution.MINUTE) for line in expected]


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=5))
def test_open_interest_is_written_as_the_lines_are(values: list[int]) -> None:
    frame = in_zone(pl.DataFrame({"open_interest": values}).with_columns(start=pl.lit(midnight())))
    found = text_of(interest_lines(frame, Resolution.DAILY, IST))
    lines = [OpenInterest(midnight(), Decimal(value)) for value in values]
    assert found == [format_line(line, SecurityType.FUTURE, Resolution.DAILY) for line in lines]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=10), st.booleans())
def test_text_is_cut_where_the_key_changes_also_from_and_to_null(runs: list[int], starts_null: bool) -> None:  # noqa: FBT001 -- given by hypothesis
    keys = [None if (index % 2 == 0) == starts_null else index for index, run in enumerate(runs) for _ in range(run)]
    fields = pl.DataFrame({"a": range(len(keys)), "b": ["x"] * len(keys)})
    parts = [
        (first, bytes(text).decode())
        for first, text in cut(fields, pl.DataFrame({"key": keys}, schema={"key": pl.Int64}))
    ]
    assert "".join(text for _, text in parts) == "".join(f"{row},x\n" for row in range(len(keys)))
    assert [text.count("\n") for _, text in parts] == runs
    assert [int(text.split(",")[0]) for _, text in parts] == [first for first, _ in parts]


def test_nothing_is_cut_to_nothing() -> None:
    assert list(cut(pl.DataFrame({"a": []}), pl.DataFrame({"key": []}))) == []
