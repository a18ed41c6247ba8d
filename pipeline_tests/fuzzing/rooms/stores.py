"""Stores that are moved in: folders of CSV files, Parquet files, bcolz tables and SQLite databases of older systems."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import sqlite3
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.migration import csvdir
from pipeline_defs.migration.adjustments import read_adjustments
from pipeline_defs.migration.amounts import LINE, WHEN, Bars
from pipeline_defs.migration.bcolz_daily import read_daily
from pipeline_defs.migration.bcolz_minute import read_layout, read_minutes
from pipeline_defs.migration.blosc_columns import open_column
from pipeline_defs.migration.bundle_databases import read_bundle_database
from pipeline_defs.migration.global_databases import read_global_databases
from pipeline_defs.migration.ingestions import read_symbols
from pipeline_defs.migration.parquet_files import read_parquet
from pipeline_defs.migration.read_only import day, instant
from pipeline_tests.fuzzing.helping import fresh, place
from pipeline_tests.fuzzing.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRICES: Final = ("open", "high", "low", "close")
_DAILY: Final = (
    b"date,open,high,low,close,volume,dividend,split\n2023-03-01,1.5,2,1,1.75,1000,0,1\n"
    b"2023-03-02 00:00:00,1.5,2,1,1.76000000000000000001,1000.0,0.25,2\n"
)
_MINUTES: Final = (
    b"timestamp,open,high,low,close,volume\n2023-03-01T14:31:00Z,1.5,2,1,1.75,1000\n"
    b"2023-03-01 14:32:00+00:00,1.5,2,1,1.75,0\n"
)


def _sum(parts: list[Bars]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Put parts together; a file of a header alone has none."""
    if not parts:
        empty = pl.DataFrame(schema={LINE: pl.UInt32(), WHEN: pl.Date(), **dict.fromkeys(PRICES, pl.Decimal(20, 8))})
        return empty, pl.DataFrame(schema={LINE: pl.UInt32(), "reason": pl.String()})
    return pl.concat(part.rows for part in parts), pl.concat(part.refused for part in parts)


def _csv(*, daily: bool) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        path = place("AAPL.csv", data)
        for decimals in (None, 2):
            rows, refused = _sum(list(csvdir.read_bars(path, "AAPL", daily=daily, decimals=decimals)))
            told = [*rows[LINE], *refused[LINE]]
            assert len(set(told)) == len(told), "a line is told twice"
            lines = data.decode("utf-8", "replace").removesuffix("\n").split("\n")
            if b'"' not in data:
                count = sum(bool(line.strip()) for line in lines[1:])
                assert len(told) >= count, f"{len(told)} of {count} lines"
            assert rows.select(pl.any_horizontal(pl.col(*PRICES, WHEN).is_null().any())).item() in {
                False,
                None,
            }
            if decimals is None and b'"' not in data:
                for line, close in rows.select(LINE, "close").rows():
                    assert any(_is(cell, close) for cell in lines[line - 1].split(",")), f"line {line}: {close}"
        actions, wrong = csvdir.read_actions(path, "AAPL")
        assert all(value > 0 for *_, value in actions)
        assert wrong["reason"].null_count() == 0

    return check


def _is(cell: str, value: Decimal) -> bool:
    try:
        return Decimal(cell.strip()) == value
    except ArithmeticError:
        return False


def _parquet(*, daily: bool) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        path = place("bars.parquet", data)
        for part in read_parquet(path, len(data), daily=daily):
            assert part.rows[WHEN].null_count() == 0

    return check


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("latin-1"))


def _pack(folder: Path) -> bytes:
    """Give a folder as one JSON object, bytes as letters of Latin-1."""
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes().decode("latin-1")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return json.dumps(files).encode()


def _unpack(name: str, data: bytes) -> Path | None:
    """Write the folder that `_pack` gave, with whatever was damaged in it; None where it is no folder any more."""
    folder = fresh(name)
    try:
        files = json.loads(data)
        if not isinstance(files, dict) or not all(isinstance(text, str) for text in files.values()):
            return None
        if any(not _is_plain(path) for path in files):
            return None
        _write(folder, files)
    except (ValueError, OSError, RecursionError):
        return None
    return folder


def _is_plain(path: str) -> bool:
    parts = path.split("/")
    return all(part not in {"", ".", ".."} and len(part) < 100 and part.isprintable() for part in parts)


def _bcolz_daily(data: bytes) -> None:
    folder = _unpack("daily_equities.bcolz", data)
    if folder is not None:
        for part in read_daily(folder):
            assert part.rows[WHEN].null_count() == 0


def _bcolz_minutes(data: bytes) -> None:
    folder = _unpack("minute_equities.bcolz", data)
    if folder is not None:
        read_layout(folder)
        for part in read_minutes(folder, 1):
            assert part.rows[WHEN].null_count() == 0


