"""From a batch's contracts to stable instrument ids, in one set-based statement.

Unseen instruments are inserted with open-ended terms. Lots, ticks and ISINs that a file gives are evidence for its
trade date, from which the contract master derives the terms. Continuous futures are resolved to the contract they meant
on the trade date, as a mapping beside the prices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.batches import CONTRACT_SCHEMA
from pipeline_defs.warehouse.contract_master.evidence import CREATE_INCOMING, EXCHANGE, record_evidence
from pipeline_defs.warehouse.contract_master.identity import IS_NOT_A_DUPLICATE, PRICE_TEXT, WRITERS_QUEUE, identity
from pipeline_defs.warehouse.transport import copy_in

if TYPE_CHECKING:
    import datetime as dt

    import psycopg

_INCOMING: Final = """
CREATE TEMP TABLE incoming_contracts (
    contract_key integer, kind text, symbol text, underlying text, expiry date, strike numeric, option_type text,
    rank smallint, series text, isin text, lot_size bigint, tick_size numeric, venue text, currency text,
    base_currency text
) ON COMMIT DROP
"""

_SAME: Final = f"{identity('t')} = {identity('i')} AND t.underlying = ANY (%(underlyings)s) AND {IS_NOT_A_DUPLICATE}"
_MATCH: Final = f"{_SAME} AND t.valid_from <= %(trade_date)s AND t.valid_to > %(trade_date)s"

_FIND: Final = f"""
SELECT i.contract_key, t.instrument_id
FROM incoming_contracts AS i LEFT JOIN instrument_terms AS t ON {_MATCH}
"""

# A name that meant another instrument on later or earlier dates is free only in between.
_INSERT_UNSEEN: Final = f"""
WITH unseen AS MATERIALIZED (
    SELECT nextval(pg_get_serial_sequence('instruments', 'instrument_id'))::integer AS instrument_id, i.*
    FROM (SELECT DISTINCT ON {identity("i")} i.*,
                 (SELECT max(t.valid_to) FROM instrument_terms AS t
                  WHERE {_SAME} AND t.valid_to <= %(trade_date)s) AS free_from,
                 (SELECT min(t.valid_from) FROM instrument_terms AS t
                  WHERE {_SAME} AND t.valid_from > %(trade_date)s) AS free_to
          FROM incoming_contracts AS i
          WHERE NOT EXISTS (SELECT FROM instrument_terms AS t WHERE {_MATCH})
          ORDER BY {identity("i")[1:-1]}, i.contract_key) AS i
), inserted AS (
    INSERT INTO instruments (instrument_id, kind, venue, book, base_currency) OVERRIDING SYSTEM VALUE
    SELECT instrument_id, kind, venue, underlying, base_currency FROM unseen
)
INSERT INTO instrument_terms (instrument_id, valid_from, valid_to, kind, venue, symbol, underlying, expiry, strike,
                              option_type, rank, series, isin, lot_size, tick_size, currency)
SELECT instrument_id, coalesce(free_from, '-infinity'), coalesce(free_to, 'infinity'), kind, venue, symbol, underlying,
       expiry, strike, option_type, rank, series, isin, lot_size, tick_size, currency
FROM unseen
"""

_GIVES_TERMS: Final = pl.any_horizontal(pl.col("isin", "lot_size", "tick_size").is_not_null())

_EVIDENCE: Final = f"""
INSERT INTO incoming_evidence (instrument_id, trade_date, field, value)
SELECT DISTINCT ON (k.instrument_id, f.field) k.instrument_id, %(trade_date)s, f.field, f.value
FROM incoming_contracts AS i
JOIN unnest(%(ids)s::integer[]) WITH ORDINALITY AS k (instrument_id, position) ON k.position = i.contract_key + 1
CROSS JOIN LATERAL (VALUES ('isin', i.isin), ('lot_size', i.lot_size::text),
                           ('tick_size', {PRICE_TEXT.format("i.tick_size")})) AS f (field, value)
