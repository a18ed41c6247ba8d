"""``pipeline db retention`` and ``pipeline db maintain``: what is said is what is done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pipeline_defs.cli.main import commands
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.migrations import upgrade

if TYPE_CHECKING:
    from typer.testing import Result


@pytest.fixture
def migrated(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line's database is one of this test alone."""
    upgrade(Warehouse(database_url))
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["db", *arguments])


@pytest.mark.usefixtures("migrated")
def test_a_policy_is_shown_changed_and_taken_back() -> None:
    assert "options_ticks    compressed after 30 days, kept forever" in run("retention").output
    changed = run("retention", "options_ticks", "--keep", "5y", "--compress-after", "never").output
    assert "options_ticks    never compressed, deleted after 1825 days" in changed
    assert "spot_prices      compressed after 60 days, kept forever" in changed
    back = run("retention", "options_ticks", "--keep", "forever", "--compress-after", "2w").output
    assert "options_ticks    compressed after 14 days, kept forever" in back


@pytest.mark.parametrize("age", ["soon", "5", "-1d", "999999y", "1.5y"])
@pytest.mark.usefixtures("migrated")
def test_an_age_that_is_none_is_refused(age: str) -> None:
    result = run("retention", "options_ticks", f"--keep={age}")

    assert result.exit_code == 2
    assert "is not an age; expected days, weeks, months or years" in result.output


@pytest.mark.usefixtures("migrated")
def test_maintenance_deletes_what_is_past_its_age_and_says_so(database_url: str) -> None:
    with Warehouse(database_url).connect() as connection:
        connection.execute(
            "INSERT INTO options_ticks (timestamp, instrument_id, bar_seconds, sequence, source, close, load_id)"
            " VALUES ('2019-01-01 04:00+00', 1, 60, 0, 'nse_csv', 5, 1)"
        )
    assert "nothing to do" in run("maintain").output
    run("retention", "options_ticks", "--keep", "1y")

    lines = run("maintain").output

    assert "options_ticks: dropped rows before" in lines
    assert ": 1 rows" in lines
    assert json.loads(run("maintain", "--json").output) == {"can_compress": False, "changes": []}
