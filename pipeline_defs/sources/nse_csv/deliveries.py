"""Files read once each: who they are, whether they were delivered before, and their lines as fields.

Two files are the same delivery when layout, date and base name agree, wherever they lie: beside a
folder its zip, beside a file its gzip twin. What the fields mean belongs to `normalize` and `bhavcopy`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.markets.tickers.filenames import ticker_from_filename
from pipeline_defs.schema.batches import FILE_SCHEMA, REJECT_SCHEMA
from pipeline_defs.schema.tables import DAY, MINUTE, TICK
from pipeline_defs.sources.nse_csv.headers import recognise
from pipeline_defs.sources.nse_csv.layouts import BEYOND, LAYOUTS_BY_NAME
from pipeline_defs.sources.nse_csv.lines import FileBody, LineReader
from pipeline_defs.sources.nse_csv.products import read_names
from pipeline_defs.sources.nse_csv.reasons import BLANK_LINE, EMPTY_FILE, OTHER_PRODUCT, UNSAFE_MEMBER_PATH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline_defs.schema.deliveries import RawArchive
    from pipeline_defs.sources.nse_csv.archives import Archives
    from pipeline_defs.sources.nse_csv.entries import Entry
    from pipeline_defs.sources.nse_csv.headers import Recognised
    from pipeline_defs.sources.nse_csv.layouts import Layout
    from pipeline_defs.spilling import Content

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_HEAD_BYTES: Final = 4096
_DEFAULT_LAYOUT: Final = "gdfl-minute"
_RESOLUTIONS: Final = {TICK: "tick", MINUTE: "minute", DAY: "daily"}
SLICE_LINES: Final = 1 << 20
"""A portion is given as soon as it has so many lines: text takes twice the memory of the rows made of it."""
_NOT_BLANK: Final = re.compile(rb"\S")
_NOT_LINE_END: Final = re.compile(rb"[^\r\n]")
_COPY_MARK: Final = re.compile(r" ?\(\d+\)(?=\.|$)")
"""What a browser adds to the name of a second download."""


@dataclass(frozen=True, slots=True)
class _Head:
    """How a file begins: its layout, where the data starts, the blank lines before the header."""

    recognised: Recognised
    start: int
    blank_lines: int
    first_line: int


@dataclass(frozen=True, slots=True)
class _Taken:
    """A file that has lines of a layout."""

    layout: Layout
    field_count: int
    body: FileBody

    def reader(self, readers: dict[tuple[str, int], LineReader]) -> LineReader:
        """Find the reader of such lines, or make it."""
        key = (self.layout.name, self.field_count)
        if key not in readers:
            beyond = (f"{BEYOND}{position}" for position in range(self.field_count - len(self.layout.columns)))
            readers[key] = LineReader((*self.layout.columns, *beyond))
        return readers[key]


@dataclass(frozen=True, slots=True)
class Fields:
    """The data lines of one layout in one portion of the input, as text.

    Parameters
    ----------
    layout : Layout
        What the columns mean.
    frame : polars.DataFrame
        ``file_index, line``, one column a field, and with a headerless layout ``ticker``.

    """

    layout: Layout
    frame: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Portion:
    """What a set of files holds, or a slice of it.

    Parameters
    ----------
    fields : list of Fields
        One for each layout.
    rejects : polars.DataFrame
        `REJECT_SCHEMA`: lines of the wrong shape, and files (line 0).

    """

    fields: list[Fields]
    rejects: pl.DataFrame


@dataclass(slots=True)
class Intake:
    """Reads files, remembering what was read before.

    Parameters
    ----------
    archives : Archives
        Where bytes come from.
    raw_archive : RawArchive or None
        Told about each file on disk before it is read.

    """

    archives: Archives
    raw_archive: RawArchive | None = None
    twins: list[tuple[Entry, Entry]] = field(default_factory=list)
    """Files left out, each with the earlier file of the same content."""
    _rows: list[tuple[object, ...]] = field(default_factory=list)
    _known: dict[str, tuple[Entry, str]] = field(default_factory=dict)
    _tickers: dict[int, str] = field(default_factory=dict)
    _recognised: dict[tuple[bytes, str | None], Recognised] = field(default_factory=dict)
    _digests: dict[Entry, str] = field(default_factory=dict)

    def digest(self, entries: Iterable[Entry]) -> str:
        """Give one digest over names and contents of files; reads those that were not read yet.

        Parameters
        ----------
        entries : iterable of Entry
            In any order, wherever they lie.

        Returns
        -------
        str
            Hexadecimal SHA-256.

        """
        whole = hashlib.sha256()
        for line in sorted(f"{_plain_name(entry)}\n{self._digest_of(entry)}\n" for entry in entries):
            whole.update(line.encode())
        return whole.hexdigest()

    def _digest_of(self, entry: Entry) -> str:
        if entry not in self._digests:
            self._digests[entry] = hashlib.sha256(self._read(entry)).hexdigest()
        return self._digests[entry]

    def _read(self, entry: Entry) -> Content:
        if self.raw_archive is not None:
            self.raw_archive.keep(entry.path, read_names(entry.parts).trade_date)
        return self.archives.read(entry)

    def read(self, entries: Iterable[Entry]) -> Iterator[Portion]:
        """Read files, a slice at a time.

        Parameters
        ----------
        entries : iterable of Entry
            In the order in which their rows count as delivered.

        Yields
        ------
        Portion
            At least one; more when there are more than `SLICE_LINES` lines.

        Raises
        ------
        SourceError
            If a file cannot be read, has no known layout, or differs from an earlier one of the same identity.

        """
        readers: dict[tuple[str, int], LineReader] = {}
        refused: list[tuple[int, int, str, str]] = []
        for entry in entries:
            taken = self._take_in(entry, refused)
            if taken is None:
                continue
            for body in taken.body.portions():
                taken.reader(readers).add_portion(body)
                if sum(reader.lines for reader in readers.values()) >= SLICE_LINES:
                    yield self._portion(readers, refused)
                    readers.clear()
                    refused.clear()
        yield self._portion(readers, refused)

    def _portion(self, readers: dict[tuple[str, int], LineReader], refused: list[tuple[int, int, str, str]]) -> Portion:
        parts: dict[str, list[pl.DataFrame]] = {}
        rejects = [pl.DataFrame(refused, schema=REJECT_SCHEMA, orient="row")]
        for (name, _), reader in readers.items():
            frame, unfit = reader.finish()
            parts.setdefault(name, []).append(frame)
            rejects.append(unfit)
        fields = [
            Fields(LAYOUTS_BY_NAME[name], self._with_tickers(LAYOUTS_BY_NAME[name], pl.concat(frames, how="diagonal")))
            for name, frames in parts.items()
        ]
        return Portion(fields, pl.concat(rejects))

    def refuse_unread(self, unsafe: Iterable[Entry], empty_archives: Iterable[Entry]) -> pl.DataFrame:
        """Give file-level rejects for what is not opened at all.

        Parameters
        ----------
        unsafe : iterable of Entry
            Members whose name points outside their archive.
        empty_archives : iterable of Entry
            Archives of zero bytes.

        Returns
        -------
        polars.DataFrame
            `REJECT_SCHEMA`.

        """
        refused = [
            *((self._register_unread(entry), 0, UNSAFE_MEMBER_PATH, entry.steps[-1][1]) for entry in unsafe),
            *((self._register_unread(entry), 0, EMPTY_FILE, "archive of zero bytes") for entry in empty_archives),
        ]
        return pl.DataFrame(refused, schema=REJECT_SCHEMA, orient="row")

    def files(self) -> pl.DataFrame:
        """Describe the files read so far.

        Returns
        -------
        polars.DataFrame
            `FILE_SCHEMA`; row k is file index k.

        """
        return pl.DataFrame(self._rows, schema=FILE_SCHEMA, orient="row")

    def _take_in(self, entry: Entry, refused: list[tuple[int, int, str, str]]) -> _Taken | None:
        """Read one file; None when there is nothing in it to be read as lines."""
        data = self._read(entry)
        digest, size = hashlib.sha256(data).hexdigest(), len(data)
        self._digests[entry] = digest
        begin = len(_BYTE_ORDER_MARK) if data[: len(_BYTE_ORDER_MARK)] == _BYTE_ORDER_MARK else 0
        facts = read_names(entry.parts)
        usual = facts.layout
        if _NOT_BLANK.search(data, begin) is None:
            index = self._register(entry, LAYOUTS_BY_NAME[usual or _DEFAULT_LAYOUT], facts.trade_date, digest, size)
            if index is not None:
                refused.append((index, 0, EMPTY_FILE, f"{size} bytes, no line"))
            return None
        head = self._head(data, begin, usual, entry.label)
        layout = head.recognised.layout
        is_other = usual is not None and LAYOUTS_BY_NAME[usual].bar_seconds != layout.bar_seconds
        date = facts.trade_date or _first_date(data, head.start, layout)
        index = self._register(entry, LAYOUTS_BY_NAME[usual] if usual and is_other else layout, date, digest, size)
        if index is None:
            return None
        if is_other:
            refused.append((index, 0, OTHER_PRODUCT, f"layout {layout.name} in a delivery of {usual}"))
            return None
        refused.extend((index, line, BLANK_LINE, "") for line in range(1, head.blank_lines + 1))
        if head.start == len(data):
            refused.append((index, 0, EMPTY_FILE, "a header without data lines"))
            return None
        if layout.family == "stream" and not layout.has("ticker"):
            self._tickers[index] = ticker_from_filename(entry.name)
        field_count = head.recognised.field_count
        return _Taken(layout, field_count, FileBody(index, data, head.start, head.first_line))

    def _head(self, data: Content, begin: int, usual: str | None, label: str) -> _Head:
        """Find the layout and where the data lines start; lines before the header are blank."""
        first = _NOT_LINE_END.search(data, begin)
        header_start = len(data) if first is None else first.start()
        header_end = data.find(b"\n", header_start)
        blank_lines = data[begin:header_start].count(b"\n")
        header = data[header_start : header_end if header_end >= 0 else len(data)][:_HEAD_BYTES]
        recognised = self._recognised.get((header, usual))
        if recognised is None:
            recognised = recognise(data[header_start : header_start + _HEAD_BYTES], usual, label)
        if recognised.layout.header is None:
            return _Head(recognised, header_start, blank_lines, blank_lines + 1)
        self._recognised[header, usual] = recognised
        start = len(data) if header_end < 0 else header_end + 1
        return _Head(recognised, start, blank_lines, blank_lines + 2)

    def _register(self, entry: Entry, layout: Layout, date: dt.date | None, digest: str, size: int) -> int | None:
        """Give a file its number; None when the same content was read before under the same identity."""
        logical_name = f"{_RESOLUTIONS[layout.bar_seconds]}/{date or 'undated'}/{_plain_name(entry)}"
        if logical_name in self._known:
            earlier, earlier_digest = self._known[logical_name]
            if digest == earlier_digest:
                self.twins.append((entry, earlier))
                return None
            raise SourceError(
                f"is the same delivery ({logical_name}) as {earlier.label}, with different content",
                where=entry.label,
                next_step="keep the right one of the two and import again",
            )
        self._known[logical_name] = (entry, digest)
        return self._append(entry, logical_name, digest, size, layout)

    def _register_unread(self, entry: Entry) -> int:
        layout = LAYOUTS_BY_NAME[read_names(entry.parts).layout or _DEFAULT_LAYOUT]
        return self._append(entry, f"not read/{entry.label}", "", entry.size_bytes, layout)

    def _append(self, entry: Entry, logical_name: str, digest: str, size: int, layout: Layout) -> int:
        index = len(self._rows)
        self._rows.append((index, entry.path, entry.member, logical_name, digest, size, layout.name))
        return index

    def _with_tickers(self, layout: Layout, frame: pl.DataFrame) -> pl.DataFrame:
        """Give the rows of a headerless layout the ticker of their file's name."""
        if layout.family != "stream" or layout.has("ticker"):
            return frame
        return frame.with_columns(
            ticker=pl.col("file_index").replace_strict(self._tickers, return_dtype=pl.String(), default="")
        )


def _plain_name(entry: Entry) -> str:
    """Give a file's name as it was delivered: without case, and without what a second download adds."""
    return _COPY_MARK.sub("", entry.name).lower()


def _first_date(data: Content, start: int, layout: Layout) -> dt.date | None:
    """Read the date of the first data line: part of the identity of a file whose name has none."""
    line = data[start : start + _HEAD_BYTES].partition(b"\n")[0].decode("utf-8", "replace").split(",")
    position = layout.columns.index("date")
    if position >= len(line):
        return None
    try:
        return dt.datetime.strptime(line[position].strip(' "\r'), layout.date_format).date()  # noqa: DTZ007 -- a date has no zone
    except ValueError:
        return None
