"""Shares of which parts are traded, in an engine that counts whole ones: rounded down, counted, and verified so."""

from __future__ import annotations

import dataclasses
import json
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nautilus_trader.model.instruments import Equity
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from pipeline_defs.exports.nautilus.exporter import NautilusExporter
from pipeline_defs.exports.nautilus.rounding import round_down
from pipeline_defs.exports.run import export_slice
from pipeline_defs.schema.columns import PRICE, SIZE
from pipeline_defs.schema.exports import BAR_SCHEMA
from pipeline_tests.exports.nautilus.slices import at_resolution, bars_of, instrument, make_slice, tick_slice, ticks_of

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.exports.run import PublishedExport
    from pipeline_defs.schema.exports import MarketSlice

MINUTES, HOURS = (f"AAPL.US-{step}-LAST-EXTERNAL" for step in ("1-MINUTE", "1-HOUR"))


def shares(part: str, *, as_decimals: bool = True, ticks: bool = False) -> MarketSlice:
    """A US share; each bar has as many shares as its place in the file, and a part of one."""
    terms = instrument(1, "EQ", "AAPL", underlying="AAPL", venue="US", currency="USD")
    kind = SIZE if as_decimals else pl.Int64()
    volume = pl.int_range(pl.len()).cast(kind) + (pl.lit(part).cast(SIZE) if as_decimals else 0)
    bars = bars_of(1, Decimal("182.16"), Decimal("0.01")).with_columns(volume=volume.cast(kind))
    bars = bars.cast(pl.Schema(BAR_SCHEMA | {"volume": kind}))
    market = dataclasses.replace(make_slice([terms], [bars], underlying="AAPL"), fractional=as_decimals)
    if ticks:
        sizes = {
            name: pl.int_range(pl.len()).cast(SIZE) + pl.lit("0.75").cast(SIZE) for name in ("bid_size", "ask_size")
        }
        quotes = {name: pl.lit(price).cast(PRICE) for name, price in (("bid_price", "182.1"), ("ask_price", "182.2"))}
        told = ticks_of(1, 5, price=pl.lit("182.16").cast(PRICE), **quotes).with_columns(
            size=pl.int_range(pl.len()).cast(SIZE) + pl.lit("0.5").cast(SIZE), **sizes
        )
        told = told.select(pl.col(name).cast(dtype) for name, dtype in market.tick_schema.items())
        market = dataclasses.replace(market, ticks=tick_slice(market, told))
    return dataclasses.replace(market, resolutions=(at_resolution(market, 3_600),))


@pytest.fixture(scope="module")
def published_shares(tmp_path_factory: pytest.TempPathFactory) -> PublishedExport[Path]:
    return export_slice("nautilus", shares("0.25", ticks=True), tmp_path_factory.mktemp("shares") / "catalog")


def test_the_engine_reads_whole_shares_and_prices_of_a_bar_of_less_than_one(
    published_shares: PublishedExport[Path],
) -> None:
    catalog = ParquetDataCatalog(str(published_shares.path))
    (share,) = catalog.instruments()
    assert isinstance(share, Equity)
    assert share.size_precision == 0
    minutes = catalog.bars(bar_types=[MINUTES])
    assert [str(bar.volume) for bar in minutes] == [str(number) for number in range(len(minutes))]
    assert str(minutes[0].close) == "182.16"
    first_hour = catalog.bars(bar_types=[HOURS])[0]
    # An hour is the whole part of what was traded in it, not the sum of its minutes' whole parts.
    assert str(first_hour.volume) == str(sum(range(60)) + 15)


def test_a_trade_of_less_than_one_share_is_left_out_and_the_others_are_whole(
    published_shares: PublishedExport[Path],
) -> None:
    catalog = ParquetDataCatalog(str(published_shares.path))
    assert [str(trade.size) for trade in catalog.trade_ticks(instrument_ids=["AAPL.US"])] == list("123456789")
    assert [str(quote.bid_size) for quote in catalog.quote_ticks(instrument_ids=["AAPL.US"])] == list("0123456789")


def test_manifest_and_verification_count_the_same_rows(published_shares: PublishedExport[Path]) -> None:
    details = json.loads(published_shares.manifest.read_text(encoding="utf-8"))["details"]
    # All 750 minutes; of the hours, 60 quarters of a share are whole, but for the 15 minutes that end each session.
    expected = {"bars": 752, "ticks": 10}
    assert details["sizes_rounded_down"] == expected == published_shares.verification.checks["sizes_rounded_down"]
    assert [note for note in details["notes"] if "rounded down" in note] == [
        "the volume of 752 bars was rounded down to whole shares: Nautilus knows no parts of a share",
        "sizes of 10 ticks were rounded down to whole shares; a trade of less than one share is left out",
    ]


def test_a_builder_that_counts_otherwise_is_caught(tmp_path: Path) -> None:
    market = shares("0.25")
    built = NautilusExporter().build(market, tmp_path)
    (verdict,) = (
        NautilusExporter()
        .verify(dataclasses.replace(built, details=built.details | {"sizes_rounded_down": {"bars": 1}}), market)
        .failures
    )
    assert verdict.startswith("rows with rounded sizes: built as {'bars': 1}; expected {'bars': ")


def test_whole_volumes_that_come_as_decimals_make_the_same_catalog_byte_for_byte(tmp_path: Path) -> None:
    made = {}
    for name, as_decimals in (("whole", False), ("decimal", True)):
        (tmp_path / name).mkdir()
        built = NautilusExporter().build(shares("0", as_decimals=as_decimals), tmp_path / name)
        files = sorted(path for path in built.root.rglob("*") if path.is_file())
        made[name] = ({path.relative_to(built.root): path.read_bytes() for path in files}, built.details, built.counts)
    assert made["whole"] == made["decimal"]


@given(
    st.lists(
        st.tuples(st.sampled_from([1, 2]), st.none() | st.decimals(min_value=0, max_value=10**12, places=8)),
        max_size=30,
    )
)
def test_shares_are_rounded_down_and_all_else_is_left_alone(rows: list[tuple[int, Decimal | None]]) -> None:
    frame = pl.DataFrame(rows, schema={"instrument_id": pl.Int32, "size": SIZE}, orient="row")

    rounded, touched = round_down(frame, [1], ("size",))

    def whole(number: int, size: Decimal | None) -> Decimal | None:
        return size if number != 1 or size is None else size.to_integral_value(ROUND_DOWN)

    assert rounded.schema == frame.schema
    assert rounded["size"].to_list() == [whole(*row) for row in rows]
    assert touched == sum(whole(*row) != row[1] for row in rows)
