"""What the command line shows of corrections, and of how two states of knowledge differ."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from typer.testing import CliRunner, Result

from pipeline_defs.cli.main import commands
from pipeline_defs.errors import WarehouseError
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.migrations import upgrade
from pipeline_tests.warehouse.deliveries import TRADE_DATE, Delivery, StubSource, make_batch

A = "NIFTY31JAN1910000CE"
B = "NIFTY31JAN1910050CE"


@pytest.fixture
def warehouse(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """Migrated, and the one that the commands open."""
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    warehouse = Warehouse(database_url)
    upgrade(warehouse)
    return warehouse


def load(warehouse: Warehouse, *rows: tuple[str, int, str]) -> dt.datetime:
    """Import a file of one day; give the instant from which it is known."""
    (report,) = import_source(warehouse, StubSource(make_batch(Delivery(rows))), ImportRequest())
    with warehouse.connect() as connection:
        ((known,),) = connection.execute(
            "SELECT committed_at FROM loads WHERE load_id = %s", [report.load_id]
        ).fetchall()
    assert isinstance(known, dt.datetime)
    return known


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, arguments)


def test_a_correction_and_a_retired_row_are_listed_with_old_new_and_load(warehouse: Warehouse) -> None:
    load(warehouse, (A, 1, "1.50"), (B, 1, "2.05"))
    changed_at = load(warehouse, (A, 1, "1.55"))

    result = run("corrections", "--json")
    lines = json.loads(result.stdout)["corrections"]

    assert result.exit_code == 0
    corrected = {line["field"]: line for line in lines if line["change"] == "corrected"}
    assert corrected["close"] == {
        "dataset": "options_ticks",
        "timestamp": "2019-01-01T03:46:00+00:00",
        "symbol": A,
        "source": "nse_csv",
        "bar_seconds": 60,
        "sequence": 0,
        "change": "corrected",
        "field": "close",
        "old": "1.50",
        "new": "1.55",
        "changed_at": changed_at.astimezone(dt.UTC).isoformat(),
        "load_id": 1,
        "superseded_by": 2,
    }
    assert set(corrected) == {"open", "high", "low", "close"}
    retired = {
        line["field"]: (line["symbol"], line["old"], line["new"]) for line in lines if line["change"] == "retired"
    }
    assert retired["close"] == (B, "2.05", None)


def test_people_read_a_table_on_the_exchange_s_clock_with_the_zone_named(warehouse: Warehouse) -> None:
    load(warehouse, (A, 1, "1.50"), (B, 2, "200.50"))
    load(warehouse, (A, 1, "1.55"), (B, 2, "99.75"))

    heading, *lines = run("corrections").stdout.splitlines()

    assert "timestamp (Asia/Kolkata)" in heading
    assert "changed_at (Asia/Kolkata)" in heading
    assert len(lines) == 8
    shown = [line[heading.index("timestamp") :][:19] for line in lines]
    assert shown == ["2019-01-01 09:16:00"] * 4 + ["2019-01-01 09:17:00"] * 4
    assert {line[heading.index("old  ") :].split()[0] for line in lines} == {"1.50", "200.50"}
    assert {line[heading.index("new  ") :].split()[0] for line in lines} == {"1.55", "99.75"}


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--dataset", "options_ticks"),
        ("--date", "2019-01-01"),
        ("--since", "{changed_at}"),
    ],
)
def test_a_filter_that_fits_lets_the_correction_through(warehouse: Warehouse, arguments: tuple[str, ...]) -> None:
    load(warehouse, (A, 1, "1.50"))
    changed_at = load(warehouse, (A, 1, "1.55")).isoformat()

    result = run("corrections", "--json", *(argument.format(changed_at=changed_at) for argument in arguments))

    assert len(json.loads(result.stdout)["corrections"]) == 4
    assert len(result.stdout.splitlines()) == 1 + 4 + 1  # a line each, for grep


@pytest.mark.parametrize(
    "arguments",
    [
        ("--dataset", "futures_ticks"),
        ("--date", "2019-01-02"),
        ("--since", "{later}"),
    ],
)
def test_nothing_to_show_is_said_and_is_no_failure(warehouse: Warehouse, arguments: tuple[str, ...]) -> None:
    load(warehouse, (A, 1, "1.50"))
    later = (load(warehouse, (A, 1, "1.55")) + dt.timedelta(microseconds=1)).isoformat()
    asked = [argument.format(later=later) for argument in arguments]

    for_people, for_programs = run("corrections", *asked), run("corrections", "--json", *asked)

    assert (for_people.exit_code, for_people.stdout) == (0, "no corrections\n")
    assert (for_programs.exit_code, for_programs.stdout, for_programs.stderr) == (0, '{"corrections": []}\n', "")


def test_two_knowledge_times_differ_by_what_was_loaded_between_them(warehouse: Warehouse) -> None:
    first = load(warehouse, (A, 1, "1.50"))
    second = load(warehouse, (A, 1, "1.55"), (B, 2, "2.05"))

    result = run(
        "diff",
        "--dataset",
        "options_ticks",
        "--known-from",
        first.isoformat(),
        "--known-to",
        second.isoformat(),
        "--json",
    )
    lines = json.loads(result.stdout)["differences"]

    assert result.exit_code == 0
    closes = [line for line in lines if line["field"] == "close"]
    assert [(line["change"], line["symbol"], line["old"], line["new"]) for line in closes] == [
        ("changed", A, "1.50", "1.55"),
        ("added", B, None, "2.05"),
    ]
    assert closes[0]["timestamp"] == "2019-01-01T03:46:00+00:00"


def test_a_diff_is_cut_to_the_trade_dates_asked_for(warehouse: Warehouse) -> None:
    first = load(warehouse, (A, 1, "1.50"))
    second = load(warehouse, (A, 1, "1.55"))
    times = ("--dataset", "options_ticks", "--known-from", first.isoformat(), "--known-to", second.isoformat())
    day, next_day = TRADE_DATE.isoformat(), (TRADE_DATE + dt.timedelta(days=1)).isoformat()

    assert len(run("diff", *times, "--start-date", day, "--end-date", day).stdout.splitlines()) == 1 + 4
    assert run("diff", *times, "--start-date", next_day).stdout == "no differences\n"


def test_knowledge_times_in_the_wrong_order_are_refused() -> None:
    times = ("--known-from", "2025-08-15T00:00+05:30", "--known-to", "2025-08-14T00:00+05:30")
    result = run("diff", "--dataset", "options_ticks", *times)

    assert result.exit_code == 2
    assert "exchange the two" in result.stderr


def test_trade_dates_in_the_wrong_order_are_refused() -> None:
    times = ("--known-from", "2025-08-14T00:00+05:30", "--known-to", "2025-08-15T00:00+05:30")
    dates = ("--start-date", "2025-08-02", "--end-date", "2025-08-01")
    result = run("diff", "--dataset", "options_ticks", *times, *dates)

    assert result.exit_code == 2
    assert "2025-08-02 is later than --end-date 2025-08-01" in result.stderr


def test_an_instant_without_its_offset_is_refused() -> None:
    result = run("corrections", "--since", "2025-08-14T18:00")

    assert result.exit_code == 2
    assert "expected date, time and offset" in result.stderr


def test_an_unknown_dataset_is_an_error_that_names_the_known_ones(warehouse: Warehouse) -> None:
    del warehouse
    result = run("corrections", "--dataset", "option_ticks")

    assert isinstance(result.exception, WarehouseError)
    assert "options_ticks" in str(result.exception)
