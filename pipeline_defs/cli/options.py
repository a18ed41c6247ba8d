"""Argument types shared by the commands."""

from __future__ import annotations

import datetime as dt

import click


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
