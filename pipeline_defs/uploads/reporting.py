"""What the report beside an upload says: for the person who uploaded it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline_defs.schema.previews import MAX_TOLD

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.errors import PipelineError
    from pipeline_defs.schema.previews import RefusedLine
    from pipeline_defs.warehouse.reports import LoadReport


@dataclass(slots=True)
class UploadOutcome:
    """What came of one upload.

    Parameters
    ----------
    name : str
        Of the file, as it was uploaded.
    sha256 : str
        Of the file.
    loads : list of LoadReport
        What was stored.
    first_refused : list of RefusedLine
        At most `MAX_TOLD`.
    error : PipelineError or None
        Why it is rejected.
    place, report : Path or None
        Where file and report lie now; None before it was moved.

    """

    name: str
    sha256: str
    loads: list[LoadReport] = field(default_factory=list)
    first_refused: list[RefusedLine] = field(default_factory=list)
    error: PipelineError | None = None
    place: Path | None = None
    report: Path | None = None

    @property
    def is_rejected(self) -> bool:
        """Whether not everything of it could be stored."""
        return self.error is not None

    def counts(self) -> dict[str, int]:
        """Sum the rows of all loads."""
        return {
            "read": sum(load.read for load in self.loads),
            "stored": sum(load.stored for load in self.loads),
            "unchanged": sum(load.unchanged for load in self.loads),
            "corrected": sum(load.corrected for load in self.loads),
            "retired": sum(load.retired for load in self.loads),
            "refused": sum(sum(load.quarantined.values()) for load in self.loads),
        }

    def to_json(self) -> dict[str, Any]:
        """Give the stable shape that ``pipeline uploads --json`` prints."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "rejected": self.is_rejected,
            "place": None if self.place is None else str(self.place),
            "report": None if self.report is None else str(self.report),
            "counts": self.counts(),
            "loads": [load.to_json() for load in self.loads],
            "first_refused": [line.to_json() for line in self.first_refused],
            "error": None if self.error is None else str(self.error),
        }


def report_text(outcome: UploadOutcome, now: dt.datetime) -> str:
    """Write the report of an upload.

    Parameters
    ----------
    outcome : UploadOutcome
        Before it was moved.
    now : datetime.datetime
        When.

    Returns
    -------
    str
        Markdown.

    """
    verdict = "rejected" if outcome.is_rejected else "imported"
    parts = [f"# {outcome.name}: {verdict}", f"{now.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC, sha256 {outcome.sha256}"]
    if outcome.error is not None:
        parts.append(f"## What was wrong\n\n{_error(outcome.error)}")
    if outcome.loads:
        counts = ", ".join(f"{name} {count}" for name, count in outcome.counts().items())
        parts.append(f"## Loads\n\n{_loads(outcome.loads)}\n\nIn all: {counts}.")
        parts += [f"All refused lines of a load: `pipeline quarantine --load {outcome.loads[0].load_id}`."]
    else:
        parts.append("Nothing was stored.")
    if outcome.first_refused:
        lines = "\n".join(map(str, outcome.first_refused))
        parts.append(f"## The first refused lines\n\nAt most {MAX_TOLD} of them.\n\n```\n{lines}\n```")
    return "\n\n".join(parts) + "\n"


def _error(error: PipelineError) -> str:
    where = "" if error.where is None else f"{error.where}: "
    step = "" if error.next_step is None else f"\n\nNext: {error.next_step}"
    return f"{where}{error.what}{step}\n\nThen put the file, with its mapping, into the folder for uploads again."


def _loads(loads: list[LoadReport]) -> str:
    head = ("load", "table", "trade date", "seconds", "status", "read", "stored", "unchanged", "corrected", "retired")
    rows = [
        (
            *(load.load_id, load.dataset, load.trade_date, load.bar_seconds),
            load.status if not load.message else f"{load.status}: {load.message}",
            *(load.read, load.stored, load.unchanged, load.corrected, load.retired),
        )
        for load in loads
    ]
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
