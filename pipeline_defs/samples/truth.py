"""What is wrong in a damaged delivery, what only looks wrong, and what must be stored exactly.

Written beside the landing folder, never in it. Nothing here decides what is damaged; see ``dirt``.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import polars as pl

from pipeline_defs.schema.columns import PRICE, TIMESTAMP

if TYPE_CHECKING:
    from pipeline_defs.samples.delivery import Delivery

CLEAN_ROW_SCHEMA: Final[dict[str, pl.DataType]] = {
    "file": pl.String(),
    "member": pl.String(),
    "line": pl.UInt32(),
    "ticker": pl.String(),
    "timestamp": TIMESTAMP,
    "bar_seconds": pl.Int32(),
    "open": PRICE,
    "high": PRICE,
    "low": PRICE,
    "close": PRICE,
    "volume": pl.Int64(),
    "open_interest": pl.Int64(),
    "bid_price": PRICE,
    "bid_size": pl.Int64(),
    "ask_price": PRICE,
    "ask_size": pl.Int64(),
}
"""One row per line that must be stored; `timestamp` is when it was complete. A tick has one price."""

type Outcome = Literal["rejected", "ignored"]

_TICK_SOURCES: Final = {
    **dict.fromkeys(("open", "high", "low", "close"), "last_price"),
    "volume": "last_size",
}


@dataclass(frozen=True, slots=True)
class Defect:
    """One damaged line or file.

    Parameters
    ----------
    file : str
        Path from the sample's root.
    member : str
        Name inside the archive, through nested archives; empty for a plain file.
    line : int
        Physical line, from 1; 0 is the whole file.
    defect : str
        Kind of damage.
    outcome : str
        ``rejected`` (reported, not stored) or ``ignored`` (left out: junk, or said already by another file).
    text : str
        The line as it stands in the file, without its end.

    """

    file: str
    member: str
    line: int
    defect: str
    outcome: Outcome
    text: str


@dataclass(frozen=True, slots=True)
class LooksDamaged:
    """Something that is right although it looks wrong.

    Parameters
    ----------
    file, member : str
        As in `Defect`.
    line, last_line : int
        Physical lines, from 1; 0 is the whole file.
    looks_like : str
        What it could be taken for.
    why : str
        Why it is right.

    """

    file: str
    member: str
    line: int
    last_line: int
    looks_like: str
    why: str


@dataclass(frozen=True, slots=True)
class Truth:
    """All that is known of one damaged day.

    Parameters
    ----------
    trade_date : datetime.date
        The day.
    defects : tuple of Defect
        By file, member and line.
    not_dirt : tuple of LooksDamaged
        By file, member and line.
    clean_rows : polars.DataFrame
        `CLEAN_ROW_SCHEMA`.

    """

    trade_date: dt.date
    defects: tuple[Defect, ...]
    not_dirt: tuple[LooksDamaged, ...]
    clean_rows: pl.DataFrame


def clean_rows(delivery: Delivery, rows: pl.DataFrame) -> pl.DataFrame:
    """Say what must be stored of a delivery.

    Parameters
    ----------
    delivery : Delivery
        Minutes or ticks.
    rows : polars.DataFrame
        Good rows of `delivery`, with their physical `line`.

    Returns
    -------
    polars.DataFrame
        `CLEAN_ROW_SCHEMA`.

    """
    places = [delivery.path_of(file) for file in range(len(delivery.names))]
    stems = [Path(name).stem for name in delivery.names]
    labels = pl.DataFrame(
        {"file": range(len(places)), "path": [p for p, _ in places], "member": [m for _, m in places], "stem": stems},
        schema_overrides={"file": pl.UInt32},
    )
    available = rows.join(labels, on="file", how="left", maintain_order="left").with_columns(
        file=pl.col("path"), bar_seconds=pl.lit(delivery.bar_seconds)
    )
    sources = _TICK_SOURCES if delivery.bar_seconds == 0 else {}
    if "ticker" not in available.columns:
        sources = {**sources, "ticker": "stem"}
    return available.select(
        (pl.col(sources.get(name, name)) if sources.get(name, name) in available.columns else pl.lit(None))
        .cast(dtype)
        .alias(name)
        for name, dtype in CLEAN_ROW_SCHEMA.items()
    )


def write_truth(folder: Path, truth: Truth) -> Path:
    """Write a truth as JSON, and its clean rows as CSV beside it.

    Parameters
    ----------
    folder : Path
        Created when missing.
    truth : Truth
        What to write.

    Returns
    -------
    Path
        The JSON file: ``trade_date``, ``clean_rows`` (file name), ``counts``, ``defects``, ``not_dirt``.

    """
    folder.mkdir(parents=True, exist_ok=True)
    rows_path = folder / f"clean_rows_{truth.trade_date:%Y%m%d}.csv"
    truth.clean_rows.write_csv(rows_path)
    counts = truth.clean_rows.group_by("file", "member", maintain_order=True).len("clean_rows").to_dicts()
    path = folder / f"truth_{truth.trade_date:%Y%m%d}.json"
    content = {
        "trade_date": str(truth.trade_date),
        "clean_rows": rows_path.name,
        "counts": counts,
        "defects": [asdict(defect) for defect in truth.defects],
        "not_dirt": [asdict(thing) for thing in truth.not_dirt],
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def read_truth(path: Path) -> Truth:
    """Read what `write_truth` wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    rows = pl.read_csv(path.parent / content["clean_rows"], infer_schema=False, empty_string_is_null=False)
    typed = rows.select(
        pl.col(name).cast(dtype)
        if dtype == pl.String
        else pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us").cast(dtype)
        if dtype == TIMESTAMP
        else pl.col(name).replace("", None).cast(dtype)
        for name, dtype in CLEAN_ROW_SCHEMA.items()
    )
    return Truth(
        trade_date=dt.date.fromisoformat(content["trade_date"]),
        defects=tuple(Defect(**defect) for defect in content["defects"]),
        not_dirt=tuple(LooksDamaged(**thing) for thing in content["not_dirt"]),
        clean_rows=typed,
    )
