"""``schema.json``: what each file of an export holds, so that a stranger and the manual CSV source can read it.

Columns are described from `pipeline_defs.schema`, nothing is described twice. The same slice gives the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.interchange import SIDECAR_KIND, SIDECAR_NAME, SIDECAR_VERSION, describe
from pipeline_defs.schema.tables import KIND_TABLES, OBSERVATION_TABLES, TICK, table_for

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from pipeline_defs.exports.generic.datasets import Dataset
    from pipeline_defs.schema.exports import MarketSlice

CONVENTIONS: Final[dict[str, str]] = {
    "timestamp": "UTC, ISO 8601 with Z in CSV; a bar is stamped with its close, when it was complete",
    "trade_date": "by the partition's time zone; a bar that closes at midnight belongs to the day before",
    "prices": "exact decimals per unit, in the row's currency; never floats",
    "quantities": "units, never lots or contracts",
    "null": "empty in CSV, null in Parquet: not known, or does not apply",
    "encoding": "UTF-8, lines end with a line feed, fields separated by commas, quoted where needed",
}


@dataclass(frozen=True, slots=True)
class Written:
    """What was written of one file.

    Parameters
    ----------
    dataset : Dataset
        What it is.
    rows : int
        Number of rows.
    kinds : tuple of str
        Kinds of the instruments that have rows in it, ascending; empty for the small files.
    first_timestamp, last_timestamp : datetime.datetime or None
        Of bars and ticks.

    """

    dataset: Dataset
    rows: int
    kinds: tuple[str, ...]
    first_timestamp: dt.datetime | None
    last_timestamp: dt.datetime | None


def partition_of(market: MarketSlice) -> dict[str, str]:
    """Say which part of the market an export holds.

    Parameters
    ----------
    market : MarketSlice
        What is exported.

    Returns
    -------
    dict
        ``underlying``, ``start_date``, ``end_date`` and ``timezone`` of the trade dates.

    """
    return {
        "underlying": market.underlying,
        "start_date": market.start_date.isoformat(),
        "end_date": market.end_date.isoformat(),
        "timezone": market.timezone,
    }


def write_sidecar(root: Path, market: MarketSlice, file_format: str, written: list[Written]) -> None:
    """Describe the files of an export beside them.

    Parameters
    ----------
    root : Path
        Folder of the export.
    market : MarketSlice
        What was exported.
    file_format : str
        Ending of the files.
    written : list of Written
        What was written, in order.

    """
    tables = {table_for(kind, entry.dataset.bar_seconds or TICK) for entry in written for kind in _stored(entry.kinds)}
    content = {
        "kind": SIDECAR_KIND,
        "version": SIDECAR_VERSION,
        "format": file_format,
        "partition": partition_of(market),
        "conventions": CONVENTIONS,
        "tables": {name: OBSERVATION_TABLES[name].meaning for name in sorted(tables)},
        "files": [_describe(entry, file_format) for entry in written],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    (root / SIDECAR_NAME).write_text(f"{text}\n", encoding="utf-8")


def read_sidecar(root: Path) -> dict[str, Any]:
    """Read the sidecar of an export.

    Parameters
    ----------
    root : Path
        Folder of the export.

    Returns
    -------
    dict
        The JSON object.

    Raises
    ------
    ExportError
        If there is none, it is not one of ours, or a newer version of the package wrote it.

    """
    path = root / SIDECAR_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExportError(f"{SIDECAR_NAME} is missing, so nothing says what the files hold", where=str(root)) from None
    except (ValueError, RecursionError) as error:
        raise ExportError(f"is not readable as JSON: {error}", where=str(path)) from error
    if not isinstance(content, dict) or content.get("kind") != SIDECAR_KIND:
        raise ExportError(f"does not say that it describes {SIDECAR_KIND!r}", where=str(path))
    if content.get("version") != SIDECAR_VERSION:
        raise ExportError(
            f"has version {content.get('version')}, expected {SIDECAR_VERSION}",
            where=str(path),
            next_step="export again with this version of the pipeline",
        )
    return content


def _describe(entry: Written, file_format: str) -> dict[str, Any]:
    dataset = entry.dataset
    described: dict[str, Any] = {
        "path": f"{dataset.stem}.{file_format}",
        "content": dataset.content,
        "rows": entry.rows,
        "sorted_by": list(dataset.key),
    }
    if dataset.bar_seconds is not None:
        described |= {
            "bar_seconds": dataset.bar_seconds,
            "derived_from": None if dataset.derived_from is None else f"{dataset.derived_from}.{file_format}",
            "tables": {kind: table_for(kind, dataset.bar_seconds) for kind in _stored(entry.kinds)},
            "first_timestamp": _utc(entry.first_timestamp),
            "last_timestamp": _utc(entry.last_timestamp),
        }
    described["columns"] = [asdict(column) for column in describe(dataset.content, dataset.schema)]
    return described


def _stored(kinds: tuple[str, ...]) -> list[str]:
    return [kind for kind in kinds if kind in KIND_TABLES]


def _utc(instant: dt.datetime | None) -> str | None:
    return None if instant is None else instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace(".000000Z", "Z")
