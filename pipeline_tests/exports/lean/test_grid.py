from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.lean.grid import end_of, session_grid, with_starts, with_tick_starts
from pipeline_tests.exports.lean.slices import DAY, HOUR, SESSIONS, at, session_frame, stamps_of

IST = "Asia/Kolkata"
GRID = session_grid(session_frame(), IST)


def frame_of(stamps: list[dt.datetime]) -> pl.DataFrame:
    return pl.DataFrame({"timestamp": stamps}, schema={"timestamp": pl.Datetime("us", "UTC")}).with_columns(
        instrument_id=pl.lit(7, pl.Int32)
    )


@given(st.sampled_from([1, 60, 300, HOUR, 7_000]), st.data())
def test_start_and_length_give_back_every_close_of_the_grid(seconds: int, data: st.DataObject) -> None:
    every = stamps_of(session_frame(), seconds) if seconds > 1 else [at(SESSIONS[0], dt.time(3, 45, 1))]
    stamps = sorted(data.draw(st.sets(st.sampled_from(every), min_size=1, max_size=20)))
    starts = with_starts(frame_of(stamps), GRID, seconds)
    back = starts.join(GRID.select("session_date", "close"), on="session_date").select(
        end_of("start", "close", seconds)
    )
    assert back.to_series().to_list() == stamps


def test_hours_start_with_the_session_and_the_last_one_is_shorter() -> None:
    stamps = stamps_of(session_frame(), HOUR)[:7]
    starts = with_starts(frame_of(stamps), GRID, HOUR)["start"].dt.convert_time_zone(IST).dt.time().to_list()
    assert starts == [dt.time(9, 15), *(dt.time(hour, 15) for hour in range(10, 16))]
    assert stamps[-1] == at(SESSIONS[0], dt.time(10, 0))


def test_a_daily_bar_starts_at_midnight_of_its_session() -> None:
    placed = with_starts(frame_of(stamps_of(session_frame(), DAY)), GRID, DAY)
    assert placed["session_date"].to_list() == list(SESSIONS)
    assert placed["start"].dt.convert_time_zone(IST).dt.hour().to_list() == [0, 0]


@pytest.mark.parametrize(
    ("stamp", "why"),
    [
        (at(SESSIONS[0], dt.time(3, 45)), "the close stamp lies outside the sessions"),
        (at(SESSIONS[0], dt.time(10, 1)), "the close stamp lies outside the sessions"),
        (at(SESSIONS[1], dt.time(10, 1)), "the close stamp lies outside the sessions"),
        (
            at(SESSIONS[0], dt.time(5, 0)),
            "the stamp is not the end of a bar of 3600 seconds counted from the session's open",
        ),
    ],
)
def test_a_stamp_off_the_grid_is_refused_with_instrument_and_time(stamp: dt.datetime, why: str) -> None:
    with pytest.raises(ExportError, match=why) as refused:
        with_starts(frame_of([stamp]), GRID, HOUR)
    assert f"instrument 7 at {stamp}" in str(refused.value)


def test_sessions_that_lean_has_no_file_for_are_refused() -> None:
    overnight = session_frame().with_columns(close=pl.col("close") + pl.duration(hours=12))
    with pytest.raises(ExportError, match="not within that day in Asia/Kolkata"):
        session_grid(overnight, IST)
    with pytest.raises(ExportError, match="the slice holds no sessions"):
        session_grid(session_frame().clear(), IST)


def test_a_tick_belongs_to_the_bar_it_begins_and_at_the_close_to_the_last() -> None:
    times = [dt.time(3, 44), dt.time(3, 45), dt.time(3, 45, 59), dt.time(3, 46), dt.time(10, 0), dt.time(10, 1)]
    ticks = frame_of([at(SESSIONS[0], time) for time in times])
    placed = with_tick_starts(ticks, GRID, 60)
    assert placed["start"].dt.time().to_list() == [dt.time(3, 45), dt.time(3, 45), dt.time(3, 46), dt.time(9, 59)]
    assert placed["timestamp"].dt.time().to_list() == [dt.time(3, 46), dt.time(3, 46), dt.time(3, 47), dt.time(10, 0)]
