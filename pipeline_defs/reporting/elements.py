"""What a section of the report is made of: numbers, tables, pictures. What they look like is the page's business."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Tone(StrEnum):
    """How a status is meant; the page gives each a mark beside its colour."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Status:
    """A word of judgement.

    Parameters
    ----------
    word : str
        What is said.
    tone : Tone
        How it is meant.

    """

    word: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class Number:
    """A number with its own way to be written.

    Parameters
    ----------
    value : float
        What is sorted by.
    shown : str
        What is read.

    """

    value: float
    shown: str


@dataclass(frozen=True, slots=True)
class Folded:
    """A long list that opens on request.

    Parameters
    ----------
    summary : str
        What is seen first.
    lines : sequence of str
        What is inside.

    """

    summary: str
    lines: Sequence[str]


type Cell = str | int | Status | Number | Folded | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Parameters
    ----------
    name : str
        Unique in the report; lower case, hyphens.
    caption : str
        What it shows, in a sentence.
    header : sequence of str
        Column names.
    rows : sequence of sequence of Cell
        One cell for each column; the first is the row's heading.
    note : str, default ""
        What is left out, or what to do.

    """

    name: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A number that is read first.

    Parameters
    ----------
    name : str
        Unique in the report; lower case, hyphens.
    label, value : str
        What it is, and how much.
    tone : Tone
        How it is meant.

    """

    name: str
    label: str
    value: str
    tone: Tone = Tone.QUIET


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture.

    Parameters
    ----------
    caption : str
        What it shows.
    svg : str
        Made by `pipeline_defs.plots`, which escapes what it is given.

    """

    caption: str
    svg: str


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a calendar.

    Parameters
    ----------
    number : int
        Of the month.
    mark : str
        What is written in its place; short.
    meaning : str
        What it means, in words.
    tone : Tone or None
        How it is meant; None for a day of which nothing is said.

    """

    number: int
    mark: str
    meaning: str
    tone: Tone | None


@dataclass(frozen=True, slots=True)
class Calendar:
    """Months under each other, their days side by side.

    Parameters
    ----------
    caption : str
        Of which market, and what the marks count.
    months : sequence of (str, sequence of Day)
        Name of the month, and its days from the first on.

    """

    caption: str
    months: Sequence[tuple[str, Sequence[Day]]]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report.

    Parameters
    ----------
    name : str
        Anchor; lower case.
    title, lead : str
        Heading, and a sentence or two on how to read what follows.
    facts, calendars, plots, tables : sequence
        What is shown, in this order.
    empty : str, default ""
        Said in place of all that when there is nothing to show.

    """

    name: str
    title: str
    lead: str
    facts: Sequence[Fact] = field(default_factory=tuple)
    calendars: Sequence[Calendar] = field(default_factory=tuple)
    plots: Sequence[Plot] = field(default_factory=tuple)
    tables: Sequence[Table] = field(default_factory=tuple)
    empty: str = ""


def megabytes(size_bytes: int | None) -> Number | None:
    """Write a size; None where it is not known."""
    return None if size_bytes is None else Number(size_bytes, f"{size_bytes / 1e6:,.1f} MB")


def share(part: int, whole: int) -> Number | None:
    """Write a share in percent, rounded down: only what is whole is 100 %."""
    if not whole:
        return None
    thousandths = 1000 * part // whole
    return Number(thousandths / 10, f"{thousandths / 10:.1f} %")


def resolution(bar_seconds: int) -> str:
    """Name a resolution as people do."""
    names = {0: "ticks", 60: "minute", 3600: "hour", 86_400: "day"}
    return names.get(bar_seconds, f"{bar_seconds} s")
