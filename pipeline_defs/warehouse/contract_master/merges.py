"""One contract that imports had taken for two, because nobody had told that it was re-dated or renamed.

Its observations stay under the ids they were stored with; `instrument_merges` says, from a knowledge time on, which
instrument they belong to, and readers follow it. If both were delivered by one source for one trade date, they are two
contracts indeed, and the statement is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_defs.warehouse.contract_master.identity import IS_NOT_A_DUPLICATE, identity

if TYPE_CHECKING:
    import psycopg

# Who already has the name that a statement gives to another instrument.
_FIND: Final = f"""
CREATE TEMP TABLE duplicates ON COMMIT DROP AS
SELECT DISTINCT ON (t.instrument_id) i.line, t.instrument_id AS duplicate_id, i.instrument_id, t.symbol,
       (SELECT min(la.trade_date)
        FROM load_instruments AS a JOIN loads AS la USING (load_id)
        JOIN loads AS lb ON lb.source = la.source AND lb.trade_date = la.trade_date
        JOIN load_instruments AS b ON b.load_id = lb.load_id
        WHERE a.instrument_id = t.instrument_id AND b.instrument_id = i.instrument_id) AS both_on
FROM (SELECT line, instrument_id, valid_from, kind, venue, coalesce(new_underlying, underlying) AS underlying,
             coalesce(new_expiry, expiry) AS expiry, coalesce(new_strike, strike) AS strike, option_type, rank, series
      FROM stated) AS i
JOIN instrument_terms AS t
    ON {identity("t")} = {identity("i")} AND {IS_NOT_A_DUPLICATE}
    AND t.valid_from <= i.valid_from AND t.valid_to > i.valid_from AND t.instrument_id <> i.instrument_id
ORDER BY t.instrument_id, i.line
"""

_REFUSE: Final = """
SELECT s.line, d.symbol, d.both_on
FROM stated AS s JOIN duplicates AS d USING (instrument_id) WHERE d.both_on IS NOT NULL
"""

_DROP_REFUSED: Final = """
DELETE FROM {table} WHERE instrument_id IN (SELECT instrument_id FROM duplicates WHERE both_on IS NOT NULL)
"""

# What was merged into a duplicate before belongs to the same instrument now.
_MERGE: Final = """
INSERT INTO instrument_merges (duplicate_id, instrument_id, reason)
SELECT k.duplicate_id, d.instrument_id, 'merged with instrument ' || d.duplicate_id
FROM instrument_merges_as_of('infinity') AS k JOIN duplicates AS d ON d.duplicate_id = k.instrument_id
UNION ALL
SELECT duplicate_id, instrument_id, 'the name ' || symbol || ' was given to instrument ' || instrument_id
FROM duplicates
"""

_MOVE_CONTINUOUS: Final = """
UPDATE continuous_contracts AS c SET contract_id = d.instrument_id FROM duplicates AS d
WHERE c.contract_id = d.duplicate_id
"""

_COPY_ALIASES: Final = """
INSERT INTO instrument_aliases (source, symbol, instrument_id)
SELECT a.source, a.symbol, d.instrument_id
FROM instrument_aliases AS a JOIN duplicates AS d ON d.duplicate_id = a.instrument_id
ON CONFLICT DO NOTHING
"""

_COPY_TOKENS: Final = """
INSERT INTO instrument_tokens AS t (token, instrument_id, first_seen, last_seen)
SELECT n.token, d.instrument_id, min(n.first_seen), max(n.last_seen)
FROM instrument_tokens AS n JOIN duplicates AS d ON d.duplicate_id = n.instrument_id GROUP BY 1, 2
ON CONFLICT (token, instrument_id) DO UPDATE
SET first_seen = least(t.first_seen, excluded.first_seen), last_seen = greatest(t.last_seen, excluded.last_seen)
"""

# What was seen of a duplicate was seen of the instrument; a source that spoke of both keeps what it said of the latter.
_COPY_EVIDENCE: Final = """
INSERT INTO term_evidence AS k (book, field, trade_date, source, value, precedence, instrument_ids)
SELECT i.book, e.field, e.trade_date, e.source, e.value, e.precedence,
       array_agg(DISTINCT d.instrument_id ORDER BY d.instrument_id)
FROM duplicates AS d
JOIN instruments AS o ON o.instrument_id = d.duplicate_id
JOIN instruments AS i ON i.instrument_id = d.instrument_id
JOIN term_evidence AS e ON e.book = o.book AND d.duplicate_id = ANY (e.instrument_ids)
WHERE NOT EXISTS (SELECT FROM term_evidence AS s
                  WHERE (s.book, s.field, s.trade_date, s.source) = (i.book, e.field, e.trade_date, e.source)
                    AND d.instrument_id = ANY (s.instrument_ids))
GROUP BY 1, 2, 3, 4, 5, 6
ON CONFLICT (book, field, trade_date, source, value) DO UPDATE
SET instrument_ids = ARRAY(SELECT unnest(k.instrument_ids) UNION SELECT unnest(excluded.instrument_ids) ORDER BY 1)
"""


def merge_duplicates(connection: psycopg.Connection) -> tuple[list[int], dict[int, str]]:
    """Make one instrument of those that the statements say are one.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction in which `match_statements` has filled ``stated``, and ``incoming_evidence`` holds what the
        statements say.

    Returns
    -------
    tuple of (list of int, dict of int to str)
        For each duplicate that was merged, the instrument it is; and the lines that may not be taken, each with the
        reason. These are removed from ``stated`` and from ``incoming_evidence``.

    """
    connection.execute(_FIND)
    refused = {
        line: f"{symbol} cannot be the same contract: one source delivered both on {day}"
        for line, symbol, day in connection.execute(_REFUSE).fetchall()
    }
    for table in ("incoming_evidence", "stated", "duplicates"):
        connection.execute(_DROP_REFUSED.replace("{table}", table).encode())
    kept = [row[0] for row in connection.execute("SELECT instrument_id FROM duplicates").fetchall()]
    if kept:
        for statement in (_MERGE, _MOVE_CONTINUOUS, _COPY_ALIASES, _COPY_TOKENS, _COPY_EVIDENCE):
            connection.execute(statement.encode())
    return kept, refused
