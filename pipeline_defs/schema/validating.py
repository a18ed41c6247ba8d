"""Whether a batch is what the contract of sources says: for the tests of adapters, and for whoever writes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import DataError
from pipeline_defs.schema.batches import (
    BATCH_ACTION_SCHEMA,
    CONTRACT_SCHEMA,
    FILE_SCHEMA,
    FRACTIONAL_OBSERVATION_SCHEMA,
    OBSERVATION_SCHEMA,
    REJECT_SCHEMA,
)
from pipeline_defs.schema.columns import SIZE
from pipeline_defs.schema.tables import FRACTIONAL_KINDS, OBSERVATION_TABLES, SIZES, TICK

if TYPE_CHECKING:
    from pipeline_defs.schema.batches import ImportBatch

_KEY: Final = ("contract_key", "timestamp", "sequence")
_PRICES: Final = ("open", "high", "low", "close", "bid_price", "ask_price")
_MAX_SHOWN: Final = 5


def validate_data(batch: ImportBatch) -> None:
    """Hold a batch against the contract.

    Parameters
    ----------
    batch : ImportBatch
        As an adapter gives it.

    Raises
    ------
    DataError
        A `ValueError` that names the first rows that are wrong, by file and line, and what is wrong with them; or the
        frame whose columns differ from its schema.

    """
    where = f"{batch.table} {batch.trade_date}, {batch.bar_seconds} s"
    if batch.table not in OBSERVATION_TABLES:
        raise DataError(f"no table {batch.table!r}", where=where)
    _check_schemas(batch, where)
    if batch.empty_reason is not None and batch.observations.height:
        raise DataError(f"{batch.observations.height} rows of a day that is said to be empty", where=where)
    if batch.contracts["contract_key"].to_list() != list(range(batch.contracts.height)):
        raise DataError("contract keys are not 0..n-1", where=where)
    rows = batch.observations
    whole = batch.contracts.filter(~pl.col("kind").is_in(FRACTIONAL_KINDS))["contract_key"]
    own_prices = pl.all_horizontal((pl.col(name) > 0).fill_null(value=True) for name in _PRICES)
    wrong = {
        "no timestamp, no close or no line": pl.any_horizontal(
            pl.col(name).is_null() for name in ("timestamp", "close", "line", "contract_key")
        ),
        "a contract that is not in the batch": pl.col("contract_key") >= batch.contracts.height,
        "a price of zero or below": ~own_prices,
        "a high below the low": (pl.col("high") < pl.col("low")).fill_null(value=False),
        "a quantity below zero": pl.any_horizontal((pl.col(name) < 0).fill_null(value=False) for name in SIZES),
        "a fraction of a unit, of a kind that counts whole ones": pl.col("contract_key").is_in(whole.implode())
        & pl.any_horizontal((pl.col(name) % 1 != 0).fill_null(value=False) for name in SIZES),
        "the key of another row": pl.struct(_KEY).is_duplicated(),
        "a sequence, though bars have none": (pl.col("sequence") != 0) & (batch.bar_seconds != TICK),
    }
    for what, condition in wrong.items():
        found = rows.filter(condition)
        if found.height:
            lines = ", ".join(
                f"file {file} line {line}" for file, line in found.select("file_index", "line").rows()[:_MAX_SHOWN]
            )
            raise DataError(f"{found.height} rows have {what}: {lines}", where=where)
    spoken = set(rows["file_index"]) | set(batch.rejects["file_index"])
    unknown = spoken - set(batch.files["file_index"])
    if unknown:
        raise DataError(f"rows of files {sorted(unknown)}, which the batch does not describe", where=where)


def _check_schemas(batch: ImportBatch, where: str) -> None:
    # Of shares the market decides, which only the source knows: their batches may be of either schema.
    kinds = set(batch.contracts["kind"])
    is_decimal = "PAIR" in kinds or ("EQ" in kinds and batch.observations.schema.get("volume") == SIZE)
    observed = FRACTIONAL_OBSERVATION_SCHEMA if is_decimal else OBSERVATION_SCHEMA
    frames = {
        "contracts": (batch.contracts, CONTRACT_SCHEMA),
        "observations": (batch.observations, observed if batch.observations.height else None),
        "rejects": (batch.rejects, REJECT_SCHEMA),
        "files": (batch.files, FILE_SCHEMA),
        "actions": (batch.actions, BATCH_ACTION_SCHEMA),
    }
    for name, (frame, schema) in frames.items():
        if frame is None or schema is None or frame.schema == pl.Schema(schema):
            continue
        differing = [
            f"{column}: {frame.schema.get(column, 'missing')}, expected {schema.get(column, 'no such column')}"
            for column in {**schema, **frame.schema}
            if frame.schema.get(column) != schema.get(column)
        ]
        raise DataError(f"{name} differ from the schema: {'; '.join(differing) or 'order of columns'}", where=where)
