"""What the warehouse knew when: corrections, and how two states of knowledge differ.

The rules are in SQL (`corrections`, `<table>_changes`, `<table>_as_of`); this module asks and names the contracts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import WarehouseError
from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_defs.warehouse.days import day_bounds
from pipeline_defs.warehouse.transport import copy_out

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.warehouse.connection import Warehouse

_KEY: Final[dict[str, pl.DataType]] = {
    "timestamp": TIMESTAMP,
    "symbol": pl.String(),
    "source": pl.String(),
    "bar_seconds": pl.Int32(),
    "sequence": pl.Int32(),
    "change": pl.String(),
    "field": pl.String(),
    "old": pl.String(),
    "new": pl.String(),
}

CORRECTIONS_SCHEMA: Final[dict[str, pl.DataType]] = {
    "dataset": pl.String(),
    **_KEY,
    "changed_at": TIMESTAMP,
    "load_id": pl.Int64(),
    "superseded_by": pl.Int64(),
}
"""One row per changed value. `old` and `new` are the exact decimals as text; `new` of a retired row is null."""

CHANGES_SCHEMA: Final = _KEY
"""One row per changed value; `change` is ``added``, ``removed`` or ``changed``."""

_SYMBOL: Final = """
    LEFT JOIN LATERAL (
        SELECT t.symbol FROM instrument_terms AS t
        WHERE t.instrument_id = c.instrument_id AND t.valid_from <= {day} ORDER BY t.valid_from DESC LIMIT 1
    ) AS s ON true
"""

_CORRECTIONS: Final = (
    """
SELECT c.dataset, c."timestamp", s.symbol, c.source, c.bar_seconds, c.sequence, c.change, c.field, c.old, c.new,
       c.changed_at, c.load_id, c.superseded_by
FROM corrections AS c
"""
    + _SYMBOL.replace("{day}", "c.trade_date")
    + """
WHERE (%(dataset)s::text IS NULL OR c.dataset = %(dataset)s)
  AND (%(trade_date)s::date IS NULL OR c.trade_date = %(trade_date)s)
  AND (%(since)s::timestamptz IS NULL OR c.changed_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR c.changed_at < %(until)s)
ORDER BY c.changed_at, c.dataset, c."timestamp", c.instrument_id, c.bar_seconds, c.sequence, c.source, c.field
"""
)

_CHANGES: Final = (
    """
SELECT c."timestamp", s.symbol, c.source, c.bar_seconds, c.sequence, c.change, c.field, c.old, c.new
FROM {dataset}_changes(%(known_from)s, %(known_to)s, %(start)s, %(end)s) AS c
"""
    + _SYMBOL.replace("{day}", "(c.\"timestamp\" AT TIME ZONE 'Asia/Kolkata')::date")
    + """
ORDER BY c."timestamp", c.instrument_id, c.bar_seconds, c.sequence, c.source, c.field
"""
)


def corrections(
    warehouse: Warehouse,
    *,
    dataset: str | None = None,
    trade_date: dt.date | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> pl.DataFrame:
    """List every value that was corrected or retired.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    dataset : str, optional
        Observation table; default all.
    trade_date : datetime.date, optional
        Day of the exchange; default all.
    since, until : datetime.datetime, optional
        When the change became known, `until` exclusive; default open.

    Returns
    -------
    polars.DataFrame
        `CORRECTIONS_SCHEMA`, in the order in which the changes became known.

    Raises
    ------
    WarehouseError
        If there is no such dataset.

    """
    if dataset is not None:
        _refuse_unknown(dataset)
    parameters = {"dataset": dataset, "trade_date": trade_date, "since": since, "until": until}
    with warehouse.connect() as connection:
        return copy_out(connection, _CORRECTIONS, CORRECTIONS_SCHEMA, parameters)


def changes_between(
    warehouse: Warehouse,
    dataset: str,
    known_from: dt.datetime,
    known_to: dt.datetime,
    *,
    start_date: dt.date,
    end_date: dt.date,
) -> pl.DataFrame:
    """Compare what was known of a dataset at two instants.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    dataset : str
        Observation table.
    known_from, known_to : datetime.datetime
        The two knowledge times.
    start_date, end_date : datetime.date
        Trade dates compared, inclusive.

    Returns
    -------
    polars.DataFrame
        `CHANGES_SCHEMA`, by time and contract.

    Raises
    ------
    WarehouseError
        If there is no such dataset.

    """
    _refuse_unknown(dataset)
    start, end = day_bounds(start_date, end_date)
    parameters = {"known_from": known_from, "known_to": known_to, "start": start, "end": end}
    with warehouse.connect() as connection:
        return copy_out(connection, _CHANGES.replace("{dataset}", dataset), CHANGES_SCHEMA, parameters)


def _refuse_unknown(dataset: str) -> None:
    if dataset not in OBSERVATION_TABLES:
        raise WarehouseError(
            f"there is no dataset {dataset!r}", next_step=f"name one of {', '.join(sorted(OBSERVATION_TABLES))}"
        )
