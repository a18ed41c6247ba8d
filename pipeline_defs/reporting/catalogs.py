"""Catalogs: what is published, whether it is still what the warehouse holds, and whether all formats agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_defs.reporting.elements import Fact, Section, Status, Table, Tone, megabytes

if TYPE_CHECKING:
    from pipeline_defs.reporting.elements import Cell
    from pipeline_defs.reporting.scope import Scope

LISTED: Final = 200

_PUBLISHED: Final = """
WITH newest AS (
    SELECT DISTINCT ON (path) c.* FROM catalogs AS c ORDER BY path, catalog_id DESC
), listed AS (
    SELECT *, count(*) OVER () AS total FROM newest ORDER BY start_date DESC, underlying, format, path LIMIT %(limit)s
)
SELECT c.underlying, to_char(c.start_date, 'YYYY-MM-DD'), to_char(c.end_date, 'YYYY-MM-DD'), c.format, c.engine, c.rows,
       c.size_bytes, c.catalog_hash, c.path, c.published_at,
       (SELECT catalog_is_current(k) FROM catalogs AS k WHERE k.catalog_id = c.catalog_id), c.total
FROM listed AS c ORDER BY c.start_date DESC, c.underlying, c.format, c.path
"""

_CERTIFICATES: Final = """
SELECT DISTINCT ON (start_date, underlying, end_date) underlying, to_char(start_date, 'YYYY-MM-DD'),
       to_char(end_date, 'YYYY-MM-DD'), passed, cardinality(catalog_ids), issued_at, certificate_id
FROM certificates ORDER BY start_date DESC, underlying, end_date DESC, certificate_id DESC LIMIT %(limit)s
"""


def catalogs_section(scope: Scope) -> Section:
    """Show catalogs and certificates."""
    lead = (
        "Published is only what its engine read back and confirmed. A catalog is out of date when anything it was made"
        " of has changed since; export it again then."
    )
    found = scope.ask(_PUBLISHED, limit=LISTED)
    if not found:
        return Section("catalogs", "Catalogs", lead, empty="Nothing is published.")
    outdated = sum(1 for row in found if not row[10])
    certificates = scope.ask(_CERTIFICATES, limit=LISTED)
    differing = sum(1 for row in certificates if not row[3])
    facts = [
        Fact("catalogs-published", "published", f"{found[0][11]:,}"),
        Fact("catalogs-outdated", "out of date", f"{outdated:,}", Tone.NOTE if outdated else Tone.GOOD),
        Fact(
            "catalogs-differing",
            "certificates with differences",
            f"{differing:,}",
            Tone.BAD if differing else Tone.GOOD,
        ),
    ]
    rows: list[tuple[Cell, ...]] = [
        (
            underlying,
            first,
            last,
            name,
            Status("current", Tone.GOOD) if current else Status("out of date", Tone.NOTE),
            engine,
            count,
            megabytes(size),
            digest[:12],
            path,
            scope.local(published_at),
        )
        for underlying, first, last, name, engine, count, size, digest, path, published_at, current, _ in found
    ]
    header = (
        *("underlying", "first", "last", "format", "state", "confirmed by", "rows", "size", "hash", "path"),
        "published at",
    )
    note = f"{len(rows):,} of {found[0][11]:,}; all are in catalogs." if found[0][11] > len(rows) else ""
    tables = [Table("catalogs-table", "Published catalogs, the newest of each path.", header, rows, note)]
    if certificates:
        tables.append(_certificates(scope, certificates))
    return Section("catalogs", "Catalogs", lead, facts, tables=tables)


def _certificates(scope: Scope, certificates: list[tuple[object, ...]]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            str(underlying),
            str(first),
            str(last),
            Status("all agree", Tone.GOOD) if passed else Status("differ", Tone.BAD),
            int(str(catalogs)),
            scope.local(issued_at),  # type: ignore[arg-type]
            f"certificate {number}",
        )
        for underlying, first, last, passed, catalogs, issued_at, number in certificates
    ]
    header = ("underlying", "first", "last", "formats", "catalogs compared", "issued at", "which")
    return Table("catalogs-certificates", "Whether all formats of a partition give the same.", header, rows)
