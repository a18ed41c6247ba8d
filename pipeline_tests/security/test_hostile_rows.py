"""Hostile texts as symbols and underlyings of an upload: stored and given back exactly, or quarantined; never run."""

from __future__ import annotations

import csv
import datetime as dt
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import PipelineError
from pipeline_defs.publishing import export_underlying
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_tests.security.hostile import HOSTILE
from pipeline_tests.sources.manual_csv.reading import HEADER

if TYPE_CHECKING:
    from pathlib import Path

DAY = dt.date(2025, 8, 13)
TEXTS = {name: text for name, text in HOSTILE.items() if name not in ("half a character", "nul")}
"""The others make the file no text at all, which is refused whole."""

EXPORTED = ("csv formula with at", "parent folder", "absolute path", "sql quote")


@pytest.fixture
def stored(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """A warehouse that took in a file with all of them, each as an option's symbol and underlying."""
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    path = tmp_path / "mine.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER.split(","))
        for number, text in enumerate(TEXTS.values()):
            terms = ("OPT", text, text, "2025-08-14", 24500 + number, "CE", "NSE", "INR", 60)
            writer.writerow(("2025-08-13T03:46:00Z", *terms, "93.05", "94", "92.5", "93.1", 750, 1500))
        terms = ("OPT", "NIFTY14AUG2524500CE", "NIFTY", "2025-08-14", 20000, "CE", "NSE", "INR", 60)
        writer.writerow(("2025-08-13T03:46:00Z", *terms, "93.05", "94", "92.5", "93.1", 750, 1500))
    warehouse = Warehouse(database_url)
    list(import_source(warehouse, get_source("manual_csv"), ImportRequest(path=path)))
    return warehouse


def test_every_text_is_stored_exactly_or_quarantined_and_the_tables_are_as_they_were(
    stored: Warehouse, tmp_path: Path
) -> None:
    with stored.connect() as connection:
        kept = {
            text
            for row in connection.execute("SELECT symbol, underlying FROM instrument_terms").fetchall()
            for text in row
        }
        (refused,) = connection.execute("SELECT count(*) FROM quarantine").fetchone() or (0,)
        (loads,) = connection.execute("SELECT count(*) FROM loads").fetchone() or (0,)

    assert loads
    kept -= {"NIFTY14AUG2524500CE", "NIFTY"}
    assert kept <= set(TEXTS.values())
    assert "NIFTY'; DROP TABLE loads; --" in kept
    assert len(kept) + refused >= len(TEXTS)
    for name in ("line end", "carriage return", "terminal escape", "c1 escape", "bidi", "zero width", "empty", "blank"):
        assert TEXTS[name] not in kept, name
    assert not list(tmp_path.rglob("outside"))


def test_an_export_of_any_of_them_stays_in_its_folder(stored: Warehouse, tmp_path: Path) -> None:
    root = tmp_path / "exports"
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "home")}
    exported: list[str] = []
    for number, name in enumerate(EXPORTED):
        try:
            export_underlying(stored, "csv", HOSTILE[name], DAY, DAY, output=root / str(number))
        except PipelineError:
            continue
        exported.append(name)
    found = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "home")} - before
    assert "csv formula with at" in exported
    assert all(path.is_relative_to(root) for path in found)
    texts = "".join(path.read_text(encoding="utf-8") for path in root.rglob("*.csv"))
    assert HOSTILE["csv formula with at"] in texts, "a CSV for machines has the text as it is"
