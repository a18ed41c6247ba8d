"""What a Nautilus export costs, against a plain Parquet write and against Nautilus' own writer.

``python -m benchmarks.export_nautilus [--contracts 2000] [--bars 375] [--rounds 5] [--directory DIR]`` prints one
JSON object: median CPU and wall seconds of each way, and their ratios. The ways take turns, so that a busy
machine hurts all alike; only ratios mean anything across machines.

pipeline        `build_catalog`: checks, sums, names, encoding and writing of bars and instruments
plain_parquet   ready float64/int64 bar tables and string instrument tables into as many files with
                `pyarrow.parquet.write_table` and its defaults
bar_objects     `Bar` and instrument objects from the same frame into `ParquetDataCatalog.write_data`
empty_files     as many folders, each with one empty file: the share of the file system in all of the above

Files go to memory (``/dev/shm``) where there is such a place, since what a disk adds is the same for every way;
each round takes about 0.1 GiB until the end.
"""

# ruff: noqa: INP001 -- scripts to run, not a package to import

from __future__ import annotations

import argparse
import datetime as dt
import gc
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.instruments import IndexInstrument, OptionContract
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from pipeline_defs.exports.nautilus import instruments, naming
from pipeline_defs.exports.nautilus.build import build_catalog
from pipeline_defs.exports.nautilus.checks import decimals_needed
from pipeline_defs.exports.nautilus.target_1 import engine_schema
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.schema.exports import BAR_SCHEMA, INSTRUMENT_SCHEMA, MarketSlice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OPEN: Final = dt.datetime(2025, 8, 14, 3, 45, tzinfo=dt.UTC)
CLOSE: Final = dt.datetime(2025, 8, 14, 10, 0, tzinfo=dt.UTC)
CLASSES: Final = {"OPT": OptionContract, "SPOT": IndexInstrument}


