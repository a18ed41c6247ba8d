"""The one way from a slice to a published export: build, verify in the engine, describe, publish.

What a format looks like belongs to its exporter, how a directory is published to `storage.publish`, and objects to
`storage.publish_objects`. Everything happens in a hidden folder, beside the output or, for an object store, below the
home folder, so whatever goes wrong before the last step leaves the output as it was.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.manifest import MANIFEST_NAME, check_manifest, read_manifest, write_manifest
from pipeline_defs.exports.registry import get_exporter
from pipeline_defs.progress import Step, ignore
from pipeline_defs.settings import load_settings
from pipeline_defs.storage.contents import refuse_foreign
from pipeline_defs.storage.locations import Location, S3Location
from pipeline_defs.storage.objects import ObjectStore
from pipeline_defs.storage.publish import publish_directory, staging
from pipeline_defs.storage.publish_objects import publish_objects, refuse_foreign_objects

if TYPE_CHECKING:
    import datetime as dt

    import polars as pl

    from pipeline_defs.progress import OnProgress
    from pipeline_defs.schema.exports import MarketSlice, Verification

_FAILURES_SHOWN: Final = 10
_STEPS: Final = 3


@dataclass(frozen=True, slots=True)
class PublishedExport[Place: Location]:
    """An export that its engine has confirmed and that readers can see.

    Parameters
    ----------
    path : Path or S3Location
        Published folder, absolute, or prefix.
    manifest : Path or S3Location
        Its manifest.
    format : str
        Name of the format.
    catalog_hash : str
        SHA-256 over the list of its files.
    counts : dict
        Rows by kind, with `bars` and `instruments`.
    engine : str
        Engine and version it was written for.
    verification : Verification
        What the engine read back.
    known_at : datetime.datetime
        Knowledge time of the data: as of it the same export can be made again.
    size_bytes : int
        Of all its files but the manifest.
    instruments : polars.DataFrame
        As in `BuiltExport`: what the instruments are called in the format.
    sources : tuple of str, default ()
        Whose observations it holds, sorted; the manifest says which are where.

    """

    path: Place
    manifest: Place
    format: str
    catalog_hash: str
    counts: dict[str, int]
    engine: str
    verification: Verification
    known_at: dt.datetime
    size_bytes: int
    instruments: pl.DataFrame = field(compare=False)
    sources: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether the engine confirmed it; an export that it did not confirm is never published."""
        return self.verification.passed

    def to_json(self) -> dict[str, Any]:
        """Give the export as a JSON object.

        Returns
        -------
        dict
            `path`, `manifest`, `verified`, `format`, `rows` (bars), `instruments`, `engine`,
            `catalog_hash` and `known_at`.

        """
        return {
            "path": str(self.path),
            "manifest": str(self.manifest),
            "verified": self.verified,
            "format": self.format,
            "rows": self.counts["bars"],
            "instruments": self.counts["instruments"],
            "engine": self.engine,
            "catalog_hash": self.catalog_hash,
            "known_at": self.known_at.isoformat(),
        }


def export_slice[Place: Location](
    format_name: str, market: MarketSlice, output: Place, *, on_progress: OnProgress = ignore
) -> PublishedExport[Place]:
    """Export a slice, have the engine verify it, and publish it atomically.

    Parameters
    ----------
    format_name : str
        As in ``pipeline export --format``.
    market : MarketSlice
        What to export.
    output : Path or S3Location
        Folder, or prefix in an object store, to publish. An export of ours that is there is replaced, or left alone if
        it already holds the same bytes; of an object store's, only what changed is sent.
    on_progress : callable, optional
        Told before it is built, verified and published.

    Returns
    -------
    PublishedExport

    Raises
    ------
    ConfigurationError
        If no format has that name.
    ExportError
        If the slice is empty, `output` holds files that no export of ours put there, the slice cannot
        be expressed in the format, or the engine did not confirm it. Nothing is published then.
    StorageError
        If the object store refuses or fails; what was published before stays readable then.

    """
    exporter = get_exporter(format_name)
    if isinstance(output, Path):
        output = cast("Place", output.absolute())
    where = f"{format_name} export of {market.underlying} {market.start_date} to {market.end_date}"
    _refuse_empty(market, where)
    _refuse_foreign(output)
    with staging(_staging_place(output)) as staged:
        on_progress(Step(f"building {market.underlying} for {format_name}", 0, _STEPS))
        built = exporter.build(market, staged)
        on_progress(Step(f"reading {market.underlying} back with {format_name}", 1, _STEPS))
        verification = exporter.verify(built, market)
        if not verification.passed:
            raise ExportError(
                f"{verification.engine} did not confirm it, nothing was published:\n{_told(verification.failures)}",
                where=where,
                next_step="if the data are right, this is a defect of the exporter: report these lines",
            )
        write_manifest(staged, format_name, market, built, verification)
        described = read_manifest(staged)
        on_progress(Step(f"publishing {market.underlying} for {format_name}", 2, _STEPS))
        _publish(staged, output)
    return PublishedExport(
        path=output,
        manifest=cast("Place", output / MANIFEST_NAME),
        format=format_name,
        catalog_hash=described["catalog_hash"],
        counts=built.counts,
        engine=built.engine,
        verification=verification,
        known_at=market.known_at,
        size_bytes=sum(entry["size_bytes"] for entry in described["objects"]),
        instruments=built.instruments,
        sources=() if market.choice is None else market.choice.sources,
    )


def _refuse_empty(market: MarketSlice, where: str) -> None:
    bars = int(market.instruments["row_count"].sum())
    if bars == 0 or market.sessions.is_empty():
        raise ExportError(
            f"there is nothing to export: {market.instruments.height} instruments with {bars} bars of "
            f"{market.bar_seconds} seconds in {market.sessions.height} sessions",
            where=where,
            next_step="import the days first, and check the name of the underlying and the dates",
        )


def _staging_place(output: Location) -> Path:
    """Give the folder beside which an export is built."""
    if isinstance(output, S3Location):
        return load_settings().home / "publishing" / hashlib.sha256(str(output).encode()).hexdigest()[:16]
    return output


def _refuse_foreign(output: Location) -> None:
    """Refuse to replace what is not ours, before anything is built."""
    if isinstance(output, S3Location):
        refuse_foreign_objects(ObjectStore.open(), output)
    else:
        refuse_foreign(output)


def _publish(staged: Path, output: Location) -> None:
    if isinstance(output, S3Location):
        publish_objects(ObjectStore.open(), staged, output)
    elif not _is_published(staged, output):
        publish_directory(staged, output)


def _is_published(staged: Path, output: Path) -> bool:
    """Tell whether the output holds the very same manifest, and the files it names."""
    published = output / MANIFEST_NAME
    if not published.is_file() or published.read_bytes() != (staged / MANIFEST_NAME).read_bytes():
        return False
    return not check_manifest(output)


def _told(lines: tuple[str, ...] | list[str], separator: str = "\n") -> str:
    shown = list(lines[:_FAILURES_SHOWN])
    if len(lines) > _FAILURES_SHOWN:
        shown.append(f"and {len(lines) - _FAILURES_SHOWN} more")
    return separator.join(shown)
