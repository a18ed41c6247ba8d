from __future__ import annotations

import datetime as dt

import pytest

from pipeline_defs.sources.nse_csv.products import read_names

DAY = dt.date(2025, 8, 20)


@pytest.mark.parametrize(
    ("name", "layout", "date"),
    [
        ("GFDLNFO_OPTIONS_20082025.csv", "gdfl-minute", DAY),
        ("GFDLNFO_BACKADJUSTED_20082025.ZIP", "gdfl-minute", DAY),
        ("gfdlnfo_nifty_opt_20082025.CSV", "gdfl-minute", DAY),
        ("GFDLNFO_CONTRACT_20082025 (1).csv", "gdfl-minute", DAY),
        ("GFDLNFO_TICK_20082025", "gdfl-tick", DAY),
        ("GFDLBFO_TICK_20082025.zip", "gdfl-tick", DAY),
        ("GFDLCM_STOCK_20082025.CSV", "gdfl-cash-minute", DAY),
        ("GFDLCM_INDICES_TICK_20082025.zip", "gdfl-cash-tick", DAY),
        ("BSE_INDICES_20082025.csv", "gdfl-cash-minute", DAY),
        ("NSE_IDX_TICK_20250820.zip", "truedata-index-tick", DAY),
        ("NSE_OPT_TICK_20250820.zip", "truedata-tick", DAY),
        ("BhavCopy_NSE_FO_0_0_0_20250820_F_0000.csv.zip", "udiff", DAY),
        ("BhavCopy_BSE_CM_0_0_0_20250820_F_0000.CSV", "udiff-cash", DAY),
        ("fo20AUG2025bhav.csv.zip", "fo-bhavcopy", DAY),
        ("cm20AUG2025bhav.csv", "cash-bhavcopy", DAY),
        ("sec_bhavdata_full_20082025.csv", "cash-bhavdata-full", DAY),
        ("GFDLNFO_TICK_31022025.zip", "gdfl-tick", None),
        ("GFDLNFO_BACKADJUSTED_01082025_31082025.zip", "gdfl-minute", None),
    ],
)
def test_vendor_names_say_layout_and_date(name: str, layout: str, date: dt.date | None) -> None:
    facts = read_names((name,))
    assert (facts.layout, facts.trade_date) == (layout, date)


@pytest.mark.parametrize(
    "name",
    # Eight digits, or a day and a month, that are an expiry and a strike.
    [
        "IDEA20062020CE.csv",
        "IDEA20JUN2020CE.NFO.csv",
        "20082025.csv",
        "BANKBARODA250626256.65CE.csv",
        "NIFTY-I.NFO.csv",
    ],
)
def test_tickers_are_not_read_for_dates(name: str) -> None:
    facts = read_names((name,))
    assert (facts.layout, facts.trade_date) == (None, None)


def test_innermost_vendor_name_wins() -> None:
    facts = read_names(("NIFTY-I.NFO.csv", "Futures", "GFDLNFO_TICK_20082025", "GFDLNFO_TICK_21082025.zip"))
    assert facts.trade_date == DAY


def test_contract_futures_folder_has_its_own_grammar() -> None:
    inside = read_names(("NIFTY25AUGFUT.csv", "Contract Futures", "NSE_FUT_TICK_20250820.zip"))
    beside = read_names(("NIFTY-I.csv", "Continuous Futures", "NSE_FUT_TICK_20250820.zip"))
    assert (inside.layout, beside.layout) == ("truedata-contract-tick", "truedata-tick")
