"""Columns and tables of bcolz: what was written comes back, and nothing else does."""

from __future__ import annotations

import builtins
import datetime as dt
import json
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.migration import bcolz_daily, bcolz_minute
from pipeline_defs.migration.amounts import KEY, LINE, WHEN
from pipeline_defs.migration.bcolz_daily import open_daily, read_daily, thousandths
from pipeline_defs.migration.bcolz_minute import read_minutes, sids_of
from pipeline_defs.migration.blosc_columns import BloscColumn, hash_table, open_column, read_json
from pipeline_tests.migration.stores import epoch, write_chunk, write_column, write_ingestion, write_minutes

_ROW = ("2023-03-01", 100_250, 101_000, 99_500, 100_000, 5000)
_NEXT = ("2023-03-02", 100_001, 101_000, 99_500, 4_294_967_295, 4_294_967_295)


@settings(max_examples=40)
@given(
    values=st.lists(st.integers(0, 2**32 - 1), max_size=30),
    chunk_length=st.integers(1, 9),
    bounds=st.tuples(st.integers(0, 30), st.integers(0, 30)),
)
def test_any_part_of_a_column_is_what_was_written(
    values: list[int], chunk_length: int, bounds: tuple[int, int]
) -> None:
    start, stop = sorted(min(bound, len(values)) for bound in bounds)
    with tempfile.TemporaryDirectory() as folder:
        write_column(Path(folder) / "close", values, chunk_length=chunk_length)
        column = open_column(Path(folder) / "close")

        assert column.length == len(values)
        assert column.read(start, stop).tolist() == values[start:stop]


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50), st.integers(0, 8))
def test_whole_numbers_become_the_prices_they_are_a_power_of_ten_times(numbers: list[int], power: int) -> None:
    found = pl.DataFrame({"close": numbers}, schema={"close": pl.Int64}).select(thousandths("close", 10**power))

    assert found["close"].to_list() == [Decimal(number).scaleb(-power) for number in numbers]


@pytest.fixture
def column(tmp_path: Path) -> BloscColumn:
    write_column(tmp_path / "close", range(10))
    return open_column(tmp_path / "close")


def test_only_the_chunks_that_are_asked_for_are_read(column: BloscColumn) -> None:
    (column.folder / "data/__0.blp").unlink()

    assert column.read(4, 10).tolist() == [4, 5, 6, 7, 8, 9]
    with pytest.raises(SourceError, match=r"cannot be read: No such file") as raised:
        column.read(0, 1)
    assert raised.value.where == str(column.folder / "data/__0.blp")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "does not begin as bcolz chunks do"),
        (b"blpk", "does not begin"),
        (b"PK\3\4" + bytes(60), "does not begin"),
        (b"blpk" + bytes(60), r"has 48 packed bytes, and says another number"),
        (b"blpk" + bytes(24) + (48).to_bytes(4, "little") + bytes(32), r"unpacks to 0 bytes, expected 16"),
    ],
)
def test_what_is_no_chunk_is_an_error_that_names_it(column: BloscColumn, content: bytes, told: str) -> None:
    (column.folder / "data/__1.blp").write_bytes(content)

    with pytest.raises(SourceError, match=told) as raised:
        column.read(0, 10)

    assert raised.value.where == str(column.folder / "data/__1.blp")


def test_a_chunk_that_unpacks_to_more_than_it_should_is_refused_unopened(column: BloscColumn) -> None:
    path = column.folder / "data/__1.blp"
    write_chunk(path, bytes(1 << 22))
    assert path.stat().st_size < 1 << 16

    with pytest.raises(SourceError, match=r"unpacks to 4,194,304 bytes, expected 16"):
        column.read(0, 10)


def test_a_chunk_whose_body_is_no_blosc_buffer_is_an_error(column: BloscColumn) -> None:
    path = column.folder / "data/__0.blp"
    write_chunk(path, np.arange(4, dtype="<u4").tobytes())
    packed = path.read_bytes()
    path.write_bytes(packed[:16] + b"\xff\xff\xff\xff" + packed[20:32] + b"\xff" * (len(packed) - 32))

    with pytest.raises(SourceError, match="the bcolz table cannot be read") as raised:
        column.read(0, 4)

    assert raised.value.where == str(path)


