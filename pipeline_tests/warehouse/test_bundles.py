"""Bundles under the classic names: where they came from, how good they are, and who said so."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.schema.batches import Finding
from pipeline_defs.warehouse.bundles import BundleCatalog, BundleSymbol
from pipeline_tests.warehouse.deliveries import TRADE_DATE, Delivery, make_batch, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

    Load = Callable[..., LoadReport]
    Ask = Callable[..., list[tuple[Any, ...]]]

A = "NIFTY31JAN1910000CE"
B = "NIFTY31JAN1910050CE"
C = "NIFTY31JAN1910100CE"
MINUTES = "nse_csv/options_ticks/60s"
NO_STRIKE = {"strike": None, "option_type": None}

JANUARY_2 = dt.date(2019, 1, 2)
JANUARY_3 = dt.date(2019, 1, 3)
FRIDAY = dt.date(2019, 1, 4)
MONDAY = dt.date(2019, 1, 7)

CLASSIC_COLUMNS = {
    "bundle_metadata": (
        "id bigint, bundle_name text, source_type text, source_url text, api_version text, fetch_timestamp bigint,"
        " data_version text, timezone text, row_count bigint, start_date bigint, end_date bigint,"
        " missing_days_count bigint, missing_days_list text, outlier_count bigint, ohlcv_violations bigint,"
        " validation_passed boolean, validation_timestamp bigint, file_checksum text, file_size_bytes bigint,"
        " checksum text, created_at bigint, updated_at bigint"
    ),
    "bundle_symbols": "id integer, bundle_name text, symbol text, asset_type text, exchange text",
    "bundle_cache": (
        "id bigint, cache_key text, bundle_name text, bundle_path text, symbols text, start text, end text,"
        " frequency text, fetch_timestamp bigint, size_bytes bigint, row_count bigint, last_accessed bigint"
    ),
}


@pytest.fixture
def bundles(warehouse: Warehouse) -> BundleCatalog:
    """The façade over a warehouse with nothing in it."""
    return BundleCatalog(warehouse)


def day(trade_date: dt.date, *rows: tuple[str, int, str], file: str = "day.csv", **more: Any) -> Any:
    return make_batch(Delivery(rows or [(A, 1, "1.50")], file), trade_date=trade_date, **more)


def violations(*lines: int, file: str = "day.csv") -> Any:
    return make_batch(Delivery([(A, 1, "1.50")], file, rejects=[(line, "high_below_low", "x") for line in lines]))


@pytest.mark.parametrize("view", CLASSIC_COLUMNS)
def test_a_view_has_the_classic_columns_in_their_order(view: str, ask: Ask) -> None:
    columns = ask(
        "SELECT string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position)"
        " FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s",
        view,
    )

    assert columns == [(CLASSIC_COLUMNS[view],)]


def test_a_bundle_says_where_it_came_from_and_what_it_holds(bundles: BundleCatalog, load: Load, ask: Ask) -> None:
    load(day(TRADE_DATE, (A, 1, "1.50"), (B, 1, "2.05")))
    newest = load(day(JANUARY_2, (A, 1, "1.60")))
    ((created, updated, fetched, checksum),) = ask(
        "SELECT min(date_trunc('second', committed_at)), max(date_trunc('second', committed_at)),"
        " max(date_trunc('second', fetched_at)), max(checksum) FILTER (WHERE load_id = %s) FROM loads",
        newest.load_id,
    )

    bundle = bundles.get(MINUTES)

    assert (bundle.name, bundle.source_type, bundle.source_url, bundle.api_version) == (MINUTES, "file", "folder", "1")
    assert (bundle.row_count, bundle.start_date, bundle.end_date) == (3, TRADE_DATE, JANUARY_2)
    assert (bundle.created_at, bundle.updated_at, bundle.fetched_at) == (created, updated, fetched)
    assert (bundle.file_checksum, bundle.file_size_bytes) == (checksum, 1)
    assert (bundle.missing_days, bundle.outlier_count, bundle.ohlcv_violations) == ((), None, 0)
    assert (bundle.validation_passed, bundle.validated_at) == (True, updated)


def test_classic_instants_are_seconds_and_classic_days_midnights(load: Load, ask: Ask) -> None:
    load(day(TRADE_DATE))

    ((start, end, off_by),) = ask(
        "SELECT start_date, end_date, updated_at - (SELECT floor(extract(epoch FROM committed_at)) FROM loads)"
        " FROM bundle_metadata"
    )

    midnight = int(dt.datetime(2019, 1, 1, tzinfo=dt.UTC).timestamp())
    assert (start, end, off_by) == (midnight, midnight, 0)


def test_only_sessions_without_a_load_are_missing(bundles: BundleCatalog, load: Load, ask: Ask) -> None:
    load(day(TRADE_DATE))
    load(make_batch(trade_date=JANUARY_2, empty_reason="the vendor confirms that there is none"))
    load(day(FRIDAY))
    load(day(MONDAY))

    bundle = bundles.get(MINUTES)

    assert bundle.missing_days == (JANUARY_3,)
    assert bundle.validation_passed is False
    assert ask("SELECT missing_days_count, missing_days_list FROM bundle_metadata") == [(1, '["2019-01-03"]')]


def test_a_refused_day_is_missing_and_the_bundle_does_not_pass(bundles: BundleCatalog, load: Load) -> None:
    load(day(TRADE_DATE))
    load(make_batch(Delivery([], rejects=[(2, "bad_price", "x")]), trade_date=JANUARY_2))
    load(day(JANUARY_3))

    assert bundles.get(MINUTES).missing_days == (JANUARY_2,)


def test_a_refused_last_day_fails_the_bundle_though_nothing_lies_between(bundles: BundleCatalog, load: Load) -> None:
    load(day(TRADE_DATE))
    load(make_batch(Delivery([], rejects=[(2, "bad_price", "x")]), trade_date=JANUARY_2))

    bundle = bundles.get(MINUTES)

    assert (bundle.end_date, bundle.missing_days, bundle.validation_passed) == (TRADE_DATE, (), False)


def test_missing_days_of_a_market_without_sessions_are_unknown(bundles: BundleCatalog, load: Load) -> None:
    share = {"X": option("X", kind="EQ", venue="XNYS", expiry=None, series="EQ") | NO_STRIKE}
    for trade_date in (TRADE_DATE, FRIDAY):
        load(
            make_batch(
                Delivery([("X", 1, "10.00")], contracts=share),
                table="equity_daily",
                bar_seconds=86_400,
                trade_date=trade_date,
            )
        )

    bundle = bundles.get("nse_csv/equity_daily/86400s")

    assert bundle.missing_days is None
    assert bundle.validation_passed is True


def test_the_row_count_follows_corrections_retirements_and_repeats(
    bundles: BundleCatalog, load: Load, ask: Ask
) -> None:
    load(day(TRADE_DATE, (A, 1, "1.50"), (A, 2, "1.55"), (B, 1, "2.05")))
    load(day(TRADE_DATE, (A, 1, "1.45"), (A, 3, "1.65")))
    load(day(TRADE_DATE, (A, 1, "1.45"), (A, 3, "1.65")))

    assert ask("SELECT count(*) FROM options_ticks") == [(bundles.get(MINUTES).row_count,)] == [(2,)]


def test_violations_count_as_their_file_was_read_last(bundles: BundleCatalog, load: Load) -> None:
    load(violations(5, 6, file="morning.csv"))
    load(violations(7, file="afternoon.csv"))
    assert bundles.get(MINUTES).ohlcv_violations == 3

    load(violations(6, file="morning.csv"))
    assert bundles.get(MINUTES).ohlcv_violations == 2

    load(violations(file="morning.csv"))
    load(violations(file="afternoon.csv"))
    bundle = bundles.get(MINUTES)
    assert (bundle.ohlcv_violations, bundle.validation_passed) == (0, True)


def test_a_line_refused_for_another_reason_is_no_violation(bundles: BundleCatalog, load: Load) -> None:
    load(make_batch(Delivery([(A, 1, "1.50")], rejects=[(9, "after_close", "x")])))

    bundle = bundles.get(MINUTES)

    assert (bundle.ohlcv_violations, bundle.validation_passed) == (0, True)


def test_the_last_load_of_a_day_decides_about_its_checks(bundles: BundleCatalog, load: Load) -> None:
    load(day(TRADE_DATE, findings=(Finding("session_coverage", passed=False, expected="375", found="12"),)))
    assert bundles.get(MINUTES).validation_passed is False

    load(day(TRADE_DATE, findings=(Finding("session_coverage", passed=True, expected="375", found="375"),)))
    assert bundles.get(MINUTES).validation_passed is True


def test_the_checksum_changes_with_any_delivery_and_with_nothing_else(bundles: BundleCatalog, load: Load) -> None:
    load(day(TRADE_DATE))
    load(day(JANUARY_2))
    before = bundles.get(MINUTES).checksum

    load(day(TRADE_DATE))
    assert bundles.get(MINUTES).checksum == before

    load(day(TRADE_DATE, (A, 1, "1.55")))
    assert bundles.get(MINUTES).checksum != before


def test_the_data_version_is_the_instant_as_of_which_the_rows_read_the_same(
    bundles: BundleCatalog, load: Load, ask: Ask
) -> None:
    load(day(TRADE_DATE))
    load(day(TRADE_DATE, (A, 1, "1.55")))
    version = bundles.get(MINUTES).data_version
    load(day(TRADE_DATE, (A, 1, "1.55")))

    assert bundles.get(MINUTES).data_version == version
    now = ask("SELECT timestamp, close FROM options_ticks")
    assert ask("SELECT timestamp, close FROM options_ticks_as_of(%s::timestamptz)", version) == now
    before = ask("SELECT close FROM options_ticks_as_of(%s::timestamptz - interval '1 microsecond')", version)
    assert [str(close) for (close,) in before] == ["1.50"]


def test_sources_and_resolutions_are_bundles_of_their_own(bundles: BundleCatalog, load: Load) -> None:
    load(day(TRADE_DATE))
    load(day(TRADE_DATE, bar_seconds=0))
    load(day(TRADE_DATE), source="other")
    load(violations(3), source="third")

    assert bundles.count() == 4
    assert [bundle.name for bundle in bundles.list_bundles()] == [
        "nse_csv/options_ticks/60s",
        "nse_csv/options_ticks/ticks",
        "other/options_ticks/60s",
        "third/options_ticks/60s",
    ]
    assert [bundle.name for bundle in bundles.list_bundles(source="other")] == ["other/options_ticks/60s"]
    assert [bundle.name for bundle in bundles.list_bundles(validation_passed=False)] == ["third/options_ticks/60s"]
    assert bundles.list_bundles(dataset="spot_prices") == []
    assert len(bundles.list_bundles(dataset="options_ticks")) == 4


def test_symbols_are_those_stored_with_type_and_exchange(bundles: BundleCatalog, load: Load) -> None:
    future = {
        name: option(name, kind=kind, expiry=expiry, rank=rank) | NO_STRIKE
        for name, kind, expiry, rank in [
            ("NIFTY31JAN19FUT", "FUT", dt.date(2019, 1, 31), None),
            ("NIFTY-I", "CONT", None, 1),
        ]
    }
    load(make_batch(Delivery([(name, 1, "9.05") for name in future], contracts=future), table="futures_ticks"))
    load(day(TRADE_DATE, (A, 1, "1.50"), (B, 1, "2.05")))
    damage = [(line, "bad_price", "x") for line in range(3, 203)]
    load(make_batch(Delivery([(C, 1, "3.05")], rejects=damage, contracts={C: option(C, 10_100)})))

    futures = bundles.list_symbols("nse_csv/futures_ticks/60s")

    assert [(symbol.symbol, symbol.asset_type, symbol.exchange) for symbol in futures] == [
        ("NIFTY-I", "continuous_future", "NSE"),
        ("NIFTY31JAN19FUT", "future", "NSE"),
    ]
    assert [symbol.symbol for symbol in bundles.list_symbols(MINUTES)] == [A, B]
    assert bundles.count_symbols(MINUTES) == 2
    assert bundles.list_symbols("nse_csv/futures_ticks/60s", asset_type="future") == futures[1:]
    assert bundles.list_symbols(MINUTES, asset_type="index") == []


def test_an_instrument_found_to_be_another_is_listed_once(
    bundles: BundleCatalog, warehouse: Warehouse, load: Load, ask: Ask
) -> None:
    load(day(TRADE_DATE, (A, 1, "1.50"), (B, 1, "2.05")))
    ids: dict[str, int] = dict(ask("SELECT symbol, instrument_id FROM instrument_terms"))
    with warehouse.connect() as connection:
        connection.execute(
            "INSERT INTO instrument_merges (duplicate_id, instrument_id, reason) VALUES (%s, %s, 'renamed')",
            [ids[B], ids[A]],
        )

    assert bundles.list_symbols(MINUTES) == [BundleSymbol(ids[A], A, "option", "NSE")]


def test_a_verdict_counts_until_the_data_changes_and_stays_on_record(bundles: BundleCatalog, load: Load) -> None:
    load(violations(3))
    stated = bundles.update_quality(MINUTES, stated_by="asha", reason="line 3 is a heading", validation_passed=True)
    assert (stated.validation_passed, stated.outlier_count, stated.ohlcv_violations) == (True, None, 1)

    stated = bundles.update_quality(MINUTES, stated_by="ravi", reason="looked at the plot", outlier_count=2)
    assert (stated.validation_passed, stated.outlier_count) == (True, 2)

    load(violations(3))
    assert bundles.get(MINUTES).outlier_count == 2

    load(make_batch(Delivery([(A, 1, "1.55")], rejects=[(3, "high_below_low", "x")])))
    bundle = bundles.get(MINUTES)
    assert (bundle.validation_passed, bundle.outlier_count) == (False, None)
    assert [
        (verdict.stated_by, verdict.reason, verdict.outlier_count, verdict.validation_passed)
        for verdict in bundles.list_verdicts(MINUTES)
    ] == [("ravi", "looked at the plot", 2, None), ("asha", "line 3 is a heading", None, True)]


def test_a_refused_load_ends_a_verdict(bundles: BundleCatalog, load: Load) -> None:
    load(day(TRADE_DATE))
    bundles.update_quality(MINUTES, stated_by="asha", reason="looked at it", validation_passed=True)

    load(make_batch(Delivery([], rejects=[(2, "bad_price", "x")])))

    assert bundles.get(MINUTES).validation_passed is False


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE quality_verdicts SET validation_passed = true",
        "DELETE FROM quality_verdicts",
        "TRUNCATE quality_verdicts",
    ],
)
def test_a_verdict_cannot_be_rewritten(
    bundles: BundleCatalog, warehouse: Warehouse, load: Load, statement: str
) -> None:
    load(day(TRADE_DATE))
    bundles.update_quality(MINUTES, stated_by="asha", reason="wrong prices", validation_passed=False)

    with warehouse.connect() as connection, pytest.raises(psycopg.errors.RestrictViolation, match="add another"):
        connection.execute(statement.encode())


def test_a_verdict_on_no_bundle_is_refused_by_the_database_itself(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection, pytest.raises(psycopg.errors.ForeignKeyViolation, match="no bundle x"):
        connection.execute(
            "INSERT INTO quality_verdicts (bundle_name, outlier_count, reason, stated_by) VALUES ('x', 1, 'y', 'z')"
        )


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({}, "nothing was stated"),
        ({"outlier_count": -1}, "-1 outliers, expected 0 or more"),
        ({"validation_passed": True, "stated_by": " "}, "without a name or a reason"),
        ({"validation_passed": True, "reason": ""}, "without a name or a reason"),
    ],
)
def test_an_unfit_verdict_is_refused(bundles: BundleCatalog, load: Load, stated: dict[str, Any], message: str) -> None:
    load(day(TRADE_DATE))

    with pytest.raises(WarehouseError, match=message):
        bundles.update_quality(MINUTES, **({"stated_by": "asha", "reason": "because"} | stated))

    assert bundles.list_verdicts(MINUTES) == []


@pytest.mark.parametrize(
    "verb",
    [
        lambda bundles: bundles.get("nse_csv/spots/60s"),
        lambda bundles: bundles.list_symbols("nse_csv/spots/60s"),
        lambda bundles: bundles.count_symbols("nse_csv/spots/60s"),
        lambda bundles: bundles.list_verdicts("nse_csv/spots/60s"),
        lambda bundles: bundles.update_quality("nse_csv/spots/60s", stated_by="a", reason="b", outlier_count=0),
    ],
)
def test_an_unknown_bundle_is_an_error_that_names_the_known_ones(
    bundles: BundleCatalog, load: Load, verb: Callable[[BundleCatalog], object]
) -> None:
    with pytest.raises(WarehouseError, match="import something first"):
        verb(bundles)

    load(day(TRADE_DATE))
    with pytest.raises(WarehouseError, match=f"(?s)no bundle 'nse_csv/spots/60s'.*name one of {MINUTES}"):
        verb(bundles)
