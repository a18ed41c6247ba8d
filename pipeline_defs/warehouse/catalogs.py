"""The ledger of published exports: what was given out, from which loads, and what the engine confirmed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl

from pipeline_defs.warehouse.precedence import declare_precedence
from pipeline_defs.warehouse.transport import copy_in

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
    instruments: pl.DataFrame | None = None,
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
    instruments : polars.DataFrame, optional
        `instrument_id` and `engine_id`: what instruments are called in the format.

    Returns
    -------
    int
        Row of `catalogs`; the same content at the same place, chosen by the same rule, is recorded once.

    """
    choice = market.choice
    values = {
        "sources": None if choice is None else list(choice.sources),
        "precedence": None if choice is None else choice.digest,
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
        if choice is not None and choice.precedence is not None:
            declare_precedence(connection, choice.precedence, str(choice.digest))
        known = connection.execute(
            "SELECT catalog_id FROM catalogs WHERE catalog_id = (SELECT max(catalog_id) FROM catalogs"
            " WHERE path = %(path)s) AND catalog_hash = %(catalog_hash)s"
            " AND (sources, precedence) IS NOT DISTINCT FROM (%(sources)s::text[], %(precedence)s::text)",
            values,
        ).fetchone()
        if known is not None:
            # The same bytes made again from what is known now: as of then they would be the same, too.
            connection.execute(
                "UPDATE catalogs SET known_at = greatest(known_at, %s) WHERE catalog_id = %s",
                [market.known_at, known[0]],
            )
            return int(known[0])
        (row,) = connection.execute(
            "INSERT INTO catalogs (format, underlying, start_date, end_date, path, catalog_hash, engine, rows,"
            " load_ids, verification, known_at, size_bytes, sources, precedence)"
            " VALUES (%(format)s, %(underlying)s, %(start_date)s, %(end_date)s, %(path)s, %(catalog_hash)s, %(engine)s,"
            " %(rows)s, %(load_ids)s, %(verification)s, %(known_at)s, %(size_bytes)s,"
            " %(sources)s, %(precedence)s) RETURNING catalog_id",
            values,
        ).fetchall()
        catalog_id = int(row[0])
        if verification.readback is not None and instruments is not None:
            names = instruments.select("instrument_id", "engine_id").unique("instrument_id")
            readback = verification.readback.join(names, on="instrument_id", how="left")
            copy_in(connection, "catalog_readbacks", readback.select(pl.lit(catalog_id).alias("catalog_id"), pl.all()))
    return catalog_id
