"""The NSE CSV source: a path in, one batch per table, resolution and trade date out.

Configuration and the port only; what is read when is decided in `reading`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.schema.batches import ImportBatch, ImportRequest, Source, SourceMetadata
from pipeline_defs.sources.nse_csv.archives import Archives
from pipeline_defs.sources.nse_csv.batches import build_batches
from pipeline_defs.sources.nse_csv.deliveries import Intake
from pipeline_defs.sources.nse_csv.gzipped import ArchiveLimits
from pipeline_defs.sources.nse_csv.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

LAYOUTS_VERSION: Final = "layouts 1"
"""Recorded with each load; raised when a layout's meaning changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NseCsvSource(Source):
    """Files of Indian exchange data as vendors and the exchanges deliver them.

    Parameters
    ----------
    path : str or None
        File or folder to read when a request names none.
    max_damaged_fraction : float, default 0.5
        Above this share of refused lines (of at least 100) a finding says so.
    limits : ArchiveLimits
        What is refused as an archive bomb.

    """

    path: str | None = None
    max_damaged_fraction: float = 0.5
    limits: ArchiveLimits = field(default_factory=ArchiveLimits)

    name = "nse_csv"

    def get_metadata(self) -> SourceMetadata:
        """Describe the source, for provenance."""
        return SourceMetadata(
            source=self.name,
            source_type="file",
            source_url=self.path or "files named by each request",
            api_version=LAYOUTS_VERSION,
            supports_live=False,
        )

    def fetch(self, request: ImportRequest) -> Iterator[ImportBatch]:
        """Read everything below a path.

        Parameters
        ----------
        request : ImportRequest
            Its path wins over the source's own. Dates and underlying restrict what is given.

        Yields
        ------
        ImportBatch
            By trade date, then table and resolution. Observations come ordered by contract, timestamp, sequence.
            Dates whose files the request's ledger holds are left out.

        Raises
        ------
        ConfigurationError
            If neither request nor source names a path.
        SourceError
            If the path does not exist or holds nothing usable, a file cannot be read whole or is an archive
            bomb, or two files contradict each other.
        SchemaDriftError
            If a file has an unknown header.

        """
        path = request.path or (Path(self.path) if self.path else None)
        if path is None:
            raise ConfigurationError(
                "no path to read", where=f"source {self.name}", next_step="name a file or folder with --path"
            )
        with Archives(self.limits) as archives:
            reading = Reading(request, archives.list_files(path), Intake(archives, request.archive), path)
            found = False
            for trade_date in reading.trade_dates():
                if reading.is_held(trade_date):
                    found = True
                    continue
                for batch in build_batches(
                    trade_date,
                    reading.read_date(trade_date),
                    max_damaged_fraction=self.max_damaged_fraction,
                    underlying=request.underlying,
                ):
                    found = True
                    yield batch
        if not found:
            raise SourceError(
                f"holds no row of underlying {request.underlying}",
                where=str(path),
                next_step="write the underlying as in the contracts' names, e.g. NIFTY",
            )
