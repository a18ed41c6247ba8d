"""Several resolutions, ticks, and what comes beside them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
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
from nautilus_trader.model.data import QuoteTick, TradeTick
from nautilus_trader.model.enums import AggressorSide
from nautilus_trader.model.identifiers import InstrumentId, TradeId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.nautilus.exporter import NautilusExporter
from pipeline_defs.schema.exports import READBACK_SCHEMA
from pipeline_tests.exports.nautilus.slices import at_resolution, bytes_as_nautilus_writes, share_slice, tick_slice

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.exports.run import PublishedExport
    from pipeline_defs.schema.exports import MarketSlice, TickSlice

OPTION = "NIFTY250814C24500.NSE"
ONLY_QUOTES = "NIFTY250814C24700.NSE"


def _ticks(market: MarketSlice) -> pl.DataFrame:
    assert market.ticks is not None
    return pl.concat(market.ticks.read())


def _ns(stamp: dt.datetime) -> int:
    return (stamp - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1) * 1_000


def test_each_resolution_of_each_instrument_has_one_file_in_the_same_folder(published: PublishedExport[Path]) -> None:
    folders = sorted(path.name for path in (published.path / "data" / "bar").iterdir())
    of_option = [name.removeprefix(f"{OPTION}-") for name in folders if name.startswith(f"{OPTION}-")]
    assert of_option == [f"{length}-LAST-EXTERNAL" for length in ("1-DAY", "1-HOUR", "1-MINUTE", "5-MINUTE")]
    assert len(folders) == 8 * 4
    assert {len(list((published.path / "data" / "bar" / name).iterdir())) for name in folders} == {1}


def test_what_nautilus_read_back_is_what_the_slice_says_at_every_resolution(
    rich_market: MarketSlice, published: PublishedExport[Path]
) -> None:
    readback = published.verification.readback
    assert readback is not None
    assert dict(readback.schema) == READBACK_SCHEMA
    expected = pl.concat(
        [
            pl.concat(part.read_bars())
            .group_by("instrument_id")
            .agg(
                bar_seconds=pl.lit(part.bar_seconds, pl.Int32),
                rows=pl.len().cast(pl.Int64),
                first_timestamp=pl.col("timestamp").min(),
                last_timestamp=pl.col("timestamp").max(),
                close_sum=pl.col("close").sum(),
                volume_sum=pl.col("volume").sum().cast(pl.Decimal(38, 8)),
            )
            for part in rich_market.every_resolution
        ]
    )
    assert readback.equals(expected.select(list(READBACK_SCHEMA)).sort("instrument_id", "bar_seconds"))
    assert readback.height == 32


def test_daily_bars_are_stamped_with_the_close_of_their_session(published: PublishedExport[Path]) -> None:
    daily = ParquetDataCatalog(str(published.path)).bars(bar_types=["NIFTY.NSE-1-DAY-LAST-EXTERNAL"])
    stamps = [dt.datetime.fromtimestamp(bar.ts_init // 10**9, dt.UTC) for bar in daily]
    assert stamps == [dt.datetime(2025, 8, day, 10, 0, tzinfo=dt.UTC) for day in (13, 14)]


def test_open_interest_comes_from_the_finest_bars_alone(published: PublishedExport[Path]) -> None:
    assert published.counts["option_greeks"] == 4_500


def test_counts_say_how_many_ticks_became_trades_and_quotes(published: PublishedExport[Path]) -> None:
    assert published.counts == {
        "bars": 7_328,
        "instruments": 9,
        "option_greeks": 4_500,
        "trade_ticks": 404,
        "quote_ticks": 797 + 7,
    }
    assert published.verification.checks["trade_ticks"] == 404
    assert published.verification.checks["quote_ticks_compared_one_by_one"] == 804


def test_trades_and_quotes_are_what_nautilus_writes_of_the_same_ticks_bit_for_bit(
    rich_market: MarketSlice, published: PublishedExport[Path], tmp_path: Path
) -> None:
    instrument_id = InstrumentId.from_str(OPTION)
    ticks = _ticks(rich_market).filter(pl.col("instrument_id") == 10)
    theirs = ParquetDataCatalog(str(tmp_path))
    trades = [
        TradeTick(
            instrument_id,
            Price.from_str(f"{row['price']:.2f}"),
            Quantity.from_int(row["size"]),
            AggressorSide.NO_AGGRESSOR,
            TradeId(f"{_ns(row['timestamp'])}-{row['sequence']}"),
            _ns(row["timestamp"]),
            _ns(row["timestamp"]),
        )
        for row in ticks.filter(pl.col("size") > 0).iter_rows(named=True)
    ]
    quotes = [
        QuoteTick(
            instrument_id,
            *(Price.from_str(f"{row[name]:.2f}") for name in ("bid_price", "ask_price")),
            *(Quantity.from_int(row[name] or 0) for name in ("bid_size", "ask_size")),
            _ns(row["timestamp"]),
            _ns(row["timestamp"]),
        )
        for row in ticks.drop_nulls(["bid_price", "ask_price"]).iter_rows(named=True)
    ]
    theirs.write_data(trades)
    theirs.write_data(quotes)
    assert (len(trades), len(quotes)) == (400, 797)
    for folder in ("trade_tick", "quote_tick"):
        (our_file,) = (published.path / "data" / folder / OPTION).iterdir()
        (their_file,) = (tmp_path / "data" / folder / OPTION).iterdir()
        ours = pq.read_table(our_file)
        assert ours.equals(pq.read_table(their_file), check_metadata=True)
        assert bytes_as_nautilus_writes(our_file, tmp_path) == their_file.read_bytes()


def test_trades_of_one_instant_keep_their_order_and_have_ids_of_their_own(published: PublishedExport[Path]) -> None:
    trades = ParquetDataCatalog(str(published.path)).trade_ticks(instrument_ids=[OPTION])
    assert [trade.ts_init for trade in trades] == sorted(trade.ts_init for trade in trades)
    assert len({trade.trade_id.value for trade in trades}) == len(trades) == 400
    assert trades[0].trade_id.value == "1755056700000000000-0"
    assert {trade.aggressor_side for trade in trades} == {AggressorSide.NO_AGGRESSOR}


def test_an_index_without_quotes_has_trades_only_and_a_contract_without_trades_quotes_only(
    published: PublishedExport[Path],
) -> None:
    data = published.path / "data"
    assert (data / "trade_tick" / "NIFTY.NSE").is_dir()
    assert not (data / "quote_tick" / "NIFTY.NSE").exists()
    assert (data / "quote_tick" / ONLY_QUOTES).is_dir()
    assert not (data / "trade_tick" / ONLY_QUOTES).exists()
    assert (data / "option_contract" / ONLY_QUOTES).is_dir()


@pytest.mark.filterwarnings("ignore:Timestamp.utcnow is deprecated")
@pytest.mark.parametrize("chunk_size", [None, 100])
def test_ticks_replay_at_once_and_in_chunks(published: PublishedExport[Path], chunk_size: int | None) -> None:
    path = str(published.path)
    config = BacktestRunConfig(
        engine=BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)),
        venues=[
            BacktestVenueConfig(name="NSE", oms_type="NETTING", account_type="MARGIN", starting_balances=["1 INR"])
        ],
        data=[
            BacktestDataConfig(catalog_path=path, data_cls=kind, instrument_ids=[OPTION])
            for kind in (TradeTick, QuoteTick)
        ],
        chunk_size=chunk_size,
        raise_exception=True,
    )
    (result,) = BacktestNode([config]).run()
    assert result.iterations == 400 + 797


def test_settlement_prices_are_exact_numbers_by_id(published: PublishedExport[Path]) -> None:
    text = (published.path / "settlement_prices.json").read_text()
    assert json.loads(text, parse_float=Decimal) == {
        OPTION: Decimal("108.4"),
        "NIFTY250814C24600.NSE": Decimal("8.35"),
        "NIFTY250814P24500.NSE": 0,
    }


def test_contracts_without_a_settlement_price_are_noted(published: PublishedExport[Path]) -> None:
    details = json.loads(published.manifest.read_text())["details"]
    assert details["notes"][0].startswith(
        "the exchange's settlement price of 2 of 5 contracts that expire is not known"
    )
    assert "6 quotes came without a size on one side, 0 was written there" in details["notes"]
    assert details["bar_specifications"][-1] == "1-DAY-LAST-EXTERNAL"
    assert details["schema_classes"] == [
        "Bar",
        "FuturesContract",
        "IndexInstrument",
        "OptionContract",
        "OptionGreeks",
        "QuoteTick",
        "TradeTick",
    ]
    assert details["precision_bytes"] == 16


def test_options_on_a_share_are_delivered_so_their_settlement_price_is_left_out(
    rich_market: MarketSlice, tmp_path: Path
) -> None:
    market = dataclasses.replace(share_slice(), settlements=rich_market.settlements)
    built = NautilusExporter().build(market, tmp_path)
    assert json.loads((tmp_path / "settlement_prices.json").read_text()) == {"RELIANCE25AUGFUT.NSE": 0}
    assert any("1 options on a share expire: the engine delivers" in note for note in built.details["notes"])
    assert built.instruments["bar_seconds"].to_list() == [60, 86_400] * 3


def _with_ticks(market: MarketSlice, ticks: TickSlice) -> MarketSlice:
    return dataclasses.replace(market, ticks=ticks)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timestamp": pl.col("timestamp").reverse()}, "not sorted by instrument, time and sequence"),
        ({"sequence": pl.lit(0, pl.Int32)}, "not sorted by instrument, time and sequence, or one is there twice"),
        ({"price": pl.lit(None, pl.Decimal(20, 8))}, "a trade has no price"),
        ({"size": pl.lit(-1, pl.Int64)}, "a size is not between 0"),
        ({"timestamp": pl.col("timestamp").dt.offset_by("-1d")}, "lies outside the sessions"),
        ({"sequence": pl.lit(None, pl.Int32)}, "a required value is missing"),
        ({"ask_price": pl.col("ask_price") + Decimal("0.001")}, "has more than the 2 decimals of its tick"),
    ],
)
def test_ticks_that_nautilus_would_misread_are_refused(
    market: MarketSlice, rich_market: MarketSlice, tmp_path: Path, change: dict[str, pl.Expr], message: str
) -> None:
    one = _ticks(rich_market).filter(pl.col("instrument_id") == 10)
    bad = one.with_columns(**change).cast(one.schema)
    with pytest.raises(ExportError, match=message):
        NautilusExporter().build(_with_ticks(market, tick_slice(market, bad)), tmp_path)


def test_other_columns_of_ticks_are_refused(market: MarketSlice, rich_market: MarketSlice, tmp_path: Path) -> None:
    whole = _ticks(rich_market).filter(pl.col("instrument_id") == 10)
    ticks = tick_slice(market, whole.drop("ask_size"))
    with pytest.raises(ExportError, match="ticks came with the columns"):
        NautilusExporter().build(_with_ticks(market, ticks), tmp_path)


def test_a_tick_less_than_announced_is_refused(market: MarketSlice, rich_market: MarketSlice, tmp_path: Path) -> None:
    assert rich_market.ticks is not None
    whole = _ticks(rich_market).filter(pl.col("instrument_id") == 10)
    ticks = dataclasses.replace(tick_slice(market, whole), read=lambda _ids=None: iter([whole[1:]]))
    with pytest.raises(ExportError, match=r"gave 799 ticks from .* but the slice announces 800"):
        NautilusExporter().build(_with_ticks(market, ticks), tmp_path)
    nothing = dataclasses.replace(ticks, read=lambda _ids=None: iter([whole.clear()]))
    with pytest.raises(ExportError, match="gave 0 ticks"):
        NautilusExporter().build(_with_ticks(market, nothing), tmp_path / "other")


def test_a_coarser_bar_finer_than_the_precision_of_the_finest_is_refused(market: MarketSlice, tmp_path: Path) -> None:
    hourly = at_resolution(market, 3_600)
    bars = pl.concat(hourly.read_bars()).with_columns(high=pl.col("high") + Decimal("0.001"))
    hourly = dataclasses.replace(hourly, read_bars=lambda _ids=None: iter([bars.cast({"high": pl.Decimal(20, 8)})]))
    with pytest.raises(ExportError, match="has more than the 2 decimals of its tick"):
        NautilusExporter().build(dataclasses.replace(market, resolutions=(hourly,)), tmp_path)
