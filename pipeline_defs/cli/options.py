"""Types of arguments that the commands share."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Self

import typer

from pipeline_defs.errors import ConfigurationError, UnknownNameError
from pipeline_defs.schema.lengths import parse_lengths


def refusal(message: str) -> ValueError:
    """Make the error with which a parser of arguments refuses a value, so that its message is shown as it is."""
    from pydantic_core import PydanticCustomError  # noqa: PLC0415 -- keeps --help quick

    # Of an ordinary ValueError, the message would be shown behind pydantic's own words.
    return PydanticCustomError("argument", "{message}", {"message": message})


def parse_source(value: str) -> str:
    """Read the name of a source, also as its vendor's users write it; give its own.

    Raises
    ------
    UnknownNameError
        If there is no such source.

    """
    from pipeline_defs.sources.registry import canonical_name, source_entry  # noqa: PLC0415 -- keeps --help quick

    source_entry(value)
    return canonical_name(value)


def parse_dataset(value: str) -> str:
    """Read the name of a table of observations.

    Raises
    ------
    UnknownNameError
        If there is no such table.

    """
    from pipeline_defs.sources.entry import OBSERVED_TABLES  # noqa: PLC0415 -- keeps --help quick

    if value not in OBSERVED_TABLES:
        raise UnknownNameError("table", value, OBSERVED_TABLES)
    return value


def parse_date(value: str | dt.date) -> dt.date:
    """Read a calendar date as YYYY-MM-DD.

    Raises
    ------
    ValueError
        If it is none; the message says what was expected.

    """
    if isinstance(value, dt.date):
        return value
    try:
        date = dt.date.fromisoformat(value)
    except ValueError:
        date = None
    # ISO 8601 has other forms, such as 20250814 and 2025-W33-4: a slip of the pen must not become one of them.
    if date is None or date.isoformat() != value:
        raise refusal(f"{value!r} is not a date; expected YYYY-MM-DD, e.g. 2025-08-14")
    return date


def parse_instant(value: str | dt.datetime) -> dt.datetime:
    """Read a point in time with its offset, as ISO 8601 writes it.

    Raises
    ------
    ValueError
        If it is none, or has no offset; the message says what was expected.

    """
    if isinstance(value, dt.datetime):
        return value
    try:
        instant = dt.datetime.fromisoformat(value)
        is_one = instant.tzinfo is not None and bool(instant.astimezone(dt.UTC))
    except (ValueError, OverflowError):  # the latter where UTC has no such year
        is_one = False
    if not is_one:
        raise refusal(f"{value!r} is not an instant; expected date, time and offset, e.g. 2025-08-14T18:00+05:30")
    return instant


@dataclass(frozen=True, slots=True)
class BarLengths:
    """Lengths of bars, as traders write them: ``1m,1h,1d``.

    Parameters
    ----------
    seconds : tuple of int
        The shortest first.
    text : str
        As it was written.

    """

    seconds: tuple[int, ...]
    text: str

    def __str__(self) -> str:
        """Give the text, for help pages."""
        return self.text

    @classmethod
    def parse(cls, value: str | Self) -> Self:
        """Read the text.

        Raises
        ------
        ValueError
            If a length is none; the message says what was expected.

        """
        if isinstance(value, cls):
            return value
        try:
            return cls(parse_lengths(str(value)), str(value))
        except ConfigurationError as error:
            raise refusal(error.what) from error


def refuse_reversed(first_option: str, first: dt.date, last_option: str, last: dt.date) -> None:
    """Refuse a range that ends before it begins.

    Raises
    ------
    typer.BadParameter
        If `first` is later than `last`.

    """
    if first > last:
        raise typer.BadParameter(
            f"{first} is later than {last_option} {last}; exchange the two", param_hint=first_option
        )


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
OnlyDataset = Annotated[str | None, typer.Option("--dataset", help="Only this table.", parser=parse_dataset)]
OnlySource = Annotated[str | None, typer.Option("--source", help="Only this source.", parser=parse_source)]
FromDate = Annotated[dt.date | None, typer.Option("--from", help="First trade date, inclusive.", parser=parse_date)]
ToDate = Annotated[dt.date | None, typer.Option("--to", help="Last trade date, inclusive.", parser=parse_date)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would be done; do nothing.")]
