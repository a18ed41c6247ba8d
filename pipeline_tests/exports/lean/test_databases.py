from __future__ import annotations

import datetime as dt
import json
import shutil
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.lean.databases import merge_databases, read_hours
from pipeline_defs.exports.lean.kinds import LeanFormatError, SecurityType
from pipeline_defs.exports.lean.market_hours import HOURS_PATH, find_entry
from pipeline_defs.exports.lean.symbol_properties import PROPERTIES_HEADER, PROPERTIES_PATH, find_row, read_rows
from pipeline_defs.exports.lean.validator import validate_folder
from pipeline_tests.exports.lean.samples import SAMPLES, needs_samples
from pipeline_tests.exports.lean.slices import bars_of, entries, instrument, make_slice, session_frame, stamps_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice


def test_every_security_type_of_india_has_hours_and_every_symbol_a_row(built: BuiltExport) -> None:
    assert sorted(read_hours(built.root / HOURS_PATH)) == [
        "Equity-india-[*]",
        "Future-india-[*]",
        "Index-india-[*]",
        "IndexOption-india-[*]",
        "Option-india-[*]",
    ]
    assert (built.root / PROPERTIES_PATH).read_text().splitlines() == [
        PROPERTIES_HEADER,
        "india,NIFTY,future,NIFTY future,INR,1,0.05,75,",
        "india,NIFTY,index,NIFTY index,INR,1,0.01,1,",
        "india,NIFTY,indexoption,NIFTY indexoption,INR,1,0.05,75,",
    ]


def test_a_pair_has_the_hours_of_its_venue_and_a_row_that_names_both_currencies(pair: BuiltExport) -> None:
    assert list(read_hours(pair.root / HOURS_PATH)) == ["Crypto-binance-[*]"]
    row = (pair.root / PROPERTIES_PATH).read_text().splitlines()[1]
    assert row == "binance,BTCUSDT,crypto,BTC/USDT,USDT,1,0.00000001,0.00000001,BTCUSDT"


@needs_samples
def test_our_entries_replace_leans_own_and_leave_all_others_as_they_were(built: BuiltExport, tmp_path: Path) -> None:
    for path in (HOURS_PATH, PROPERTIES_PATH):
        (tmp_path / path).parent.mkdir()
        shutil.copyfile(SAMPLES / path, tmp_path / path)
    hours, rows = read_hours(tmp_path / HOURS_PATH), read_rows((tmp_path / PROPERTIES_PATH).read_text())
    changed = merge_databases(built.root, tmp_path)
    assert "IndexOption-india-[*]" in changed
    assert "india,nifty,future" in changed
    merged = read_hours(tmp_path / HOURS_PATH)
    assert {key: merged[key] for key in hours if "-india-" not in key} == {
        key: entry for key, entry in hours.items() if "-india-" not in key
    }
    assert find_entry(merged, SecurityType.INDEX_OPTION, "india", "nifty") is not None
    after = read_rows((tmp_path / PROPERTIES_PATH).read_text())
    # LEAN's own row of NIFTY futures, with its columns shifted, is gone; it refuses a key that is there twice.
    assert len({row.key for row in after}) == len(after) == len(rows) + 2
    future = find_row(after, SecurityType.FUTURE, "india", "nifty")
    assert future is not None
    assert future.text == "india,NIFTY,future,NIFTY future,INR,1,0.05,75,"
    merge_databases(built.root, tmp_path)
    assert read_rows((tmp_path / PROPERTIES_PATH).read_text()) == after


@needs_samples
def test_data_beside_leans_own_are_found_once_our_entries_are_installed_and_not_before(
    built: BuiltExport, tmp_path: Path
) -> None:
    for path in (HOURS_PATH, PROPERTIES_PATH):
        (tmp_path / path).parent.mkdir()
        shutil.copyfile(SAMPLES / path, tmp_path / path)
    for folder in ("index", "indexoption", "future"):
        shutil.copytree(built.root / folder, tmp_path / folder)
    assert {(finding.rule.value, finding.where) for finding in validate_folder(tmp_path).findings} == {
        ("hours", HOURS_PATH),
        ("properties", PROPERTIES_PATH),
    }
    merge_databases(built.root, tmp_path)
    assert validate_folder(tmp_path).findings == []