def make_slice(contracts: int, bars: int) -> MarketSlice:
    """Make an index and options on it, each with random-walk bars on a tick of 0.05."""
    rng = np.random.default_rng(20250814)
    start = rng.integers(40, 8_000, size=(contracts, 1))
    close = np.maximum(start + np.cumsum(rng.integers(-5, 6, size=(contracts, bars)), axis=1), 1)
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    high = np.maximum(opened, close) + rng.integers(0, 4, size=close.shape)
    low = np.maximum(np.minimum(opened, close) - rng.integers(0, 4, size=close.shape), 1)
    prices = {"open": opened, "high": high, "low": low, "close": close}
    # Whole numbers of paise become decimals without passing through floats.
    paise = {name: (value * 5).reshape(-1) for name, value in prices.items()}
    stamps = pl.Series(
        [OPEN + dt.timedelta(minutes=minute + 1) for minute in range(bars)], dtype=pl.Datetime("us", "UTC")
    )
    frame = pl.DataFrame(
        {
            "instrument_id": np.repeat(np.arange(1, contracts + 1), bars),
            "timestamp": pl.concat([stamps] * contracts),
            **paise,
            "volume": (rng.integers(0, 200, size=close.shape) * 75).reshape(-1),
            "open_interest": pl.Series([None] * (contracts * bars), dtype=pl.Int64),
        }
    ).with_columns(
        (pl.col(name).cast(pl.Decimal(18, 0)).cast(PRICE) * pl.lit("0.01").cast(PRICE)).cast(PRICE) for name in paise
    )
    frame = frame.select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items())
    terms = [
        dict.fromkeys(INSTRUMENT_SCHEMA)
        | {
            "instrument_id": number,
            "kind": "OPT" if number > 1 else "SPOT",
            "symbol": f"NIFTY14AUG25{20_000 + 25 * number}CE.NFO" if number > 1 else "NIFTY 50.NSE_IDX",
            "underlying": "NIFTY",
            "venue": "NSE",
            "currency": "INR",
            "first_timestamp": stamps[0],
            "last_timestamp": stamps[-1],
            "row_count": bars,
        }
        | (
            {
                "expiry": CLOSE.date(),
                "strike": 20_000 + 25 * number,
                "option_type": "CE",
                "lot_size": 75,
                "expiry_close": CLOSE,
            }
            if number > 1
            else {}
        )
        for number in range(1, contracts + 1)
    ]

    def read_bars(instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        yield frame if instrument_ids is None else frame.filter(pl.col("instrument_id").is_in(instrument_ids))

    return MarketSlice(
        "NIFTY",
        CLOSE.date(),
        CLOSE.date(),
        60,
        pl.DataFrame({"session_date": [CLOSE.date()], "open": [OPEN], "close": [CLOSE]}),
        pl.DataFrame(terms, schema=INSTRUMENT_SCHEMA),
        read_bars,
        (1,),
        CLOSE,
    )


def plain_parquet(market: MarketSlice) -> Callable[[Path], None]:
    """Write the same columns and as many files, without a thought of any engine."""
    (frame,) = market.read_bars()
    floats = frame.select(
        *(pl.col(name).cast(pl.Float64) for name in ("open", "high", "low", "close")),
        "volume",
        ts_event=pl.col("timestamp").dt.epoch("ns"),
        ts_init=pl.col("timestamp").dt.epoch("ns"),
    ).to_arrow()
    named = naming.with_identifiers(market.instruments)
    rows = instruments.instrument_rows(instruments.with_precisions(named, decimals_needed(frame)), OPEN)
    by_class = {
        kind: rows.filter(pl.col("kind") == kind).select(engine_schema(naming.CLASSES[kind]).names).to_arrow()
        for kind in CLASSES
    }
    bars = market.instruments["row_count"].to_list()

    def write(root: Path) -> None:
        for number, length in enumerate(bars):
            folder = root / "bar" / str(number)
            folder.mkdir(parents=True)
            pq.write_table(floats.slice(number * length, length), folder / "data.parquet")
        for kind, table in by_class.items():
            for number in range(table.num_rows):
                folder = root / kind / str(number)
                folder.mkdir(parents=True)
                pq.write_table(table.slice(number, 1), folder / "data.parquet")

    return write


def bar_objects(market: MarketSlice) -> Callable[[Path], None]:
    """Write through Nautilus' objects, one instrument after the other."""
    (frame,) = market.read_bars()
    named = naming.with_identifiers(market.instruments)
    rows = instruments.instrument_rows(instruments.with_precisions(named, decimals_needed(frame)), OPEN)
    ready = frame.select(
        "instrument_id",
        *(pl.col(name).cast(pl.Decimal(18, 2)) for name in ("open", "high", "low", "close")),
        "volume",
        ns=pl.col("timestamp").dt.epoch("ns"),
    )
    parts = dict(zip(named["engine_id"].to_list(), ready.partition_by("instrument_id", include_key=False), strict=True))

    def write(root: Path) -> None:
        catalog = ParquetDataCatalog(str(root))
        for engine_id, part in parts.items():
            bar_type = BarType.from_str(f"{engine_id}-1-MINUTE-LAST-EXTERNAL")
            catalog.write_data(
                [
                    Bar(
                        bar_type,
                        Price.from_str(str(opened)),
                        Price.from_str(str(high)),
                        Price.from_str(str(low)),
                        Price.from_str(str(close)),
                        Quantity.from_int(volume),
                        ns,
                        ns,
                    )
                    for opened, high, low, close, volume, ns in part.iter_rows()
                ]
            )
        for row in rows.iter_rows(named=True):
            catalog.write_data([CLASSES[row["kind"]].from_dict(row | {"info": {}})])

    return write


def empty_files(contracts: int) -> Callable[[Path], None]:
    """Make the folders and files that every way makes."""

    def write(root: Path) -> None:
        for number in range(2 * contracts):
            folder = root / str(number)
            folder.mkdir()
            (folder / "data.parquet").touch()

    return write


def measure(way: Callable[[Path], object], parent: Path) -> tuple[float, float]:
    """Run one way in a fresh directory; CPU and wall seconds.

    Nothing is removed until the end: ext4 spends up to a millisecond on each new file while it avoids the inodes
    of files removed a few seconds before.
    """
    root = Path(tempfile.mkdtemp(dir=parent))
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    way(root)
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contracts", type=int, default=2_000)
    parser.add_argument("--bars", type=int, default=375)
    parser.add_argument("--rounds", type=int, default=5)
    memory = Path("/dev/shm")  # noqa: S108 -- nothing is kept, and the folder made there is private
    parser.add_argument("--directory", type=Path, default=memory if memory.is_dir() else None)
    options = parser.parse_args()
    market = make_slice(options.contracts, options.bars)
    ways: dict[str, Callable[[Path], object]] = {
        "pipeline": lambda root: build_catalog(market, root),
        "plain_parquet": plain_parquet(market),
        "bar_objects": bar_objects(market),
        "empty_files": empty_files(options.contracts),
    }
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory(dir=options.directory) as parent:
        for _ in range(options.rounds):
            for name, way in ways.items():
                spent[name].append(measure(way, Path(parent)))
    medians = {
        name: {
            "cpu_seconds": round(statistics.median(cpu for cpu, _ in runs), 3),
            "wall_seconds": round(statistics.median(wall for _, wall in runs), 3),
        }
        for name, runs in spent.items()
    }
    ours = medians["pipeline"]
    result = {
        "contracts": options.contracts,
        "bars": options.contracts * options.bars,
        "rounds": options.rounds,
        "directory": str(options.directory or tempfile.gettempdir()),
        "medians": medians,
        "pipeline_over_plain_parquet": {
            unit: round(ours[unit] / medians["plain_parquet"][unit], 2) for unit in ("cpu_seconds", "wall_seconds")
        },
        "bar_objects_over_pipeline": {
            unit: round(medians["bar_objects"][unit] / ours[unit], 2) for unit in ("cpu_seconds", "wall_seconds")
        },
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "pyarrow": pa.__version__,
    }
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
