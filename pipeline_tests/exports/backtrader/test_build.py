from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.backtrader import build as module
from pipeline_defs.exports.backtrader.build import build_files
from pipeline_defs.exports.backtrader.contracts import SIDECAR_NAME, read_sidecar
from pipeline_defs.exports.backtrader.truth import write_truth
from pipeline_defs.exports.backtrader.verify import verify_export
from pipeline_defs.schema.exports import SETTLEMENT_SCHEMA, TickSlice
from pipeline_tests.exports.backtrader.slices import SESSIONS, bars_of, instrument, make_slice, nifty_slice, option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

    Build = Callable[[MarketSlice], BuiltExport]


def test_every_instrument_has_one_file_and_the_folder_holds_nothing_else(market: MarketSlice, build: Build) -> None:
    built = build(market)
    expected = {f"{name}_1m.csv" for name in built.instruments["engine_id"]} | {SIDECAR_NAME}
    assert {path.name for path in built.root.iterdir()} == expected
    assert built.counts == {"bars": 480, "instruments": 8}
    assert built.engine == f"backtrader {importlib.metadata.version('backtrader')}"


def test_what_was_built_is_told_per_instrument_and_agrees_with_the_bars(market: MarketSlice, build: Build) -> None:
    built = build(market)
    bars = pl.concat(market.read_bars())
    expected = (
        bars.group_by("instrument_id")
        .agg(
            rows=pl.len().cast(pl.Int64),
            first_timestamp=pl.col("timestamp").min(),
            last_timestamp=pl.col("timestamp").max(),
            close_sum=pl.col("close").sum(),
            volume_sum=pl.col("volume").sum(),
        )
        .sort("instrument_id")
    )
    assert built.instruments.drop("engine_id", "bar_seconds").equals(expected)
    assert built.instruments["bar_seconds"].unique().to_list() == [60]
    assert built.instruments["engine_id"].to_list()[:3] == ["NIFTY_IDX", "NIFTY_250814_FUT", "NIFTY_250814_24500_CE"]


def test_the_details_hold_the_conventions_and_no_note_when_there_is_nothing_to_note(
    market: MarketSlice, build: Build
) -> None:
    details = build(market).details
    assert details["stamp"] == "close of the bar, naive exchange time"
    assert details["resolutions"] == [{"resolution": "1m", "bar_seconds": 60, "timeframe": "Minutes", "compression": 1}]
    assert (details["multiplier"], details["timezone"]) == (1, "Asia/Kolkata")
    assert details["underlying"] == "NIFTY_IDX"
    assert details["contracts_settled"] == 5
    assert details["notes"] == []


def test_the_same_slice_gives_the_same_bytes(export: Path, market: MarketSlice, build: Build) -> None:
    built = build(market)
    assert {path.name: path.read_bytes() for path in built.root.iterdir()} == {
        path.name: path.read_bytes() for path in export.iterdir()
    }


def test_daily_bars_get_files_without_a_suffix(build: Build) -> None:
    bars = bars_of(1, "1400.5", minutes=1)
    built = build(make_slice([instrument(1, "EQ", underlying="RELIANCE")], [bars], bar_seconds=86_400))
    assert (built.root / "RELIANCE_EQ.csv").read_text().splitlines()[
        1
    ] == "2025-08-13 15:30:00,1400.5,1400.5,1400.5,1400.5,0,0"
    assert read_sidecar(built.root).resolutions == (86_400,)


def test_shortcomings_are_noted_in_the_manifest_and_in_the_sidecar(build: Build) -> None:
    built = build(make_slice([option(1, "24500", "CE", lot_size=None)], [bars_of(1, "80", minutes=2)]))
    unsettled, no_lot = built.details["notes"]
    assert "1 contracts expire on 2025-08-14 without a bar of their underlying" in unsettled
    assert no_lot == "the lot size of 1 contracts is not known and is null in the sidecar"
    assert built.details["underlying"] is None
    assert unsettled in (built.root / SIDECAR_NAME).read_text()


