"""Which files a slice becomes, what stands in them, and which slices are refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.generic.build import build_files
from pipeline_defs.exports.generic.writing import ROW_GROUP
from pipeline_defs.exports.manifest import read_manifest
from pipeline_defs.schema.exports import BAR_SCHEMA, TickSlice
from pipeline_defs.schema.tables import MEASUREMENT_COLUMNS
from pipeline_tests.exports.generic.conftest import FORMATS, Exports
from pipeline_tests.exports.generic.slices import (
    INSTRUMENTS,
    SESSIONS,
    close_of,
    described,
    in_halves,
    instrument,
    market_of,
    minutes,
    nifty_bars,
    nifty_slice,
    nifty_ticks,
    open_of,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline_defs.schema.exports import MarketSlice

type BuiltFiles = Callable[[str, MarketSlice], Path]

NAMES = ("actions", "bars_1m", "bars_5m", "instruments", "sessions", "settlements", "term_periods", "ticks")


def lines(folder: Path, name: str) -> list[str]:
    text = (folder / name).read_text(encoding="utf-8")
    assert text.endswith("\n")
    return text.splitlines()


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_slice_becomes_a_file_for_each_resolution_and_small_ones_beside(exports: Exports, file_format: str) -> None:
    found = sorted(path.name for path in exports.of(file_format).path.iterdir())

    assert found == sorted(["_manifest.json", "schema.json", *(f"{name}.{file_format}" for name in NAMES)])


def test_a_line_of_csv_is_utc_exact_and_names_its_contract(exports: Exports) -> None:
    folder = exports.of("csv").path

    header, first, *_ = lines(folder, "bars_1m.csv")
    assert header == (
        "timestamp,instrument_id,symbol,kind,underlying,expiry,strike,option_type,series,venue,currency,base_currency,"
        "bar_seconds,open,high,low,close,volume,open_interest"
    )
    assert (
        first
        == "2025-08-13T03:46:00Z,1,NIFTY 50.NSE_IDX,SPOT,NIFTY,,,,,NSE,INR,,60,24580.35,24580.35,24580.35,24580.35,0,"
    )
    put = [line for line in lines(folder, "bars_1m.csv") if "24650.5PE" in line][1]
    assert put == (
        "2025-08-13T03:47:00Z,11,NIFTY14AUG2524650.5PE.NFO,OPT,NIFTY,2025-08-14,24650.5,PE,,NSE,INR,,60,"
        "0.00000001,0.00000022,0.00000001,0.00000022,75,"
    )


def test_ticks_keep_their_order_their_microseconds_and_each_side_of_the_quote(exports: Exports) -> None:
    future = "NIFTY28AUG25F.NFO,FUT,NIFTY,2025-08-28,,,,NSE,INR,,0"
    option = '"only, ""ticks""",OPT,NIFTY,2025-08-28,25000,CE,,NSE,INR,,0'
    assert lines(exports.of("csv").path, "ticks.csv")[1:] == [
        f"2025-08-13T03:45:00Z,2,{future},0,24600.05,75,1500,24600,75,24600.1,150",
        f"2025-08-13T03:45:00Z,2,{future},1,24600.1,0,1500,,,24600.15,75",
        f"2025-08-13T03:45:01.000250Z,20,{option},0,12.35,150,,12.3,75,,",
        f"2025-08-14T10:00:00Z,20,{option},0,123456789012.12345678,75,0,,,,",
    ]


