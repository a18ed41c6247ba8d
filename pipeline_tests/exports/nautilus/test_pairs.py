from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq
import pytest
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.nautilus.exporter import NautilusExporter
from pipeline_tests.exports.nautilus.slices import bytes_as_nautilus_writes, instrument, pair_slice

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.exports.run import PublishedExport
    from pipeline_defs.schema.exports import MarketSlice

MINUTES = "BTCUSDT.BINANCE-1-MINUTE-LAST-EXTERNAL"


def _pairs(root: Path) -> dict[str, CurrencyPair]:
    return {one.id.value: one for one in ParquetDataCatalog(str(root)).instruments()}


def test_pairs_read_back_with_their_currencies_also_one_that_nautilus_does_not_know(
    published_pairs: PublishedExport[Path],
) -> None:
    pairs = _pairs(published_pairs.path)
    known, unknown = pairs["BTCUSDT.BINANCE"], pairs["FOOBARUSDT.BINANCE"]
    assert isinstance(known, CurrencyPair)
    assert (known.base_currency.code, known.quote_currency.code, known.raw_symbol.value) == ("BTC", "USDT", "BTC/USDT")
    assert (unknown.base_currency.code, unknown.base_currency.precision) == ("FOOBAR", 8)


def test_precisions_do_not_depend_on_what_a_month_s_prices_need(
    published_pairs: PublishedExport[Path], tmp_path: Path
) -> None:
    pair = _pairs(published_pairs.path)["BTCUSDT.BINANCE"]
    assert (pair.price_precision, pair.size_precision) == (8, 8)
    assert (str(pair.price_increment), str(pair.size_increment)) == ("0.00000001", "0.00000001")
    NautilusExporter().build(pair_slice(tick_size=Decimal("0.01")), tmp_path)
    with_tick = _pairs(tmp_path)["BTCUSDT.BINANCE"]
    assert (with_tick.price_precision, with_tick.size_precision, str(with_tick.price_increment)) == (2, 8, "0.01")


def test_fractional_volumes_are_what_nautilus_writes_of_them_bit_for_bit(
    pairs_market: MarketSlice, published_pairs: PublishedExport[Path], tmp_path: Path
) -> None:
    bar_type = BarType.from_str(MINUTES)
    bars = pl.concat(pairs_market.read_bars()).filter(pl.col("instrument_id") == 1)
    theirs = ParquetDataCatalog(str(tmp_path))
    theirs.write_data(
        [
            Bar(
                bar_type,
                *(Price.from_str(f"{row[name]:.8f}") for name in ("open", "high", "low", "close")),
                Quantity.from_str(f"{row['volume']:.8f}"),
                int(row["timestamp"].timestamp()) * 10**9,
                int(row["timestamp"].timestamp()) * 10**9,
            )
            for row in bars.iter_rows(named=True)
        ]
    )
    (our_file,) = (published_pairs.path / "data" / "bar" / MINUTES).iterdir()
    (their_file,) = (tmp_path / "data" / "bar" / MINUTES).iterdir()
    assert bytes_as_nautilus_writes(our_file, tmp_path) == their_file.read_bytes()
    assert pq.read_schema(our_file).metadata[b"size_precision"] == b"8"


def test_instrument_files_are_what_nautilus_writes_bit_for_bit(
    published_pairs: PublishedExport[Path], tmp_path: Path
) -> None:
    theirs = ParquetDataCatalog(str(tmp_path))
    for name, pair in _pairs(published_pairs.path).items():
        theirs.write_data([pair])
        (our_file,) = (published_pairs.path / "data" / "currency_pair" / name).iterdir()
        (their_file,) = (tmp_path / "data" / "currency_pair" / name).iterdir()
        assert bytes_as_nautilus_writes(our_file, tmp_path) == their_file.read_bytes()


def test_a_pair_is_verified_and_replayed(published_pairs: PublishedExport[Path]) -> None:
    checks = published_pairs.verification.checks
    assert checks["instruments"] == {"CurrencyPair": 2}
    assert (checks["bars"], checks["trade_ticks"], checks["quote_ticks"]) == (1_504, 30, 60)
    assert checks["trial"] == {"replay": {"bar_type": MINUTES, "iterations": 750}}
    details = json.loads(published_pairs.manifest.read_text())["details"]
    assert (details["notes"], details["venue"]) == ([], "BINANCE")


def test_the_smallest_sizes_and_prices_are_exact(published_pairs: PublishedExport[Path]) -> None:
    catalog = ParquetDataCatalog(str(published_pairs.path))
    quote = catalog.quote_ticks(instrument_ids=["BTCUSDT.BINANCE"])[0]
    trade = catalog.trade_ticks(instrument_ids=["BTCUSDT.BINANCE"])[0]
    assert (str(quote.ask_size), str(quote.bid_size), str(trade.size)) == ("0.00000001", "1.50000000", "0.00009225")
    lowest = catalog.bars(bar_types=["FOOBARUSDT.BINANCE-1-DAY-LAST-EXTERNAL"])[0].low
    assert Decimal(str(lowest)) == Decimal("0.00001234")


@pytest.mark.parametrize("missing", ["base_currency", "currency"])
def test_a_pair_without_both_currencies_is_refused(missing: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="do not name a contract"):
        NautilusExporter().build(pair_slice(**{missing: None}), tmp_path)


def test_fractions_of_a_class_that_nautilus_counts_in_whole_units_are_refused(
    pairs_market: MarketSlice, tmp_path: Path
) -> None:
    spot = instrument(2, "SPOT", "BTC", underlying="FOOBARUSDT", venue="BINANCE", currency="USDT")
    rows = [
        spot | {name: row[name] for name in ("first_timestamp", "last_timestamp", "row_count")}
        if row["instrument_id"] == 2
        else row
        for row in pairs_market.instruments.iter_rows(named=True)
    ]
    other = dataclasses.replace(
        pairs_market,
        instruments=pl.DataFrame(rows, schema=pairs_market.instruments.schema),
        resolutions=(),
        ticks=None,
    )
    with pytest.raises(ExportError, match=r"a size is a fraction.*volume 0\.0") as caught:
        NautilusExporter().build(other, tmp_path)
    assert caught.value.where is not None
    assert caught.value.where.startswith("instrument 2 at")
