"""How an export is read back: its texts exactly, its feeds through Backtrader, both into frames.

What must come out is the business of `verify`. Importing this module imports Backtrader.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import backtrader as bt
import polars as pl

from pipeline_defs.exports.backtrader.text import HEADER, STAMP_FORMAT
from pipeline_defs.exports.backtrader.truth import VALUES
from pipeline_defs.schema.columns import PRICE_SCALE
from pipeline_defs.schema.exports import BAR_SCHEMA

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator
    from decimal import Decimal
    from pathlib import Path

COMPARED: Final = pl.Decimal(38, PRICE_SCALE)
"""Type to which prices and volumes from Backtrader and from the truth are brought, exactly."""

_BATCH_BYTES: Final = 32 << 20
_HEADER_LINE: Final = f"{HEADER}\n".encode("ascii")
_LINE: Final = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(,-?\d{1,12}(\.\d{1,8})?){4}(,\d{1,16}){2}$"


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

    """

    sha256: str
    defect: str | None
    rows: int = 0
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    sums: dict[str, Decimal | int] = field(default_factory=dict)


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
            )
        )


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
        it prints as, without rounding.

    """
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(feed)
    cerebro.addstrategy(_Recorder)
    (strategy,) = cerebro.run()
    schema = {"time": pl.Datetime("us"), **dict.fromkeys(VALUES, pl.Float64())}
    seen = pl.DataFrame(strategy.seen, schema=schema, orient="row")
    # The shortest text that gives the float back is the number that was in the file; NaN becomes null.
    return seen.with_columns(pl.col(VALUES).cast(pl.String).cast(COMPARED, strict=False))


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


def _read_batch(contents: list[bytes]) -> Iterator[TextFile]:
    defects = [_framing_defect(content) for content in contents]
    sound = [content for content, defect in zip(contents, defects, strict=True) if defect is None]
    found = iter(_parse(sound).iter_rows(named=True)) if sound else iter(())
    for content, defect in zip(contents, defects, strict=True):
        sha256 = hashlib.sha256(content).hexdigest()
        if defect is not None:
            yield TextFile(sha256, defect)
            continue
        row = next(found)
        sums = {name: row[name] for name in VALUES}
        if not row["is_sound"]:
            yield TextFile(sha256, "holds a stamp or a number of another form, or its stamps do not ascend")
        else:
            yield TextFile(sha256, None, row["rows"], row["first"], row["last"], sums)


def _framing_defect(content: bytes) -> str | None:
    if not content.startswith(_HEADER_LINE):
        return f"does not begin with the line {HEADER}"
    if len(content) == len(_HEADER_LINE):
        return "holds no bars"
    if not content.endswith(b"\n") or content.endswith(b"\n\n"):
        return "does not end with exactly one newline"
    return None


def _parse(contents: list[bytes]) -> pl.DataFrame:
    """Parse the bodies of many files at once, and sum up each."""
    bodies = [content[len(_HEADER_LINE) : -1].decode("ascii", errors="replace") for content in contents]
    lines = pl.DataFrame({"file": range(len(bodies)), "line": bodies}).with_columns(pl.col("line").str.split("\n"))
    parts = pl.col("line").str.split_exact(",", len(VALUES)).struct.rename_fields(["time", *VALUES])
    values = (
        lines.explode("line")
        .with_columns(has_form=pl.col("line").str.contains(_LINE))
        .with_columns(parts.struct.unnest())
        .with_columns(
            pl.col("time").str.to_datetime(STAMP_FORMAT, strict=False),
            *(pl.col(name).cast(BAR_SCHEMA[name], strict=False) for name in VALUES),
        )
    )
    ascends = (pl.col("time") > pl.col("time").shift()).fill_null(value=True).all() & pl.col("time").is_not_null().all()
    return values.group_by("file", maintain_order=True).agg(
        pl.col(VALUES).sum(),
        is_sound=pl.col("has_form").all() & ascends,
        rows=pl.len().cast(pl.Int64),
        first=pl.col("time").first(),
        last=pl.col("time").last(),
    )
