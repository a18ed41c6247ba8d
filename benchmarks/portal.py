r"""Many small reads: 10,000 `history` calls over 50 symbols, as a strategy makes them, and the same in plain SQL.

``python -m benchmarks.portal [--symbols 50] [--sessions 60] [--calls 10000] [--rounds 3]`` fills a table as loads leave
it, and prints one JSON object. Each call asks for the last 20 minutes of one symbol; the clock goes from minute to
minute, so that every minute all symbols are asked. The ways take turns in one run, call by call; what they give is
compared. Wall and CPU milliseconds a call; CPU is of client and server together.

name_symbols  `instruments(symbols)` of a new portal, as a strategy does when it begins
portal        `DataPortal.history(symbol, ["close"], 20, "1m")`, a portal of its own each round: the reads that fill its
              memory count, in the calls that cause them
sql           the same rows by one SELECT a call, over one open connection, as decimals
sql_day       the same, told the session to look in, which a strategy would have to know
all_portal    `history` of all symbols at once, and the same by one SELECT, the session told
all_sql
daily_portal  `history(symbol, ["close"], 20, "1d")` of days made of the minutes, from session to session
rustybt       with ``--rustybt PYTHON``, a Python that has rustybt 0.3.3: the same windows of the same days through its
              `PolarsDataPortal.get_history_window` over its Parquet reader, in a process of its own; sums are compared
"""

# ruff: noqa: INP001, S608, T201 -- a script to run: it prints; the statements are our own

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import psycopg

import pipeline_defs
from benchmarks.measuring import SETTLE_SECONDS, Server
from pipeline_defs.markets.market import market
from pipeline_defs.portal import DataPortal, SimulationClock
from pipeline_defs.warehouse.connection import SESSION_OPTIONS, Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SOURCE: Final = "zerodha"
YEAR: Final = (dt.date(2025, 1, 1), dt.date(2025, 12, 31))
MINUTES: Final = 375
BARS: Final = 20
DAYS_WALKED: Final = 20
"""Sessions at whose close days are asked for."""

FIRST_MINUTE: Final = 30
"""Of the last session: windows lie within it, as `sql_day` needs."""

_INSTRUMENTS: Final = """
WITH made AS (
    INSERT INTO instruments (kind, venue, book)
    SELECT 'EQ', 'NSE', 'S' || to_char(i, 'FM000') FROM generate_series(1, %(symbols)s) AS i
    RETURNING instrument_id, book
)
INSERT INTO instrument_terms (instrument_id, kind, venue, symbol, underlying, series, currency)
SELECT instrument_id, 'EQ', 'NSE', book, book, 'EQ', 'INR' FROM made
"""

_FILL: Final = """
INSERT INTO spot_prices ("timestamp", instrument_id, bar_seconds, sequence, source, open, high, low, close, volume,
                         load_id)
SELECT o.opens + m * interval '1 minute', i.instrument_id, 60, 0, 'zerodha', p, p + 1.05, p - 0.95, p + 0.35,
       1000 + m * i.instrument_id %% 977, k
FROM unnest(%(opens)s::timestamptz[]) WITH ORDINALITY AS o (opens, k), generate_series(1, %(minutes)s) AS m,
     instruments AS i,
     LATERAL (SELECT (900 + i.instrument_id * 20 + (m * 7 + k * 13) %% 997 * 0.05)::numeric(12, 2) AS p) AS x
ORDER BY k, m, i.instrument_id
"""

_LOADS: Final = """
INSERT INTO loads (source, dataset, trade_date, bar_seconds, status, source_type, source_url, api_version, fetched_at,
                   committed_at, rows_read, rows_stored, rows_unchanged, rows_corrected, rows_retired, rows_quarantined,
                   checksum, code_version)
SELECT 'zerodha', 'spot_prices', d, 60, 'complete', 'api', 'benchmark', '1', now(), stamp_knowledge(),
       %(rows)s, %(rows)s, 0, 0, 0, 0, md5(d::text), %(version)s
FROM unnest(%(days)s::date[]) AS d ORDER BY d
"""

_SPOKEN: Final = """
INSERT INTO load_instruments (load_id, instrument_id, file_index)
SELECT load_id, instrument_id, 0 FROM loads, instruments
"""

_LAST: Final = f"""
SELECT "timestamp", close FROM spot_prices
WHERE instrument_id = %(id)s AND bar_seconds = 60 AND source = '{SOURCE}' AND "timestamp" <= %(now)s
"""
_SQL: Final = f'{_LAST} ORDER BY "timestamp" DESC LIMIT {BARS}'
_SQL_DAY: Final = f'{_LAST} AND "timestamp" > %(since)s ORDER BY "timestamp"'
_ALL_SQL: Final = f"""
SELECT "timestamp", instrument_id, close FROM spot_prices
WHERE bar_seconds = 60 AND source = '{SOURCE}' AND "timestamp" <= %(now)s AND "timestamp" > %(since)s
ORDER BY instrument_id, "timestamp"
"""


