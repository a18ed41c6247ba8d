r"""What the load step costs: rows that are read and checked, into the warehouse, against ``psql \copy`` of ready rows.

``python -m benchmarks.load_day [--rows 1000000] [--rounds 5] [--days 30] [--url URL]`` prints one JSON object. The ways
take turns in one run on one server after a checkpoint each; CPU seconds are client and server together, from the
system. ``--url`` names a database of a running server on this machine (TimescaleDB, say) in place of an embedded one;
its rows are removed.

reference       ``psql \\copy`` of the ready option rows, in file order, into the same table with the same key
new_day         the load step into the empty table: instruments, provenance, rows, fingerprint; without bars
bars            hourly and daily bars of that day
identical       the same rows again, compared row by row by their fingerprint
one_percent     again with one row in a hundred changed
known_file      the import of a file whose content is known, from opening it to the report
days            CPU of the load of day after day into the growing table; the last against the first
parallel        wall of two days, one after the other and by two processes at once, and the same of plain copies,
                with the number of cores that were busy meanwhile: where two cannot have more, they are not faster
read            one underlying-day into exact decimals, against a COPY of the same rows that is only drained
"""

# ruff: noqa: INP001, S603, T201 -- a script to run: it prints, and starts our own commands with our own names

from __future__ import annotations

import argparse
import datetime as dt
import functools
import json
import multiprocessing
import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
import psycopg

from benchmarks.measuring import Server, dump, median
from pipeline_defs.samples.generate import benchmark_day, generate
from pipeline_defs.schema.batches import ImportBatch, ImportRequest, Source, SourceMetadata
from pipeline_defs.sources.nse_csv.adapter import NseCsvSource
from pipeline_defs.warehouse import loading
from pipeline_defs.warehouse.connection import SESSION_OPTIONS, Warehouse
from pipeline_defs.warehouse.embedded.cluster import binary_directory
from pipeline_defs.warehouse.slices import open_market_slice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_defs.schema.exports import MarketSlice

UNDERLYING: Final = "NIFTY"
DRAINED: Final = """
COPY (SELECT o.instrument_id, o."timestamp", o.open, o.high, o.low, o.close, o.volume, o.open_interest
      FROM options_ticks AS o
      JOIN (SELECT DISTINCT instrument_id FROM instrument_terms WHERE underlying = 'NIFTY') AS t USING (instrument_id))
TO STDOUT (FORMAT csv)
"""


class Ready(Source):
    """A source whose work is done."""

    name = "nse_csv"

    def __init__(self, *batches: ImportBatch) -> None:
        self.batches = batches

    def get_metadata(self) -> SourceMetadata:
        """Describe nothing in particular."""
        return SourceMetadata(self.name, "file", "benchmark", "1", supports_live=False)

    def fetch(self, request: ImportRequest) -> Iterator[ImportBatch]:
        """Give the batches."""
        del request
        yield from self.batches


def load(url: str, *batches: ImportBatch) -> None:
    """Run the load step."""
    for report in loading.import_source(Warehouse(url), Ready(*batches), ImportRequest()):
        if report.status != "complete":
            raise SystemExit(report.message)


def on_day(batch: ImportBatch, days: int) -> ImportBatch:
    """Move a batch to another date."""
    moved = batch.observations.with_columns(pl.col("timestamp") + dt.timedelta(days=days))
    return replace(batch, trade_date=batch.trade_date + dt.timedelta(days=days), observations=moved)


