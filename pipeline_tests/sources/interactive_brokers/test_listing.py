"""Instruments of the universe, found in TWS: terms, chains, and what is said when one is not there."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_defs.errors import ConfigurationError, SchemaDriftError, SourceError
from pipeline_defs.sources.asking.questions import Window
from pipeline_defs.sources.asking.universe import Chain
from pipeline_defs.sources.interactive_brokers.contracts import Target, name_of
from pipeline_defs.sources.interactive_brokers.expiries import (
    choose_option_expiries,
    choose_trading_class,
    may_have_vanished,
)
from pipeline_tests.sources.interactive_brokers.conftest import dataset
from pipeline_tests.sources.interactive_brokers.offline import TRADE_DATE
from pipeline_tests.sources.interactive_brokers.tws import CHAIN, DETAILS
from pipeline_tests.sources.interactive_brokers.world import ACME, FUTURES, OPTIONS, OptionOffer, Security

if TYPE_CHECKING:
    from pipeline_defs.sources.asking.questions import Listed
    from pipeline_tests.sources.interactive_brokers.conftest import MakeSource
    from pipeline_tests.sources.interactive_brokers.tws import Tws

WEDNESDAY = dt.date(2026, 11, 25)
"""A session; the adapter's clock says Friday the 27th."""


def listed(
    make_source: MakeSource, table: str, universe: dict[str, Any], day: dt.date = TRADE_DATE, **changes: Any
) -> list[Listed]:
    source = make_source(universe=universe, **changes)
    return source.list_instruments(dataset(table, source), Window(day, day))


def refused(*arguments: Any, **changes: Any) -> str:
    with pytest.raises(SourceError) as caught:
        listed(*arguments, **changes)
    return str(caught.value)


# Shares and indices. ---------------------------------------------------------------------------------------------


def test_a_share_is_looked_for_where_all_its_trades_are(make_source: MakeSource, tws: Tws) -> None:
    (one,) = listed(make_source, "equity_daily", {"equities": [{"symbol": "ACME", "venue": "NASDAQ"}]})
    assert one.vendor_id == "101@SMART"
    assert one.terms["venue"] == "NASDAQ"
    (fields,) = tws.of_kind(DETAILS)
    assert fields[4:13] == ["ACME", "STK", "", "0.0", "", "", "SMART", "NASDAQ", "USD"]


def test_a_share_of_another_market_is_looked_for_on_its_exchange(make_source: MakeSource, tws: Tws) -> None:
    tws.world.securities.append(Security(901, "RELI", "STK", exchange="NSE", primary="NSE", currency="INR"))
    (one,) = listed(make_source, "equity_daily", {"market": "NSE", "equities": ["RELI"]})
    assert one.vendor_id == "901@NSE"
    assert (one.terms["venue"], one.terms["currency"], one.symbol) == ("NSE", "INR", "RELI")


def test_a_class_of_shares_gets_a_name_that_the_warehouse_takes(make_source: MakeSource, tws: Tws) -> None:
    tws.world.securities.append(replace(ACME, number=902, symbol="ACM B", local_symbol="ACM B"))
    (one,) = listed(make_source, "equity_daily", {"equities": ["ACM B"]})
    assert (one.symbol, one.terms["underlying"]) == ("ACM B", "ACM.B")


def test_dates_and_names_of_the_universe_are_kept(make_source: MakeSource) -> None:
    named = {"symbol": "WIDX", "venue": "CBOE", "underlying": "WIDE", "first_date": dt.date(2026, 1, 2)}
    (one,) = listed(make_source, "spot_prices", {"indices": [named]})
    assert (one.terms["underlying"], one.first_date, one.kind) == ("WIDE", dt.date(2026, 1, 2), "SPOT")