_RUSTYBT: Final = """
import json, logging, sys, time, warnings
warnings.simplefilter("ignore")
import structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
import pandas as pd
from rustybt.data.polars import PolarsParquetDailyReader
from rustybt.data.polars.data_portal import PolarsDataPortal

class Asset:
    def __init__(self, sid):
        self.sid = sid

folder, symbols, bars, days = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
reader = PolarsParquetDailyReader(folder, enable_cache=False, enable_metadata_catalog=False)
walls, total, begun = [], 0, time.process_time()
for day in days:
    now = pd.Timestamp(day)
    # Its history cache needs scikit-learn, which it does not ask for.
    portal = PolarsDataPortal(daily_reader=reader, current_simulation_time=now, enable_history_cache=False)
    for sid in range(symbols):
        start = time.perf_counter()
        window = portal.get_history_window([Asset(sid)], now, bars, "1d", "close", "daily")
        walls.append((time.perf_counter() - start) * 1000)
        total += window["close"].sum()
print(json.dumps({"walls": walls, "cpu_ms": (time.process_time() - begun) * 1000, "sum": str(total)}))
"""


def fill(server: Server, sessions: list[dt.date], symbols: int) -> None:
    """Fill the tables day by day in the order of their key."""
    opens = [market("NSE").open(day) for day in sessions]
    loads = {"rows": symbols * MINUTES, "version": pipeline_defs.__version__, "days": sessions}
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(_INSTRUMENTS.encode(), {"symbols": symbols})
        connection.execute(_FILL.encode(), {"opens": opens, "minutes": MINUTES})
        connection.execute(_LOADS.encode(), loads)
        connection.execute(_SPOKEN.encode())
        connection.execute("VACUUM ANALYZE")


class Times:
    """Wall and CPU seconds of each way, over many calls.

    Parameters
    ----------
    server : Server
        Whose CPU time counts beside our own.

    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.wall: dict[str, list[float]] = {}
        self._cpu: dict[str, float] = {}

    def take(self, way: str, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """Do a run of calls, each timed by itself, and their CPU time together."""
        time.sleep(SETTLE_SECONDS / 10)
        server, client = self._server.cpu_seconds(), time.process_time()
        results, walls = [], self.wall.setdefault(way, [])
        for call in calls:
            begun = time.perf_counter()
            results.append(call())
            walls.append((time.perf_counter() - begun) * 1000)
        client = time.process_time() - client
        self._cpu[way] = self._cpu.get(way, 0.0) + (client + self._server.cpu_seconds() - server) * 1000
        return results

    def note(self, way: str, walls: list[float], cpu_ms: float) -> None:
        """Take in what another process has measured."""
        self.wall[way], self._cpu[way] = walls, cpu_ms

    def spread(self) -> dict[str, dict[str, float]]:
        """Give calls, mean, median, 95th percentile and the greatest of the wall, and the mean CPU time."""
        told = {}
        for way, values in self.wall.items():
            cuts = statistics.quantiles(values * 2, n=20, method="inclusive")
            told[way] = {
                "calls": len(values),
                "mean_ms": round(statistics.fmean(values), 3),
                "p50_ms": round(cuts[9], 3),
                "p95_ms": round(cuts[18], 3),
                "greatest_ms": round(max(values), 1),
                "cpu_ms": round(self._cpu[way] / len(values), 3),
            }
        return told


def run(server: Server, options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything."""
    sessions = market("NSE").sessions(*YEAR)[: options.sessions]
    fill(server, sessions, options.symbols)
    times = Times(server)
    opens = market("NSE").open(sessions[-1])
    with psycopg.connect(server.url, autocommit=True, options=SESSION_OPTIONS) as connection:
        ids: dict[str, int] = dict(connection.execute("SELECT symbol, instrument_id FROM instrument_terms").fetchall())
        symbols = sorted(ids)
        for _ in range(options.rounds):
            server.execute("TRUNCATE bar_segments")
            one_round(times, connection, Warehouse(server.url), symbols, ids=ids, opens=opens, calls=options.calls)
    daily(times, Warehouse(server.url), symbols, sessions, options.rustybt)
    ((size,),) = server.ask("SELECT pg_relation_size('spot_prices') / 1e6")
    ways = times.spread()
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}",
        "server": server.name,
        "table": {"rows": len(sessions) * MINUTES * options.symbols, "mb": round(float(str(size)))},
        "rounds": options.rounds,
        "ways": ways,
        "times_sql": {
            f"{way} / {other}": {
                what: round(ways[other][what] / ways[way][what], 1) for what in ("mean_ms", "p50_ms", "cpu_ms")
            }
            for way, other in (("portal", "sql"), ("portal", "sql_day"), ("all_portal", "all_sql"))
        },
    }


