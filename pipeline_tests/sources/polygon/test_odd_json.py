"""JSON that no vendor should send: every oddity is refused by an error of ours."""

from __future__ import annotations

import pytest

from pipeline_defs.errors import SchemaDriftError
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.polygon.actions import _dividends, _splits
from pipeline_defs.sources.polygon.numbers import read_json
from pipeline_defs.sources.polygon.pages import _next_path, _read


def test_half_a_character_makes_a_reply_unreadable_and_a_whole_one_does_not() -> None:
    with pytest.raises(TryAgainError, match="unreadable"):
        read_json(rb'{"a": "\ud800"}', "page")
    assert read_json(rb'{"a": "\ud83d\ude00"}', "page") == {"a": "\U0001f600"}


def test_a_status_or_an_address_that_is_a_list_is_refused() -> None:
    with pytest.raises(TryAgainError):
        _read(b'{"status": ["OK"]}', 1, "bars")
    with pytest.raises(SchemaDriftError, match="next_url"):
        _next_path({"next_url": ["x"]}, 1, "bars")


def test_an_action_that_its_column_cannot_hold_is_refused_and_does_not_become_null() -> None:
    split = {"ticker": "GOOG", "execution_date": "2022-07-18", "split_from": "9223372036854775808", "split_to": "20"}
    with pytest.raises(SchemaDriftError, match="split_from"):
        _splits([split], "splits of GOOG")
    paid = {"ticker": "GOOG", "ex_dividend_date": "2024-06-10", "cash_amount": "1000000000000", "currency": "USD"}
    with pytest.raises(SchemaDriftError, match="cash_amount"):
        _dividends([paid], "dividends of GOOG")
