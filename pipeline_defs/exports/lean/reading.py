"""Reads zips of a data folder back: every entry and line against the grammar, values as exact decimals.

Many entries at once, but not a whole zip, which may hold the day of a whole chain; what a line must look like is said
by `lines`. Nothing is read past its first defect, and a defect is a finding, never an exception: a damaged file must
not hide the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.exports.lean.checks import PRICES
from pipeline_defs.exports.lean.columns import QUOTE_PRICES
from pipeline_defs.exports.lean.entries import Entry, belongs, parse_entry
from pipeline_defs.exports.lean.findings import Finding, Rule
from pipeline_defs.exports.lean.kinds import SCALE, LeanFormatError, Resolution, TickType
from pipeline_defs.exports.lean.lines import MILLISECONDS_OF_DAY, TIME_FORMAT, line_pattern
from pipeline_defs.zips import DAMAGE, open_zip

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.exports.lean.paths import DataFile

VALUE: Final = pl.Decimal(38, 8)

_FIELDS: Final = {
    TickType.TRADE: (*PRICES, "volume"),
    TickType.QUOTE: (*QUOTE_PRICES[:4], "bid_size", *QUOTE_PRICES[4:], "ask_size"),
    TickType.OPEN_INTEREST: ("open_interest",),
}
_SCALED: Final = frozenset((*PRICES, *QUOTE_PRICES))
_SHOWN: Final = 200

PORTION_BYTES: Final = 1 << 23
"""Text that is taken apart at once, but for a longer entry: some 200,000 lines, 100 MB with what is made of them."""


@dataclass
class ZipContent:
    """What a zip holds, or a portion of it.

    Parameters
    ----------
    file : DataFile
        Which zip.
    entries : list of Entry
        In the order of the zip; each lies wholly in one portion.
    rows : polars.DataFrame
        `entry` (index into `entries`), `time` (Int64 milliseconds, or naive Datetime for hour and daily data), and the
        values in currency: of trades, quotes or open interest. Of tick data the time alone.
    findings : list of Finding
        What is wrong; `rows` then lack the entries that are.

    """

    file: DataFile
    entries: list[Entry] = field(default_factory=list)
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)
    findings: list[Finding] = field(default_factory=list)


def read_zip(root: Path, file: DataFile, path: str | None = None) -> Iterator[ZipContent]:
    """Read a zip, a bounded number of bytes at a time.

    Parameters
    ----------
    root : Path
        Data folder.
    file : DataFile
        What the zip is.
    path : str or None, default None
        Where it lies, if that is not where LEAN looks for it.

    Yields
    ------
    ZipContent
        At least one. Of a zip that cannot be read to its end, the last has no rows and says so.

    """
    where = path or file.path
    content, texts, size = ZipContent(file, rows=_empty_rows(file)), list[str](), 0
    try:
        with open_zip(root / where) as archive:
            if not archive.infolist():
                content.findings.append(Finding(Rule.ARCHIVE, where, "holds no entry"))
            for info in archive.infolist():
                text = _read_entry(archive, info, content, where)
                if text is not None:
                    texts.append(text)
                    size += len(text)
                if size >= PORTION_BYTES:
                    yield _parsed(content, texts, where)
                    content, texts, size = ZipContent(file, rows=_empty_rows(file)), [], 0
    except DAMAGE as error:
        content.findings.append(Finding(Rule.ARCHIVE, where, f"cannot be read to its end: {error}"))
        content.entries.clear()
        texts = []
    yield _parsed(content, texts, where)


def _read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, content: ZipContent, where: str) -> str | None:
    file, place = content.file, f"{where}#{info.filename}"
    try:
        entry = parse_entry(info.filename, file.security, file.resolution)
    except LeanFormatError as error:
        content.findings.append(Finding(Rule.ENTRY, place, error.what))
        return None
    astray = belongs(entry, file)
    if astray is not None:
        content.findings.append(Finding(Rule.ENTRY, place, astray))
    text = archive.read(info).decode("ascii")
    # Some of LEAN's own files end without an end of line, and some lines with CRLF.
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        content.findings.append(Finding(Rule.ENTRY, place, "is empty: LEAN leaves such entries out"))
        return None
    content.entries.append(entry)
    return text


def _parsed(content: ZipContent, texts: list[str], where: str) -> ZipContent:
    """Take the texts of the entries apart."""
    if not texts:
        return content
    file = content.file
    lines = (
        pl.DataFrame({"text": texts})
        .with_row_index("entry")
        .with_columns(pl.col("text").str.split("\n"))
        .explode("text", empty_as_null=True)
        .with_columns(pl.col("text").str.strip_suffix("\r"), line=pl.int_range(1, pl.len() + 1).over("entry"))
    )
    pattern = f"^(?:{line_pattern(file.security, file.resolution, file.tick_type)})$"
    good = lines["text"].str.contains(pattern)
    if not good.all():
        _find(
            content,
            lines.filter(~good),
            Rule.LINE,
            where,
            f"has not the form of {file.resolution} {file.tick_type} data",
        )
        lines = lines.filter(~pl.col("entry").is_in(lines.filter(~good)["entry"].unique().implode()))
    rows = _values(lines, content.file)
    names = [name for name in rows.columns if name not in {"entry", "time"}]
    lost = rows.select(pl.any_horizontal(pl.lit(value=False), pl.col(names).is_null()).alias("lost"))["lost"]
    lost &= ~lines["text"].str.contains(",,,,", literal=True)
    if lost.any():
        _find(content, lines.filter(lost), Rule.LINE, where, "holds a number of more than 30 digits")
    timeless = rows["time"].is_null()
    if timeless.any():
        _find(content, lines.filter(timeless), Rule.LINE, where, "holds no time of a day")
    unsorted = (rows["time"] <= rows["time"].shift()) & (rows["entry"] == rows["entry"].shift())
    if file.resolution is Resolution.TICK:
        unsorted = (rows["time"] < rows["time"].shift()) & (rows["entry"] == rows["entry"].shift())
    if unsorted.fill_null(value=False).any():
        _find(content, lines.filter(unsorted), Rule.ORDER, where, "is not later than the line before")
    content.rows = rows
    return content


def _values(lines: pl.DataFrame, file: DataFile) -> pl.DataFrame:
    names = () if file.resolution is Resolution.TICK else _FIELDS[file.tick_type]
    fields = pl.col("text").str.split_exact(",", len(names)).struct.rename_fields(["time", *names])
    split = lines.select("entry", fields.struct.unnest())
    time = pl.col("time").str.to_datetime(TIME_FORMAT, time_unit="us", strict=False)
    if not file.resolution.is_coarse:
        number = pl.col("time").cast(pl.Float64 if file.resolution is Resolution.TICK else pl.Int64, strict=False)
        time = pl.when(number < MILLISECONDS_OF_DAY).then(number)
    unit = pl.lit(Decimal(1) / SCALE, VALUE)
    return split.select(
        "entry",
        time.alias("time"),
        *(
            (
                pl.col(name).cast(VALUE, strict=False) * unit
                if name in _SCALED and file.security.is_scaled
                else pl.col(name).cast(VALUE, strict=False)
            ).alias(name)
            for name in names
        ),
    )


def _find(content: ZipContent, bad: pl.DataFrame, rule: Rule, where: str, what: str) -> None:
    """Note the first bad line of each entry."""
    for row in bad.unique("entry", keep="first", maintain_order=True).iter_rows(named=True):
        place = f"{where}#{content.entries[row['entry']].name} line {row['line']}"
        content.findings.append(Finding(rule, place, f"{what}: {row['text'][:_SHOWN]!r}"))


def _empty_rows(file: DataFile) -> pl.DataFrame:
    time = pl.Datetime("us") if file.resolution.is_coarse else pl.Int64()
    names = () if file.resolution is Resolution.TICK else _FIELDS[file.tick_type]
    return pl.DataFrame(schema={"entry": pl.get_index_type(), "time": time, **dict.fromkeys(names, VALUE)})
