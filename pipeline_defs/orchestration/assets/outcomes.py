"""What an import or an export came to, as metadata: the same words whoever asked for it.

Assets put it on their materialisations, commands on the events and outputs of their runs. Names are steady, so that the
UI plots numbers over partitions and runs.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from pipeline_defs.orchestration import evidence, pictures
from pipeline_defs.orchestration.display import markdown_table
from pipeline_defs.storage.locations import as_uri

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from pipeline_defs.exports.run import PublishedExport
    from pipeline_defs.storage.locations import Location
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

_MAX_FILES_SHOWN: Final = 20
_MAX_LOADS_SHOWN: Final = 100


def describe_partition(
    warehouse: Warehouse, partition: evidence.Partition, reports: Sequence[LoadReport], seconds: float
) -> tuple[str, dict[str, Any]]:
    """Describe a partition after an import: what came in, and what the warehouse holds of it now.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    partition : evidence.Partition
        The table, source and session.
    reports : sequence of LoadReport
        Of its loads.
    seconds : float
        How long it took.

    Returns
    -------
    tuple of str and dict
        Hash of the content, which is its data version, and the metadata.

    """
    state = evidence.partition_state(warehouse, partition)
    files = evidence.files_read(warehouse, [report.load_id for report in reports])
    metadata = {
        **count_rows(reports),
        "dagster/partition_row_count": state.rows,
        "instruments": state.instruments,
        "seconds": round(seconds, 3),
        "files_read": len(files),
        "bytes_read": sum(file.size_bytes for file in files),
        **describe_files(files),
        **describe_loads(reports),
        **pictures.session_pictures(warehouse, partition),
    }
    return state.content_hash, metadata


def count_rows(reports: Sequence[LoadReport]) -> dict[str, int]:
    """Add up what became of the lines that were read."""
    return {
        "rows_read": sum(report.read for report in reports),
        "rows_stored": sum(report.stored for report in reports),
        "rows_unchanged": sum(report.unchanged for report in reports),
        "rows_corrected": sum(report.corrected for report in reports),
        "rows_retired": sum(report.retired for report in reports),
        "rows_quarantined": sum(sum(report.quarantined.values()) for report in reports),
    }


def describe_loads(reports: Sequence[LoadReport]) -> dict[str, Any]:
    """List the loads, why lines were refused, and whether an API had to be called."""
    refused: Counter[str] = Counter()
    for report in reports:
        refused.update(report.quarantined)
    return {
        **describe_cache(reports),
        "loads": dg.MetadataValue.md(_loads_table(reports)),
        "refused": dg.MetadataValue.md(_refused_table(refused)),
    }


def describe_cache(reports: Sequence[LoadReport]) -> dict[str, Any]:
    """Say whether an API had to be called; numbers, so that the UI plots them."""
    calls = [report.calls for report in reports if report.calls is not None]
    if not calls:
        return {}
    return {
        "cache": "hit" if all(report.is_hit for report in reports) else "miss",
        "source_calls": sum(calls),
        "fetch_seconds": round(sum(report.fetch_seconds for report in reports), 3),
    }


def describe_catalog(
    published: PublishedExport[Location], sessions: tuple[dt.date, dt.date], seconds: float
) -> dict[str, Any]:
    """Describe a published export.

    Parameters
    ----------
    published : PublishedExport
        As it was published.
    sessions : tuple of datetime.date
        The first and the last trade date in it.
    seconds : float
        How long it took.

    Returns
    -------
    dict

    """
    return {
        "path": dg.MetadataValue.path(str(published.path)),
        "dagster/uri": as_uri(published.path),
        "manifest": dg.MetadataValue.path(str(published.manifest)),
        "catalog_hash": published.catalog_hash,
        "engine": published.engine,
        "sources": ", ".join(published.sources),
        "first_session": sessions[0].isoformat(),
        "last_session": sessions[1].isoformat(),
        **{f"count_{name}": count for name, count in published.counts.items()},
        "dagster/partition_row_count": published.counts.get("bars", 0),
        "seconds": round(seconds, 3),
    }


def describe_verification(published: PublishedExport[Location]) -> dict[str, Any]:
    """Say what the engine read back."""
    found = markdown_table(["read back", "found"], published.verification.checks.items())
    return {"expected": "what the warehouse holds", "found": dg.MetadataValue.md(found)}


def describe_files(files: Sequence[evidence.FileRead]) -> dict[str, dg.MetadataValue[Any]]:
    """Name the files below the deepest folder they share; a source that is asked over a network has none."""
    if not files:
        return {}
    if not any(Path(file.path).is_absolute() for file in files):
        asked = [(file.path, file.layouts, file.size_bytes) for file in files[:_MAX_FILES_SHOWN]]
        return {"answers": dg.MetadataValue.md(markdown_table(["asked", "of", "bytes"], asked))}
    folder = os.path.commonpath([Path(file.path).parent for file in files])
    shown = [
        (os.path.relpath(file.path, folder), file.layouts, file.members, file.size_bytes)
        for file in files[:_MAX_FILES_SHOWN]
    ]
    more = f"\n\nand {len(files) - len(shown)} more" if len(files) > len(shown) else ""
    table = markdown_table(["file", "layout", "members", "bytes"], shown)
    return {"folder": dg.MetadataValue.path(folder), "files": dg.MetadataValue.md(table + more)}


def _loads_table(reports: Sequence[LoadReport]) -> str:
    shown = [
        (
            str(report.load_id),
            "ticks" if report.bar_seconds == 0 else f"{report.bar_seconds} s",
            report.status if not report.message else f"{report.status}: {report.message}",
            report.read,
            report.stored,
            report.unchanged,
            report.corrected,
            report.retired,
        )
        for report in reports[:_MAX_LOADS_SHOWN]
    ]
    more = f"\n\nand {len(reports) - len(shown)} more" if len(reports) > len(shown) else ""
    header = ["load", "resolution", "status", "read", "stored", "unchanged", "corrected", "retired"]
    return markdown_table(header, shown) + more


def _refused_table(refused: Counter[str]) -> str:
    if not refused:
        return "No line was refused."
    return markdown_table(["reason", "lines or files"], refused.most_common())
