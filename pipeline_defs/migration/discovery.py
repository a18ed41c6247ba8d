"""Where a store keeps its bundles: which folders are bundles, and of what kind."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.migration.bundle_databases import NAME as BUNDLE_DATABASE
from pipeline_defs.migration.contents import BAR_FOLDERS
from pipeline_defs.migration.ingestions import Ingestions, find_ingestions
from pipeline_defs.migration.plan import Note
from pipeline_defs.migration.walking import entries_of, is_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.migration.legacy import Kind

_PLACES: Final = (Path("data/bundles"), Path("data"))
"""The newer place first: of two bundles of one name it is the one that counts."""


@dataclass(frozen=True, slots=True)
class BundleFolder:
    """A bundle on disk.

    Parameters
    ----------
    name : str
        Of its folder, which is that of the bundle.
    kind : {"parquet", "bcolz"}
        How it is stored.
    folder : Path
        Where.
    ingestions : Ingestions or None
        Of bcolz.

    """

    name: str
    kind: Kind
    folder: Path
    ingestions: Ingestions | None = None


@dataclass(slots=True)
class Folders:
    """What lies below the data folder.

    Parameters
    ----------
    bundles : list of BundleFolder
        By place, then name; a name may be there twice.
    notes : list of Note
        Folders that are no bundle.

    """

    bundles: list[BundleFolder] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def default_root() -> Path:
    """Give ``ZIPLINE_ROOT``, or ``~/.zipline``."""
    told = os.environ.get("ZIPLINE_ROOT")
    return Path(told).expanduser() if told else Path.home() / ".zipline"


def default_cache_root(root: Path) -> Path:
    """Give the smart cache of the home that a store lies in, ``.rustybt/cache`` beside ``.zipline``."""
    home = root.absolute().parent if root.name == ".zipline" else Path.home()
    return home / ".rustybt" / "cache"


def find_folders(root: Path) -> Folders:
    """Find the bundles of a store.

    Parameters
    ----------
    root : Path
        ``ZIPLINE_ROOT``.

    Returns
    -------
    Folders

    Raises
    ------
    ConfigurationError
        If there is no such folder.
    SourceError
        If it may not be listed.

    """
    if not is_folder(root):
        raise ConfigurationError(
            f"there is no folder {root}",
            next_step="name the store: --root PATH, the folder with assets-<n>.db and data/ in it",
        )
    found = Folders()
    for place in _PLACES:
        for folder in _folders(root / place):
            if folder == root / _PLACES[0]:
                continue
            try:
                bundles = list(_bundles(folder))
            except SourceError:
                # Whatever it is: as a bundle that cannot be read it is told of with the reason.
                bundles = [BundleFolder(folder.name, "parquet", folder)]
            found.bundles += bundles
            if not bundles:
                found.notes.append(
                    Note("folder", passed=False, stated=_below(root, folder), found="neither bars nor an ingestion")
                )
    return found


def _bundles(folder: Path) -> Iterator[BundleFolder]:
    names = {path.name for path in entries_of(folder)}
    ingestions = find_ingestions(folder)
    if names & {*BAR_FOLDERS, BUNDLE_DATABASE}:
        yield BundleFolder(folder.name, "parquet", folder)
    if ingestions.current is not None or ingestions.unfinished:
        yield BundleFolder(folder.name, "bcolz", folder, ingestions)


def _folders(place: Path) -> list[Path]:
    return [path for path in entries_of(place) if not path.name.startswith(".") and is_folder(path)]


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
