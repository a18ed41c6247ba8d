"""Stores of one's own, in every state a store can be in."""

from __future__ import annotations

import datetime as dt
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError, PipelineError, SourceError
from pipeline_defs.migration import bcolz_daily, parquet_files, scanning
from pipeline_defs.migration.discovery import default_cache_root, default_root
from pipeline_defs.migration.frames import DAILY_SECONDS
from pipeline_defs.migration.planning import plan_store
from pipeline_defs.migration.reading import check_unchanged, read_actions, read_series
from pipeline_defs.migration.reasons import NOTES, QUARANTINE
from pipeline_tests.migration.stores import (
    MINUTE,
    bars,
    bundle_database,
    bundle_row,
    epoch,
    execute,
    global_database,
    state_of,
    symbol_rows,
    write_adjustments,
    write_daily,
    write_ingestion,
    write_minutes,
    write_parquet,
    write_symbols,
)

if TYPE_CHECKING:
    from pipeline_defs.migration.plan import BundlePlan, Plan

_ROW = ("2023-03-01", 100_250, 101_000, 99_500, 100_000, 5000)
_INGESTION = "2026-11-21T04;02;19.438821"
_LATER = "2026-11-22T04;02;19.438821"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".zipline/data/bundles").mkdir(parents=True)
    return tmp_path / ".zipline"


def one(plan: Plan) -> BundlePlan:
    (bundle,) = plan.bundles
    assert {note.check for note in bundle.notes} <= NOTES.keys()
    assert bundle.reason is None or bundle.reason in QUARANTINE
    return bundle


def note(plan: BundlePlan, check: str) -> Any:
    return next(one for one in plan.notes if one.check == check)


def add_bundle(root: Path, name: str, *symbols: str, exchange: str | None = "NSE", **more: Any) -> Path:
    """Add a bundle of version 10 with a file of daily bars."""
    folder = root / "data/bundles" / name
    _, checksum = write_daily(folder, bars(*range(1, len(symbols) + 1)))
    row = bundle_row(name, file_checksum=checksum, row_count=3 * len(symbols), **more)
    global_database(root, 10, row, *symbol_rows(name, *symbols, exchange=exchange))
    return folder


def test_version_8_keeps_the_whole_history_of_validations(root: Path) -> None:
    folder = root / "data/nse"
    path, checksum = write_daily(folder, bars(1, 2))
    metrics = {"bundle_name": "nse", "start_date": epoch("2023-03-01"), "end_date": epoch("2023-03-03")}
    global_database(
        root,
        8,
        bundle_row(
            "nse",
            checksum="0" * 64,
            source_url="https://user:secret@host/path?token=x",
            timezone="UTC",
            api_version="v8",
        ),
        (
            "data_quality_metrics",
            metrics | {"row_count": 6, "validation_timestamp": epoch("2025-02-01"), "validation_passed": 1},
        ),
        (
            "data_quality_metrics",
            metrics
            | {
                "row_count": 5,
                "validation_timestamp": epoch("2025-01-01"),
                "validation_passed": 0,
                "missing_days_count": 2,
                "missing_days_list": '["2023-03-04", "2023-03-06"]',
                "ohlcv_violations": 1,
            },
        ),
    )
    symbols = [("symbols", {"dataset_id": 1, "symbol": one, "exchange": "NSE"}) for one in ("TCS", "INFY")]
    bundle_database(
        folder,
        ("datasets", {"dataset_id": 1, "source": "csv", "resolution": "1d"}),
        *symbols,
        ("checksums", {"dataset_id": 1, "parquet_path": path, "checksum": checksum}),
    )

    plan = one(plan_store(root))

    assert (plan.decision, plan.market, plan.bundle.era) == ("take", "NSE", 8)
    assert [(symbol.symbol, symbol.sid) for symbol in plan.bundle.symbols] == [("TCS", 1), ("INFY", 2)]
    assert plan.bundle.source_url == "https://host/path"
    assert [(quality.validated_at, quality.passed, quality.row_count) for quality in plan.bundle.quality] == [
        (dt.datetime(2025, 1, 1, tzinfo=dt.UTC), False, 5),
        (dt.datetime(2025, 2, 1, tzinfo=dt.UTC), True, 6),
    ]
    assert plan.bundle.quality[0].missing_days == ("2023-03-04", "2023-03-06")
    assert (plan.rows, plan.sum_close, plan.sum_volume) == (6, Decimal("604.5"), Decimal(6000))
    assert note(plan, "validation").found == "1 violations, 0 outliers, 2 missing days"
    assert plan.files[0].stated_sha256 == checksum == plan.files[0].sha256