def test_ticks_are_left_out_and_the_export_says_how_many(market: MarketSlice, build: Build) -> None:
    ticked = market.instruments.head(2).with_columns(row_count=pl.lit(1_250, pl.Int64))
    ticks = TickSlice(ticked, read=lambda *_: iter(()))
    built = build(dataclasses.replace(market, ticks=ticks))
    (note,) = built.details["notes"]
    assert note.startswith("2500 ticks of 2 instruments are left out: ")
    assert note in json.loads((built.root / SIDECAR_NAME).read_text())["notes"]


def test_official_settlements_are_counted_and_confirmed(market: MarketSlice, build: Build, tmp_path: Path) -> None:
    told = pl.DataFrame([(12, SESSIONS[1], Decimal("5.4"), Decimal("24605.4"))], schema=SETTLEMENT_SCHEMA, orient="row")
    official = dataclasses.replace(market, settlements=told)
    built = build(official)
    assert (built.details["contracts_settled"], built.details["settled_by_the_exchange"]) == (5, 1)
    truth = tmp_path / "truth"
    truth.mkdir()
    write_truth(built, official, truth, 1_000)
    report = verify_export(built.root, truth)
    assert report.failures == []
    assert report.checks["trial"]["hold_to_expiry"]["settlement_price"] == "5.40"
    # The same files are not what another settlement asks for.
    write_truth(built, market, truth, 1_000)
    failures = verify_export(built.root, truth).failures
    assert "NIFTY_250814_24600_CE basis of that price: expected last underlying bar, found exchange" in failures


def test_a_slice_without_sessions_or_bars_is_refused(build: Build) -> None:
    with pytest.raises(ExportError, match="holds no sessions"):
        build(make_slice([instrument(1, "SPOT")], [bars_of(1, "1")], sessions=()))
    with pytest.raises(ExportError, match="the reader gave no bars"):
        build(dataclasses.replace(nifty_slice(1), read_bars=lambda *_: iter(())))


def test_a_reader_that_gives_other_bars_than_announced_is_refused(market: MarketSlice, build: Build) -> None:
    def without_the_last(instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        yield pl.concat(market.read_bars(instrument_ids)).head(-1)

    with pytest.raises(ExportError, match="gave 59 bars, but the slice announces 60") as caught:
        build(dataclasses.replace(market, read_bars=without_the_last))
    assert caught.value.where == "NIFTY_250828_24500_PE"


def test_an_instrument_in_two_frames_is_refused(market: MarketSlice, build: Build) -> None:
    def twice(instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        yield from market.read_bars(instrument_ids)
        yield from market.read_bars(instrument_ids)

    with pytest.raises(ExportError, match="one instrument in two frames"):
        build(dataclasses.replace(market, read_bars=twice))


def test_bars_of_an_instrument_that_was_not_announced_are_refused(market: MarketSlice, build: Build) -> None:
    others = market.instruments.filter(pl.col("instrument_id") != 1)
    with pytest.raises(ExportError, match="does not announce") as caught:
        build(dataclasses.replace(market, instruments=others))
    assert caught.value.where == "instrument 1"


def test_bad_bars_are_refused_before_their_file_is_written(build: Build, tmp_path: Path) -> None:
    bars = bars_of(1, "100", minutes=2).with_columns(high=pl.lit(Decimal(1), pl.Decimal(20, 8)))
    with pytest.raises(ExportError, match="high and low do not enclose"):
        build(make_slice([instrument(1, "SPOT")], [bars]))
    assert list((tmp_path / "built").iterdir()) == []


def test_without_backtrader_the_export_is_refused_with_what_to_install(
    market: MarketSlice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_such(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", no_such)
    with pytest.raises(ExportError, match="Backtrader is not installed") as caught:
        build_files(market, tmp_path)
    assert caught.value.next_step is not None
    assert "market-data-pipeline[backtrader]" in caught.value.next_step
