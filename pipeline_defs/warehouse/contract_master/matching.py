"""Which instrument each statement means: by the exchange's number, else by its name on the date.

A number is given to another contract after expiry. So it is believed only where nothing but the expiry (by a few days),
the strike (of the same expiry: corporate actions) or the symbol differs from what is known of the instrument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_defs.warehouse.contract_master.identity import IS_NOT_A_DUPLICATE, identity

if TYPE_CHECKING:
    import psycopg

LONGEST_MOVE_DAYS: Final = 10
"""Exchanges move expiries to another weekday of the same or the next week; a month later it is another contract."""

CREATE_STATED: Final = """
CREATE TEMP TABLE stated (
    line integer PRIMARY KEY, valid_from date, token text, kind text, venue text, underlying text, expiry date,
    strike numeric, option_type text, rank smallint, series text, new_underlying text, new_expiry date,
    new_strike numeric, symbol text, isin text, lot_size bigint, tick_size numeric, multiplier numeric, currency text,
    named_on date, is_renamed boolean, instrument_id integer, is_new boolean NOT NULL DEFAULT false
) ON COMMIT DROP
"""

# A new name is given on the day before it counts; the old one must be known then.
_PREPARE: Final = """
UPDATE stated AS s
SET is_renamed = n.is_renamed, named_on = CASE WHEN n.is_renamed THEN s.valid_from - 1 ELSE s.valid_from END
FROM (SELECT line, num_nonnulls(new_underlying, new_expiry, new_strike) > 0 AS is_renamed FROM stated) AS n
WHERE n.line = s.line
"""

_BY_TOKEN: Final = f"""
UPDATE stated AS s SET instrument_id = k.instrument_id
FROM (SELECT DISTINCT ON (i.line) i.line, t.instrument_id
      FROM stated AS i
      JOIN instrument_tokens AS n USING (token)
      JOIN instrument_terms AS t
          ON t.instrument_id = n.instrument_id AND t.kind = i.kind AND t.venue = i.venue
          AND coalesce(t.option_type, '') = coalesce(i.option_type, '')
          AND coalesce(t.series, '') = coalesce(i.series, '')
      WHERE i.kind IN ('EQ', 'SPOT')
         OR t.expiry = i.expiry
         OR (t.underlying = i.underlying AND t.strike IS NOT DISTINCT FROM i.strike
             AND abs(t.expiry - i.expiry) <= {LONGEST_MOVE_DAYS}
             AND t.expiry >= i.valid_from AND i.expiry >= n.first_seen)
      ORDER BY i.line, greatest(n.first_seen - i.valid_from, i.valid_from - n.last_seen), t.instrument_id) AS k
WHERE k.line = s.line
"""

_SAME: Final = f"{identity('t')} = {identity('i')} AND {IS_NOT_A_DUPLICATE}"

_BY_NAME: Final = f"""
UPDATE stated AS s SET instrument_id = t.instrument_id
FROM stated AS i JOIN instrument_terms AS t
    ON {_SAME} AND t.valid_from <= i.named_on AND t.valid_to > i.named_on
WHERE i.line = s.line AND s.instrument_id IS NULL
"""

_CREATE: Final = f"""
WITH unseen AS MATERIALIZED (
    SELECT nextval(pg_get_serial_sequence('instruments', 'instrument_id'))::integer AS new_id, i.*
    FROM (SELECT DISTINCT ON {identity("i")} i.*,
                 (SELECT max(t.valid_to) FROM instrument_terms AS t
                  WHERE {_SAME} AND t.valid_to <= i.named_on) AS free_from,
                 (SELECT min(t.valid_from) FROM instrument_terms AS t
                  WHERE {_SAME} AND t.valid_from > i.named_on) AS free_to
          FROM stated AS i WHERE i.instrument_id IS NULL ORDER BY {identity("i")[1:-1]}, i.line) AS i
), inserted AS (
    INSERT INTO instruments (instrument_id, kind, venue, book) OVERRIDING SYSTEM VALUE
    SELECT new_id, kind, venue, underlying FROM unseen
), described AS (
    INSERT INTO instrument_terms (instrument_id, valid_from, valid_to, kind, venue, symbol, underlying, expiry, strike,
                                  option_type, rank, series, currency)
    SELECT new_id, coalesce(free_from, '-infinity'), coalesce(free_to, 'infinity'), kind, venue,
           coalesce(CASE WHEN NOT is_renamed THEN symbol END,
                    concat_ws('_', underlying, to_char(expiry, 'DDMONYYYY'), option_type, trim_scale(strike))),
           underlying, expiry, strike, option_type, rank, series, currency
    FROM unseen
)
UPDATE stated AS s SET instrument_id = i.new_id, is_new = true
FROM unseen AS i WHERE s.instrument_id IS NULL AND {identity("s")} = {identity("i")}
"""


def match_statements(connection: psycopg.Connection) -> None:
    """Fill ``stated.instrument_id``, creating instruments never seen.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction that holds `WRITERS_QUEUE` and has filled `CREATE_STATED`.

    """
    connection.execute(_PREPARE)
    connection.execute("ANALYZE stated")
    connection.execute(_BY_TOKEN)
    connection.execute(_BY_NAME)
    connection.execute(_CREATE)
