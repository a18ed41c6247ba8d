"""An import without storing anything: every file is read and judged, and what would come of it is told.

Callable without the command line. It needs no database.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline_defs.errors import PipelineError, SourceError
from pipeline_defs.schema.previews import MAX_TOLD, FilePreview, NothingUsableError, Previewing, RefusedLine
from pipeline_defs.warehouse.loading import find_damage

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.schema.batches import ImportBatch, ImportRequest, Source


@dataclass(slots=True)
class FileOutcome:
    """What would come of one file.

    Parameters
    ----------
    path : str
        File, with the archive's member after ``!``.
    preview : FilePreview or None
        How its columns are read, if the source can tell.
    good : int
        Rows that would be stored.
    refused : Counter
        Lines by reason.

    """

    path: str
    preview: FilePreview | None = None
    good: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Give the stable shape of ``--dry-run --json``."""
        preview = self.preview
        return {
            "path": self.path,
            "layout": None if preview is None else preview.layout,
            "columns": [] if preview is None else [column.to_json() for column in preview.columns],
            "left_alone": [] if preview is None else list(preview.left_alone),
            "fixed": {} if preview is None else preview.fixed,
            "good": self.good,
            "refused": dict(sorted(self.refused.items())),
        }


@dataclass(frozen=True, slots=True)
class PartitionOutcome:
    """What would come of one table, resolution and trade date.

    Parameters
    ----------
    dataset : str
        Table.
    trade_date : datetime.date
        Its day.
    bar_seconds : int
        Resolution.
    good, refused : int
        Rows.
    damage : str or None
        Why nothing of it would be stored.

    """

    dataset: str
    trade_date: dt.date
    bar_seconds: int
    good: int
    refused: int
    damage: str | None

    def to_json(self) -> dict[str, Any]:
        """Give the stable shape of ``--dry-run --json``."""
        return {
            "dataset": self.dataset,
            "partition": self.trade_date.isoformat(),
            "bar_seconds": self.bar_seconds,
            "good": self.good,
            "refused": self.refused,
            "damage": self.damage,
        }


@dataclass(slots=True)
class Rehearsal:
    """What an import would do.

    Parameters
    ----------
    files : list of FileOutcome
        In the order in which they are read.
    partitions : list of PartitionOutcome
        In the order in which they would be stored.
    first_refused : list of RefusedLine
        At most `MAX_TOLD`.
    error : PipelineError or None
        What would stop the import.

    """

    files: list[FileOutcome] = field(default_factory=list)
    partitions: list[PartitionOutcome] = field(default_factory=list)
    first_refused: list[RefusedLine] = field(default_factory=list)
    error: PipelineError | None = None

    @property
    def is_importable(self) -> bool:
        """Whether there is something to store, and nothing damaged."""
        return self.error is None and bool(self.partitions) and all(one.damage is None for one in self.partitions)

    def to_json(self) -> dict[str, Any]:
        """Give the stable shape of ``--dry-run --json``."""
        return {
            "importable": self.is_importable,
            "files": [file.to_json() for file in self.files],
            "partitions": [partition.to_json() for partition in self.partitions],
            "first_refused": [line.to_json() for line in self.first_refused],
            "error": None if self.error is None else str(self.error),
        }


def rehearse(source: Source, request: ImportRequest) -> Rehearsal:
    """Read and judge everything that an import would read; write nothing.

    Parameters
    ----------
    source : Source
        Of files.
    request : ImportRequest
        What is wanted; ledger and archive are not asked.

    Returns
    -------
    Rehearsal
        Also when an error would stop the import: with what was known by then.

    Raises
    ------
    SourceError
        If the source asks a vendor: a rehearsal of that would cost as much as the import.

    """
    if source.get_metadata().source_type != "file":
        raise SourceError(
            "only sources of files can be rehearsed",
            where=f"source {source.name}",
            next_step="import a short range of dates without --dry-run",
        )
    told = Rehearsal()
    request = replace(request, ledger=None, archive=None)
    by_path: dict[str, FileOutcome] = {}
    try:
        for preview in source.preview(request) if isinstance(source, Previewing) else ():
            by_path[preview.path] = FileOutcome(preview.path, preview)
        for batch in source.fetch(request):
            _take(told, by_path, batch)
    except NothingUsableError as error:
        told.first_refused = list(error.refused)
        for (path, reason), lines in error.counts.items():
            by_path.setdefault(path, FileOutcome(path)).refused[reason] += lines
        told.error = error
    except PipelineError as error:
        told.error = error
    told.files = list(by_path.values())
    return told


def _take(told: Rehearsal, by_path: dict[str, FileOutcome], batch: ImportBatch) -> None:
    names = {
        index: path if member is None else f"{path}!{member}"
        for index, path, member in batch.files.select("file_index", "path", "member").iter_rows()
    }
    for name in names.values():
        by_path.setdefault(name, FileOutcome(name))
    for index, rows in batch.observations.group_by("file_index").len().iter_rows():
        by_path[names[index]].good += rows
    for index, reason, rows in batch.rejects.group_by("file_index", "reason").len().iter_rows():
        by_path[names[index]].refused[reason] += rows
    room = MAX_TOLD - len(told.first_refused)
    first = batch.rejects.sort("file_index", "line").head(room)
    told.first_refused += [
        RefusedLine(names[index], line, reason, text)
        for index, line, reason, text in first.select("file_index", "line", "reason", "text").iter_rows()
    ]
    told.partitions.append(
        PartitionOutcome(
            dataset=batch.table,
            trade_date=batch.trade_date,
            bar_seconds=batch.bar_seconds,
            good=batch.observations.height,
            refused=batch.rejects.height,
            damage=find_damage(batch),
        )
    )
