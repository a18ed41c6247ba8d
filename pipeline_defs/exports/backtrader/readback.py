"""How an export is read back: its texts exactly, its feeds through Backtrader, both into frames.

What must come out is the business of `verify`. Importing this module imports Backtrader.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import backtrader as bt
import polars as pl

from pipeline_defs.exports.backtrader.text import GREEKS_COLUMNS, GREEKS_HEADER, HEADER, STAMP_FORMAT
from pipeline_defs.exports.backtrader.truth import COMPARED, FINGERPRINT, GREEKS_FINGERPRINT, VALUES

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator
    from decimal import Decimal
    from pathlib import Path

_BATCH_BYTES: Final = 8 << 20
_HEADER_LINE: Final = f"{HEADER}\n".encode("ascii")
_GREEKS_HEADER_LINE: Final = f"{GREEKS_HEADER}\n".encode("ascii")
_STAMP: Final = r"[0-9]{4}-[0-9][0-9]-[0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9]"
_FRACTION: Final = r"(\.[0-9]{0,7}[1-9])?"
_BAR: Final = (
    rf"^{_STAMP}(,-?(0|[1-9][0-9]{{0,11}}){_FRACTION}){{4}},(0|[1-9][0-9]{{0,15}}){_FRACTION},(0|[1-9][0-9]{{0,15}})"
)
_LINE: Final = rf"{_BAR}$"
"""A line of a file: plain decimals, no zeros before or behind that say nothing."""
_GREEKS_LINE: Final = (
    rf"{_BAR}(,-?[0-9]+(\.[0-9]+)?(e-?[0-9]+)?){{{len(GREEKS_COLUMNS)}}}$|{_BAR},{{{len(GREEKS_COLUMNS)}}}$"
)
"""A line of an option with Greeks: all of them behind the bar, or none."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """What the text of one file says.

    Parameters
    ----------
    sha256 : str
        Of its bytes.
    defect : str or None
        Why it is not the text that it should be; the rest is then meaningless.
    rows : int
        Bars.
    first, last : datetime.datetime or None
        Stamps.
    sums : dict
        Exact sum of each of `VALUES`.
    fingerprint : int
        Of all bars together; see `truth.FINGERPRINT`.
    greeks_fingerprint : int or None
        Of all Greeks together; None where the file has no columns for them.

    """

    sha256: str
    defect: str | None
    rows: int = 0
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    sums: dict[str, Decimal] = field(default_factory=dict)
    fingerprint: int = 0
    greeks_fingerprint: int | None = None


class _Recorder(bt.Strategy):  # type: ignore[misc] # Backtrader carries no types
    """Writes down every bar as a strategy sees it."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def next(self) -> None:
        bar = self.data
        self.seen.append(
            (
                bar.datetime.datetime(0),
                bar.open[0],
                bar.high[0],
                bar.low[0],
                bar.close[0],
                bar.volume[0],
                bar.openinterest[0],
                *(getattr(bar, name)[0] for name in greeks_lines(bar)),
            )
        )


def greeks_lines(feed: Any) -> tuple[str, ...]:  # noqa: ANN401 -- a Backtrader feed
    """Name the lines of Greeks that a feed has."""
    return tuple(name for name in GREEKS_COLUMNS if name in feed.getlinealiases())


def replay(feed: Any) -> pl.DataFrame:  # noqa: ANN401 -- a Backtrader feed
    """Run a feed through Backtrader and give what a strategy saw.

    Parameters
    ----------
    feed : backtrader feed
        Not yet part of a run.

    Returns
    -------
    polars.DataFrame
        `time` (naive) and `VALUES`, in the order in which the bars came. Each float is the decimal that
        it prints as, without rounding. Greeks, if the feed has any, are floats; NaN is null.

    """
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(feed)
    cerebro.addstrategy(_Recorder)
    (strategy,) = cerebro.run()
    floats = (*VALUES, *greeks_lines(feed))
    schema = {"time": pl.Datetime("us"), **dict.fromkeys(floats, pl.Float64())}
    seen = pl.DataFrame(strategy.seen, schema=schema, orient="row")
    # The shortest text that gives the float back is the number that was in the file; NaN becomes null.
    return seen.with_columns(
        pl.col(VALUES).cast(pl.String).cast(COMPARED, strict=False), pl.col(greeks_lines(feed)).fill_nan(None)
    )


def as_backtrader_holds(bars: pl.DataFrame) -> pl.DataFrame:
    """Round what a float cannot hold, as Backtrader does; prices and most volumes stay what they are.

    Parameters
    ----------
    bars : polars.DataFrame
        `time` and `VALUES`, exact.

    Returns
    -------
    polars.DataFrame
        With the volumes that `replay` gives.

    """
    # By way of the text, which alone is rounded once: the shortest text that gives the nearest float back.
    nearest = pl.col("volume").cast(pl.String).cast(pl.Float64).cast(pl.String)
    return bars.with_columns(nearest.cast(COMPARED))


def read_texts(root: Path, files: Iterable[str]) -> Iterator[TextFile]:
    """Read the text of files exactly, many at a time.

    Parameters
    ----------
    root : Path
        Folder of the export.
    files : iterable of str
        Names in it.

    Yields
    ------
    TextFile
        One for each file, in their order.

    """
    batch: list[bytes] = []
    for file in files:
        batch.append((root / file).read_bytes())
        if sum(map(len, batch)) > _BATCH_BYTES:
            yield from _read_batch(batch)
            batch = []
    yield from _read_batch(batch)


