"""What the command line shows of the goodness of stored data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from pipeline_defs.cli.main import commands
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.migrations import upgrade
from pipeline_tests.warehouse.deliveries import Delivery, StubSource, make_batch

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_tests.cli.conftest import Pipeline

ROWS = [("A", minute, "100") for minute in range(1, 376)]


@pytest.fixture
def warehouse(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """Migrated, and the one that the command opens."""
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    warehouse = Warehouse(database_url)
    upgrade(warehouse)
    return warehouse


def load(warehouse: Warehouse, delivery: Delivery, source: str = "nse_csv", **changes: object) -> None:
    batch = make_batch(delivery, **changes)  # type: ignore[arg-type]
    list(import_source(warehouse, StubSource(batch, name=source), ImportRequest()))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["quality", *arguments])


def test_before_anything_was_checked_the_command_says_how(warehouse: Warehouse) -> None:
    del warehouse
    result = run()

    assert result.exit_code == 0
    assert result.stdout == "nothing was checked yet; 'pipeline quality --run' checks what is stored\n"


def test_checking_lists_what_fails_and_the_rows(warehouse: Warehouse) -> None:
    load(warehouse, Delivery(ROWS), measures={"volume": 0})

    result = run("--run", "--failures")
    lines = result.stdout.splitlines()

    assert result.exit_code == 0  # a warning is no error
    assert lines[0] == ("warn   2019-01-01  nse_csv/options_ticks       zero_volume         375 of 375 rows fail")
    assert lines[1].startswith("       A  09:16:00 Asia/Kolkata  open 100 high 100 low 100 close 100 volume 0; load 1")
    assert len(lines) == 1 + 20 + 1
    assert lines[-1] == "15 results of 1 partitions: 1 warn"


def test_an_error_changes_the_exit_code_and_json_has_everything(warehouse: Warehouse) -> None:
    load(warehouse, Delivery(ROWS[:2]), sequences=[0, 1])

    result = run("--run", "--check", "duplicates", "--json", "--failures")
    (line,) = json.loads(result.stdout)["results"]

    assert result.exit_code == 1
    assert (line["check_name"], line["severity"], line["passed"], line["trade_date"]) == (
        *("duplicates", "error", False),
        "2019-01-01",
    )
    assert "T" in line["checked_at"]
    (failure,) = line["failures"]
    assert (failure["symbol"], failure["timestamp"]) == ("A", "2019-01-01T03:47:00+00:00")
    assert result.stderr.splitlines()[-1] == "1 results of 1 partitions: 1 error"


def test_a_selection_is_checked_alone_and_what_passed_is_listed_when_asked(warehouse: Warehouse) -> None:
    load(warehouse, Delivery(ROWS))
    load(warehouse, Delivery(ROWS), source="manual_csv")

    selected = ("--source", "manual-csv", "--dataset", "options_ticks", "--date", "2019-01-01")
    result = run("--run", "--all", *selected)

    assert result.stdout.splitlines()[-1] == "15 results of 1 partitions: nothing fails"
    assert all("manual_csv/options_ticks" in line for line in result.stdout.splitlines()[:-1])
    assert run("--source", "nse_csv").stdout.startswith("nothing was checked yet")


def test_a_session_that_was_never_loaded_can_be_asked_for_by_name(warehouse: Warehouse) -> None:
    del warehouse
    result = run("--run", "--source", "nse_csv", "--dataset", "spot_prices", "--date", "2019-01-02")

    assert "missing_sessions    1 of 1 sessions missing (missing: 2019-01-02)" in result.stdout


def test_history_lists_what_was_found_before(warehouse: Warehouse) -> None:
    load(warehouse, Delivery(ROWS), measures={"volume": 0})
    run("--run")
    load(warehouse, Delivery(ROWS))
    assert run("--run", "--check", "zero_volume").stdout == "1 results of 1 partitions: nothing fails\n"

    assert "375 of 375 rows fail" in run("--history", "--check", "zero_volume").stdout


def test_results_of_a_source_that_is_gone_are_told_in_utc(warehouse: Warehouse) -> None:
    load(warehouse, Delivery(ROWS[:1]), measures={"volume": 0})
    run("--run")
    with warehouse.connect() as connection:
        connection.execute("UPDATE quality_checks SET source = 'a_plugin'")

    assert "03:46:00 UTC" in run("--failures").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dataset", "option_tick"), "no table 'option_tick', expected one of "),
        (("--check", "outlier"), "no check 'outlier', expected one of "),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(
    pipeline: Pipeline, arguments: tuple[str, str], message: str
) -> None:
    ended = pipeline("quality", *arguments)

    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert f"did you mean {arguments[1]}".removesuffix("option_tick") in ended.err