def test_of_several_databases_the_newest_describes_and_all_tell_their_validations(root: Path) -> None:
    add_bundle(root, "both", "A", validation_timestamp=epoch("2025-10-24"), validation_passed=1, api_version="new")
    metrics = {"bundle_name": "both", "validation_timestamp": epoch("2024-01-01"), "validation_passed": 0}
    global_database(root, 8, bundle_row("both", checksum="0", api_version="old"), ("data_quality_metrics", metrics))

    plan = plan_store(root)

    assert plan.store.eras == (10, 8)
    assert (one(plan).bundle.era, one(plan).bundle.api_version) == (10, "new")
    assert [(quality.era, quality.passed) for quality in one(plan).bundle.quality] == [(8, False), (10, True)]


def test_a_database_that_cannot_be_read_is_told_and_the_bundles_are_known_by_their_folders(root: Path) -> None:
    write_daily(root / "data/bundles/left", bars(1))
    (root / "assets-10.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 2000)

    plan = plan_store(root)

    assert [(one.check, one.stated) for one in plan.notes] == [("database", "assets-10.db")]
    assert plan.store.databases == ()
    assert (one(plan).reason, one(plan).bundle.era) == ("symbols_unknown", None)
    assert one(plan).rows == 3


def test_a_bundle_of_two_names_in_two_places_is_taken_from_the_newer_one(root: Path) -> None:
    add_bundle(root, "twice", "A")
    write_daily(root / "data/twice", bars(1, 2))

    plans = plan_store(root).bundles

    assert [(plan.decision, plan.reason) for plan in plans] == [("take", None), ("quarantine", "name_taken")]
    assert str(root / "data/twice") in plans[1].detail


def test_a_changed_file_is_quarantined_unless_the_user_accepts_it(root: Path) -> None:
    folder = add_bundle(root, "changed", "A")
    write_daily(folder, bars(1, price="200"))

    plan = one(plan_store(root))

    assert (plan.decision, plan.reason) == ("quarantine", "checksum_mismatch")
    assert "daily_bars/year=2023/month=3/data.parquet was changed after it was stored" in plan.detail
    accepted = one(plan_store(root, accept=["changed"]))
    assert accepted.decision == "take"
    assert note(accepted, "checksum").stated == "accepted by the user"


def test_of_several_files_the_one_checksum_of_the_bundle_is_that_of_the_last(root: Path) -> None:
    folder = root / "data/bundles/months"
    write_daily(folder, bars(1, first="2023-02-01"), where="year=2023/month=2")
    _, checksum = write_daily(folder, bars(1))
    row = bundle_row(
        "months", file_checksum=checksum, row_count=3, start_date=epoch("2023-03-01"), end_date=epoch("2023-03-03")
    )
    database = global_database(root, 10, row, *symbol_rows("months", "A"))

    plan = one(plan_store(root))

    assert plan.decision == "take"
    assert (note(plan, "row_count").found, note(plan, "row_count").passed) == ("6", True)
    assert note(plan, "row_count").detail == "the old system records the last write only"
    assert note(plan, "date_range").found == "2023-02-01 to 2023-03-03"
    execute(database, "UPDATE bundle_metadata SET file_checksum = 'ab'")
    assert one(plan_store(root)).reason == "checksum_mismatch"


def test_a_bundle_ingested_twice_with_other_symbols_cannot_be_told_apart(root: Path) -> None:
    folder = add_bundle(root, "overwritten", "A", "B", "C")
    write_daily(folder, bars(1))

    plan = one(plan_store(root, accept=["overwritten"]))

    assert (plan.decision, plan.reason) == ("quarantine", "sids_reused")
    assert [(series.symbol, series.sid, series.rows) for series in plan.series] == [(None, 1, 3)]
    with pytest.raises(ConfigurationError, match="quarantined: sids_reused"):
        next(read_series(plan, DAILY_SECONDS))


def test_a_file_of_fewer_symbols_is_doubted_and_can_be_accepted(root: Path) -> None:
    folder = add_bundle(root, "grown", "A", "B")
    write_daily(folder, bars(1, first="2023-02-01"), where="year=2023/month=2")

    assert one(plan_store(root)).reason == "sids_doubtful"
    accepted = one(plan_store(root, accept=["grown"]))
    assert accepted.decision == "take"
    assert "1 of 2 files" in note(accepted, "sids").found


def test_an_unknown_market_waits_for_the_user(root: Path) -> None:
    add_bundle(root, "somewhere", "A", exchange=None)

    assert one(plan_store(root)).reason == "market_unknown"
    assert one(plan_store(root, markets={"somewhere": "US"})).market == "US"


@pytest.mark.parametrize(
    "choices",
    [{"markets": {"none": "NSE"}}, {"markets": {"mine": "LSE"}}, {"accept": ["none"]}, {"bundles": ["none"]}],
)
def test_a_choice_about_nothing_is_an_error(root: Path, choices: dict[str, Any]) -> None:
    add_bundle(root, "mine", "A")

    with pytest.raises(PipelineError, match=r"no bundle 'none'|no market 'LSE'"):
        plan_store(root, **choices)


def test_only_the_bundles_that_are_named_are_looked_at(root: Path) -> None:
    add_bundle(root, "one", "A")
    add_bundle(root, "two", "A")

    assert [plan.name for plan in plan_store(root, bundles=["two"]).bundles] == ["two"]


def test_oddities_of_rows_are_counted_and_left_to_the_import(root: Path) -> None:
    folder = root / "data/bundles/odd"
    good = bars(1, count=4)
    crooked = good.with_columns(close=pl.col("high") + 1)
    write_daily(folder, pl.concat([good, crooked.head(2)]), where="year=2022/month=12")
    global_database(root, 10, bundle_row("odd"), *symbol_rows("odd", "A"))

    plan = one(plan_store(root))

    assert plan.decision == "take"
    assert plan.rows == 6
    assert note(plan, "ohlc").found == "2 rows with open or close outside low to high"
    assert note(plan, "duplicates").found == "2 rows again for a symbol and time"
    assert note(plan, "partition").found.startswith("6 rows of others, 6 of them in daily_bars/year=2022/month=12")


def test_too_many_rows_to_compare_are_not_called_free_of_duplicates(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_bundle(root, "large", "A", "B")
    monkeypatch.setattr(scanning, "MAX_COMPARED", 3)

    assert note(one(plan_store(root)), "duplicates").found == "not counted: 6 rows"


def test_a_plan_is_the_same_however_small_the_parts_are_that_are_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = add_bundle(root, "mine", "A", "B")
    write_daily(folder, bars(1, 2, first="2023-02-01").reverse(), where="year=2023/month=2")
    write_ingestion(root / "data/quandl" / _INGESTION, {0: [_ROW] * 3, 1: [_ROW]}, {0: "A", 1: "B"})
    whole = plan_store(root)

    monkeypatch.setattr(parquet_files, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(bcolz_daily, "ROWS_AT_ONCE", 2)
    parts = plan_store(root)

    assert parts.to_json() == whole.to_json()
    assert len(list(read_series(parts.bundles[1], DAILY_SECONDS))) == 2


def test_missing_days_are_held_against_the_sessions_of_the_market(root: Path) -> None:
    days = ["2023-03-04", "2023-03-07", "2023-03-08", "2023-03-01", "never"]
    add_bundle(root, "days", "A", missing_days_count=5, missing_days_list=json.dumps(days))

    found = note(one(plan_store(root)), "missing_days")

    # 4 March was a Saturday, the 7th a holiday, the 1st is stored.
    assert (found.found, found.detail) == ("1 on weekends, 1 sessions of NSE", "2023-03-08")
    assert not found.passed


@pytest.mark.parametrize(("step", "seconds"), [(60, 60), (3600, 3600), (900, 900), (7, 60), (86_400, 60)])
def test_the_length_of_bars_shows_in_the_distances_of_their_stamps(root: Path, step: int, seconds: int) -> None:
    stamps = [dt.datetime(2023, 3, 1, 4, tzinfo=dt.UTC) + dt.timedelta(seconds=step * place) for place in (0, 1, 3)]
    frame = bars(1).drop("date").with_columns(timestamp=pl.Series(stamps).dt.replace_time_zone(None))
    write_parquet(
        root / "data/bundles/hours", "minute_bars/year=2023/month=3/day=1/data.parquet", frame.select(list(MINUTE))
    )
    global_database(root, 10, bundle_row("hours"), *symbol_rows("hours", "A"))

    plan = one(plan_store(root))

    assert plan.bundle.bar_lengths == (seconds,)
    assert [series.bar_seconds for series in plan.series] == [seconds]
    (chunk,) = read_series(plan, seconds)
    assert chunk.rows["timestamp"].to_list() == stamps


def test_a_length_that_the_bundle_claims_is_believed_where_it_fits(root: Path) -> None:
    folder = root / "data/bundles/five"
    stamps = pl.Series([dt.datetime(2023, 3, 1, hour, tzinfo=dt.UTC) for hour in (4, 5, 6)]).dt.replace_time_zone(None)
    write_parquet(folder, "minute_bars/data.parquet", bars(1).drop("date").with_columns(timestamp=stamps))
    bundle_database(
        folder,
        ("datasets", {"dataset_id": 1, "resolution": "5m"}),
        ("datasets", {"dataset_id": 2, "resolution": "odd"}),
        ("symbols", {"dataset_id": 1, "symbol": "A", "exchange": "NSE"}),
    )

    assert one(plan_store(root)).bundle.bar_lengths == (300,)


def test_datasets_with_different_symbols_tell_nothing(root: Path) -> None:
    folder = root / "data/bundles/two-sets"
    write_daily(folder, bars(1))
    bundle_database(
        folder, ("symbols", {"dataset_id": 1, "symbol": "A"}), ("symbols", {"dataset_id": 2, "symbol": "B"})
    )

    assert one(plan_store(root)).reason == "symbols_unknown"


def test_two_databases_that_list_other_symbols_are_doubted(root: Path) -> None:
    folder = add_bundle(root, "mine", "A", "B")
    bundle_database(folder, *(("symbols", {"dataset_id": 1, "symbol": name}) for name in ("B", "A")))

    plan = one(plan_store(root))

    assert plan.reason == "sids_doubtful"
    assert plan.detail == "the global database lists the symbols A, B, the bundle's own B, A"
    assert [series.symbol for series in one(plan_store(root, accept=["mine"])).series] == ["A", "B"]


@pytest.mark.parametrize("damage", ["parquet", "layout", "database", "missing"])
def test_damage_is_quarantined_and_the_file_is_named(root: Path, damage: str) -> None:
    folder = add_bundle(root, "hurt", "A")
    path = "daily_bars/year=2023/month=3/data.parquet"
    if damage == "parquet":
        (folder / path).write_bytes(b"PAR1 and nothing else")
    elif damage == "layout":
        write_parquet(folder, path, bars(1).drop("close"))
    elif damage == "database":
        path = "metadata.db"
        (folder / path).write_bytes(b"\xff" * 5000)
    else:
        path = "daily_bars/year=2023/month=4/data.parquet"
        bundle_database(folder, ("checksums", {"dataset_id": 1, "parquet_path": path, "checksum": "ab"}))

    plan = one(plan_store(root))

    assert plan.decision == "quarantine"
    assert plan.reason == ("unknown_layout" if damage == "layout" else "unreadable_file")
    assert path in plan.detail
    assert plan.next_step


def test_a_bundle_without_bars_is_left(root: Path) -> None:
    bundle_database(root / "data/bundles/empty")
    (root / "data/bundles/other").mkdir()
    global_database(root, 10, bundle_row("gone"))

    plan = plan_store(root)

    assert one(plan).reason == "no_rows"
    assert [(one.what, one.name) for one in plan.orphans] == [("bundle_row", "gone")]
    assert [one.stated for one in plan.notes] == ["data/bundles/other"]


def test_of_ingestions_the_newest_whole_one_is_read(root: Path) -> None:
    folder = root / "data/quandl"
    write_ingestion(folder / _INGESTION, {4: [_ROW, ("2023-03-02", *_ROW[1:])], 9: [_ROW]}, {4: "AAPL", 9: "MSFT"})
    write_ingestion(folder / "2025-11-21T04;02;19.438821", {4: [_ROW]}, {4: "AAPL"})
    (folder / _LATER).mkdir()
    third = 1 / 3
    write_adjustments(
        folder / _INGESTION,
        ("splits", {"sid": 4, "ratio": third, "effective_date": epoch("2023-03-02")}),
        ("splits", {"sid": 4, "ratio": third, "effective_date": epoch("2023-03-02")}),
        ("splits", {"sid": 9, "ratio": 1.5, "effective_date": epoch("2023-03-03")}),
        ("splits", {"sid": 9, "ratio": 0.0, "effective_date": epoch("2023-03-04")}),
        ("splits", {"sid": 8, "ratio": 0.5, "effective_date": epoch("2023-03-04")}),
        ("mergers", {"sid": 4, "ratio": 0.5, "effective_date": epoch("2023-03-04")}),
        ("dividend_payouts", {"sid": 4, "amount": 0.1, "ex_date": epoch("2023-03-02"), "pay_date": -(2**63)}),
        ("dividend_payouts", {"sid": 4, "amount": 0.2, "ex_date": epoch("2023-03-02"), "pay_date": -(2**63)}),
        ("dividend_payouts", {"sid": 9, "amount": 0.3, "ex_date": -(2**63), "pay_date": None}),
    )
    before = state_of(root)

    plan = one(plan_store(root))

    assert (plan.decision, plan.market, plan.bundle.kind, plan.bundle.era) == ("take", "US", "bcolz", None)
    assert plan.bundle.ingestion == _INGESTION
    assert plan.bundle.older_ingestions == ("2025-11-21T04;02;19.438821",)
    assert [(series.symbol, series.sid, series.rows, series.sum_close) for series in plan.series] == [
        ("AAPL", 4, 2, Decimal(200)),
        ("MSFT", 9, 1, Decimal(100)),
    ]
    assert read_actions(plan).rows() == [
        ("AAPL", dt.date(2023, 3, 2), "dividend", Decimal("0.3")),
        ("AAPL", dt.date(2023, 3, 2), "split", Decimal(3)),
        ("MSFT", dt.date(2023, 3, 3), "split", Decimal("0.66666667")),
    ]
    assert [one.stated for one in plan.notes if one.check == "actions"] == [
        "1 mergers",
        "3 entries that cannot be read",
    ]
    assert [one.found for one in plan.notes if one.check == "ingestions" and not one.passed] == [
        f"{_INGESTION} is read"
    ]
    check_unchanged(plan)
    assert state_of(root) == before


def test_daily_and_minute_bars_of_an_ingestion_are_series_of_their_own(root: Path) -> None:
    place = root / "data/quandl" / _INGESTION
    write_ingestion(place, {4: [_ROW]}, {4: "AAPL", 9: "MSFT"})
    write_minutes(place, 4, {0: 1500, 390: 1700})
    write_minutes(place, 9, {1: 2000})

    plan = one(plan_store(root))

    assert (plan.decision, plan.bundle.bar_lengths) == ("take", (86_400, 60))
    assert [(series.symbol, series.bar_seconds, series.rows, series.sum_close) for series in plan.series] == [
        ("AAPL", 86_400, 1, Decimal(100)),
        ("AAPL", 60, 2, Decimal("3.2")),
        ("MSFT", 60, 1, Decimal(2)),
    ]
    rows = pl.concat(chunk.rows for chunk in read_series(plan, 60))
    assert rows.select("symbol", "timestamp").rows() == [
        ("AAPL", dt.datetime(2023, 7, 3, 13, 31, tzinfo=dt.UTC)),
        ("AAPL", dt.datetime(2023, 7, 5, 13, 31, tzinfo=dt.UTC)),
        ("MSFT", dt.datetime(2023, 7, 3, 13, 32, tzinfo=dt.UTC)),
    ]


def test_without_the_package_for_bcolz_the_bundle_waits_and_the_others_do_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ingestion(root / "data/quandl" / _INGESTION, {0: [_ROW]}, {0: "A"})
    add_bundle(root, "mine", "A")
    monkeypatch.setitem(sys.modules, "blosc2", None)

    plans = plan_store(root).bundles

    assert [(plan.name, plan.reason) for plan in plans] == [("mine", None), ("quandl", "reader_missing")]
    assert plans[1].next_step == "install the extra 'migration'"


def test_ingestions_that_are_not_whole_are_left(root: Path) -> None:
    write_ingestion(root / "data/half" / _INGESTION, {0: [_ROW]}, {0: "A"})
    (root / "data/half" / _INGESTION / "assets-10.sqlite").unlink()

    plan = one(plan_store(root))

    assert (plan.reason, _INGESTION in plan.detail) == ("unreadable_file", True)


@pytest.mark.parametrize("file", ["assets-10.sqlite", "adjustments.sqlite", "daily_equities.bcolz/__attrs__"])
def test_a_damaged_ingestion_is_quarantined_and_the_file_is_named(root: Path, file: str) -> None:
    place = root / "data/quandl" / _INGESTION
    write_ingestion(place, {0: [_ROW]}, {0: "A"})
    (place / file).write_bytes(b"\xff" * 3000)

    plan = one(plan_store(root))

    assert plan.reason == "unreadable_file"
    assert str(place / file) in plan.detail


def test_rows_of_a_number_without_symbol_and_symbols_of_two_numbers_are_told(root: Path) -> None:
    write_ingestion(root / "data/nameless" / _INGESTION, {0: [_ROW], 1: [_ROW]}, {0: "A"})
    write_ingestion(root / "data/shared" / _INGESTION, {0: [_ROW], 1: [_ROW]}, {0: "A", 1: "A"})

    plans = plan_store(root).bundles

    assert [plan.reason for plan in plans] == ["symbols_unknown", "symbol_shared"]
    assert "1 rows have the number 1" in plans[0].detail


def test_of_a_share_that_changed_its_name_the_last_name_counts(root: Path) -> None:
    place = root / "data/quandl" / _INGESTION
    write_ingestion(place, {0: [_ROW]}, {})
    (place / "assets-10.sqlite").unlink()
    write_symbols(place, {0: "META"}, version=8)
    execute(
        place / "assets-8.sqlite",
        rows=[("equity_symbol_mappings", {"sid": 0, "symbol": "FB", "end_date": epoch("2022-06-08") * 10**9})],
    )

    assert [symbol.symbol for symbol in one(plan_store(root)).bundle.symbols] == ["META"]


def test_cached_answers_are_found_below_this_home_whatever_their_recorded_path(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / ".rustybt/cache"
    write_parquet(cache / "cache_aa", "data.parquet", bars("AAPL").rename({"sid": "symbol"}))
    write_parquet(cache / "cache_stray", "data.parquet", bars("AAPL").rename({"sid": "symbol"}))
    row = {"bundle_path": "C:\\Users\\x\\.rustybt\\cache\\cache_aa", "symbols": '["AAPL"]', "frequency": "1d"}
    global_database(
        root,
        10,
        ("bundle_cache", {"cache_key": "aa", "row_count": 3} | row),
        ("bundle_cache", {"cache_key": "bb", "bundle_path": "/home/x/.rustybt/cache/cache_bb", "symbols": "[broken"}),
    )

    plan = plan_store(root)

    assert [(one.what, one.name) for one in plan.orphans] == [("cache_row", "bb"), ("cache_file", "cache_stray")]
    assert [(one.name, one.reason, one.rows) for one in plan.caches] == [("cache_aa", "provenance_unknown", 3)]
    (taken,) = plan_store(root, take_caches=True, markets={"cache_aa": "US"}).caches
    assert (taken.decision, taken.market, [one.symbol for one in taken.series]) == ("take", "US", ["AAPL"])
    (chunk,) = read_series(taken, DAILY_SECONDS)
    assert chunk.rows["symbol"].unique().to_list() == ["AAPL"]


def test_older_cached_answers_are_listed_by_the_bundles(root: Path) -> None:
    folder = root / "data/mine"
    write_daily(folder, bars(1))
    _, checksum = write_parquet(root / "cache", "aa.parquet", bars(1))
    rows = [("cache_entries", {"cache_key": key, "checksum": checksum}) for key in ("aa", "bb")]
    bundle_database(folder, *rows)
    bundle_database(root / "data/other", *rows)

    plan = plan_store(root)

    assert [(one.name, one.reason) for one in plan.caches] == [("cache_aa", "symbols_unknown")]
    assert [(one.what, one.name) for one in plan.orphans] == [("cache_row", "bb")]


def test_files_that_change_after_planning_are_not_read_on(root: Path) -> None:
    folder = add_bundle(root, "moving", "A")
    plan = one(plan_store(root))
    write_daily(folder, bars(1, count=2))

    with pytest.raises(SourceError, match=r"its checksum is .* was planned"):
        check_unchanged(plan)
    with pytest.raises(SourceError, match=r"it has 2 rows, 3 were planned|cannot be read"):
        list(read_series(plan, DAILY_SECONDS))


def test_a_window_leaves_other_days_out_and_refused_lines_with_them(root: Path) -> None:
    folder = root / "data/bundles/window"
    frame = bars(1, count=5).with_columns(close=pl.Series([None, 1, 1, 1, 1]).cast(pl.Decimal(18, 8)))
    write_daily(folder, frame)
    global_database(root, 10, bundle_row("window"), *symbol_rows("window", "A"))
    plan = one(plan_store(root))

    (whole,) = read_series(plan, DAILY_SECONDS)
    (part,) = read_series(plan, DAILY_SECONDS, first=dt.date(2023, 3, 3), last=dt.date(2023, 3, 4))

    assert (whole.rows.height, whole.refused.height, plan.refused) == (4, 1, 1)
    assert part.rows["date"].to_list() == [dt.date(2023, 3, 3), dt.date(2023, 3, 4)]
    assert part.refused.is_empty()
    assert note(plan, "refused").detail.endswith(
        "First: daily_bars/year=2023/month=3/data.parquet:1: 1,2023-03-01,100.25,101.25,99.25,,1000"
    )


def test_a_store_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no folder"):
        plan_store(tmp_path / "none")


def test_the_roots_are_those_of_the_old_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ZIPLINE_ROOT", raising=False)
    assert default_root() == tmp_path / ".zipline"
    assert default_cache_root(tmp_path / ".zipline") == tmp_path / ".rustybt/cache"
    monkeypatch.setenv("ZIPLINE_ROOT", str(tmp_path / "elsewhere"))
    assert default_root() == tmp_path / "elsewhere"
    assert default_cache_root(Path("/srv/zipline")) == tmp_path / ".rustybt/cache"


def test_a_plan_is_json(root: Path) -> None:
    add_bundle(root, "mine", "A", validation_timestamp=epoch("2025-10-24"), validation_passed=1)

    told = plan_store(root).to_dict()

    (bundle,) = told["bundles"]
    assert (bundle["name"], bundle["rows"], bundle["sum_close"]) == ("mine", 3, "300.75000000")
    assert bundle["series"][0]["first"] == "2023-03-01"
    assert bundle["bundle"]["quality"][0]["validated_at"] == "2025-10-24T00:00:00+00:00"
    assert len(bundle["fingerprint"]) == 64
