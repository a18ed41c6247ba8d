"""Every upload that has settled through the import path, then to ``done`` or ``rejected``."""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

import psycopg

from pipeline_defs.errors import PipelineError, SourceError, StorageError, WarehouseError
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.schema.previews import MAX_TOLD, NothingUsableError, RefusedLine
from pipeline_defs.settings import load_settings
from pipeline_defs.sources.registry import get_source
from pipeline_defs.storage.file_locks import lock_file
from pipeline_defs.storage.raw_archive import open_raw_archive
from pipeline_defs.uploads.moving import DONE, REJECTED, find_place, move, recover
from pipeline_defs.uploads.reporting import UploadOutcome, report_text
from pipeline_defs.uploads.waiting import settled_uploads, waiting_uploads
from pipeline_defs.warehouse.listing import list_quarantine
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.reports import refuse_damage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.uploads.waiting import Upload
    from pipeline_defs.warehouse.connection import Warehouse

SOURCE: Final = "manual_csv"
PAUSE_SECONDS: Final = 1.0


@dataclass(slots=True)
class TakenIn:
    """What came of the drop folder.

    Parameters
    ----------
    outcomes : list of UploadOutcome
        Of every upload that was moved.
    arriving : list of str
        Names of files that were still changing: they are for the next time.
    failures : list of (str, PipelineError)
        Uploads that stay where they are, and why: it is not their fault.

    """

    outcomes: list[UploadOutcome] = field(default_factory=list)
    arriving: list[str] = field(default_factory=list)
    failures: list[tuple[str, PipelineError]] = field(default_factory=list)

    @property
    def rejected(self) -> list[UploadOutcome]:
        """Those of which not everything could be stored."""
        return [outcome for outcome in self.outcomes if outcome.is_rejected]


def take_in(
    warehouse: Warehouse, folder: Path, *, pause_seconds: float = PAUSE_SECONDS, dagster_run_id: str | None = None
) -> TakenIn:
    """Import every upload that has settled, and move it away with a report.

    Only one process does so at a time; another waits for it. Killed at any instant, it begins again with what was not
    moved: rows that are stored already are found unchanged.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    folder : Path
        Drop folder; made if it does not exist.
    pause_seconds : float, default 1
        A file that changes in that time is still arriving.
    dagster_run_id : str, optional
        Recorded with each load.

    Returns
    -------
    TakenIn

    """
    folder.mkdir(parents=True, exist_ok=True)
    taken = TakenIn()
    with _alone(folder):
        recover(folder)
        uploads, taken.arriving = settled_uploads(folder, pause_seconds)
        for upload in uploads:
            try:
                outcome = _take(warehouse, folder, upload, dagster_run_id)
            except (WarehouseError, StorageError, psycopg.Error, OSError) as error:
                taken.failures.append((upload.path.name, _explained(error, upload)))
                if not _answers(warehouse):
                    break
                continue
            if outcome is None:
                taken.arriving.append(upload.path.name)
            else:
                taken.outcomes.append(outcome)
    return taken


def _take(warehouse: Warehouse, folder: Path, upload: Upload, run_id: str | None) -> UploadOutcome | None:
    """Import one upload and move it; None if it changed meanwhile."""
    before = _digests(upload)
    if before is None:
        return None
    outcome = _import(warehouse, upload, before[0], run_id)
    if _digests(upload) != before:
        return None
    now = dt.datetime.now(dt.UTC)
    part = REJECTED if outcome.is_rejected else DONE
    place = find_place(folder / part / now.date().isoformat(), upload.path.name)
    others = [one for one in waiting_uploads(folder) if one.path != upload.path and one.mapping == upload.mapping]
    move(upload, place, report_text(outcome, now), keep_mapping=bool(others) or not upload.has_own_mapping)
    outcome.place, outcome.report = place.file, place.report
    return outcome


def _import(warehouse: Warehouse, upload: Upload, sha256: str, run_id: str | None) -> UploadOutcome:
    outcome = UploadOutcome(upload.path.name, sha256)
    archive = open_raw_archive(load_settings(), SOURCE)
    request = ImportRequest(path=upload.path, archive=archive)
    try:
        for report in import_source(warehouse, get_source(SOURCE), request, dagster_run_id=run_id):
            outcome.loads.append(report)
        refuse_damage(outcome.loads)
    except (WarehouseError, StorageError, psycopg.Error, OSError, MemoryError):
        raise
    except NothingUsableError as error:
        outcome.error, outcome.first_refused = error, list(error.refused)
    except PipelineError as error:
        outcome.error = error
    except Exception as error:  # noqa: BLE001 -- a file that nobody foresaw must not keep all others waiting
        outcome.error = SourceError(
            f"could not be read: {type(error).__name__}: {error}",
            where=str(upload.path),
            next_step="check the file; if it is as it should be, this is a defect: please report it with the file",
        )
    for load in outcome.loads:
        room = MAX_TOLD - len(outcome.first_refused)
        outcome.first_refused += [
            RefusedLine(line.file, line.line, line.reason, line.text)
            for line in (islice(list_quarantine(warehouse, load.load_id), room) if room else ())
        ]
    return outcome


def _digests(upload: Upload) -> tuple[str, str | None] | None:
    """Give the contents that are imported; None if the file is gone."""
    try:
        return _digest(upload.path), None if upload.mapping is None else _digest(upload.mapping)
    except FileNotFoundError:
        return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _explained(error: PipelineError | psycopg.Error | OSError, upload: Upload) -> PipelineError:
    if isinstance(error, PipelineError):
        return error
    if isinstance(error, OSError):
        return StorageError(
            f"cannot be read or moved: {error.strerror or error}",
            where=str(upload.path),
            next_step="give the pipeline's account its rights and room on the disk; it is tried again then",
        )
    return WarehouseError(f"the database refused: {str(error).strip()}", where=str(upload.path))


def _answers(warehouse: Warehouse) -> bool:
    try:
        with warehouse.connect() as connection:
            connection.execute("SELECT 1")
    except (psycopg.Error, PipelineError):
        return False
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = lock_file(folder / ".lock", fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)
