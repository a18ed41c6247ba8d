"""Market rules that ship with the code, copied into the database: sessions and expiry weekdays.

The files in `pipeline_defs.markets` are the source; the tables exist so that SQL can join them. Re-seeding replaces
what changed and leaves the rest untouched.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

FIRST_SEEDED_DATE = dt.date(2005, 1, 1)


def market_rules_checksum() -> str:
    """Give a checksum of the packaged files that `sessions` and `expiry_rules` are made from."""
    digest = hashlib.sha256(FIRST_SEEDED_DATE.isoformat().encode())
    files = (resources.files("pipeline_defs.markets") / "data").iterdir()
    for file in sorted(files, key=lambda file: file.name):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def market_rules_are_current(connection: psycopg.Connection) -> bool:
    """Tell whether the database holds the market rules of this version of the files."""
    row = connection.execute("SELECT checksum FROM market_rules_ledger").fetchone()
    return row is not None and row[0] == market_rules_checksum()


def seed_market_rules(connection: psycopg.Connection) -> None:
    """Bring `sessions` and `expiry_rules` in line with the packaged data, in one transaction.

    Bars of sessions that are new or have other hours are refreshed after it.

    Parameters
    ----------
    connection : psycopg.Connection
        In autocommit mode: `refresh_bars` owns its transactions.

    """
    with connection.transaction():
        changed = _seed_sessions(connection)
        _seed_expiry_rules(connection)
        connection.execute(
            "INSERT INTO market_rules_ledger (checksum) VALUES (%s)"
            " ON CONFLICT (only_row) DO UPDATE SET checksum = excluded.checksum, seeded_at = now()",
            [market_rules_checksum()],
        )
    for begin, end in changed:
        connection.execute("CALL refresh_bars(%s, %s)", [begin, end])


def _seed_sessions(connection: psycopg.Connection) -> list[tuple[dt.datetime, dt.datetime]]:
    """Write the sessions; give the hours of those that changed and of which options are stored."""
    import polars as pl  # noqa: PLC0415 -- every command asks whether the rules are current, few seed them

    from pipeline_defs.markets import sessions  # noqa: PLC0415 -- loads polars

    frames = [
        sessions.sessions_between(FIRST_SEEDED_DATE, sessions.last_covered_date(), segment).select(
            pl.lit("NSE").alias("market"), "segment", "session_date", "open", "close", "kind", "source"
        )
        for segment in ("FO", "CM")
    ]
    columns = "market, segment, session_date, open, close, kind, source"
    connection.execute(f"CREATE TEMP TABLE seeded ON COMMIT DROP AS SELECT {columns} FROM sessions LIMIT 0")
    with connection.cursor().copy("COPY seeded FROM STDIN (FORMAT csv)") as copy:
        copy.write(pl.concat(frames).write_csv(include_header=False).encode())
    connection.execute(
        "DELETE FROM sessions AS s WHERE NOT EXISTS (SELECT FROM seeded AS n"
        " WHERE (n.market, n.segment, n.session_date) = (s.market, s.segment, s.session_date))"
    )
    changed = connection.execute(
        f"WITH written AS (INSERT INTO sessions AS s ({columns}) SELECT * FROM seeded"
        " ON CONFLICT (market, segment, session_date) DO UPDATE"
        " SET open = excluded.open, close = excluded.close, kind = excluded.kind, source = excluded.source"
        " WHERE (s.open, s.close, s.kind, s.source)"
        " IS DISTINCT FROM (excluded.open, excluded.close, excluded.kind, excluded.source)"
        " RETURNING s.segment, s.open, s.close)"
        " SELECT w.open, w.close FROM written AS w WHERE w.segment = 'FO' AND EXISTS ("
        "SELECT FROM options_ticks AS o WHERE o.timestamp >= w.open AND o.timestamp <= w.close) ORDER BY w.open"
    )
    return changed.fetchall()


def _seed_expiry_rules(connection: psycopg.Connection) -> None:
    from pipeline_defs.markets import expiries  # noqa: PLC0415 -- only when seeding

    rules = expiries.rules_frame().select(
        "underlying", "cycle", "weekday", "first_date", "last_date", "known_from", "source"
    )
    connection.execute("DELETE FROM expiry_rules")
    with connection.cursor().copy(
        "COPY expiry_rules (underlying, cycle, weekday, first_date, last_date, known_from, source)"
        " FROM STDIN (FORMAT csv)"
    ) as copy:
        copy.write(rules.write_csv(include_header=False).encode())