WHERE f.value IS NOT NULL
ORDER BY k.instrument_id, f.field, i.contract_key
"""


def resolve_instruments(
    connection: psycopg.Connection, contracts: pl.DataFrame, *, source: str, trade_date: dt.date
) -> pl.Series:
    """Give the instrument id of each contract, inserting those never seen.

    Runs in a transaction of its own, before the load's: dimension rows written in the transaction that also creates a
    chunk can deadlock on TimescaleDB, and an instrument without observations does no harm.

    Parameters
    ----------
    connection : psycopg.Connection
        Outside a transaction.
    contracts : polars.DataFrame
        `CONTRACT_SCHEMA`, `contract_key` being 0..n-1.
    source : str
        Adapter name, for the aliases.
    trade_date : datetime.date
        The terms valid on this date are meant.

    Returns
    -------
    polars.Series
        Int32 instrument ids; position k belongs to contract key k.

    """
    if contracts.is_empty():
        return pl.Series("instrument_id", [], pl.Int32())
    wanted = _with_rolled_contracts(contracts)
    parameters = {"trade_date": trade_date, "underlyings": wanted["underlying"].unique().to_list()}
    with connection.transaction():
        connection.execute(_INCOMING)
        copy_in(connection, "incoming_contracts", wanted.select(list(CONTRACT_SCHEMA)))
        found = _find(connection, parameters)
        if found["instrument_id"].null_count():
            # Only writers of new instruments queue; a batch of known contracts takes no lock at all.
            connection.execute(WRITERS_QUEUE)
            connection.execute(_INSERT_UNSEEN, parameters)
            found = _find(connection, parameters)
        ids = found.sort("contract_key")["instrument_id"]
        if contracts.filter(_GIVES_TERMS).height:
            connection.execute(CREATE_INCOMING)
            connection.execute(_EVIDENCE, parameters | {"ids": ids.to_list()})
            record_evidence(connection, source=source, precedence=EXCHANGE)
        _record_aliases(connection, contracts, ids, source)
        _record_continuous(connection, wanted, ids, trade_date)
    return ids.head(contracts.height)


def _with_rolled_contracts(contracts: pl.DataFrame) -> pl.DataFrame:
    """Append the future that each continuous contract meant; the alias itself has no expiry."""
    rolled = contracts.filter(pl.col("kind") == "CONT", pl.col("expiry").is_not_null())
    futures = rolled.with_columns(
        contract_key=pl.int_range(pl.len(), dtype=pl.UInt32()) + contracts.height,
        kind=pl.lit("FUT"),
        symbol=pl.col("underlying") + pl.col("expiry").dt.strftime("%d%b%y").str.to_uppercase() + "FUT",
        rank=pl.lit(None, pl.Int16()),
    )
    continuous = pl.col("kind") == "CONT"
    return pl.concat(
        [
            contracts.with_columns(
                expiry=pl.when(~continuous).then("expiry"),
                rolled_key=pl.when(continuous & pl.col("expiry").is_not_null()).then(
                    (continuous & pl.col("expiry").is_not_null()).cum_sum().cast(pl.Int64) - 1 + contracts.height
                ),
            ),
            futures.with_columns(rolled_key=pl.lit(None, pl.Int64())),
        ]
    ).with_columns(pl.col("rolled_key").cast(pl.Int64))


def _find(connection: psycopg.Connection, parameters: dict[str, object]) -> pl.DataFrame:
    rows = connection.execute(_FIND, parameters).fetchall()
    return pl.DataFrame(rows, schema={"contract_key": pl.Int64(), "instrument_id": pl.Int32()}, orient="row")


def _record_aliases(connection: psycopg.Connection, contracts: pl.DataFrame, ids: pl.Series, source: str) -> None:
    connection.execute(
        "INSERT INTO instrument_aliases (source, symbol, instrument_id)"
        " SELECT %s, symbol, instrument_id FROM unnest(%s::text[], %s::integer[]) AS a (symbol, instrument_id)"
        " ON CONFLICT DO NOTHING",
        [source, contracts["symbol"].to_list(), ids.head(contracts.height).to_list()],
    )


def _record_continuous(
    connection: psycopg.Connection, wanted: pl.DataFrame, ids: pl.Series, trade_date: dt.date
) -> None:
    rolled = wanted.filter(pl.col("rolled_key").is_not_null())
    if rolled.is_empty():
        return
    connection.execute(
        "INSERT INTO continuous_contracts AS c (instrument_id, trade_date, contract_id)"
        " SELECT a.instrument_id, %s, a.contract_id"
        " FROM unnest(%s::integer[], %s::integer[]) AS a (instrument_id, contract_id)"
        " ON CONFLICT (instrument_id, trade_date) DO UPDATE SET contract_id = excluded.contract_id"
        " WHERE c.contract_id <> excluded.contract_id",
        [trade_date, ids.gather(rolled["contract_key"]).to_list(), ids.gather(rolled["rolled_key"]).to_list()],
    )
