"""Sessions of the NSE: which days, which hours, and what is said about the others."""

from __future__ import annotations

import datetime as dt
import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets import sessions
from pipeline_defs.markets.session_tables import KINDS

D = dt.date
COVERED_DAYS = st.dates(D(2000, 1, 1), D(2027, 12, 31))


def hours(day: dt.date, segment: str = "FO") -> tuple[str, str]:
    session = sessions.session_on(day, segment)
    assert session is not None
    return session.open.astimezone(sessions.IST).strftime("%H:%M"), session.close.astimezone(sessions.IST).strftime(
        "%H:%M"
    )


@pytest.mark.parametrize(
    ("day", "segment", "expected"),
    [
        (D(2005, 3, 1), "FO", ("09:55", "15:30")),
        (D(2009, 12, 31), "CM", ("09:55", "15:30")),
        (D(2010, 1, 4), "FO", ("09:00", "15:30")),
        (D(2010, 10, 15), "CM", ("09:00", "15:30")),
        (D(2010, 10, 18), "CM", ("09:15", "15:30")),
        (D(2026, 7, 31), "FO", ("09:15", "15:30")),
        (D(2026, 8, 3), "FO", ("09:15", "15:40")),
        (D(2026, 7, 31), "CM", ("09:15", "15:30")),
        (D(2026, 8, 3), "CM", ("09:15", "15:35")),
    ],
)
def test_regular_hours_change_on_the_day_the_exchange_changed_them(
    day: dt.date, segment: str, expected: tuple[str, str]
) -> None:
    assert hours(day, segment) == expected


def test_instants_are_aware_utc() -> None:
    session = sessions.session_on(D(2025, 8, 20))
    assert session == sessions.Session(
        session_date=D(2025, 8, 20),
        segment="FO",
        open=dt.datetime(2025, 8, 20, 3, 45, tzinfo=dt.UTC),
        close=dt.datetime(2025, 8, 20, 10, 0, tzinfo=dt.UTC),
        kind="regular",
    )
    assert session.open.tzinfo is dt.UTC


def test_cash_trades_continuously_until_the_closing_auction_and_derivatives_until_the_close() -> None:
    assert sessions.continuous_until(D(2026, 8, 3)) == dt.datetime(2026, 8, 3, 9, 45, tzinfo=dt.UTC)
    assert sessions.continuous_until(D(2026, 8, 3), "FO") == dt.datetime(2026, 8, 3, 10, 10, tzinfo=dt.UTC)
    assert sessions.continuous_until(D(2026, 7, 31)) == dt.datetime(2026, 7, 31, 10, 0, tzinfo=dt.UTC)
    assert sessions.continuous_until(D(2026, 8, 2)) is None


@pytest.mark.parametrize(
    ("day", "kind", "expected"),
    [
        (D(2024, 11, 1), "muhurat", ("18:00", "19:00")),
        (D(2025, 10, 21), "muhurat", ("13:45", "14:45")),
        (D(2023, 11, 12), "muhurat", ("18:15", "19:15")),
        (D(2015, 2, 28), "budget", ("09:15", "15:30")),
        (D(2020, 2, 1), "budget", ("09:15", "15:30")),
        (D(2025, 2, 1), "budget", ("09:15", "15:30")),
        (D(2026, 2, 1), "budget", ("09:15", "15:30")),
        (D(2012, 4, 28), "special_live", ("11:15", "12:45")),
        (D(2024, 1, 20), "special_live", ("09:15", "15:30")),
        (D(2024, 3, 2), "dr_drill", ("09:15", "12:30")),
        (D(2024, 5, 18), "dr_drill", ("09:15", "12:40")),
        (D(2021, 2, 24), "extended", ("09:15", "17:00")),
    ],
)
@pytest.mark.parametrize("segment", ["FO", "CM"])
def test_special_sessions_have_their_own_hours(
    day: dt.date, kind: str, expected: tuple[str, str], segment: str
) -> None:
    session = sessions.session_on(day, segment)
    assert session is not None
    assert session.kind == kind
    assert hours(day, segment) == expected


@pytest.mark.parametrize("day", [D(2020, 11, 14), D(2026, 11, 8)])
def test_a_muhurat_evening_of_uncertain_hours_rejects_no_real_row_and_says_so(day: dt.date) -> None:
    opening, closing = hours(day)
    assert opening <= "18:00"
    assert closing >= "19:30"
    assert "uncertain" in sessions.sessions_between(day, day)["source"].item()


def test_every_year_since_2000_but_the_coming_one_has_one_muhurat_session() -> None:
    frame = sessions.sessions_between(D(2000, 1, 1), D(2026, 12, 31)).filter(pl.col("kind") == "muhurat")
    assert frame["session_date"].dt.year().to_list() == list(range(2000, 2027))
    assert set(frame["session_date"].dt.month()) == {10, 11}


@pytest.mark.parametrize(
    ("day", "nth"),
    [
        (D(2000, 4, 19), 73),
        (D(2001, 12, 31), 497),
        (D(2004, 12, 31), 1256),
        (D(2006, 12, 29), 1757),
        (D(2012, 2, 21), 3030),
        (D(2012, 12, 31), 3245),
        (D(2019, 12, 2), 4953),
    ],
)
def test_the_count_of_sessions_equals_the_rows_of_the_published_index_history(day: dt.date, nth: int) -> None:
    assert len(sessions.session_dates(D(2000, 1, 1), day)) == nth + 1


