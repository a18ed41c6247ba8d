"""Backups at one place: complete or not there, each content once, old ones away without harm to newer ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.backups import dumping
from pipeline_defs.backups.creating import CreatedBackup, create
from pipeline_defs.backups.manifest import Manifest
from pipeline_defs.backups.places import trees
from pipeline_defs.backups.pruning import prune
from pipeline_defs.backups.repository import Repository
from pipeline_defs.backups.verifying import verify
from pipeline_defs.errors import ConfigurationError, StorageError
from pipeline_tests.storage.exports import make_export

if TYPE_CHECKING:
    from pipeline_defs.storage.locations import S3Location
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_tests.backups.conftest import Installation


@pytest.fixture(params=["folder", "bucket"])
def shelf(request: pytest.FixtureRequest, repository: Repository) -> Repository:
    """A place of each kind."""
    if request.param == "folder":
        return repository
    base: S3Location = request.getfixturevalue("base")
    return Repository.open(base / "backups")


def back_up(repository: Repository, installation: Installation, keep: int | None = None) -> CreatedBackup:
    # Without a database: what is tried here are files.
    return create(repository, {}, trees(installation.settings), keep=keep)


def test_a_file_is_copied_once_for_all_backups(small: Installation, shelf: Repository) -> None:
    make_export(small.settings.catalogs_dir / "csv" / "NIFTY" / "2025-08", {"a.csv": b"1\n", "b.csv": b"2\n"})
    first = back_up(shelf, small)
    make_export(small.settings.catalogs_dir / "csv" / "NIFTY" / "2025-08", {"a.csv": b"1\n", "b.csv": b"3\n"})
    second = back_up(shelf, small)

    assert (first.manifest.files, first.copied) == (4, 4)
    assert (second.manifest.files, second.copied) == (4, 2)  # b.csv and the manifest of the export
    assert verify(shelf, first.manifest) == verify(shelf, second.manifest) == []
    assert shelf.identifiers() == ([first.manifest.backup_id, second.manifest.backup_id], [])


def test_pruning_keeps_what_newer_backups_need(small: Installation, shelf: Repository) -> None:
    (small.settings.catalogs_dir / "old.txt").write_text("old\n")
    first = back_up(shelf, small)
    (small.settings.catalogs_dir / "old.txt").unlink()
    second = back_up(shelf, small, keep=1)

    assert second.pruned.backups == [first.manifest.backup_id]
    assert second.pruned.files == 1
    assert shelf.identifiers()[0] == [second.manifest.backup_id]
    assert verify(shelf, shelf.manifest()) == []
    with pytest.raises(ConfigurationError, match="is no backup"):
        shelf.manifest(first.manifest.backup_id)


def test_none_may_be_kept(repository: Repository) -> None:
    with pytest.raises(ConfigurationError, match="cannot keep 0 backups"):
        prune(repository, 0)


def test_a_backup_that_was_killed_is_never_taken_for_one(small: Installation, repository: Repository) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from pipeline_defs.backups import creating\n"
        "from pipeline_defs.backups.repository import Repository\n"
        "from pipeline_defs.warehouse.connection import Warehouse\n"
        "creating.Copier.copy = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "creating.create(Repository.open(Path(sys.argv[1])), {'warehouse': Warehouse(os.environ['DB'])},"
        " {'home_catalogs': Path(sys.argv[2])})\n"
    )
    environment = {**os.environ, "DB": small.warehouse.url}
    command = [sys.executable, "-c", program, str(repository.shelf.place), str(small.settings.catalogs_dir)]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    complete, interrupted = repository.identifiers()
    assert (len(complete), len(interrupted)) == (0, 1)
    for wanted in ("latest", interrupted[0]):
        with pytest.raises(ConfigurationError, match="no complete backup"):
            repository.manifest(wanted)

    after = back_up(repository, small)
    assert repository.manifest().backup_id == after.manifest.backup_id
    assert not list(Path(str(repository.shelf.place)).glob(".arriving-*"))
    assert prune(repository, 1).interrupted == interrupted
    assert repository.identifiers() == ([after.manifest.backup_id], [])


@pytest.mark.parametrize("harm", ["changed", "cut", "gone"])
def test_verifying_names_the_damaged_file(small: Installation, repository: Repository, harm: str) -> None:
    manifest = back_up(repository, small).manifest
    (path,) = (path for path in Path(str(repository.shelf.place)).rglob("*") if len(path.name) == 64)
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(b"hept\n" if harm == "changed" else b"kep")

    (line,) = verify(repository, manifest)

    assert path.name in line
    assert "notes.txt" in line


def test_a_manifest_that_was_edited_is_refused(small: Installation, repository: Repository) -> None:
    manifest = back_up(repository, small).manifest
    whole = json.loads(manifest.to_bytes())
    whole["backup"]["trees"][0]["files"] = []

    with pytest.raises(StorageError, match="does not have the digest"):
        Manifest.of_bytes(json.dumps(whole).encode(), "manifest.json")


def test_a_catalog_that_is_not_what_its_manifest_says_is_not_backed_up(
    small: Installation, repository: Repository
) -> None:
    folder = make_export(small.settings.catalogs_dir / "csv" / "NIFTY" / "2025-08", {"a.csv": b"1\n"})
    (folder / "a.csv").write_bytes(b"2\n")

    with pytest.raises(StorageError, match=r"a\.csv: expected sha256"):
        back_up(repository, small)

    assert repository.identifiers() == ([], [])


def test_an_export_that_was_published_after_the_snapshot_is_named(
    small: Installation, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = small.settings.catalogs_dir / "csv" / "NIFTY" / "2025-08"
    make_export(place, {"a.csv": b"1\n"}, catalog_hash="new")
    dump = dumping.dump

    def dumped_before(name: str, warehouse: Warehouse, folder: Path) -> dumping.Dumped:
        found = dump(name, warehouse, folder)
        found.catalogs[str(place)] = "old"
        return found

    monkeypatch.setattr(dumping, "dump", dumped_before)
    made = create(repository, {"warehouse": small.warehouse}, trees(small.settings))

    assert made.manifest.notes == (f"{place} was published anew after the snapshot of the database",)
