from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from pipeline_defs.exports.backtrader.naming import bar_length, with_names
from pipeline_defs.exports.backtrader.settlement import settlement_notes, with_settlements
from pipeline_defs.schema.columns import PRICE, TIMESTAMP
from pipeline_defs.schema.exports import SETTLEMENT_SCHEMA
from pipeline_tests.exports.backtrader.slices import (
    MONTHLY,
    SESSIONS,
    bars_of,
    close_of,
    instrument,
    make_slice,
    option,
)

END = close_of(SESSIONS[1])
CLOSE = Decimal("24561.35")


def settled(
    instruments: list[dict[str, object]], closes: dict[dt.datetime, Decimal], official: pl.DataFrame | None = None
) -> pl.DataFrame:
    frames = [bars_of(int(str(row["instrument_id"])), "100", minutes=1) for row in instruments]
    market = make_slice(instruments, frames, settlements=official)
    named = with_names(market.instruments, bar_length(60))
    bars = pl.DataFrame(
        {"timestamp": list(closes), "close": list(closes.values())}, schema={"timestamp": TIMESTAMP, "close": PRICE}
    )
    return with_settlements(named, bars, market).sort("instrument_id")


@pytest.mark.parametrize(
    ("strike", "right", "worth"),
    [
        ("24500", "CE", "61.35"),
        ("24500", "PE", "0"),
        ("24600.5", "PE", "39.15"),
        ("24600.5", "CE", "0"),
        ("24561.35", "CE", "0"),
        ("24561.35", "PE", "0"),
    ],
)
def test_an_option_is_worth_its_intrinsic_value(strike: str, right: str, worth: str) -> None:
    frame = settled([option(1, strike, right)], {END: CLOSE})
    assert frame["settlement_price"].to_list() == [Decimal(worth)]
    assert frame["underlying_close"].to_list() == [CLOSE]
    assert frame["underlying_timestamp"].to_list() == [END]


def test_a_future_is_worth_the_close_of_its_underlying_even_below_zero() -> None:
    future = instrument(1, "FUT", expiry=SESSIONS[1])
    assert settled([future], {END: CLOSE})["settlement_price"].to_list() == [CLOSE]
    assert settled([future], {END: Decimal("-37.63")})["settlement_price"].to_list() == [Decimal("-37.63")]


def test_the_last_close_up_to_the_expiry_counts_and_a_later_one_does_not() -> None:
    closes = {
        END - dt.timedelta(minutes=2): Decimal(24000),
        END - dt.timedelta(minutes=1): Decimal(24501),
        END + dt.timedelta(minutes=1): Decimal(30000),
    }
    frame = settled([option(1, "24500", "CE")], closes)
    assert frame["settlement_price"].to_list() == [Decimal(1)]
    assert frame["underlying_timestamp"].to_list() == [END - dt.timedelta(minutes=1)]


def test_each_expiry_is_settled_on_its_own_day() -> None:
    closes = {close_of(SESSIONS[0]): Decimal(24510), END: Decimal(24520)}
    frame = settled([option(1, "24500", "CE", SESSIONS[0]), option(2, "24500", "CE")], closes)
    assert frame["settlement_price"].to_list() == [Decimal(10), Decimal(20)]


def test_a_close_of_the_day_before_settles_nothing() -> None:
    frame = settled([option(1, "24500", "CE")], {close_of(SESSIONS[0]): CLOSE})
    assert frame.select("settlement_price", "underlying_close", "underlying_timestamp").row(0) == (None, None, None)


def test_what_does_not_expire_within_the_export_is_not_settled() -> None:
    undated = option(4, "1", "CE", MONTHLY, expiry_close=None)
    frame = settled([instrument(1, "SPOT"), option(2, "24500", "CE", MONTHLY), undated], {END: CLOSE})
    assert frame["settlement_price"].null_count() == 3


def test_no_note_is_made_of_what_is_settled_at_the_close() -> None:
    contracts = [option(1, "24500", "CE"), option(2, "24500", "CE", MONTHLY), instrument(3, "SPOT")]
    assert settlement_notes(settled(contracts, {END: CLOSE}), END, 60) == []


def test_a_note_tells_of_contracts_that_cannot_be_settled() -> None:
    (note,) = settlement_notes(settled([option(1, "24500", "CE"), option(2, "24500", "PE")], {}), END, 60)
    assert note.startswith("2 contracts expire on 2025-08-14 without a bar of their underlying on that day")


def test_a_note_tells_of_an_old_price_and_of_an_unknown_expiry() -> None:
    contracts = [option(1, "24500", "CE"), option(2, "1", "CE", MONTHLY, expiry_close=None)]
    stale, undated = settlement_notes(settled(contracts, {END - dt.timedelta(minutes=2): CLOSE}), END, 60)
    assert "more than 60 s older than the close on 2025-08-14: 1 contracts are settled on it" in stale
    assert undated == "the session of expiry is not known on 2025-08-28: 1 contracts never expire"


def official(*rows: tuple[int, str | None, str | None]) -> pl.DataFrame:
    """Say what the exchange said: instrument, its settlement price, that of the underlying."""
    return pl.DataFrame(
        [
            (number, SESSIONS[1], price and Decimal(price), underlying and Decimal(underlying))
            for number, price, underlying in rows
        ],
        schema=SETTLEMENT_SCHEMA,
        orient="row",
    )


def test_the_price_of_the_exchange_comes_before_the_last_bar_and_each_says_which_it_is() -> None:
    contracts = [option(1, "24500", "CE"), option(2, "24600", "PE"), instrument(3, "FUT", expiry=SESSIONS[1])]
    told = official((1, "58.9", "24558.9"), (3, "24558.9", None), (2, None, "24558.9"))
    frame = settled(contracts, {END: CLOSE}, told)
    columns = ("settlement_price", "settlement_basis", "underlying_close", "underlying_timestamp")
    assert frame.select(columns).rows() == [
        (Decimal("58.9"), "exchange", Decimal("24558.9"), None),
        (Decimal("38.65"), "last underlying bar", CLOSE, END),
        (Decimal("24558.9"), "exchange", None, None),
    ]


def test_the_price_of_the_exchange_settles_what_no_bar_could_and_nothing_is_noted() -> None:
    frame = settled([option(1, "24500", "CE")], {}, official((1, "58.9", None)))
    assert frame["settlement_price"].to_list() == [Decimal("58.9")]
    assert settlement_notes(frame, END, 60) == []


def test_a_price_of_a_contract_that_does_not_expire_within_the_export_settles_nothing() -> None:
    frame = settled([option(1, "24500", "CE", MONTHLY)], {END: CLOSE}, official((1, "58.9", None), (7, "1", None)))
    assert frame.select("instrument_id", "settlement_price").rows() == [(1, None)]
