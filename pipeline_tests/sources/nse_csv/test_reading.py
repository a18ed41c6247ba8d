from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline_defs.errors import ConfigurationError, MarketRuleError, SourceError
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.nse_csv.adapter import NseCsvSource

type Write = Callable[..., Path]
type Row = Callable[..., str]
type Read = Callable[..., Any]

MINUTE_HEADER = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest"
MONDAY, TUESDAY, WEDNESDAY = (dt.date(2025, 8, day) for day in (18, 19, 20))


@pytest.fixture
def three_days(tmp_path: Path, write: Write, minute_row: Row) -> Path:
    for day in (MONDAY, TUESDAY, WEDNESDAY):
        write(f"GFDLNFO_OPTIONS_{day:%d%m%Y}.csv", MINUTE_HEADER, minute_row(date=f"{day:%d/%m/%Y}"))
    return tmp_path


def test_days_come_in_order_each_with_its_own_file(read: Read, three_days: Path) -> None:
    found = read(three_days)
    assert [key[2] for key in found.batches] == [MONDAY, TUESDAY, WEDNESDAY]
    assert [batch.files["file_index"].to_list() for batch in found.batches.values()] == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("request_dates", "expected"),
    [
        ({"start_date": TUESDAY}, [TUESDAY, WEDNESDAY]),
        ({"end_date": TUESDAY}, [MONDAY, TUESDAY]),
        ({"start_date": TUESDAY, "end_date": TUESDAY}, [TUESDAY]),
    ],
)
def test_request_restricts_the_dates(
    read: Read, three_days: Path, request_dates: dict[str, dt.date], expected: list[dt.date]
) -> None:
    assert [key[2] for key in read(three_days, **request_dates).batches] == expected


def test_files_of_other_days_are_not_even_read(read: Read, three_days: Path) -> None:
    (three_days / "GFDLNFO_OPTIONS_18082025.csv").write_bytes(b"no,known,header\n")
    assert len(read(three_days, start_date=TUESDAY).batches) == 2


def test_dates_that_no_file_has_are_an_error_that_says_what_there_is(read: Read, three_days: Path) -> None:
    with pytest.raises(SourceError, match="no trade date from 2025-09-01 to the last; it has 2025-08-18 to 2025-08-20"):
        read(three_days, start_date=dt.date(2025, 9, 1))


def test_rows_of_a_file_without_a_date_go_to_their_own_days_beside_the_dated_files(
    read: Read, three_days: Path, write: Write, minute_row: Row
) -> None:
    rows = [
        minute_row(date="18/08/2025", time="10:00:59"),
        minute_row(date="20/08/2025", time="10:00:59"),
        minute_row(date="20/08/2025", time="10:01:59"),
        minute_row(date="8/20/2025", time="10:02:59"),
        "cut",
    ]
    write("AUGUST.csv", MINUTE_HEADER, *rows)
    found = read(three_days)
    counts = {key[2]: (batch.observations.height, batch.rejects.height) for key, batch in found.batches.items()}
    # What has no date of its own stays with the day of most rows of its file.
    assert counts == {MONDAY: (2, 0), TUESDAY: (1, 0), WEDNESDAY: (3, 2)}
    assert found.reasons() == {5: "bad_date", 6: "wrong_field_count"}
    assert found.lines_read == 8


def test_undated_rows_outside_the_request_are_left_out(
    read: Read, three_days: Path, write: Write, minute_row: Row
) -> None:
    write("AUGUST.csv", MINUTE_HEADER, minute_row(date="18/08/2025", time="10:00:59"), "cut")
    found = read(three_days, start_date=TUESDAY)
    assert found.lines_read == 2


def test_file_of_which_no_line_has_a_date_is_explained_with_the_first_day(
    read: Read, three_days: Path, write: Write, minute_row: Row
) -> None:
    write("x.csv", MINUTE_HEADER, minute_row(date="?"))
    batch = read(three_days).batches["options_ticks", 60, MONDAY]
    assert batch.rejects.select("line", "reason").rows() == [(2, "bad_date")]


def test_nothing_usable_says_what_was_looked_for(read: Read, tmp_path: Path, write: Write, minute_row: Row) -> None:
    write("readme.txt", b"x")
    with pytest.raises(SourceError, match=r"holds nothing usable: looked for CSV files .* found 0 CSV files"):
        read(tmp_path)
    write("x.csv", MINUTE_HEADER, minute_row(date="?"))
    with pytest.raises(SourceError, match=r"found 1 CSV files, .* 1 other files"):
        read(tmp_path)


def test_missing_path_and_no_path_are_told_apart(read: Read, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="no path to read"):
        next(NseCsvSource().fetch(ImportRequest()))


def test_path_of_the_source_serves_requests_without_one(three_days: Path) -> None:
    assert len(list(NseCsvSource(path=str(three_days)).fetch(ImportRequest()))) == 3


def test_day_outside_the_calendar_is_an_error(read: Read, write: Write, minute_row: Row) -> None:
    path = write("GFDLNFO_OPTIONS_20082062.csv", MINUTE_HEADER, minute_row(date="20/08/2062"))
    with pytest.raises(MarketRuleError, match="2062-08-20 lies outside the session calendar"):
        read(path)


class TestUnderlying:
    def test_other_underlyings_are_left_out_and_what_cannot_be_told_stays(
        self, read: Read, write: Write, minute_row: Row
    ) -> None:
        rows = [
            minute_row(),
            minute_row(ticker="BANKNIFTY28AUG2554500CE.NFO"),
            minute_row(ticker="BANKNIFTY28AUG2554500CE.NFO", close="x"),
            minute_row(ticker="BANKNIFTY07AUG2554500CE.NFO"),
            minute_row(ticker="?"),
            minute_row(time="x"),
        ]
        found = read(write("x.csv", MINUTE_HEADER, *rows), underlying="NIFTY")
        assert found.only.underlying == "NIFTY"
        assert found.only.observations["line"].to_list() == [2]
        assert found.reasons() == {6: "bad_ticker", 7: "bad_time"}

    def test_day_without_the_underlying_has_no_batch(
        self, read: Read, three_days: Path, write: Write, minute_row: Row
    ) -> None:
        write("GFDLNFO_OPTIONS_21082025.csv", MINUTE_HEADER, minute_row(ticker="M&M28AUG253000CE", date="21/08/2025"))
        assert len(read(three_days, underlying="NIFTY").batches) == 3

    def test_unknown_underlying_is_an_error(self, read: Read, three_days: Path) -> None:
        with pytest.raises(SourceError, match="holds no row of underlying nifty"):
            read(three_days, underlying="nifty")
