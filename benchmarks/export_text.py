"""What an export of text costs, against a plain Polars ``write_csv`` of the same columns.

``python -m benchmarks.export_text [--format backtrader] [--contracts 2000] [--bars 375] [--rounds 5]
[--directory DIR]`` prints one JSON object: median CPU and wall seconds of each way, rows a second, and their ratios.
The ways take turns, so that a busy machine hurts all alike; only ratios mean anything across machines.

pipeline        what the format's exporter builds: checks, sums, names, text, sidecars
encoding        the text of the files and nothing else, written into as many files
plain_csv       the same columns with ``DataFrame.write_csv`` into as many files: exact decimals, times formatted alike
one_csv         the same rows into one file: what the number of files costs
empty_files     as many empty files: the share of the file system in all of the above

A format is a line in `FORMATS`. Files go to memory (``/dev/shm``) where there is such a place, since what a disk adds
is the same for every way.
"""

# ruff: noqa: INP001 -- scripts to run, not a package to import

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from benchmarks.export_nautilus import make_slice, measure
from pipeline_defs.exports.backtrader.text import STAMP_FORMAT, csv_files, exchange_time
from pipeline_defs.exports.lean.columns import cut, trade_lines
from pipeline_defs.exports.lean.kinds import Resolution
from pipeline_defs.exports.registry import get_exporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.schema.exports import MarketSlice


@dataclass(frozen=True, slots=True)
class TextFormat:
    """How a format is measured.

    Parameters
    ----------
    columns : callable
        The columns of its files, as a plain writer would be given them, with `instrument_id`.
    encoding : callable
        Writes the text of a frame of bars into a folder.

    """

    columns: Callable[[MarketSlice], pl.DataFrame]
    encoding: Callable[[MarketSlice, Path], object]


def backtrader_columns(market: MarketSlice) -> pl.DataFrame:
    """Give the seven columns of a Backtrader file, typed."""
    (frame,) = market.read_bars()
    return frame.select(
        "instrument_id",
        exchange_time("timestamp", market.timezone).alias("datetime"),
        "open",
        "high",
        "low",
        "close",
        "volume",
        openinterest=pl.col("open_interest").fill_null(0),
    )


def backtrader_encoding(market: MarketSlice, root: Path) -> None:
    """Write the text of the files, without checks and sidecar."""
    for frame in market.read_bars():
        for number, content in csv_files(frame, market.timezone):
            (root / f"{number}.csv").write_bytes(content)


def lean_columns(market: MarketSlice) -> pl.DataFrame:
    """Give the six columns of a LEAN entry of trades, typed: prices are whole numbers of a ten-thousandth."""
    (frame,) = market.read_bars()
    local = (pl.col("timestamp") - pl.duration(seconds=market.bar_seconds)).dt.convert_time_zone(market.timezone)
    scaled = [(pl.col(name) * 10_000).cast(pl.Int64) for name in ("open", "high", "low", "close")]
    return frame.select("instrument_id", (local.dt.time().cast(pl.Int64) // 1_000_000).alias("ms"), *scaled, "volume")


def lean_encoding(market: MarketSlice, root: Path) -> None:
    """Write the lines of the entries, without zips, open interest and all that LEAN needs beside them."""
    for frame in market.read_bars():
        start = pl.col("timestamp") - pl.duration(seconds=market.bar_seconds)
        session_date = start.dt.convert_time_zone(market.timezone).dt.date()
        bars = frame.with_columns(start=start, session_date=session_date)
        fields = trade_lines(bars, Resolution.MINUTE, market.timezone, is_scaled=True)
        for first, text in cut(fields, bars.select("instrument_id")):
            (root / f"{first}.csv").write_bytes(text)


FORMATS: Final = {
    "backtrader": TextFormat(backtrader_columns, backtrader_encoding),
    "lean": TextFormat(lean_columns, lean_encoding),
}


def build(name: str, market: MarketSlice) -> Callable[[Path], object]:
    """Build as the exporter does."""
    exporter = get_exporter(name)
    return lambda root: exporter.build(market, root)


def plain_csv(columns: Callable[[MarketSlice], pl.DataFrame], market: MarketSlice) -> Callable[[Path], object]:
    """Write every instrument with Polars, times made and the frame taken apart as part of the work."""

    def write(root: Path) -> None:
        parts = columns(market).partition_by("instrument_id", as_dict=True, include_key=False)
        for (number,), part in parts.items():
            part.write_csv(root / f"{number}.csv", datetime_format=STAMP_FORMAT)

    return write


def one_csv(columns: Callable[[MarketSlice], pl.DataFrame], market: MarketSlice) -> Callable[[Path], object]:
    """Write all rows into one file."""
    return lambda root: columns(market).write_csv(root / "all.csv", datetime_format=STAMP_FORMAT)


def empty_files(count: int) -> Callable[[Path], object]:
    """Make as many files."""

    def write(root: Path) -> None:
        for number in range(count):
            (root / f"{number}.csv").touch()

    return write


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--format", choices=sorted(FORMATS), default="backtrader")
    parser.add_argument("--contracts", type=int, default=2_000)
    parser.add_argument("--bars", type=int, default=375)
    parser.add_argument("--rounds", type=int, default=5)
    memory = Path("/dev/shm")  # noqa: S108 -- nothing is kept, and the folder made there is private
    parser.add_argument("--directory", type=Path, default=memory if memory.is_dir() else None)
    options = parser.parse_args()
    market, kind = make_slice(options.contracts, options.bars), FORMATS[options.format]
    ways: dict[str, Callable[[Path], object]] = {
        "pipeline": build(options.format, market),
        "encoding": lambda root: kind.encoding(market, root),
        "plain_csv": plain_csv(kind.columns, market),
        "one_csv": one_csv(kind.columns, market),
        "empty_files": empty_files(options.contracts),
    }
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory(dir=options.directory) as parent:
        for _ in range(options.rounds):
            for name, way in ways.items():
                spent[name].append(measure(way, Path(parent)))
    rows = options.contracts * options.bars
    medians = {
        name: {
            "cpu_seconds": round(statistics.median(cpu for cpu, _ in runs), 3),
            "wall_seconds": round(statistics.median(wall for _, wall in runs), 3),
        }
        for name, runs in spent.items()
    }
    plain = medians["plain_csv"]
    result = {
        "format": options.format,
        "files": options.contracts,
        "rows": rows,
        "rounds": options.rounds,
        "directory": str(options.directory or tempfile.gettempdir()),
        "medians": medians,
        "rows_per_wall_second": {
            name: int(rows / medians[name]["wall_seconds"]) for name in ("pipeline", "encoding", "plain_csv", "one_csv")
        },
        "pipeline_over_plain_csv": {unit: round(medians["pipeline"][unit] / plain[unit], 2) for unit in plain},
        "encoding_over_plain_csv": {unit: round(medians["encoding"][unit] / plain[unit], 2) for unit in plain},
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "polars": pl.__version__,
    }
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
