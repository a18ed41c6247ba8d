"""What the command line shows of moving in, and what it tells a script."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest
from typer.testing import CliRunner, Result

from pipeline_defs.cli.main import commands
from pipeline_defs.errors import ConfigurationError
from pipeline_defs.migration import moving
from pipeline_defs.migration.orders import MigrationOrder
from pipeline_defs.orchestration.commands.migrations import MigrationConfig, config_of
from pipeline_defs.orchestration.commands.running import COMMAND
from pipeline_defs.orchestration.runs import open_instance
from pipeline_defs.settings import load_settings
from pipeline_defs.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from pathlib import Path

HEADER: Final = "date,open,high,low,close,volume,dividend,split"
ROW: Final = "{},10,11,9,10.5,100,0,1"


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home, whose Dagster instance is made once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def warehouse(database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """Migrated, and the one that the command opens."""
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    monkeypatch.setenv("PIPELINE_HOME", str(home))
    return Warehouse(database_url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A csvdir folder of two shares and a week."""
    daily = tmp_path / "mine" / "daily"
    daily.mkdir(parents=True)
    for symbol in ("AAPL", "MSFT"):
        rows = [ROW.format(f"2023-01-{day:02}") for day in (3, 4, 5, 6)]
        (daily / f"{symbol}.csv").write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
    return daily.parent


def run(*arguments: object) -> Result:
    return CliRunner().invoke(commands, ["migrate", *map(str, arguments)])


def count(warehouse: Warehouse, table: str = "equity_daily") -> int:
    with warehouse.connect() as connection:
        ((rows,),) = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchall()
    return int(rows)


def test_a_dry_run_shows_the_plan_and_opens_no_database(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    result = run("csvdir", folder, "--market", "US", "--dry-run")

    assert result.exit_code == 0, result.output
    assert "1 to be taken with 8 rows, 0 to be left; nothing was written" in result.stdout
    assert "AAPL, MSFT" in result.stdout


def test_a_dry_run_tells_a_script_the_same(folder: Path) -> None:
    result = run("csvdir", folder, "--market", "US", "--dry-run", "--json")

    (bundle,) = json.loads(result.stdout)["bundles"]
    assert (bundle["name"], bundle["decision"], bundle["rows"], bundle["sum_close"]) == (
        "mine",
        "take",
        8,
        "84.00000000",
    )


def test_what_is_moved_in_whole_ends_with_0(warehouse: Warehouse, folder: Path) -> None:
    result = run("csvdir", folder, "--market", "US")

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "done         mine                     csvdir/us/mine  8 rows",
        "1 moved in with 8 rows, 0 quarantined, 0 failed",
    ]
    assert count(warehouse) == 8
    assert "8 rows, moved in before" in run("csvdir", folder, "--market", "US").stdout


def test_what_was_moved_in_shows_as_a_run_with_what_was_typed(
    warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["pipeline", "migrate", "csvdir", "mine", "--market", "US"])
    run_id = json.loads(run("csvdir", folder, "--market", "US", "--json").stdout)["dagster_run_id"]

    with warehouse.connect() as connection:
        assert connection.execute("SELECT DISTINCT dagster_run_id FROM loads").fetchall() == [(run_id,)]
    with open_instance(load_settings()) as instance:
        recorded = instance.get_run_by_id(run_id)
    assert recorded is not None
    assert (recorded.job_name, recorded.status.value) == ("migrate_store", "SUCCESS")
    assert recorded.tags[COMMAND] == "pipeline migrate csvdir mine --market US"


def test_an_order_and_a_runs_configuration_say_the_same(tmp_path: Path) -> None:
    order = MigrationOrder(
        "rustybt", tmp_path, tmp_path / "cache", ("a", "b"), {"a": "NSE"}, {"b": "end"}, ("a",), take_caches=True
    )

    assert MigrationConfig(**config_of(order)).order() == order
    assert MigrationConfig(**config_of(MigrationOrder("csvdir"))).order() == MigrationOrder("csvdir")


@pytest.mark.parametrize("wrong", [{"system": "zipline3"}, {"stamps": {"a": "middle"}}])
def test_a_configuration_with_a_word_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="is not known"):
        MigrationConfig(**wrong).order()  # type: ignore[arg-type]


def test_a_quarantined_bundle_ends_with_3_and_what_to_do(warehouse: Warehouse, folder: Path) -> None:
    result = run("csvdir", folder)

    assert result.exit_code == 3
    assert "quarantined  mine                     market_unknown" in result.stdout
    assert "Next: " in result.stdout
    assert count(warehouse) == 0


def test_a_refused_bar_ends_with_3_and_can_be_listed(warehouse: Warehouse, folder: Path) -> None:
    with (folder / "daily/AAPL.csv").open("a", encoding="utf-8") as file:
        file.write(ROW.format("2023-01-07") + "\n")
    result = run("csvdir", folder, "--market", "US", "--json")

    told = json.loads(result.stdout)
    assert (result.exit_code, told["exit_code"]) == (3, 3)
    assert [(one["rows_stored"], one["rows_quarantined"], one["left_out"]) for one in told["bundles"]] == [(8, 1, 1)]
    assert count(warehouse) == 8
    listed = run("refused", "--bundle", "mine").stdout
    assert listed.startswith(f"{folder}/daily/AAPL.csv:6: not_a_session: at=2023-01-07 open=10 ")
    assert [one["line"] for one in json.loads(run("refused", "--json").stdout)["lines"]] == [6]


def test_a_bundle_that_failed_ends_with_1(warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(plan: object) -> None:
        del plan
        (folder / "daily/AAPL.csv").write_text(f"{HEADER}\n{ROW.format('2023-01-03')}\n", encoding="utf-8")

    monkeypatch.setattr(moving, "check_unchanged", change)
    result = run("csvdir", folder, "--market", "US")

    assert result.exit_code == 1
    assert "failed       mine                     unreadable" in result.stdout
    assert count(warehouse, "loads") == 0


def test_the_state_of_every_bundle_is_listed(warehouse: Warehouse, folder: Path) -> None:
    del warehouse
    assert run("status").stdout.startswith("no store was planned yet")
    run("csvdir", folder, "--market", "US")
    run("csvdir", folder, "--bundle", "other")

    assert run("status").stdout.splitlines()[0] == "done         mine  csvdir/us/mine  8 rows, 0 quarantined"
    told = json.loads(run("status", "--json").stdout)
    assert [one["state"] for one in told["bundles"]] == ["done", "quarantined"]


def test_a_roll_back_asks_first(warehouse: Warehouse, folder: Path) -> None:
    run("csvdir", folder, "--market", "US")

    assert run("csvdir", folder, "--roll-back").exit_code != 0
    assert count(warehouse) == 8

    result = run("csvdir", folder, "--roll-back", "--yes")
    assert result.exit_code == 0, result.output
    assert result.stdout == "rolled back  mine                     8 rows, 4 loads, 2 instruments\n"
    assert count(warehouse) == 0
    assert run("csvdir", folder, "--roll-back", "--yes").stdout == "nothing was moved in\n"
    assert json.loads(run("rustybt", "--roll-back", "--yes", "--json").stdout) == {"rolled_back": []}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--market", "nse50"], "'nse50' is not of the form BUNDLE=VALUE"),
        (["--stamps", "nse50=middle"], "'middle' of nse50 is neither start nor end"),
    ],
)
def test_an_option_that_cannot_be_read_says_how_it_is_written(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "data").mkdir()
    result = run("rustybt", "--root", tmp_path, "--dry-run", *arguments)

    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