def test_a_chunk_with_a_broken_body_is_an_error(column: BloscColumn) -> None:
    path = column.folder / "data/__0.blp"
    write_chunk(path, np.arange(4, dtype="<u4").tobytes())
    path.write_bytes(path.read_bytes()[:-9])

    with pytest.raises(SourceError, match="says another number"):
        column.read(0, 4)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("storage", {"dtype": "object", "chunklen": 4}, "type 'object', expected one of"),
        ("storage", {"dtype": "uint32"}, "type, length or chunk length is missing"),
        ("storage", {"dtype": "uint32", "chunklen": 0}, "values in chunks of 0"),
        ("storage", {"dtype": "uint32", "chunklen": 1 << 40}, "values in chunks of"),
        ("storage", [1], "it is no JSON object"),
        ("sizes", {"shape": [1 << 40]}, "1,099,511,627,776 values"),
        ("sizes", {"shape": [1, 2]}, "type, length or chunk length is missing"),
        ("sizes", {"shape": [-1]}, "-1 values"),
    ],
)
def test_a_column_that_says_impossible_things_is_refused(
    column: BloscColumn, file: str, content: object, told: str
) -> None:
    (column.folder / "meta" / file).write_text(json.dumps(content))

    with pytest.raises(SourceError, match=told):
        open_column(column.folder)


def test_what_is_no_json_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "__attrs__"
    path.write_text("[" * 100_000)
    with pytest.raises(SourceError, match="no JSON"):
        read_json(path)
    with pytest.raises(SourceError, match="cannot be read"):
        read_json(tmp_path / "none")


def test_without_the_package_the_error_says_what_to_install(
    column: BloscColumn, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def refuse(name: str, *more: Any) -> Any:
        if name == "blosc2":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.delitem(sys.modules, "blosc2", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)

    with pytest.raises(ConfigurationError, match="extra 'migration'"):
        column.read(0, 1)


def test_a_change_of_any_file_of_a_table_changes_its_hash(column: BloscColumn) -> None:
    before, size = hash_table(column.folder)
    (column.folder / "data/__2.blp").write_bytes(b"")

    after, smaller = hash_table(column.folder)

    assert after != before
    assert smaller < size


def test_daily_rows_are_thousandths_with_day_number_and_row(tmp_path: Path) -> None:
    write_ingestion(tmp_path, {0: [_ROW, _NEXT], 7: [_ROW]}, {0: "A", 7: "B"})

    (part,) = read_daily(tmp_path / "daily_equities.bcolz")

    assert part.refused.is_empty()
    assert part.rows.select(KEY, WHEN, "open", "close", "volume", LINE).rows() == [
        (0, dt.date(2023, 3, 1), Decimal("100.25"), Decimal(100), Decimal(5000), 1),
        (0, dt.date(2023, 3, 2), Decimal("100.001"), Decimal("4294967.295"), Decimal(4294967295), 2),
        (7, dt.date(2023, 3, 1), Decimal("100.25"), Decimal(100), Decimal(5000), 3),
    ]


def test_a_day_without_trades_is_refused_as_such(tmp_path: Path) -> None:
    write_ingestion(tmp_path, {0: [_ROW, ("2023-03-02", 0, 0, 0, 0, 0)]}, {0: "A"})

    (part,) = read_daily(tmp_path / "daily_equities.bcolz")

    assert part.rows[LINE].to_list() == [1]
    assert part.refused.rows() == [(2, "no_trade", "0,2023-03-02,0,0,0,0,0")]


def test_a_large_table_comes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ingestion(tmp_path, {0: [_ROW] * 5, 1: [_ROW] * 2}, {0: "A", 1: "B"})
    monkeypatch.setattr(bcolz_daily, "ROWS_AT_ONCE", 3)

    parts = list(read_daily(tmp_path / "daily_equities.bcolz"))

    assert [part.rows[LINE].to_list() for part in parts] == [[1, 2, 3], [4, 5, 6], [7]]
    assert [part.rows[KEY].to_list() for part in parts] == [[0, 0, 0], [0, 0, 1], [1]]


def test_a_row_with_another_number_than_the_attributes_say_is_an_error(tmp_path: Path) -> None:
    write_ingestion(tmp_path, {0: [_ROW, _NEXT], 1: [_ROW]}, {0: "A", 1: "B"})
    path = tmp_path / "daily_equities.bcolz/__attrs__"
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"last_row": {"0": 0, "1": 2}}))

    with pytest.raises(SourceError, match=r"row 2 has the number 0, expected 0|row 2 has the number 0"):
        list(read_daily(tmp_path / "daily_equities.bcolz"))


