"""What a month of a whole chain costs from the warehouse: 2,000 contracts, 20 sessions, 15,000,000 minute bars.

``python -m benchmarks.export_month [--contracts 2000] [--sessions 20] [--rounds 1]`` loads the month into an embedded
server and prints one JSON object: seconds, bars a second and peak memory of each way, each in a process of its own.

read       the bars through the slice's reader into exact decimals, and nothing else
pipeline   `build_catalog` over the same slice, which reads, checks, encodes and writes
plain      the same reads, and ready columns as float64/int64 into as many files with `pyarrow.parquet.write_table`

`encode_and_write_over_plain` compares what is left of the two when the reading is taken off. The way of `Bar` objects
is measured on one session by ``benchmarks.export_nautilus``: a month of it takes a quarter of an hour.
"""

# ruff: noqa: INP001, S603, T201 -- a script to run: it prints, and starts itself

from __future__ import annotations

import argparse
import datetime as dt
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from benchmarks.load_day import load, on_day
from benchmarks.measuring import Server
from pipeline_defs.markets.sessions import is_session
from pipeline_defs.schema.batches import CONTRACT_SCHEMA, FILE_SCHEMA, OBSERVATION_SCHEMA, REJECT_SCHEMA, ImportBatch
from pipeline_defs.warehouse import loading
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.slices import open_market_slice

if TYPE_CHECKING:
    from pipeline_defs.schema.exports import MarketSlice

FIRST: Final = dt.date(2025, 8, 1)
EXPIRY: Final = dt.date(2025, 9, 30)
MINUTES: Final = 375
WAYS: Final = ("read", "pipeline", "plain")


def main() -> None:
    """Load, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contracts", type=int, default=2_000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--way", nargs=4, metavar=("WAY", "URL", "LAST", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        name, url, last, folder = options.way
        print(json.dumps(run(name, url, dt.date.fromisoformat(last), Path(folder))))
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Server(folder / "postgres")
        try:
            print(json.dumps(measure(server, folder, options), indent=2))
        finally:
            server.stop()


def measure(server: Server, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Fill the warehouse and let the ways take turns."""
    days = [day for day in range(40) if is_session(FIRST + dt.timedelta(days=day))][: options.sessions]
    batch = make_day(options.contracts)
    loading.refresh_pending_bars = lambda *_: None
    for day in days:
        load(server.url, on_day(batch, day))
    last = FIRST + dt.timedelta(days=days[-1])
    spent: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for number in range(options.rounds):
        for way in WAYS:
            place = folder / f"{way}-{number}"
            place.mkdir()
            command = [sys.executable, "-m", "benchmarks.export_month", "--way", way, server.url, str(last), str(place)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            spent[way].append(json.loads(printed))
    medians = {
        way: {figure: round(statistics.median(row[figure] for row in rows), 2) for figure in rows[0]}
        for way, rows in spent.items()
    }
    bars = options.contracts * MINUTES * len(days)
    read = medians["read"]
    return {
        "bars": bars,
        "rounds": options.rounds,
        "medians": medians,
        "bars_a_second": {way: round(bars / figures["wall"]) for way, figures in medians.items()},
        "encode_and_write_over_plain": {
            figure: round((medians["pipeline"][figure] - read[figure]) / (medians["plain"][figure] - read[figure]), 2)
            for figure in ("cpu", "wall")
        },
    }


def make_day(contracts: int) -> ImportBatch:
    """Make the bars of options of one expiry, each minute of a session; imports NumPy and Nautilus' benchmark."""
    from benchmarks.export_nautilus import make_slice  # noqa: PLC0415 -- loads the engine

    (frame,) = make_slice(contracts, MINUTES).read_bars()
    observations = frame.filter(pl.col("instrument_id") >= 1).with_columns(
        contract_key=(pl.col("instrument_id") - 1).cast(pl.UInt32),
        timestamp=pl.col("timestamp") - dt.timedelta(days=(dt.date(2025, 8, 14) - FIRST).days),
        sequence=pl.lit(0, pl.Int32),
        file_index=pl.lit(0, pl.UInt32),
        line=pl.int_range(2, pl.len() + 2, dtype=pl.UInt32),
    )
    missing = [pl.lit(None, kind).alias(name) for name, kind in OBSERVATION_SCHEMA.items() if name not in observations]
    terms = {"underlying": "NIFTY", "venue": "NSE", "currency": "INR", "lot_size": 75, "expiry": EXPIRY}
    rows = [
        dict.fromkeys(CONTRACT_SCHEMA)
        | terms
        | {"contract_key": key, "kind": "OPT", "symbol": f"C{key}", "strike": 20_000 + 25 * key, "option_type": "CE"}
        for key in range(contracts)
    ]
    file = {"file_index": 0, "path": "benchmark", "logical_name": "benchmark", "sha256": "", "size_bytes": 1}
    return ImportBatch(
        table="options_ticks",
        bar_seconds=60,
        trade_date=FIRST,
        contracts=pl.DataFrame(rows, schema=CONTRACT_SCHEMA),
        observations=observations.with_columns(missing).select(list(OBSERVATION_SCHEMA)),
        rejects=pl.DataFrame(schema=REJECT_SCHEMA),
        files=pl.DataFrame([dict.fromkeys(FILE_SCHEMA) | file | {"layout": "benchmark"}], schema=FILE_SCHEMA),
    )


def run(way: str, url: str, last: dt.date, folder: Path) -> dict[str, float]:
    """Go one way in this process."""
    work = {"read": drain, "pipeline": build, "plain": plain}[way]
    with open_market_slice(Warehouse(url), "NIFTY", FIRST, last) as market:
        # What opening costs is the same for all; imports are not what is measured.
        work(market, None)
        cpu, wall = time.process_time(), time.perf_counter()
        work(market, folder)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu": cpu, "wall": wall, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def drain(market: MarketSlice, folder: Path | None) -> None:
    """Read."""
    for frame in market.read_bars() if folder is not None else ():
        assert frame.schema["close"] == pl.Decimal(20, 8)  # noqa: S101 -- what is measured is the exact read


def build(market: MarketSlice, folder: Path | None) -> None:
    """Build the catalog; without a folder, just load the engine."""
    from pipeline_defs.exports.nautilus.build import build_catalog  # noqa: PLC0415 -- loads the engine

    if folder is not None:
        build_catalog(market, folder)


def plain(market: MarketSlice, folder: Path | None) -> None:
    """Write the same columns without a thought of any engine."""
    import pyarrow.parquet as pq  # noqa: PLC0415 -- loaded outside the time that is measured

    if folder is None:
        return
    for frame in market.read_bars():
        floats = frame.select(
            "instrument_id",
            *(pl.col(name).cast(pl.Float64) for name in ("open", "high", "low", "close")),
            "volume",
            ts_event=pl.col("timestamp").dt.epoch("ns"),
            ts_init=pl.col("timestamp").dt.epoch("ns"),
        )
        for (number,), part in floats.partition_by("instrument_id", as_dict=True, include_key=False).items():
            place = folder / str(number)
            place.mkdir()
            pq.write_table(part.to_arrow(), place / "data.parquet")


if __name__ == "__main__":
    main()
