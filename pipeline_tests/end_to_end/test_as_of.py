"""An export that was given out can be made again, byte for byte, after the data under it were corrected."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_tests.end_to_end.conftest import CommandLine

type Ask = Callable[..., list[tuple[Any, ...]]]

DAY = "2025-08-14"
EXPORT = ("--underlying", "NIFTY", "--start-date", DAY, "--end-date", DAY)
HEADER = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest\n"


def contents(folder: str) -> dict[str, str]:
    """Hash every file of an export, its manifest included."""
    root = Path(folder)
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    "format_name",
    [pytest.param("nautilus", marks=pytest.mark.thorough("what was known when is read the same way for csv")), "csv"],
)
def test_the_first_export_is_made_again_as_of_its_time(
    filled: CommandLine, ask: Ask, tmp_path: Path, format_name: str
) -> None:
    export = ("export", "--format", format_name, *EXPORT, "--output")
    first = filled.json(*export, tmp_path / "first")

    load = deliver_a_correction(filled, ask, tmp_path)
    second = filled.json(*export, tmp_path / "second")
    again = filled.json(*export, tmp_path / "again", "--as-of", first["known_at"])

    assert load["corrected"] == 1
    assert contents(second["path"]) != contents(first["path"])
    assert contents(again["path"]) == contents(first["path"])
    assert again["catalog_hash"] == first["catalog_hash"]
    (change,) = filled.json_list("corrections", "--date", DAY)
    assert (change["field"], change["new"], change["superseded_by"]) == ("volume", "7500", load["load_id"])


def deliver_a_correction(filled: CommandLine, ask: Ask, folder: Path) -> Any:
    """Have the vendor deliver one minute of one contract again, with another volume."""
    ((symbol, label, *values),) = ask(
        "SELECT symbol,"
        " to_char((timestamp - interval '1 second') AT TIME ZONE 'Asia/Kolkata', 'DD/MM/YYYY,HH24:MI:SS'),"
        " open, high, low, close, 7500, open_interest FROM v_options_ticks"
        " WHERE underlying = 'NIFTY' AND bar_seconds = 60 AND timestamp::date = %s ORDER BY timestamp, symbol LIMIT 1",
        DAY,
    )
    delivery = folder / "GFDLNFO_BACKADJUSTED_14082025"
    delivery.mkdir()
    line = ",".join([symbol, label, *map(str, values)])
    (delivery / f"{symbol}.csv").write_text(f"{HEADER}{line}\n", encoding="utf-8")
    (load,) = filled.json("import", "--source", "nse-csv", "--path", delivery)["loads"]
    return load
