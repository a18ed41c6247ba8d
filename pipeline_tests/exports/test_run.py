"""An export is published whole and confirmed by its engine, or not at all."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError, ExportError
from pipeline_defs.exports import registry
from pipeline_defs.exports.manifest import MANIFEST_NAME, check_manifest, read_manifest
from pipeline_defs.exports.run import PublishedExport, export_slice
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.exports.backtrader.slices import bars_of, instrument, make_slice, nifty_slice

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.progress import Step

DAMAGED = "NIFTY_250814_24600_CE_1m.csv"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> PublishedExport[Path]:
    return export_slice("backtrader", nifty_slice(), tmp_path_factory.mktemp("exports") / "NIFTY" / "2025-08")


def test_a_slice_becomes_a_confirmed_export_with_its_manifest(published: PublishedExport[Path]) -> None:
    manifest = read_manifest(published.path)
    assert check_manifest(published.path) == []
    assert published.to_json() == {
        "path": str(published.path),
        "manifest": str(published.path / MANIFEST_NAME),
        "verified": True,
        "format": "backtrader",
        "rows": 480,
        "instruments": 8,
        "engine": manifest["engine"],
        "catalog_hash": manifest["catalog_hash"],
        "known_at": published.known_at.isoformat(),
    }
    assert json.loads(json.dumps(published.to_json())) == published.to_json()
    assert manifest["verification"]["passed"]
    assert manifest["verification"]["checks"]["engine"] == {"files": 8, "bars": 480, "all": True}


def test_nothing_lies_beside_a_published_export(published: PublishedExport[Path]) -> None:
    assert list(published.path.parent.iterdir()) == [published.path]


def test_the_same_slice_again_changes_nothing(published: PublishedExport[Path]) -> None:
    inode = published.path.stat().st_ino
    told: list[Step] = []
    again = export_slice("backtrader", nifty_slice(), published.path, on_progress=told.append)
    assert [(step.doing.split()[0], step.done, step.total) for step in told] == [
        ("building", 0, 3),
        ("reading", 1, 3),
        ("publishing", 2, 3),
    ]
    assert again == published
    assert published.path.stat().st_ino == inode


def test_the_same_bars_from_another_load_are_published_with_the_new_provenance(tmp_path: Path) -> None:
    first = export_slice("backtrader", nifty_slice(2), tmp_path / "out")
    second = export_slice("backtrader", dataclasses.replace(nifty_slice(2), load_ids=(9,)), tmp_path / "out")
    assert second.catalog_hash == first.catalog_hash
    assert read_manifest(tmp_path / "out")["load_ids"] == [9]


def test_a_damaged_export_is_made_whole_by_exporting_again(tmp_path: Path) -> None:
    export_slice("backtrader", nifty_slice(2), tmp_path / "out")
    (tmp_path / "out" / DAMAGED).write_text("damaged")
    (tmp_path / "out" / "contracts.json").unlink()
    export_slice("backtrader", nifty_slice(2), tmp_path / "out")
    assert check_manifest(tmp_path / "out") == []


def test_other_bars_replace_the_export(tmp_path: Path) -> None:
    first = export_slice("backtrader", nifty_slice(2), tmp_path / "out")
    second = export_slice("backtrader", nifty_slice(3), tmp_path / "out")
    assert second.catalog_hash != first.catalog_hash
    assert second.counts == {"bars": 48, "instruments": 8}
    assert check_manifest(tmp_path / "out") == []


def test_what_the_engine_does_not_confirm_is_not_published_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.EXPORTERS, "damaging", "pipeline_tests.exports.damaging:DamagingExporter")
    with pytest.raises(ExportError, match=rf"{DAMAGED} rows: expected 4, found 3") as caught:
        export_slice("damaging", nifty_slice(2), tmp_path / "out")
    assert "did not confirm it, nothing was published" in caught.value.what
    assert list(tmp_path.iterdir()) == []


def test_a_failed_verification_leaves_the_published_export_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_slice("backtrader", nifty_slice(3), tmp_path / "out")
    before = (tmp_path / "out" / MANIFEST_NAME).read_bytes()
    monkeypatch.setitem(registry.EXPORTERS, "damaging", "pipeline_tests.exports.damaging:DamagingExporter")
    with pytest.raises(ExportError):
        export_slice("damaging", nifty_slice(2), tmp_path / "out")
    assert (tmp_path / "out" / MANIFEST_NAME).read_bytes() == before
    assert check_manifest(tmp_path / "out") == []
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


@pytest.mark.parametrize("lacks", ["bars", "sessions"])
def test_an_empty_slice_is_an_error_that_says_what_to_do(tmp_path: Path, lacks: str) -> None:
    market = (
        make_slice([], []) if lacks == "bars" else make_slice([instrument(1, "SPOT")], [bars_of(1, "1")], sessions=())
    )
    with pytest.raises(ExportError, match="there is nothing to export") as caught:
        export_slice("backtrader", market, tmp_path / "out")
    assert caught.value.next_step is not None
    assert "import the days first" in caught.value.next_step
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected one of"):
        export_slice("zipline", nifty_slice(2), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ExportError, match="is not empty and not one of our exports"):
        export_slice("backtrader", nifty_slice(2), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export_slice("backtrader", nifty_slice(2), tmp_path / "out")
    assert check_manifest(tmp_path / "out") == []


def test_an_export_to_which_someone_added_files_is_not_replaced(tmp_path: Path) -> None:
    export_slice("backtrader", nifty_slice(2), tmp_path / "out")
    (tmp_path / "out" / ".DS_Store").write_text("")
    (tmp_path / "out" / "results").mkdir()
    for number in range(12):
        (tmp_path / "out" / "results" / f"{number:02}.txt").write_text("profit")
    with pytest.raises(ExportError, match=r"holds 12 files .*: results/00.txt, .* and 2 more") as caught:
        export_slice("backtrader", nifty_slice(3), tmp_path / "out")
    assert ".DS_Store" not in caught.value.what
    assert (tmp_path / "out" / "results" / "11.txt").read_text() == "profit"


def test_killed_in_the_middle_nothing_is_visible_and_the_next_run_cleans_up(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from pipeline_defs.exports.run import export_slice\n"
        "from pipeline_tests.exports.backtrader.slices import nifty_slice\n"
        "export_slice('backtrader', nifty_slice(30), Path(sys.argv[1]))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "out")], cwd=PROJECT_ROOT) as process:
        while not list(tmp_path.glob(".out.staging-*/*.csv")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert not (tmp_path / "out").exists()
    assert len(list(tmp_path.iterdir())) == 1
    export_slice("backtrader", nifty_slice(2), tmp_path / "out")
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
