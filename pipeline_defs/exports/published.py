"""Exports where they are published, in a folder or an object store: which there are, and whether they are sound.

What a sound export is, says `validating`; here is only where it lies. An export in an object store is fetched into the
read cache, since engines open files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_defs.errors import ExportError, StorageError
from pipeline_defs.exports.manifest import MANIFEST_NAME, check_manifest
from pipeline_defs.exports.validating import validate_export
from pipeline_defs.schema.exports import Verification
from pipeline_defs.settings import load_settings
from pipeline_defs.storage.cache import CatalogCache
from pipeline_defs.storage.download import check_published, list_exports
from pipeline_defs.storage.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.storage.locations import Location, S3Location

_MANIFEST_ONLY = "manifest"


@dataclass(frozen=True, slots=True)
class Validated:
    """One export and what was found.

    Parameters
    ----------
    place : str
        Folder or URL.
    verification : Verification
        Passed only if nothing is wrong with it.

    """

    place: str
    verification: Verification

    def to_json(self) -> dict[str, object]:
        """Give everything but what was read back."""
        found = self.verification
        return {
            "place": self.place,
            "passed": found.passed,
            "engine": found.engine,
            "checks": found.checks,
            "failures": list(found.failures),
        }


def validate_below(place: Location, *, manifest_only: bool = False) -> Iterator[Validated]:
    """Check every export at or below a place.

    Parameters
    ----------
    place : Path or S3Location
        An export, or what holds some.
    manifest_only : bool, default False
        Compare files, or objects, with the manifest; have no engine read them. Of objects the sizes and marks of the
        listing are compared, not every byte.

    Yields
    ------
    Validated
        In the order of their places; a damaged export is an answer, never an error.

    Raises
    ------
    ExportError
        If there is none.
    StorageError
        If the store cannot be asked.

    """
    found = False
    if isinstance(place, Path):
        for folder in _folders(place):
            found = True
            yield Validated(str(folder), _compare(folder) if manifest_only else validate_export(folder))
    else:
        store = ObjectStore.open()
        for prefix in sorted((one for one, _, _ in list_exports(store, place)), key=str):
            found = True
            yield Validated(str(prefix), _validate_objects(store, prefix, manifest_only=manifest_only))
    if not found:
        raise ExportError(
            f"holds no {MANIFEST_NAME}, and nothing below it does, so there is no export of ours",
            where=str(place),
            next_step="name the folder that 'pipeline export' printed",
        )


def _folders(place: Path) -> list[Path]:
    if not place.is_dir():
        raise ExportError(
            "is no folder" if place.exists() else "does not exist",
            where=str(place),
            next_step="check the spelling, or name the folder that 'pipeline export' printed",
        )
    if (place / MANIFEST_NAME).exists():
        return [place]
    # Folders that begin with a dot are on their way, or on their way out.
    return sorted(
        path.parent
        for path in place.rglob(MANIFEST_NAME)
        if not any(part.startswith(".") for part in path.relative_to(place).parts)
    )


def _compare(folder: Path) -> Verification:
    try:
        differences = check_manifest(folder)
    except ExportError as error:
        differences = [str(error)]
    return Verification(not differences, _MANIFEST_ONLY, {}, tuple(differences))


def _validate_objects(store: ObjectStore, prefix: S3Location, *, manifest_only: bool) -> Verification:
    """Check the objects by their listing, and what is in them by a copy of which every byte was compared."""
    try:
        differences = tuple(check_published(store, prefix))
        if manifest_only or differences:
            return Verification(not differences, _MANIFEST_ONLY, {}, differences)
        settings = load_settings()
        with CatalogCache(settings.cache_dir, settings.cache_bytes, store).open(prefix) as folder:
            found = validate_export(folder)
    except StorageError as error:
        return Verification(passed=False, engine=_MANIFEST_ONLY, checks={}, failures=(str(error),))
    return replace(found, failures=tuple(line.replace(f"{folder}", str(prefix)) for line in found.failures))
