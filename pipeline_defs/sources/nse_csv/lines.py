"""Bytes of many files to one frame of text fields; lines of the wrong shape become rejects.

Files whose counts of lines and commas fit are parsed together at full speed; any other file is taken
apart line by line so that each line that does not fit can be named. What a field means belongs to the
modules after this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.batches import REJECT_SCHEMA
from pipeline_defs.sources.nse_csv.reasons import BLANK_LINE, WRONG_FIELD_COUNT, cut_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline_defs.spilling import Content

_CHUNK_BYTES: Final = 1 << 23
"""Files are parsed in portions of this size: the buffer is re-used, and the files' bytes can go."""

PLACE_SCHEMA: Final = {"file_index": pl.UInt32(), "line": pl.UInt32()}


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of a file that are parsed together.

    Parameters
    ----------
    file_index : int
        Number of the file.
    data : bytes
        What holds them.
    start : int
        Offset of the first.
    first_line : int
        Physical number (1-based) of the first.

    """

    file_index: int
    data: bytes
    start: int
    first_line: int

    def count(self) -> int:
        """Count physical lines from the start; a last line may lack its newline."""
        complete = self.data.count(b"\n", self.start)
        return complete + (len(self.data) > self.start and not self.data.endswith(b"\n"))


@dataclass(frozen=True, slots=True)
class FileBody:
    """The data lines of one file.

    Parameters
    ----------
    file_index : int
        Number of the file.
    data : bytes or mmap.mmap
        The whole file.
    start : int
        Offset of the first data line.
    first_line : int
        Physical number (1-based) of that line.

    """

    file_index: int
    data: Content
    start: int
    first_line: int

    def portions(self) -> Iterator[Lines]:
        """Cut a large file at line ends, so that only the portion with a damaged line is taken apart."""
        start, first_line = self.start, self.first_line
        while len(self.data) - start > _CHUNK_BYTES:
            end = self.data.rfind(b"\n", start, start + _CHUNK_BYTES) + 1
            if end == 0:  # a line longer than a portion: no layout has such lines, and it will be refused as one
                end = self.data.find(b"\n", start + _CHUNK_BYTES) + 1 or len(self.data)
            portion = Lines(self.file_index, self.data[start:end], 0, first_line)
            yield portion
            start, first_line = end, first_line + portion.count()
        if start < len(self.data):
            uncut = self.data if start == self.start and isinstance(self.data, bytes) else None
            rest = (self.data[start:], 0) if uncut is None else (uncut, start)
            yield Lines(self.file_index, *rest, first_line)


@dataclass(slots=True)
class LineReader:
    """Collects files of one layout and gives their fields as one frame.

    Parameters
    ----------
    columns : sequence of str
        Names of the fields, in file order.
    lines : int
        How many were taken in.

    """

    columns: Sequence[str]
    lines: int = 0
    _frames: list[pl.DataFrame] = field(default_factory=list)
    _rejects: list[pl.DataFrame] = field(default_factory=list)
    _waiting: list[tuple[Lines, int]] = field(default_factory=list)
    _waiting_bytes: int = 0

    def add_portion(self, body: Lines) -> None:
        """Take in lines of a file.

        Parameters
        ----------
        body : Lines
            One of its `FileBody.portions`, in their order: damage is looked for in each by itself.

        """
        count = body.count()
        self.lines += count
        commas = body.data.count(b",", body.start)
        if commas != count * (len(self.columns) - 1) or not body.data.isascii():
            self._parse_waiting()
            self._take_apart(body)
            return
        self._waiting.append((body, count))
        self._waiting_bytes += len(body.data)
        if self._waiting_bytes >= _CHUNK_BYTES:
            self._parse_waiting()

    def finish(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Give the fields and the rejects of all files taken in.

        Returns
        -------
        tuple of polars.DataFrame
            ``file_index, line`` and the columns as text, in file order; and `REJECT_SCHEMA`.

        """
        self._parse_waiting()
        empty = pl.DataFrame(schema=PLACE_SCHEMA | dict.fromkeys(self.columns, pl.String()))
        return pl.concat([empty, *self._frames]), pl.concat([pl.DataFrame(schema=REJECT_SCHEMA), *self._rejects])

    def _parse_waiting(self) -> None:
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not waiting:
            return
        pieces: list[memoryview | bytes] = []
        for body, _ in waiting:
            pieces.append(memoryview(body.data)[body.start :])
            if not body.data.endswith(b"\n"):
                pieces.append(b"\n")
        fields = self._parse(b"".join(pieces), sum(count for _, count in waiting))
        if fields is None:
            for body, _ in waiting:
                self._take_apart(body)
            return
        places = pl.DataFrame(
            {
                "file_index": [body.file_index for body, _ in waiting],
                "first_line": [body.first_line for body, _ in waiting],
                "count": [count for _, count in waiting],
            },
            schema={"file_index": pl.UInt32(), "first_line": pl.UInt32(), "count": pl.UInt32()},
        )
        lines = places.select("file_index", line=pl.int_ranges("first_line", pl.col("first_line") + pl.col("count")))
        self._frames.append(pl.concat([lines.explode("line").cast(pl.UInt32()), fields], how="horizontal"))

    def _parse(self, buffer: bytes, expected_rows: int) -> pl.DataFrame | None:
        """Parse lines that should all fit; None when they do not."""
        try:
            fields = pl.read_csv(
                buffer,
                has_header=False,
                quote_char=None,
                infer_schema=False,
                empty_string_is_null=False,
                schema=dict.fromkeys(self.columns, pl.String()),
            )
        except pl.exceptions.PolarsError:
            return None
        # A line too short leaves nulls; only a line too long elsewhere could have hidden it from the counts.
        is_whole = fields.height == expected_rows and fields.to_series(fields.width - 1).null_count() == 0
        return fields if is_whole else None

    def _take_apart(self, body: Lines) -> None:
        """Split one file into lines, reject those of the wrong shape, parse the others."""
        text = body.data[body.start :].decode("utf-8", "replace").removesuffix("\n")
        lines = pl.select(text=pl.lit(text).str.split("\n")).explode("text")
        lines = lines.with_columns(
            pl.col("text").str.strip_suffix("\r"),
            file_index=pl.lit(body.file_index, pl.UInt32()),
            line=pl.int_range(body.first_line, pl.len() + body.first_line, dtype=pl.UInt32()),
        ).with_columns(
            reason=pl.when(pl.col("text").str.strip_chars() == "")
            .then(pl.lit(BLANK_LINE))
            .when(pl.col("text").str.count_matches(",", literal=True) != len(self.columns) - 1)
            .then(pl.lit(WRONG_FIELD_COUNT))
        )
        unfit = lines.filter(pl.col("reason").is_not_null())
        self._rejects.append(cut_text(unfit).select(list(REJECT_SCHEMA)))
        fit = lines.filter(pl.col("reason").is_null())
        if fit.is_empty():
            return
        split = fit["text"].str.split_exact(",", len(self.columns) - 1).struct.unnest()
        split.columns = list(self.columns)
        self._frames.append(pl.concat([fit.select("file_index", "line"), split], how="horizontal"))
