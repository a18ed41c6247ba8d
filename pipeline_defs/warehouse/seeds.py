"""Market rules that ship with the code, copied into the database: sessions and expiry weekdays.

The files in `pipeline_defs.markets` are the source; the tables exist so that SQL can join them. Re-seeding replaces
what changed and leaves the rest untouched.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    import psycopg

FIRST_SEEDED_DATE = dt.date(2005, 1, 1)


def seed_market_rules(connection: psycopg.Connection) -> None:
    """Bring `sessions` and `expiry_rules` in line with the packaged data, in one transaction.

    Parameters
    ----------
    connection : psycopg.Connection
        In autocommit mode, or in a transaction that the caller commits.

    """
    with connection.transaction():
        _seed_sessions(connection)
        _seed_expiry_rules(connection)


def _seed_sessions(connection: psycopg.Connection) -> None:
    from pipeline_defs.markets import sessions  # noqa: PLC0415 -- only when seeding

    frames = [
        sessions.sessions_between(FIRST_SEEDED_DATE, sessions.last_covered_date(), segment).select(
            pl.lit("NSE").alias("market"), "segment", "session_date", "open", "close", "kind", "source"
        )
        for segment in ("FO", "CM")
    ]
    connection.execute("CREATE TEMP TABLE seeded (LIKE sessions) ON COMMIT DROP")
    with connection.cursor().copy("COPY seeded FROM STDIN (FORMAT csv)") as copy:
        copy.write(pl.concat(frames).write_csv(include_header=False).encode())
    connection.execute(
        "DELETE FROM sessions AS s WHERE NOT EXISTS (SELECT FROM seeded AS n"
        " WHERE (n.market, n.segment, n.session_date) = (s.market, s.segment, s.session_date))"
    )
    connection.execute(
        "INSERT INTO sessions AS s SELECT * FROM seeded ON CONFLICT (market, segment, session_date) DO UPDATE"
        " SET open = excluded.open, close = excluded.close, kind = excluded.kind, source = excluded.source"
        " WHERE (s.open, s.close, s.kind, s.source)"
        " IS DISTINCT FROM (excluded.open, excluded.close, excluded.kind, excluded.source)"
    )


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