def test_a_symbol_of_several_contracts_asks_for_venue_and_currency(make_source: MakeSource, tws: Tws) -> None:
    index = Security(202, "WIDX", "IND", exchange="EUREX", local_symbol="WIDX", trading_class="WIDX")
    tws.world.securities.append(index)
    read = refused(make_source, "spot_prices", {"indices": ["WIDX"]})
    assert "WIDX IND USD is the name of 2 contracts: CBOE USD (id 201), EUREX USD (id 202)" in read
    assert "name the venue and the currency in the universe" in read


def test_details_that_end_without_a_contract_are_an_unknown_symbol(make_source: MakeSource, tws: Tws) -> None:
    from pipeline_tests.sources.interactive_brokers import layouts  # noqa: PLC0415
    from pipeline_tests.sources.interactive_brokers.tws import Failure  # noqa: PLC0415

    tws.on_details.append(Failure(damage=lambda _: layouts.contract_details_end(1)[4:]))
    assert "TWS knows no contract ACME STK SMART USD (200)" in refused(
        make_source, "equity_daily", {"equities": ["ACME"]}
    )


# Futures. --------------------------------------------------------------------------------------------------------


def test_the_nearest_futures_of_a_past_day_are_chosen_among_expired_ones(make_source: MakeSource, tws: Tws) -> None:
    universe = {"futures": [{"underlying": "WIDX", "venue": "CME", "expiries": 2}]}
    chosen = listed(make_source, "futures_ticks", universe, dt.date(2026, 9, 1))
    assert [(one.symbol, one.terms["expiry"]) for one in chosen] == [
        ("WXU6", dt.date(2026, 9, 18)),
        ("WXZ6", dt.date(2026, 12, 18)),
    ]
    assert chosen[0].vendor_id == "300@CME*50"
    assert tws.of_kind(DETAILS)[0][15] == "1"  # expired ones included


def test_futures_at_several_places_ask_for_a_venue(make_source: MakeSource, tws: Tws) -> None:
    tws.world.securities.append(replace(FUTURES[0], number=390, exchange="QBALGO"))
    read = refused(make_source, "futures_ticks", {"futures": ["WIDX"]})
    assert "futures of WIDX trade at several places: CME, QBALGO" in read


def test_futures_that_are_not_there_list_those_that_are(make_source: MakeSource) -> None:
    universe = {"futures": [{"underlying": "WIDX", "venue": "CME", "expiries": [dt.date(2026, 11, 20)]}]}
    read = refused(make_source, "futures_ticks", universe)
    assert "there are: 2026-09-18, 2026-12-18, 2027-03-19" in read


def test_an_expiry_that_cannot_be_read_names_the_contract(make_source: MakeSource, tws: Tws) -> None:
    tws.world.securities.append(replace(FUTURES[0], number=391, symbol="ODD", local_symbol="ODD?", expires="soon"))
    with pytest.raises(SchemaDriftError, match=r"contract 391 \(ODD\?\) comes without a readable expiry"):
        listed(make_source, "futures_ticks", {"futures": ["ODD"]})


# Options. --------------------------------------------------------------------------------------------------------

NAMED = {"underlying": "ACME", "expiries": [dt.date(2026, 12, 18)]}


def test_a_chain_gives_every_strike_and_side_that_is_wanted(make_source: MakeSource, tws: Tws) -> None:
    chosen = listed(make_source, "options_ticks", {"options": [NAMED]})
    assert [(one.terms["strike"], one.terms["option_type"]) for one in chosen] == [
        (Decimal(150), "CE"), (Decimal(150), "PE"), (Decimal(155), "CE"), (Decimal(155), "PE"),
    ]  # fmt: skip
    assert chosen[0].vendor_id == "400@SMART*100"
    assert tws.of_kind(CHAIN)[0][2:] == ["ACME", "", "STK", "101"]
    puts = listed(make_source, "options_ticks", {"options": [{**NAMED, "strikes": [155, 155], "option_types": ["PE"]}]})
    assert [one.symbol for one in puts] == ["ACME  261218P00155000"]


