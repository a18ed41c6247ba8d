"""Old stores of one's own, written as the old systems wrote them; and the real ones, where they lie beside us."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sqlite3
import struct
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import blosc2
import numpy as np
import polars as pl
import pytest

from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

REAL: Final = PROJECT_ROOT.parent / "shared/data/rustybt-legacy"

needs_real_stores = pytest.mark.skipif(
    not REAL.is_dir(), reason=f"the stores that rustybt itself wrote are not in {REAL}; they are no part of the project"
)

VALUE: Final = pl.Decimal(18, 8)
DAILY: Final[dict[str, Any]] = {
    "date": pl.Date,
    "sid": pl.Int64,
    **dict.fromkeys(("open", "high", "low", "close", "volume"), VALUE),
}
MINUTE: Final[dict[str, Any]] = {
    "timestamp": pl.Datetime("us"),
    **{name: dtype for name, dtype in DAILY.items() if name != "date"},
}

_BUNDLES: Final = """
CREATE TABLE bundle_metadata (id INTEGER PRIMARY KEY, bundle_name TEXT UNIQUE, source_type TEXT, source_url TEXT,
  api_version TEXT, fetch_timestamp INTEGER, data_version TEXT, timezone TEXT, row_count INTEGER, start_date INTEGER,
  end_date INTEGER, missing_days_count INTEGER, missing_days_list TEXT, outlier_count INTEGER, ohlcv_violations INTEGER,
  validation_passed BOOLEAN, validation_timestamp INTEGER, file_checksum TEXT, file_size_bytes INTEGER, checksum TEXT);
CREATE TABLE bundle_symbols (id INTEGER PRIMARY KEY, bundle_name TEXT, symbol TEXT, asset_type TEXT, exchange TEXT);
CREATE TABLE bundle_cache (id INTEGER PRIMARY KEY, cache_key TEXT, bundle_name TEXT, bundle_path TEXT, symbols TEXT,
  start TEXT, "end" TEXT, frequency TEXT, fetch_timestamp INTEGER, size_bytes INTEGER, row_count INTEGER);
"""
_BUNDLES_8: Final = """
CREATE TABLE bundle_metadata (id INTEGER PRIMARY KEY, bundle_name TEXT UNIQUE, source_type TEXT, source_url TEXT,
  api_version TEXT, fetch_timestamp INTEGER, data_version TEXT, checksum TEXT NOT NULL, timezone TEXT,
  created_at INTEGER, updated_at INTEGER);
CREATE TABLE data_quality_metrics (id INTEGER PRIMARY KEY, bundle_name TEXT, row_count INTEGER, start_date INTEGER,
  end_date INTEGER, missing_days_count INTEGER, missing_days_list TEXT, outlier_count INTEGER, ohlcv_violations INTEGER,
  validation_timestamp INTEGER, validation_passed BOOLEAN);
"""
_IN_BUNDLE: Final = """
CREATE TABLE datasets (dataset_id INTEGER PRIMARY KEY, source TEXT, resolution TEXT, schema_version INTEGER);
CREATE TABLE symbols (symbol_id INTEGER PRIMARY KEY, dataset_id INTEGER, symbol TEXT, asset_type TEXT, exchange TEXT);
CREATE TABLE checksums (id INTEGER PRIMARY KEY, dataset_id INTEGER, parquet_path TEXT, checksum TEXT);
CREATE TABLE cache_entries (cache_key TEXT PRIMARY KEY, dataset_id INTEGER, parquet_path TEXT, checksum TEXT,
  created_at INTEGER, size_bytes INTEGER);
"""


def epoch(day: str) -> int:
    return int(dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC).timestamp())


def execute(path: Path, script: str = "", rows: Iterable[tuple[str, dict[str, Any]]] = ()) -> None:
    """Run a script, then insert rows by table and column."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(script)
        for table, row in rows:
            names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))


def global_database(root: Path, era: int, *rows: tuple[str, dict[str, Any]]) -> Path:
    path = root / f"assets-{era}.db"
    execute(path, "" if path.exists() else _BUNDLES_8 if era == 8 else _BUNDLES, rows)
    return path


def bundle_database(folder: Path, *rows: tuple[str, dict[str, Any]]) -> Path:
    path = folder / "metadata.db"
    execute(path, "" if path.exists() else _IN_BUNDLE, rows)
    return path