def one_round(
    times: Times,
    connection: psycopg.Connection,
    warehouse: Warehouse,
    symbols: list[str],
    *,
    ids: dict[str, int],
    opens: dt.datetime,
    calls: int,
) -> None:
    """Walk through minutes of the last session, each way in turn at each of them."""
    clock = SimulationClock(opens)
    portal = DataPortal(warehouse=warehouse, clock=clock)
    times.take("name_symbols", [lambda: portal.instruments(symbols)])

    def rows(query: str, **bound: object) -> Callable[[], list[tuple[Any, ...]]]:
        return lambda: connection.execute(query.encode(), bound).fetchall()

    for step in range(calls // len(symbols)):
        now = clock_at(opens, step)
        clock.set(now)
        since = now - dt.timedelta(minutes=BARS)
        found = times.take("portal", [partial(portal.history, symbol, ["close"], BARS, "1m") for symbol in symbols])
        plain = times.take("sql", [rows(_SQL, id=ids[symbol], now=now) for symbol in symbols])
        told = times.take("sql_day", [rows(_SQL_DAY, id=ids[symbol], now=now, since=since) for symbol in symbols])
        (together,) = times.take("all_portal", [lambda: portal.history(symbols, ["close"], BARS, "1m")])
        (at_once,) = times.take("all_sql", [rows(_ALL_SQL, now=now, since=since)])
        for frame, of_sql, of_day in zip(found, plain, told, strict=True):
            pairs = frame.select("timestamp", "close").rows()
            if pairs != of_day or pairs != of_sql[::-1]:
                raise SystemExit(f"at {now} the ways differ: {pairs} and {of_day}")
        if not pl.concat(found).equals(together) or len(at_once) != together.height:
            raise SystemExit(f"at {now} all at once differ from one by one")
    portal.close()


def daily(times: Times, warehouse: Warehouse, symbols: list[str], days: list[dt.date], python: str | None) -> None:
    """Walk through sessions; and let rustybt do so, where there is one."""
    ends = [market("NSE").close(day) for day in days[-DAYS_WALKED:]]
    clock = SimulationClock(ends[-1])
    portal = DataPortal(warehouse=warehouse, clock=clock)
    everything = portal.history(symbols, ["open", "high", "low", "close", "volume"], len(days), "1d")
    total = Decimal(0)
    for end in ends:
        clock.set(end)
        found = times.take("daily_portal", [partial(portal.history, one, ["close"], BARS, "1d") for one in symbols])
        total += sum((frame["close"].sum() for frame in found), Decimal(0))
    portal.close()
    if python is None:
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        write_rustybt(everything, symbols, Path(name))
        walked = [end.date().isoformat() for end in ends]
        told = subprocess.run(  # noqa: S603 -- a Python that the caller named
            [python, "-c", _RUSTYBT, name, str(len(symbols)), str(BARS), *walked], check=True, capture_output=True
        )
    result = json.loads(told.stdout.splitlines()[-1])
    if Decimal(result["sum"]) != total:
        raise SystemExit(f"rustybt sums to {result['sum']}, the portal to {total}")
    times.note("rustybt", result["walls"], result["cpu_ms"])


def write_rustybt(bars: pl.DataFrame, symbols: list[str], folder: Path) -> None:
    """Write daily bars as rustybt's Parquet reader expects them."""
    numbers = {symbol: number for number, symbol in enumerate(symbols)}
    exact = pl.Decimal(18, 8)
    rows = bars.select(
        pl.col("timestamp").dt.date().alias("date"),
        pl.col("symbol").replace_strict(numbers, return_dtype=pl.Int64).alias("sid"),
        *(pl.col(name).cast(exact) for name in ("open", "high", "low", "close", "volume")),
    )
    for (year, month), part in rows.group_by(year=pl.col("date").dt.year(), month=pl.col("date").dt.month()):
        place = folder / "daily_bars" / f"year={year}" / f"month={month:02d}"
        place.mkdir(parents=True)
        part.drop("year", "month", strict=False).write_parquet(place / "data.parquet")


def clock_at(opens: dt.datetime, step: int) -> dt.datetime:
    """Give the instant of a step: minutes of the session, again from its beginning when they are over."""
    return opens + dt.timedelta(minutes=FIRST_MINUTE + step % (MINUTES - FIRST_MINUTE))


def main() -> None:
    """Run the rounds and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--sessions", type=int, default=60)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rustybt", help="a Python that has rustybt")
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
