"""The import path: what is stored, corrected, retired, refused, and that nothing goes missing."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import SourceError, WarehouseError
from pipeline_defs.schema.batches import Finding, ImportBatch, ImportRequest
from pipeline_defs.warehouse import loading
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.reports import LoadReport
from pipeline_tests.warehouse.deliveries import (
    SESSION_OPEN,
    Delivery,
    StubSource,
    bar_versions,
    make_batch,
    option,
)

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

type Load = Callable[..., LoadReport]
type Ask = Callable[..., list[tuple[Any, ...]]]

A, B = "NIFTY31JAN1910000CE", "NIFTY31JAN1910050CE"


def test_a_first_load_stores_every_row_exactly(load: Load, ask: Ask) -> None:
    report = load(make_batch(Delivery([(A, 1, "271.65"), (A, 2, "0.00000001"), (B, 1, "123456789012.5")])))

    assert (report.read, report.stored, report.unchanged, report.corrected, report.retired) == (3, 3, 0, 0, 0)
    assert ask("SELECT timestamp, close FROM options_ticks ORDER BY instrument_id, timestamp") == [
        (SESSION_OPEN + dt.timedelta(minutes=1), Decimal("271.65")),
        (SESSION_OPEN + dt.timedelta(minutes=2), Decimal("1E-8")),
        (SESSION_OPEN + dt.timedelta(minutes=1), Decimal("123456789012.5")),
    ]


def test_the_same_delivery_again_changes_no_row_version(load: Load, ask: Ask) -> None:
    batch = make_batch(Delivery([(A, 1, "1.5"), (B, 1, "2.5")]))
    load(batch)
    before = ask("SELECT xmin::text, ctid::text, load_id FROM options_ticks ORDER BY 2")
    bars = bar_versions(ask, "hourly", SESSION_OPEN), bar_versions(ask, "daily", SESSION_OPEN)

    report = load(batch)

    assert (report.stored, report.unchanged, report.corrected, report.retired) == (0, 2, 0, 0)
    assert ask("SELECT xmin::text, ctid::text, load_id FROM options_ticks ORDER BY 2") == before
    assert [len(versions) for versions in bars] == [2, 2]
    assert (bar_versions(ask, "hourly", SESSION_OPEN), bar_versions(ask, "daily", SESSION_OPEN)) == bars
    assert ask("SELECT count(*) FROM options_ticks_history") == [(0,)]


def test_a_changed_row_is_corrected_and_its_old_version_kept(load: Load, ask: Ask) -> None:
    first = load(make_batch(Delivery([(A, 1, "1.5"), (A, 2, "1.6")])))
    second = load(make_batch(Delivery([(A, 1, "1.5"), (A, 2, "1.7")])))

    assert (second.stored, second.unchanged, second.corrected, second.retired) == (0, 1, 1, 0)
    assert ask("SELECT close, load_id FROM options_ticks ORDER BY timestamp") == [
        (Decimal("1.5"), first.load_id),
        (Decimal("1.7"), second.load_id),
    ]
    assert ask("SELECT close, load_id, superseded_by, change FROM options_ticks_history") == [
        (Decimal("1.6"), first.load_id, second.load_id, "corrected")
    ]


def test_a_vanished_row_is_retired_with_its_last_version_kept(load: Load, ask: Ask) -> None:
    load(make_batch(Delivery([(A, 1, "1.5"), (B, 1, "2.5")])))
    report = load(make_batch(Delivery([(A, 1, "1.5")])))

    assert (report.unchanged, report.retired) == (1, 1)
    assert ask("SELECT close FROM options_ticks") == [(Decimal("1.5"),)]
    assert ask("SELECT close, change FROM options_ticks_history") == [(Decimal("2.5"), "retired")]


def test_another_file_of_the_same_day_retires_nothing(load: Load, ask: Ask) -> None:
    load(make_batch(Delivery([(A, 1, "1.5"), (A, 2, "1.6")], file="morning.csv")))
    report = load(make_batch(Delivery([(A, 3, "1.7")], file="afternoon.csv")))

    assert (report.stored, report.retired) == (1, 0)
    assert ask("SELECT count(*) FROM options_ticks") == [(3,)]


def test_one_file_again_speaks_only_for_its_own_rows(load: Load, ask: Ask) -> None:
    load(make_batch(Delivery([(A, 1, "1.5")], file="a.csv"), Delivery([(B, 1, "2.5")], file="b.csv")))
    report = load(make_batch(Delivery([(B, 2, "2.6")], file="b.csv")))

    assert (report.stored, report.retired) == (1, 1)
    assert ask("SELECT close FROM options_ticks ORDER BY close") == [(Decimal("1.5"),), (Decimal("2.6"),)]


def test_an_instrument_in_two_files_is_not_retired_by_one_of_them(load: Load, ask: Ask) -> None:
    load(make_batch(Delivery([(A, 1, "1.5")], file="morning.csv"), Delivery([(A, 2, "1.6")], file="afternoon.csv")))
    report = load(make_batch(Delivery([(A, 3, "1.7")], file="afternoon.csv")))

    assert report.retired == 0
    assert ask("SELECT count(*) FROM options_ticks") == [(3,)]


def test_an_import_of_one_underlying_leaves_the_others_alone(load: Load, ask: Ask) -> None:
    bank = {"BANK": option("BANK", underlying="BANKNIFTY")}
    load(make_batch(Delivery([(A, 1, "1.5"), ("BANK", 1, "2.5")], contracts=bank)))
    report = load(make_batch(Delivery([(A, 2, "1.6")]), underlying="NIFTY"))

    assert (report.stored, report.retired) == (1, 1)
    assert ask("SELECT underlying, close FROM v_options_ticks ORDER BY 1") == [
        ("BANKNIFTY", Decimal("2.5")),
        ("NIFTY", Decimal("1.6")),
    ]


def test_sources_never_overwrite_each_other(load: Load, ask: Ask) -> None:
    load(make_batch(Delivery([(A, 1, "1.5")])))
    report = load(make_batch(Delivery([(A, 1, "9.5")])), source="manual")

    assert (report.stored, report.corrected, report.retired) == (1, 0, 0)
    assert ask("SELECT source, close FROM options_ticks ORDER BY source") == [
        ("manual", Decimal("9.5")),
        ("nse_csv", Decimal("1.5")),
    ]
    assert ask("SELECT count(*) FROM instruments") == [(1,)]


def test_resolutions_and_days_do_not_meet(load: Load, ask: Ask) -> None:
    load(make_batch(Delivery([(A, 1, "1.5")])))
    load(make_batch(Delivery([(A, 1, "1.6"), (A, 1, "1.7")]), bar_seconds=0, sequences=[0, 1]))
    load(make_batch(Delivery([(A, 1, "1.8")]), trade_date=dt.date(2019, 1, 2)))

    assert ask("SELECT bar_seconds, sequence, close FROM options_ticks ORDER BY timestamp, bar_seconds, sequence") == [
        (0, 0, Decimal("1.6")),
        (0, 1, Decimal("1.7")),
        (60, 0, Decimal("1.5")),
        (60, 0, Decimal("1.8")),
    ]


def test_refused_lines_are_counted_listed_and_accounted_for(load: Load, ask: Ask) -> None:
    rejects = [(3, "bad_price", "x,y"), (4, "bad_price", "\x00"), (0, "empty_file", "")]
    report = load(make_batch(Delivery([(A, 1, "1.5")], rejects=rejects)))

    assert report.quarantined == {"bad_price": 2, "empty_file": 1}
    assert report.read == report.stored + 3
    assert ask("SELECT line, reason, text FROM quarantine ORDER BY line") == [
        (0, "empty_file", ""),
        (3, "bad_price", "x,y"),
        (4, "bad_price", "\N{REPLACEMENT CHARACTER}"),
    ]


def test_a_day_with_more_damage_than_the_threshold_stores_nothing(load: Load, ask: Ask) -> None:
    rejects = [(line, "bad_price", "?") for line in range(3, 103)]
    report = load(make_batch(Delivery([(A, minute, "1.5") for minute in range(1, 100)], rejects=rejects)))

    assert (report.status, report.stored) == ("rejected", 0)
    assert "100 of 199" in report.message
    assert ask("SELECT count(*) FROM options_ticks") == [(0,)]
    assert ask("SELECT count(*) FROM quarantine") == [(100,)]


def test_a_day_of_which_no_line_is_usable_is_rejected_not_empty(load: Load) -> None:
    report = load(make_batch(Delivery([], rejects=[(2, "bad_price", "?")])))

    assert (report.status, report.message) == ("rejected", "none of 1 lines was usable")


def test_a_rejected_delivery_keeps_what_was_known(load: Load, ask: Ask) -> None:
    load(make_batch(Delivery([(A, 1, "1.5")])))
    load(make_batch(Delivery([], rejects=[(2, "bad_price", "?")])))

    assert ask("SELECT close FROM options_ticks") == [(Decimal("1.5"),)]


def test_a_confirmed_empty_day_is_recorded_with_its_reason(load: Load, ask: Ask) -> None:
    report = load(make_batch(empty_reason="holiday Republic Day"))

    assert report.status == "empty"
    assert ask("SELECT status, message FROM loads") == [("empty", "holiday Republic Day")]


def test_a_source_that_gives_nothing_at_all_is_an_error(warehouse: Warehouse) -> None:
    with pytest.raises(SourceError, match="neither rows nor a reason"):
        list(import_source(warehouse, StubSource(), ImportRequest()))


def test_observations_outside_the_trade_date_are_refused_as_a_whole(load: Load, ask: Ask) -> None:
    with pytest.raises(WarehouseError, match="outside the trade date"):
        load(make_batch(Delivery([(A, 24 * 60, "1.5")])))
    assert ask("SELECT count(*) FROM loads") == [(0,)]


def test_findings_are_kept_with_the_load(load: Load, ask: Ask) -> None:
    finding = Finding("session_coverage", passed=False, expected="375", found="1", detail=A)
    load(make_batch(Delivery([(A, 1, "1.5")]), findings=(finding,)))

    assert ask("SELECT check_name, passed, expected, found, detail FROM quality_results") == [
        ("session_coverage", False, "375", "1", A)
    ]


def test_provenance_is_complete(load: Load, ask: Ask) -> None:
    report = load(make_batch(Delivery([(A, 1, "1.5")])))

    assert ask(
        "SELECT source, dataset, trade_date, source_type, source_url, api_version, rows_read, length(checksum),"
        " code_version <> '' FROM loads WHERE load_id = %s",
        report.load_id,
    ) == [("nse_csv", "options_ticks", dt.date(2019, 1, 1), "file", "folder", "1", 1, 64, True)]
    assert ask("SELECT path, logical_name FROM load_files") == [("folder/day.csv", "day.csv")]


def test_two_loads_of_the_same_day_queue_and_end_in_one_state(warehouse: Warehouse, ask: Ask) -> None:
    batches = [make_batch(Delivery([(A, 1, f"{price}.5"), (B, 1, "2.5")])) for price in range(1, 7)]
    failures: list[BaseException] = []

    def run(batch: ImportBatch) -> None:
        try:
            list(import_source(warehouse, StubSource(batch), ImportRequest()))
        except BaseException as error:  # noqa: BLE001 -- handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=[batch]) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert ask("SELECT count(*), count(DISTINCT instrument_id) FROM options_ticks") == [(2, 2)]
    assert ask("SELECT count(*) FROM options_ticks_history") == [(5,)]
    assert ask("SELECT count(*) FROM instruments") == [(2,)]


def test_bars_left_pending_by_a_crash_are_refreshed_by_the_next_import(
    load: Load, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as crash:
        crash.setattr(loading, "refresh_pending_bars", lambda *_: None)
        load(make_batch(Delivery([(A, 1, "1.5")])))
    assert ask("SELECT count(*) FROM options_hourly") == [(0,)]
    assert ask("SELECT count(*) FROM pending_bars") == [(1,)]

    load(make_batch(Delivery([(A, 1, "1.5")]), table="futures_ticks"))

    assert ask("SELECT count(*) FROM options_hourly") == [(1,)]
    assert ask("SELECT count(*) FROM pending_bars") == [(0,)]
