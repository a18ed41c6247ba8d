"""Many days stored at once are what the same days stored one by one are."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.schema.batches import (
    BATCH_ACTION_SCHEMA,
    CONTRACT_SCHEMA,
    FILE_SCHEMA,
    OBSERVATION_SCHEMA,
    REJECT_SCHEMA,
    ImportRequest,
    SourceMetadata,
)
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.schema.day_batches import DAY_COLUMN, DayBatch
from pipeline_defs.schema.validating import validate_data
from pipeline_defs.warehouse.faults import PersistentConnection
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.loading_days import import_days
from pipeline_tests.warehouse.deliveries import StubSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.connection import Warehouse

    type Ask = Callable[..., list[tuple[Any, ...]]]

DAYS = [dt.date(2023, 1, day) for day in (2, 3, 4)]


def share(key: int, symbol: str) -> dict[str, Any]:
    terms = {"contract_key": key, "kind": "EQ", "symbol": symbol, "underlying": symbol, "series": "EQ"}
    return {**dict.fromkeys(CONTRACT_SCHEMA), **terms, "venue": "NSE", "currency": "INR"}


def batch_of(rows: list[tuple[int, dt.date, str]], refused: list[tuple[int, int, dt.date, str]] = []) -> DayBatch:  # noqa: B006
    """Make bars of (contract, day, close), and refused lines of (file, line, day, reason)."""
    observations = pl.DataFrame(
        [
            {
                **dict.fromkeys(OBSERVATION_SCHEMA),
                "contract_key": key,
                "timestamp": dt.datetime.combine(day, dt.time(10), dt.UTC),
                "sequence": 0,
                **dict.fromkeys(("open", "high", "low", "close"), Decimal(close)),
                "volume": 7,
                "file_index": key % 2,
                "line": line,
                DAY_COLUMN: day,
            }
            for line, (key, day, close) in enumerate(rows, start=1)
        ],
        schema={**OBSERVATION_SCHEMA, DAY_COLUMN: pl.Date()},
        orient="row",
    )
    rejects = [(file, line, reason, "x\x00y", day) for file, line, day, reason in refused]
    files = [(index, f"/a/{index}", None, f"a/{index}", f"{index}" * 4, 9, "csv") for index in range(2)]
    return DayBatch(
        table="equity_daily",
        bar_seconds=86_400,
        timezone="Asia/Kolkata",
        contracts=pl.DataFrame([share(0, "TCS"), share(1, "INFY")], schema=CONTRACT_SCHEMA, orient="row"),
        observations=observations,
        rejects=pl.DataFrame(rejects, schema={**REJECT_SCHEMA, DAY_COLUMN: pl.Date()}, orient="row"),
        files=pl.DataFrame(files, schema=FILE_SCHEMA, orient="row"),
        digest="digest",
        parts=dict.fromkeys([*DAYS, dt.date(2023, 1, 7)], 1),
        actions=pl.DataFrame(schema=BATCH_ACTION_SCHEMA),
    )


SAME = (
    """SELECT "timestamp", instrument_id, o.bar_seconds, sequence, open, high, low, close, volume, trade_date
       FROM equity_daily AS o JOIN loads AS l USING (load_id) WHERE l.source = %s ORDER BY 1, 2""",
    """SELECT trade_date, dataset, bar_seconds, underlying, status, rows_read, rows_stored, rows_quarantined, checksum,
              message, delivery_digest, delivery_parts, committed_at < 'infinity'
       FROM loads WHERE source = %s ORDER BY 1""",
    """SELECT trade_date, file_index, path, member, logical_name, sha256, size_bytes, layout
       FROM load_files JOIN loads USING (load_id) WHERE source = %s ORDER BY 1, 2""",
    """SELECT trade_date, instrument_id, file_index FROM load_instruments JOIN loads USING (load_id)
       WHERE source = %s ORDER BY 1, 2, 3""",
    """SELECT trade_date, file_index, line, reason, text FROM quarantine JOIN loads USING (load_id)
       WHERE source = %s ORDER BY 1, 2, 3""",
    """SELECT a.instrument_id, ex_date, kind, value, trade_date
       FROM corporate_actions AS a JOIN loads USING (load_id) WHERE a.source = %s""",
    """SELECT symbol, instrument_id FROM instrument_aliases WHERE source = %s ORDER BY 1""",
)
"""What an import leaves, by its source."""

FULL = batch_of(
    [(key, day, f"10{number}.05") for key in (0, 1) for number, day in enumerate(DAYS) if (key, number) != (1, 1)],
    [(0, 90, DAYS[1], "high_below_low"), (1, 91, dt.date(2023, 1, 7), "not_a_session")],
)


def metadata(name: str) -> SourceMetadata:
    return SourceMetadata(name, "file", "folder", "1", supports_live=False)


@pytest.fixture
def load_days(warehouse: Warehouse) -> Callable[..., int]:
    """Import days at once."""

    def run(batch: DayBatch, source: str = "together") -> int:
        with PersistentConnection(warehouse) as connection:
            return import_days(connection, metadata(source), batch)

    return run


def test_days_at_once_and_one_by_one_leave_the_same(
    warehouse: Warehouse, load_days: Callable[..., int], ask: Ask
) -> None:
    actions = pl.DataFrame([(1, DAYS[2], "split", Decimal(2))], schema=BATCH_ACTION_SCHEMA, orient="row")
    full = replace(FULL, actions=actions)
    for batch in full.batches():
        validate_data(batch)

    assert load_days(full) == 5
    list(import_source(warehouse, StubSource(*full.batches(), name="apart"), ImportRequest()))

    for query in SAME:
        together = ask(query, "together")
        assert together == ask(query, "apart"), query
        assert together, query


def test_a_day_that_has_rows_is_refused_and_nothing_stored(load_days: Callable[..., int], ask: Ask) -> None:
    load_days(FULL.only(DAYS[2:]))

    with pytest.raises(WarehouseError, match="2023-01-04 has rows already"):
        load_days(FULL)
    assert ask("SELECT count(*) FROM loads") == [(1,)]


def test_a_row_of_another_day_is_refused(load_days: Callable[..., int]) -> None:
    wrong = FULL.observations.with_columns(pl.col("timestamp") + dt.timedelta(hours=9))

    with pytest.raises(WarehouseError, match="5 observations lie outside their trade date"):
        load_days(replace(FULL, observations=wrong))


def test_parts_of_a_share_are_refused_where_whole_ones_are_counted(load_days: Callable[..., int]) -> None:
    parts = FULL.observations.with_columns(volume=pl.lit(Decimal("1.5"), PRICE))

    with pytest.raises(WarehouseError, match="such as TCS"):
        load_days(replace(FULL, observations=parts))


def test_options_are_not_taken_together(load_days: Callable[..., int]) -> None:
    with pytest.raises(WarehouseError, match="day by day"):
        load_days(replace(FULL, table="options_ticks"))


def test_nothing_to_store_is_nothing_done(load_days: Callable[..., int], ask: Ask) -> None:
    assert load_days(batch_of([])) == 0
    assert ask("SELECT count(*) FROM loads") == [(0,)]


def test_days_that_retention_deleted_are_refused(load_days: Callable[..., int], ask: Ask, warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("INSERT INTO dropped_observations VALUES ('equity_daily', '2024-01-01')")

    with pytest.raises(WarehouseError, match="retention has deleted equity_daily before 2024-01-01"):
        load_days(FULL)
    assert ask("SELECT count(*) FROM loads") == [(0,)]


def test_an_action_of_a_day_without_rows_is_told_by_the_load_before_it(load_days: Callable[..., int], ask: Ask) -> None:
    dates = [dt.date(2022, 12, 30), dt.date(2023, 1, 8)]
    actions = [(0, day, "dividend", Decimal("1.5")) for day in dates]
    load_days(replace(FULL, actions=pl.DataFrame(actions, schema=BATCH_ACTION_SCHEMA, orient="row")))

    assert ask("SELECT ex_date, trade_date FROM corporate_actions JOIN loads USING (load_id) ORDER BY 1") == [
        (dates[0], DAYS[0]),
        (dates[1], dt.date(2023, 1, 7)),
    ]


def test_a_name_that_changes_its_meaning_within_the_days_is_told_apart(
    load_days: Callable[..., int], ask: Ask, warehouse: Warehouse
) -> None:
    load_days(FULL, "first")
    with warehouse.connect() as connection:
        connection.execute("UPDATE instrument_terms SET valid_to = '2023-01-04' WHERE underlying = 'TCS'")

    assert load_days(FULL, "second") == 5
    assert ask(
        "SELECT trade_date, o.instrument_id <= 2 FROM equity_daily AS o JOIN loads AS l USING (load_id)"
        " WHERE l.source = 'second' ORDER BY 1, 2"
    ) == [(DAYS[0], True), (DAYS[0], True), (DAYS[1], True), (DAYS[2], False), (DAYS[2], True)]
