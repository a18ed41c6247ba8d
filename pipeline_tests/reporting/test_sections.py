from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.reporting.building import build_report
from pipeline_defs.reporting.elements import Folded, Number, Status, Tone, share
from pipeline_defs.reporting.scope import snapshot
from pipeline_defs.warehouse import inventory
from pipeline_tests.reporting.conftest import NOW, records, section

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.reporting.building import DataReport
    from pipeline_defs.warehouse.connection import Warehouse


def test_an_empty_warehouse_says_so_in_every_section(report: Callable[..., DataReport]) -> None:
    built = report()

    assert {one.name: bool(one.empty) for one in built.sections} == {
        "freshness": True,
        "coverage": True,
        "gaps": True,
        "quality": True,
        "catalogs": True,
        "provenance": True,
        "sizes": False,
    }


def test_a_session_is_due_six_hours_after_its_close(
    load: Callable[..., int], report: Callable[..., DataReport]
) -> None:
    load("2025-08-19")
    close = dt.datetime(2025, 8, 20, 10, 0, tzinfo=dt.UTC)

    before = records(report(close + dt.timedelta(hours=6, seconds=-1)), "freshness-table")[0]
    after = records(report(close + dt.timedelta(hours=6)), "freshness-table")[0]

    assert (before["state"], before["last due"]) == (Status("current", Tone.GOOD), "2025-08-19")
    assert (after["state"], after["behind"]) == (Status("late", Tone.BAD), Number(1, "1"))


def test_holidays_and_weekends_make_nothing_late(load: Callable[..., int], report: Callable[..., DataReport]) -> None:
    """Thursday 14 August 2025 came; Friday was Independence Day."""
    load("2025-08-14")

    (row,) = records(report(dt.datetime(2025, 8, 17, 12, 0, tzinfo=dt.UTC)), "freshness-table")

    assert row["state"] == Status("current", Tone.GOOD)
    assert row["last load"] == "2025-08-14 15:31 IST"


def test_a_source_that_is_asked_for_nothing_is_never_late(
    load: Callable[..., int], report: Callable[..., DataReport]
) -> None:
    load("2025-07-01", source="manual_csv")
    load("2025-07-01", source="gone_plugin")
    built = report()

    assert {row["state"] for row in records(built, "freshness-table")} == {Status("on request", Tone.QUIET)}
    assert built.facts()["coverage-missing"].value == "0"


def test_a_rejected_load_leaves_its_session_missing_and_a_confirmed_empty_one_does_not(
    load: Callable[..., int], report: Callable[..., DataReport]
) -> None:
    load("2025-08-18")
    load("2025-08-19", rows=0)
    load("2025-08-20", rows=0, status="rejected", rows_read=7)
    (row,) = records(report(), "coverage-bundles-table")

    assert (row["due"], row["there"], row["share"]) == (3, 2, Number(66.6, "66.6 %"))
    assert row["missing sessions"] == Folded("1 missing", ["2025-08-20: nothing usable came"])


def test_what_was_retired_is_not_there(load: Callable[..., int], report: Callable[..., DataReport]) -> None:
    load("2025-08-19")
    load("2025-08-20")
    load("2025-08-20", rows=0, status="complete", rows_retired=10)
    (row,) = records(report(), "coverage-bundles-table")

    assert (row["due"], row["there"]) == (2, 2), "a complete load that leaves nothing confirms that there is nothing"


def test_the_calendar_names_holidays_and_counts_what_is_there(
    load: Callable[..., int], report: Callable[..., DataReport]
) -> None:
    load("2025-08-13")
    load("2025-08-13", dataset="futures_ticks")
    load("2025-08-14")
    (calendar,) = section(report(), "coverage").calendars
    ((month, days),) = calendar.months

    assert month == "2025-08"
    assert (days[12].mark, days[12].tone) == ("2", Tone.GOOD)
    assert (days[13].mark, days[13].tone) == ("1/2", Tone.NOTE)
    assert (days[14].mark, days[14].meaning) == ("H", "2025-08-15: Independence Day")
    assert days[15].meaning == "2025-08-16: weekend"
    assert (days[17].mark, days[17].tone) == ("0/2", Tone.BAD)
    assert days[20].meaning == "not looked at", "it lies ahead"
    assert records(report(), "coverage-holidays")[0]["what"] == "Independence Day"


