from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import math
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq
import pytest
from nautilus_trader.backtest.config import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestRunConfig,
    BacktestVenueConfig,
)
from nautilus_trader.backtest.node import BacktestNode
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.data import Bar, BarType, OptionGreeks
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.nautilus.exporter import NautilusExporter
from pipeline_tests.exports.nautilus.slices import WEEKLY, bars_of, bytes_as_nautilus_writes, instrument, make_slice

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

NAME = "2025-08-13T03-45-00-000000000Z_2025-08-14T10-00-00-000000000Z.parquet"


def _bars(market: MarketSlice) -> pl.DataFrame:
    return pl.concat(market.read_bars())


def _digests(root: Path) -> dict[str, str]:
    files = [file for file in root.rglob("*") if file.is_file()]
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _with_bars(market: MarketSlice, *frames: pl.DataFrame) -> MarketSlice:
    return dataclasses.replace(market, read_bars=lambda _ids=None: iter(frames))


def test_every_bar_file_is_what_nautilus_writes_of_the_same_bars(
    market: MarketSlice, built: BuiltExport, tmp_path: Path
) -> None:
    names = dict(built.instruments.select("instrument_id", "engine_id").iter_rows())
    theirs = ParquetDataCatalog(str(tmp_path))
    for (number,), frame in _bars(market).partition_by("instrument_id", as_dict=True).items():
        bar_type = BarType.from_str(f"{names[number]}-1-MINUTE-LAST-EXTERNAL")
        theirs.write_data(
            [
                Bar(
                    bar_type,
                    *(Price.from_str(f"{row[name]:.2f}") for name in ("open", "high", "low", "close")),
                    Quantity.from_int(row["volume"]),
                    int(row["timestamp"].timestamp()) * 10**9,
                    int(row["timestamp"].timestamp()) * 10**9,
                )
                for row in frame.iter_rows(named=True)
            ]
        )
    expected = {file.parent.name: file for file in (tmp_path / "data" / "bar").rglob("*.parquet")}
    ours = {file.parent.name: file for file in (built.root / "data" / "bar").rglob("*.parquet")}
    assert ours.keys() == expected.keys()
    for name, file in expected.items():
        assert pq.read_table(ours[name]).equals(pq.read_table(file), check_metadata=True), name
        assert bytes_as_nautilus_writes(ours[name], tmp_path) == file.read_bytes(), name


def test_a_plain_catalog_gives_back_every_value(market: MarketSlice, built: BuiltExport) -> None:
    numbers = {name: number for number, name in built.instruments.select("instrument_id", "engine_id").iter_rows()}
    read = [
        (
            numbers[bar.bar_type.instrument_id.value],
            dt.datetime.fromtimestamp(bar.ts_init // 10**9, dt.UTC),
            *(Decimal(str(price)) for price in (bar.open, bar.high, bar.low, bar.close)),
            int(bar.volume),
        )
        for bar in ParquetDataCatalog(str(built.root)).bars()
    ]
    assert sorted(read) == _bars(market).drop("open_interest").sort("instrument_id", "timestamp").rows()


def test_each_identifier_has_one_file_named_from_the_bounds_of_the_partition(built: BuiltExport) -> None:
    files = [file for file in (built.root / "data").rglob("*") if file.is_file()]
    assert {file.name for file in files} == {NAME}
    assert [path.name for path in built.root.iterdir() if path.is_file()] == ["settlement_prices.json"]
    assert len(files) == 8 + 8 + 6
    assert ParquetDataCatalog(str(built.root)).get_intervals(Bar, "NIFTY.NSE-1-MINUTE-LAST-EXTERNAL") == [
        (1755056700000000000, 1755165600000000000)
    ]


def test_the_same_slice_gives_the_same_bytes(market: MarketSlice, built: BuiltExport, tmp_path: Path) -> None:
    again = NautilusExporter().build(market, tmp_path)
    assert _digests(tmp_path) == _digests(built.root)
    assert again.details == built.details
    assert again.counts == built.counts


def test_counts_and_sums_are_those_of_the_bars(market: MarketSlice, built: BuiltExport) -> None:
    assert built.counts == {"bars": 6_000, "instruments": 8, "option_greeks": 4_500}
    index = _bars(market).filter(pl.col("instrument_id") == 1)
    assert built.instruments.filter(pl.col("instrument_id") == 1).rows(named=True) == [
        {
            "instrument_id": 1,
            "engine_id": "NIFTY.NSE",
            "bar_seconds": 60,
            "rows": 750,
            "first_timestamp": index["timestamp"].min(),
            "last_timestamp": index["timestamp"].max(),
            "close_sum": index["close"].sum(),
            "volume_sum": 0,
        }
    ]


def test_details_say_what_cannot_be_read_off_the_files(built: BuiltExport) -> None:
    assert built.engine == "nautilus_trader 1.231.0"
    assert built.details["precision_bytes"] == 16
    assert len(built.details["schema_fingerprint"]) == 64
    assert built.details["settlements"] == [
        {
            "expiry": "2025-08-14",
            "underlying": "NIFTY.NSE",
            "price": "24607.85000000",
            "timestamp": "2025-08-14T10:00:00+00:00",
        }
    ]
    assert built.details["open_interest_left_out"] == 750
    assert built.details["notes"] == [
        (
            "the exchange's settlement price of 4 of 4 contracts that expire is not known: the engine settles them on "
            "the last price it saw"
        ),
        "open interest of 750 bars is left out: Nautilus has a place for that of options only",
    ]


def test_open_interest_of_options_reads_back(market: MarketSlice, built: BuiltExport) -> None:
    greeks = ParquetDataCatalog(str(built.root)).query(OptionGreeks, identifiers=["NIFTY250814C24500.NSE"])
    expected = _bars(market).filter(pl.col("instrument_id") == 10)["open_interest"].to_list()
    assert [row.open_interest for row in greeks] == expected
    assert all(math.isnan(row.delta) for row in greeks)


@pytest.mark.filterwarnings("ignore:Timestamp.utcnow is deprecated")
@pytest.mark.parametrize("chunk_size", [None, 500])
def test_bars_and_open_interest_replay_at_once_and_in_chunks(built: BuiltExport, chunk_size: int | None) -> None:
    name = "NIFTY250814C24500.NSE"
    path = str(built.root)
    config = BacktestRunConfig(
        engine=BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)),
        venues=[
            BacktestVenueConfig(name="NSE", oms_type="NETTING", account_type="MARGIN", starting_balances=["1 INR"])
        ],
        data=[
            BacktestDataConfig(catalog_path=path, data_cls=Bar, bar_types=[f"{name}-1-MINUTE-LAST-EXTERNAL"]),
            BacktestDataConfig(catalog_path=path, data_cls=OptionGreeks, instrument_ids=[name]),
        ],
        chunk_size=chunk_size,
        raise_exception=True,
    )
    (result,) = BacktestNode([config]).run()
    assert result.iterations == 1_500


