"""``pipeline gaps`` and ``pipeline backfill``: what is listed, what is asked, and exit codes that CI can trust."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from pipeline_defs.cli import gaps as gaps_module
from pipeline_defs.cli.main import commands
from pipeline_defs.orchestration.assets.gaps import BACKFILL_KEY
from pipeline_defs.orchestration.runs import open_instance
from pipeline_tests.gaps.landing import OUTAGE, THURSDAY, TUESDAY, WEDNESDAY, WHOLE, land, take_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from typer.testing import Result

    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse


def gaps(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["gaps", *arguments], catch_exceptions=False)


def backfill(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["backfill", *arguments], catch_exceptions=False)


def told(result: Result) -> Any:
    return json.loads(result.stdout)


@pytest.fixture
def holed(warehouse: Warehouse, settings: Settings) -> Settings:
    """A week with an outage on Wednesday."""
    minutes = [minute for minute in WHOLE if minute not in OUTAGE]
    for day, own in ((TUESDAY, WHOLE), (WEDNESDAY, minutes), (THURSDAY, WHOLE)):
        land(settings, day, {"NIFTY 50": own, "NIFTY BANK": own})
    take_in(warehouse, settings)
    return settings


@pytest.mark.usefixtures("holed")
def test_what_was_never_assessed_is_not_listed_and_assessing_lists_it() -> None:
    assert gaps().output == "0 partitions: 0 of 0 minutes there (100.00%)\n"

    gap = "2025-08-13 nse_csv spot_prices minute 05:32-05:47Z 2 instruments: 30 source_missing (fillable):"
    assert gaps("--assess").stdout.splitlines() == [
        f"{gap} none of 2 instruments has a row",
        "3 partitions: 2220 of 2250 minutes there (98.67%)",
        "  source_missing: 30 minutes in 1 row, 30 fillable",
    ]


@pytest.mark.usefixtures("holed")
def test_a_list_can_be_narrowed_and_read_by_machines() -> None:
    gaps("--assess", "--from", "2025-08-12", "--to", "2025-08-17")

    weekend = told(gaps("--json", "--source", "nse-csv", "--cause", "closed", "--from", "2025-08-16"))
    assert [(gap["trade_date"], gap["detail"]) for gap in weekend["gaps"]] == [
        ("2025-08-16", "weekend"),
        ("2025-08-17", "weekend"),
    ]
    assert told(gaps("--json", "--fillable", "--dataset", "spot_prices"))["causes"]["source_missing"] == {
        "gaps": 1,
        "minutes": 30,
        "fillable_minutes": 30,
    }
    assert told(gaps("--json", "--source", "yahoo"))["gaps"] == []


def test_a_long_list_is_shown_in_part(holed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps_module, "_SHOWN", 1)
    land(holed, WEDNESDAY, {"NIFTY 50": WHOLE, "NIFTY BANK": WHOLE})

    assert (
        "and 1 more; narrow it down, or use --json"
        in gaps("--assess", "--cause", "closed", "--from", "2025-08-16", "--to", "2025-08-17").output
    )


def test_a_dry_run_shows_and_changes_nothing_and_a_backfill_fills(holed: Settings) -> None:
    gaps("--assess")
    planned = backfill("--dry-run")
    assert (planned.exit_code, planned.output) == (
        0, "would ask nse_csv spot_prices 2025-08-13: all instruments (30 minutes)\n",
    )  # fmt: skip

    land(holed, WEDNESDAY, {"NIFTY 50": WHOLE, "NIFTY BANK": WHOLE})
    filled = backfill("--from", "2025-08-13", "--to", "2025-08-13")
    assert filled.exit_code == 0
    assert filled.stdout.splitlines() == [
        "nse_csv spot_prices 2025-08-13: all instruments: 30 rows stored",
        "30 minutes filled; of 30 that were known to be missing, 0 remain",
    ]
    assert filled.stderr == "asking nse_csv spot_prices 2025-08-13: all instruments\n"
    assert (backfill().exit_code, backfill().output) == (0, "nothing to fill\n")


def test_a_backfill_is_a_run_of_the_instance_and_its_loads_name_it(
    holed: Settings, ask: Callable[..., list[tuple[Any, ...]]]
) -> None:
    gaps("--assess")
    land(holed, WEDNESDAY, {"NIFTY 50": WHOLE, "NIFTY BANK": WHOLE})
    run_id = told(backfill("--json", "--dataset", "spot_prices"))["dagster_run_id"]
    (holed.landing_dir / f"GFDLCM_INDICES_{THURSDAY:%d%m%Y}.csv").write_text("what,is,this\n1,2,3\n")
    assert told(backfill("--dry-run", "--json"))["dagster_run_id"] is None

    with open_instance(holed) as instance:
        (run,) = instance.get_runs()
        (event,) = instance.fetch_materializations(BACKFILL_KEY, limit=5).records
    assert (run.run_id, run.job_name, run.status.value) == (run_id, "backfill", "SUCCESS")
    config: Any = run.run_config
    assert config["ops"]["fill"]["config"] == {"ask_again": False, "dataset": "spot_prices"}
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["filled_minutes"].value == 30
    assert ask("SELECT DISTINCT dagster_run_id FROM loads WHERE dagster_run_id IS NOT NULL") == [(run_id,)]


@pytest.mark.usefixtures("holed")
def test_minutes_that_stay_missing_have_an_exit_code_of_their_own() -> None:
    gaps("--assess")
    result = backfill("--json")

    assert result.exit_code == 3
    answer = told(result)
    assert (answer["asked_minutes"], answer["filled_minutes"], answer["remaining_minutes"]) == (30, 0, 30)
    assert "same answer" in answer["remaining"][0]["detail"]
    assert backfill().exit_code == 0
    again = backfill("--ask-again")
    assert again.exit_code == 3
    assert (
        "remains: 2025-08-13 nse_csv spot_prices minute 05:32-05:47Z 2 instruments: 30 source_missing:" in again.output
    )


def test_a_failure_is_told_and_is_exit_code_one(holed: Settings) -> None:
    gaps("--assess")
    (holed.landing_dir / f"GFDLCM_INDICES_{WEDNESDAY:%d%m%Y}.csv").write_text("what,is,this\n1,2,3\n")
    result = backfill()

    assert result.exit_code == 1
    assert "all instruments: failed: " in result.output
    with open_instance(holed) as instance:
        assert [run.status.value for run in instance.get_runs()] == ["FAILURE"]
    assert told(gaps("--json"))["causes"]["source_missing"]["fillable_minutes"] == 30
