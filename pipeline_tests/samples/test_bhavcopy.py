from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest

from pipeline_defs.samples import bhavcopy
from pipeline_defs.samples.chain import ChainSpec
from pipeline_defs.samples.delivery import Delivery, render
from pipeline_defs.samples.market import DayState, MarketDay, trade_one_day

CHAINS = (ChainSpec("NIFTY", 3, 8, weeklies=1, monthlies=1), ChainSpec("ASHOKLEY", 1))
EXPIRY = dt.date(2025, 8, 14)


@pytest.fixture(scope="module")
def day() -> MarketDay:
    state = DayState()
    for trade_date in (dt.date(2025, 8, 13), EXPIRY):
        day = trade_one_day(
            trade_date, CHAINS, seed=1, nights=1, state=state, extra_symbols=("INDIAVIX", "M&M"), activity=0.01
        )
        state = day.state
    return day


def read(delivery: Delivery) -> pl.DataFrame:
    return pl.read_csv(render(delivery)[0].content, infer_schema=False)


def text(delivery: Delivery) -> list[str]:
    return render(delivery)[0].content.decode().splitlines()


def folded(day: MarketDay) -> dict[str, tuple[int, ...]]:
    names = day.contracts["exchange_symbol"]
    days = day.bars.group_by("contract").agg(
        *(pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last()),
        pl.col("volume").sum(),
    )
    return {names[contract]: tuple(values) for contract, *values in days.rows()}


def test_derivatives_file_of_the_exchange_has_its_34_columns_and_name(day: MarketDay) -> None:
    delivery = bhavcopy.derivatives_udiff(day)
    lines = text(delivery)
    assert delivery.path_of(0) == (
        *(
            "landing/fo_bhavcopy/BhavCopy_NSE_FO_0_0_0_20250814_F_0000.csv.zip",
            "BhavCopy_NSE_FO_0_0_0_20250814_F_0000.csv",
        ),
    )
    assert lines[0].startswith("TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,XpryDt,")
    assert {line.count(",") for line in lines} == {33}
    assert all(line.endswith((",F1,75,,,,,", ",F1,5000,,,,,")) for line in lines[1:])


def test_daily_values_are_those_of_the_minutes(day: MarketDay) -> None:
    expected = folded(day)
    frame = read(bhavcopy.derivatives_udiff(day))
    assert len(expected) > 10
    for row in frame.iter_rows(named=True):
        values = [int(Decimal(row[name]) * 10_000) for name in ("OpnPric", "HghPric", "LwPric", "LastPric")]
        units = int(row["TtlTradgVol"]) * int(row["NewBrdLotQty"])
        assert (*values, units) == expected.get(row["FinInstrmNm"], (0, 0, 0, 0, 0))


def test_contracts_that_did_not_trade_have_a_close_all_the_same(day: MarketDay) -> None:
    frame = read(bhavcopy.derivatives_udiff(day)).filter(pl.col("TtlTradgVol") == "0")
    assert frame.height > 3
    assert set(frame["OpnPric"]) == set(frame["HghPric"]) == set(frame["LwPric"]) == {"0.00"}
    assert (frame["ClsPric"].cast(pl.Float64) > 0).all()
    assert frame["ClsPric"].to_list() == frame["PrvsClsgPric"].to_list()


def test_expiring_contracts_settle_at_the_underlying(day: MarketDay) -> None:
    frame = read(bhavcopy.derivatives_udiff(day)).filter(pl.col("TckrSymb") == "NIFTY")
    expiring = pl.col("XpryDt") == "2025-08-14"
    assert frame.filter(expiring & (pl.col("SttlmPric") != pl.col("UndrlygPric"))).is_empty()
    assert frame.filter(~expiring & (pl.col("SttlmPric") == pl.col("UndrlygPric"))).is_empty()


def test_instrument_types_tell_indices_from_shares(day: MarketDay) -> None:
    frame = read(bhavcopy.derivatives_udiff(day))
    kinds = frame.group_by("TckrSymb").agg(pl.col("FinInstrmTp").unique().sort()).sort("TckrSymb").rows()
    assert kinds == [("ASHOKLEY", ["STF", "STO"]), ("NIFTY", ["IDF", "IDO"])]
    assert frame.filter(pl.col("OptnTp").is_null())["StrkPric"].null_count() == 6
    assert "122.50" in frame["StrkPric"].to_list()