@pytest.mark.parametrize("file_format", FORMATS)
def test_each_row_has_the_terms_of_its_own_trade_date(exports: Exports, file_format: str) -> None:
    folder = exports.of(file_format).path
    read = pl.read_csv if file_format == "csv" else pl.read_parquet
    bars = read(folder / f"bars_1m.{file_format}").filter(pl.col("instrument_id") == 2)
    by_day = bars.group_by(pl.col("timestamp").cast(pl.String).str.head(10), maintain_order=True).agg(
        pl.col("symbol").unique()
    )

    assert by_day.rows() == [("2025-08-13", ["NIFTY28AUG25F.NFO"]), ("2025-08-14", ["NIFTY28AUG25FUT.NFO"])]
    periods = read(folder / f"term_periods.{file_format}").filter(pl.col("instrument_id") == 2)
    # Cut to the slice, so that what happens later changes no byte.
    assert [str(day) for day in periods["valid_from"]] == ["2025-08-13", "2025-08-14"]
    assert [str(day) for day in periods["valid_to"]] == ["2025-08-14", "2025-08-15"]
    assert periods["lot_size"].to_list() == [50, 75]
    assert read_manifest(folder)["details"]["notes"] == [
        (
            "the terms of 1 instruments change within the export: each row has those of its own trade date, "
            f"instruments.{file_format} those of the last row, term_periods.{file_format} all by date"
        ),
        "the lot size of 1 contracts is not known and is empty",
    ]


def test_parquet_holds_decimals_utc_instants_and_no_foreign_metadata(exports: Exports) -> None:
    file = pq.ParquetFile(exports.of("parquet").path / "bars_1m.parquet")

    types = {field.name: str(field.type) for field in file.schema_arrow}
    assert types["open"] == "decimal128(20, 8)"
    assert types["timestamp"] == "timestamp[us, tz=UTC]"
    assert types["expiry"] == "date32[day]"
    assert types["volume"] == "int64"
    assert types["symbol"] == "string"
    assert file.metadata.metadata is None


def test_a_market_that_trades_fractions_has_decimal_volumes_and_its_own_zone(exports: Exports) -> None:
    folder = exports.of("csv", "pair").path

    assert lines(folder, "bars_1h.csv")[1] == (
        "2018-05-01T01:00:00Z,5,BTC/USDT,PAIR,BTCUSDT,,,,,BINANCE,USDT,BTC,3600,9246.01,9246.01,9246.01,9246.01,9246.01000001,"
    )
    described_files = json.loads((folder / "schema.json").read_text())
    assert described_files["partition"]["timezone"] == "UTC"
    types = {column["name"]: column["type"] for column in described_files["files"][0]["columns"]}
    assert types["volume"] == "decimal(28, 8)"
    assert pq.read_schema(exports.of("parquet", "pair").path / "bars_1h.parquet").field("volume").type.scale == 8


def test_stored_daily_bars_carry_the_settlement_as_the_warehouse_keeps_it(exports: Exports) -> None:
    rows = [line.split(",") for line in lines(exports.of("csv", "daily").path, "bars_1d.csv")]

    assert rows[0][-1] == "settlement_price"
    settled = {(row[0], row[1]): row[-1] for row in rows[1:] if row[-1]}
    # Of an option its underlying's, of a future its own.
    assert settled == {("2025-08-14T10:00:00Z", "2"): "24632.4", ("2025-08-14T10:00:00Z", "10"): "24631.05"}


