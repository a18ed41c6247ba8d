"""Dated evidence of terms: recorded once, withdrawn when the same source corrects itself, and then derived from.

A day file gives the lots of fifty thousand contracts, nearly all of them as known. So what is known already costs one
look, and terms are derived again only for instruments of which the evidence says something else than their terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.warehouse.contract_master.identity import WRITERS_QUEUE

if TYPE_CHECKING:
    import psycopg

OWN_LIST: Final = 0
EXCHANGE: Final = 10
BROKER: Final = 20
"""Precedence of sources that speak of the same date: the user's own word, the exchange's, a broker's."""

CREATE_INCOMING: Final = """
CREATE TEMP TABLE incoming_evidence (
    instrument_id integer NOT NULL, trade_date date NOT NULL, field text NOT NULL, value text NOT NULL
) ON COMMIT DROP
"""
"""What `record_evidence` reads; filled by the caller in the same transaction."""

_NEWS: Final = """
SELECT count(*) FROM (
    SELECT i.book, e.field, e.trade_date, e.value, array_agg(DISTINCT e.instrument_id ORDER BY e.instrument_id) AS ids
    FROM incoming_evidence AS e JOIN instruments AS i USING (instrument_id) GROUP BY 1, 2, 3, 4
) AS n LEFT JOIN term_evidence AS k
    ON (k.book, k.field, k.trade_date, k.source, k.value) = (n.book, n.field, n.trade_date, %(source)s, n.value)
WHERE k.book IS NULL OR (k.instrument_ids <> n.ids AND NOT k.instrument_ids @> n.ids)
"""

_OTHER_VALUE: Final = """
    SELECT FROM incoming_evidence AS n JOIN instruments AS i USING (instrument_id)
    WHERE (i.book, n.field, n.trade_date) = (k.book, k.field, k.trade_date) AND n.value <> k.value
"""

_WITHDRAW: Final = f"""
UPDATE term_evidence AS k
SET instrument_ids = ARRAY(SELECT u.id FROM unnest(k.instrument_ids) AS u (id)
                           WHERE NOT EXISTS ({_OTHER_VALUE} AND n.instrument_id = u.id) ORDER BY u.id)
WHERE k.source = %(source)s AND k.trade_date IN (SELECT trade_date FROM incoming_evidence)
  AND EXISTS ({_OTHER_VALUE} AND n.instrument_id = ANY (k.instrument_ids))
"""

_DROP_EMPTY: Final = """
DELETE FROM term_evidence
WHERE source = %(source)s AND cardinality(instrument_ids) = 0
  AND trade_date IN (SELECT trade_date FROM incoming_evidence)
"""

_ADD: Final = """
INSERT INTO term_evidence AS k (book, field, trade_date, source, value, precedence, instrument_ids)
SELECT i.book, e.field, e.trade_date, %(source)s, e.value, %(precedence)s,
       array_agg(DISTINCT e.instrument_id ORDER BY e.instrument_id)
FROM incoming_evidence AS e JOIN instruments AS i USING (instrument_id) GROUP BY 1, 2, 3, 5
ON CONFLICT (book, field, trade_date, source, value) DO UPDATE
SET instrument_ids = ARRAY(SELECT unnest(k.instrument_ids) UNION SELECT unnest(excluded.instrument_ids) ORDER BY 1)
WHERE NOT k.instrument_ids @> excluded.instrument_ids
"""

# Evidence that agrees with the terms of its date cannot change them: a value counts until another one is seen. But
# one's own word also says where the value begins.
_SURPRISED: Final = """
SELECT coalesce(array_agg(DISTINCT e.instrument_id), '{}')
FROM incoming_evidence AS e
LEFT JOIN instrument_terms AS t
    ON t.instrument_id = e.instrument_id AND t.valid_from <= e.trade_date AND t.valid_to > e.trade_date
WHERE %(is_own_list)s OR e.value IS DISTINCT FROM CASE e.field
    WHEN 'symbol' THEN t.symbol WHEN 'underlying' THEN t.underlying WHEN 'expiry' THEN t.expiry::text
    WHEN 'strike' THEN trim_scale(t.strike)::text WHEN 'isin' THEN t.isin WHEN 'lot_size' THEN t.lot_size::text
    WHEN 'tick_size' THEN trim_scale(t.tick_size)::text WHEN 'multiplier' THEN trim_scale(t.multiplier)::text END
"""

_DERIVE: Final = "SELECT changed_id, change FROM derive_instrument_terms(%s)"


@dataclass(frozen=True, slots=True)
class Derived:
    """What new evidence did.

    Parameters
    ----------
    changed : frozenset of int
        Instruments of which any terms changed.
    closed : int
        Terms that end earlier than before.

    """

    changed: frozenset[int]
    closed: int


NOTHING: Final = Derived(frozenset(), 0)


def record_evidence(
    connection: psycopg.Connection, *, source: str, precedence: int, also: list[int] | None = None
) -> Derived:
    """Take the rows of ``incoming_evidence`` and bring the terms in line.

    Parameters
    ----------
    connection : psycopg.Connection
        In a short transaction that has filled `CREATE_INCOMING`; other writers of instruments wait for its end.
    source : str
        Who says so. What it said before of the same dates and instruments is withdrawn where it differs.
    precedence : int
        Lower wins where sources disagree about a date.
    also : list of int, optional
        Instruments of which other evidence has changed in this transaction.

    Returns
    -------
    Derived

    """
    parameters = {"source": source, "precedence": precedence}
    (news,) = connection.execute(_NEWS, parameters).fetchall()
    if not news[0] and not also:
        return NOTHING
    connection.execute(WRITERS_QUEUE)
    connection.execute(_WITHDRAW, parameters)
    connection.execute(_DROP_EMPTY, parameters)
    connection.execute(_ADD, parameters)
    (surprised,) = connection.execute(_SURPRISED, {"is_own_list": precedence == OWN_LIST}).fetchall()
    return derive(connection, sorted({*surprised[0], *(also or ())}))


def derive(connection: psycopg.Connection, instrument_ids: list[int]) -> Derived:
    """Bring the terms of some instruments in line with their evidence.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction that holds `WRITERS_QUEUE`.
    instrument_ids : list of int
        Which ones.

    Returns
    -------
    Derived

    """
    if not instrument_ids:
        return NOTHING
    rows = connection.execute(_DERIVE, [instrument_ids]).fetchall()
    return Derived(frozenset(row[0] for row in rows), sum(row[1] == "closed" for row in rows))
