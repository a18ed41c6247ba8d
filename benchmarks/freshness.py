r"""The promises of a cache: what is known of a partition in 10 ms, a symbol's year of minutes in 100 ms, p50 and p95.

``python -m benchmarks.freshness [--symbols 50] [--sessions 250] [--rounds 40]`` fills a table as loads leave it, and
prints one JSON object. The ways take turns in one run; times are wall milliseconds, each with a connection of its own
unless it says otherwise.

decide          `fresh` of one partition that is stored, on an open connection
find_cached     a published catalog of a range, counted as a hit, with a new connection
metadata        one row of `bundle_metadata`, for a bundle of so many sessions, on an open connection
connect         opening a connection, which is a part of what is not on an open one
drained         COPY of one symbol's year out of the table, thrown away: the floor of reading it from the table
read_first      the same into exact decimals, while no month of it is kept in one piece; keeps them
read            the same again: fresh, nothing was loaded meanwhile
read_new_day    the same after a load of one more day: one month is read from the table, the others are kept
indexed, covered
                drained with an index on (instrument_id, timestamp), and with one that holds all columns; last, since
                they stay; their size and build time beside them
"""

# ruff: noqa: INP001, S608, T201 -- a script to run: it prints; the statements are our own

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

import pipeline_defs
from benchmarks.measuring import Server
from pipeline_defs.freshness.deciding import Hit, Partition, fresh
from pipeline_defs.markets.market import market
from pipeline_defs.schema.batches import SourceMetadata
from pipeline_defs.warehouse.bundles import BundleCatalog
from pipeline_defs.warehouse.connection import SESSION_OPTIONS, Warehouse
from pipeline_defs.warehouse.deliveries import Ledger
from pipeline_defs.warehouse.faults import PersistentConnection
from pipeline_defs.warehouse.segments import read_bars

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

SOURCE: Final = "zerodha"
YEAR: Final = (dt.date(2024, 1, 1), dt.date(2024, 12, 31))
MINUTES: Final = 375
SYMBOL: Final = 7

_FILL: Final = """
INSERT INTO spot_prices ("timestamp", instrument_id, bar_seconds, sequence, source, open, high, low, close, volume,
                         load_id)
SELECT o.opens + m * interval '1 minute', i, 60, 0, 'zerodha', p, p + 1.05, p - 0.95, p + 0.35, 1000 + m * i %% 977, k
FROM unnest(%(opens)s::timestamptz[]) WITH ORDINALITY AS o (opens, k), generate_series(1, %(minutes)s) AS m,
     generate_series(1, %(symbols)s) AS i,
     LATERAL (SELECT (900 + i * 20 + (m * 7 + k * 13) %% 997 * 0.05)::numeric(12, 2) AS p) AS x
ORDER BY k, m, i
"""

_LOADS: Final = """
INSERT INTO loads (source, dataset, trade_date, bar_seconds, status, source_type, source_url, api_version, fetched_at,
                   committed_at, rows_read, rows_stored, rows_unchanged, rows_corrected, rows_retired, rows_quarantined,
                   checksum, code_version, delivery_digest, delivery_parts)
SELECT 'zerodha', 'spot_prices', d, 60, 'complete', 'api', 'benchmark', '1', now(), stamp_knowledge(),
       %(rows)s, %(rows)s, 0, 0, 0, 0, md5(d::text), %(version)s, md5(d::text), 1
FROM unnest(%(days)s::date[]) AS d
"""

_ONE: Final = f"""
SELECT "timestamp", open, high, low, close, volume, open_interest FROM spot_prices
WHERE instrument_id = {SYMBOL} AND bar_seconds = 60 AND source = '{SOURCE}'
  AND "timestamp" >= '2024-01-01 00:00+05:30' AND "timestamp" < '2025-01-01 00:00+05:30'
"""


_INDEXES: Final = {
    "indexed": '(instrument_id, "timestamp")',
    "covered": '(instrument_id, "timestamp") INCLUDE (bar_seconds, source, open, high, low, close, volume,'
    " open_interest)",
}


def fill(server: Server, sessions: list[dt.date], symbols: int) -> None:
    """Fill the table day by day in the order of its key, and write the loads."""
    opens = [market("NSE").open(day) for day in sessions]
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(_FILL.encode(), {"opens": opens, "minutes": MINUTES, "symbols": symbols})
        loads = {"rows": symbols * MINUTES, "version": pipeline_defs.__version__, "days": sessions}
        connection.execute(_LOADS.encode(), loads)
        connection.execute("VACUUM ANALYZE")


def drain(url: str) -> int:
    """Copy the year out and throw it away."""
    size = 0
    statement = f"COPY ({_ONE}) TO STDOUT (FORMAT csv)".encode()
    with psycopg.connect(url, options=SESSION_OPTIONS) as connection, connection.cursor().copy(statement) as copy:
        for block in copy:
            size += len(block)
    return size


