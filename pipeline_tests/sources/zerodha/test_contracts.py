"""Which contracts a universe means on a day, by the dumps that were kept."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import SourceError
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.asking.questions import Window
from pipeline_tests.sources.zerodha.server import HEADER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.sources.asking.questions import Listed
    from pipeline_defs.sources.zerodha.adapter import ZerodhaSource
    from pipeline_tests.sources.zerodha.server import KiteServer

type Make = Callable[..., ZerodhaSource]

AUG = dt.date(2025, 8, 1)


def utc(month: int, day: int) -> dt.datetime:
    return dt.datetime(2025, month, day, 12, tzinfo=dt.UTC)


def keep(home: Path, day: str, *lines: str) -> None:
    folder = home / "instruments" / "zerodha"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{day}.csv").write_text("\n".join([HEADER, *lines, ""]))


def future(token: int, symbol: str, expiry: str, lot: int = 75) -> str:
    return f"{token},{token // 256},{symbol},NIFTY,0.0,{expiry},0.0,0.1,{lot},FUT,NFO-FUT,NFO"


def option(token: int, symbol: str, expiry: str, strike: int, name: str = "NIFTY") -> str:
    kind = symbol[-2:]
    return f"{token},{token // 256},{symbol},{name},0.0,{expiry},{strike},0.05,75,{kind},NFO-OPT,NFO"


def listed(of: ZerodhaSource, table: str, first: dt.date, last: dt.date | None = None) -> list[Listed]:
    request = ImportRequest(first, last or first, tables=frozenset({table}))
    (dataset,) = of.datasets_wanted(request.tables)
    return of.list_instruments(dataset, Window(first, last or first))


def spans(found: list[Listed]) -> list[tuple[str, dt.date | None, dt.date | None]]:
    return sorted((one.symbol, one.first_date, one.last_date) for one in found)


def refusal(of: ZerodhaSource, table: str, first: dt.date, last: dt.date | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        listed(of, table, first, last)
    return str(caught.value)


FUTURES = {"futures": ["NIFTY"]}


def test_an_unknown_share_lists_near_names_and_the_date_of_the_dump(source: Make) -> None:
    assert refusal(source(equities=["RELIANC"]), "spot_prices", AUG) == (
        "zerodha RELIANC: RELIANC is not in Kite instruments of 2025-09-01 (a share of NSE); did you mean RELIANCE?\n"
        "Next: correct the symbol in the universe; Kite's own spelling is wanted"
    )


def test_an_unknown_index_is_not_sought_among_shares(source: Make) -> None:
    message = refusal(source(indices=["RELIANCE"]), "spot_prices", AUG)
    assert "RELIANCE is not in Kite instruments of 2025-09-01 (an index of NSE)\n" in message


def test_an_unknown_underlying_says_that_expired_contracts_are_not_served(source: Make) -> None:
    assert refusal(source(options=["NIFTI"]), "options_ticks", dt.date(2025, 9, 1)) == (
        "zerodha NIFTI options: no options of NIFTI at NSE in Kite instruments of 2025-09-01 (expired contracts are"
        " not served); did you mean NIFTY?\n"
        "Next: correct the underlying in the universe; Kite's own spelling is wanted"
    )


def test_an_unknown_expiry_lists_those_that_there_are(source: Make) -> None:
    of = source(futures=[{"underlying": "NIFTY", "expiries": [dt.date(2030, 12, 24)]}])
    assert refusal(of, "futures_ticks", AUG) == (
        "zerodha NIFTY futures: no futures of NIFTY expiring 2030-12-24 in Kite instruments of 2025-09-01 (expired"
        " contracts are not served); it has 2030-12-31, 2031-01-28\n"
        "Next: correct expiries in the universe"
    )


def test_one_unknown_expiry_among_known_ones_is_an_error_too(source: Make) -> None:
    days = [dt.date(2030, 12, 24), dt.date(2030, 12, 31)]
    message = refusal(source(futures=[{"underlying": "NIFTY", "expiries": days}]), "futures_ticks", AUG)
    assert "no futures of NIFTY expiring 2030-12-24 in Kite instruments of 2025-09-01" in message


def test_strikes_that_nobody_lists_are_an_error(source: Make) -> None:
    of = source(options=[{"underlying": "NIFTY", "strikes": [1, 2], "option_types": ["CE"]}])
    assert refusal(of, "options_ticks", dt.date(2025, 9, 1)) == (
        "zerodha NIFTY options: no strike of NIFTY in Kite instruments of 2025-09-01 is wanted; they reach from"
        " 24500 to 24550\n"
        "Next: correct strikes and option_types in the universe"
    )


def test_the_nearest_contract_of_a_past_day_is_not_guessed_from_a_later_dump(source: Make) -> None:
    # The dump is of 1 September: what was nearest on 20 August expired on the 28th and is listed nowhere.
    assert refusal(source(**FUTURES), "futures_ticks", dt.date(2025, 8, 20)) == (
        "zerodha NIFTY futures: the nearest futures of NIFTY on 2025-08-20 expired on 2025-08-28, and Kite instruments"
        " of 2025-09-01 list them no more; expired contracts are not served by Kite\n"
        "Next: ask for days from 2025-08-29 on, and for each day before its contracts expire"
    )


def test_a_weekly_that_expired_before_the_dump_is_missed_as_well(source: Make) -> None:
    message = refusal(source(now=utc(8, 18), options=["NIFTY"]), "options_ticks", dt.date(2025, 8, 6))
    assert "the nearest options of NIFTY on 2025-08-06 expired on 2025-08-07" in message
    assert "ask for days from 2025-08-15 on" in message


def test_a_later_dump_will_do_when_nothing_has_expired_since(source: Make) -> None:
    found = listed(source(now=utc(8, 20), options=["NIFTY"]), "options_ticks", dt.date(2025, 8, 18))
    assert {one.symbol for one in found} == {"NIFTY30DEC24500CE", "NIFTY30DEC24500PE", "NIFTY30DEC24550CE"}


def test_an_underlying_without_rules_is_not_guessed_either(source: Make, home: Path) -> None:
    keep(home, "2025-08-20", option(2562561, "INDIAVIX30DEC20CE", "2030-12-31", 20, "INDIAVIX"))
    message = refusal(source(now=utc(8, 20), options=["INDIAVIX"]), "options_ticks", dt.date(2025, 8, 18))
    assert message == (
        "zerodha INDIAVIX options: which options of INDIAVIX were the nearest on 2025-08-18 is not known: Kite"
        " instruments of 2025-08-20 are later, and INDIAVIX contracts expire by no weekday rule\n"
        "Next: name expiries by their dates in the universe"
    )


def test_a_contract_that_a_dump_of_then_knows_has_expired_all_the_same(source: Make, home: Path) -> None:
    keep(home, "2025-08-20", future(13568258, "NIFTY25AUGFUT", "2025-08-28"))
    assert refusal(source(**FUTURES), "futures_ticks", dt.date(2025, 8, 20)) == (
        "zerodha NIFTY futures: NIFTY futures of 2025-08-20 expired on 2025-08-28; expired contracts are not"
        " served by Kite\n"
        "Next: ask for days after 2025-08-28, and for each day before its contracts expire"
    )


def test_a_contract_is_asked_for_until_the_morning_after_its_expiry(source: Make, home: Path) -> None:
    keep(home, "2025-08-28", future(13568258, "NIFTY25AUGFUT", "2025-08-28"))
    evening = source(now=utc(8, 28), **FUTURES)
    assert spans(listed(evening, "futures_ticks", dt.date(2025, 8, 28))) == [
        ("NIFTY25AUGFUT", dt.date(2025, 8, 28), dt.date(2025, 8, 28))
    ]
    keep(home, "2025-08-29", future(13568514, "NIFTY25SEPFUT", "2025-09-30"))
    assert "expired on 2025-08-28" in refusal(source(now=utc(8, 29), **FUTURES), "futures_ticks", dt.date(2025, 8, 28))


def test_each_day_takes_the_nearest_contract_of_its_own_dump(source: Make, home: Path) -> None:
    august, september = future(13568258, "NIFTY25AUGFUT", "2025-08-28"), future(13568514, "NIFTY25SEPFUT", "2025-09-30")
    keep(home, "2025-08-27", august, september)
    keep(home, "2025-08-28", august, september)
    of = source(now=utc(8, 28), futures=[{"underlying": "NIFTY", "expiries": 2}])
    first = dt.date(2025, 8, 25)
    assert spans(listed(of, "futures_ticks", first, dt.date(2025, 8, 28))) == [
        ("NIFTY25AUGFUT", first, dt.date(2025, 8, 28)),
        ("NIFTY25SEPFUT", first, dt.date(2025, 8, 28)),
    ]


def test_a_contract_that_was_re_lotted_has_the_lot_of_each_day(source: Make, home: Path) -> None:
    keep(home, "2025-08-20", future(13568514, "NIFTY25SEPFUT", "2025-09-30", lot=75))
    keep(home, "2025-08-22", future(13568514, "NIFTY25SEPFUT", "2025-09-30", lot=65))
    keep(home, "2025-08-25", future(13568514, "NIFTY25SEPFUT", "2025-09-30", lot=75))
    of = source(now=utc(8, 25), futures=[{"underlying": "NIFTY", "expiries": [dt.date(2025, 9, 30)]}])
    found = listed(of, "futures_ticks", dt.date(2025, 8, 20), dt.date(2025, 8, 25))
    assert [(one.terms["lot_size"], one.first_date, one.last_date) for one in found] == [
        (75, dt.date(2025, 8, 20), dt.date(2025, 8, 21)),
        (65, dt.date(2025, 8, 22), dt.date(2025, 8, 22)),
        (75, dt.date(2025, 8, 25), dt.date(2025, 8, 25)),
    ]


def test_each_day_has_the_rows_of_the_contract_that_was_wanted_on_it_and_no_others(
    source: Make, kite: KiteServer, home: Path
) -> None:
    august, september = future(13238786, "NIFTY25AUGFUT", "2025-08-28"), future(13239042, "NIFTY25SEPFUT", "2025-09-30")
    keep(home, "2025-08-28", august, september)
    # The nearest on each day, and September's from the 28th on.
    later = {"underlying": "NIFTY", "expiries": [dt.date(2025, 9, 30)], "first_date": dt.date(2025, 8, 28)}
    of = source(now=utc(8, 28), futures=["NIFTY", later])
    request = ImportRequest(dt.date(2025, 8, 26), dt.date(2025, 8, 28), tables=frozenset({"futures_ticks"}))
    batches = [batch for batch in of.fetch(request) if not batch.empty_reason]
    stored = {batch.trade_date.day: batch.contracts["symbol"].to_list() for batch in batches}
    assert stored == {26: ["NIFTY25AUGFUT"], 28: ["NIFTY25AUGFUT", "NIFTY25SEPFUT"]}
    assert len(kite.history) == 2


def test_a_chains_own_dates_are_kept(source: Make) -> None:
    chain = {"underlying": "NIFTY", "expiries": [dt.date(2030, 12, 31)], "first_date": dt.date(2025, 8, 20)}
    (one,) = listed(source(futures=[chain]), "futures_ticks", dt.date(2025, 8, 18), dt.date(2025, 8, 21))
    assert (one.first_date, one.last_date) == (dt.date(2025, 8, 20), dt.date(2025, 8, 21))
    assert listed(source(futures=[chain]), "futures_ticks", AUG) == []


def test_an_underlying_of_another_venue_is_found_there_and_only_there(source: Make) -> None:
    day = dt.date(2025, 9, 1)
    (found,) = listed(source(options=["SENSEX"]), "options_ticks", day)
    assert (found.symbol, found.terms["venue"]) == ("SENSEX30DEC80000CE", "BSE")
    message = refusal(source(options=[{"underlying": "SENSEX", "venue": "NSE"}]), "options_ticks", day)
    assert "no options of SENSEX at NSE in Kite instruments of 2025-09-01" in message
    assert "they trade at BSE" in message


def test_a_share_can_be_had_of_the_other_venue_under_a_name_of_ones_own(source: Make) -> None:
    of = source(equities=[{"symbol": "RELIANCE", "venue": "BSE", "underlying": "RELIANCE.BO"}])
    (found,) = listed(of, "spot_prices", AUG)
    assert found.vendor_id == "128083204"
    assert (found.terms["venue"], found.terms["underlying"], found.terms["series"]) == ("BSE", "RELIANCE.BO", "EQ")


def test_a_share_that_got_its_name_later_is_found_in_todays_dump(source: Make, home: Path) -> None:
    keep(home, "2025-08-01", "1,1,OLDNAME,OLD,0.0,,0.0,0.05,1,EQ,NSE,NSE")
    assert spans(listed(source(equities=["BAJAJ-AUTO"]), "spot_prices", AUG)) == [("BAJAJ-AUTO", None, None)]


def test_a_share_that_was_delisted_is_sought_only_in_its_time(source: Make, home: Path) -> None:
    old = "1,1,OLDNAME,OLD,0.0,,0.0,0.05,1,EQ,NSE,NSE"
    keep(home, "2025-08-01", old, "2,2,RELIANCE,R,0.0,,0.0,0.05,1,EQ,NSE,NSE")
    of = source(equities=["RELIANCE", {"symbol": "OLDNAME", "last_date": dt.date(2025, 8, 14)}])
    later = listed(of, "spot_prices", dt.date(2025, 8, 20))
    assert [one.symbol for one in later] == ["RELIANCE"]
    across = listed(of, "spot_prices", AUG, dt.date(2025, 8, 29))
    assert [(one.symbol, one.last_date) for one in across] == [("RELIANCE", None), ("OLDNAME", dt.date(2025, 8, 14))]


def test_a_chain_needs_an_option_type_that_is_listed(source: Make) -> None:
    of = source(options=[{"underlying": "SENSEX", "option_types": ["PE"]}])
    assert "is wanted; they reach from none to none" in refusal(of, "options_ticks", dt.date(2025, 9, 1))
