"""Parquet files: exact, bounded, and not taken for what they are not."""

from __future__ import annotations

import datetime as dt
import hashlib
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.errors import SchemaDriftError, SourceError
from pipeline_defs.migration import parquet_files
from pipeline_defs.migration.amounts import KEY, LINE, WHEN
from pipeline_defs.migration.parquet_files import probe, read_parquet
from pipeline_tests.migration.stores import bars

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.migration.amounts import Bars


def read(path: Path, *, daily: bool = True, size: int | None = None) -> list[Bars]:
    return list(read_parquet(path, path.stat().st_size if size is None else size, daily=daily))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.parquet"
    bars(1, 2).with_columns(year=pl.lit(1999), month=pl.lit(1)).write_parquet(path)
    return path


def test_rows_come_with_their_number_and_the_partition_columns_are_left(file: Path) -> None:
    (part,) = read(file)

    assert part.rows.columns == [KEY, WHEN, "open", "high", "low", "close", "volume", LINE]
    assert part.rows[LINE].to_list() == [1, 2, 3, 4, 5, 6]
    assert part.rows[WHEN].dt.year().unique().to_list() == [2023]
    assert part.refused.is_empty()


def test_a_large_file_comes_in_parts_with_lines_that_go_on(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_files, "ROWS_AT_ONCE", 4)

    parts = read(file)

    assert [part.rows.height for part in parts] == [4, 2]
    assert parts[1].rows[LINE].to_list() == [5, 6]


def test_only_rows_that_are_no_bars_are_refused_each_with_its_line(tmp_path: Path) -> None:
    frame = bars(1, count=5).with_columns(
        sid=pl.Series([None, 1, 1, 1, 1], dtype=pl.Int64),
        date=pl.Series([dt.date(2023, 3, 1), None, dt.date(2023, 3, 3), dt.date(2023, 3, 4), dt.date(2023, 3, 5)]),
        close=pl.Series([Decimal(1), Decimal(1), None, Decimal(1), Decimal(9999)]),
        volume=pl.Series([Decimal(1), Decimal(1), Decimal(1), Decimal(-1), None]),
    )
    frame.write_parquet(tmp_path / "data.parquet")

    (part,) = read(tmp_path / "data.parquet")

    # A close above the high is wrong and a bar: the import says so, as of any other source.
    assert part.rows[LINE].to_list() == [5]
    assert part.rows["volume"].to_list() == [None]
    assert part.refused.select(LINE, "reason").rows() == [
        (1, "no_symbol"),
        (2, "bad_timestamp"),
        (3, "bad_price"),
        (4, "bad_quantity"),
    ]
    assert part.refused["text"][2].startswith("1,2023-03-03,100.25")


def test_floats_stand_for_the_shortest_decimal_and_are_never_rounded(tmp_path: Path) -> None:
    prices = [0.1, 75.48, 1e-8, 88.7699966430664, float("nan")]
    names = ("open", "high", "low", "close")
    frame = bars(1, count=5).with_columns(*(pl.Series(name, prices) for name in names), volume=pl.lit(1e6))
    frame.write_parquet(tmp_path / "data.parquet")

    (part,) = read(tmp_path / "data.parquet")

    assert part.rows["close"].to_list() == [Decimal("0.1"), Decimal("75.48")]
    assert part.rows["volume"].to_list() == [Decimal(1000000)] * 2
    assert part.refused["reason"].to_list() == ["bad_price"] * 3


def test_more_than_eight_decimals_are_refused_unless_they_are_zeros(tmp_path: Path) -> None:
    wide = pl.Decimal(30, 12)
    frame = bars(1, count=2).with_columns(
        pl.col("open", "high", "low").cast(wide), close=pl.Series(["1.500000000000", "1.500000000001"]).cast(wide)
    )
    frame.write_parquet(tmp_path / "data.parquet")

    (part,) = read(tmp_path / "data.parquet")

    assert part.rows["close"].to_list() == [Decimal("1.5")]
    assert part.refused[LINE].to_list() == [2]


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kolkata"])
def test_stamps_are_utc_whatever_their_zone(tmp_path: Path, zone: str | None) -> None:
    moment = dt.datetime(2023, 8, 14, 3, 45, tzinfo=dt.UTC)
    stamps = pl.Series([moment]).dt.convert_time_zone(zone) if zone else pl.Series([moment.replace(tzinfo=None)])
    bars(1, count=1).drop("date").with_columns(timestamp=stamps).write_parquet(tmp_path / "data.parquet")

    (part,) = read(tmp_path / "data.parquet", daily=False)

    assert part.rows[WHEN].to_list() == [moment]


