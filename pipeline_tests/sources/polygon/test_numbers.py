"""Numbers of the vendor's JSON, whatever they look like."""

from __future__ import annotations

import json
from decimal import Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.markets.market import market
from pipeline_defs.sources.asking.exact import prices_of, sizes_of
from pipeline_defs.sources.asking.questions import ANSWER_SCHEMA
from pipeline_defs.sources.polygon.bars import bar_rows
from pipeline_defs.sources.polygon.numbers import plain, read_json

_DECIMALS = st.decimals(min_value=-(10**11), max_value=10**11, places=8, allow_nan=False, allow_infinity=False)
_SPELLINGS = (
    lambda number: format(number, "f"),
    lambda number: f"{number:.20e}",
    lambda number: f"{number:.20E}",
    lambda number: format(number.normalize(), "f"),
    lambda number: format(number, "f") + "000",
)
_ODD = st.one_of(st.none(), st.booleans(), st.text(max_size=8), st.integers(), st.floats(), _DECIMALS.map(float))


@given(st.lists(st.tuples(_DECIMALS, st.sampled_from(_SPELLINGS)), max_size=20))
def test_a_number_is_the_same_however_it_is_spelled(numbers: list[tuple[Decimal, object]]) -> None:
    texts = pl.Series([spell(number) for number, spell in numbers], dtype=pl.String)  # type: ignore[operator]
    wanted = [number for number, _ in numbers]
    assert prices_of(plain(texts)).to_list() == wanted
    assert sizes_of(plain(texts)).to_list() == wanted


@given(st.lists(st.text(max_size=12), max_size=20))
def test_what_is_no_number_never_becomes_one(texts: list[str]) -> None:
    read = prices_of(plain(pl.Series(texts, dtype=pl.String))).to_list()
    for text, value in zip(texts, read, strict=True):
        assert value is None or value == Decimal(text)


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(("t", "o", "h", "l", "c", "v", "vw", "n"), _ODD))))
def test_rows_of_any_values_give_as_many_rows_each_read_or_refused(rows: list[dict[str, object]]) -> None:
    good = {"t": 1705415400000, "o": 1.5, "h": 2, "l": 1, "c": 1.25, "v": 7}
    body = read_json(json.dumps({"results": [good, *rows]}).encode(), "test")
    frame = bar_rows(body["results"], 60, market("US"), "test", has_volume=True)
    assert frame.schema == pl.Schema(ANSWER_SCHEMA)
    assert frame.height == len(rows) + 1
    assert frame["reason"][0] is None
    assert frame.row(0)[1:6] == tuple(map(Decimal, ("1.5", "2", "1", "1.25", "7")))
    clear = frame.filter(pl.col("reason").is_null()).select("timestamp", "open", "high", "low", "close")
    assert clear.null_count().sum_horizontal().item() == 0
    assert (frame["reason"].is_null() == frame["text"].is_null()).all()