def _bcolz_column(data: bytes) -> None:
    folder = _unpack("column", data)
    if folder is not None:
        column = open_column(folder)
        values = column.read(0, min(column.length, 10_000))
        assert len(values) == min(column.length, 10_000)


def _tables(path: Path, data: bytes) -> bool:
    """Write a database of a JSON object: table to rows; SQLite keeps any value in any column."""
    try:
        tables = json.loads(data)
        assert isinstance(tables, dict)
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            for table, rows in tables.items():
                names = sorted({name for row in rows for name in row}, key=str)
                columns = ", ".join(f'"{name}"' for name in names)
                connection.execute(f'CREATE TABLE "{table}" ({columns})')
                for row in rows:
                    values = [row.get(name) if _is_kept(row.get(name)) else json.dumps(row.get(name)) for name in names]
                    connection.execute(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(names))})', values)
    except (ValueError, AssertionError, sqlite3.Error, TypeError, AttributeError, RecursionError, OverflowError):
        return False
    return True


def _is_kept(value: object) -> bool:
    return value is None or isinstance(value, str | float | bool) or (isinstance(value, int) and abs(value) < 1 << 63)


def _bundle_database(data: bytes) -> None:
    folder = fresh("bundle")
    if _tables(folder / "metadata.db", data):
        found = read_bundle_database(folder)
        assert all(seconds > 0 for seconds in found.bar_lengths)


def _global_database(data: bytes) -> None:
    root = fresh("root")
    if _tables(root / "assets-9.db", data):
        found = read_global_databases(root)
        assert found.databases or found.notes, "silence"


def _symbols(data: bytes) -> None:
    folder = fresh("ingestion")
    if _tables(folder / "assets-10.sqlite", data):
        assert all(one.symbol for one in read_symbols(folder))


def _adjustments(data: bytes) -> None:
    folder = fresh("adjustments")
    if _tables(folder / "adjustments.sqlite", data):
        actions, _ = read_adjustments(folder, {1: "AAPL", 2: "MSFT"})
        assert actions.filter(pl.col("value") <= 0).is_empty()


def _database_file(data: bytes) -> None:
    folder = place("adjustments.sqlite", data).parent
    read_adjustments(folder, {1: "AAPL"})


