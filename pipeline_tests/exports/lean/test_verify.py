from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.exports.lean import reading, writing
from pipeline_defs.exports.lean.exporter import LeanExporter
from pipeline_defs.exports.lean.kinds import OptionStyle
from pipeline_defs.exports.lean.symbol_properties import PROPERTIES_PATH
from pipeline_defs.exports.lean.truth import compared, write_truth
from pipeline_defs.exports.lean.validator import VALIDATOR
from pipeline_defs.exports.lean.verify import main, verify_folder
from pipeline_defs.exports.run import export_slice
from pipeline_defs.exports.verifying import READBACK_FILE, REPORT_FILE
from pipeline_defs.schema.exports import READBACK_SCHEMA
from pipeline_tests.exports.lean.slices import entries, nifty_slice, pair_slice, share_slice
from pipeline_tests.exports.lean.test_validator import FIRST, OPTIONS, changed, rewrite

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.exports.verifying import Report
    from pipeline_defs.schema.exports import BuiltExport, MarketSlice


@pytest.fixture(scope="module")
def truth(market: MarketSlice, built: BuiltExport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth")
    assert write_truth(built, market, folder, OptionStyle.EUROPEAN, 10**6) == []
    return folder


@pytest.fixture
def copy(built: BuiltExport, tmp_path: Path) -> Path:
    return shutil.copytree(built.root, tmp_path / "copy")


def failures(root: Path, truth: Path) -> str:
    report: Report = verify_folder(root, truth)
    return "\n".join(report.failures)


def test_another_process_confirms_what_was_built_and_reads_back_what_the_slice_holds(
    market: MarketSlice, built: BuiltExport
) -> None:
    verification = LeanExporter().verify(built, market)
    assert verification.failures == ()
    assert verification.passed
    assert verification.engine == VALIDATOR
    assert verification.checks["trade"] == {"instruments": 24, "rows": 608, "compared": 608}
    assert verification.checks["quote"] == {"instruments": 2, "rows": 20, "compared": 20}
    assert verification.checks["openinterest"]["rows"] == built.counts["open_interest"]
    assert verification.readback is not None
    assert dict(verification.readback.schema) == READBACK_SCHEMA
    parts = [
        frame.group_by("instrument_id").agg(
            rows=pl.len().cast(pl.Int64),
            first_timestamp=pl.col("timestamp").min(),
            last_timestamp=pl.col("timestamp").max(),
            close_sum=pl.col("close").sum().cast(pl.Decimal(38, 8)),
            volume_sum=pl.col("volume").sum().cast(pl.Decimal(38, 8)),
            bar_seconds=pl.lit(part.bar_seconds, pl.Int32),
        )
        for part in market.every_resolution
        for frame in part.read_bars()
    ]
    expected = pl.concat(parts).select(list(READBACK_SCHEMA)).sort("instrument_id", "bar_seconds")
    assert verification.readback.equals(expected)


@pytest.mark.parametrize("market", [share_slice(), pair_slice()], ids=["share", "pair"])
def test_a_share_and_a_pair_are_confirmed(market: MarketSlice, tmp_path: Path) -> None:
    exporter, truth = LeanExporter("american"), tmp_path / "truth"
    (tmp_path / "built").mkdir()
    truth.mkdir()
    built = exporter.build(market, tmp_path / "built")
    assert write_truth(built, market, truth, OptionStyle.AMERICAN, 10**6) == []
    assert main([str(built.root), str(truth)]) == 0
    readback = pl.read_parquet(truth / READBACK_FILE)
    assert readback["rows"].sum() == built.counts["bars"]
    assert (truth / REPORT_FILE).is_file()


def test_one_changed_value_is_found(copy: Path, truth: Path) -> None:
    changed(copy, OPTIONS, FIRST, lambda text: text.replace("54060000,900500,911000", "54060000,900500,911500"))
    found = failures(copy, truth)
    assert "trade of 60 seconds: high_sum: expected" in found
    assert "at 2025-08-13 09:32:00+00:00: expected {'open': '90.05000000', 'high': '91.10000000'" in found


def test_values_are_compared_file_by_file_of_the_truth_and_portion_by_portion_of_the_zips(
    market: MarketSlice, built: BuiltExport, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "ROWS_AT_A_TIME", 70)
    monkeypatch.setattr(reading, "PORTION_BYTES", 1_500)
    cut = tmp_path / "cut"
    cut.mkdir()
    assert write_truth(built, market, cut, OptionStyle.EUROPEAN, 10**6) == []
    assert len(list((cut / "values").glob("trade-60-*.parquet"))) > 2

    report = verify_folder(copy, cut)
    assert report.failures == []
    assert report.checks["trade"] == {"instruments": 24, "rows": 608, "compared": 608}

    for name in entries(copy / OPTIONS):
        changed(copy, OPTIONS, name, lambda text: text.replace("00,", "05,"))
    told = [line for line in verify_folder(copy, cut).failures if " at 2025-08-13 " in line]
    assert len(told) == 10


def test_two_swapped_entries_are_found_although_the_folder_is_sound(copy: Path, truth: Path) -> None:
    content = entries(copy / OPTIONS)
    first, second = list(content)[:2]
    rewrite(copy / OPTIONS, content | {first: content[second], second: content[first]})
    assert "european_call_245000000_20250814 trade of 60 seconds: close_sum: expected" in failures(copy, truth)


def test_a_missing_bar_and_a_missing_zip_are_found(copy: Path, truth: Path) -> None:
    changed(copy, OPTIONS, FIRST, lambda text: "\n".join(text.splitlines()[:-1]))
    assert "trade of 60 seconds: rows: expected 60, found 59" in failures(copy, truth)
    (copy / "index/india/daily/nifty.zip").unlink()
    assert "index/india/nifty trade of 86400 seconds: rows: expected 2, found None" in failures(copy, truth)


def test_bars_shifted_by_their_length_are_found(copy: Path, truth: Path) -> None:
    def late(text: str) -> str:
        rows = (line.split(",", 1) for line in text.splitlines())
        return "\n".join(f"{int(time) - 60_000},{rest}" for time, rest in rows)

    rewrite(copy / OPTIONS, {name: late(text) for name, text in entries(copy / OPTIONS).items()})
    assert "first_timestamp: expected 2025-08-13 09:31:00+00:00, found 2025-08-13 09:30:00+00:00" in failures(
        copy, truth
    )


def test_data_of_a_day_that_is_no_session_are_found(copy: Path, truth: Path) -> None:
    path = "indexoption/india/minute/nifty/20250812_trade_european.zip"
    content = {name.replace("20250813", "20250812", 1): text for name, text in entries(copy / OPTIONS).items()}
    (copy / path).touch()
    rewrite(copy / path, content)
    assert (
        f"{path}: indexoption/india/nifty/european_call_245000000_20250814 has a line at 54000000, in no session"
        in (failures(copy, truth))
    )


def test_an_instrument_that_the_slice_does_not_have_is_found(copy: Path, truth: Path) -> None:
    content = entries(copy / OPTIONS)
    rewrite(copy / OPTIONS, content | {FIRST.replace("245000000", "247000000"): content[FIRST]})
    assert "european_call_247000000_20250814 trade of 60 seconds: rows: expected None, found 30" in failures(
        copy, truth
    )


def test_other_listings_than_those_of_the_slice_are_found(copy: Path, truth: Path) -> None:
    properties = copy / PROPERTIES_PATH
    properties.write_text(properties.read_text().replace(",75,", ",50,", 1))
    (copy / "future/india/universes/nifty/20250814.csv").unlink()
    (copy / "stray.txt").touch()
    found = failures(copy, truth)
    assert f"{PROPERTIES_PATH} line 2: expected 'india,NIFTY,future,NIFTY future,INR,1,0.05,75,'" in found
    assert (
        "files beside the data that are missing: expected [], found ['future/india/universes/nifty/20250814.csv']"
        in found
    )
    assert "files besides those of the slice: expected [], found ['stray.txt']" in found


def test_findings_of_the_validator_fail_the_verification(copy: Path, truth: Path) -> None:
    (copy / OPTIONS).write_bytes(b"PK")
    assert f"archive: {OPTIONS}: cannot be read to its end" in failures(copy, truth)


def test_false_claims_of_the_builder_are_found(market: MarketSlice, built: BuiltExport, tmp_path: Path) -> None:
    claims = built.instruments.with_columns(pl.col("rows") + 1)
    found = write_truth(replace(built, instruments=claims), market, tmp_path, OptionStyle.EUROPEAN, 10**6)
    assert len(found) == 24
    assert "index/india/nifty rows of 60 second bars: the builder claims 61, the slice has 60" in found


def test_of_a_large_export_a_part_is_compared_one_by_one(market: MarketSlice) -> None:
    named = market.instruments.with_columns(engine_id=pl.col("symbol"))
    assert len(compared(named, 10**6)) == 8
    assert len(compared(named, 240)) == 4
    assert len(compared(named, 0)) == 1


def test_a_lean_export_is_published_with_a_manifest(tmp_path: Path) -> None:
    published = export_slice("lean", nifty_slice(3, with_ticks=False), tmp_path / "NIFTY/2025-08")
    assert published.verified
    assert published.counts["bars"] == 8 * (6 + 14 + 2)
    assert LeanExporter().validate(published.path).passed
