from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.lean.kinds import OptionStyle
from pipeline_defs.exports.lean.symbols import with_symbols
from pipeline_defs.schema.exports import INSTRUMENT_SCHEMA
from pipeline_tests.exports.lean.slices import MONTHLY, WEEKLY, instrument, option

IST = "Asia/Kolkata"


def names(*rows: dict[str, Any], timezone: str = IST, style: OptionStyle = OptionStyle.EUROPEAN) -> list[str]:
    return with_symbols(pl.DataFrame(rows, schema=INSTRUMENT_SCHEMA), timezone, style)["engine_id"].to_list()


def test_an_index_and_what_is_derived_from_it_are_named_by_their_terms_and_sorted_by_name() -> None:
    assert names(
        option(3, "24500", "PE"),
        option(2, "24650.5", "CE"),
        instrument(4, "FUT", expiry=MONTHLY),
        instrument(9, "SPOT"),
    ) == [
        "future/india/nifty/202508",
        "index/india/nifty",
        "indexoption/india/nifty/european_call_246505000_20250814",
        "indexoption/india/nifty/european_put_245000000_20250814",
    ]


def test_options_on_a_share_take_the_style_that_was_chosen_those_on_an_index_never() -> None:
    share = instrument(1, "EQ", series="EQ", underlying="RELIANCE")
    of_share = option(2, "1400", "CE", underlying="RELIANCE")
    assert names(share, of_share)[1] == "option/india/reliance/european_call_14000000_20250814"
    american = names(share, of_share, style=OptionStyle.AMERICAN)
    assert american[1] == "option/india/reliance/american_call_14000000_20250814"
    assert names(instrument(1, "SPOT"), option(2, "24500", "CE"), style=OptionStyle.AMERICAN)[1].startswith(
        "indexoption/india/nifty/european"
    )


@pytest.mark.parametrize(("underlying", "security"), [("BANKNIFTY", "indexoption"), ("TCS", "option")])
def test_without_the_underlying_the_list_of_indices_decides_what_an_option_is_on(
    underlying: str, security: str
) -> None:
    assert names(option(1, "100", "CE", underlying=underlying))[0].startswith(f"{security}/india/{underlying.lower()}/")


def test_a_pair_lies_in_the_market_of_its_venue() -> None:
    pair = instrument(1, "PAIR", underlying="BTCUSDT", venue="Binance", currency="USDT", base_currency="BTC")
    assert names(pair, timezone="UTC") == ["crypto/binance/btcusdt"]


def test_another_series_of_a_share_is_another_ticker() -> None:
    assert names(
        instrument(1, "EQ", series="EQ", underlying="M&M"), instrument(2, "EQ", series="BE", underlying="M&M")
    ) == ["equity/india/m&m", "equity/india/m&m.be"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (instrument(1, "CONT"), "terms do not name a contract: kind CONT"),
        (instrument(1, "FUT"), "terms do not name a contract: kind FUT, .*expiry None"),
        (option(1, "24500", "XX"), "option_type XX"),
        (option(1, "-1", "CE"), "the strike was -1.* expected more than 0"),
        (instrument(1, "SPOT", underlying="NIFTY_50"), "the name 'nifty_50' cannot stand in a name"),
        (instrument(1, "SPOT", underlying="../x"), "cannot stand in a name"),
        (instrument(1, "PAIR", underlying="BTCUSDT", venue="my venue"), "the name 'my venue' cannot stand in a name"),
    ],
)
def test_terms_that_name_nothing_in_lean_are_refused(row: dict[str, Any], why: str) -> None:
    with pytest.raises(ExportError, match=why) as refused:
        names(row)
    assert "instrument 1" in str(refused.value)


def test_an_exchange_of_a_zone_without_a_market_is_refused() -> None:
    with pytest.raises(ExportError, match="LEAN has no market for exchanges in Europe/Berlin"):
        names(instrument(1, "EQ", underlying="SAP"), timezone="Europe/Berlin")


def test_two_futures_of_one_month_are_refused_since_lean_knows_only_the_month() -> None:
    with pytest.raises(
        ExportError, match=r"would share the entries of future/india/nifty/202508: instrument 1 .* and inst"
    ):
        names(instrument(1, "FUT", expiry=WEEKLY), instrument(2, "FUT", expiry=MONTHLY))


def test_a_contract_has_the_same_name_whatever_else_is_in_the_slice() -> None:
    alone = names(option(1, "24500", "CE", dt.date(2025, 12, 30)))
    assert set(alone) <= set(names(instrument(5, "SPOT"), option(1, "24500", "CE", dt.date(2025, 12, 30)), lots()))


def lots() -> dict[str, Any]:
    return option(7, "24600", "CE", lot_size=65, tick_size=Decimal("0.05"))