def test_columns_of_different_lengths_are_an_error(tmp_path: Path) -> None:
    write_ingestion(tmp_path, {0: [_ROW, _NEXT]}, {0: "A"})
    sizes = tmp_path / "daily_equities.bcolz/close/meta/sizes"
    sizes.write_text(json.dumps({"shape": [1]}))

    with pytest.raises(SourceError, match="expected equally many"):
        open_daily(tmp_path / "daily_equities.bcolz")


def test_attributes_that_do_not_fit_are_an_error(tmp_path: Path) -> None:
    write_ingestion(tmp_path, {0: [_ROW]}, {0: "A"})
    (tmp_path / "daily_equities.bcolz/__attrs__").write_text(json.dumps({"first_row": {"0": 0}, "last_row": {}}))

    with pytest.raises(SourceError, match="first_row and last_row do not fit"):
        open_daily(tmp_path / "daily_equities.bcolz")


def test_a_place_is_a_minute_of_its_session_named_after_its_end(tmp_path: Path) -> None:
    # 3 July closed early, the 4th was a holiday: place 390 is the first minute of the 5th.
    folder = write_minutes(tmp_path, 3, {0: 1500, 209: 1600, 390: 1700, 779: 1800})

    (part,) = read_minutes(folder, 3)

    assert sids_of(folder) == {3: "00/00/000003.bcolz"}
    assert part.rows.select(KEY, WHEN, "close", "volume", LINE).rows() == [
        (3, dt.datetime(2023, 7, 3, 13, 31, tzinfo=dt.UTC), Decimal("1.5"), Decimal(1500), 1),
        (3, dt.datetime(2023, 7, 3, 17, 0, tzinfo=dt.UTC), Decimal("1.6"), Decimal(1600), 210),
        (3, dt.datetime(2023, 7, 5, 13, 31, tzinfo=dt.UTC), Decimal("1.7"), Decimal(1700), 391),
        (3, dt.datetime(2023, 7, 5, 20, 0, tzinfo=dt.UTC), Decimal("1.8"), Decimal(1800), 780),
    ]


def test_a_number_may_have_a_ratio_of_its_own_and_parts_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_minutes(tmp_path, 3, {0: 1500, 400: 1700}, ohlc_ratios_per_sid={"3": 100000})
    monkeypatch.setattr(bcolz_minute, "_PLACES_AT_ONCE", 300)

    parts = list(read_minutes(folder, 3))

    assert [part.rows.height for part in parts] == [1, 1, 0]
    assert parts[1].rows.select(WHEN, "close", LINE).row(0) == (
        dt.datetime(2023, 7, 5, 13, 41, tzinfo=dt.UTC),
        Decimal("0.017"),
        401,
    )


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"calendar_name": "XBOM"}, "counted in the calendar 'XBOM', expected one of XNYS"),
        ({"start_session": "soon"}, "does not say which minutes are stored"),
        ({"minutes_per_day": 0}, "minutes_per_day 0"),
        ({"ohlc_ratio": 7}, "ohlc_ratio 7"),
        ({"end_session": "2023-07-03"}, "1 sessions of 390 minutes"),
        ({"end_session": "2999-07-03"}, "outside the calendar of US"),
    ],
)
def test_minutes_that_cannot_be_told_are_not_guessed(tmp_path: Path, more: dict[str, Any], told: str) -> None:
    folder = write_minutes(tmp_path, 3, {0: 1}, **more)

    with pytest.raises(SourceError, match=told):
        list(read_minutes(folder, 3))


def test_epochs_of_the_tests_are_those_of_the_format() -> None:
    assert epoch("2019-01-02") == 1_546_387_200