@pytest.mark.parametrize(
    "day", [D(2003, 3, 22), D(2004, 4, 17), D(2005, 11, 26), D(2006, 6, 25), D(2012, 9, 8), D(2005, 7, 27)]
)
def test_days_on_which_the_index_printed_are_sessions_whatever_the_library_says(day: dt.date) -> None:
    assert sessions.is_session(day)


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        (D(2025, 12, 25), "holiday Christmas"),
        (D(2026, 11, 24), "holiday Guru Nanak Jayanti"),
        (D(2024, 1, 22), "holiday Ram Mandir consecration"),
        (D(2026, 1, 15), "holiday Municipal elections"),
        (D(2025, 8, 23), "weekend"),
        (D(2021, 12, 25), "weekend"),
        (D(2026, 2, 1), None),
        (D(2025, 10, 21), None),
        (D(2005, 7, 27), None),
        (D(2025, 8, 20), None),
    ],
)
def test_a_closed_day_says_why(day: dt.date, reason: str | None) -> None:
    assert sessions.closed_reason(day) == reason
    assert sessions.is_session(day) is (reason is None)
    assert (sessions.session_on(day) is None) is (reason is not None)


def test_previous_and_next_session_are_strict_and_step_over_closed_days() -> None:
    assert sessions.previous_session(D(2026, 11, 25)) == D(2026, 11, 23)
    assert sessions.previous_session(D(2026, 11, 24)) == D(2026, 11, 23)
    assert sessions.next_session(D(2026, 1, 30)) == D(2026, 2, 1)
    assert sessions.next_session(D(2025, 10, 21)) == D(2025, 10, 23)
    assert sessions.next_session(D(2024, 1, 19)) == D(2024, 1, 20)


@given(st.dates(D(2000, 1, 4), D(2027, 12, 30)))
def test_neighbouring_sessions_have_no_session_between_them(day: dt.date) -> None:
    before, after = sessions.previous_session(day), sessions.next_session(day)
    assert before < day < after
    assert sessions.session_dates(before, after) == [before, *([day] if sessions.is_session(day) else []), after]


@given(COVERED_DAYS, st.sampled_from(["FO", "CM"]))
def test_the_table_and_the_single_look_up_agree(day: dt.date, segment: str) -> None:
    session = sessions.session_on(day, segment)
    frame = sessions.sessions_between(day, day, segment)
    found = [
        sessions.Session(row["session_date"], row["segment"], row["open"], row["close"], row["kind"])
        for row in frame.to_dicts()
    ]
    assert found == ([] if session is None else [session])


def test_the_table_has_the_declared_columns_and_is_sane() -> None:
    frame = sessions.sessions_between(sessions.first_covered_date(), sessions.last_covered_date(), "CM")
    assert dict(frame.schema) == {
        "session_date": pl.Date(),
        "segment": pl.String(),
        "open": pl.Datetime("us", "UTC"),
        "close": pl.Datetime("us", "UTC"),
        "kind": pl.String(),
        "source": pl.String(),
    }
    assert frame["session_date"].is_sorted()
    assert frame["session_date"].is_unique().all()
    assert (frame["open"] < frame["close"]).all()
    assert set(frame["kind"]) == KINDS
    assert (frame["source"].str.len_chars() > 0).all()
    local_days = frame.select(
        day=pl.col("open").dt.convert_time_zone("Asia/Kolkata").dt.date(),
        last=pl.col("close").dt.convert_time_zone("Asia/Kolkata").dt.date(),
    )
    assert (local_days["day"] == frame["session_date"]).all()
    assert (local_days["last"] == frame["session_date"]).all()


def test_a_year_whose_holidays_are_not_announced_says_so_in_its_source() -> None:
    frame = sessions.sessions_between(D(2026, 12, 31), D(2027, 1, 1))
    assert ["provisional" in source for source in frame["source"]] == [False, True]
    assert sessions.closed_reason(D(2027, 1, 26)) == "holiday Republic Day"


@pytest.mark.parametrize("day", [D(1999, 12, 31), D(2028, 1, 1)])
def test_days_outside_the_calendar_are_refused_with_the_covered_range(day: dt.date) -> None:
    inside = D(2020, 1, 1)
    for question in (
        lambda: sessions.session_on(day),
        lambda: sessions.is_session(day),
        lambda: sessions.session_dates(min(day, inside), max(day, inside)),
        lambda: sessions.sessions_between(min(day, inside), max(day, inside)),
        lambda: sessions.previous_session(day),
        lambda: sessions.next_session(day),
        lambda: sessions.closed_reason(day),
        lambda: sessions.continuous_until(day),
    ):
        with pytest.raises(MarketRuleError, match="covers 2000-01-01 to 2027-12-31"):
            question()


def test_the_ends_of_the_calendar_have_no_further_neighbour() -> None:
    with pytest.raises(MarketRuleError, match="no session is known before 2000-01-02"):
        sessions.previous_session(D(2000, 1, 2))
    with pytest.raises(MarketRuleError, match="no session is known after 2027-12-31"):
        sessions.next_session(D(2027, 12, 31))


def test_an_unknown_segment_is_refused() -> None:
    with pytest.raises(MarketRuleError, match="'CDS' has no sessions, expected one of FO, CM"):
        sessions.session_on(D(2025, 8, 20), "CDS")
    with pytest.raises(MarketRuleError, match="CDS"):
        sessions.sessions_between(D(2025, 8, 20), D(2025, 8, 20), "CDS")


def test_a_range_that_ends_before_it_starts_holds_no_session() -> None:
    assert sessions.session_dates(D(2025, 8, 22), D(2025, 8, 20)) == []
    assert sessions.sessions_between(D(2025, 8, 22), D(2025, 8, 20)).is_empty()


def test_listing_fifteen_years_takes_less_than_twenty_milliseconds() -> None:
    sessions.session_dates(D(2010, 1, 1), D(2024, 12, 31))
    started = time.process_time()
    days = sessions.session_dates(D(2010, 1, 1), D(2024, 12, 31))
    assert time.process_time() - started < 0.02
    assert len(days) > 3_600
