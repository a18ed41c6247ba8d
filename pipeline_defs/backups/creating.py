"""A backup from beginning to end: databases, then files, then the manifest that makes it complete.

Dagster's database is dumped before the warehouse, so that a run which the one calls done has its rows in the other.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pipeline_defs
from pipeline_defs.backups import dumping, programs
from pipeline_defs.backups.copying import Copier
from pipeline_defs.backups.manifest import MANIFEST_NAME, DatabaseEntry, Manifest, TreeEntry
from pipeline_defs.backups.pruning import Pruned, prune_locked
from pipeline_defs.backups.repository import BACKUPS, Repository, dump_path, new_identifier
from pipeline_defs.storage.contents import MANIFEST_NAME as CATALOG_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pipeline_defs.storage.locations import Location
    from pipeline_defs.warehouse.connection import Warehouse

WAREHOUSE: Final = "warehouse"
DAGSTER: Final = "dagster"


@dataclass(frozen=True, slots=True)
class CreatedBackup:
    """A backup that was just made.

    Parameters
    ----------
    manifest : Manifest
        What is in it.
    copied, copied_bytes : int
        Files that the repository did not hold before, and their size.
    pruned : Pruned
        What was removed.

    """

    manifest: Manifest
    copied: int
    copied_bytes: int
    pruned: Pruned


def create(
    repository: Repository,
    databases: Mapping[str, Warehouse],
    trees: Mapping[str, Location],
    *,
    keep: int | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> CreatedBackup:
    """Make a backup.

    Parameters
    ----------
    repository : Repository
        Where to.
    databases : mapping of str to Warehouse
        By name, in the order in which they are dumped.
    trees : mapping of str to Location
        Folders and prefixes, as `places.trees` gives them.
    keep : int, optional
        Remove all but the newest so many complete backups afterwards, and every interrupted one.
    on_progress : callable, optional
        Called with a line before each step.

    Raises
    ------
    ConfigurationError, WarehouseError, StorageError
        If anything cannot be read or written; there is no backup then, and earlier ones are untouched.

    """
    begun_at = dt.datetime.now(dt.UTC)
    with repository.shelf.only_writer(), repository.shelf.workspace() as workspace:
        backup_id = new_identifier()
        dumped: list[DatabaseEntry] = []
        published: dict[str, str] = {}
        for name, warehouse in databases.items():
            on_progress(f"database {name}")
            found = dumping.dump(name, warehouse, workspace)
            entry = found.entry
            repository.shelf.take(workspace / entry.dump.path, dump_path(backup_id, entry.dump), entry.dump)
            dumped.append(entry)
            published |= found.catalogs
        copier = Copier(repository, workspace)
        copied = []
        for name, place in trees.items():
            on_progress(f"files {name}")
            copied.append(copier.copy(name, place))
        manifest = Manifest(
            backup_id,
            begun_at.isoformat(timespec="seconds"),
            dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            {"market-data-pipeline": pipeline_defs.__version__, "pg_dump": str(programs.major_version())},
            tuple(dumped),
            tuple(copied),
            tuple(_published_meanwhile(repository, published, copied, workspace)),
        )
        repository.shelf.write(f"{BACKUPS}/{backup_id}/{MANIFEST_NAME}", manifest.to_bytes())
        pruned = Pruned() if keep is None else prune_locked(repository, keep)
    return CreatedBackup(manifest, copier.copied, copier.copied_bytes, pruned)


def _published_meanwhile(
    repository: Repository, published: dict[str, str], trees: list[TreeEntry], workspace: Path
) -> list[str]:
    """Name exports that were published after the snapshot: the restored ledger will not know them."""
    notes = []
    for tree in trees:
        for entry in tree.files:
            folder, _, name = entry.path.rpartition("/")
            expected = published.get(f"{tree.place}/{folder}")
            if name != CATALOG_MANIFEST or expected is None:
                continue
            target = workspace / "catalog-manifest"
            repository.fetch_file(entry, target)
            if json.loads(target.read_bytes()).get("catalog_hash") != expected:
                notes.append(f"{tree.place}/{folder} was published anew after the snapshot of the database")
    return notes
