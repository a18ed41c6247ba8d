"""The ports as Dagster resources: where data comes from, where catalogs go, and the warehouse in between.

A source or a format that is in its registry needs nothing here. Secrets are fields that neither a repr nor a run's
configuration shows.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, cast

import dagster as dg
from pydantic import Field, create_model

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.orchestration.landing import expected_name_dates, look_at
from pipeline_defs.orchestration.places import catalogs_place, landing_place
from pipeline_defs.schema.lengths import parse_lengths
from pipeline_defs.settings import load_settings
from pipeline_defs.sources.registry import get_source, source_entry
from pipeline_defs.storage.locations import Location, S3Location

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from pipeline_defs.exports.run import PublishedExport
    from pipeline_defs.schema.batches import Source
    from pipeline_defs.warehouse.connection import Warehouse


_WHERE_TO_PUBLISH: Final = (
    "Folder or s3://bucket/prefix to publish below; default: catalogs/ of PIPELINE_OBJECT_STORE, else of PIPELINE_HOME."
)

WAREHOUSE: Final = "warehouse"
"""Name of the warehouse's resource."""


class WarehouseResource(dg.ConfigurableResource[Any]):
    """The PostgreSQL or TimescaleDB that holds everything; the embedded server when no URL is given."""

    database_url: str | None = Field(
        default=None,
        repr=False,
        json_schema_extra={"dagster__is_secret": True},
        description=(
            "postgresql:// URL; give it as an EnvVar, since it may carry a password. Default: PIPELINE_DATABASE_URL,"
            " else the embedded server below PIPELINE_HOME."
        ),
    )

    def open(self) -> Warehouse:
        """Give a warehouse that is running and migrated.

        Returns
        -------
        Warehouse

        Raises
        ------
        WarehouseError
            If the server cannot be reached or the migrations do not match the database.

        """
        from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415 -- only a run needs it

        settings = load_settings()
        if self.database_url is not None:
            settings = dataclasses.replace(settings, database_url=self.database_url)
        return open_warehouse(settings)


class ImportPort(dg.ConfigurableResource[Any], ABC):
    """Where one source's data comes from."""

    @abstractmethod
    def source(self) -> Source:
        """Make the adapter."""

    def looked_for(self, trade_date: dt.date) -> str | None:
        """Say what a delivery of a trade date would have looked like; None when there is one, or no file is meant."""
        del trade_date
        return None

    def reads_again(self) -> bool:
        """Tell whether a run reads what is stored as it is; default yes."""
        return True

    def import_options_data(
        self, warehouse: Warehouse, start_date: dt.date, end_date: dt.date, underlying: str | None = None
    ) -> dict[str, int]:
        """Import the options of a range of trade dates, without Dagster.

        Parameters
        ----------
        warehouse : Warehouse
            Running and migrated.
        start_date, end_date : datetime.date
            Both inclusive.
        underlying : str, optional
            Only this one.

        Returns
        -------
        dict of str to int
            Rows ``read``, ``stored``, ``unchanged``, ``corrected``, ``retired`` and ``quarantined``.

        Raises
        ------
        SourceError
            If the source gave neither rows nor a reason for having none, or a partition was damaged.

        """
        from pipeline_defs.orchestration.importing import import_counts  # noqa: PLC0415 -- imports polars

        return import_counts(warehouse, self.source(), "options_ticks", start_date, end_date, underlying=underlying)


class FileImport(ImportPort):
    """A file source of `pipeline_defs.sources.registry`, reading the landing folder or a folder of its own."""

    name: str = Field(description="Adapter, as in the registry.")
    folder: str = Field(
        default="",
        description="File, folder or s3:// prefix to read; default: PIPELINE_LANDING, else landing/ of PIPELINE_HOME.",
    )

    def source(self) -> Source:
        """Make the adapter, set to read `place`."""
        place = self.place()
        if isinstance(place, S3Location):
            from pipeline_defs.orchestration.landed_objects import LandedObjects  # noqa: PLC0415 -- only with a bucket

            return LandedObjects(self.name, place)
        return get_source(self.name, path=str(place))

    def looked_for(self, trade_date: dt.date) -> str | None:
        """Say which file names would have meant a trade date; None when such files are there."""
        if trade_date in look_at(self.place()).fingerprints:
            return None
        dates = ", ".join(expected_name_dates(trade_date))
        return (
            f"vendors' files below {self.place()} with one of {dates} in their name, and rows of {trade_date} in CSV"
            " files whose name has no date"
        )

    def place(self) -> Location:
        """File, folder or prefix to read.

        Raises
        ------
        ConfigurationError
            If it is a folder of this host alone, and runs are executed on many.

        """
        return landing_place(self.folder)


