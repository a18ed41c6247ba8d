"""A restore from beginning to end: everything is fetched, compared and restored before anything becomes visible.

Files are staged, databases restored up to their COMMIT; then files take their places, and the commits follow, the
warehouse last: while that is missing, nothing calls itself restored, and the same command can be run again.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_defs.backups.loading import Restoring
from pipeline_defs.backups.placing import placing
from pipeline_defs.backups.replacing import Replacement, replacement
from pipeline_defs.errors import ConfigurationError
from pipeline_defs.warehouse.migrations.files import LAYERS, SQL_DIR, read_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline_defs.backups.manifest import Manifest
    from pipeline_defs.backups.repository import Repository
    from pipeline_defs.storage.locations import Location
    from pipeline_defs.warehouse.connection import Warehouse


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored.

    Parameters
    ----------
    tables, rows, files : int
        All of them equal to the backup's.
    set_aside : tuple of str
        What was there before: folders and databases.

    """

    tables: int
    rows: int
    files: int
    set_aside: tuple[str, ...]


def restore(
    repository: Repository,
    manifest: Manifest,
    databases: Mapping[str, Warehouse],
    trees: Mapping[str, Location],
    *,
    replace: bool = False,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Restored:
    """Restore a backup.

    Parameters
    ----------
    repository : Repository
        Where it is.
    manifest : Manifest
        Which.
    databases : mapping of str to Warehouse
        The target of each database of the backup: empty ones.
    trees : mapping of str to Location
        The target of each tree, empty or holding what an earlier try has put there.
    replace : bool, default False
        Set databases and folders that are there aside, under another name.
    on_progress : callable, optional
        Called with a line before each step.

    Raises
    ------
    ConfigurationError
        If the backup holds something for which there is no place here, or was written by a newer version.
    StorageError
        If a file is missing or damaged, which is named, or a place is not empty.
    WarehouseError
        If a database is not empty or does not become what it was.

    """
    _refuse_homeless(manifest, databases, trees)
    _refuse_newer(manifest)
    token = f"{dt.datetime.now(dt.UTC):%Y%m%dt%H%M%S}_{secrets.token_hex(3)}"
    with contextlib.ExitStack() as stack:
        dumps = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pipeline-restore-")))
        for database in manifest.databases:
            on_progress(f"fetching {database.dump.path}")
            repository.fetch_dump(manifest, database, dumps / database.dump.path)
        placed = []
        for tree in (one for one in manifest.trees if one.name in trees):
            on_progress(f"fetching files {tree.name}")
            on_its_way = placing(repository, tree, trees[tree.name], set_aside=token if replace else None)
            stack.callback(on_its_way.discard)
            on_its_way.stage()
            placed.append(on_its_way)
        restoring: list[tuple[Restoring, Replacement | None]] = []
        for database in manifest.databases:
            on_progress(f"restoring database {database.name}")
            target, beside = databases[database.name], None
            if replace:
                beside = stack.enter_context(replacement(target, token))
                target = beside.warehouse
            session = Restoring(target, database, dumps / database.dump.path)
            restoring.append((stack.enter_context(session), beside))
        on_progress("every checksum is as it was")
        set_aside = [former for tree in placed if (former := tree.place()) is not None]
        for session, beside in restoring:
            session.commit()
            if beside is not None:
                beside.take_over()
                set_aside.append(f"database {beside.former_name}")
    tables = [table for database in manifest.databases for table in database.tables]
    return Restored(len(tables), manifest.rows, manifest.files, tuple(set_aside))


def _refuse_homeless(manifest: Manifest, databases: Mapping[str, Warehouse], trees: Mapping[str, Location]) -> None:
    homeless = [f"database {one.name}" for one in manifest.databases if one.name not in databases]
    homeless += [f"files {one.name} (of {one.place})" for one in manifest.trees if one.name not in trees and one.files]
    if homeless:
        raise ConfigurationError(
            f"backup {manifest.backup_id} holds {', '.join(homeless)}, for which nothing is configured here",
            next_step="set PIPELINE_OBJECT_STORE, PIPELINE_RAW_ARCHIVE or the URL of Dagster's database as it was",
        )


def _refuse_newer(manifest: Manifest) -> None:
    known = {str(migration.version) for migration in read_layers(LAYERS, SQL_DIR)}
    unknown = [version for one in manifest.databases for version in one.migrations if version not in known]
    if unknown:
        raise ConfigurationError(
            f"backup {manifest.backup_id} holds migrations that this version does not have: {', '.join(unknown)}",
            next_step=f"use market-data-pipeline {manifest.written_by['market-data-pipeline']} or newer",
        )
