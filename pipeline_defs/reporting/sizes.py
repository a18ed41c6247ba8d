"""Sizes: what takes room in the database, in rows, bytes and chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_defs.reporting.elements import Fact, Number, Section, Table, megabytes
from pipeline_defs.warehouse import inventory

if TYPE_CHECKING:
    from pipeline_defs.reporting.elements import Cell
    from pipeline_defs.reporting.scope import Scope

LISTED: Final = 40

_SERVER: Final = """
SELECT current_setting('server_version'), pg_database_size(current_database()),
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
       current_setting('timescaledb.license', true)
"""


def sizes_section(scope: Scope) -> Section:
    """Show sizes."""
    lead = "Rows are the server's own estimates, which it renews by itself; bytes hold indexes and history."
    version, size_bytes, extension, licence = scope.ask(_SERVER)[0]
    edition = "plain PostgreSQL" if extension is None else f"TimescaleDB {extension}, {licence}"
    tables = [entry for entry in inventory.table_sizes(scope.connection) if entry["estimated_rows"] != 0]
    rows: list[tuple[Cell, ...]] = [
        (entry["table"], megabytes(entry["size_bytes"]), _rows(entry["estimated_rows"])) for entry in tables[:LISTED]
    ]
    facts = [
        Fact("sizes-database", "database", f"{size_bytes / 1e6:,.1f} MB"),
        Fact("sizes-server", "server", f"PostgreSQL {version}, {edition}"),
    ]
    note = f"The largest {len(rows)} of {len(tables)} that hold anything." if len(tables) > len(rows) else ""
    shown = [Table("sizes-tables", "Tables, the largest first.", ("table", "size", "rows, about"), rows, note)]
    chunks = inventory.chunk_summary(scope.connection)
    if chunks:
        header = ("table", "chunks", "of them compressed", "oldest", "newest", "compressed to")
        caption = "Chunks of the hypertables."
        shown.append(Table("sizes-chunks", caption, header, [_chunk_row(entry) for entry in chunks]))
    return Section("sizes", "Sizes", lead, facts, tables=shown)


def _rows(estimate: int | None) -> Cell:
    return "not counted yet" if estimate is None else estimate


def _chunk_row(entry: dict[str, object]) -> tuple[Cell, ...]:
    ratio = entry.get("ratio")
    return (
        str(entry["table"]),
        int(str(entry["chunks"])),
        int(str(entry["compressed"])),
        str(entry["oldest"])[:10] if entry["oldest"] else None,
        str(entry["newest"])[:10] if entry["newest"] else None,
        Number(float(str(ratio)), f"1/{ratio}") if ratio else None,
    )
