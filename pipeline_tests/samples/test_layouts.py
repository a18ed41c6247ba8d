from __future__ import annotations

import datetime as dt
import io
import zipfile
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.samples import layouts
from pipeline_defs.samples.chain import ChainSpec
from pipeline_defs.samples.delivery import Delivery, render, write
from pipeline_defs.samples.market import DayState, MarketDay, trade_one_day
from pipeline_defs.samples.truedata import truedata_ticks

if TYPE_CHECKING:
    from pathlib import Path

CHAINS = (ChainSpec("NIFTY", 1, 4, weeklies=1, monthlies=1), ChainSpec("ASHOKLEY", 1))


def trade(trade_date: dt.date) -> MarketDay:
    return trade_one_day(
        trade_date, CHAINS, seed=1, nights=0, state=DayState(), extra_symbols=("INDIAVIX", "M&M"), activity=0.05
    )


@pytest.fixture(scope="module")
def day() -> MarketDay:
    return trade(dt.date(2025, 8, 13))


@pytest.fixture(scope="module")
def late_day() -> MarketDay:
    return trade(dt.date(2026, 8, 13))


def read(delivery: Delivery, file: int = 0, *, has_header: bool = True) -> pl.DataFrame:
    return pl.read_csv(render(delivery)[file].content, infer_schema=False, has_header=has_header)


def test_minute_rows_are_stamped_with_the_last_second_of_the_minute(day: MarketDay) -> None:
    delivery = layouts.derivatives_minute(day)
    frame = read(delivery)
    assert ",".join(frame.columns) == "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest"
    assert set(frame["Date"]) == {"13/08/2025"}
    assert frame["Time"].str.ends_with(":59").all()
    assert frame.filter(pl.col("Ticker") == "NIFTY-I.NFO")["Time"].max() == "15:29:59"
    first = delivery.rows.row(0, named=True)
    complete = dt.datetime.combine(dt.date(2025, 8, 13), dt.time.fromisoformat(first["time"]), layouts.INDIA)
    assert first["timestamp"] == complete + dt.timedelta(seconds=1)


def test_derivatives_trade_to_the_close_of_the_session_table(late_day: MarketDay) -> None:
    assert read(layouts.derivatives_minute(late_day))["Time"].max() == "15:39:59"


def test_indices_print_once_in_the_closing_auction(late_day: MarketDay) -> None:
    minutes = read(layouts.index_minute(late_day)).filter(pl.col("Ticker") == "NIFTY 50.NSE_IDX")
    assert minutes["Time"].tail(2).to_list() == ["15:14:59", "15:29:59"]
    assert minutes.height == 361
    assert len(set(minutes.select("Open", "High", "Low", "Close").row(-1))) == 1
    ticks = read(layouts.index_ticks(late_day))
    assert ticks["Time"].tail(2).to_list() == ["15:14:59", "15:29:59"]
    assert ticks["LTP"][-1] == minutes["Close"][-1]


def test_index_and_share_files_use_the_vendor_s_names(day: MarketDay) -> None:
    indices = read(layouts.index_minute(day))
    assert indices["Ticker"].unique(maintain_order=True).to_list() == ["NIFTY 50.NSE_IDX", "INDIA VIX.NSE_IDX"]
    assert set(indices["Volume"]) == {"0"}
    assert indices.filter(pl.col("Ticker").str.starts_with("INDIA"))["Close"].str.contains(r"\.\d{4}$").any()
    shares = layouts.shares_minute(day)
    assert read(shares)["Ticker"].unique(maintain_order=True).to_list() == ["ASHOKLEY.NSE", "M&M.NSE"]
    assert shares.names == ("GFDLCM_STOCK_13082025.CSV",)


def test_a_folder_holds_the_same_rows_as_the_one_file(day: MarketDay, tmp_path: Path) -> None:
    folder = layouts.derivatives_minute_folder(day)
    paths = write(tmp_path, folder, render(folder))
    assert {path.parent.name for path in paths} == {"GFDLNFO_BACKADJUSTED_13082025"}
    for path in paths:
        assert set(pl.read_csv(path, infer_schema=False)["Ticker"]) == {path.name.removesuffix(".csv")}
    parts = pl.concat(pl.read_csv(path, infer_schema=False) for path in paths)
    assert parts.equals(read(layouts.derivatives_minute(day)))


def test_contracts_in_excess_share_the_last_file(day: MarketDay) -> None:
    folder = layouts.derivatives_minute_folder(day, most_files=3)
    assert folder.names[2] == "GFDLNFO_OPTIONS_13082025.csv"
    assert [read(folder, file)["Ticker"].n_unique() for file in (0, 1)] == [1, 1]
    assert sum(folder.row_counts()) == day.bars.height


def test_a_folder_without_files_is_refused(day: MarketDay) -> None:
    with pytest.raises(ConfigurationError, match="0 files"):
        layouts.derivatives_minute_folder(day, most_files=0)


