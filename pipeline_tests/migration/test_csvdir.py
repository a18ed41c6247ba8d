"""Folders of CSV files: every line is a bar or is named with file and line."""

from __future__ import annotations

import datetime as dt
import tempfile
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_defs.errors import ConfigurationError, SchemaDriftError, SourceError
from pipeline_defs.migration.amounts import LINE, WHEN, Bars
from pipeline_defs.migration.csvdir import files_of, read_bars
from pipeline_defs.migration.frames import DAILY_SECONDS, MINUTE_SECONDS
from pipeline_defs.migration.planning import plan_csvdir
from pipeline_defs.migration.reading import read_actions, read_series

_HEADER = "date,open,high,low,close,volume,dividend,split\n"


def write(folder: Path, path: str, text: str) -> Path:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)
    return folder / path


def read(path: Path, *, daily: bool = True) -> Bars:
    parts = list(read_bars(path, "AAPL", daily=daily))
    return Bars(pl.concat(part.rows for part in parts), pl.concat(part.refused for part in parts))


def test_each_file_is_a_symbol_and_each_folder_a_length(tmp_path: Path) -> None:
    for path in ("minute/AAPL.csv", "daily/MSFT.csv", "daily/BRK.B.csv", "daily/notes.txt", "daily/old.csv/x"):
        write(tmp_path, path, "")

    assert list(files_of(tmp_path)) == [
        ("daily/BRK.B.csv", "BRK.B", True),
        ("daily/MSFT.csv", "MSFT", True),
        ("minute/AAPL.csv", "AAPL", False),
    ]


def test_lines_become_bars_or_are_refused_with_their_line_and_text(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "daily/AAPL.csv",
        "Date,Volume,Open,High,Low,Close\n"
        "2023-03-01,1000,1.5,2,1,1.75\n"
        "2023-03-02 00:00:00, 1000.0 ,1.5,2,1,\n"
        "2023-03-03,1e3,1.5,2,1,1.75\n"
        "03/04/2023,1000,1.5,2,1,1.75\n"
        "2023-03-05,1000,1.5,2,1\n"
        "2023-03-06 09:30:00,1000,1.5,2,1,1.75\n"
        "2023-03-07,,1.5,2,1,1.75\n"
        "2023-03-08,1,1.5,2,1,1.123456789\n",
    )

    found = read(path)

    assert found.rows.select(WHEN, "close", "volume", LINE).rows() == [
        (dt.date(2023, 3, 1), Decimal("1.75"), Decimal(1000), 2),
        (dt.date(2023, 3, 7), Decimal("1.75"), None, 8),
    ]
    assert found.refused.rows() == [
        (3, "bad_price", "2023-03-02 00:00:00, 1000.0 ,1.5,2,1,"),
        (4, "bad_quantity", "2023-03-03,1e3,1.5,2,1,1.75"),
        (5, "bad_timestamp", "03/04/2023,1000,1.5,2,1,1.75"),
        (6, "wrong_field_count", "2023-03-05,1000,1.5,2,1"),
        (7, "bad_timestamp", "2023-03-06 09:30:00,1000,1.5,2,1,1.75"),
        (9, "bad_price", "2023-03-08,1,1.5,2,1,1.123456789"),
    ]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2023-03-01 14:31:00", "2023-03-01T14:31:00+00:00"),
        ("2023-03-01T14:31", "2023-03-01T14:31:00+00:00"),
        ("2023-03-01 14:31:00Z", "2023-03-01T14:31:00+00:00"),
        ("2023-03-01 14:31:00+00:00", "2023-03-01T14:31:00+00:00"),
        ("2023-03-01 09:31:00-05:00", "2023-03-01T14:31:00+00:00"),
        ("2023-03-01 14:31:00.250", "2023-03-01T14:31:00.250000+00:00"),
        ("2023-03-01", None),
        ("2023-13-01 14:31:00", None),
        ("14:31", None),
        ("1677681060", None),
    ],
)
def test_stamps_of_minutes_are_utc_unless_they_say_otherwise(tmp_path: Path, text: str, instant: str | None) -> None:
    path = write(tmp_path, "minute/AAPL.csv", f"date,open,high,low,close,volume\n{text},1,1,1,1,1\n")

    found = read(path, daily=False)

    assert found.rows[WHEN].to_list() == ([] if instant is None else [dt.datetime.fromisoformat(instant)])
    assert found.refused.height == (instant is None)


_AMOUNTS = st.decimals(0, 10**9, places=4, allow_nan=False)


@settings(max_examples=30)
@given(
    rows=st.lists(st.tuples(_AMOUNTS, st.integers(0, 10**12)), max_size=20),
    junk=st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters='\r\n"'), min_size=1), max_size=4),
)
def test_what_is_written_is_read_and_no_line_gets_lost(rows: list[tuple[Decimal, int]], junk: list[str]) -> None:
    day = dt.date(2020, 1, 1)
    lines = [
        f"{day + dt.timedelta(number)},{price},{price},{price},{price},{volume}"
        for number, (price, volume) in enumerate(rows)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), "daily/AAPL.csv", "\n".join(["date,open,high,low,close,volume", *lines, *junk]))
        parts = list(read_bars(path, "AAPL", daily=True))

    found = [row for part in parts for row in part.rows.select("close", "volume").rows()]
    assert found == [(price, Decimal(volume)) for price, volume in rows]
    assert sum(part.refused.height for part in parts) == len(junk)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("date,open,high,low,close\n", "expected a date and open, high, low, close, volume"),
        ("open,high,low,close,volume\n", "expected a date and open"),
        ("date,Open,open,high,low,close,volume\n", "each once"),
    ],
)
def test_a_missing_column_is_an_error_that_names_the_file(tmp_path: Path, header: str, told: str) -> None:
    path = write(tmp_path, "daily/AAPL.csv", header)

    with pytest.raises(SchemaDriftError, match=told) as raised:
        read(path)

    assert raised.value.where == str(path)


