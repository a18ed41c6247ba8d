"""Argument types shared by the commands."""

from __future__ import annotations

import datetime as dt

import click

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.schema.lengths import parse_lengths


class _Date(click.ParamType[dt.date]):
    """A calendar date as YYYY-MM-DD."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        """Turn the text into a date, or fail with what was expected."""
        if isinstance(value, dt.date):
            return value
        try:
            return dt.date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date; expected YYYY-MM-DD, e.g. 2025-08-14", param, ctx)


DATE = _Date()


class _Instant(click.ParamType[dt.datetime]):
    """A point in time with its offset, as ISO 8601 writes it."""

    name = "instant"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        """Turn the text into an instant, or fail with what was expected."""
        if isinstance(value, dt.datetime):
            return value
        try:
            instant = dt.datetime.fromisoformat(str(value))
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None:
            self.fail(
                f"{value!r} is not an instant; expected date, time and offset, e.g. 2025-08-14T18:00+05:30", param, ctx
            )
        return instant


INSTANT = _Instant()
"""Use as ``type=INSTANT``."""


class _BarLengths(click.ParamType[tuple[int, ...]]):
    """Lengths of bars as traders write them, e.g. 1m,1h,1d."""

    name = "lengths"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Turn the text into seconds, the shortest first, or fail with what was expected."""
        if isinstance(value, tuple):
            return value
        try:
            return parse_lengths(str(value))
        except ConfigurationError as error:
            self.fail(error.what, param, ctx)


BAR_LENGTHS = _BarLengths()
"""Use as ``type=BAR_LENGTHS``."""