def test_a_daily_bar_with_a_time_of_day_reads_two_ways_and_is_refused(tmp_path: Path) -> None:
    stamps = pl.Series(["2023-03-01T00:00:00", "2023-03-02T18:30:00"]).str.to_datetime()
    bars(1, count=2).drop("date").with_columns(timestamp=stamps).write_parquet(tmp_path / "data.parquet")

    (part,) = read(tmp_path / "data.parquet")

    assert part.rows[WHEN].to_list() == [dt.date(2023, 3, 1)]
    assert part.refused["reason"].to_list() == ["bad_timestamp"]


def test_cached_answers_carry_symbols(tmp_path: Path) -> None:
    frame = bars("AAPL", "", count=1).rename({"sid": "symbol"})
    frame.write_parquet(tmp_path / "data.parquet")

    (part,) = read(tmp_path / "data.parquet")

    assert part.rows[KEY].to_list() == ["AAPL"]
    assert part.refused["reason"].to_list() == ["no_symbol"]


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (bars(1).drop("close"), "the columns are date, sid, open, high, low, volume, expected"),
        (bars(1).drop("sid"), "expected date or timestamp, sid or symbol"),
        (bars(1).drop("date"), "expected date or timestamp"),
        (bars(1).with_columns(close=pl.lit(value=True)), "column close is of type Boolean"),
        (bars(1).with_columns(date=pl.lit("2023-03-01")), "column date is of type String"),
        (bars(1).with_columns(sid=pl.lit(1.5)), "column sid is of type Float64"),
    ],
)
def test_another_layout_is_an_error_that_names_file_and_column(tmp_path: Path, frame: pl.DataFrame, told: str) -> None:
    frame.write_parquet(tmp_path / "data.parquet")

    with pytest.raises(SchemaDriftError, match=told) as raised:
        read(tmp_path / "data.parquet")

    assert raised.value.where == str(tmp_path / "data.parquet")


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_file_is_an_error_that_names_it(file: Path, damage: str) -> None:
    whole = file.read_bytes()
    middle = len(whole) // 4
    file.write_bytes(
        {
            "cut": whole[:-20],
            "flipped": b"PAR1" + b"\xff" * middle + whole[middle + 4 :],
            "empty": b"",
            "text": b"date,sid",
        }[damage]
    )

    with pytest.raises(SourceError, match="cannot be read") as raised:
        read(file)

    assert raised.value.where == str(file)


def test_a_file_that_unpacks_beyond_all_measure_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.parquet"
    bars(1).select(pl.all().repeat_by(20_000).explode()).write_parquet(path, row_group_size=1 << 20)
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(parquet_files, "MAX_GROUP_BYTES", 10_000)

    with pytest.raises(SourceError, match=r"unpacks to [\d,]+ bytes at once"):
        read(path)


def test_the_stored_file_is_found_in_one_that_grew(file: Path) -> None:
    stored = file.read_bytes()
    stated = hashlib.sha256(stored).hexdigest()
    file.write_bytes(stored + b"PAR1 and more")

    found = probe(file, stated)

    assert (found.size_bytes, found.sha256, found.surplus_bytes) == (len(stored), stated, 13)
    assert sum(part.rows.height for part in read(file, size=found.size_bytes)) == 6


def test_a_changed_file_is_not_taken_for_one_that_grew(file: Path) -> None:
    stated = hashlib.sha256(b"another").hexdigest()

    found = probe(file, stated)

    assert (found.sha256, found.surplus_bytes) == (hashlib.sha256(file.read_bytes()).hexdigest(), 0)


def test_what_cannot_be_opened_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "data.parquet").mkdir()

    with pytest.raises(SourceError, match="cannot be read") as raised:
        probe(tmp_path / "data.parquet", None)

    assert raised.value.where == str(tmp_path / "data.parquet")