def test_a_special_session_stands_among_the_holidays(
    load: Callable[..., int], report: Callable[..., DataReport], write: Callable[..., None]
) -> None:
    """Muhurat trading of 2024 fell on a holiday, Friday 1 November."""
    load("2024-10-31")
    hours = {"open": "2024-11-01 12:30+00", "close": "2024-11-01 13:30+00"}
    write("sessions", market="NSE", segment="T", session_date="2024-11-01", kind="muhurat", source="test", **hours)
    rows = records(report(dt.datetime(2024, 11, 5, tzinfo=dt.UTC)), "coverage-holidays")

    assert ("2024-11-01", "special session: muhurat") in [(row["day"], row["what"]) for row in rows]


def test_markets_keep_their_own_calendars_and_clocks(
    load: Callable[..., int], report: Callable[..., DataReport]
) -> None:
    load("2025-07-03", source="yahoo", dataset="equity_daily", committed_at=dt.datetime(2025, 7, 3, 22, tzinfo=dt.UTC))
    load("2025-07-04", source="ccxt", dataset="spot_prices", committed_at=dt.datetime(2025, 7, 5, 1, tzinfo=dt.UTC))
    built = report(dt.datetime(2025, 7, 5, 12, 0, tzinfo=dt.UTC))
    rows = {row["source"]: row for row in records(built, "freshness-table")}

    assert (rows["yahoo"]["last due"], rows["yahoo"]["last load"]) == ("2025-07-03", "2025-07-03 18:00 EDT")
    assert (rows["ccxt"]["last due"], rows["ccxt"]["last load"]) == ("2025-07-04", "2025-07-05 01:00 UTC")
    assert [row["what"] for row in records(built, "coverage-holidays")] == ["Independence Day"]


def test_only_so_many_sessions_are_looked_at(load: Callable[..., int], report: Callable[..., DataReport]) -> None:
    for day in ("2025-08-11", "2025-08-12", "2025-08-13", "2025-08-14", "2025-08-18", "2025-08-19", "2025-08-20"):
        load(day)

    assert report(most_sessions=3).facts()["coverage-range"].value == "2025-08-18 to 2025-08-20"
    assert records(report(most_sessions=3), "coverage-bundles-table")[0]["due"] == 3


def test_of_a_market_that_went_silent_the_last_sessions_stay_in_sight(
    load: Callable[..., int], report: Callable[..., DataReport]
) -> None:
    load("2020-01-01")
    built = report()

    assert built.facts()["coverage-range"].value == "2020-01-01 to 2020-01-29"
    assert int(records(built, "freshness-table")[0]["behind"].value) > 1_000


