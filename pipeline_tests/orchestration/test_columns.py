from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_defs.orchestration.assets.bars import BAR_TABLES
from pipeline_defs.orchestration.assets.sources import TABLES
from pipeline_defs.orchestration.columns import BAR_SCHEMA, observation_schema
from pipeline_defs.schema.tables import OBSERVATION_COLUMNS, OBSERVATION_TABLES

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse


def test_column_schemas_are_those_of_the_described_tables() -> None:
    shown = [
        (column.name, column.type, column.description, column.constraints.nullable)
        for column in observation_schema().columns
    ]

    assert shown == [(column.name, column.sql, column.meaning, column.nullable) for column in OBSERVATION_COLUMNS]


def test_every_observation_table_is_an_asset() -> None:
    assert list(TABLES) == list(OBSERVATION_TABLES)


@pytest.mark.parametrize("table", list(BAR_TABLES))
def test_the_bar_schema_is_that_of_the_database(table: str, warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        found = connection.execute(
            "SELECT column_name, data_type, is_nullable = 'YES' FROM information_schema.columns"
            " WHERE table_name = %s ORDER BY ordinal_position",
            [table],
        ).fetchall()

    assert [(column.name, column.type, column.constraints.nullable) for column in BAR_SCHEMA.columns] == found
