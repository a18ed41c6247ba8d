"""Which files below a path are read, and what each file's columns mean.

An exported file is read by the sidecar beside it; any other by the mapping that was named, the one beside it
(``NAME.mapping.toml``, else ``mapping.toml``), or, when its columns bear the names of fields, by none.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError, SchemaDriftError, SourceError
from pipeline_defs.schema.interchange import SIDECAR_NAME
from pipeline_defs.sources.manual_csv.chunks import ENDINGS, read_chunks, read_columns
from pipeline_defs.sources.manual_csv.exported import Export, ExportedFile, Terms, read_export
from pipeline_defs.sources.manual_csv.mapping import Mapping, plain_mapping, read_mapping
from pipeline_defs.sources.manual_csv.names import MAPPING_NAME, is_mapping, is_passed_over, own_mapping
from pipeline_defs.sources.manual_csv.workbooks import is_workbook

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.sources.manual_csv.lines import Chunk

_MANIFEST_NAME: Final = "_manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One file to read.

    Parameters
    ----------
    path : Path
        File.
    mapping : Mapping
        What its columns mean.
    columns : list of str
        Its columns; empty for an empty file.
    logical_name : str
        Under which the file is known when it is delivered again.
    layout : str
        ``generic`` for an exported file, ``mapped`` or ``plain`` for others.
    rows, bar_seconds : int or None
        What its sidecar says that it holds.
    terms : Terms or None
        Terms of its contracts that lie in files of their own.
    sessions : tuple of datetime.date
        Trade dates of which it speaks even where it has no row.

    """

    path: Path
    mapping: Mapping
    columns: list[str]
    logical_name: str
    layout: str
    rows: int | None = None
    bar_seconds: int | None = None
    terms: Terms | None = None
    sessions: tuple[dt.date, ...] = ()

    def chunks(self) -> Iterator[Chunk]:
        """Give the rows of the file, portion by portion; none of an empty file."""
        if self.columns:
            yield from read_chunks(self.path, self.columns, self.mapping.separator, self.mapping.sheet)

    def digest(self) -> tuple[str, int]:
        """Give SHA-256 and size of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), self.path.stat().st_size


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was found below a path.

    Parameters
    ----------
    files : list of Input
        In a steady order.
    derived : list of str
        Exported files left out because their rows were made of those of others.
    unread : list of str
        Files of an export that say nothing that is stored.
    foreign : list of str
        Files that are neither CSV, Parquet nor workbook, mapping nor sidecar.

    """

    files: list[Input] = field(default_factory=list)
    derived: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


def find_inputs(path: Path, mapping: Path | None) -> Inputs:
    """Find the files below a path and what their columns mean.

    Parameters
    ----------
    path : Path
        File or folder. A file that is named is read even if its rows were derived from those of another.
    mapping : Path or None
        Mapping of all files that no export's sidecar describes.

    Returns
    -------
    Inputs

    Raises
    ------
    SourceError
        If the path does not exist or holds nothing to read, or a sidecar is damaged.
    SchemaDriftError
        If an exported file has other columns than its sidecar says.
    ConfigurationError
        If a mapping cannot be used, or nothing says what a file's columns mean.

    """
    if not path.exists():
        raise SourceError("does not exist", where=str(path), next_step="check the path")
    found = Inputs()
    exports: dict[Path, Export | None] = {}
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        if file.parent not in exports:
            exports[file.parent] = read_export(file.parent)
        _sort_in(found, file, exports[file.parent], mapping, is_named=file == path)
    if not found.files:
        raise SourceError(
            f"holds nothing to read: looked for {', '.join(ENDINGS)} files; found"
            f" {len(found.unread) + len(found.derived)} files of exports without rows of their own and"
            f" {len(found.foreign)} others",
            where=str(path),
            next_step="check the path",
        )
    return found


def _sort_in(found: Inputs, file: Path, export: Export | None, mapping: Path | None, *, is_named: bool) -> None:
    name = file.name
    if name in {SIDECAR_NAME, _MANIFEST_NAME} or is_mapping(name) or is_passed_over(name):
        return
    exported = next((one for one in export.files if one.path == file), None) if export is not None else None
    if export is not None and exported is not None:
        if exported.derived_from is not None and not is_named:
            found.derived.append(f"{file} (from {exported.derived_from})")
        else:
            found.files.append(_exported_input(export, exported))
    elif export is not None and file in export.others:
        found.unread.append(str(file))
    elif file.suffix.lower() in ENDINGS:
        found.files.append(_own_input(file, mapping))
    else:
        found.foreign.append(str(file))


def _exported_input(export: Export, file: ExportedFile) -> Input:
    mapping = Mapping(columns={}, is_declared=False)
    columns = read_columns(file.path, mapping.separator)
    if tuple(columns) != file.columns:
        raise SchemaDriftError(
            f"has the columns {', '.join(columns)}, but {SIDECAR_NAME} says {', '.join(file.columns)}",
            where=str(file.path),
            next_step="was the file renamed or edited? put it back, or export again",
        )
    return Input(
        path=file.path,
        mapping=plain_mapping(columns, str(file.path)),
        columns=columns,
        logical_name=f"{export.name}, {file.path.name}",
        layout="generic",
        rows=file.rows,
        bar_seconds=file.bar_seconds,
        terms=export.terms,
        sessions=export.sessions,
    )


def _own_input(file: Path, mapping_path: Path | None) -> Input:
    beside = (mapping_path, own_mapping(file), file.with_name(MAPPING_NAME))
    chosen = next((path for path in beside if path is not None and (path == mapping_path or path.is_file())), None)
    declared = None if chosen is None else read_mapping(chosen)
    if declared is not None and declared.sheet is not None and not is_workbook(file):
        raise ConfigurationError(
            f"names the sheet {declared.sheet!r}, but {file.name} is no workbook",
            where=str(chosen),
            next_step="leave sheet out, or save the file as .xlsx",
        )
    columns = read_columns(file, ",") if declared is None else read_columns(file, declared.separator, declared.sheet)
    if declared is None:
        mapping = plain_mapping(columns, str(file)) if columns else Mapping(columns={}, is_declared=False)
    else:
        mapping = declared
        named = [column for several in declared.columns.values() for column in several]
        missing = sorted(set(named) - set(columns)) if columns else []
        if missing:
            raise SchemaDriftError(
                f"has no column {', '.join(missing)}; it has {', '.join(columns)}",
                where=str(file),
                next_step=f"correct the file, or {chosen}",
            )
    return Input(
        path=file,
        mapping=mapping,
        columns=columns,
        # Where a file lies is part of what it is: another folder's file of the same name is another delivery.
        logical_name=mapping.delivery or file.resolve().as_posix(),
        layout="plain" if declared is None else "mapped",
    )
