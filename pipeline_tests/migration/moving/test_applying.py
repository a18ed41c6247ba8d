"""What becomes of bundles that are moved in: stored, refused, quarantined, done, changed."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.migration import moving
from pipeline_defs.migration.applying import apply_plan
from pipeline_defs.migration.legacy import LegacyQuality
from pipeline_defs.warehouse.loading_days import import_days
from pipeline_defs.warehouse.named_bundles import read_bundle
from pipeline_tests.migration.moving.made import MONDAY, Made, days, minutes, readers_of, store_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.migration.moving import Outcome
    from pipeline_defs.warehouse.connection import Warehouse

    type Move = Callable[..., list[Outcome]]
    type Ask = Callable[..., list[tuple[Any, ...]]]

NSE_OPEN = dt.datetime(2023, 1, 2, 3, 45, tzinfo=dt.UTC)
WEEK = days(MONDAY, 5)


def daily(name: str = "nse50", symbols: tuple[str, ...] = ("TCS", "INFY"), count: int = 5, **more: Any) -> Made:
    rows = [(symbol, day, f"{100 + number}.05") for symbol in symbols for number, day in enumerate(days(MONDAY, count))]
    return Made(name, [*rows, *more.pop("and_rows", [])], **more)


def test_a_daily_bar_is_complete_when_its_session_closed(move: Move, ask: Ask) -> None:
    (outcome,) = move(daily())

    assert (outcome.entry.state, outcome.entry.rows_stored, outcome.entry.rows_quarantined) == ("done", 10, 0)
    assert ask('SELECT min("timestamp"), max("timestamp"), count(*), sum(close) FROM equity_daily') == [
        (
            dt.datetime(2023, 1, 2, 10, tzinfo=dt.UTC),
            dt.datetime(2023, 1, 6, 10, tzinfo=dt.UTC),
            10,
            Decimal("1020.50"),
        )
    ]
    assert ask("SELECT DISTINCT source FROM equity_daily") == [("rustybt/nse/nse50",)]


def test_every_day_has_a_load_that_names_the_file_it_came_from(move: Move, ask: Ask) -> None:
    move(daily())

    loads = ask(
        "SELECT trade_date, status, rows_read, rows_stored, source_url, api_version, logical_name FROM loads"
        " JOIN load_files USING (load_id) ORDER BY 1"
    )
    assert [row[0] for row in loads] == WEEK
    assert {row[1:] for row in loads} == {
        (
            "complete",
            2,
            2,
            "file:///home/trader/.zipline/data/bundles/nse50",
            "rustybt parquet v10",
            "nse50/data.parquet",
        )
    }


def test_shares_have_the_identity_that_live_sources_give_them(move: Move, ask: Ask) -> None:
    move(daily(symbols=("RELIANCE.NS",)), daily("us", symbols=("BRK-B",), market="US"))

    assert ask("SELECT underlying, venue, series, currency FROM instrument_terms ORDER BY 1") == [
        ("BRK.B", "US", None, "USD"),
        ("RELIANCE", "NSE", "EQ", "INR"),
    ]


def test_days_without_a_session_are_quarantined_and_counted(move: Move, ask: Ask) -> None:
    saturday, holiday = dt.date(2023, 1, 7), dt.date(2023, 1, 26)
    (outcome,) = move(
        daily(and_rows=[("TCS", saturday, "7"), ("TCS", holiday, "8"), ("TCS", dt.date(1980, 1, 1), "9")])
    )

    assert (outcome.entry.state, outcome.entry.rows_stored, outcome.entry.rows_quarantined) == ("done", 10, 3)
    assert ask("SELECT trade_date, symbol, reason, close FROM migrated_refusals ORDER BY 1") == [
        (dt.date(1980, 1, 1), "TCS", "outside_calendar", Decimal(9)),
        (saturday, "TCS", "not_a_session", Decimal(7)),
        (holiday, "TCS", "not_a_session", Decimal(8)),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("TCS", WEEK[0], "0", "0"), "non_positive_price"),
        (("TCS", WEEK[0], "0", "0", "0"), "no_trade"),
        (("TCS", WEEK[0], "5", "6"), "high_below_low"),
        (("TCS", WEEK[0], "5", "5", "-1"), "bad_quantity"),
        (("TCS", WEEK[0], "5", "5", "1.5"), "bad_quantity"),
        (("TCS", WEEK[0], "1000000000000"), "bad_price"),
    ],
)
def test_a_bar_that_contradicts_itself_is_refused_with_its_reason(
    move: Move, ask: Ask, row: tuple[Any, ...], reason: str
) -> None:
    (outcome,) = move(Made("bad", [*[("TCS", day, "5") for day in WEEK[1:]], row]))

    assert outcome.entry.state == "done"
    assert ask("SELECT reason, line, is_reconciled FROM migrated_refusals, migrated_series") == [(reason, 5, True)]


def test_equal_duplicates_are_kept_once_and_contradicting_ones_not_at_all(move: Move, ask: Ask) -> None:
    first, second, third = WEEK[:3]
    rows = [("TCS", first, "1"), ("TCS", first, "1"), ("TCS", second, "2"), ("TCS", second, "3"), ("TCS", third, "4")]
    move(Made("twice", rows))

    assert ask("SELECT close FROM equity_daily ORDER BY 1") == [(Decimal(1),), (Decimal(4),)]
    assert ask("SELECT line, reason FROM quarantine ORDER BY 1") == [
        (2, "duplicate"),
        (3, "conflicting_duplicate"),
        (4, "conflicting_duplicate"),
    ]


def test_of_a_day_that_is_mostly_damaged_nothing_is_stored_and_everything_counted(move: Move, ask: Ask) -> None:
    symbols = [f"S{number:03}" for number in range(120)]
    rows = [(symbol, WEEK[0], "5", "6" if number < 70 else "5") for number, symbol in enumerate(symbols)]
    (outcome,) = move(Made("worn", rows))

    assert (outcome.entry.state, outcome.entry.rows_stored, outcome.entry.rows_quarantined) == ("done", 0, 120)
    assert ask("SELECT reason, count(*) FROM quarantine GROUP BY 1 ORDER BY 1") == [
        ("damaged_partition", 50),
        ("high_below_low", 70),
    ]


def test_lines_that_are_no_bar_stand_with_the_day_of_the_bar_before_them(move: Move, ask: Ask) -> None:
    (outcome,) = move(daily(symbols=("TCS",), refused=[(4, "bad_price", "TCS,x")]))

    assert outcome.entry.lines_refused == 1
    assert ask("SELECT trade_date, line, reason, symbol FROM migrated_refusals") == [(WEEK[3], 4, "bad_price", None)]


def test_minutes_stamped_at_their_start_are_shifted_once(move: Move, ask: Ask) -> None:
    rows = [("NIFTY", stamp, "18000") for stamp in minutes(NSE_OPEN, 375)]
    (outcome,) = move(Made("nifty-1m", rows, kind="SPOT"))

    assert (outcome.entry.stamps, outcome.entry.rows_quarantined) == ("start", 0)
    assert ask('SELECT min("timestamp"), max("timestamp"), count(*) FROM spot_prices') == [
        (NSE_OPEN + dt.timedelta(minutes=1), dt.datetime(2023, 1, 2, 10, tzinfo=dt.UTC), 375)
    ]


def test_minutes_stamped_at_their_end_are_not_shifted(move: Move, ask: Ask) -> None:
    rows = [("NIFTY", stamp, "18000") for stamp in minutes(NSE_OPEN + dt.timedelta(minutes=1), 375)]
    (outcome,) = move(Made("nifty-1m", rows, kind="SPOT"))

    assert (outcome.entry.stamps, outcome.entry.rows_quarantined) == ("end", 0)
    assert ask('SELECT max("timestamp") FROM spot_prices') == [(dt.datetime(2023, 1, 2, 10, tzinfo=dt.UTC),)]


def test_minutes_of_which_nobody_knows_the_end_wait_until_somebody_says_it(move: Move) -> None:
    made = Made("part", [("NIFTY", stamp, "18000") for stamp in minutes(NSE_OPEN + dt.timedelta(hours=1), 10)])
    (asked,) = move(made)

    assert (asked.entry.state, asked.entry.reason) == ("quarantined", "stamps_unknown")
    assert "--stamps part=start" in asked.entry.next_step

    (told,) = move(made, stamps={"part": "end"})

    assert (told.entry.state, told.entry.stamps, told.entry.rows_stored) == ("done", "end", 10)


def test_pairs_have_days_of_utc_and_volumes_with_decimals(move: Move, ask: Ask) -> None:
    late = dt.datetime(2023, 1, 2, 23, 59, tzinfo=dt.UTC)
    rows = [("BTC/USDT", late, "16000.12345678", "16000", "0.00000001")]
    (outcome,) = move(Made("coins", rows, market="CRYPTO", venue="binance", kind="PAIR", source_type="ccxt"))

    assert outcome.entry.source == "rustybt/crypto/coins"
    assert ask('SELECT "timestamp", close, volume, trade_date FROM spot_prices JOIN loads USING (load_id)') == [
        (dt.datetime(2023, 1, 3, tzinfo=dt.UTC), Decimal("16000.12345678"), Decimal("0.00000001"), dt.date(2023, 1, 2))
    ]
    assert ask("SELECT underlying, venue, currency FROM instrument_terms") == [("BTCUSDT", "BINANCE", "USDT")]


def test_what_trades_outside_the_session_is_refused_as_such(move: Move, ask: Ask) -> None:
    opens = dt.datetime(2023, 1, 3, 14, 30, tzinfo=dt.UTC)
    stamps = [*minutes(opens, 390), opens - dt.timedelta(minutes=5), opens + dt.timedelta(hours=12)]
    (outcome,) = move(Made("aapl", [("AAPL", stamp, "125") for stamp in stamps], market="US", source_type="yfinance"))

    assert (outcome.entry.rows_stored, outcome.entry.stamps) == (390, "start")
    assert ask("SELECT reason FROM quarantine ORDER BY 1") == [("after_close",), ("extended_hours",)]


def test_splits_and_dividends_become_corporate_actions(move: Move, ask: Ask) -> None:
    saturday = dt.date(2023, 1, 7)
    actions = [("TCS", WEEK[2], "split", "2"), ("TCS", saturday, "dividend", "1.25"), ("GONE", WEEK[0], "split", "3")]
    move(daily(actions=actions))

    assert ask(
        "SELECT ex_date, kind, value, trade_date FROM corporate_actions JOIN loads USING (load_id) ORDER BY 1"
    ) == [
        (WEEK[2], "split", Decimal(2), WEEK[2]),
        (saturday, "dividend", Decimal("1.25"), WEEK[4]),
    ]


def test_the_old_name_becomes_a_named_bundle_with_the_old_symbols(move: Move, warehouse: Warehouse) -> None:
    move(daily("my bundle", symbols=("RELIANCE.NS", "TCS")))

    found = read_bundle(warehouse, "my-bundle")
    assert [(one.symbol, one.source, one.dataset, one.bar_seconds) for one in found.members] == [
        ("RELIANCE.NS", "rustybt/nse/my_bundle", "equity_daily", 86_400),
        ("TCS", "rustybt/nse/my_bundle", "equity_daily", 86_400),
    ]


def test_the_whole_quality_history_is_kept_also_of_what_is_quarantined(move: Move, ask: Ask) -> None:
    earlier = LegacyQuality(
        8,
        validated_at=dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
        passed=True,
        row_count=9,
        start=WEEK[0],
        end=WEEK[1],
        missing_days=(),
        missing_days_count=0,
        outlier_count=0,
        ohlcv_violations=0,
    )
    later = LegacyQuality(8, None, None, None, None, None, ("2023-01-07",), 1, 2, 3)
    move(daily(quality=(earlier, later)), daily("left", quality=(later,), reason="sids_reused"))

    assert ask(
        "SELECT bundle, position, passed, row_count, missing_days, outlier_count FROM legacy_quality ORDER BY 1, 2"
    ) == [
        ("left", 1, None, None, ["2023-01-07"], 2),
        ("nse50", 1, True, 9, [], 0),
        ("nse50", 2, None, None, ["2023-01-07"], 2),
    ]


def test_a_second_run_changes_nothing(move: Move, checksums: Callable[[], dict[str, str]]) -> None:
    made = [daily(refused=[(4, "bad_price", "x")], actions=[("TCS", WEEK[2], "split", "2")]), daily("us", market="US")]
    move(*made)
    before = checksums()
    outcomes = move(*made)

    assert [(one.was_done, one.stored_now) for one in outcomes] == [(True, 0), (True, 0)]
    assert checksums() == before


def test_a_bundle_whose_files_have_changed_is_not_mixed_with_what_is_stored(move: Move, ask: Ask) -> None:
    move(daily())
    (outcome,) = move(daily(count=6))

    assert (outcome.is_failed, outcome.entry.reason) == (True, "changed")
    assert "--roll-back --bundle nse50" in outcome.entry.next_step
    assert ask("SELECT state, rows_stored FROM migrated_bundles") == [("done", 10)]


def test_files_that_change_while_they_are_read_fail_the_bundle(warehouse: Warehouse, ask: Ask) -> None:
    planned, found = daily(), daily(and_rows=[("TCS", dt.date(2023, 1, 9), "5")])
    (outcome,) = apply_plan(warehouse, store_of(planned), readers_of(found))

    assert (outcome.entry.state, outcome.entry.reason) == ("failed", "unreadable")
    assert "of TCS, 5 rows" in outcome.entry.detail
    assert ask("SELECT count(*) FROM loads") == [(0,)]

    (again,) = apply_plan(warehouse, store_of(planned), readers_of(planned))
    assert again.entry.state == "done"


def test_a_row_that_is_lost_on_the_way_fails_the_bundle_and_names_the_symbol(
    warehouse: Warehouse, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(connection: Any, metadata: Any, batch: Any, **more: Any) -> int:
        kept = batch.observations.filter(pl.col("close") != Decimal("103.05"))
        return import_days(connection, metadata, replace(batch, observations=kept), **more)

    monkeypatch.setattr(moving, "import_days", lose)
    made = daily(symbols=("TCS",))
    (outcome,) = apply_plan(warehouse, store_of(made), readers_of(made))

    assert (outcome.entry.state, outcome.entry.reason) == ("failed", "not_reconciled")
    assert "TCS at 86400 s: 5 rows" in outcome.entry.detail
    assert "4 rows" in outcome.entry.detail
    assert ask("SELECT count(*) FROM named_bundles") == [(0,)]


def test_two_bundles_that_would_share_a_source_are_not_mixed(move: Move) -> None:
    outcomes = {one.entry.name: one.entry for one in move(daily("a-b"), daily("a_b"))}

    assert outcomes["a-b"].state == "done"
    assert (outcomes["a_b"].state, outcomes["a_b"].reason) == ("quarantined", "source_taken")


def test_two_symbols_of_one_instrument_are_not_mixed(move: Move) -> None:
    (outcome,) = move(daily(symbols=("RELIANCE", "RELIANCE.NS")))

    assert (outcome.entry.state, outcome.entry.reason) == ("quarantined", "instrument_shared")
    assert "RELIANCE and RELIANCE.NS" in outcome.entry.detail


def test_a_name_that_means_another_instrument_from_a_date_on_is_told_apart(
    move: Move, ask: Ask, warehouse: Warehouse
) -> None:
    move(daily("older", symbols=("TCS",)))
    with warehouse.connect() as connection:
        connection.execute("UPDATE instrument_terms SET valid_to = '2023-01-04' WHERE underlying = 'TCS'")
    (outcome,) = move(daily("newer", symbols=("TCS",)))

    assert outcome.entry.state == "done"
    assert ask(
        "SELECT instrument_id = (SELECT min(instrument_id) FROM equity_daily), count(*) FROM equity_daily"
        " WHERE source = 'rustybt/nse/newer' GROUP BY 1 ORDER BY 1"
    ) == [(False, 3), (True, 2)]


def test_a_bundle_that_is_not_in_a_plan_keeps_its_line(move: Move, ask: Ask) -> None:
    move(daily())
    outcomes = move(daily("us", market="US"))

    assert [one.entry.name for one in outcomes] == ["us"]
    assert ask("SELECT name, state FROM migrated_bundles ORDER BY 1") == [("nse50", "done"), ("us", "done")]
