"""What the generic exports say of their own files: ``schema.json``, and the files of terms beside bars and ticks.

The sidecar of an export is read as a mapping like one's own, so that nothing after this knows the difference, but for
the terms: lots, ticks and ISINs, which the rows themselves do not have.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import SchemaDriftError, SourceError
from pipeline_defs.schema.interchange import (
    BARS,
    INSTRUMENTS,
    SESSIONS,
    SIDECAR_KIND,
    SIDECAR_NAME,
    SIDECAR_VERSION,
    TERM_PERIODS,
    TICKS,
)
from pipeline_defs.sources.manual_csv.chunks import read_chunks, read_columns
from pipeline_defs.sources.manual_csv.fields import as_text, decimals

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

_SEPARATOR: Final = ","
_ADDED: Final = ("isin", "lot_size", "tick_size", "rank")


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms of contracts by an export's own number of the instrument.

    Parameters
    ----------
    instruments : polars.DataFrame
        `instrument_id`, `isin`, `lot_size`, `tick_size` and `rank`: as of each instrument's last row.
    periods : polars.DataFrame
        `instrument_id`, `valid_from`, `valid_to` (exclusive; null is open), and `lot_size` and `tick_size` of the
        period; empty when the export has none.

    """

    instruments: pl.DataFrame
    periods: pl.DataFrame

    def add_to(self, contracts: pl.DataFrame, trade_date: dt.date) -> pl.DataFrame:
        """Add what the rows themselves do not say.

        Parameters
        ----------
        contracts : polars.DataFrame
            With `instrument_id`; contracts of this export.
        trade_date : datetime.date
            Terms are those of that day.

        Returns
        -------
        polars.DataFrame
            The same rows and columns; what they said themselves stands.

        """
        then = self.periods.filter(
            (pl.col("valid_from") <= trade_date).fill_null(value=True),
            (pl.col("valid_to") > trade_date).fill_null(value=True),
        ).select("instrument_id", "lot_size", "tick_size", is_dated=pl.lit(value=True))
        joined = contracts.join(self.instruments, on="instrument_id", how="left", suffix="_last").join(
            then, on="instrument_id", how="left", suffix="_then"
        )
        # A period that knows no lot says that none was known then: the last one does not hold for it.
        dated = (
            pl.coalesce(name, pl.when("is_dated").then(f"{name}_then").otherwise(f"{name}_last")).alias(name)
            for name in ("lot_size", "tick_size")
        )
        return joined.with_columns(
            *dated, *(pl.coalesce(name, f"{name}_last").alias(name) for name in ("isin", "rank"))
        ).select(contracts.columns)


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file of bars or ticks.

    Parameters
    ----------
    path : Path
        File.
    columns : tuple of str
        That it must have.
    rows : int
        That it must have.
    bar_seconds : int
        Resolution of all its rows.
    derived_from : str or None
        File that its rows were made of, if they are not what was stored.

    """

    path: Path
    columns: tuple[str, ...]
    rows: int
    bar_seconds: int
    derived_from: str | None


@dataclass(frozen=True, slots=True)
class Export:
    """What the sidecar in a folder says.

    Parameters
    ----------
    folder : Path
        Folder.
    name : str
        The same for every export of the same partition, wherever it lies.
    files : tuple of ExportedFile
        Bars and ticks.
    others : tuple of Path
        The other files it names.
    sessions : tuple of datetime.date
        Trade dates of which the export speaks, ascending.
    terms : Terms

    """

    folder: Path
    name: str
    files: tuple[ExportedFile, ...]
    others: tuple[Path, ...]
    sessions: tuple[dt.date, ...]
    terms: Terms


def read_export(folder: Path) -> Export | None:
    """Read what a folder's sidecar says.

    Parameters
    ----------
    folder : Path
        Folder that may hold an export.

    Returns
    -------
    Export or None
        None when there is no sidecar, or one that is not ours.

    Raises
    ------
    SourceError
        If the sidecar is damaged or newer than this version, or a file of terms cannot be read.

    """
    path = folder / SIDECAR_NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"is not readable as JSON: {error}", where=str(path)) from error
    if not isinstance(content, dict) or content.get("kind") != SIDECAR_KIND:
        return None
    if content.get("version") != SIDECAR_VERSION:
        raise SourceError(
            f"has version {content.get('version')}, expected {SIDECAR_VERSION}",
            where=str(path),
            next_step="export again, or import with the version of the pipeline that wrote it",
        )
    try:
        return _export(folder, content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(f"does not have the form of a sidecar: {error!r}", where=str(path)) from error


def _export(folder: Path, content: dict[str, Any]) -> Export:
    entries = {folder / _inner(entry["path"]): entry for entry in content["files"]}
    files = tuple(
        ExportedFile(
            path,
            tuple(column["name"] for column in entry["columns"]),
            _count(entry, "rows"),
            _count(entry, "bar_seconds"),
            entry["derived_from"],
        )
        for path, entry in entries.items()
        if entry["content"] in {BARS, TICKS}
    )
    partition = content["partition"]
    small = {entry["content"]: path for path, entry in entries.items() if entry["content"] not in {BARS, TICKS}}
    return Export(
        folder,
        f"export {partition['underlying']} {partition['start_date']} to {partition['end_date']}",
        files,
        tuple(small.values()),
        _sessions(small.get(SESSIONS)),
        _terms(small.get(INSTRUMENTS), small.get(TERM_PERIODS)),
    )


def _inner(path: object) -> str:
    """Give a path below the export's folder; a sidecar must not make us read other files."""
    if not isinstance(path, str) or "\x00" in path or "\\" in path or set(path.split("/")) & {"", ".", ".."}:
        raise ValueError(f"path {path!r} does not lie in the export's folder")
    return path