def test_what_is_no_text_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "daily/AAPL.csv", "")
    path.write_bytes(b"\xff\xfe\x00date,open\n")

    with pytest.raises(SourceError):
        read(path)


def test_a_folder_is_planned_and_read_with_its_actions(tmp_path: Path) -> None:
    write(
        tmp_path,
        "daily/AAPL.csv",
        _HEADER
        + "2023-03-01,2,2,2,2,10,0.0,1.0\n2023-03-02,1,1,1,1,20,0.25,2.0\n"
        + "2023-03-03,1,9,1,1,20,,\n2023-03-04,1,1,1,1,1,abc,0\n",
    )
    write(tmp_path, "minute/AAPL.csv", "date,open,high,low,close,volume\n2023-03-01 14:31:00,1,1,1,1,1\nbad line\n")

    (plan,) = plan_csvdir(tmp_path, name="mine", market="US").bundles

    assert (plan.decision, plan.name, plan.market, plan.bundle.bar_lengths) == ("take", "mine", "US", (86_400, 60))
    assert [(one.symbol, one.bar_seconds, one.rows, one.sum_close) for one in plan.series] == [
        ("AAPL", DAILY_SECONDS, 4, Decimal(5)),
        ("AAPL", MINUTE_SECONDS, 1, Decimal(1)),
    ]
    assert read_actions(plan).rows() == [
        ("AAPL", dt.date(2023, 3, 2), "dividend", Decimal("0.25")),
        ("AAPL", dt.date(2023, 3, 2), "split", Decimal(2)),
    ]
    assert plan.actions == 2
    (note,) = [one for one in plan.notes if one.check == "actions"]
    assert note.detail == "daily/AAPL.csv:5: dividend abc"
    (chunk,) = list(read_series(plan, MINUTE_SECONDS))
    assert chunk.refused.rows() == [(1, 3, "wrong_field_count", "bad line")]
    assert plan.refused == 1


def test_floats_written_to_the_last_digit_are_refused_or_rounded_as_the_user_says(tmp_path: Path) -> None:
    lines = "2023-03-01,130.27999877929688,131,129.5,0.123456785,1\n2023-03-02,1,1,1,1e-9,1\n"
    write(tmp_path, "daily/AAPL.csv", f"date,open,high,low,close,volume\n{lines}")

    (refused,) = plan_csvdir(tmp_path, market="US").bundles
    (plan,) = plan_csvdir(tmp_path, market="US", decimals=2).bundles
    (exact,) = plan_csvdir(tmp_path, market="US", decimals=8).bundles

    assert (refused.reason, refused.refused) == ("no_rows", 2)
    assert "2 lines were refused, daily/AAPL.csv:2: 2023-03-01,130.27999877929688" in refused.detail
    (chunk,) = read_series(plan, DAILY_SECONDS)
    assert chunk.rows.select("open", "high", "low", "close").row(0) == (
        Decimal("130.28"),
        Decimal(131),
        Decimal("129.5"),
        Decimal("0.12"),
    )
    assert (plan.rows, plan.refused, plan.sum_close) == (1, 1, Decimal("0.12"))
    assert [one.found for one in plan.notes if one.check == "rounded"] == ["2 prices with more than eight decimals"]
    assert exact.sum_close == Decimal("0.12345678")
    assert len({refused.fingerprint, plan.fingerprint, exact.fingerprint}) == 3
    with pytest.raises(ConfigurationError, match="9 decimals, expected 0 to 8"):
        plan_csvdir(tmp_path, decimals=9)


def test_the_market_of_a_folder_must_be_named(tmp_path: Path) -> None:
    write(tmp_path, "daily/AAPL.csv", _HEADER + "2023-03-01,2,2,2,2,10,0.0,1.0\n")

    (plan,) = plan_csvdir(tmp_path).bundles

    assert (plan.decision, plan.reason) == ("quarantine", "market_unknown")
    assert plan.next_step == "name it: --market NSE (one of NSE, US, CRYPTO)"
    with pytest.raises(ConfigurationError, match="quarantined: market_unknown"):
        next(read_series(plan, DAILY_SECONDS))


def test_packed_files_are_told_of_and_not_read(tmp_path: Path) -> None:
    write(tmp_path, "daily/AAPL.csv.gz", "")

    plan = plan_csvdir(tmp_path, market="US")

    assert [(one.check, one.found) for one in plan.notes] == [("file", "AAPL.csv.gz")]
    assert plan.bundles[0].reason == "no_rows"


def test_one_file_that_cannot_be_read_leaves_the_folder_in_quarantine_and_is_named(tmp_path: Path) -> None:
    write(tmp_path, "daily/AAPL.csv", _HEADER + "2023-03-01,2,2,2,2,10,0.0,1.0\n")
    write(tmp_path, "daily/MSFT.csv", "date,close\n2023-03-01,1\n")

    (plan,) = plan_csvdir(tmp_path, market="US").bundles

    assert plan.reason == "unknown_layout"
    assert str(tmp_path / "daily/MSFT.csv") in plan.detail
    assert plan.rows == 1


def test_a_folder_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="neither daily nor minute"):
        plan_csvdir(tmp_path)
    with pytest.raises(ConfigurationError, match="neither daily nor minute"):
        plan_csvdir(tmp_path / "none")
