"""``pipeline rates``: what it prints, and how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pipeline_defs.cli.main import commands
from pipeline_defs.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(commands, ["rates", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_rates_are_loaded_and_listed(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text("currency,valid_from,tenor_days,rate,source\nINR,2025-01-01,91,0.0661,FBIL\n")

    assert "no rates and no yields yet" in run("list")
    assert run("load", str(file)).startswith("interest_rates: 1 new, 0 changed, 0 unchanged\nGreeks that were computed")
    assert json.loads(run("load", "--json", str(file))) == {
        "table": "interest_rates",
        "new": 0,
        "changed": 0,
        "unchanged": 1,
    }
    assert run("list") == "interest_rates  INR  2025-01-01  91  0.0661000000  FBIL\n"
    assert json.loads(run("list", "--json"))["rates"][0]["valid_from"] == "2025-01-01"


def test_a_wrong_line_is_an_error_with_its_number(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text("currency,valid_from,rate,source\nINR,2025-01-01,6.5,FBIL\n")

    with pytest.raises(SourceError, match="line 2: rate is no fraction a year"):
        run("load", str(file))
