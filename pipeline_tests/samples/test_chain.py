from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.samples import chain
from pipeline_defs.samples.underlyings import UNDERLYINGS, underlying_named

TRADE_DATE = dt.date(2025, 8, 12)


def tickers(spec: chain.ChainSpec, trade_date: dt.date = TRADE_DATE) -> list[str]:
    return chain.list_contracts(spec, trade_date, UNDERLYINGS[spec.symbol].start_price)["ticker"].to_list()


def test_weekly_and_monthly_expiries_are_listed_beside_rolling_futures() -> None:
    assert tickers(chain.ChainSpec("NIFTY", 0, weeklies=1)) == [
        *("NIFTY-I", "NIFTY-II", "NIFTY-III"),
        *("NIFTY14AUG2524600CE", "NIFTY14AUG2524600PE", "NIFTY28AUG2524600CE", "NIFTY28AUG2524600PE"),
    ]


def test_decimal_strikes_ampersands_and_digits_stay_in_names() -> None:
    assert "ASHOKLEY28AUG25122.5CE" in tickers(chain.ChainSpec("ASHOKLEY", 1))
    assert "M&M28AUG253200PE" in tickers(chain.ChainSpec("M&M", 0))
    assert "NIFTYNXT5028AUG2566500CE" in tickers(chain.ChainSpec("NIFTYNXT50", 0))
    assert "360ONE28AUG251060CE" in tickers(chain.ChainSpec("360ONE", 0))


def test_exchange_symbols_name_the_month_of_monthlies_and_the_day_of_weeklies() -> None:
    contracts = chain.list_contracts(chain.ChainSpec("NIFTY", 0, weeklies=1, futures=1), TRADE_DATE, 24_600.0)
    assert contracts["exchange_symbol"].to_list() == [
        *("NIFTY25AUGFUT", "NIFTY2581424600CE", "NIFTY2581424600PE", "NIFTY25AUG24600CE", "NIFTY25AUG24600PE"),
    ]
    assert contracts["date_symbol"][1] == "NIFTY25081424600CE"


def test_weekly_codes_of_the_last_months_are_letters() -> None:
    assert [chain.weekly_code(dt.date(2025, month, 7)) for month in (9, 10, 11, 12)] == [
        *("25907", "25O07", "25N07", "25D07"),
    ]


def test_underlyings_without_weeklies_have_none() -> None:
    assert chain.weekly_expiries("RELIANCE", TRADE_DATE, 3) == []


def test_contracts_of_today_s_expiry_are_still_listed() -> None:
    assert chain.weekly_expiries("NIFTY", dt.date(2025, 8, 14), 1) == [dt.date(2025, 8, 14)]
    assert chain.weekly_expiries("NIFTY", dt.date(2025, 8, 18), 1) == [dt.date(2025, 8, 21)]


def test_strikes_stay_within_reason_of_the_price() -> None:
    ladder = chain.strike_ladder(UNDERLYINGS["ASHOKLEY"], 120.0, chain.ChainSpec("ASHOKLEY", 1_000))
    assert ladder[0] == 300_000
    assert ladder[-1] == 3_600_000


def test_contract_expiries_never_precede_the_trade_date() -> None:
    contracts = chain.list_contracts(chain.ChainSpec("NIFTY", 1, weeklies=3, monthlies=3), TRADE_DATE, 24_600.0)
    assert contracts.select((pl.col("expiry") >= TRADE_DATE).all()).item()
    assert contracts.select(pl.col("ticker").is_unique().all()).item()


def test_lot_size_is_that_of_the_trade_date() -> None:
    nifty = underlying_named("NIFTY")
    assert nifty.lot_size(dt.date(2024, 11, 19)) == 25
    assert nifty.lot_size(dt.date(2024, 11, 20)) == 75
    assert nifty.lot_size(dt.date(1999, 1, 1)) == 75


def test_unknown_underlying_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="no underlying 'NOSUCH'") as caught:
        underlying_named("NOSUCH")
    assert "BANKNIFTY" in str(caught.value.next_step)
