"""Shares of which parts are traded: the tables that hold whole volumes are altered in place, and back again."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse.migrations import downgrade, find_drift, upgrade

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

BEFORE, THIS = 14, 20

_FILL = """
INSERT INTO instruments (kind, venue) VALUES ('EQ', 'US'), ('SPOT', 'US');
INSERT INTO instrument_terms (instrument_id, kind, venue, symbol, underlying, currency)
SELECT instrument_id, kind, venue, kind || '-X', 'X', 'USD' FROM instruments;
INSERT INTO loads (source, dataset, trade_date, bar_seconds, status, source_type, source_url, api_version, fetched_at,
                   committed_at, rows_read, rows_stored, rows_unchanged, rows_corrected, rows_retired, rows_quarantined,
                   checksum, code_version)
VALUES ('polygon', 'equity_daily', '2026-03-02', 86400, 'complete', 'api', 'x', '1', now(), now(), 0, 0, 0, 0, 0, 0,
        'x', '1');
"""

_ROWS = """
INSERT INTO {table} ("timestamp", instrument_id, bar_seconds, sequence, source, open, high, low, close, volume, load_id
                     {more})
SELECT '2026-03-02 21:00+00'::timestamptz + {day} * interval '1 day', i.instrument_id, 86400, 0, 'polygon', 1, 1, 1, 1,
       {volume}, l.load_id {values}
FROM instruments AS i CROSS JOIN loads AS l WHERE i.kind = '{kind}'
"""


def run(warehouse: Warehouse, *statements: str) -> None:
    with warehouse.connect(autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def ask(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def rows(table: str, day: int, volume: str, kind: str = "EQ") -> str:
    is_history = table.endswith("_history")
    return _ROWS.format(
        table=table,
        day=day,
        volume=volume,
        kind=kind,
        more=", superseded_by, change" if is_history else "",
        values=", l.load_id, 'corrected'" if is_history else "",
    )


def fill(warehouse: Warehouse) -> None:
    run(warehouse, *_FILL.strip().rstrip(";").split(";\n"))


def volumes(warehouse: Warehouse, table: str) -> list[Any]:
    return [volume for (volume,) in ask(warehouse, f'SELECT volume FROM {table} ORDER BY "timestamp"')]


def test_whole_volumes_become_decimals_without_a_change_and_take_parts_of_a_share(empty_database: Warehouse) -> None:
    upgrade(empty_database, to=BEFORE)
    fill(empty_database)
    run(empty_database, rows("equity_daily", 0, "9007199254740993"), rows("equity_daily_history", 0, "7"))

    upgrade(empty_database)

    run(empty_database, rows("equity_daily", 1, "0.12345678"))
    assert volumes(empty_database, "equity_daily") == [Decimal(9007199254740993), Decimal("0.12345678")]
    assert volumes(empty_database, "equity_daily_history") == [Decimal(7)]
    assert volumes(empty_database, "v_equity_daily") == volumes(empty_database, "equity_daily")
    changed = ask(empty_database, "SELECT field, old, new FROM corrections")
    assert ("volume", "7", "9007199254740993") in changed
    with pytest.raises(Exception, match="equity_daily_quantities"):
        run(empty_database, rows("equity_daily", 2, "-0.5"))


def test_the_way_back_takes_bars_with_parts_of_a_share_and_nothing_else(empty_database: Warehouse) -> None:
    upgrade(empty_database)
    fill(empty_database)
    for table in ("equity_daily", "equity_daily_history", "spot_prices", "spot_prices_history"):
        run(empty_database, rows(table, 0, "500"), rows(table, 1, "500.25"))
    run(empty_database, rows("spot_prices", 2, "0.5", "SPOT"))

    with pytest.raises(WarehouseError, match="loses bars of shares whose volume has a fraction"):
        downgrade(empty_database, BEFORE)
    assert len(volumes(empty_database, "equity_daily")) == 2

    downgrade(empty_database, BEFORE, accept_loss=True)

    assert volumes(empty_database, "equity_daily") == volumes(empty_database, "equity_daily_history") == [500]
    # The table itself has held decimals before, of pairs: only those of shares were new.
    assert volumes(empty_database, "spot_prices") == [500, Decimal("0.5")]
    assert volumes(empty_database, "spot_prices_history") == [500]
    assert ask(
        empty_database, "SELECT DISTINCT data_type FROM information_schema.columns"
        " WHERE table_name LIKE 'equity_daily%' AND column_name = 'volume'",
    ) == [("bigint",)]  # fmt: skip
    upgrade(empty_database)
    with empty_database.connect() as connection:
        assert find_drift(connection).differences == ()


def test_compressed_rows_are_altered_too_and_compression_stays_as_it_was(own_database: Warehouse) -> None:
    fill(own_database)
    run(own_database, rows("equity_daily", 0, "500"), rows("equity_daily", 400, "600"))
    run(own_database, "CALL compress_observations('equity_daily', '2030-01-01')")
    settings = "SELECT to_regclass('timescaledb_information.hypertables') IS NOT NULL"
    enabled = (
        "SELECT compression_enabled FROM timescaledb_information.hypertables WHERE hypertable_name = 'equity_daily'"
    )
    has_hypertables = ask(own_database, settings) == [(True,)]
    before = ask(own_database, enabled) if has_hypertables else []
    run(own_database, "CREATE VIEW of_people AS SELECT volume FROM v_equity_daily")

    for wanted in ("bigint", "numeric"):
        run(own_database, f"SELECT set_type_of_sizes('equity_daily', '{wanted}')")
        assert volumes(own_database, "equity_daily") == [500, 600]
        assert ask(own_database, "SELECT sum(volume), pg_typeof(max(volume))::text FROM of_people") == [(1100, wanted)]
        assert (ask(own_database, enabled) if has_hypertables else []) == before

    run(own_database, "DROP VIEW of_people")
    run(own_database, "CALL compress_observations('equity_daily', '2030-01-01')")
    assert volumes(own_database, "equity_daily") == [500, 600]
