"""How a column and a table are described: name, type, unit, meaning, and whether it may be empty.

The description is the one place from which frame validation, Dagster's column schema and the docs'
table pages are derived; the hand-written SQL is checked against it by a test.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

PRICE_PRECISION = 20
PRICE_SCALE = 8
"""Prices hold at most 12 integer digits and 8 decimals (crypto needs 8); more is an error."""

PRICE = pl.Decimal(PRICE_PRECISION, PRICE_SCALE)
SIZE = pl.Decimal(28, PRICE_SCALE)
"""Volumes and sizes where parts of a unit are traded (pairs, US shares); all others count whole units in Int64."""

TIMESTAMP = pl.Datetime("us", "UTC")

MARKET_ZONE = "Asia/Kolkata"
"""Zone of the trade dates of the Indian exchanges."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name : str
        Column name, the same in SQL, frames and docs.
    dtype : polars.DataType
        Type in canonical frames.
    sql : str
        PostgreSQL type as `format_type` prints it.
    meaning : str
        What the value says, with its unit.
    nullable : bool, default False
        Whether the value may be absent.

    """

    name: str
    dtype: pl.DataType
    sql: str
    meaning: str
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the warehouse that holds observations.

    Parameters
    ----------
    name : str
        Table name.
    meaning : str
        What one row is.
    columns : tuple of Column
        In SQL order.
    key : tuple of str
        Primary key, in index order.

    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names in SQL order."""
        return tuple(column.name for column in self.columns)

    def polars_schema(self) -> dict[str, pl.DataType]:
        """Map column names to frame types, in SQL order."""
        return {column.name: column.dtype for column in self.columns}