@needs_samples
def test_what_lean_knows_of_other_markets_is_left_as_it_is(pair: BuiltExport, tmp_path: Path) -> None:
    for path in (HOURS_PATH, PROPERTIES_PATH):
        (tmp_path / path).parent.mkdir()
        shutil.copyfile(SAMPLES / path, tmp_path / path)
    assert merge_databases(pair.root, tmp_path) == []
    assert read_hours(tmp_path / HOURS_PATH) == read_hours(SAMPLES / HOURS_PATH)
    row = find_row(read_rows((tmp_path / PROPERTIES_PATH).read_text()), SecurityType.CRYPTO, "binance", "btcusdt")
    assert row is not None
    assert row.text == "binance,BTCUSDT,crypto,BTCUSDT,USDT,1,0.01,0.00001,BTCUSDT,5"


def test_an_exchange_elsewhere_gets_the_hours_of_the_slices_days(build: Callable[[MarketSlice], BuiltExport]) -> None:
    sessions = session_frame((dt.date(2025, 8, 14), dt.date(2025, 8, 15)), dt.time(13, 30), dt.time(20, 0))
    share = instrument(1, "EQ", underlying="AAPL", venue="NASDAQ", currency="USD", tick_size=Decimal("0.01"))
    bars = [bars_of(1, stamps_of(sessions, 60, 2), "230")]
    root = build(make_slice([share], bars, sessions=sessions, underlying="AAPL", timezone="America/New_York")).root
    entry = read_hours(root / HOURS_PATH)["Equity-usa-[*]"]
    assert entry["thursday"] == [{"start": "09:30:00", "end": "16:00:00", "state": "market"}]
    assert entry["holidays"] == []
    assert (root / PROPERTIES_PATH).read_text().splitlines()[1] == "usa,AAPL,equity,AAPL equity,USD,1,0.01,1,"
    assert list(entries(root / "equity/usa/minute/aapl/20250814_trade.zip")) == ["20250814_aapl_minute_trade.csv"]
    assert validate_folder(root).findings == []


def test_a_folder_without_leans_files_is_refused(built: BuiltExport, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=f"{tmp_path}: holds no {HOURS_PATH}"):
        merge_databases(built.root, tmp_path)


@pytest.mark.parametrize(("text", "why"), [("{", "is not readable as JSON"), ("[]", "holds no object 'entries'")])
def test_hours_that_are_no_database_are_refused(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(LeanFormatError, match=why):
        read_hours(tmp_path / "x.json")


def test_a_row_that_is_none_is_refused() -> None:
    with pytest.raises(LeanFormatError, match="is not a row of symbol properties"):
        read_rows(f"{PROPERTIES_HEADER}\n# a remark\n\nindia,NIFTY,index,x,INR,one,0.05,75\n")


def test_rows_are_found_by_ticker_then_by_market_and_future_options_by_their_future() -> None:
    rows = read_rows(f"{PROPERTIES_HEADER}\nindia,[*],index,x,INR,1,0.05,1\ncme,ES,future,x,USD,50,0.25,1\n")
    found = find_row(rows, SecurityType.INDEX, "india", "nifty")
    assert found is not None
    assert found.symbol == "[*]"
    assert find_row(rows, SecurityType.FUTURE_OPTION, "cme", "es") is rows[1]
    assert find_row(rows, SecurityType.INDEX, "usa", "spx") is None


def test_the_hours_are_json_that_ends_with_one_newline(built: BuiltExport) -> None:
    text = (built.root / HOURS_PATH).read_text()
    assert text.endswith("}\n")
    assert set(json.loads(text)) == {"entries"}
