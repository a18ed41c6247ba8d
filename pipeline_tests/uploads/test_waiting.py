from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from pipeline_defs.uploads import waiting
from pipeline_defs.uploads.waiting import settled_uploads, waiting_uploads

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_files_wait_with_their_own_mapping_or_that_of_the_folder(folder: Path) -> None:
    for name in ("a.csv", "a.mapping.toml", "b.xlsx", "mapping.toml"):
        (folder / name).write_text(name)

    first, second = waiting_uploads(folder)

    assert (first.path.name, first.mapping, first.has_own_mapping) == ("a.csv", folder / "a.mapping.toml", True)
    assert (second.path.name, second.mapping, second.has_own_mapping) == ("b.xlsx", folder / "mapping.toml", False)


def test_what_is_unfinished_hidden_or_a_folder_does_not_wait(folder: Path) -> None:
    for name in ("a.csv.part", "b.csv.crdownload", ".c.csv", "~$d.xlsx", "schema.json", "_manifest.json"):
        (folder / name).write_text(name)
    (folder / "done").mkdir()
    (folder / "done" / "e.csv").write_text("e")

    assert waiting_uploads(folder) == []
    assert waiting_uploads(folder / "nowhere") == []


def test_a_file_or_mapping_that_changes_between_two_looks_is_still_arriving(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.csv", "b.csv", "c.csv", "c.mapping.toml"):
        (folder / name).write_text(name)

    def change(_: float) -> None:
        (folder / "a.csv").write_text("a.csv and more")
        (folder / "c.mapping.toml").write_text("another")
        (folder / "d.csv").write_text("new")

    monkeypatch.setattr(time, "sleep", change)

    settled, arriving = settled_uploads(folder, 1)

    assert [upload.path.name for upload in settled] == ["b.csv"]
    assert arriving == ["a.csv", "c.csv", "d.csv"]


def test_a_file_that_goes_away_while_it_is_looked_at_is_passed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.csv").write_text("a")

    def gone(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(waiting, "_stamp", gone)

    assert waiting_uploads(folder) == []


def test_a_look_costs_no_library() -> None:
    program = (
        "import sys, pipeline_defs.uploads.waiting; print(sorted({'polars', 'psycopg', 'dagster'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)

    assert shown.stdout.strip() == "[]"
