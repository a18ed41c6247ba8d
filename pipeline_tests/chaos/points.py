"""The places at which a process may die: every step boundary of every operation, one entry each.

A point is a function of the product as its caller finds it, and the side of the call on which the process ends. The
process kills itself (SIGKILL) there, so nothing of Python's or the library's gets to clean up. A new step of the
product is one more line here; `test_points` kills every operation at each of its points.
"""

from __future__ import annotations

import importlib
import os
import signal
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Point:
    """A step boundary.

    Parameters
    ----------
    operation : str
        In the course of what.
    name : str
        What is done by then.
    place : str
        ``module:attribute`` as the caller looks it up; the attribute may be one of a class.
    before : bool, default False
        Die before the call rather than after it.
    saying : str, default ""
        Only if this stands in what it is called with.

    """

    operation: str
    name: str
    place: str
    before: bool = False
    saying: str = ""

    def __str__(self) -> str:
        """Name it for a schedule and for a person."""
        return f"{self.operation}: {self.name}"


_LOADING: Final = "pipeline_defs.warehouse.loading"
_MERGING: Final = "pipeline_defs.warehouse.merging"
_PUBLISH: Final = "pipeline_defs.storage.publish"
_OBJECTS: Final = "pipeline_defs.storage.publish_objects"
_RUN: Final = "pipeline_defs.exports.run"
_STATEMENT: Final = "psycopg:Connection.execute"

IMPORT: Final = (
    Point("import", "delivery being archived", "os:fsync", before=True),
    Point("import", "delivery archived", "pipeline_defs.storage.raw_archive:RawArchive.keep"),
    Point("import", "batch read", f"{_LOADING}:_import_batch", before=True),
    Point("import", "instruments resolved", f"{_LOADING}:resolve_instruments"),
    Point("import", "storage prepared", f"{_LOADING}:prepare_storage"),
    Point("import", "load begun", f"{_LOADING}:begin_load"),
    Point("import", "delivery recorded", f"{_LOADING}:record_delivery"),
    Point("import", "rows sent", f"{_MERGING}:copy_in"),
    Point("import", "fingerprint written", f"{_MERGING}:write_fingerprint"),
    Point("import", "rows merged", f"{_LOADING}:bring_in_line"),
    Point("import", "provenance written", f"{_LOADING}:finish_load"),
    Point("import", "committed, bars not begun", _STATEMENT, before=True, saying="CALL refresh_bars"),
    Point("import", "bars refreshed, window still noted", _STATEMENT, before=True, saying="DELETE FROM pending_bars"),
    Point("import", "use of the cache not counted", f"{_LOADING}:record_cache_use", before=True),
)

CORRECTION: Final = (
    Point("correction", "differences found", f"{_MERGING}:_stage"),
    Point("correction", "old versions kept", f"{_MERGING}:_correct", before=True),
    Point("correction", "rows corrected", f"{_MERGING}:_correct"),
    Point("correction", "rows merged", f"{_LOADING}:bring_in_line"),
    Point("correction", "provenance written", f"{_LOADING}:finish_load"),
    Point("correction", "committed, bars not begun", _STATEMENT, before=True, saying="CALL refresh_bars"),
)

BACKFILL: Final = (
    Point("backfill", "answer kept", "pipeline_defs.sources.asking.answers:Answers.put"),
    Point("backfill", "answer being written", "pipeline_defs.sources.asking.answers:Answers.put", before=True),
    Point("backfill", "day read", f"{_LOADING}:_import_batch", before=True),
    Point("backfill", "day stored", f"{_LOADING}:_import_batch"),
    Point("backfill", "day committed, answers not forgotten", f"{_LOADING}:record_cache_use"),
)