class ApiImport(ImportPort):
    """A source of `pipeline_defs.sources.registry` that is asked over a network.

    Keys and tokens come from the environment of the process that asks, and are no configuration; which instruments are
    wanted says the universe file.
    """

    name: str = Field(description="Adapter, as in the registry.")
    refetch: str = Field(
        default="missing",
        description="missing: ask only for what is not stored yet. always: ask for everything again.",
    )

    def source(self) -> Source:
        """Make the adapter."""
        return get_source(self.name)

    def reads_again(self) -> bool:
        """Tell whether `refetch` says ``always``.

        Raises
        ------
        ConfigurationError
            If it says neither ``always`` nor ``missing``.

        """
        if self.refetch not in {"missing", "always"}:
            raise ConfigurationError(f"refetch is {self.refetch!r}, expected missing or always")
        return self.refetch == "always"


class ExportPort(dg.ConfigurableResource[Any], ABC):
    """Where one format's catalogs are published."""

    @abstractmethod
    def place(self, underlying: str, month: str) -> Location:
        """Give the directory or prefix of one partition."""

    @abstractmethod
    def publish(
        self, warehouse: Warehouse, underlying: str, month: str, start_date: dt.date, end_date: dt.date
    ) -> PublishedExport[Location]:
        """Build, verify and publish one partition."""


class FolderExport(ExportPort):
    """A format of `pipeline_defs.exports.registry`, published below the catalogs folder or in the object store."""

    format_name: str = Field(description="Format, as in the registry.")
    folder: str = Field(default="", description=_WHERE_TO_PUBLISH)
    bars: str = Field(
        default="1m,1h,1d",
        description="Lengths of bars: the shortest is read, the others are made of it, session by session.",
    )
    ticks: bool = Field(default=False, description="Export ticks, too, in formats that have a place for them.")
    greeks: bool = Field(default=False, description="Export implied volatility and Greeks of options, too.")

    def place(self, underlying: str, month: str) -> Location:
        """Give the place of one partition: ``<folder>/<format>/<UNDERLYING>/<YYYY-MM>``."""
        return catalogs_place(self.folder) / self.format_name / underlying / month

    def publish(
        self, warehouse: Warehouse, underlying: str, month: str, start_date: dt.date, end_date: dt.date
    ) -> PublishedExport[Location]:
        """Build, verify and publish one partition.

        Raises
        ------
        ExportError
            If there is nothing to export or the engine did not confirm it; nothing is published then.

        """
        from pipeline_defs.publishing import export_underlying  # noqa: PLC0415 -- only a run needs it

        shortest, *longer = parse_lengths(self.bars)
        return export_underlying(
            warehouse,
            self.format_name,
            underlying,
            start_date,
            end_date,
            output=self.place(underlying, month),
            bar_seconds=shortest,
            resolutions=longer,
            with_ticks=self.ticks,
            with_greeks=self.greeks,
        )


def import_port_key(source: str) -> str:
    """Name the resource that is a source's import port."""
    return f"{source}_import"


def export_port_key(format_name: str) -> str:
    """Name the resource that is a format's export port."""
    return f"{format_name}_export"


def open_warehouse_of(resources: object) -> Warehouse:
    """Open the warehouse among a run's resources."""
    return cast("WarehouseResource", getattr(resources, WAREHOUSE)).open()


def import_port_of(resources: object, source: str) -> ImportPort:
    """Find a source's import port among a run's resources."""
    return cast("ImportPort", getattr(resources, import_port_key(source)))


def export_port_of(resources: object, format_name: str) -> ExportPort:
    """Find a format's export port among a run's resources."""
    return cast("ExportPort", getattr(resources, export_port_key(format_name)))


def build_resources(sources: Iterable[str], formats: Iterable[str]) -> dict[str, dg.ConfigurableResource[Any]]:
    """Bind the ports of every source and format to the local machine.

    Parameters
    ----------
    sources, formats : iterable of str
        As in the registries.

    Returns
    -------
    dict of str to dagster.ConfigurableResource
        ``warehouse``, ``<source>_import`` and ``<format>_export``.

    """
    return {
        WAREHOUSE: WarehouseResource(),
        **{import_port_key(source): _bound(_port_of(source), name=source) for source in sources},
        **{export_port_key(name): _bound(FolderExport, format_name=name) for name in formats},
    }


def _port_of(source: str) -> type[ImportPort]:
    return ApiImport if source_entry(source).source_type == "api" else FileImport


def _bound[Port: dg.ConfigurableResource[Any]](port: type[Port], **names: str) -> Port:
    """Make a port of one source or format, of which a run's configuration may still change the folder alone."""
    fields: dict[str, Any] = {
        field: (str, Field(default=name, description=port.model_fields[field].description))
        for field, name in names.items()
    }
    return create_model(f"{port.__name__}_{'_'.join(names.values())}", __base__=port, **fields)()