def test_open_interest_change_goes_back_to_the_day_before(day: MarketDay) -> None:
    frame = read(bhavcopy.derivatives_udiff(day))
    before = frame["OpnIntrst"].cast(pl.Int64) - frame["ChngInOpnIntrst"].cast(pl.Int64)
    assert before.to_list() == day.contracts["previous_open_interest"].to_list()


def test_old_derivatives_file_ends_each_line_with_a_comma(day: MarketDay) -> None:
    delivery = bhavcopy.derivatives_old(day)
    lines = text(delivery)
    assert delivery.names == ("fo14AUG2025bhav.csv",)
    assert lines[0] == (
        "INSTRUMENT,SYMBOL,EXPIRY_DT,STRIKE_PR,OPTION_TYP,OPEN,HIGH,LOW,CLOSE,SETTLE_PR,"
        "CONTRACTS,VAL_INLAKH,OPEN_INT,CHG_IN_OI,TIMESTAMP,"
    )
    assert {line.count(",") for line in lines} == {15}
    assert lines[1].startswith("FUTIDX,NIFTY,28-Aug-2025,0,XX,")
    assert all(line.endswith(",14-AUG-2025,") for line in lines[1:])
    assert any(line.startswith("OPTSTK,ASHOKLEY,28-Aug-2025,122.5,CE,") for line in lines)


def test_old_and_new_derivatives_files_agree(day: MarketDay) -> None:
    old, new = read(bhavcopy.derivatives_old(day)), read(bhavcopy.derivatives_udiff(day))
    pairs = {
        "OPEN": "OpnPric",
        "HIGH": "HghPric",
        "LOW": "LwPric",
        "CLOSE": "ClsPric",
        "SETTLE_PR": "SttlmPric",
        "CONTRACTS": "TtlTradgVol",
        "OPEN_INT": "OpnIntrst",
        "CHG_IN_OI": "ChngInOpnIntrst",
    }
    for left, right in pairs.items():
        assert old[left].cast(pl.Float64).to_list() == new[right].cast(pl.Float64).to_list(), left
    lakhs, rupees = old["VAL_INLAKH"].cast(pl.Float64), new["TtlTrfVal"].cast(pl.Float64)
    assert ((rupees / 100_000 - lakhs).abs() < 0.011).all()


def test_cash_files_keep_series_isin_and_a_security_without_trades(day: MarketDay) -> None:
    frame = read(bhavcopy.cash_udiff(day))
    assert set(frame["SctySrs"]) == {"EQ", "BE", "GS", "GB"}
    assert frame.filter(pl.col("TckrSymb") == "M&M")["ISIN"].to_list() == ["INE101A01026"]
    untraded = frame.filter(pl.col("TtlTradgVol") == "0").row(0, named=True)
    assert (untraded["OpnPric"], untraded["HghPric"], untraded["LwPric"], untraded["ClsPric"]) == (
        *("0.00", "0.00", "0.00", "10222.45"),
    )
    assert {line.count(",") for line in text(bhavcopy.cash_udiff(day))} == {33}


def test_cash_days_are_those_of_the_minutes(day: MarketDay) -> None:
    minutes = day.spot_bars.filter(pl.col("symbol") == "M&M")
    row = read(bhavcopy.cash_udiff(day)).filter(pl.col("TckrSymb") == "M&M").row(0, named=True)
    assert int(row["TtlTradgVol"]) == minutes["volume"].sum()
    assert float(row["HghPric"]) == minutes["high"].max() / 1e4  # type: ignore[operator]  # there are rows
    assert float(row["ClsPric"]) == minutes["close"][-1] / 1e4


def test_old_cash_file_agrees_with_the_new_one(day: MarketDay) -> None:
    delivery = bhavcopy.cash_old(day)
    assert delivery.names == ("cm14AUG2025bhav.csv",)
    assert text(delivery)[0] == (
        "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,"
    )
    old, new = read(delivery), read(bhavcopy.cash_udiff(day))
    for left, right in {"SYMBOL": "TckrSymb", "SERIES": "SctySrs", "TOTTRDQTY": "TtlTradgVol", "ISIN": "ISIN"}.items():
        assert old[left].to_list() == new[right].to_list()
    for left, right in {"CLOSE": "ClsPric", "PREVCLOSE": "PrvsClsgPric", "TOTTRDVAL": "TtlTrfVal"}.items():
        assert old[left].cast(pl.Float64).to_list() == new[right].cast(pl.Float64).to_list()