def test_options_on_an_index_are_found_even_if_no_share_has_its_name(make_source: MakeSource, tws: Tws) -> None:
    tws.world.offers.append(OptionOffer("SMART", 201, "WIDX", "100", ("20261218",), ("5000.0",)))
    option = replace(OPTIONS[0], number=450, symbol="WIDX", trading_class="WIDX", strike="5000.0")
    tws.world.securities.append(option)
    chain = {"underlying": "WIDX", "expiries": [dt.date(2026, 12, 18)]}
    for indices in ([], [{"symbol": "WIDX", "venue": "CBOE"}]):
        chosen = listed(make_source, "options_ticks", {"options": [chain], "indices": indices})
        assert [one.vendor_id for one in chosen] == ["450@SMART*100"]
    assert tws.of_kind(CHAIN)[0][4] == "IND"


def test_a_trading_class_is_named_behind_the_underlying(make_source: MakeSource, tws: Tws) -> None:
    tws.world.offers.append(OptionOffer("SMART", 101, "ACMEW", "100", ("20261218",), ("150.0",)))
    tws.world.securities.append(replace(OPTIONS[0], number=451, trading_class="ACMEW"))
    (weekly,) = listed(make_source, "options_ticks", {"options": [{**NAMED, "underlying": "ACME.ACMEW"}]})
    assert (weekly.vendor_id, weekly.terms["underlying"]) == ("451@SMART*100", "ACMEW")
    read = refused(make_source, "options_ticks", {"options": [{**NAMED, "underlying": "ACME.OTHER"}]})
    assert "ACME has no trading class OTHER; there are: ACME, ACMEW" in read


def test_options_that_expired_are_said_not_to_be_served(make_source: MakeSource) -> None:
    universe = {"options": [{"underlying": "ACME", "expiries": [dt.date(2026, 11, 20)]}]}
    read = refused(make_source, "options_ticks", universe)
    assert "no option expiry of ACME that is wanted for 2026-10-14 is alive (expired options are not served)" in read
    assert "the next ones are 2026-12-18, 2026-12-24" in read


def test_the_nearest_expiry_of_a_past_day_is_not_guessed(make_source: MakeSource) -> None:
    read = refused(make_source, "options_ticks", {"options": ["ACME"]})
    assert "which option expiry of ACME was the nearest one on 2026-10-14 cannot be told on 2026-11-27" in read
    assert "name the expiries in the universe" in read
    (first, *_) = listed(make_source, "options_ticks", {"options": ["ACME"]}, dt.date(2026, 11, 27))
    assert first.terms["expiry"] == dt.date(2026, 12, 18)
    # Six days lie between the known ones: on Wednesday none can have lived that is gone on Friday.
    (first, *_) = listed(make_source, "options_ticks", {"options": ["ACME"]}, dt.date(2026, 12, 14),
                         clock=lambda: dt.datetime(2026, 12, 16, 12, tzinfo=dt.UTC))  # fmt: skip
    assert first.terms["expiry"] == dt.date(2026, 12, 18)


def test_strikes_that_are_not_there_are_said(make_source: MakeSource) -> None:
    read = refused(make_source, "options_ticks", {"options": [{**NAMED, "strikes": [1, 2]}]})
    assert "no option of ACME has a strike that is wanted; there are 150 to 155" in read


def test_options_at_another_place_name_the_places(make_source: MakeSource) -> None:
    read = refused(make_source, "options_ticks", {"options": [{**NAMED, "venue": "BOX"}]})
    assert "no options on ACME at BOX; there are some at: CBOE, SMART" in read


def test_an_option_without_a_strike_names_the_contract(make_source: MakeSource, tws: Tws) -> None:
    tws.world.securities[:] = [ACME, replace(OPTIONS[0], strike="0.0")]
    with pytest.raises(SchemaDriftError, match="comes without a readable strike"):
        listed(make_source, "options_ticks", {"options": [NAMED]})