def _count(entry: dict[str, Any], name: str) -> int:
    number = entry[name]
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError(f"{name} {number!r}, expected a whole number of zero or more")
    return number


def _terms(instruments: Path | None, periods: Path | None) -> Terms:
    terms = _small(instruments, ("instrument_id", *_ADDED))
    dated = _small(periods, ("instrument_id", "valid_from", "valid_to", "lot_size", "tick_size"))
    return Terms(terms, dated)


def _sessions(path: Path | None) -> tuple[dt.date, ...]:
    return tuple(_small(path, ("session_date",))["session_date"].drop_nulls().sort())


def _small(path: Path | None, columns: tuple[str, ...]) -> pl.DataFrame:
    """Read some columns of a small file; whatever of them cannot be read is an error: they hold for many rows."""
    parts = []
    if path is not None and path.is_file():
        header = read_columns(path, _SEPARATOR)
        missing = [name for name in columns if name not in header]
        if missing:
            raise SchemaDriftError(f"has no column {', '.join(missing)}", where=str(path))
        for chunk in read_chunks(path, header, _SEPARATOR):
            if chunk.unfit.height:
                raise SourceError(f"line {chunk.unfit.item(0, 0)} cannot be read", where=str(path))
            parts.append(pl.DataFrame([_typed(chunk.fields[name], path) for name in columns]))
    empty = pl.DataFrame({name: _typed(pl.Series(name, [], pl.String()), None) for name in columns})
    return pl.concat([empty, *parts])


def _typed(column: pl.Series, path: Path | None) -> pl.Series:
    name, text = column.name, as_text(column)
    if name == "isin":
        return text.set(text == "", None)
    if name in {"valid_from", "valid_to", "session_date"}:
        values = text.str.to_date("%Y-%m-%d", strict=False)
    elif name == "tick_size":
        values, reads = decimals(column)
        values = values.set(~reads, None)
    else:
        dtype = {"instrument_id": pl.Int32(), "rank": pl.Int16()}.get(name, pl.Int64())
        values = text.cast(dtype, strict=False)
    unread = values.is_null() & (text != "")
    if unread.any():
        raise SourceError(f"{name} was {text.filter(unread)[0]!r}, which cannot be read", where=str(path))
    return values.alias(name)