def test_the_sidecar_describes_every_file_from_the_schema(exports: Exports) -> None:
    content = json.loads((exports.of("csv").path / "schema.json").read_text(encoding="utf-8"))

    files = {entry["path"]: entry for entry in content["files"]}
    assert list(files) == [
        *("bars_1m.csv", "bars_5m.csv", "ticks.csv", "instruments.csv", "term_periods.csv", "sessions.csv"),
        *("settlements.csv", "actions.csv"),
    ]
    minute, five = files["bars_1m.csv"], files["bars_5m.csv"]
    assert (minute["rows"], minute["bar_seconds"], minute["derived_from"]) == (240, 60, None)
    assert (five["rows"], five["bar_seconds"], five["derived_from"]) == (48, 300, "bars_1m.csv")
    assert minute["tables"] == {"FUT": "futures_ticks", "OPT": "options_ticks", "SPOT": "spot_prices"}
    assert (minute["first_timestamp"], minute["last_timestamp"]) == ("2025-08-13T03:46:00Z", "2025-08-14T04:15:00Z")
    meanings = {column["name"]: column["meaning"] for column in minute["columns"]}
    assert meanings["volume"] == next(column.meaning for column in MEASUREMENT_COLUMNS if column.name == "volume")
    assert lines(exports.of("csv").path, "bars_1m.csv")[0] == ",".join(meanings)
    assert content["partition"] == {
        "underlying": "NIFTY",
        "start_date": "2025-08-13",
        "end_date": "2025-08-14",
        "timezone": "Asia/Kolkata",
    }


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_bytes_depend_on_the_rows_not_on_how_they_were_cut_into_frames(
    exports: Exports, built_files: BuiltFiles, file_format: str
) -> None:
    market = nifty_slice()
    whole = pl.concat(market.read_bars())

    def one_by_one(instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        assert instrument_ids is None
        yield whole.clear()
        yield from whole.partition_by("instrument_id", maintain_order=True)

    folder = built_files(file_format, dataclasses.replace(market, read_bars=one_by_one, load_ids=(99,)))

    for path in folder.iterdir():
        assert path.read_bytes() == (exports.of(file_format).path / path.name).read_bytes(), path.name


def test_row_groups_have_one_size_whatever_the_frames(built_files: BuiltFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline_defs.exports.generic.writing.ROW_GROUP", 50)
    assert ROW_GROUP > 100_000

    file = pq.ParquetFile(built_files("parquet", nifty_slice()) / "bars_1m.parquet")

    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [50, 50, 50, 50, 40]


def test_what_was_built_is_told_by_instrument_and_resolution(tmp_path: Path) -> None:
    built = build_files(nifty_slice(), tmp_path, "parquet")

    assert built.counts == {"bars": 288, "ticks": 4, "instruments": 5}
    assert built.engine.startswith("polars ")
    told = built.instruments.select("instrument_id", "bar_seconds", "engine_id", "rows").rows()
    assert told[:4] == [
        (1, 60, "NIFTY 50.NSE_IDX", 60),
        (1, 300, "NIFTY 50.NSE_IDX", 12),
        (2, 0, "NIFTY28AUG25FUT.NFO", 2),
        (2, 60, "NIFTY28AUG25FUT.NFO", 60),
    ]


def with_bars(change: Callable[[pl.DataFrame], pl.DataFrame], **announced: Any) -> MarketSlice:
    """The slice whose bars are not what they should be."""
    market = nifty_slice()
    changed = change(pl.concat(market.read_bars()))
    return dataclasses.replace(market, read_bars=in_halves(changed), **announced)


def at(row: int, **values: Any) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Change one row."""
    return lambda bars: (
        bars.with_row_index("row")
        .with_columns(
            pl.when(pl.col("row") == row).then(pl.lit(value, BAR_SCHEMA[name])).otherwise(name).alias(name)
            for name, value in values.items()
        )
        .drop("row")
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (at(7, close=None), "a required value is missing"),
        (at(7, timestamp=open_of(SESSIONS[0]) + dt.timedelta(minutes=2)), "not sorted by instrument_id and timestamp"),
        (at(0, low=Decimal(0), high=Decimal(30000)), "a price is not above zero"),
        (at(9, high=Decimal(1)), "high and low do not enclose the prices"),
        (at(9, volume=-1), "a count is below zero"),
        (at(9, open_interest=-1), "a count is below zero"),
        (at(0, timestamp=open_of(SESSIONS[0])), "the stamp lies outside the sessions"),
        (at(239, timestamp=close_of(SESSIONS[1]) + dt.timedelta(seconds=1)), "the stamp lies outside the sessions"),
        (lambda bars: bars.head(239), "the reader gave 59 rows for bars_1m, but the slice announces 60"),
        (lambda bars: bars.with_columns(pl.col("instrument_id") + 100), "the slice does not announce the instrument"),
        (lambda bars: bars.with_columns(pl.col("volume").cast(pl.Int32)), "rows came with the columns"),
        (lambda bars: bars.clear(), "the reader gave 0 rows"),
    ],
)
def test_rows_that_are_not_as_they_should_be_are_refused(
    tmp_path: Path, change: Callable[[pl.DataFrame], pl.DataFrame], what: str
) -> None:
    with pytest.raises(ExportError, match=what):
        build_files(with_bars(change), tmp_path, "csv")


def test_rows_that_step_back_from_one_frame_to_the_next_are_refused(tmp_path: Path) -> None:
    bars = nifty_bars(minutes(2))

    def read(instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        assert instrument_ids is None
        yield bars.tail(-3)
        yield bars.head(3)

    market = dataclasses.replace(market_of(INSTRUMENTS, bars), read_bars=read)
    with pytest.raises(
        ExportError, match=r"rows are not sorted by instrument_id and timestamp, or one is there twice: open 24580\.35"
    ):
        build_files(market, tmp_path, "csv")


def test_a_tick_may_come_with_the_open_but_not_before(tmp_path: Path) -> None:
    early = nifty_ticks().with_columns(pl.col("timestamp") - dt.timedelta(seconds=1))
    ticks = TickSlice(described(INSTRUMENTS, early), in_halves(early))

    with pytest.raises(ExportError, match="the stamp lies outside the sessions"):
        build_files(dataclasses.replace(nifty_slice(), ticks=ticks), tmp_path, "csv")


def test_a_slice_without_sessions_or_rows_is_refused(tmp_path: Path) -> None:
    market = nifty_slice()
    with pytest.raises(ExportError, match="holds no sessions"):
        build_files(dataclasses.replace(market, sessions=market.sessions.clear()), tmp_path, "csv")
    nothing = market_of([], nifty_bars(minutes(1)).clear())
    with pytest.raises(ExportError, match="the readers gave no rows"):
        build_files(nothing, tmp_path, "csv")


def test_a_bar_that_ends_at_midnight_has_the_terms_of_the_day_before(built_files: BuiltFiles) -> None:
    days = (dt.date(2018, 5, 1), dt.date(2018, 5, 2))
    midnight = dt.datetime(2018, 5, 2, tzinfo=dt.UTC)
    bars = walk(5, [midnight, midnight + dt.timedelta(hours=1)], "9246.01", "0.01")
    pair = instrument(*(5, "PAIR", "new"), underlying="BTCUSDT", venue="BINANCE", currency="USDT", base_currency="BTC")
    opens = [dt.datetime.combine(day, dt.time(), dt.UTC) for day in days]
    periods = [(5, None, days[1], "old"), (5, days[1], None, "new")]
    schema = {"instrument_id": pl.Int32, "valid_from": pl.Date, "valid_to": pl.Date, "symbol": pl.String}
    market = dataclasses.replace(
        market_of([pair], bars, bar_seconds=3600),
        start_date=days[0],
        end_date=days[1],
        timezone="UTC",
        sessions=pl.DataFrame(
            {"session_date": days, "open": opens, "close": [open_ + dt.timedelta(days=1) for open_ in opens]}
        ).cast({"open": pl.Datetime("us", "UTC"), "close": pl.Datetime("us", "UTC")}),
        term_periods=pl.DataFrame(periods, schema=schema, orient="row").with_columns(
            underlying=pl.lit("BTCUSDT"),
            expiry=pl.lit(None, pl.Date),
            strike=pl.lit(None, pl.Decimal(20, 8)),
            lot_size=pl.lit(None, pl.Int64),
            tick_size=pl.lit(None, pl.Decimal(20, 8)),
            multiplier=pl.lit(1, pl.Decimal(20, 8)),
        ),
    )

    symbols = [line.split(",")[2] for line in lines(built_files("csv", market), "bars_1h.csv")[1:]]

    assert symbols == ["old", "new"]