def wall_of_processes(url: str, days: list[list[ImportBatch]]) -> tuple[float, float]:
    """Time one process for each list of days, with bars; the start of Python and the passing of rows are left out.

    Gives the wall seconds and those for which cores were busy.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(days) + 1)
    processes = [context.Process(target=_load_all, args=(url, batches, barrier)) for batches in days]
    for process in processes:
        process.start()
    barrier.wait()
    begun, busy = time.perf_counter(), busy_seconds()
    for process in processes:
        process.join()
        if process.exitcode:
            raise SystemExit("a parallel load failed")
    return time.perf_counter() - begun, busy_seconds() - busy


def _load_all(url: str, batches: list[ImportBatch], barrier: multiprocessing.synchronize.Barrier) -> None:
    with Warehouse(url).connect():  # loads the client library
        barrier.wait()
    load(url, *batches)


def main() -> None:
    """Run the rounds and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--days", type=int, default=30, help="of the growing table; 0 leaves it out")
    parser.add_argument("--url", help="a database of a running server of this machine; its rows are removed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Server(folder / "postgres", options.url)
        try:
            print(json.dumps(run(server, folder, options), indent=2))
        finally:
            server.empty()
            server.stop()


def run(server: Server, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Measure everything."""
    landing = one_file(generate(benchmark_day(options.rows), folder / "day").landing, folder / "one")
    batch = next(
        replace(batch, delivery=None)
        for batch in NseCsvSource().fetch(ImportRequest(path=landing))
        if batch.table == "options_ticks"
    )
    volume = pl.when(pl.int_range(pl.len()) % 100 == 7).then(pl.col("volume") + 1).otherwise("volume")  # noqa: PLR2004
    changed = replace(batch, observations=batch.observations.with_columns(volume=volume))
    refresh_bars, loading.refresh_pending_bars = loading.refresh_pending_bars, lambda *_: None
    psql = str(binary_directory() / "psql")
    server.empty()
    load(server.url, batch)
    ready = dump(server, folder)["options_ticks"]

    def reference() -> None:
        subprocess.run([psql, "-qX", server.url, "-c", f"\\copy options_ticks from '{ready}' csv"], check=True)

    def bars() -> None:
        with psycopg.connect(server.url, autocommit=True, options=SESSION_OPTIONS) as connection:
            refresh_bars(connection)

    results: dict[str, list[dict[str, float]]] = {}

    def timed(way: str, work: Callable[[], object]) -> None:
        results.setdefault(way, []).append(server.measure(work))

    versions = "SELECT md5(string_agg(xmin::text || ctid::text, ',' ORDER BY tableoid, ctid)) FROM options_ticks"
    for _ in range(options.rounds):
        server.empty()
        timed("reference", reference)
        server.empty()
        timed("new_day", lambda: load(server.url, batch))
        timed("bars", bars)
        before = server.ask(versions)
        timed("identical", lambda: load(server.url, batch))
        if server.ask(versions) != before:
            raise SystemExit("the identical re-load changed row versions")
        timed("one_percent", lambda: load(server.url, changed))
        drain(server.url)  # whoever reads new rows first writes their hint bits
        timed("drained", lambda: drain(server.url))
        with open_market_slice(Warehouse(server.url), UNDERLYING, batch.trade_date, batch.trade_date) as market:
            options_of = market.instruments.filter(pl.col("kind") == "OPT")["instrument_id"].to_list()
            timed("read", functools.partial(read, market, options_of))
    known_file(server, landing, timed, options.rounds)
    medians = {way: median(rounds) for way, rounds in results.items()}
    floors = {way: "drained" if way == "read" else "reference" for way in medians}
    result: dict[str, object] = {
        "server": server.name,
        "rows": batch.observations.height,
        "rounds": options.rounds,
        "medians": medians,
        "ratios": {
            way: {figure: round(medians[way][figure] / medians[floor][figure], 3) for figure in ("wall", "cpu")}
            for way, floor in floors.items()
            if way != floor
        },
        "parallel": parallel(server, folder, batch, options.rounds),
    }
    if options.days:
        result["days"] = growth(server, batch, options.days)
    return result


def one_file(landing: Path, folder: Path) -> Path:
    """Put the lines of all files of derivatives into one, as the vendor delivers them, too."""
    folder.mkdir()
    (whole,) = landing.rglob("GFDLNFO_OPTIONS_*.csv")
    with (folder / whole.name).open("wb") as file:
        file.write(whole.read_bytes())
        for path in sorted(landing.rglob("*.NFO.csv")):
            file.write(path.read_bytes().partition(b"\n")[2])
    return folder


def drain(url: str) -> None:
    """Read the option rows of one underlying, and do nothing with them."""
    with psycopg.connect(url, options=SESSION_OPTIONS) as connection:
        # Without statistics the planner would look rows up one by one: no floor to compare with.
        connection.execute("SET enable_nestloop = off")
        with connection.cursor().copy(DRAINED) as copy:
            for _ in copy:
                pass


def read(market: MarketSlice, instrument_ids: list[int]) -> None:
    """Read the bars of one underlying-day as an export does."""
    for frame in market.read_bars(instrument_ids):
        assert frame.schema["close"] == pl.Decimal(20, 8)  # noqa: S101 -- what is measured is the exact read


def known_file(server: Server, landing: Path, timed: Callable[[str, Callable[[], object]], None], rounds: int) -> None:
    """Import one file with all rows, then again and again."""
    source, request = NseCsvSource(), ImportRequest(path=landing)
    server.empty()
    list(loading.import_source(Warehouse(server.url), source, request))
    for _ in range(rounds):
        timed("known_file", lambda: list(loading.import_source(Warehouse(server.url), source, request)))


def parallel(server: Server, folder: Path, batch: ImportBatch, rounds: int) -> dict[str, object]:
    """Compare two days in one process with two days in two, and the same of plain copies of the ready rows."""
    days = [batch, on_day(batch, 1)]
    copies = [_ready(server, folder / f"ready-{number}", day) for number, day in enumerate(days)]
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "load_one_by_one": lambda: wall_of_processes(server.url, [days]),
        "load_at_once": lambda: wall_of_processes(server.url, [[day] for day in days]),
        "copy_one_by_one": lambda: wall_of_commands([[copy] for copy in copies]),
        "copy_at_once": lambda: wall_of_commands([copies]),
    }
    walls: dict[str, list[float]] = {way: [] for way in ways}
    cores: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, work in ways.items():
            server.empty()
            wall, busy = work()
            walls[way].append(wall)
            cores[way].append(busy / wall)
    medians = {way: round(statistics.median(values), 3) for way, values in walls.items()}
    return {
        "walls": medians,
        "cores_busy": {way: round(statistics.median(values), 2) for way, values in cores.items()},
        "load_speedup": round(medians["load_one_by_one"] / medians["load_at_once"], 3),
        "copy_speedup": round(medians["copy_one_by_one"] / medians["copy_at_once"], 3),
    }


def _ready(server: Server, folder: Path, batch: ImportBatch) -> list[str]:
    """Write a day's rows out, and give the command that copies them in."""
    folder.mkdir()
    server.empty()
    load(server.url, batch)
    ready = dump(server, folder)["options_ticks"]
    psql = str(binary_directory() / "psql")
    return [psql, "-qX", server.url, "-c", f"\\copy options_ticks from '{ready}' csv"]


def wall_of_commands(groups: list[list[list[str]]]) -> tuple[float, float]:
    """Time groups of commands one after the other, those of a group at once; gives the same two figures."""
    begun, busy = time.perf_counter(), busy_seconds()
    for group in groups:
        processes = [subprocess.Popen(command) for command in group]
        if any(process.wait() for process in processes):
            raise SystemExit("a copy failed")
    return time.perf_counter() - begun, busy_seconds() - busy


def busy_seconds() -> float:
    """Read how long the cores of this machine have worked, whoever they worked for."""
    user, nice, system = (int(field) for field in Path("/proc/stat").read_text().split(maxsplit=4)[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def growth(server: Server, batch: ImportBatch, days: int) -> dict[str, object]:
    """Load day after day; compare the last three with the first three."""
    server.empty()
    cpu = []
    for day in range(days):
        moved = on_day(batch, day)
        cpu.append(round(server.measure(functools.partial(load, server.url, moved))["cpu"], 3))
    return {"cpu": cpu, "last_over_first": round(statistics.median(cpu[-3:]) / statistics.median(cpu[:3]), 3)}


if __name__ == "__main__":
    main()
