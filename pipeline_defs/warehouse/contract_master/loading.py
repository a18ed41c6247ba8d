"""The one way in for statements about terms: match, merge, record as evidence, derive; one transaction, set-based."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

import pipeline_defs
from pipeline_defs.errors import WarehouseError
from pipeline_defs.schema.terms import REFUSED_SCHEMA, TERMS_SCHEMA
from pipeline_defs.warehouse.contract_master.evidence import CREATE_INCOMING, record_evidence
from pipeline_defs.warehouse.contract_master.identity import PRICE_TEXT, WRITERS_QUEUE
from pipeline_defs.warehouse.contract_master.matching import CREATE_STATED, match_statements
from pipeline_defs.warehouse.contract_master.merges import merge_duplicates
from pipeline_defs.warehouse.faults import PersistentConnection
from pipeline_defs.warehouse.transport import copy_in

if TYPE_CHECKING:
    import psycopg

    from pipeline_defs.schema.terms import TermsDelivery
    from pipeline_defs.warehouse.connection import Warehouse

# A name is evidence where it is given on purpose: on the day before and from then on; or with the exchange's number.
_EVIDENCE: Final = f"""
INSERT INTO incoming_evidence (instrument_id, trade_date, field, value)
SELECT DISTINCT ON (s.instrument_id, f.trade_date, f.field) s.instrument_id, f.trade_date, f.field, f.value
FROM stated AS s
CROSS JOIN LATERAL (VALUES
    (s.valid_from, 'lot_size', s.lot_size::text),
    (s.valid_from, 'isin', s.isin),
    (s.valid_from, 'tick_size', {PRICE_TEXT.format("s.tick_size")}),
    (s.valid_from, 'multiplier', {PRICE_TEXT.format("s.multiplier")}),
    (s.valid_from, 'symbol', CASE WHEN s.token IS NULL THEN s.symbol END),
    (s.valid_from, 'underlying', coalesce(s.new_underlying, CASE WHEN s.token IS NOT NULL THEN s.underlying END)),
    (s.valid_from, 'expiry', coalesce(s.new_expiry, CASE WHEN s.token IS NOT NULL THEN s.expiry END)::text),
    (s.valid_from, 'strike',
     {PRICE_TEXT.format("coalesce(s.new_strike, CASE WHEN s.token IS NOT NULL THEN s.strike END)")}),
    (s.valid_from - 1, 'underlying', CASE WHEN s.new_underlying IS NOT NULL THEN s.underlying END),
    (s.valid_from - 1, 'expiry', CASE WHEN s.new_expiry IS NOT NULL THEN s.expiry::text END),
    (s.valid_from - 1, 'strike', CASE WHEN s.new_strike IS NOT NULL THEN {PRICE_TEXT.format("s.strike")} END),
    (s.valid_from - 1, 'symbol', CASE WHEN s.token IS NULL AND s.symbol IS NOT NULL THEN
        (SELECT t.symbol FROM instrument_terms AS t WHERE t.instrument_id = s.instrument_id
         AND t.valid_from < s.valid_from AND t.valid_to >= s.valid_from) END)
) AS f (trade_date, field, value)
WHERE f.value IS NOT NULL
ORDER BY s.instrument_id, f.trade_date, f.field, s.line
"""

# Two lines that speak of one instrument and date: the first is taken, unless they say the same.
_REPEATED: Final = """
SELECT s.line, f.line AS first_line
FROM stated AS s
JOIN (SELECT instrument_id, valid_from, min(line) AS line FROM stated GROUP BY 1, 2) AS f
    ON (f.instrument_id, f.valid_from) = (s.instrument_id, s.valid_from)
WHERE s.line > f.line
"""

_TOKENS: Final = """
INSERT INTO instrument_tokens AS t (token, instrument_id, first_seen, last_seen)
SELECT token, instrument_id, min(valid_from), max(valid_from) FROM stated WHERE token IS NOT NULL GROUP BY 1, 2
ON CONFLICT (token, instrument_id) DO UPDATE
SET first_seen = least(t.first_seen, excluded.first_seen), last_seen = greatest(t.last_seen, excluded.last_seen)
WHERE excluded.first_seen < t.first_seen OR excluded.last_seen > t.last_seen
"""

_ALIASES: Final = """
INSERT INTO instrument_aliases (source, symbol, instrument_id)
SELECT DISTINCT %(source)s, symbol, instrument_id FROM stated WHERE symbol IS NOT NULL
ON CONFLICT DO NOTHING
"""

_INSERT_LOAD: Final = """
INSERT INTO terms_loads (source, path, sha256, first_date, last_date, rows_read, rows_new, rows_changed, rows_unchanged,
                         rows_refused, terms_closed, instruments_merged, code_version)
