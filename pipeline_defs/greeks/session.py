"""The way in: compute and store the Greeks of one session of one source."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ConfigurationError, WarehouseError
from pipeline_defs.greeks.computing import with_greeks
from pipeline_defs.greeks.forwards import with_forwards
from pipeline_defs.greeks.inputs import UNDERLYING_SCHEMA, Session, read_futures, read_options, read_spots
from pipeline_defs.greeks.masking import REASONS
from pipeline_defs.greeks.parameters import GreeksParameters
from pipeline_defs.greeks.rates import read_book
from pipeline_defs.greeks.storing import StoredCounts, store_greeks, stored_rows
from pipeline_defs.schema.tables import MINUTE
from pipeline_defs.warehouse.faults import PersistentConnection

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

_LOCK: Final = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"
_UNLOCK: Final = "SELECT pg_advisory_unlock(hashtextextended(%s, 0))"


@dataclass(frozen=True, slots=True)
class GreeksReport:
    """What came of a session.

    Parameters
    ----------
    session : Session
        Which.
    rows : int
        Bars that were looked at.
    masked : dict of str to int
        Bars without numbers, by reason; every reason of `REASONS` is there.
    counts : StoredCounts
        What was written.
    seconds, model_seconds : float
        In all, and of them in the model alone.

    """

    session: Session
    rows: int
    masked: dict[str, int]
    counts: StoredCounts
    seconds: float
    model_seconds: float

    @property
    def with_numbers(self) -> int:
        """Bars that have an implied volatility."""
        return self.rows - sum(self.masked.values())


@dataclass(slots=True)
class _Tally:
    """Counts rows as they pass."""

    rows: int = 0
    model_seconds: float = 0.0
    masked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))

    def add(self, rows: pl.DataFrame) -> None:
        self.rows += rows.height
        for reason, count in rows["reason"].drop_nulls().value_counts().iter_rows():
            self.masked[reason] += count


def compute_session(
    warehouse: Warehouse,
    source: str,
    trade_date: dt.date,
    *,
    bar_seconds: int = MINUTE,
    parameters: GreeksParameters | None = None,
) -> GreeksReport:
    """Compute implied volatility and Greeks of every option bar of a session, and store them.

    One snapshot is read, one transaction written: readers see the earlier Greeks or these. Runs of the same session
    queue. Rows whose inputs are the same are not touched.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    source : str
        Whose observations, of options and of what underlies them.
    trade_date : datetime.date
        Session of the NSE.
    bar_seconds : int, default 60
        Resolution of the stored bars.
    parameters : GreeksParameters, optional
        How the forward is found, and rates of one's own.

    Returns
    -------
    GreeksReport

    Raises
    ------
    ConfigurationError
        If a rate or dividend yield that is needed does not count on the date, or `bar_seconds` is that of ticks.
    WarehouseError
        If the session has no option bar of the source.

    """
    if bar_seconds <= 0:
        raise ConfigurationError(f"bar_seconds is {bar_seconds}, expected a length of bars above 0")
    session = Session(trade_date, source, bar_seconds)
    with PersistentConnection(warehouse) as connection:
        return connection.run(
            lambda opened: _queued(opened, session, parameters or GreeksParameters()), session.name.replace("|", " ")
        )


def _queued(connection: psycopg.Connection, session: Session, parameters: GreeksParameters) -> GreeksReport:
    """Wait for others of the same session before the snapshot is taken: it must see what they wrote."""
    import psycopg  # noqa: PLC0415 -- a client library is loaded where it is used

    connection.execute(_LOCK, [session.name])
    try:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            return _compute(connection, session, parameters)
    finally:
        if not connection.broken and not connection.closed:
            connection.execute(_UNLOCK, [session.name])


def _compute(connection: psycopg.Connection, session: Session, parameters: GreeksParameters) -> GreeksReport:
    started = time.perf_counter()
    book = read_book(connection, session.trade_date, parameters)
    match parameters.forward_method:
        case "future":
            underlyings = read_futures(connection, session)
        case "spot":
            underlyings = read_spots(connection, session)
        case _:
            underlyings = pl.DataFrame(schema=UNDERLYING_SCHEMA)
    tally = _Tally()

    def computed() -> Iterator[pl.DataFrame]:
        for options in read_options(connection, session):
            began = time.perf_counter()
            rows = with_greeks(with_forwards(options, underlyings, book, parameters), parameters)
            tally.model_seconds += time.perf_counter() - began
            tally.add(rows)
            yield stored_rows(rows, session, parameters)

    counts = store_greeks(connection, session, computed())
    if tally.rows == 0:
        raise WarehouseError(
            f"{session.source} has no option bar of {session.bar_seconds} seconds on {session.trade_date}",
            where="options_ticks",
            next_step=f"import options of {session.trade_date} first, or name another source",
        )
    return GreeksReport(session, tally.rows, tally.masked, counts, time.perf_counter() - started, tally.model_seconds)
