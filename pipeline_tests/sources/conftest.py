"""Small files in the vendors' layouts, and a reader that gives batches by table, resolution and date."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.schema.batches import (
    CONTRACT_SCHEMA,
    FILE_SCHEMA,
    OBSERVATION_SCHEMA,
    REJECT_SCHEMA,
    ImportBatch,
    ImportRequest,
)
from pipeline_defs.sources.nse_csv.adapter import NseCsvSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MINUTE_HEADER = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest"
TICK_HEADER = "Ticker,Date,Time,LTP,BuyPrice,BuyQty,SellPrice,SellQty,LTQ,OpenInterest"
OPTION = "NIFTY28AUG2524500CE.NFO"

type Batches = dict[tuple[str, int, dt.date], ImportBatch]


class Reader:
    """Reads a path and holds what came of it."""

    def __init__(self, source: NseCsvSource, path: Path, **request: Any) -> None:
        batches = list(source.fetch(ImportRequest(path=path, **request)))
        keys = [(batch.table, batch.bar_seconds, batch.trade_date) for batch in batches]
        assert len(set(keys)) == len(keys)
        self.batches: Batches = dict(zip(keys, batches, strict=True))
        for batch in batches:
            _check_contract(batch)

    @property
    def only(self) -> ImportBatch:
        assert len(self.batches) == 1, list(self.batches)
        return next(iter(self.batches.values()))

    def table(self, name: str) -> ImportBatch:
        found = [batch for batch in self.batches.values() if batch.table == name]
        assert len(found) == 1, list(self.batches)
        return found[0]

    @property
    def lines_read(self) -> int:
        """Data lines accounted for: stored, or refused one by one."""
        return sum(
            batch.observations.height + batch.rejects.filter(pl.col("line") > 0).height
            for batch in self.batches.values()
        )

    def reasons(self) -> dict[int, str]:
        """Line to reason, over all batches."""
        found = [row for batch in self.batches.values() for row in batch.rejects.select("line", "reason").iter_rows()]
        assert len(dict(found)) == len(found)
        return dict(found)

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """Observations of the only batch with their contract's symbol."""
        joined = self.only.observations.join(self.only.contracts, on="contract_key", maintain_order="left")
        return joined.select(columns).rows()


def _check_contract(batch: ImportBatch) -> None:
    """What every batch must satisfy, whatever was read."""
    assert batch.observations.schema == pl.Schema(OBSERVATION_SCHEMA)
    assert batch.contracts.schema == pl.Schema(CONTRACT_SCHEMA)
    assert batch.rejects.schema == pl.Schema(REJECT_SCHEMA)
    assert batch.files.schema == pl.Schema(FILE_SCHEMA)
    assert batch.contracts["contract_key"].to_list() == list(range(batch.contracts.height))
    assert set(batch.observations["contract_key"]) == set(range(batch.contracts.height))
    assert not batch.observations.select("contract_key", "timestamp", "sequence").is_duplicated().any()
    spoken = set(batch.observations["file_index"]) | set(batch.rejects["file_index"])
    assert set(batch.files["file_index"]) == spoken
    assert batch.observations.null_count().select("timestamp", "close", "line").row(0) == (0, 0, 0)


@pytest.fixture
def read() -> Callable[..., Reader]:
    def _read(path: Path, source: NseCsvSource | None = None, **request: Any) -> Reader:
        return Reader(source or NseCsvSource(), path, **request)

    return _read


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file below the test's folder; lines are joined, bytes are written as they are."""

    def _write(name: str, *lines: str | bytes, newline: str = "\n", final_newline: bool = True) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if len(lines) == 1 and isinstance(lines[0], bytes):
            path.write_bytes(lines[0])
        else:
            text = newline.join(str(line) for line in lines) + (newline if final_newline else "")
            path.write_bytes(text.encode())
        return path

    return _write


@pytest.fixture
def zipped() -> Callable[[dict[str, bytes | str]], bytes]:
    def _zip(members: dict[str, bytes | str]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    return _zip


@pytest.fixture
def minute_row() -> Callable[..., str]:
    """A good minute row, with any field replaced."""
    good = {
        "ticker": OPTION,
        "date": "20/08/2025",
        "time": "09:15:59",
        "open": "100.5",
        "high": "101",
        "low": "99.95",
        "close": "100.05",
        "volume": "750",
        "oi": "1500",
    }

    def _row(**changed: str) -> str:
        assert set(changed) <= set(good)
        return ",".join((good | changed).values())

    return _row


@pytest.fixture
def tick_row() -> Callable[..., str]:
    """A good tick row, with any field replaced."""
    good = {
        "ticker": OPTION,
        "date": "20/08/2025",
        "time": "09:15:01",
        "ltp": "100.5",
        "bid": "100.45",
        "bid_size": "75",
        "ask": "100.55",
        "ask_size": "150",
        "ltq": "75",
        "oi": "0",
    }

    def _row(**changed: str) -> str:
        assert set(changed) <= set(good)
        return ",".join((good | changed).values())

    return _row
