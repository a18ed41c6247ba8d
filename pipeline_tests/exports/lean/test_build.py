from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError, ExportError
from pipeline_defs.exports.lean import writing
from pipeline_defs.exports.lean.exporter import LeanExporter
from pipeline_tests.exports.lean.samples import SHARED, needs_samples
from pipeline_tests.exports.lean.slices import (
    HOUR,
    bars_of,
    entries,
    instrument,
    make_slice,
    nifty_slice,
    option,
    pair_slice,
    session_frame,
    share_slice,
    stamps_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice


def hashes(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_an_index_and_its_derivatives_have_the_files_that_lean_looks_for(built: BuiltExport) -> None:
    assert sorted(hashes(built.root)) == [
        "future/india/daily/nifty_openinterest.zip",
        "future/india/daily/nifty_trade.zip",
        "future/india/hour/nifty_openinterest.zip",
        "future/india/hour/nifty_trade.zip",
        *(
            f"future/india/minute/nifty/{day}_{kind}.zip"
            for day in ("20250813", "20250814")
            for kind in ("openinterest", "quote", "trade")
        ),
        "future/india/universes/nifty/20250813.csv",
        "future/india/universes/nifty/20250814.csv",
        "index/india/daily/nifty.zip",
        "index/india/hour/nifty.zip",
        "index/india/minute/nifty/20250813_trade.zip",
        "index/india/minute/nifty/20250814_trade.zip",
        "indexoption/india/daily/nifty_2025_openinterest_european.zip",
        "indexoption/india/daily/nifty_2025_trade_european.zip",
        "indexoption/india/hour/nifty_2025_openinterest_european.zip",
        "indexoption/india/hour/nifty_2025_trade_european.zip",
        *(
            f"indexoption/india/minute/nifty/{day}_{kind}_european.zip"
            for day in ("20250813", "20250814")
            for kind in ("openinterest", "quote", "trade")
        ),
        "indexoption/india/universes/nifty/20250813.csv",
        "indexoption/india/universes/nifty/20250814.csv",
        "market-hours/market-hours-database.json",
        "symbol-properties/symbol-properties-database.csv",
    ]


def test_a_bar_carries_its_start_and_prices_are_scaled_by_type(built: BuiltExport) -> None:
    options = entries(built.root / "indexoption/india/minute/nifty/20250813_trade_european.zip")
    name = "20250813_nifty_minute_trade_european_call_245000000_20250814.csv"
    # The first bar closed at 15:01, so it started at 15:00, 54,000 seconds after midnight; 90.05 is 900500.
    assert options[name].splitlines()[:2] == [
        "54000000,900500,900500,900500,900500,0",
        "54060000,900500,911000,900500,911000,75",
    ]
    index = entries(built.root / "index/india/minute/nifty/20250813_trade.zip")
    assert index["20250813_nifty_minute_trade.csv"].startswith("54000000,24580.35,24580.35,24580.35,24580.35,0\n")
    futures = entries(built.root / "future/india/hour/nifty_trade.zip")
    assert futures["nifty_trade_202508.csv"].startswith("20250813 09:15,24600.05,")
    daily = entries(built.root / "index/india/daily/nifty.zip")["nifty.csv"].splitlines()
    assert [line.split(",")[0] for line in daily] == ["20250813 00:00", "20250814 00:00"]


def test_open_interest_carries_the_time_at_which_it_is_known(built: BuiltExport) -> None:
    minutes = entries(built.root / "future/india/minute/nifty/20250813_openinterest.zip")
    assert minutes["20250813_nifty_minute_openinterest_202508.csv"].startswith("54060000,0\n54120000,75\n")
    hours = entries(built.root / "future/india/hour/nifty_openinterest.zip")["nifty_openinterest_202508.csv"]
    assert [line.split(",")[0] for line in hours.splitlines()[:7]][-2:] == ["20250813 15:15", "20250813 15:30"]
    # Known at the close of the thirteenth and of the fourteenth; the fifteenth was a holiday, then came a weekend.
    daily = entries(built.root / "future/india/daily/nifty_openinterest.zip")["nifty_openinterest_202508.csv"]
    assert daily == "20250814 00:00,0\n20250818 00:00,75\n"


def test_quotes_of_ticks_become_bars_of_a_minute(built: BuiltExport) -> None:
    quotes = entries(built.root / "indexoption/india/minute/nifty/20250813_quote_european.zip")
    assert list(quotes) == ["20250813_nifty_minute_quote_european_call_245000000_20250814.csv"]
    first, second = quotes[next(iter(quotes))].splitlines()[:2]
    assert first == "55500000,890000,891000,890000,891000,150,,,,,0"
    assert second == "55560000,891500,893000,891500,893000,450,900500,900500,900500,900500,150"
    assert built.counts["quotes"] == 20


def test_entries_are_sorted_by_name_whatever_their_numbers_and_batches(
    market: MarketSlice, built: BuiltExport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "ROWS_AT_A_TIME", 100)
    again = LeanExporter().build(market, tmp_path)
    assert hashes(tmp_path) == hashes(built.root)
    assert again.counts == built.counts
    for zip_file in tmp_path.rglob("*.zip"):
        assert list(entries(zip_file)) == sorted(entries(zip_file))


def test_the_same_slice_gives_the_same_bytes(built: BuiltExport, tmp_path: Path) -> None:
    LeanExporter().build(nifty_slice(), tmp_path)
    assert hashes(tmp_path) == hashes(built.root)


def test_what_was_written_is_told_by_instrument_and_resolution(built: BuiltExport) -> None:
    assert built.counts["bars"] == 608
    assert built.counts["instruments"] == 8
    assert built.instruments["bar_seconds"].unique().sort().to_list() == [60, HOUR, 86_400]
    row = built.instruments.row(
        by_predicate=(pl.col("instrument_id") == 10) & (pl.col("bar_seconds") == 60), named=True
    )
    assert row["engine_id"] == "indexoption/india/nifty/european_call_245000000_20250814"
    assert row["rows"] == 60
    assert row["close_sum"] == Decimal(5502)


def test_the_details_say_what_a_user_must_know(built: BuiltExport) -> None:
    assert built.engine == "LEAN data folder, format of August 2026"
    assert built.details["resolutions"] == ["minute", "hour", "daily"]
    assert built.details["quote_bars_seconds"] == 60
    assert built.details["compression"].startswith("zlib ")
    notes = " ".join(built.details["notes"])
    assert "hour bars start with the session (09:15)" in notes
    assert "LEAN computes the expiry of a future from its contract month" in notes


def test_a_share_is_written_with_its_options_series_actions_and_the_style_that_was_chosen(
    share: BuiltExport, tmp_path: Path
) -> None:
    minute = entries(share.root / "equity/india/minute/m&m/20250813_trade.zip")
    assert minute["20250813_m&m_minute_trade.csv"].startswith("55620000,14000000,")
    assert (share.root / "equity/india/daily/m&m.be.zip").is_file()
    assert (share.root / "equity/india/factor_files/m&m.csv").read_text().startswith("19900101,0.990005,0.5,0\n")
    assert (share.root / "option/india/minute/m&m/20250813_trade_european.zip").is_file()
    assert share.details["option_style"] == "european"
    american = LeanExporter("american").build(share_slice(), tmp_path)
    assert american.details["option_style"] == "american"
    assert list(entries(tmp_path / "option/india/minute/m&m/20250813_trade_american.zip")) == [
        "20250813_m&m_minute_trade_american_call_7000000_20250828.csv"
    ]


def test_another_option_style_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="option style was 'bermudan', expected one of american, european"):
        LeanExporter("bermudan")


def test_a_pair_is_written_unscaled_with_all_decimals_in_its_venues_market(pair: BuiltExport) -> None:
    hours = entries(pair.root / "crypto/binance/hour/btcusdt_trade.zip")["btcusdt.csv"].splitlines()
    assert len(hours) == 48
    assert hours[1] == "20241231 01:00,42000.1,42000.10000007,42000.1,42000.10000007,1.50000001"
    assert hours[-1].startswith("20250101 23:00,")
    daily = entries(pair.root / "crypto/binance/daily/btcusdt_trade.zip")["btcusdt.csv"]
    assert daily.splitlines()[1].startswith("20250101 00:00,42000.1,")


@needs_samples
def test_our_crypto_files_have_the_form_of_leans_own(pair: BuiltExport) -> None:
    ours = entries(pair.root / "crypto/binance/hour/btcusdt_trade.zip")
    theirs = entries(SHARED / "ccxt/binance_BTCUSDT_1h_2018.lean.zip")
    assert list(ours) == list(theirs) == ["btcusdt.csv"]
    shapes = [
        {(line.count(","), len(line.split(",")[0])) for line in text.splitlines()}
        for (text,) in (ours.values(), theirs.values())
    ]
    assert shapes[0] == shapes[1]


def test_options_over_the_turn_of_a_year_have_a_file_for_each(build: Callable[[MarketSlice], BuiltExport]) -> None:
    sessions = session_frame((dt.date(2024, 12, 31), dt.date(2025, 1, 1)))
    expiry = dt.date(2025, 1, 30)
    bars = bars_of(10, stamps_of(sessions, 86_400), "90", open_interest=75)
    root = build(make_slice([option(10, "24500", "CE", expiry)], [bars], bar_seconds=86_400, sessions=sessions)).root
    name = "nifty_{}_european_call_245000000_20250130.csv"
    for year, day in ((2024, "20241231"), (2025, "20250101")):
        file = root / f"indexoption/india/daily/nifty_{year}_trade_european.zip"
        assert entries(file)[name.format("trade")].startswith(f"{day} 00:00,")
    # What was known at the close of 2024 belongs to the first day of 2025.
    interest = entries(root / "indexoption/india/daily/nifty_2025_openinterest_european.zip")
    assert interest[name.format("openinterest")] == "20250101 00:00,75\n20250102 00:00,75\n"
    assert not (root / "indexoption/india/daily/nifty_2024_openinterest_european.zip").exists()


def test_resolutions_that_lean_does_not_have_are_left_out_with_a_note(
    build: Callable[[MarketSlice], BuiltExport],
) -> None:
    built = build(nifty_slice(5, resolutions=(300,), with_ticks=False))
    assert built.details["resolutions"] == ["minute"]
    assert "bars of 300 seconds are left out" in " ".join(built.details["notes"])


def test_a_slice_of_nothing_but_such_resolutions_is_refused(build: Callable[[MarketSlice], BuiltExport]) -> None:
    five = make_slice([instrument(1, "SPOT")], [bars_of(1, stamps_of(session_frame(), 300, 2), "100")], bar_seconds=300)
    with pytest.raises(ExportError, match="bars of 300 seconds have no place in a LEAN data folder"):
        build(five)


def test_other_bars_than_announced_are_refused(build: Callable[[MarketSlice], BuiltExport]) -> None:
    market = nifty_slice(3, resolutions=(), with_ticks=False)
    more = market.instruments.with_columns(pl.col("row_count") + 1)
    with pytest.raises(ExportError, match="the reader gave 6 bars, but the slice announces 7"):
        build(replace(market, instruments=more))


def test_a_reader_without_bars_is_refused(build: Callable[[MarketSlice], BuiltExport]) -> None:
    market = replace(nifty_slice(3, resolutions=(), with_ticks=False), read_bars=lambda ids=None: iter(()))  # noqa: ARG005 -- a reader
    with pytest.raises(ExportError, match="the reader gave no bars"):
        build(market)


def test_a_price_that_a_scaled_file_cannot_hold_is_refused_by_name(build: Callable[[MarketSlice], BuiltExport]) -> None:
    stamps = stamps_of(session_frame(), 60, 2)
    fine = bars_of(10, stamps, "90.00005", "0.05")
    with pytest.raises(ExportError, match="more than the four decimals") as refused:
        build(make_slice([option(10, "24500", "CE")], [fine]))
    assert "european_call_245000000_20250814" in str(refused.value)


def test_lots_that_differ_and_unknown_markets_are_noted(build: Callable[[MarketSlice], BuiltExport]) -> None:
    stamps = stamps_of(session_frame(), 60, 2)
    rows = [option(10, "24500", "CE"), option(11, "24600", "CE", lot_size=65)]
    notes = " ".join(build(make_slice(rows, [bars_of(10, stamps, "90"), bars_of(11, stamps, "80")])).details["notes"])
    assert "have lots of 65 and 75, but LEAN knows one lot a symbol: the row says 5" in notes
    assert "the index is not in the export" in notes


def test_a_venue_that_lean_does_not_know_is_noted(build: Callable[[MarketSlice], BuiltExport]) -> None:
    market = pair_slice()
    parts = [
        replace(part, instruments=part.instruments.with_columns(venue=pl.lit("wazirx")))
        for part in market.every_resolution
    ]
    built = build(replace(parts[0], resolutions=(parts[1],)))
    assert "LEAN knows no market 'wazirx'" in " ".join(built.details["notes"])
