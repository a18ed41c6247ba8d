"""From the warehouse to a published catalog: the one place where reads and exports meet.

The command line and the Dagster assets both call `export_underlying`; the rooms it joins do not know each other.
"""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING

from pipeline_defs.exports.run import PublishedExport, export_slice
from pipeline_defs.progress import ignore
from pipeline_defs.schema.tables import MINUTE
from pipeline_defs.settings import load_settings
from pipeline_defs.sources.migrated import EVERY as MIGRATED
from pipeline_defs.sources.registry import FURTHER_SOURCES, SOURCES
from pipeline_defs.storage.file_locks import lock_file
from pipeline_defs.storage.locations import S3Location
from pipeline_defs.storage.objects import ObjectStore
from pipeline_defs.warehouse.catalogs import record_catalog
from pipeline_defs.warehouse.certificates import Certificate, certify
from pipeline_defs.warehouse.precedence import Precedence, load_precedence
from pipeline_defs.warehouse.slices import open_market_slice

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from pipeline_defs.progress import OnProgress
    from pipeline_defs.storage.locations import Location
    from pipeline_defs.warehouse.connection import Warehouse


def export_underlying[Place: Location](
    warehouse: Warehouse,
    format_name: str,
    underlying: str,
    start_date: dt.date,
    end_date: dt.date,
    *,
    output: Place,
    known_at: dt.datetime | None = None,
    source: str | None = None,
    bar_seconds: int = MINUTE,
    resolutions: Sequence[int] = (),
    with_ticks: bool = False,
    bars_from_ticks: bool = False,
    with_greeks: bool = False,
    on_progress: OnProgress = ignore,
) -> PublishedExport[Place]:
    """Export an underlying's bars, verified by the engine, and record the catalog.

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
    source, bar_seconds, resolutions, with_ticks, bars_from_ticks, with_greeks
        As for `pipeline_defs.warehouse.slices.open_market_slice`.
    on_progress : callable, optional
        As for `pipeline_defs.exports.run.export_slice`.

    Returns
    -------
    PublishedExport

    Raises
    ------
    ConfigurationError
        If the declared precedence of sources is not understood.
    ExportError
        If there is nothing to export or the engine did not confirm the export; nothing is published then.
    StorageError
        If an object store refuses or fails.

    """
    with open_market_slice(
        warehouse,
        underlying,
        start_date,
        end_date,
        known_at=known_at,
        source=source,
        precedence=None if source is not None else declared_precedence(),
        bar_seconds=bar_seconds,
        resolutions=resolutions,
        with_ticks=with_ticks,
        bars_from_ticks=bars_from_ticks,
        with_greeks=with_greeks,
    ) as market:
        published = export_slice(format_name, market, output, on_progress=on_progress)
    record_catalog(
        warehouse,
        market,
        format_name=format_name,
        path=str(published.path),
        catalog_hash=published.catalog_hash,
        size_bytes=published.size_bytes,
        verification=published.verification,
        instruments=published.instruments,
    )
    return published


def declared_precedence() -> Precedence:
    """Read the order of sources in force; a name that is no source's is an error.

    Returns
    -------
    Precedence

    Raises
    ------
    ConfigurationError
        If ``PIPELINE_HOME/precedence.yaml`` is not understood; it names the line.

    """
    return load_precedence(load_settings().home, {*SOURCES, *FURTHER_SOURCES, *MIGRATED})


def certify_partition(
    warehouse: Warehouse, underlying: str, start_date: dt.date, end_date: dt.date, *, output: Location | None = None
) -> Certificate:
    """Compare the published catalogs of a partition with one another, record the outcome and publish it.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    underlying : str
        E.g. ``NIFTY``.
    start_date, end_date : datetime.date
        Trade dates, exactly as they were exported.
    output : Path or S3Location, optional
        File or object to write as JSON, replaced in one step.

    Returns
    -------
    Certificate

    Raises
    ------
    ExportError
        If no catalog of the partition was published.

    """
    certificate = certify(warehouse, underlying, start_date, end_date)
    text = f"{json.dumps(certificate.to_json(), indent=1)}\n"
    if isinstance(output, S3Location):
        ObjectStore.open().write(output, text.encode())
    elif output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        # Under one name, in turns: what a killed process left there is written over, and does not stay.
        arriving = output.with_name(f".{output.name}.arriving")
        with os.fdopen(lock_file(arriving, fcntl.LOCK_EX), "w", encoding="utf-8") as file:
            file.truncate()
            file.write(text)
            file.flush()
            arriving.replace(output)
    return certificate
