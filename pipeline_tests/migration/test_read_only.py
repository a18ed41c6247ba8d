"""SQLite files that must not be touched, and values that come in many forms."""

from __future__ import annotations

import datetime as dt
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_defs.errors import SourceError
from pipeline_defs.migration import read_only
from pipeline_defs.migration.read_only import day, instant, tables_of, text, whole
from pipeline_tests.migration.stores import execute, state_of

if TYPE_CHECKING:
    from pathlib import Path

_NOON = dt.datetime(2023, 8, 14, 12, tzinfo=dt.UTC)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "store" / "a b?#.db"
    execute(path, "CREATE TABLE one (id INTEGER, name TEXT);", [("one", {"id": 1, "name": "AAPL"})])
    return path


def test_reading_leaves_neither_a_file_nor_a_trace(database: Path) -> None:
    before = state_of(database.parent)
    with tables_of(database) as tables:
        assert tables.rows("one") == [{"id": 1, "name": "AAPL"}]
        assert tables.rows("another") == []

    assert state_of(database.parent) == before


def test_pages_in_a_write_ahead_log_are_read_and_stay_where_they_are(database: Path) -> None:
    writer = sqlite3.connect(database)
    writer.execute("PRAGMA journal_mode = wal")
    writer.execute("INSERT INTO one VALUES (2, 'MSFT')")
    writer.commit()
    before = state_of(database.parent)
    assert database.with_name(f"{database.name}-wal").stat().st_size

    with tables_of(database) as tables:
        found = tables.rows("one")

    assert [row["name"] for row in found] == ["AAPL", "MSFT"]
    assert state_of(database.parent) == before
    writer.close()


def test_a_view_is_no_table_for_it_may_compute_for_ever(database: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id FROM n"
    execute(database, f"CREATE VIEW bundle_metadata AS {endless};")

    with tables_of(database) as tables:
        assert tables.rows("bundle_metadata") == []


def test_a_table_beyond_all_measure_is_refused(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(database, rows=[("one", {"id": 2}), ("one", {"id": 3})])
    monkeypatch.setattr(read_only, "MAX_ROWS", 2)

    with tables_of(database) as tables, pytest.raises(SourceError, match="more than 2 rows"):
        tables.rows("one")


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be one" * 30, b"SQLite format 3\0" * 9]
)
def test_what_is_no_database_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "assets-10.db"
    path.write_bytes(content)

    with pytest.raises(SourceError, match="cannot be read") as raised, tables_of(path) as tables:
        tables.rows("bundle_metadata")

    assert raised.value.where == str(path)
    assert raised.value.next_step


def test_a_cut_off_database_is_an_error_and_not_fewer_rows(database: Path) -> None:
    execute(database, rows=[("one", {"id": number, "name": "x" * 500}) for number in range(100)])
    database.write_bytes(database.read_bytes()[:-8192])

    with pytest.raises(SourceError), tables_of(database) as tables:
        tables.rows("one")


def test_damage_that_shows_in_the_words_of_the_error_is_an_error_like_any_other(database: Path) -> None:
    whole_file = database.read_bytes()
    assert b"tableoneone" in whole_file
    database.write_bytes(whole_file.replace(b"tableoneone", b"table\x91neone"))

    with pytest.raises(SourceError, match="cannot be read"), tables_of(database) as tables:
        tables.rows("one")


def test_a_missing_database_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"), tables_of(tmp_path / "none.db"):
        pass


@pytest.mark.parametrize(
    "value",
    [
        1692014400,
        1692014400.0,
        1692014400_000,
        1692014400_000_000,
        1692014400_000_000_000,
        "2023-08-14T12:00:00",
        "2023-08-14 12:00:00",
        "2023-08-14T12:00:00Z",
        "2023-08-14T17:30:00+05:30",
    ],
)
def test_a_time_is_read_in_whatever_form_it_was_stored(value: object) -> None:
    assert instant(value) == _NOON
    assert day(value) == _NOON.date()


@pytest.mark.parametrize("value", [None, "", "soon", -(2**63), True, b"1", [], float("inf"), 10**30])
def test_what_is_no_time_is_none(value: object) -> None:
    assert instant(value) is None
    assert day(value) is None


@settings(max_examples=50)
@given(st.one_of(st.integers(), st.floats(), st.text(), st.binary(), st.none(), st.booleans()))
def test_no_value_of_a_damaged_row_is_an_exception(value: Any) -> None:
    found = instant(value)

    assert found is None or found.tzinfo is dt.UTC
    assert whole({"x": value}, "x") is None or isinstance(whole({"x": value}, "x"), int)
    assert text({"x": value}, "x") is None or isinstance(text({"x": value}, "x"), str)


def test_columns_are_looked_up_by_name_the_first_that_is_there() -> None:
    row = {"checksum": "b", "file_checksum": None, "count": "12", "broken": "x"}

    assert text(row, "file_checksum", "checksum") == "b"
    assert text(row, "none") is None
    assert whole(row, "broken", "count") == 12
    assert whole(row, "none") is None