def test_bars_of_a_length_that_tws_does_not_give_are_refused(make_source: MakeSource) -> None:
    source = make_source(universe={"equities": ["ACME"], "bars": {"spot_prices": "7m"}})
    with pytest.raises(ConfigurationError, match="TWS gives no bars of 420 s for a whole day; it gives: 1 min, 2 mins"):
        source.list_instruments(
            source.wanted.with_length(dataset("spot_prices", source)), Window(TRADE_DATE, TRADE_DATE)
        )


@pytest.mark.parametrize(
    ("multiplier", "min_size", "lot"),
    [("100", "1", 100), ("1", "75", 75), ("", "1", 1), ("0.1", "1", None), ("none", "1", 1), ("1", "", 1)],
)
def test_the_lot_of_a_derivative_is_its_multiplier_or_its_smallest_order(
    make_source: MakeSource, tws: Tws, multiplier: str, min_size: str, lot: int | None
) -> None:
    tws.world.securities[:] = [replace(FUTURES[1], multiplier=multiplier, min_size=min_size)]
    (one,) = listed(make_source, "futures_ticks", {"futures": ["WIDX"]})
    assert one.terms["lot_size"] == lot


# Rules on their own. ---------------------------------------------------------------------------------------------

DAYS = st.dates(dt.date(2020, 1, 1), dt.date(2030, 12, 31))


@settings(max_examples=80, deadline=None)
@given(st.sets(DAYS, max_size=8), DAYS, DAYS)
def test_a_day_that_is_not_past_misses_no_expiry(known: set[dt.date], day: dt.date, today: dt.date) -> None:
    if day >= today:
        assert not may_have_vanished(known, day, today)


@settings(max_examples=80, deadline=None)
@given(DAYS, st.integers(1, 40), st.integers(2, 9), st.integers(0, 60), st.integers(0, 60))
def test_no_expiry_of_an_even_chain_is_missed(start: dt.date, gap: int, count: int, back: int, ahead: int) -> None:
    every = [start + dt.timedelta(days=gap * number) for number in range(count + 40)]
    today = every[30] - dt.timedelta(days=ahead % gap)
    day = today - dt.timedelta(days=back)
    alive = {one for one in every if one >= today}
    vanished = any(day <= one < today for one in every)
    assert not vanished or may_have_vanished(alive, day, today)


@settings(max_examples=80, deadline=None)
@given(st.sets(DAYS, min_size=1, max_size=8), DAYS)
def test_chosen_expiries_are_known_and_not_over(known: set[dt.date], day: dt.date) -> None:
    chain = Chain(underlying="ACME", expiries=3)
    try:
        chosen = choose_option_expiries(chain, known, day, day)
    except SourceError:
        assert max(known) < day
    else:
        assert set(chosen) <= known
        assert min(chosen) >= day


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 2**31), st.from_regex(r"[A-Z][A-Z0-9.]{0,9}", fullmatch=True), st.decimals(1, 5000, places=2))
def test_what_a_question_needs_survives_as_text(number: int, exchange: str, multiplier: Decimal) -> None:
    target = Target(number, exchange, multiplier)
    assert Target.read(target.text) == target


@settings(max_examples=80, deadline=None)
@given(st.from_regex(r"[A-Z0-9][A-Z0-9 .&/-]{0,12}[A-Z0-9]", fullmatch=True))
def test_names_hold_what_the_warehouse_takes(symbol: str) -> None:
    assert set(name_of(symbol)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789&.-")


def test_a_class_that_is_the_only_one_needs_no_name() -> None:
    assert choose_trading_class("DAX", "", ["ODAX", "ODAX"]) == "ODAX"
    with pytest.raises(SourceError, match="DAX has several trading classes and none is named DAX; there are: OD1, OD2"):
        choose_trading_class("DAX", "", ["OD2", "OD1"])
