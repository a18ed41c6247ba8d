"""The warehouse as a portal sees it: one state of knowledge, read in snapshots over one connection.

A backtest sees the state of its first read to its end, whatever is imported meanwhile: its later reads ask for what
was known then. In live mode each snapshot is of now, and what changed since the last one is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline_defs.warehouse.faults import PersistentConnection
from pipeline_defs.warehouse.transport import copy_out

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Mapping, Sequence

    import polars as pl
    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

_SUPPLY: Final = """
SELECT i.instrument_id, l.dataset, l.source, l.bar_seconds, min(l.trade_date), max(l.trade_date)
FROM load_instruments AS i JOIN loads AS l USING (load_id)
WHERE l.status = 'complete' AND (%(known_at)s::timestamptz IS NULL OR l.committed_at <= %(known_at)s)
"""

_LOADS: Final = """
SELECT l.load_id, l.dataset, l.trade_date FROM loads AS l
WHERE l.committed_at > %(since)s AND l.rows_stored + l.rows_corrected + l.rows_retired > 0
"""

_DATED: Final = ("instrument_terms", "continuous_contracts", "corporate_actions")


class Series(NamedTuple):
    """What loads have delivered of one instrument: from which source, into which table, of which length, and when."""

    instrument_id: int
    dataset: str
    source: str
    bar_seconds: int
    first_date: dt.date
    last_date: dt.date


class Changes(NamedTuple):
    """What became known between two snapshots.

    Parameters
    ----------
    days : list of tuple
        Dataset and trade date of each load that changed rows.
    series : list of Series
        What those loads delivered.

    """

    days: list[tuple[str, dt.date]]
    series: list[Series]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One read-only transaction.

    Parameters
    ----------
    connection : psycopg.Connection
        Within it.
    known_at : datetime.datetime or None
        Ask for what was known then; None for the tables as they are.

    """

    connection: psycopg.Connection
    known_at: dt.datetime | None

    def statement(self, template: str, dataset: str = "") -> str:
        """Name the tables, those of today or what was known of them."""
        for table in _DATED:
            template = template.replace(f"{{{table}}}", self._relation(table))
        return template.replace("{observations}", self._relation(dataset))

    def tuples(self, template: str, dataset: str = "", **parameters: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 -- values of any SQL type
        """Give the rows of a query."""
        bound = {"known_at": self.known_at, **parameters}
        return self.connection.execute(self.statement(template, dataset).encode(), bound).fetchall()

    def rows(self, template: str, **parameters: Any) -> list[dict[str, Any]]:  # noqa: ANN401 -- as above
        """Give the rows of a query by column."""
        cursor = self.connection.execute(self.statement(template).encode(), {"known_at": self.known_at, **parameters})
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def frame(
        self,
        template: str,
        schema: Mapping[str, pl.DataType],
        dataset: str = "",
        **parameters: Any,  # noqa: ANN401 -- as above
    ) -> pl.DataFrame:
        """Give the rows of a query as a frame, decimals exact."""
        bound = {"known_at": self.known_at, **parameters}
        return copy_out(self.connection, self.statement(template, dataset), schema, bound)

    def supply(self, instrument_ids: Collection[int]) -> list[Series]:
        """List what loads have delivered of instruments."""
        query = f"{_SUPPLY} AND i.instrument_id = ANY (%(ids)s) GROUP BY 1, 2, 3, 4"
        return [Series(*row) for row in self.tuples(query, ids=sorted(instrument_ids))]

    def spoken_of(self, source: str, instrument_ids: Sequence[int]) -> set[int]:
        """Tell which of some instruments a source has delivered."""
        return {one.instrument_id for one in self.supply(instrument_ids) if one.source == source}

    def _relation(self, table: str) -> str:
        return table if self.known_at is None else f"{table}_as_of(%(known_at)s)"


class Store:
    """Reads of one portal.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    as_of : datetime.datetime or None
        Knowledge time of every read; None for that of the first read, or of each.
    pins : bool
        Whether the first read decides the state of knowledge of all that follow.

    """

    def __init__(self, warehouse: Warehouse, as_of: dt.datetime | None, *, pins: bool) -> None:
        self.warehouse = warehouse
        self.as_of = as_of
        self.statements = 0
        """Snapshots opened so far: what is served from memory opens none."""
        self._pins = pins
        self._pinned: dt.datetime | None = None
        self._seen: dt.datetime | None = None
        self._connection = PersistentConnection(warehouse)

    @property
    def known_at(self) -> dt.datetime | None:
        """The state of knowledge that reads see; None before the first one."""
        return self.as_of or self._pinned or self._seen

    def read[Result](self, work: Callable[[Snapshot], Result], where: str) -> Result:
        """Do reads in one snapshot, again if the server failed in passing.

        Raises
        ------
        WarehouseError
            If the server refuses, or does not come back within half a minute.

        """
        import psycopg  # noqa: PLC0415 -- a client library is loaded where it is used

        def run(connection: psycopg.Connection) -> Result:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            try:
                with connection.transaction():
                    return work(Snapshot(connection, self._state(connection)))
            finally:
                if not (connection.closed or connection.broken):
                    connection.isolation_level = None
                    connection.read_only = None

        self.statements += 1
        return self._connection.run(run, f"portal: {where}")

    def write(self, work: Callable[[psycopg.Connection], None]) -> None:
        """Do what may be left undone, in autocommit mode: a database that only lets us read is no error."""
        import psycopg  # noqa: PLC0415 -- as above

        def run(connection: psycopg.Connection) -> None:
            try:
                work(connection)
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction):
                return

        self._connection.run(run, "portal: kept months")

    def changes(self) -> Changes | None:
        """Tell what became known since the last look; None if nothing did. The first look tells nothing."""

        def look(snapshot: Snapshot) -> Changes | None:
            ((instant,),) = snapshot.tuples("SELECT instant FROM knowledge_clock")
            before, self._seen = self._seen, instant
            if before is None or before == instant:
                return None
            loads = snapshot.tuples(_LOADS, since=before)
            by_load = f"{_SUPPLY} AND l.load_id = ANY (%(loads)s) GROUP BY 1, 2, 3, 4"
            series = snapshot.tuples(by_load, loads=[load for load, *_ in loads]) if loads else []
            return Changes([(dataset, day) for _, dataset, day in loads], [Series(*row) for row in series])

        return self.read(look, "changes")

    def forget_pin(self) -> None:
        """Let the next read decide the state of knowledge anew."""
        self._pinned = None

    def close(self) -> None:
        """Let go of the connection; a later read opens another."""
        self._connection.__exit__(None, None, None)

    def _state(self, connection: psycopg.Connection) -> dt.datetime | None:
        if self.as_of is not None or not self._pins:
            return self.as_of
        ((instant,),) = connection.execute("SELECT instant FROM knowledge_clock").fetchall()
        if self._pinned is None:
            self._pinned = instant
        return None if instant == self._pinned else self._pinned
