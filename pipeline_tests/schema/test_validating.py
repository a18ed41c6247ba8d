"""A batch that breaks the contract is refused with the rows that do."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from pipeline_defs.schema.batches import (
    CONTRACT_SCHEMA,
    FILE_SCHEMA,
    OBSERVATION_SCHEMA,
    REJECT_SCHEMA,
    ImportBatch,
)
from pipeline_defs.schema.validating import validate_data

STAMP = dt.datetime(2025, 8, 25, 3, 46, tzinfo=dt.UTC)


def batch(**changed: Any) -> ImportBatch:
    rows = [
        {"contract_key": 0, "timestamp": STAMP + dt.timedelta(minutes=minute), "sequence": 0, "close": Decimal(1),
         "high": Decimal(1), "low": Decimal(1), "volume": 1, "file_index": 0, "line": minute + 2, **changed}
        for minute in range(2)
    ]  # fmt: skip
    return ImportBatch(
        table="spot_prices",
        bar_seconds=60,
        trade_date=STAMP.date(),
        contracts=pl.DataFrame([{"contract_key": 0, "kind": "EQ", "symbol": "X"}], schema=CONTRACT_SCHEMA),
        observations=pl.DataFrame(rows, schema=OBSERVATION_SCHEMA),
        rejects=pl.DataFrame(schema=REJECT_SCHEMA),
        files=pl.DataFrame([{"file_index": 0}], schema=FILE_SCHEMA),
    )


def test_a_good_batch_passes() -> None:
    validate_data(batch())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"close": Decimal(-1)}, "2 rows have a price of zero or below: file 0 line 2, file 0 line 3"),
        ({"close": None}, "2 rows have no timestamp, no close or no line: file 0 line 2"),
        ({"high": Decimal("0.5")}, "a high below the low"),
        ({"volume": -1}, "a quantity below zero"),
        ({"timestamp": STAMP}, "the key of another row"),
        ({"sequence": 1}, "a sequence, though bars have none"),
        ({"contract_key": 7}, "a contract that is not in the batch"),
        ({"file_index": 3}, r"rows of files \[3\], which the batch does not describe"),
    ],
)
def test_rows_that_cannot_be_are_named_by_file_and_line(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate_data(batch(**changed))


def test_frames_of_another_shape_are_named_with_the_column() -> None:
    wrong = batch()
    with pytest.raises(ValueError, match="observations differ from the schema: volume: missing, expected Int64"):
        validate_data(replace(wrong, observations=wrong.observations.drop("volume")))
    with pytest.raises(ValueError, match="files differ from the schema: order of columns"):
        validate_data(replace(wrong, files=wrong.files.select(reversed(wrong.files.columns))))


def test_other_promises_are_held_too() -> None:
    good = batch()
    with pytest.raises(ValueError, match="no table 'prices'"):
        validate_data(replace(good, table="prices"))
    with pytest.raises(ValueError, match="2 rows of a day that is said to be empty"):
        validate_data(replace(good, empty_reason="holiday"))
    with pytest.raises(ValueError, match="contract keys are not 0"):
        validate_data(replace(good, contracts=good.contracts.with_columns(contract_key=pl.lit(4, pl.UInt32()))))
