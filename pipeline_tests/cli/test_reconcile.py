"""``pipeline reconcile``: what two sources say, compared and told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pipeline_defs.cli.main import commands
from pipeline_defs.errors import ConfigurationError, WarehouseError
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.schema.tables import DAY
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.migrations import upgrade
from pipeline_tests.warehouse.deliveries import Delivery, StubSource, make_batch

if TYPE_CHECKING:
    from typer.testing import Result

A, B = "NIFTY31JAN1910000CE", "NIFTY31JAN1910050CE"
DAYS = ("--from", "2019-01-01", "--to", "2019-01-02")


@pytest.fixture
def filled(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = Warehouse(database_url)
    upgrade(warehouse)
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    for source, second, seconds in (("nse_csv", "2.00", 60), ("zerodha", "2.50", 60), ("nse_csv", "2.00", DAY)):
        rows = [(A, 375, "1.00"), (B, 375, second)]
        batch = make_batch(Delivery(rows), bar_seconds=seconds)
        assert [report.status for report in import_source(warehouse, StubSource(batch, name=source), ImportRequest())]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["reconcile", *DAYS, *arguments])


@pytest.mark.usefixtures("filled")
def test_totals_and_the_worst_disagreements_are_printed() -> None:
    printed = run(
        "--left", "zerodha", "--right", "nse-csv", "--dataset", "options_ticks", "--bars", "1m", "--worst", "1"
    )

    assert printed.exit_code == 0, printed.output
    lines = printed.output.splitlines()
    assert [" ".join(line.split()) for line in lines[:3]] == [
        "dataset trade date bars left right compared agreeing disagreeing only left only right",
        "options_ticks 2019-01-01 60s zerodha nse_csv 2 1 1 0 0",
        "total 2 1 1 0 0",
    ]
    assert lines[-2] == "worst disagreements (Asia/Kolkata):"
    assert lines[-1] == f"  2019-01-01 15:30:00  {B}  close  2.50 | 2.00  (20.00% apart, tolerance 0.01)"


@pytest.mark.usefixtures("filled")
def test_the_referee_is_named_bhavcopy_and_everything_is_told_as_json() -> None:
    told = json.loads(run("--right", "bhavcopy", "--json").output)

    assert [(one["left"], one["right"], one["disagreeing"]) for one in told["reconciliations"]] == [
        ("nse_csv", "nse_bhavcopy", 0),
        ("zerodha", "nse_bhavcopy", 1),
    ]
    assert told["totals"] == {"compared": 4, "agreeing": 3, "disagreeing": 1, "only_left": 0, "only_right": 0}
    assert told["contract_days"] == {"agrees": 3, "disagrees": 1}
    assert {one["field"] for one in told["worst"]} == {"open", "high", "low", "close"}
    assert told["worst"][0]["left_value"] == "2.50"
    assert told["look_alikes"] == []
    again = json.loads(run("--stored", "--right", "bhavcopy", "--json").output)
    assert again == told
    assert run("--stored", "--bars", "1d").output.splitlines()[-1].startswith("  2019-01-01 15:30:00")


@pytest.mark.usefixtures("filled")
def test_what_agrees_is_said_so() -> None:
    assert "no disagreement is listed" in run("--left", "nse_csv", "--right", "bhavcopy").output


@pytest.mark.usefixtures("filled")
def test_nothing_to_compare_and_unknown_sources_are_errors_that_say_what_to_do() -> None:
    nothing = run("--left", "yahoo").exception
    assert isinstance(nothing, WarehouseError)
    assert "import both sources for these days first" in str(nothing)
    never = run("--stored", "--left", "yahoo").exception
    assert isinstance(never, WarehouseError)
    assert "without --stored" in str(never)
    assert isinstance(run("--left", "zerodah").exception, ConfigurationError)
    turned = CliRunner().invoke(commands, ["reconcile", "--from", "2019-01-02", "--to", "2019-01-01"])
    assert (turned.exit_code, "exchange the two" in turned.output) == (2, True)