def test_snapshots_lie_in_folders_of_a_zip_in_a_zip(day: MarketDay, tmp_path: Path) -> None:
    delivery = layouts.derivatives_ticks(day, None, seed=1)
    (path,) = write(tmp_path, delivery, render(delivery))
    with zipfile.ZipFile(path) as outer:
        assert outer.namelist() == ["GFDLNFO_TICK_13082025.zip"]
        with zipfile.ZipFile(io.BytesIO(outer.read("GFDLNFO_TICK_13082025.zip"))) as inner:
            names = inner.namelist()
            head = inner.read(names[0]).split(b"\r\n")
    assert "GFDLNFO_TICK_13082025/Futures/-II/NIFTY-II.NFO.csv" in names
    assert "GFDLNFO_TICK_13082025/Options/ASHOKLEY28AUG25122.5CE.NFO.csv" in names
    assert head[0] == b"Ticker,Date,Time,LTP,BuyPrice,BuyQty,SellPrice,SellQty,LTQ,OpenInterest"
    assert len(names) == day.bars["contract"].n_unique()


def test_snapshots_fold_into_the_minute_file(day: MarketDay) -> None:
    ticks = layouts.derivatives_ticks(day, None, seed=1).rows
    price = pl.col("last_price").cast(pl.Decimal(18, 4))
    folded = ticks.group_by("ticker", pl.col("time").str.head(5), maintain_order=True).agg(
        open=price.first(),
        high=price.max(),
        low=price.min(),
        close=price.last(),
        volume=pl.col("last_size").cast(pl.Int64).sum(),
        open_interest=pl.col("open_interest").last(),
    )
    minutes = layouts.derivatives_minute(day).rows.select(
        "ticker",
        pl.col("time").str.head(5),
        pl.col("open", "high", "low", "close").cast(pl.Decimal(18, 4)),
        pl.col("volume").cast(pl.Int64),
        "open_interest",
    )
    assert folded.sort("ticker", "time").equals(minutes.sort("ticker", "time"))


def test_few_contracts_with_snapshots_are_those_nearest_the_money(day: MarketDay) -> None:
    names = layouts.derivatives_ticks(day, 4, seed=1).names
    assert [name.rsplit("/", 1)[1] for name in names] == [
        *("NIFTY-I.NFO.csv", "NIFTY14AUG2524600CE.NFO.csv", "NIFTY14AUG2524600PE.NFO.csv", "ASHOKLEY-I.NFO.csv"),
    ]


def test_index_snapshots_come_every_second_without_quotes(day: MarketDay) -> None:
    frame = read(layouts.index_ticks(day))
    assert frame.height == 22_500
    assert frame.row(0)[1:3] == ("13/08/2025", "09:15:00")
    assert set(frame.select(pl.col("BuyPrice", "SellPrice", "LTQ", "OpenInterest").n_unique()).row(0)) == {1}
    minutes = read(layouts.index_minute(day)).filter(pl.col("Ticker") == "NIFTY 50.NSE_IDX")
    closes = frame.group_by(pl.col("Time").str.head(5), maintain_order=True).agg(pl.col("LTP").last())
    assert closes["LTP"].to_list() == minutes["Close"].to_list()


def test_headerless_snapshots_name_the_instrument_in_the_member_only(day: MarketDay) -> None:
    indices, futures, options = truedata_ticks(day, None, seed=1)
    assert indices.archives == ("NSE_IDX_TICK_20250813.zip",)
    assert indices.names == ("NIFTY.csv",)
    assert read(indices, has_header=False).width == 5
    assert futures.names[0] == "Contract Futures/NIFTY25AUGFUT.csv"
    assert "ASHOKLEY250828122.5CE.csv" in options.names
    frame = read(options, has_header=False)
    assert frame.width == 9
    assert frame.row(0)[0] == "20250813"
    assert frame[:, 2].str.contains(r"^\d+\.\d\d$").all()


def test_headerless_quotes_stand_behind_the_open_interest(day: MarketDay) -> None:
    _, _, options = truedata_ticks(day, None, seed=1)
    same = layouts.derivatives_ticks(day, None, seed=1)
    file = options.names.index("NIFTY25081424600CE.csv")
    other = next(i for i, name in enumerate(same.names) if "NIFTY14AUG2524600CE" in name)
    names = ["date", "time", "LTP", "LTQ", "OpenInterest", "BuyPrice", "BuyQty", "SellPrice", "SellQty"]
    headerless = read(options, file, has_header=False)
    headerless.columns = names
    numbers = names[2:]
    expected = read(same, other).select(pl.col(numbers).cast(pl.Float64))
    assert headerless.select(pl.col(numbers).cast(pl.Float64)).equals(expected)


def test_segments_without_instruments_are_left_out() -> None:
    day = trade_one_day(
        dt.date(2025, 8, 13), (ChainSpec("M&M", 0, futures=0),), seed=1, nights=0, state=DayState(), activity=1.0
    )
    assert [delivery.archives for delivery in truedata_ticks(day, None, seed=1)] == [("NSE_OPT_TICK_20250813.zip",)]