class Times:
    """Wall and CPU milliseconds of each way, round by round.

    Parameters
    ----------
    server : Server
        Whose CPU time counts beside our own.

    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._wall: dict[str, list[float]] = {}
        self._cpu: dict[str, float] = {}

    def take(self, way: str, work: Callable[[], object]) -> None:
        """Do a piece of work once."""
        server, client = self._server.cpu_seconds(), time.process_time()
        begun = time.perf_counter()
        work()
        self._wall.setdefault(way, []).append((time.perf_counter() - begun) * 1000)
        used = time.process_time() - client + self._server.cpu_seconds() - server
        self._cpu[way] = self._cpu.get(way, 0.0) + used * 1000

    def spread(self) -> dict[str, dict[str, float]]:
        """Give median, 95th percentile and least of the wall, and the mean of the CPU time, which waits for nobody."""
        told = {}
        for way, values in self._wall.items():
            cuts = statistics.quantiles(values, n=20, method="inclusive")
            told[way] = {
                "p50_ms": round(cuts[9], 2),
                "p95_ms": round(cuts[18], 2),
                "least_ms": round(min(values), 2),
                "cpu_ms": round(self._cpu[way] / len(values), 2),
            }
        return told


def metadata_of(ledger: Ledger) -> object:
    """Read where the bundle came from and how good it is, on the ledger's connection."""
    query = b"SELECT * FROM bundle_metadata WHERE bundle_name = %s"
    return ledger.connection.run(
        lambda connection: connection.execute(query, [f"{SOURCE}/spot_prices/60s"]).fetchall(), "metadata"
    )


def with_indexes(server: Server, times: Times, rounds: int) -> dict[str, dict[str, float]]:
    """Read the year from the table with one index more; give what the index cost."""
    indexes = {}
    for way, columns in _INDEXES.items():
        begun = time.perf_counter()
        server.execute(f"CREATE INDEX {way} ON spot_prices {columns}")
        seconds = time.perf_counter() - begun
        server.execute("VACUUM ANALYZE spot_prices")
        for _ in range(rounds):
            times.take(way, lambda: drain(server.url))
        ((size,),) = server.ask(f"SELECT pg_relation_size('{way}') / 1e6")
        server.execute(f"DROP INDEX {way}")
        indexes[way] = {"build_s": round(seconds, 2), "mb": round(float(str(size)))}
    return indexes


def run(server: Server, options: argparse.Namespace) -> dict[str, object]:
    """Measure everything."""
    sessions = market("NSE").sessions(*YEAR)[: options.sessions]
    fill(server, sessions, options.symbols)
    warehouse = Warehouse(server.url)

    def read() -> pl.DataFrame:
        return read_bars(warehouse, "spot_prices", SOURCE, [SYMBOL], YEAR)

    def forget() -> None:
        server.execute("TRUNCATE bar_segments")

    def new_day() -> None:
        with psycopg.connect(server.url, autocommit=True) as connection:
            loads = {"rows": 1, "version": pipeline_defs.__version__, "days": sessions[-1:]}
            connection.execute(_LOADS.encode(), loads)

    (expected,) = server.ask(f"SELECT count(*), sum(close), sum(volume) FROM ({_ONE}) AS o")
    times = Times(server)
    metadata = SourceMetadata(SOURCE, "api", "benchmark", "1", supports_live=False)
    ((digest,),) = server.ask(f"SELECT md5('{sessions[5]}')")
    partition = Partition("spot_prices", 60, sessions[5], market("NSE"), 900, str(digest))
    bundles = BundleCatalog(warehouse)
    with PersistentConnection(warehouse) as connection:
        ledger = Ledger(connection, metadata, None, None)

        def decide() -> None:
            if fresh(partition, dt.datetime.now(dt.UTC), ledger) != Hit():
                raise SystemExit("the partition is not fresh")

        ways = {
            "decide": decide,
            "find_cached": lambda: bundles.find_cached("nautilus", "NIFTY", *YEAR),
            "metadata": lambda: metadata_of(ledger),
            "connect": lambda: warehouse.connect().close(),
            "drained": lambda: drain(server.url),
        }
        for _ in range(options.rounds):
            for way, work in ways.items():
                times.take(way, work)
            forget()
            times.take("read_first", read)
            times.take("read", read)
            new_day()
            times.take("read_new_day", read)
    frame = read()
    found = frame.height, frame["close"].sum(), frame["volume"].sum()
    if [Decimal(str(one)) for one in found] != [Decimal(str(one)) for one in expected]:
        raise SystemExit(f"read {found}, expected {expected}")
    indexes = with_indexes(server, times, options.rounds)
    ((table, segments),) = server.ask(
        "SELECT pg_relation_size('spot_prices') / 1e6, (SELECT sum(octet_length(content)) / 1e6 FROM bar_segments)"
    )
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}",
        "server": server.name,
        "table": {"rows": len(sessions) * MINUTES * options.symbols, "mb": round(float(str(table)))},
        "rows_read": frame.height,
        "segments_mb": round(float(str(segments)), 2),
        "rounds": options.rounds,
        "ways": times.spread(),
        "indexes": indexes,
    }


def main() -> None:
    """Run the rounds and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--sessions", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Server(folder / "postgres")
        try:
            print(json.dumps(run(server, options), indent=2))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
