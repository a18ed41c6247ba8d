"""``pipeline terms``: what it prints, and how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pipeline_defs.cli.main import commands
from pipeline_defs.errors import WarehouseError

if TYPE_CHECKING:
    from pathlib import Path

OWN = (
    "valid_from,kind,underlying,expiry,lot_size,symbol,new_expiry\n"
    "2025-08-01,FUT,NIFTY,2025-09-25,75,NIFTY25SEP25FUT,\n"
    "2025-09-01,FUT,NIFTY,2025-09-25,,NIFTY30SEP25FUT,2025-09-30\n"
    "2025-09-01,FUT,NIFTY,,75,,\n"
)


@pytest.fixture(autouse=True)
def _own_database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(commands, ["terms", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_terms_are_imported_and_shown_by_date(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text(OWN)
    report = json.loads(run("import", "--format", "csv", "--json", str(file)))

    assert (report["read"], report["refused"]) == (3, [{"line": 4, "reason": "the expiry is missing or no date"}])
    before, after = (
        json.loads(run("show", name, "--at", day, "--json"))
        for name, day in (("NIFTY25SEP25FUT", "2025-08-29"), ("NIFTY30SEP25FUT", "2025-09-01"))
    )
    assert before["instrument_id"] == after["instrument_id"]
    assert (before["expiry"], after["expiry"]) == ("2025-09-25", "2025-09-30")
    shown = run("show", str(after["instrument_id"]), "--at", "2025-09-01")
    assert "symbol: NIFTY30SEP25FUT" in shown
    assert "strike" not in shown


def test_refused_lines_are_printed_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text(OWN)
    result = CliRunner().invoke(commands, ["terms", "import", "--format", "csv", str(file)], catch_exceptions=False)

    assert "read 3, new 2, changed 0, unchanged 0, refused 1; 1 terms closed" in result.stdout
    assert f"{file}:4: the expiry is missing or no date" in result.stderr


def test_a_name_nobody_knows_is_an_error_with_a_next_step() -> None:
    with pytest.raises(WarehouseError, match="Next: check the name and the date"):
        CliRunner().invoke(commands, ["terms", "show", "NOBODY", "--at", "2025-09-01"], catch_exceptions=False)
