"""The one way from a slice to a published export: build, verify in the engine, describe, publish.

What a format looks like belongs to its exporter, how a directory is published to `storage.publish`.
Everything happens in a hidden folder beside the output, so whatever goes wrong before the last step
leaves the output as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.manifest import MANIFEST_NAME, check_manifest, read_manifest, write_manifest
from pipeline_defs.exports.registry import get_exporter
from pipeline_defs.storage.publish import publish_directory, staging

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    import polars as pl

    from pipeline_defs.schema.exports import MarketSlice, Verification

_FAILURES_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class PublishedExport:
    """An export that its engine has confirmed and that readers can see.

    Parameters
    ----------
    path : Path
        Published folder, absolute.
    manifest : Path
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

    """

    path: Path
    manifest: Path
    format: str
    catalog_hash: str
    counts: dict[str, int]
    engine: str
    verification: Verification
    known_at: dt.datetime
    size_bytes: int
    instruments: pl.DataFrame

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


def export_slice(format_name: str, market: MarketSlice, output: Path) -> PublishedExport:
    """Export a slice, have the engine verify it, and publish it atomically.

    Parameters
    ----------
    format_name : str
        As in ``pipeline export --format``.
    market : MarketSlice
        What to export.
    output : Path
        Folder to publish. An export of ours that is there is replaced, or left alone if it already
        holds the same bytes.

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

    """
    exporter = get_exporter(format_name)
    output = output.absolute()
    where = f"{format_name} export of {market.underlying} {market.start_date} to {market.end_date}"
    _refuse_empty(market, where)
    _refuse_foreign(output)
    with staging(output) as staged:
        built = exporter.build(market, staged)
        verification = exporter.verify(built, market)
        if not verification.passed:
            raise ExportError(
                f"{verification.engine} did not confirm it, nothing was published:\n{_told(verification.failures)}",
                where=where,
                next_step="if the data are right, this is a defect of the exporter: report these lines",
            )
        write_manifest(staged, format_name, market, built, verification)
        described = read_manifest(staged)
        if not _is_published(staged, output):
            publish_directory(staged, output)
    return PublishedExport(
        path=output,
        manifest=output / MANIFEST_NAME,
        format=format_name,
        catalog_hash=described["catalog_hash"],
        counts=built.counts,
        engine=built.engine,
        verification=verification,
        known_at=market.known_at,
        size_bytes=sum(entry["size_bytes"] for entry in described["objects"]),
        instruments=built.instruments,
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


def _refuse_foreign(output: Path) -> None:
    """Refuse to replace what is not ours: replacing means removing."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / MANIFEST_NAME).is_file():
        raise ExportError(
            f"is not empty and not one of our exports (it holds no {MANIFEST_NAME}), so it is not replaced",
            where=str(output),
            next_step="choose another output folder, or empty this one",
        )
    ours = {entry["path"] for entry in read_manifest(output)["objects"]} | {MANIFEST_NAME}
    found = (path.relative_to(output) for path in output.rglob("*") if path.is_file())
    foreign = sorted(
        path.as_posix()
        for path in found
        # Hidden files are what file managers leave behind.
        if path.as_posix() not in ours and not path.name.startswith(".")
    )
    if foreign:
        raise ExportError(
            f"holds {len(foreign)} files that the export did not put there and that replacing it would remove: "
            f"{_told(foreign, ', ')}",
            where=str(output),
            next_step="move them elsewhere, or choose another output folder",
        )


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
