"""The manual CSV source: files of one's own in, one batch per table, resolution and trade date out.

Configuration, the port, and the order of things; the things themselves live in the modules beside this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.schema.batches import FILE_SCHEMA, Finding, ImportBatch, ImportRequest, Source, SourceMetadata
from pipeline_defs.sources.manual_csv.batches import Reading, build_batches, shown
from pipeline_defs.sources.manual_csv.contracts import Contracts
from pipeline_defs.sources.manual_csv.inputs import Inputs, find_inputs
from pipeline_defs.sources.manual_csv.previewing import preview_file
from pipeline_defs.sources.manual_csv.reasons import EMPTY_FILE
from pipeline_defs.sources.manual_csv.rows import PLACE, REFUSED_SCHEMA, read_rows
from pipeline_defs.sources.manual_csv.spool import ROWS_IN_MEMORY, Spool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.schema.previews import FilePreview
    from pipeline_defs.sources.manual_csv.inputs import Input

MAPPING_VERSION: Final = "mapping 1"
"""Recorded with each load; raised when a field's meaning changes."""

_COUNT_SCHEMA: Final[dict[str, pl.DataType]] = {
    "file_index": pl.UInt32(),
    **{name: REFUSED_SCHEMA[name] for name in PLACE},
    "rows": pl.Int64(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualCsvSource(Source):
    """CSV and Parquet files and workbooks with declared columns, and the files of the generic exports.

    Parameters
    ----------
    path : str or None
        File or folder to read when a request names none.
    mapping : str or None
        Mapping of the files that have none beside them.
    max_damaged_fraction : float, default 0.5
        Above this share of refused lines (of at least 100) a finding says so.
    rows_in_memory : int
        Rows above which reading goes by way of the disk.

    """

    path: str | None = None
    mapping: str | None = None
    max_damaged_fraction: float = 0.5
    rows_in_memory: int = ROWS_IN_MEMORY

    name = "manual_csv"

    def get_metadata(self) -> SourceMetadata:
        """Describe the source, for provenance."""
        return SourceMetadata(
            source=self.name,
            source_type="file",
            source_url=self.path or "files named by each request",
            api_version=MAPPING_VERSION,
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

        Raises
        ------
        ConfigurationError
            If neither request nor source names a path, or nothing says what a file's columns mean.
        SourceError
            If the path does not exist or holds nothing usable, a file is not what its sidecar says, or the order of
            ticks in several files is not known. Nothing has been given by then.
        SchemaDriftError
            If a column is missing.

        """
        found = self._find(request)
        with Spool(PLACE, self.rows_in_memory) as spool:
            reading = self._read(request, found, spool)
            yield from build_batches(reading)

    def preview(self, request: ImportRequest) -> list[FilePreview]:
        """Show how the columns of each file are read.

        Parameters
        ----------
        request : ImportRequest
            As in `fetch`.

        Returns
        -------
        list of FilePreview
            In the order in which the files are read.

        Raises
        ------
        ConfigurationError, SourceError, SchemaDriftError
            As in `fetch`, but for what only the rows tell.

        """
        return [preview_file(source) for source in self._find(request).files]

    def _find(self, request: ImportRequest) -> Inputs:
        path = request.path or (Path(self.path) if self.path else None)
        if path is None:
            raise ConfigurationError(
                "no path to read", where=f"source {self.name}", next_step="name a file or folder with --path"
            )
        return find_inputs(path, Path(self.mapping) if self.mapping else None)

    def _read(self, request: ImportRequest, found: Inputs, spool: Spool) -> Reading:
        contracts = Contracts()
        files: list[tuple[object, ...]] = []
        refused = [pl.DataFrame(schema=REFUSED_SCHEMA)]
        counts = [pl.DataFrame(schema=_COUNT_SCHEMA)]
        for index, source in enumerate(found.files):
            files.append((index, str(source.path), None, source.logical_name, *source.digest(), source.layout))
            lines = 0
            for chunk in source.chunks():
                lines += chunk.fields.height + chunk.unfit.height
                try:
                    read = read_rows(chunk.fields, source, index, contracts, request.underlying)
                except SourceError as error:
                    if error.where is not None:
                        raise
                    # A column does not know its file.
                    raise SourceError(error.what, where=str(source.path), next_step=error.next_step) from error
                counts.append(_count(read.rows, index))
                spool.add(_asked_for(read.rows, request))
                refused += [read.refused, _unplaced(chunk.unfit.rename({"#line": "line"}), index)]
            if lines == 0 and not source.rows:
                text = pl.DataFrame({"line": [0], "reason": [EMPTY_FILE], "text": ["no data line"]})
                refused.append(_unplaced(text, index))
            _refuse_other_length(source, lines)
        total = pl.concat(counts).group_by("file_index", *PLACE).agg(pl.col("rows").sum())
        return Reading(
            request=request,
            inputs=found.files,
            files=pl.DataFrame(files, schema=FILE_SCHEMA, orient="row"),
            contracts=contracts,
            spool=spool,
            refused=pl.concat(refused),
            counts=total,
            max_damaged_fraction=self.max_damaged_fraction,
            findings=_judge_left_out(found),
        )


def _count(rows: pl.DataFrame, index: int) -> pl.DataFrame:
    counted = rows.group_by(PLACE).agg(rows=pl.len().cast(pl.Int64))
    return counted.select(pl.lit(index, pl.UInt32()).alias("file_index"), *PLACE, "rows")


def _asked_for(rows: pl.DataFrame, request: ImportRequest) -> pl.DataFrame:
    if request.start_date is not None:
        rows = rows.filter(pl.col("trade_date") >= request.start_date)
    return rows if request.end_date is None else rows.filter(pl.col("trade_date") <= request.end_date)


def _unplaced(unfit: pl.DataFrame, index: int) -> pl.DataFrame:
    known = unfit.with_columns(file_index=pl.lit(index, pl.UInt32()))
    return known.select(
        (pl.col(name) if name in known.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in REFUSED_SCHEMA.items()
    )


def _refuse_other_length(source: Input, lines: int) -> None:
    if source.rows is not None and source.rows != lines:
        raise SourceError(
            f"holds {lines} rows, but its sidecar says {source.rows}",
            where=str(source.path),
            next_step="the file was cut off or changed: export again, or copy it whole",
        )


def _judge_left_out(found: Inputs) -> tuple[Finding, ...]:
    findings = []
    if found.derived:
        findings.append(
            Finding(
                "derived_files",
                passed=True,
                expected="rows made of other rows are not imported",
                found=f"{len(found.derived)} files left out",
                detail=shown(found.derived),
            )
        )
    if found.foreign:
        findings.append(
            Finding(
                "ignored_files",
                passed=False,
                expected="only CSV and Parquet files, workbooks, mappings and sidecars",
                found=f"{len(found.foreign)} others",
                detail=shown(found.foreign),
            )
        )
    return tuple(findings)