def test_an_unknown_lot_and_a_missing_underlying_are_noted(tmp_path: Path) -> None:
    option = instrument(
        1, "OPT", "O", expiry=WEEKLY, strike=Decimal(1), option_type="CE", lot_size=None, tick_size=None
    )
    market = make_slice([option], [bars_of(1, Decimal("5.05"), Decimal("0.05"), minutes=2)])
    built = NautilusExporter().build(market, tmp_path)
    assert built.counts["option_greeks"] == 0
    assert built.details["lot_size_unknown"] == 1
    settled, _, lots = built.details["notes"]
    assert "no bar of NIFTY.NSE before the expiries 2025-08-14" in settled
    assert "1 was written: NIFTY250814C1.NSE" in lots


def test_four_decimals_of_an_index_are_kept(tmp_path: Path) -> None:
    vix = instrument(1, "SPOT", "INDIA VIX", underlying="INDIAVIX")
    market = make_slice([vix], [bars_of(1, Decimal("12.0025"), Decimal("0.0025"), minutes=2)])
    NautilusExporter().build(market, tmp_path)
    assert str(ParquetDataCatalog(str(tmp_path)).bars()[0].close) == "12.0025"


def test_a_price_off_its_precision_is_refused(market: MarketSlice, tmp_path: Path) -> None:
    bars = _bars(market).with_columns(
        close=pl.when(pl.int_range(pl.len()) == 2_000).then(pl.col("low") + pl.lit(Decimal("0.001"))).otherwise("close")
    )
    bars = bars.with_columns(high=pl.max_horizontal("high", "close")).cast(_bars(market).schema)
    with pytest.raises(ExportError, match=r"a price of NIFTY250814C24500\.NSE has more than the 2 decimals"):
        NautilusExporter().build(_with_bars(market, bars), tmp_path)


def test_a_bar_less_than_announced_is_refused(market: MarketSlice, tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match=r"gave 749 bars from 2025-08-13 03:47.* but the slice announces 750 from 2025-08-13 03:46"
    ):
        NautilusExporter().build(_with_bars(market, _bars(market)[1:]), tmp_path)


def test_bars_of_an_unannounced_instrument_are_refused(market: MarketSlice, tmp_path: Path) -> None:
    other = market.instruments.filter(pl.col("instrument_id") != 11)
    with pytest.raises(ExportError, match="does not announce") as caught:
        NautilusExporter().build(dataclasses.replace(market, instruments=other), tmp_path)
    assert caught.value.where == "instrument 11"


def test_an_instrument_in_two_frames_is_refused(market: MarketSlice, tmp_path: Path) -> None:
    bars = _bars(market)
    with pytest.raises(ExportError, match="in two frames") as caught:
        NautilusExporter().build(_with_bars(market, bars[:1_000], bars[1_000:]), tmp_path)
    assert caught.value.where == "instrument 2"


def test_a_slice_without_bars_is_refused(market: MarketSlice, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="gave no bars"):
        NautilusExporter().build(_with_bars(market, _bars(market).clear()), tmp_path)


def test_a_slice_without_sessions_is_refused(market: MarketSlice, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="holds 0 sessions"):
        NautilusExporter().build(dataclasses.replace(market, sessions=market.sessions.clear()), tmp_path)