def test_gaps_and_disagreements_are_shown_when_somebody_looked_for_them(
    watched: Warehouse,
    load: Callable[..., int],
    option: Callable[[str], int],
    write: Callable[..., None],
    report: Callable[..., DataReport],
) -> None:
    del watched
    load("2025-08-14")
    where: dict[str, Any] = {
        "dataset": "options_ticks",
        "source": "nse_csv",
        "trade_date": "2025-08-14",
        "bar_seconds": 60,
    }
    write("gap_assessments", **where, instruments=2, expected_minutes=750, present_minutes=700, assessed_at=NOW)
    acme = option("ACME")
    for cause, fillable, begin, end, minutes in (
        ("source_missing", True, "04:00", "04:30", 30),
        ("no_trade", False, "05:00", "05:20", 20),
    ):
        write(
            "session_gaps",
            **where,
            instrument_id=acme,
            gap_start=f"2025-08-14 {begin}+00",
            gap_end=f"2025-08-14 {end}+00",
            minutes=minutes,
            cause=cause,
            fillable=fillable,
            detail="",
            instruments=1,
        )
    write(
        "reconciliations",
        dataset="options_ticks",
        trade_date="2025-08-14",
        bar_seconds=60,
        left_source="nse_csv",
        right_source="zerodha",
        compared=1000,
        agreeing=999,
        disagreeing=1,
        only_left=2,
        only_right=3,
        differences=1,
        made_at=NOW,
    )
    built = report()

    assert built.facts()["gaps-present"].value == "93.3 %"
    assert built.facts()["gaps-fillable"].value == "30"
    assert [row["cause"] for row in records(built, "gaps-causes")] == ["source missing", "no trade"]
    (gap,) = records(built, "gaps-fillable-table")
    assert (gap["symbol"], gap["from"], gap["minutes"]) == ("ACME", "2025-08-14 09:30 IST", 30)
    (compared,) = records(built, "gaps-reconciliations")
    assert (compared["verdict"], compared["agreeing"]) == (Status("disagree", Tone.BAD), Number(99.9, "99.9 %"))
    assert len(section(built, "gaps").plots) == 1


def test_comparisons_are_shown_where_no_gap_was_assessed(
    watched: Warehouse, load: Callable[..., int], write: Callable[..., None], report: Callable[..., DataReport]
) -> None:
    del watched
    load("2025-08-14")
    counts = dict.fromkeys(("compared", "agreeing", "disagreeing", "only_left", "only_right", "differences"), 0)
    sources = {"left_source": "nse_csv", "right_source": "zerodha", "made_at": NOW, **counts}
    write("reconciliations", dataset="options_ticks", trade_date="2025-08-14", bar_seconds=60, **sources)

    (compared,) = records(report(), "gaps-reconciliations")
    assert (compared["verdict"], compared["agreeing"]) == (Status("agree", Tone.GOOD), None)


def test_checks_have_their_last_verdict_their_past_and_their_rows(
    watched: Warehouse,
    load: Callable[..., int],
    option: Callable[[str], int],
    write: Callable[..., None],
    report: Callable[..., DataReport],
) -> None:
    load("2025-08-13")
    instrument_id = option("ACME")
    for load_id, day, passed in ((1, "2025-08-13", True), (2, "2025-08-14", True), (3, "2025-08-14", False)):
        write(
            "quality_checks",
            dataset="options_ticks",
            source="nse_csv",
            trade_date=day,
            check_name="outliers",
            severity="error",
            passed=passed,
            examined=100,
            failing=0 if passed else 2,
            expected="none",
            found="none" if passed else "2",
            detail="",
            load_ids=[load_id],
            checked_at=NOW,
            code_version="0.1.0",
        )
    with watched.connect() as connection:
        ((failed,),) = connection.execute("SELECT max(check_id) FROM quality_checks").fetchall()
    write(
        "quality_failures", check_id=failed, position=1, instrument_id=instrument_id, detail="close 900", timestamp=NOW
    )
    built = report()

    assert {name: built.facts()[f"quality-{name}"].value for name in ("verdicts", "failed", "errors")} == {
        "verdicts": "2",
        "failed": "1",
        "errors": "1",
    }
    (check,) = records(built, "quality-checks")
    assert (check["last verdict"], check["sessions"], check["failed"]) == (Status("failed", Tone.BAD), 2, 1)
    assert check["failing rows"] == 2
    (row,) = records(built, "quality-rows")
    assert (row["symbol"], row["at"], row["what is wrong"]) == ("ACME", "2025-08-20 23:30 IST", "close 900")
    assert len(section(built, "quality").plots) == 1


