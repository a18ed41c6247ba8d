"""Old backups away: their manifests first, so that none looks complete; then files that no backup names any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_defs.backups.manifest import MANIFEST_NAME
from pipeline_defs.backups.repository import BACKUPS, FILES, Repository, file_path
from pipeline_defs.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed.

    Parameters
    ----------
    backups : sequence of str
        Complete ones that were too old.
    interrupted : sequence of str
        Ones that never became complete.
    files : int
        Shared files that no backup needs any more.

    """

    backups: Sequence[str] = ()
    interrupted: Sequence[str] = ()
    files: int = 0


def prune(repository: Repository, keep: int) -> Pruned:
    """Remove all but the newest complete backups, and every interrupted one.

    Parameters
    ----------
    repository : Repository
        Which.
    keep : int
        How many to keep; at least one.

    Raises
    ------
    ConfigurationError
        If none would be kept.
    StorageError
        If a manifest that is to be kept is damaged: it cannot be told then which files are still needed.

    """
    with repository.shelf.only_writer():
        return prune_locked(repository, keep)


def prune_locked(repository: Repository, keep: int) -> Pruned:
    """Do what `prune` does, within the turn of a writer."""
    if keep < 1:
        raise ConfigurationError(f"cannot keep {keep} backups, expected 1 or more")
    shelf = repository.shelf
    complete, interrupted = repository.identifiers()
    old, kept = complete[:-keep], complete[-keep:]
    needed = {
        file_path(entry.sha256) for name in kept for tree in repository.manifest(name).trees for entry in tree.files
    }
    shelf.delete(f"{BACKUPS}/{name}/{MANIFEST_NAME}" for name in old)
    for name in (*old, *interrupted):
        shelf.delete(f"{BACKUPS}/{name}/{path}" for path in shelf.sizes(f"{BACKUPS}/{name}"))
    strays = [path for below in shelf.sizes(FILES) if (path := f"{FILES}/{below}") not in needed]
    shelf.delete(strays)
    return Pruned(old, interrupted, len(strays))
