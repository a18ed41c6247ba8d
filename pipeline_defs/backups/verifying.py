"""Whether a backup is what was put in: every byte of every file against its digest, and the dump's own directory."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_defs.backups import programs
from pipeline_defs.backups.repository import file_path
from pipeline_defs.errors import StorageError

if TYPE_CHECKING:
    from pipeline_defs.backups.manifest import Manifest
    from pipeline_defs.backups.repository import Repository


def verify(repository: Repository, manifest: Manifest) -> list[str]:
    """Read a whole backup.

    Returns
    -------
    list of str
        A line for each file that is missing or damaged; empty if all is well.

    """
    wrong = []
    with tempfile.TemporaryDirectory(prefix="pipeline-backup-") as folder:
        target = Path(folder) / "dump"
        for database in manifest.databases:
            try:
                repository.fetch_dump(manifest, database, target)
                _list_dump(target, repository.where(database.dump.path))
            except StorageError as error:
                wrong.append(str(error))
    contents = {entry.sha256: entry for tree in manifest.trees for entry in tree.files}
    for sha256, entry in sorted(contents.items()):
        digest = repository.shelf.digest(file_path(sha256))
        if digest != sha256:
            where = repository.where(file_path(sha256))
            wrong.append(f"{where}: expected {entry.path} with sha256 {sha256}, found {digest or 'no such file'}")
    return wrong


def _list_dump(dump: Path, where: str) -> None:
    done = subprocess.run(  # noqa: S603 -- PostgreSQL's own program
        [programs.program("pg_restore"), "--list", dump], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise StorageError(f"pg_restore cannot read it: {done.stderr.strip()}", where=where)