EXPORT: Final = (
    Point("export", "slice read", "pipeline_defs.publishing:export_slice", before=True),
    Point("export", "files written and verified", f"{_RUN}:write_manifest", before=True),
    Point("export", "manifest written", f"{_RUN}:write_manifest"),
    Point("export", "files on the disk", f"{_PUBLISH}:_flush_tree"),
    Point("export", "published, old tree beside", f"{_PUBLISH}:_exchange"),
    Point("export", "old tree being removed", f"{_PUBLISH}:time.sleep"),
    Point("export", "published, not recorded", "pipeline_defs.publishing:record_catalog", before=True),
    Point("export", "recorded", "pipeline_defs.publishing:record_catalog"),
)

EXPORT_TO_OBJECTS: Final = (
    Point("export to objects", "turn taken", "pipeline_defs.storage.turns:Turn.take"),
    Point("export to objects", "paths announced", f"{_OBJECTS}:_Publishing._announce"),
    Point("export to objects", "objects uploaded", f"{_OBJECTS}:_Publishing._upload"),
    Point("export to objects", "objects in place", f"{_OBJECTS}:_Publishing._copy"),
    Point("export to objects", "etags recorded", f"{_OBJECTS}:_Publishing._record_etags"),
    Point("export to objects", "manifest written", f"{_OBJECTS}:_Publishing._write_manifest"),
    Point("export to objects", "turn given back", "pipeline_defs.storage.turns:Turn.give_back"),
)

CERTIFICATE: Final = (
    Point("certificate", "compared, not written", "pipeline_defs.publishing:certify"),
    Point("certificate", "file written, not in its place", "pathlib:Path.replace", before=True),
)

UPLOADS: Final = (
    Point("uploads", "file imported, not moved", "pipeline_defs.uploads.taking:_import"),
    Point("uploads", "file being moved", "pipeline_defs.uploads.taking:move", before=True),
    Point("uploads", "file moved, mapping not", "pipeline_defs.uploads.moving:finish", before=True),
)

GREEKS: Final = (
    Point("greeks", "session read", "pipeline_defs.greeks.session:store_greeks", before=True),
    Point("greeks", "rows written, not committed", "pipeline_defs.greeks.session:store_greeks"),
)

RECONCILIATION: Final = (
    Point("reconciliation", "days gathered", "pipeline_defs.reconciliation.comparing:_gather"),
    Point("reconciliation", "outcome written, not committed", "pipeline_defs.reconciliation.comparing:_compare"),
)

POINTS: Final = (
    *IMPORT,
    *CORRECTION,
    *BACKFILL,
    *EXPORT,
    *EXPORT_TO_OBJECTS,
    *CERTIFICATE,
    *UPLOADS,
    *GREEKS,
    *RECONCILIATION,
)
"""Every point of the operations that a chaos world has. Schema migrations, moved-in stores and recordings die in the
tests of their own rooms; docs/production/faults.md names them."""


def points_of(operation: str) -> tuple[Point, ...]:
    """Give the points of an operation, in the order in which it comes by them."""
    return tuple(point for point in POINTS if point.operation == operation)


def die_at(point: Point, occurrence: int = 1) -> None:
    """Arrange that this process kills itself at a point, when it comes there for the given time.

    Raises
    ------
    LookupError
        If the product has no such place any more: the list is to be mended.

    """
    arrivals = 0

    def arrive(arguments: tuple[object, ...]) -> None:
        nonlocal arrivals
        if point.saying and not any(point.saying in str(one) for one in arguments):
            return
        arrivals += 1
        if arrivals == occurrence:
            os.kill(os.getpid(), signal.SIGKILL)

    owner, name, function = _find(point.place)

    @wraps(function)
    def dying(*arguments: Any, **named: Any) -> Any:
        if point.before:
            arrive(arguments)
        result = function(*arguments, **named)
        if not point.before:
            arrive(arguments)
        return result

    setattr(owner, name, dying)


def _find(place: str) -> tuple[Any, str, Callable[..., Any]]:
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    if name not in vars(owner):
        raise LookupError(f"{place} is no place of the product any more")
    return owner, name, getattr(owner, name)