def text_bars(content: bytes) -> pl.DataFrame:
    """Give the bars of a sound text.

    Parameters
    ----------
    content : bytes
        A file of which `read_texts` told no defect.

    Returns
    -------
    polars.DataFrame
        `time` (naive) and `VALUES`, exact; with Greeks if the file has columns for them.

    """
    greeks = GREEKS_COLUMNS if content.startswith(_GREEKS_HEADER_LINE) else ()
    return _lines([content]).select("time", *VALUES, *greeks)


def _read_batch(contents: list[bytes]) -> Iterator[TextFile]:
    defects = [_framing_defect(content) for content in contents]
    framed = [content for content, defect in zip(contents, defects, strict=True) if defect is None]
    found = iter(_parse(framed).iter_rows(named=True)) if framed else iter(())
    for content, framing_defect in zip(contents, defects, strict=True):
        sha256 = hashlib.sha256(content).hexdigest()
        row: dict[str, Any] = {} if framing_defect is not None else next(found)
        defect = framing_defect or _line_defect(row)
        if defect is not None:
            yield TextFile(sha256, defect)
        else:
            sums = {name: row[name] for name in VALUES}
            greeks = row["greeks_fingerprint"] if row["has_greeks"] else None
            yield TextFile(sha256, None, row["rows"], row["first"], row["last"], sums, row["fingerprint"], greeks)


def _framing_defect(content: bytes) -> str | None:
    header = _header_of(content)
    if not content.startswith(header):
        return f"does not begin with the line {HEADER}"
    if len(content) == len(header):
        return "holds no bars"
    if not content.endswith(b"\n") or content.endswith(b"\n\n"):
        return "does not end with exactly one newline: it is cut short, or something was added"
    return None


def _header_of(content: bytes) -> bytes:
    return _GREEKS_HEADER_LINE if content.startswith(_GREEKS_HEADER_LINE) else _HEADER_LINE


def _line_defect(row: dict[str, Any]) -> str | None:
    for name, what in _LINE_DEFECTS.items():
        index = row[name]
        if index is not None:
            # Line 1 is the header.
            return f"line {index + 2} {what}: {row[f'{name}_line']!r}"
    return None


_LINE_DEFECTS: Final = {
    "formless": f"holds a stamp or a number of another form, or another number of columns than {len(VALUES) + 1}",
    "unsorted": "does not ascend, its stamp is not later than the one before",
    "unenclosed": "has a high and low that do not enclose its prices",
}


def _lines(contents: list[bytes]) -> pl.DataFrame:
    """Take the bodies of many files apart, line by line; what has no form is null."""
    headers = [_header_of(content) for content in contents]
    bodies = [
        content[len(header) : -1].decode("ascii", errors="replace")
        for content, header in zip(contents, headers, strict=True)
    ]
    has_greeks = [header == _GREEKS_HEADER_LINE for header in headers]
    lines = pl.DataFrame({"file": range(len(bodies)), "has_greeks": has_greeks, "line": bodies})
    names = ["time", *VALUES, *GREEKS_COLUMNS]
    parts = pl.col("line").str.split_exact(",", len(names) - 1).struct.rename_fields(names)
    form = pl.when("has_greeks").then(pl.col("line").str.contains(_GREEKS_LINE))
    return (
        lines.with_columns(pl.col("line").str.split("\n"))
        .explode("line")
        .with_columns(has_form=form.otherwise(pl.col("line").str.contains(_LINE)))
        .with_columns(parts.struct.unnest())
        .with_columns(
            pl.col("time").str.to_datetime(STAMP_FORMAT, strict=False),
            pl.col(VALUES).cast(COMPARED, strict=False),
            pl.col(GREEKS_COLUMNS).cast(pl.Float64, strict=False),
        )
    )


def _parse(contents: list[bytes]) -> pl.DataFrame:
    """Parse the bodies of many files at once, and sum up each."""
    encloses = (pl.col("high") >= pl.max_horizontal("open", "low", "close")) & (
        pl.col("low") <= pl.min_horizontal("open", "close")
    )
    bad = {
        "formless": ~pl.col("has_form") | pl.col("time").is_null(),
        "unsorted": (pl.col("time") <= pl.col("time").shift()).fill_null(value=False),
        "unenclosed": ~encloses.fill_null(value=True),
    }
    return (
        _lines(contents)
        .with_columns(fingerprint=FINGERPRINT)
        .group_by("file", maintain_order=True)
        .agg(
            pl.col(VALUES).sum(),
            pl.col("fingerprint").bitwise_xor(),
            GREEKS_FINGERPRINT,
            pl.col("has_greeks").first(),
            *(pl.when(is_bad.any()).then(is_bad.arg_max()).alias(name) for name, is_bad in bad.items()),
            *(pl.col("line").filter(is_bad).first().alias(f"{name}_line") for name, is_bad in bad.items()),
            rows=pl.len().cast(pl.Int64),
            first=pl.col("time").first(),
            last=pl.col("time").last(),
        )
    )
