"""What compression makes of a realistic month of one-minute bars and of ticks, by the way rows are put into segments.

``python -m benchmarks.compression [--days 20] [--contracts 40] [--url URL]`` prints one JSON object. The month is
generated: contracts from busy to nearly dead, prices that walk in steps of five paise, volume in lots, open
interest that drifts. Its size (20 sessions x 40 contracts x 375 minutes, and ten ticks a minute on a tenth of the
contracts) is what the full edition's server of the tests can carry in memory. ``--url`` names a database of another
server with full TimescaleDB; the benchmark's own two tables are made there and dropped again.

proposed        segments by resolution and source, ordered by contract and time, as the migration sets it
by_contract     a segment for each contract, ordered by time
"""

# ruff: noqa: INP001, S608, T201 -- a script to run: it prints, and names its own tables

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from pipeline_tests.servers import running

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

ORDERS: Final = {
    "proposed": ("bar_seconds, source", 'instrument_id, "timestamp", sequence'),
    "by_contract": ("instrument_id", 'bar_seconds, source, "timestamp", sequence'),
}

_TABLE: Final = """
CREATE TABLE {table} (
    "timestamp" timestamptz NOT NULL, instrument_id integer NOT NULL, bar_seconds integer NOT NULL,
    sequence integer NOT NULL, source text COLLATE "C" NOT NULL, open numeric, high numeric, low numeric,
    close numeric NOT NULL, volume bigint, open_interest bigint, bid_price numeric, bid_size bigint, ask_price numeric,
    ask_size bigint, settlement_price numeric, load_id bigint NOT NULL,
    PRIMARY KEY ("timestamp", instrument_id, bar_seconds, sequence, source))
"""

# A contract of rank k trades in about 1/k of the minutes (never less than one in fifty). Its price walks on a grid of
# five paise, the same way in every run: its noise is a hash, not a random number.
_MONTH: Final = """
INSERT INTO {table}
SELECT opened + make_interval(mins => m), k, 60, 0, 'nse_csv', p, p + 0.05 * (h %% 7),
       greatest(p - 0.05 * (h %% 5), 0.05),
       p + 0.05 * (h %% 3) - 0.05 * least(h %% 5, 2), 75 * (1 + h %% 40), 75 * (1000 + k * 50 + m / 3 + h %% 11),
       NULL::numeric, NULL::bigint, NULL::numeric, NULL::bigint, NULL::numeric, d
FROM (SELECT d, timestamptz '2025-01-01 03:45+00' + make_interval(days => d + 2 * (d / 5)) AS opened, k, m,
             abs(hashint4(d * 1000003 + k * 7919 + m)::bigint) AS h,
             100 + k * 5 + 0.05 * round((200 * sin(m / 60.0 + d) + 40 * sin(m / 7.0 + k))::numeric) AS p
      FROM generate_series(1, %(days)s) AS d, generate_series(1, %(contracts)s) AS k,
           generate_series(1, 375) AS m) AS walk
WHERE h %% least(k, 50) = 0 OR m = 375
UNION ALL
SELECT opened + make_interval(secs => s), k, 0, 0, 'nse_csv', p, p, p, p, 75 * (h %% 4), 75 * (1000 + s / 60),
       p - 0.05, 75 * (1 + h %% 20), p + 0.05, 75 * (1 + h %% 23), NULL, d
FROM (SELECT d, timestamptz '2025-01-01 03:45+00' + make_interval(days => d + 2 * (d / 5)) AS opened, k, s,
             abs(hashint4(d * 1000003 + k * 7919 + s)::bigint) AS h,
             100 + k * 5 + 0.05 * round((200 * sin(s / 3600.0 + d) + 3 * sin(s / 11.0))::numeric) AS p
      FROM generate_series(1, %(days)s) AS d, generate_series(1, %(contracts)s / 10) AS k,
           generate_series(1, 22500, 6) AS s) AS walk
ORDER BY 1, 2
"""


def measure(connection: psycopg.Connection, name: str, days: int, contracts: int) -> dict[str, float]:
    """Fill a table of its own, compress it and give bytes and seconds."""
    table = f"compression_{name}"
    segments, order = ORDERS[name]
    connection.execute(f"DROP TABLE IF EXISTS {table}".encode())
    try:
        connection.execute(_TABLE.format(table=table).encode())
        connection.execute(
            f"SELECT create_hypertable('{table}', by_range('timestamp', interval '1 day'),"
            " create_default_indexes => false)".encode()
        )
        connection.execute(
            f"ALTER TABLE {table} SET (timescaledb.compress, timescaledb.compress_segmentby = '{segments}',"
            f" timescaledb.compress_orderby = '{order}')".encode()
        )
        rows = connection.execute(_MONTH.format(table=table).encode(), {"days": days, "contracts": contracts}).rowcount
        (before,) = connection.execute(f"SELECT hypertable_size('{table}')".encode()).fetchone() or (0,)
        digest = _digest(connection, table)
        begun = time.perf_counter()
        connection.execute(f"SELECT compress_chunk(c) FROM show_chunks('{table}') AS c".encode())
        compressing = time.perf_counter() - begun
        (after,) = connection.execute(f"SELECT hypertable_size('{table}')".encode()).fetchone() or (0,)
        begun = time.perf_counter()
        connection.execute(
            f"SELECT * FROM {table} WHERE instrument_id = 3 AND bar_seconds = 60 ORDER BY timestamp".encode()
        ).fetchall()
        return {
            "rows": rows,
            "bytes_before": before,
            "bytes_after": after,
            "ratio": round(before / after, 2),
            "bytes_per_row_after": round(after / rows, 2),
            "compress_seconds": round(compressing, 2),
            "read_contract_month_seconds": round(time.perf_counter() - begun, 3),
            "same_rows": digest == _digest(connection, table),
        }
    finally:
        connection.execute(f"DROP TABLE IF EXISTS {table}".encode())


def _digest(connection: psycopg.Connection, table: str) -> object:
    return connection.execute(
        f"SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {table} AS t".encode()
    ).fetchone()


def main() -> None:
    """Measure both ways and print what they came to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--days", type=int, default=20, help="sessions (default 20)")
    parser.add_argument("--contracts", type=int, default=40, help="contracts (default 40)")
    parser.add_argument("--url", help="a database with full TimescaleDB; default: the server of the tests")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server: AbstractContextManager[str] = nullcontext(options.url) if options.url else running("full", Path(folder))
        with server as url, psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
            connection.execute("SET timezone = 'UTC'")
            (version,) = connection.execute(
                "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
            ).fetchone() or ("",)
            result = {name: measure(connection, name, options.days, options.contracts) for name in ORDERS}
    print(
        json.dumps(
            {
                "benchmark": "compression",
                "server": f"TimescaleDB {version}",
                "days": options.days,
                "contracts": options.contracts,
                **result,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