def test_without_stored_checks_the_findings_of_the_newest_loads_are_shown(
    load: Callable[..., int], write: Callable[..., None], report: Callable[..., DataReport]
) -> None:
    old, new = load("2025-08-14"), load("2025-08-14", rows_quarantined=1, rows_read=11)
    for load_id, passed in ((old, False), (new, False), (new, True)):
        write("quality_results", load_id=load_id, check_name="coverage", passed=passed, expected="375", found="371")
    write("quarantine", load_id=new, file_index=0, line=3, reason="bad_quantity", text="x")
    built = report()

    (check,) = records(built, "quality-checks")
    assert (check["last verdict"], check["failing rows"]) == (Status("warned", Tone.NOTE), 1), "of the newest load only"
    (refused,) = records(built, "quality-refused")
    assert (refused["reason"], refused["lines"]) == ("bad_quantity", 1)
    assert refused["see them with"] == f"pipeline quarantine --load {new}"


def test_loads_files_and_corrections_tell_where_rows_come_from(
    load: Callable[..., int], write: Callable[..., None], report: Callable[..., DataReport]
) -> None:
    first = load("2025-08-14")
    second = load("2025-08-14", rows_read=12, rows_corrected=2, dagster_run_id="0a1b2c3d-rest", message="late file")
    place = {"load_id": second, "file_index": 0, "path": "/data/day.csv", "logical_name": "day.csv"}
    write("load_files", **place, sha256="abcdef0123456789", size_bytes=2_000_000, layout="ticks")
    built = report()

    newest, oldest = records(built, "provenance-loads-table")
    assert (newest["load"], oldest["load"]) == (second, first)
    assert (newest["checksum"], newest["run"], newest["message"]) == ("0123456789ab", "0a1b2c3d", "late file")
    (file,) = records(built, "provenance-files")
    assert (file["file"], file["size"], file["checksum"]) == (
        "/data/day.csv",
        Number(2_000_000, "2.0 MB"),
        "abcdef012345",
    )
    (correction,) = records(built, "provenance-corrections")
    assert correction["see the values with"] == "pipeline corrections --dataset options_ticks --date 2025-08-14"
    assert built.facts()["provenance-changed"].value == "2"


def test_a_catalog_is_current_until_what_it_was_made_of_changes(
    load: Callable[..., int], write: Callable[..., None], warehouse: Warehouse, report: Callable[..., DataReport]
) -> None:
    load_id = load("2025-08-14")
    with warehouse.connect() as connection:
        connection.execute("UPDATE knowledge_clock SET instant = '2025-08-15 00:00+00'")
        connection.execute("UPDATE sessions SET known_from = '2025-08-01' WHERE session_date = '2025-08-14'")
    with warehouse.connect() as connection:  # where an order of sources is declared, a current catalog follows it
        declared = connection.execute("SELECT to_regclass('source_precedences') IS NOT NULL").fetchone() == (True,)
    if declared:
        write("source_precedences", digest="d1", content="{}")
    write(
        "catalogs",
        **({"precedence": "d1"} if declared else {}),
        format="csv",
        underlying="NIFTY",
        start_date="2025-08-14",
        end_date="2025-08-14",
        path="/catalogs/csv",
        catalog_hash="ff00",
        engine="pyarrow",
        rows=5,
        load_ids=[load_id],
        verification="{}",
        published_at=NOW,
        known_at="2030-01-01 00:00+00",
        size_bytes=1_000_000,
    )
    write(
        "certificates",
        underlying="NIFTY",
        start_date="2025-08-14",
        end_date="2025-08-14",
        catalog_ids=[1],
        passed=False,
        content="{}",
        issued_at=NOW,
    )
    built = report()
    (catalog,) = records(built, "catalogs-table")
    assert (catalog["state"].word, catalog["size"].shown) == ("current", "1.0 MB")
    (certificate,) = records(built, "catalogs-certificates")
    assert certificate["formats"] == Status("differ", Tone.BAD)

    load("2025-08-14", committed_at=dt.datetime(2031, 1, 1, tzinfo=dt.UTC))
    assert records(report(), "catalogs-table")[0]["state"] == Status("out of date", Tone.NOTE)


