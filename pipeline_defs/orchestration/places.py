"""Where deliveries are found and catalogs are published: a folder of this host, or a place that all hosts see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_defs.orchestration.sharing import require_shared
from pipeline_defs.settings import load_settings
from pipeline_defs.storage.locations import parse_location

if TYPE_CHECKING:
    from pipeline_defs.storage.locations import Location


def catalogs_place(named: str = "") -> Location:
    """Find the place below which catalogs are published.

    Parameters
    ----------
    named : str, default ""
        What a run was told; else ``catalogs/`` of ``PIPELINE_OBJECT_STORE``, else of ``PIPELINE_HOME``.

    Returns
    -------
    Path or S3Location

    Raises
    ------
    ConfigurationError
        If it is a folder of this host alone, and runs are executed on many.

    """
    settings = load_settings()
    if named:
        place = parse_location(named)
    elif settings.object_store is not None:
        place = parse_location(settings.object_store) / "catalogs"
    else:
        place = settings.catalogs_dir
    return require_shared(place, "catalogs", "set PIPELINE_OBJECT_STORE to s3://bucket/prefix")


def landing_place(named: str = "") -> Location:
    """Find the drop folder of the NSE files.

    Parameters
    ----------
    named : str, default ""
        What a run was told; else ``PIPELINE_LANDING``, else the folder below ``PIPELINE_HOME``.

    Returns
    -------
    Path or S3Location

    Raises
    ------
    ConfigurationError
        If it is a folder of this host alone, and runs are executed on many.

    """
    settings = load_settings()
    told = named or settings.landing
    place = parse_location(told) if told else settings.landing_dir
    return require_shared(place, "the landing folder", "set PIPELINE_LANDING to s3://bucket/prefix")
