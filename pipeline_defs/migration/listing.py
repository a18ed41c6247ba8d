"""What the ledger of migrations says, for people: bundles with their states, and the lines that were not stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.warehouse.connection import Warehouse

_BUNDLES: Final = """
SELECT s.system, s.root, b.name, b.source, b.bundle_name, b.market, b.stamps, b.state, b.reason, b.detail, b.rows_found,
       b.rows_stored, b.rows_quarantined, b.lines_refused, b.started_at, b.finished_at
FROM migrated_bundles AS b JOIN migrated_stores AS s USING (store_id)
ORDER BY s.system, s.root, b.name
"""

_REFUSALS: Final = """
SELECT bundle, trade_date, path, line, reason, text FROM migrated_refusals
WHERE %(bundle)s::text IS NULL OR bundle = %(bundle)s
ORDER BY bundle, trade_date, path, line, reason
"""


@dataclass(frozen=True, slots=True)
class MovedBundle:
    """A bundle of the ledger; see ``migrated_bundles``."""

    system: str
    root: str
    name: str
    source: str | None
    bundle_name: str | None
    market: str | None
    stamps: str | None
    state: str
    reason: str | None
    detail: str
    rows_found: int
    rows_stored: int | None
    rows_quarantined: int | None
    lines_refused: int
    started_at: dt.datetime | None
    finished_at: dt.datetime | None

    def to_json(self) -> dict[str, Any]:
        """Give everything as JSON values."""
        times = {name: getattr(self, name) for name in ("started_at", "finished_at")}
        return {**asdict(self), **{name: None if at is None else at.isoformat() for name, at in times.items()}}


@dataclass(frozen=True, slots=True)
class RefusedBar:
    """A line of a bundle's files that was not stored."""

    bundle: str
    trade_date: dt.date
    path: str
    line: int
    reason: str
    text: str

    def to_json(self) -> dict[str, Any]:
        """Give everything as JSON values."""
        return {**asdict(self), "trade_date": self.trade_date.isoformat()}


def list_moved(warehouse: Warehouse) -> list[MovedBundle]:
    """List every bundle of every store, by system, root and name."""
    with warehouse.connect() as connection:
        return [MovedBundle(*row) for row in connection.execute(_BUNDLES)]


def list_refused(warehouse: Warehouse, bundle: str | None = None) -> list[RefusedBar]:
    """List the lines that were not stored of a bundle (default all), by day, file and line."""
    with warehouse.connect() as connection:
        return [RefusedBar(*row) for row in connection.execute(_REFUSALS, {"bundle": bundle})]