def bundle_row(name: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "bundle_metadata", {"bundle_name": name, "source_type": "csv", "fetch_timestamp": epoch("2025-10-24")} | more


def symbol_rows(name: str, *symbols: str, exchange: str | None = "NSE") -> list[tuple[str, dict[str, Any]]]:
    return [
        ("bundle_symbols", {"bundle_name": name, "symbol": one, "asset_type": "equity", "exchange": exchange})
        for one in symbols
    ]


def bars(*sids: int | str, first: str = "2023-03-01", count: int = 3, price: str = "100.25") -> pl.DataFrame:
    """Make daily bars of some numbers (or symbols, for a cache): one after the other, as the old system sorts them."""
    days = [dt.date.fromisoformat(first) + dt.timedelta(days=place) for place in range(count)]
    values = [Decimal(price) + place for place in range(len(sids))]
    rows = [
        (day, sid, value, value + 1, value - 1, value, Decimal(1000))
        for sid, value in zip(sids, values, strict=True)
        for day in days
    ]
    schema = DAILY if isinstance(sids[0], int) else {**DAILY, "sid": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def write_daily(folder: Path, frame: pl.DataFrame, *, where: str = "year=2023/month=3") -> tuple[str, str]:
    """Write a file of daily bars, and give its path below the bundle and its checksum."""
    return write_parquet(folder, f"daily_bars/{where}/data.parquet", frame)


def write_parquet(folder: Path, path: str, frame: pl.DataFrame) -> tuple[str, str]:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(folder / path, compression="zstd")
    return path, hashlib.sha256((folder / path).read_bytes()).hexdigest()


def write_column(folder: Path, values: Sequence[int], dtype: str = "uint32", chunk_length: int = 4) -> None:
    """Write a column as bcolz does: chunks of some values, each a Blosc buffer after 16 bytes."""
    (folder / "meta").mkdir(parents=True)
    (folder / "data").mkdir()
    array = np.asarray(values, dtype=f"<{np.dtype(dtype).str[1:]}")
    (folder / "meta/sizes").write_text(json.dumps({"shape": [len(array)], "nbytes": array.nbytes, "cbytes": 1}))
    (folder / "meta/storage").write_text(json.dumps({"dtype": dtype, "chunklen": chunk_length, "dflt": 0}))
    for number, start in enumerate(range(0, len(array), chunk_length)):
        write_chunk(folder / f"data/__{number}.blp", array[start : start + chunk_length].tobytes(), array.itemsize)


def write_chunk(path: Path, raw: bytes, typesize: int = 4) -> None:
    head = b"blpk" + struct.pack("<BBBBq", 1, 0, 0, 0, 1)
    path.write_bytes(head + blosc2.compress(raw, typesize, clevel=5, codec=blosc2.Codec.LZ4))


def write_ingestion(
    place: Path,
    daily: dict[int, list[tuple[str, int, int, int, int, int]]],
    symbols: dict[int, str],
    *,
    exchange: str = "CSVDIR",
    calendar: str = "XNYS",
) -> None:
    """Write an ingestion: by number, rows of a day, open, high, low and close in thousandths, and volume."""
    rows = [(epoch(row[0]), *row[1:], sid) for sid, of_sid in daily.items() for row in of_sid]
    table = place / "daily_equities.bcolz"
    names = ("day", "open", "high", "low", "close", "volume", "id")
    for name, values in zip(names, zip(*rows, strict=True), strict=True):
        write_column(table / name, values)
    first, last, at = {}, {}, 0
    for sid, of_sid in daily.items():
        first[str(sid)], last[str(sid)] = at, at + len(of_sid) - 1
        at += len(of_sid)
    told = {"first_row": first, "last_row": last, "calendar_name": calendar}
    (table / "__attrs__").write_text(json.dumps(told))
    write_symbols(place, symbols, exchange=exchange)


def write_minutes(place: Path, sid: int, places: dict[int, int], *, length: int = 780, **more: Any) -> Path:
    """Write minute bars of a number over two sessions: by place, one value for all prices and the volume."""
    folder = place / "minute_equities.bcolz"
    values = [places.get(number, 0) for number in range(length)]
    for name in ("open", "high", "low", "close", "volume"):
        write_column(folder / f"00/00/{sid:06}.bcolz" / name, values, chunk_length=100)
    told = {
        "version": 3,
        "ohlc_ratio": 1000,
        "ohlc_ratios_per_sid": None,
        "minutes_per_day": 390,
        "calendar_name": "XNYS",
        "start_session": "2023-07-03",
        "end_session": "2023-07-05",
    }
    (folder / "metadata.json").write_text(json.dumps(told | more))
    return folder


def write_symbols(place: Path, symbols: dict[int, str], *, exchange: str = "CSVDIR", version: int = 10) -> None:
    execute(
        place / f"assets-{version}.sqlite",
        "CREATE TABLE equities (sid BIGINT, exchange TEXT); CREATE TABLE asset_router (sid BIGINT, asset_type TEXT);"
        "CREATE TABLE equity_symbol_mappings (id BIGINT, sid BIGINT, symbol TEXT, start_date BIGINT, end_date BIGINT);",
        [
            row
            for sid, symbol in symbols.items()
            for row in (
                ("equities", {"sid": sid, "exchange": exchange}),
                ("asset_router", {"sid": sid, "asset_type": "equity"}),
                ("equity_symbol_mappings", {"sid": sid, "symbol": symbol, "end_date": epoch("2023-12-29") * 10**9}),
            )
        ],
    )


def write_adjustments(place: Path, *rows: tuple[str, dict[str, Any]]) -> None:
    execute(
        place / "adjustments.sqlite",
        "CREATE TABLE splits (sid INTEGER, ratio REAL, effective_date INTEGER);"
        "CREATE TABLE mergers (sid INTEGER, ratio REAL, effective_date INTEGER);"
        "CREATE TABLE dividend_payouts (sid INTEGER, amount REAL, ex_date INTEGER, pay_date INTEGER);"
        "CREATE TABLE dividends (sid INTEGER, ratio REAL, effective_date INTEGER);",
        rows,
    )


def state_of(folder: Path) -> dict[str, tuple[int, str]]:
    """Time of the last change and hash of all files and folders below one: equal as long as nothing wrote there."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in [folder, *sorted(folder.rglob("*"))]
    }