def _instant(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    values: list[object] = [text]
    with contextlib.suppress(ValueError, RecursionError):
        values.append(json.loads(text))
    for value in values:
        found = instant(value)
        assert found is None or found.utcoffset() == dt.timedelta()
        assert (day(value) is None) == (found is None)


# What the seeds are made of ------------------------------------------------------------------------------------------


@cache
def _daily_table() -> bytes:
    from pipeline_tests.migration.stores import write_ingestion  # noqa: PLC0415 -- heavy

    place_ = fresh("made-daily")
    write_ingestion(place_, {1: [("2023-03-01", 1500, 2000, 1000, 1750, 100)]}, {1: "AAPL"})
    return _pack(place_ / "daily_equities.bcolz")


@cache
def _minute_table() -> bytes:
    from pipeline_tests.migration.stores import write_minutes  # noqa: PLC0415 -- heavy

    return _pack(write_minutes(fresh("made-minutes"), 1, {0: 1500, 391: 1600}, length=392))


@cache
def _column() -> bytes:
    from pipeline_tests.migration.stores import write_column  # noqa: PLC0415 -- heavy

    folder = fresh("made-column") / "column"
    write_column(folder, [1, 2, 3, 4, 5])
    return _pack(folder)


def _bars(*, daily: bool) -> bytes:
    when = dt.date(2023, 3, 1) if daily else dt.datetime(2023, 3, 1, 14, 31)  # noqa: DTZ001
    name = "date" if daily else "timestamp"
    price = pl.Decimal(18, 8)
    frame = pl.DataFrame(
        {name: [when], "sid": [1], **dict.fromkeys(("open", "high", "low", "close", "volume"), [Decimal("1.5")])},  # noqa: RUF024
        schema_overrides=dict.fromkeys(("open", "high", "low", "close", "volume"), price),
    )
    stream = io.BytesIO()
    frame.write_parquet(stream, compression="uncompressed")
    return stream.getvalue()


def _json(**tables: list[dict[str, Any]]) -> bytes:
    return json.dumps(tables).encode()


def _database() -> bytes:
    path = fresh("made-database") / "adjustments.sqlite"
    _tables(path, _json(splits=[{"sid": 1, "ratio": 0.5, "effective_date": 1677628800}], dividend_payouts=[]))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA page_size = 512")
        connection.execute("VACUUM")
    return path.read_bytes()


_BCOLZ: Final = ("migration.blosc_columns:read_json", "migration.blosc_columns:read", "migration.contents:read_file")
TARGETS: Final = (
    Target(
        name="csvdir-daily",
        reads=("migration.csvdir:read_bars", "migration.csvdir:read_actions"),
        check=_csv(daily=True),
        form="lines",
        seeds=(_DAILY,),
        place="AAPL.csv",
        pays=False,
    ),
    Target(
        name="csvdir-minutes",
        reads=("migration.csvdir:read_bars", "migration.contents:read_file"),
        check=_csv(daily=False),
        form="lines",
        seeds=(_MINUTES,),
        place="AAPL.csv",
        pays=False,
    ),
    Target(
        name="migrated-parquet-days",
        reads=("migration.parquet_files:read_parquet",),
        check=_parquet(daily=True),
        form="binary",
        seeds=(_bars(daily=True),),
        place="bars.parquet",
        pays=False,
    ),
    Target(
        name="migrated-parquet-minutes",
        reads=("migration.parquet_files:read_parquet",),
        check=_parquet(daily=False),
        form="binary",
        seeds=(_bars(daily=False),),
        place="bars.parquet",
        pays=False,
    ),
    Target(
        name="rustybt-daily-bcolz",
        reads=("migration.bcolz_daily:read_daily", *_BCOLZ),
        check=_bcolz_daily,
        form="json",
        seeds=(_daily_table(),),
        place="daily_equities.bcolz",
    ),
    Target(
        name="rustybt-minute-bcolz",
        reads=("migration.bcolz_minute:read_layout", "migration.bcolz_minute:read_minutes"),
        check=_bcolz_minutes,
        form="json",
        seeds=(_minute_table(),),
        place="minute_equities.bcolz",
    ),
    Target(
        name="rustybt-bcolz-column",
        reads=("migration.blosc_columns:read",),
        check=_bcolz_column,
        form="json",
        seeds=(_column(),),
        place="column",
    ),
    Target(
        name="rustybt-bundle-database",
        reads=("migration.bundle_databases:read_bundle_database",),
        check=_bundle_database,
        form="json",
        seeds=(
            _json(
                datasets=[{"dataset_id": 1, "source": "csv", "resolution": "1d", "schema_version": 1}],
                symbols=[
                    {"symbol_id": 1, "dataset_id": 1, "symbol": "AAPL", "asset_type": "equity", "exchange": "NSE"}
                ],
                checksums=[{"id": 1, "dataset_id": 1, "parquet_path": "a\\\\b.parquet", "checksum": "AB"}],
                cache_entries=[{"cache_key": "k", "parquet_path": "a", "checksum": "x", "created_at": 1677628800}],
            ),
        ),
        place="metadata.db",
    ),
    Target(
        name="rustybt-global-database",
        reads=("migration.global_databases:read_global_databases",),
        check=_global_database,
        form="json",
        seeds=(
            _json(
                bundle_metadata=[{"bundle_name": "b", "source_type": "csv", "fetch_timestamp": 1761264000}],
                bundle_symbols=[{"bundle_name": "b", "symbol": "AAPL", "asset_type": "equity", "exchange": "NSE"}],
                data_quality_metrics=[
                    {
                        "bundle_name": "b",
                        "row_count": 10,
                        "start_date": 1677628800,
                        "end_date": "2023-03-31",
                        "missing_days_list": '["2023-03-02"]',
                        "validation_timestamp": 1761264000,
                        "validation_passed": 1,
                    }
                ],
            ),
        ),
        place="assets-9.db",
    ),
    Target(
        name="rustybt-symbols",
        reads=("migration.ingestions:read_symbols",),
        check=_symbols,
        form="json",
        seeds=(
            _json(
                equities=[{"sid": 1, "exchange": "NSE"}],
                asset_router=[{"sid": 1, "asset_type": "equity"}],
                equity_symbol_mappings=[{"id": 1, "sid": 1, "symbol": "AAPL", "start_date": 0, "end_date": 1677628800}],
            ),
        ),
        place="ingestion",
    ),
    Target(
        name="rustybt-adjustments",
        reads=("migration.adjustments:read_adjustments",),
        check=_adjustments,
        form="json",
        seeds=(
            _json(
                splits=[{"sid": 1, "ratio": 0.5, "effective_date": 1677628800}],
                dividend_payouts=[{"sid": 2, "amount": 0.25, "ex_date": 1677628800, "pay_date": 1677715200}],
                mergers=[],
                stock_dividend_payouts=[],
            ),
        ),
        place="adjustments.sqlite",
    ),
    Target(
        name="rustybt-database-file",
        reads=("migration.adjustments:read_adjustments",),
        check=_database_file,
        form="binary",
        seeds=(_database(),),
        place="adjustments.sqlite",
        pays=False,
    ),
    Target(
        name="rustybt-instant",
        reads=("migration.read_only:instant",),
        check=_instant,
        form="text",
        seeds=(b"2023-03-01T00:00:00+00:00", b"1677628800", b"1677628800000000000", b"2023-03-01"),
    ),
)
