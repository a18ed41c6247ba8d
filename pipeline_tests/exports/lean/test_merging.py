from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.lean.__main__ import main
from pipeline_defs.exports.lean.databases import read_hours
from pipeline_defs.exports.lean.exporter import LeanExporter
from pipeline_defs.exports.lean.market_hours import HOURS_PATH, segments_on
from pipeline_defs.exports.lean.merging import merge_months
from pipeline_defs.exports.lean.symbol_properties import PROPERTIES_PATH
from pipeline_defs.exports.manifest import write_manifest
from pipeline_defs.schema.exports import Verification
from pipeline_tests.exports.lean.samples import SAMPLES, needs_samples
from pipeline_tests.exports.lean.slices import (
    DAY,
    bars_of,
    entries,
    instrument,
    make_slice,
    option,
    pair_slice,
    session_frame,
    share_slice,
    stamps_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import MarketSlice

FAR = dt.date(2025, 12, 30)
AUGUST = (dt.date(2025, 8, 28), dt.date(2025, 8, 29))
SEPTEMBER = (dt.date(2025, 9, 1), dt.date(2025, 9, 2))


def month(days: tuple[dt.date, ...], price: str = "90", lot: int = 75) -> MarketSlice:
    sessions = session_frame(days)
    rows = [instrument(1, "SPOT"), option(10, "24500", "CE", FAR, lot_size=lot)]
    minutes, daily = stamps_of(sessions, 60, 3), stamps_of(sessions, DAY)
    coarse = make_slice(
        rows,
        [bars_of(1, daily, "24500"), bars_of(10, daily, price, open_interest=75)],
        bar_seconds=DAY,
        sessions=sessions,
    )
    fine = make_slice(
        rows, [bars_of(1, minutes, "24500"), bars_of(10, minutes, price, open_interest=75)], sessions=sessions
    )
    return replace(fine, resolutions=(coarse,))


def publish(market: MarketSlice, root: Path) -> Path:
    root.mkdir(parents=True)
    built = LeanExporter().build(market, root)
    write_manifest(root, "lean", market, built, Verification(passed=True, engine="x", checks={}, failures=()))
    return root


@pytest.fixture(scope="module")
def august(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(month(AUGUST), tmp_path_factory.mktemp("months") / "2025-08")


@pytest.fixture(scope="module")
def september(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(month(SEPTEMBER, lot=65), tmp_path_factory.mktemp("months") / "2025-09")


def test_months_become_one_folder_with_daily_files_in_the_order_of_time(
    august: Path, september: Path, tmp_path: Path
) -> None:
    merged = merge_months([september, august], tmp_path / "data")
    assert merged.exports == 2
    assert merged.merged_zips == 3
    daily = entries(tmp_path / "data/indexoption/india/daily/nifty_2025_trade_european.zip")
    lines = daily["nifty_trade_european_call_245000000_20251230.csv"].splitlines()
    assert [line[:8] for line in lines] == ["20250828", "20250829", "20250901", "20250902"]
    interest = entries(tmp_path / "data/indexoption/india/daily/nifty_2025_openinterest_european.zip")
    stamps = [line[:8] for text in interest.values() for line in text.splitlines()]
    assert stamps == ["20250829", "20250901", "20250902", "20250903"]
    minute = "indexoption/india/minute/nifty/20250829_trade_european.zip"
    assert (tmp_path / "data" / minute).read_bytes() == (august / minute).read_bytes()
    assert not list((tmp_path / "data").rglob("_manifest.json"))
    assert merged.notes == (
        "india NIFTY indexoption had lots of 65 and 75: the row says 5, so that no right order is rounded",
    )
    assert LeanExporter().validate(tmp_path / "data").passed


def test_the_order_of_the_exports_does_not_matter(august: Path, september: Path, tmp_path: Path) -> None:
    merge_months([september, august], tmp_path / "first")
    merge_months([august, september], tmp_path / "second")
    for path in (tmp_path / "first").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "second" / path.relative_to(tmp_path / "first")).read_bytes()


def test_different_underlyings_lie_side_by_side(august: Path, tmp_path: Path) -> None:
    share = publish(share_slice(), tmp_path / "share")
    pair = publish(pair_slice(), tmp_path / "pair")
    assert merge_months([august, share, pair], tmp_path / "data").merged_zips == 0
    hours = read_hours(tmp_path / "data" / HOURS_PATH)
    assert "Crypto-binance-[*]" in hours
    assert "IndexOption-india-[*]" in hours
    assert len((tmp_path / "data" / PROPERTIES_PATH).read_text().splitlines()) == 7


def test_hours_are_written_anew_so_that_no_months_special_session_is_another_months_holiday(
    august: Path, tmp_path: Path
) -> None:
    february = publish(month((dt.date(2025, 2, 1), dt.date(2025, 2, 3))), tmp_path / "2025-02")
    merge_months([august, february], tmp_path / "data")
    entry = read_hours(tmp_path / "data" / HOURS_PATH)["IndexOption-india-[*]"]
    assert segments_on(entry, dt.date(2025, 2, 1)) != []
    assert segments_on(entry, dt.date(2025, 8, 2)) == []
    assert segments_on(entry, dt.date(2025, 8, 29)) != []


def test_exports_that_overlap_and_agree_are_merged(august: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(august, tmp_path / "copy")
    assert merge_months([august, copy], tmp_path / "data").merged_zips == 9


def test_the_same_time_told_differently_is_an_error_and_never_chosen_between(august: Path, tmp_path: Path) -> None:
    other = publish(month(AUGUST, price="91"), tmp_path / "other")
    with pytest.raises(ExportError, match=r"says '20250828 00:00,900000,.*says '20250828 00:00,910000,") as refused:
        merge_months([august, other], tmp_path / "data")
    assert "indexoption/india/daily/nifty_2025_trade_european.zip#nifty_trade" in str(refused.value)


def test_what_is_no_export_of_this_format_is_refused(august: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="there is nothing to merge"):
        merge_months([], tmp_path / "data")
    with pytest.raises(ExportError, match=r"holds no _manifest\.json"):
        merge_months([tmp_path], tmp_path / "data")
    with pytest.raises(ExportError, match="is not empty"):
        merge_months([august], august)
    other = shutil.copytree(august, tmp_path / "other")
    manifest = other / "_manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": "lean"', '"format": "nautilus"'))
    with pytest.raises(ExportError, match="is an export in the format nautilus, expected lean"):
        merge_months([other], tmp_path / "data")


def test_an_export_that_is_not_as_it_was_published_is_refused(august: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(august, tmp_path / "damaged")
    (damaged / "index/india/daily/nifty.zip").unlink()
    with pytest.raises(ExportError, match=r"is not as it was published: index/india/daily/nifty\.zip: is missing"):
        merge_months([damaged], tmp_path / "data")


def test_what_is_merged_to_something_lean_would_not_understand_is_refused(tmp_path: Path) -> None:
    root = publish(month(AUGUST), tmp_path / "x")
    universe = root / "indexoption/india/universes/nifty/20250828.csv"
    universe.write_text("#nothing\n")
    market = month(AUGUST)
    built = replace(LeanExporter().build(market, _empty(tmp_path / "y")), root=root)
    (root / "_manifest.json").unlink()
    write_manifest(root, "lean", market, built, Verification(passed=True, engine="x", checks={}, failures=()))
    with pytest.raises(ExportError, match="the merged folder has 1 defects:\nuniverse: indexoption"):
        merge_months([root], tmp_path / "data")


def _empty(path: Path) -> Path:
    path.mkdir()
    return path


def test_the_commands_merge_and_say_what_they_did_or_why_not(august: Path, september: Path, tmp_path: Path) -> None:
    target = tmp_path / "data"
    result = CliRunner().invoke(main, ["merge", str(target), str(august), str(september)])
    assert result.exit_code == 0
    assert "2 exports" in result.output
    again = CliRunner().invoke(main, ["merge", str(target), str(august)])
    assert again.exit_code == 1
    assert "is not empty" in again.output
    assert CliRunner().invoke(main, ["install", str(target), str(tmp_path)]).exit_code == 1


@needs_samples
def test_the_command_installs_the_databases(august: Path, tmp_path: Path) -> None:
    for path in (HOURS_PATH, PROPERTIES_PATH):
        (tmp_path / path).parent.mkdir()
        shutil.copyfile(SAMPLES / path, tmp_path / path)
    result = CliRunner().invoke(main, ["install", str(august), str(tmp_path)])
    assert result.exit_code == 0
    assert "7 entries set" in result.output