def test_a_report_reads_one_state_and_cannot_write(warehouse: Warehouse, load: Callable[..., int]) -> None:
    load("2025-08-14")
    with snapshot(warehouse, NOW) as scope:
        assert scope.ask("SELECT count(*) FROM loads") == [(1,)]
        load("2025-08-18")
        assert scope.ask("SELECT count(*) FROM loads") == [(1,)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            scope.ask("DELETE FROM loads RETURNING 1")


@pytest.mark.parametrize(
    ("now", "sessions", "message"),
    [(NOW, 0, "0 sessions, expected at least 1"), (NOW.replace(tzinfo=None), 5, "needs a zone")],
)
def test_what_cannot_be_meant_is_refused(warehouse: Warehouse, now: dt.datetime, sessions: int, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build_report(warehouse, now, most_sessions=sessions)


def test_a_share_is_whole_only_if_nothing_is_missing() -> None:
    assert share(99_999, 100_000) == Number(99.9, "99.9 %")
    assert share(100, 100) == Number(100.0, "100.0 %")
    assert share(0, 0) is None


def test_after_the_calendar_ends_nothing_passes_for_current(
    load: Callable[..., int], report: Callable[..., DataReport]
) -> None:
    load("2025-08-14")
    built = report(dt.datetime(2099, 1, 1, tzinfo=dt.UTC))

    (row,) = records(built, "freshness-table")
    assert (row["state"], row["last due"]) == (Status("calendar ends", Tone.BAD), None)
    assert built.facts()["coverage-range"].value == "2025-08-14 to 2025-09-15", "twenty sessions more, and no guess"


def test_hits_and_misses_are_told_by_day(
    load: Callable[..., int], write: Callable[..., None], report: Callable[..., DataReport]
) -> None:
    load("2025-08-14")
    write(
        "cache_statistics",
        stat_date=int(dt.datetime(2025, 8, 14, tzinfo=dt.UTC).timestamp()),
        hit_count=9,
        miss_count=1,
        total_size_bytes=2_500_000,
        timed_fetches=1,
        fetch_latency_ms=12,
    )
    write("cache_statistics", stat_date=0)
    newest, oldest = records(report(), "cache-statistics")

    assert (newest["day (UTC)"], newest["hit share"], newest["mean latency"]) == (
        "2025-08-14",
        Number(0.9, "90.0 %"),
        Number(12.0, "12.0 ms"),
    )
    assert (oldest["hit share"], oldest["mean latency"]) == (None, None)


def test_a_source_that_only_ever_failed_has_nothing_there(
    load: Callable[..., int], report: Callable[..., DataReport]
) -> None:
    load("2025-08-14", rows=0, status="rejected", rows_read=3)
    built = report()

    (fresh,) = records(built, "freshness-table")
    assert (fresh["state"], fresh["last there"]) == (Status("late", Tone.BAD), None)
    (covered,) = records(built, "coverage-bundles-table")
    assert (covered["due"], covered["share"]) == (0, None)


def test_chunks_are_told_with_what_compression_made_of_them(
    report: Callable[..., DataReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the TimescaleDB servers answer is tested with the inventory; here stands an answer of theirs."""
    told = {"table": "options_ticks", "chunks": 9, "compressed": 3, "oldest": "2025-08-01T00:00", "newest": None}
    monkeypatch.setattr(inventory, "chunk_summary", lambda _: [{**told, "ratio": 12.5}, told])
    packed, plain = (list(row.values()) for row in records(report(), "sizes-chunks"))

    assert packed == ["options_ticks", 9, 3, "2025-08-01", None, Number(12.5, "1/12.5")]
    assert plain[-1] is None
