"""What an export says about itself: ``_manifest.json``, written last, and compared with the files on request.

The manifest names every file with its size and hash, the partition, the loads it draws on, the versions
that wrote it, and what the engine confirmed. It holds no time of writing: the same inputs give the
same bytes. Engines ignore the file.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import polars as pl

import pipeline_defs
from pipeline_defs.errors import ExportError

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice, Verification

MANIFEST_NAME: Final = "_manifest.json"
MANIFEST_VERSION: Final = 1
"""Raised when a reader of an older version would misread a manifest."""

_KIND: Final = "market-data-pipeline export"


def write_manifest(
    root: Path, format_name: str, market: MarketSlice, built: BuiltExport, verification: Verification
) -> Path:
    """Describe a finished, verified export in its own folder.

    Parameters
    ----------
    root : Path
        Folder of the export; every file in it is recorded.
    format_name : str
        As in ``pipeline export --format``.
    market : MarketSlice
        What was exported.
    built : BuiltExport
        What the exporter wrote.
    verification : Verification
        What the engine read back.

    Returns
    -------
    Path
        The manifest.

    """
    objects = list_objects(root)
    bounds = market.sessions.select(start=pl.col("open").min(), end=pl.col("close").max()).row(0)
    first, last = built.instruments.select(pl.col("first_timestamp").min(), last=pl.col("last_timestamp").max()).row(0)
    content = {
        "kind": _KIND,
        "version": MANIFEST_VERSION,
        "format": format_name,
        "engine": built.engine,
        "written_by": {
            "market-data-pipeline": pipeline_defs.__version__,
            "polars": pl.__version__,
            "pyarrow": version("pyarrow"),
        },
        "partition": {
            "underlying": market.underlying,
            "start_date": market.start_date.isoformat(),
            "end_date": market.end_date.isoformat(),
            "bar_seconds": market.bar_seconds,
            "timezone": market.timezone,
            "start": _utc(bounds[0]),
            "end": _utc(bounds[1]),
        },
        "counts": built.counts,
        "first_timestamp": _utc(first),
        "last_timestamp": _utc(last),
        "load_ids": list(market.load_ids),
        "sources": None if market.choice is None else market.choice.to_json(),
        "details": built.details,
        "verification": {
            "passed": verification.passed,
            "engine": verification.engine,
            "checks": verification.checks,
            "failures": list(verification.failures),
        },
        "catalog_hash": catalog_hash(objects),
        "objects": objects,
    }
    path = root / MANIFEST_NAME
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False, default=str)
    path.write_text(f"{text}\n", encoding="utf-8")
    return path


def read_manifest(root: Path) -> dict[str, Any]:
    """Read the manifest of an export.

    Parameters
    ----------
    root : Path
        Folder of the export.

    Returns
    -------
    dict
        The manifest's JSON object.

    Raises
    ------
    ExportError
        If there is no manifest, it is not one of ours, or a newer version of the package wrote it.

    """
    path = root / MANIFEST_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExportError(f"holds no {MANIFEST_NAME}, so it is not one of our exports", where=str(root)) from None
    except (ValueError, RecursionError) as error:
        raise ExportError(
            f"is not readable as JSON: {error}", where=str(path), next_step="remove the folder and export again"
        ) from error
    if not isinstance(content, dict) or content.get("kind") != _KIND:
        raise ExportError(f"does not say that it is a {_KIND!r}", where=str(path))
    version_written = content.get("version")
    if not isinstance(version_written, int):
        raise ExportError(f"has version {version_written!r}, expected a number", where=str(path))
    if version_written > MANIFEST_VERSION:
        raise ExportError(
            f"has version {version_written}, expected at most {MANIFEST_VERSION}",
            where=str(path),
            next_step="use the version of the pipeline that wrote it, or a newer one",
        )
    return content


def check_manifest(root: Path) -> list[str]:
    """Compare an export with its manifest, byte by byte.

    Parameters
    ----------
    root : Path
        Folder of the export.

    Returns
    -------
    list of str
        One line per difference, sorted by path; empty when every file is as it was published.

    Raises
    ------
    ExportError
        See `read_manifest`.

    """
    expected = {entry["path"]: entry for entry in read_manifest(root)["objects"]}
    found = {entry["path"]: entry for entry in list_objects(root)}
    differences = []
    for path in sorted(expected | found):
        if path not in found:
            differences.append(f"{path}: is missing")
        elif path not in expected:
            differences.append(f"{path}: is not in the manifest")
        elif expected[path] != found[path]:
            was, now = expected[path], found[path]
            differences.append(
                f"{path}: expected {was['size_bytes']} bytes with sha256 {was['sha256']}, "
                f"found {now['size_bytes']} with {now['sha256']}"
            )
    return differences


def list_objects(root: Path) -> list[dict[str, Any]]:
    """List the files of an export, without its manifest.

    Parameters
    ----------
    root : Path
        Folder of the export.

    Returns
    -------
    list of dict
        `path` (relative, with ``/``), `sha256` and `size_bytes`, sorted by path.

    """
    files = (path for path in root.rglob("*") if path.is_file() and path != root / MANIFEST_NAME)
    return sorted(
        (
            {"path": path.relative_to(root).as_posix(), "sha256": _sha256(path), "size_bytes": path.stat().st_size}
            for path in files
        ),
        key=lambda entry: str(entry["path"]),
    )


def catalog_hash(objects: list[dict[str, Any]]) -> str:
    """Name the content of an export by one hash.

    Parameters
    ----------
    objects : list of dict
        What `list_objects` returned.

    Returns
    -------
    str
        SHA-256, in hexadecimal, of the list as compact JSON with sorted keys.

    """
    return hashlib.sha256(json.dumps(objects, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _utc(instant: dt.datetime) -> str:
    return instant.isoformat()
