"""From the warehouse to a published catalog: the one place where reads and exports meet.

The command line and the Dagster assets both call `export_underlying`; the rooms it joins do not know each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_defs.exports.run import PublishedExport, export_slice
from pipeline_defs.warehouse.catalogs import record_catalog
from pipeline_defs.warehouse.slices import open_market_slice

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.storage.locations import Location
    from pipeline_defs.warehouse.connection import Warehouse


def export_underlying(
    warehouse: Warehouse,
    format_name: str,
    underlying: str,
    start_date: dt.date,
    end_date: dt.date,
    *,
    output: Location,
    known_at: dt.datetime | None = None,
) -> PublishedExport:
    """Export an underlying's minute bars, verified by the engine, and record the catalog.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    format_name : str
        As in ``pipeline export --format``.
    underlying : str
        E.g. ``NIFTY``.
    start_date, end_date : datetime.date
        Trade dates, inclusive.
    output : Path or S3Location
        Directory or prefix to publish; replaced atomically if it is one of our exports.
    known_at : datetime.datetime, optional
        Export what was known at this instant: an earlier export can be made again, byte for byte.

    Returns
    -------
    PublishedExport

    Raises
    ------
    ExportError
        If there is nothing to export or the engine did not confirm the export; nothing is published then.
    StorageError
        If an object store refuses or fails.

    """
    with open_market_slice(warehouse, underlying, start_date, end_date, known_at=known_at) as market:
        published = export_slice(format_name, market, output)
    record_catalog(
        warehouse,
        market,
        format_name=format_name,
        path=str(published.path),
        catalog_hash=published.catalog_hash,
        size_bytes=published.size_bytes,
        verification=published.verification,
    )
    return published
