"""The ledger of published exports: what was given out, from which loads, and what the engine confirmed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import MarketSlice, Verification
    from pipeline_defs.warehouse.connection import Warehouse


def record_catalog(
    warehouse: Warehouse,
    market: MarketSlice,
    *,
    format_name: str,
    path: Path | str,
    catalog_hash: str,
    size_bytes: int,
    verification: Verification,
) -> int:
    """Record a published export.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    market : MarketSlice
        What was exported.
    format_name : str
        E.g. ``nautilus``.
    path : Path or str
        Published directory, or URL.
    catalog_hash : str
        Content hash of the export.
    size_bytes : int
        Of its files.
    verification : Verification
        What the engine read back.

    Returns
    -------
    int
        Row of `catalogs`; the same content at the same place is recorded once.

    """
    values = {
        "format": format_name,
        "underlying": market.underlying,
        "start_date": market.start_date,
        "end_date": market.end_date,
        "path": str(path),
        "catalog_hash": catalog_hash,
        "engine": verification.engine,
        "rows": int(market.instruments["row_count"].sum()),
        "load_ids": list(market.load_ids),
        "known_at": market.known_at,
        "size_bytes": size_bytes,
        "verification": json.dumps({"passed": verification.passed, "checks": verification.checks}, default=str),
    }
    with warehouse.connect() as connection:
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('catalogs|' || %(path)s, 0))", values)
        known = connection.execute(
            "SELECT catalog_id FROM catalogs WHERE catalog_id = (SELECT max(catalog_id) FROM catalogs"
            " WHERE path = %(path)s) AND catalog_hash = %(catalog_hash)s",
            values,
        ).fetchone()
        if known is not None:
            # The same bytes made again from what is known now: as of then they would be the same, too.
            connection.execute(
                "UPDATE catalogs SET known_at = greatest(known_at, %s) WHERE catalog_id = %s",
                [market.known_at, known[0]],
            )
            return int(known[0])
        row = connection.execute(
            "INSERT INTO catalogs (format, underlying, start_date, end_date, path, catalog_hash, engine, rows,"
            " load_ids, verification, known_at, size_bytes)"
            " VALUES (%(format)s, %(underlying)s, %(start_date)s, %(end_date)s, %(path)s, %(catalog_hash)s, %(engine)s,"
            " %(rows)s, %(load_ids)s, %(verification)s, %(known_at)s, %(size_bytes)s) RETURNING catalog_id",
            values,
        ).fetchone()
    return 0 if row is None else int(row[0])
