"""How a source of files reads the columns of a file, for who wants to see it before anything is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from pipeline_defs.errors import SourceError

if TYPE_CHECKING:
    from pipeline_defs.schema.batches import ImportRequest

MAX_TOLD: Final = 10
"""Refused lines that are shown."""


@dataclass(frozen=True, slots=True)
class ColumnPreview:
    """How one field is read.

    Parameters
    ----------
    column : str
        Its column in the file; several, joined by `` + ``.
    field : str
        What the column holds.
    kind : str
        As what it is read, for people.
    values : tuple of tuple
        Of the first rows: the text as it stands, and what was read, None where it could not be.

    """

    column: str
    field: str
    kind: str
    values: tuple[tuple[str, str | None], ...]

    def to_json(self) -> dict[str, Any]:
        """Give the stable shape of ``--dry-run --json``."""
        values = [{"text": text, "read": read} for text, read in self.values]
        return {"column": self.column, "field": self.field, "type": self.kind, "values": values}


@dataclass(frozen=True, slots=True)
class FilePreview:
    """How one file is read.

    Parameters
    ----------
    path : str
        File.
    layout : str
        Who says what its columns mean.
    columns : tuple of ColumnPreview
        In the order of the file.
    left_alone : tuple of str
        Columns that are not read.
    fixed : dict of str to str
        Fields that are the same in all rows.

    """

    path: str
    layout: str
    columns: tuple[ColumnPreview, ...]
    left_alone: tuple[str, ...]
    fixed: dict[str, str]


@runtime_checkable
class Previewing(Protocol):
    """A source that can show how it reads columns."""

    def preview(self, request: ImportRequest) -> list[FilePreview]:
        """Show it, file by file."""
        ...


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that is not stored; line 0 is a whole file.

    Parameters
    ----------
    file : str
        Where it stands, with the archive's member after ``!``.
    line : int
        1-based physical line.
    reason : str
        Steady snake_case word.
    text : str
        As it stands.

    """

    file: str
    line: int
    reason: str
    text: str

    def __str__(self) -> str:
        """Say it on one line."""
        return f"{self.file}:{self.line}: {self.reason}: {self.text}"

    def to_json(self) -> dict[str, Any]:
        """Give the stable shape of JSON outputs."""
        return {"file": self.file, "line": self.line, "reason": self.reason, "text": self.text}


class NothingUsableError(SourceError):
    """Every line was refused.

    Parameters
    ----------
    what, where, next_step : str
        As in `PipelineError`.
    refused : tuple of RefusedLine
        The first of them.
    counts : dict
        All of them, by file and reason.

    """

    def __init__(
        self,
        what: str,
        *,
        where: str,
        next_step: str,
        refused: tuple[RefusedLine, ...],
        counts: dict[tuple[str, str], int],
    ) -> None:
        super().__init__(what, where=where, next_step=next_step)
        self.refused = refused
        self.counts = counts
