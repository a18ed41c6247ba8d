"""Small files of one's own, and a reader that checks what every batch must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline_defs.schema.batches import (
    CONTRACT_SCHEMA,
    FILE_SCHEMA,
    FRACTIONAL_OBSERVATION_SCHEMA,
    OBSERVATION_SCHEMA,
    REJECT_SCHEMA,
    ImportBatch,
    ImportRequest,
)
from pipeline_defs.sources.manual_csv.adapter import ManualCsvSource

if TYPE_CHECKING:
    from pathlib import Path

HEADER = (
    "timestamp,kind,symbol,underlying,expiry,strike,option_type,venue,currency,bar_seconds,"
    "open,high,low,close,volume,open_interest"
)
"""A plain file of minute bars of options."""

OPTION = "OPT,NIFTY14AUG2524500CE,NIFTY,2025-08-14,24500,CE,NSE,INR,60"
ROW = f"2025-08-13T03:46:00Z,{OPTION},93.05,94,92.5,93.1,750,1500"

MAPPING = """
stamp = "open"
zone = "Asia/Kolkata"
format = "%d/%m/%Y %H:%M"

[columns]
timestamp = ["Date", "Time"]
open = "O"
high = "H"
low = "L"
close = "C"
volume = "Vol"

[fixed]
kind = "EQ"
symbol = "RELIANCE"
underlying = "RELIANCE"
series = "EQ"
venue = "NSE"
currency = "INR"
bar_seconds = 60
"""
OWN_HEADER = "Date,Time,O,H,L,C,Vol,Remark"
OWN_ROW = "13/08/2025,09:15,1400.5,1402,1400,1401.25,1200,first"


def write(path: Path, *lines: str, end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + end).encode())
    return path


def read(path: Path, *, source: ManualCsvSource | None = None, **request: Any) -> list[ImportBatch]:
    """Read a path; every batch keeps what the port promises."""
    batches = list((source or ManualCsvSource()).fetch(ImportRequest(path=path, **request)))
    for batch in batches:
        is_pair = set(batch.contracts["kind"]) == {"PAIR"}
        assert batch.timezone == ("UTC" if is_pair else "Asia/Kolkata")
        assert dict(batch.contracts.schema) == CONTRACT_SCHEMA
        has_parts = is_pair or "USD" in set(batch.contracts["currency"])
        assert dict(batch.observations.schema) == (FRACTIONAL_OBSERVATION_SCHEMA if has_parts else OBSERVATION_SCHEMA)
        assert dict(batch.rejects.schema) == REJECT_SCHEMA
        assert dict(batch.files.schema) == FILE_SCHEMA
        assert batch.contracts["contract_key"].to_list() == list(range(batch.contracts.height))
        assert set(batch.observations["contract_key"]) == set(batch.contracts["contract_key"])
        key = ["contract_key", "timestamp", "sequence"]
        assert batch.observations.sort(key).equals(batch.observations)
        assert batch.observations.select(pl.struct(key).is_unique().all()).item()
        spoken = {*batch.observations["file_index"], *batch.rejects["file_index"]}
        assert batch.empty_reason is not None or spoken == set(batch.files["file_index"])
        assert batch.observations["close"].null_count() == 0
    return batches


def only(path: Path, **request: Any) -> ImportBatch:
    (batch,) = read(path, **request)
    return batch


def refused(batches: list[ImportBatch]) -> list[tuple[int, str, str]]:
    """Line, reason and text of every refused line."""
    rejects = pl.concat(batch.rejects for batch in batches)
    return rejects.sort("line").select("line", "reason", "text").rows()


def finding(batch: ImportBatch, check: str) -> Any:
    return next(one for one in batch.findings if one.check == check)