VALUES (%(source)s, %(path)s, %(sha256)s, %(first_date)s, %(last_date)s, %(read)s, %(new)s, %(changed)s, %(unchanged)s,
        %(refused)s, %(closed)s, %(merged)s, %(code_version)s)
RETURNING terms_load_id
"""


@dataclass(frozen=True, slots=True)
class TermsReport:
    """What came of a file of terms; `read == new + changed + unchanged + len(refused)`.

    Parameters
    ----------
    terms_load_id : int
        Row of `terms_loads`.
    source : str
        Who said so.
    read : int
        Lines.
    new : int
        Lines about instruments never seen before.
    changed : int
        Lines after which the terms of their instrument are others than before.
    closed : int
        Terms that end earlier than before.
    merged : int
        Instruments found to be another under a later name.
    unchanged : int
        Lines that said what was known.
    refused : dict of int to str
        Line to the reason for which it was not taken.

    """

    terms_load_id: int
    source: str
    read: int
    new: int
    changed: int
    closed: int
    merged: int
    unchanged: int
    refused: dict[int, str]

    def to_json(self) -> dict[str, Any]:
        """Give the stable shape that ``pipeline terms import --json`` prints."""
        names = ("terms_load_id", "source", "read", "new", "changed", "closed", "merged", "unchanged")
        refused = [{"line": line, "reason": reason} for line, reason in sorted(self.refused.items())]
        return {**{name: getattr(self, name) for name in names}, "refused": refused}


def apply_terms(warehouse: Warehouse, delivery: TermsDelivery) -> TermsReport:
    """Take the statements of a file into the contract master.

    The outcome depends on all files taken, not on their order; the same file twice changes nothing the second time.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    delivery : TermsDelivery
        What a reader made of the file.

    Returns
    -------
    TermsReport

    Raises
    ------
    WarehouseError
        If the statements cannot all be true: two instruments would be the same contract at one time. Nothing is
        stored then.

    """
    where = f"terms of {delivery.path}"
    with PersistentConnection(warehouse) as connection:
        return connection.run(lambda session: _take(session, delivery), where)


def _take(session: psycopg.Connection, delivery: TermsDelivery) -> TermsReport:
    from psycopg import errors  # noqa: PLC0415 -- a client library is loaded where it is used

    try:
        with session.transaction():
            session.execute(WRITERS_QUEUE)
            return _store(session, delivery)
    except errors.ExclusionViolation as error:
        raise WarehouseError(
            str(error).partition("\n")[0],
            where=f"terms of {delivery.path}",
            next_step="look at both with 'pipeline terms show', and correct the line that speaks of one of them",
        ) from error


def _store(session: psycopg.Connection, delivery: TermsDelivery) -> TermsReport:
    refused: dict[int, str] = dict(delivery.refused.select("line", "reason").iter_rows())
    session.execute(CREATE_STATED)
    session.execute(CREATE_INCOMING)
    copy_in(session, "stated", delivery.statements.select(list(TERMS_SCHEMA)))
    match_statements(session)
    repeated = session.execute(_REPEATED).fetchall()
    refused |= {line: f"line {first} speaks of the same contract and date" for line, first in repeated}
    session.execute("DELETE FROM stated WHERE line = ANY (%s)", [[line for line, _ in repeated]])
    session.execute(_EVIDENCE)
    merged, two_contracts = merge_duplicates(session)
    refused |= two_contracts
    derived = record_evidence(session, source=delivery.source, precedence=delivery.precedence, also=merged)
    session.execute(_TOKENS)
    session.execute(_ALIASES, {"source": delivery.source})
    rows = session.execute("SELECT instrument_id, is_new FROM stated").fetchall()
    new = sum(is_new for _, is_new in rows)
    changed = sum(not is_new and instrument_id in derived.changed for instrument_id, is_new in rows)
    counts = {
        "read": delivery.statements.height + delivery.refused.height,
        "new": new,
        "changed": changed,
        "unchanged": len(rows) - new - changed,
        "closed": derived.closed,
        "merged": len(merged),
    }
    load_id = _record(session, delivery, counts, refused)
    return TermsReport(terms_load_id=load_id, source=delivery.source, refused=refused, **counts)


def _record(
    session: psycopg.Connection, delivery: TermsDelivery, counts: dict[str, int], refused: dict[int, str]
) -> int:
    dates = delivery.statements["valid_from"]
    parameters = counts | {
        "source": delivery.source,
        "path": str(delivery.path),
        "sha256": delivery.sha256,
        "first_date": dates.min(),
        "last_date": dates.max(),
        "refused": len(refused),
        "code_version": pipeline_defs.__version__,
    }
    ((load_id,),) = session.execute(_INSERT_LOAD, parameters).fetchall()
    lines = pl.DataFrame(list(refused.items()), schema=REFUSED_SCHEMA, orient="row")
    copy_in(session, "terms_refusals", lines.with_columns(pl.lit(load_id).alias("terms_load_id")))
    return int(load_id)
