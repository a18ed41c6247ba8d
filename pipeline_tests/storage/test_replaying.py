"""Any load can be made again from what was kept, byte for byte, also when the delivery itself is gone."""

from __future__ import annotations

import datetime as dt
import io
import json
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from pipeline_defs.cli.main import commands
from pipeline_defs.errors import ConfigurationError, PipelineError, SourceError, StorageError, WarehouseError
from pipeline_defs.orchestration.importing import import_session
from pipeline_defs.sources.nse_csv.adapter import NseCsvSource
from pipeline_defs.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_tests.storage.door import Door

HEADER = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest\n"
CALL = "NIFTY28AUG2524500CE.NFO,20/08/2025,09:15:59,100.5,101,99.95,{close},750,1500\n"
BAD = "NIFTY28AUG2524500CE.NFO,20/08/2025,09:16:59,100.5,101,99.95,0,750,1500\n"
NAME = "GFDLNFO_BACKADJUSTED_20082025.csv"


@pytest.fixture
def landing(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for deliveries, a migrated warehouse and an archive in a folder."""
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINE_RAW_ARCHIVE", "on")
    (tmp_path / "landing").mkdir()
    return tmp_path / "landing"


def run(*arguments: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(commands, [*arguments, "--json"])
    if result.exception is not None:
        raise result.exception
    loads: list[dict[str, Any]] = json.loads(result.stdout)["loads"]
    return loads


def imported(path: Path) -> dict[str, Any]:
    (load,) = run("import", "--source", "nse-csv", "--path", str(path))
    return load


def zipped(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"inside/{NAME}", text)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["file", "zip"])
def test_a_load_is_replayed_from_the_archive_and_changes_nothing(landing: Path, tmp_path: Path, form: str) -> None:
    text = HEADER + CALL.format(close="100") + BAD
    if form == "zip":
        (landing / "GFDLNFO_20082025.zip").write_bytes(zipped(text))
    else:
        (landing / NAME).write_text(text)
    load = imported(landing)
    assert (load["stored"], load["quarantined"]) == (1, {"non_positive_price": 1})
    kept = [path for path in (tmp_path / "home" / "raw" / "nse_csv" / "08-2025").rglob("*") if path.is_file()]
    assert [path.name for path in kept] == [path.name for path in landing.iterdir()]
    assert kept[0].read_bytes() == next(landing.iterdir()).read_bytes()

    shutil.rmtree(landing)
    (again,) = run("replay", "--load", str(load["load_id"]))
    assert (again["read"], again["stored"], again["unchanged"], again["corrected"]) == (2, 0, 1, 0)
    assert again["quarantined"] == load["quarantined"]
    (thrice,) = run("replay", "--load", str(again["load_id"]))
    assert (thrice["stored"], thrice["unchanged"], thrice["corrected"]) == (0, 1, 0)


def test_an_older_load_is_replayed_only_when_that_is_meant(landing: Path) -> None:
    (landing / NAME).write_text(HEADER + CALL.format(close="100"))
    first = imported(landing)
    (landing / NAME).write_text(HEADER + CALL.format(close="100.05"))
    second = imported(landing)
    assert second["corrected"] == 1
    with pytest.raises(SourceError, match=f"load {second['load_id']} has filled the same partition since"):
        run("replay", "--load", str(first["load_id"]))
    (back,) = run("replay", "--load", str(first["load_id"]), "--force")
    assert back["corrected"] == 1
    (forth,) = run("replay", "--load", str(second["load_id"]), "--force")
    assert forth["corrected"] == 1


def test_an_archive_in_an_object_store_serves_as_well(
    landing: Path, s3: Door, base: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_OBJECT_STORE", str(base))
    (landing / NAME).write_text(HEADER + CALL.format(close="100"))
    load = imported(landing)
    assert any("/raw/nse_csv/08-2025/" in path for method, path in s3.passed if method == "PUT")
    shutil.rmtree(landing)
    result = CliRunner().invoke(commands, ["replay", "--load", str(load["load_id"])])
    assert result.exit_code == 0, result.output
    assert "stored 0, unchanged 1" in result.output


def test_what_cannot_be_replayed_is_said(landing: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIPELINE_RAW_ARCHIVE", "off")
    (landing / NAME).write_text(HEADER + CALL.format(close="100"))
    load = imported(landing)["load_id"]
    assert not (tmp_path / "home" / "raw").exists()
    expected: list[tuple[int, type[PipelineError], str, str]] = [
        (load, ConfigurationError, "off", "there is no raw archive"),
        (load, StorageError, "on", "the archive holds 0 files named"),
        (load + 99, WarehouseError, "on", "there is no load"),
    ]
    for number, kind, setting, why in expected:
        monkeypatch.setenv("PIPELINE_RAW_ARCHIVE", setting)
        with pytest.raises(kind, match=why):
            run("replay", "--load", str(number))
    with Warehouse.connect(Warehouse(str(_database()))) as connection:
        connection.execute("UPDATE load_files SET sha256 = ''")
    with pytest.raises(SourceError, match="read no file that could be replayed"):
        run("replay", "--load", str(load))


def _database() -> str | None:
    from pipeline_defs.settings import load_settings  # noqa: PLC0415 -- of this test's environment

    return load_settings().database_url


def test_a_session_imported_by_the_orchestration_is_kept_as_well(
    landing: Path, tmp_path: Path, database_url: str
) -> None:
    (landing / NAME).write_text(HEADER + CALL.format(close="100"))
    day = dt.date(2025, 8, 20)
    source = NseCsvSource(path=str(landing))
    import_session(Warehouse(database_url), source, day, ["options_ticks"], dagster_run_id="run")
    assert [path.name for path in (tmp_path / "home" / "raw").rglob("*.csv")] == [NAME]
