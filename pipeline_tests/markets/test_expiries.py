"""Expiry days by rule, as known on a date: every era, holiday shifts, and the re-datings."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets import expiries, sessions
from pipeline_defs.markets.expiries import monthly_expiry, nth_monthly_expiry, weekly_expiry
from pipeline_defs.markets.tables import parse_table

D = dt.date

BEFORE_REDATING = D(2025, 8, 29)
AFTER_REDATING = D(2025, 9, 1)


@pytest.mark.parametrize(
    ("underlying", "expiry", "as_of"),
    [
        ("NIFTY", D(2025, 7, 31), D(2025, 7, 1)),
        ("RELIANCE", D(2019, 1, 31), D(2019, 1, 1)),
        ("NIFTY", D(2025, 9, 30), AFTER_REDATING),
        ("ABCAPITAL", D(2025, 10, 28), D(2025, 9, 2)),
        ("BANKNIFTY", D(2025, 11, 25), D(2025, 9, 2)),
        ("BANKNIFTY", D(2024, 2, 29), D(2024, 2, 1)),
        ("BANKNIFTY", D(2024, 3, 27), D(2024, 3, 1)),
        ("BANKNIFTY", D(2024, 7, 31), D(2024, 7, 1)),
        ("BANKNIFTY", D(2025, 1, 30), D(2025, 1, 1)),
        ("FINNIFTY", D(2021, 9, 30), D(2021, 9, 1)),
        ("FINNIFTY", D(2021, 10, 26), D(2021, 10, 18)),
        ("FINNIFTY", D(2024, 12, 31), D(2024, 12, 2)),
        ("FINNIFTY", D(2025, 1, 30), D(2025, 1, 1)),
        ("FINNIFTY", D(2025, 9, 30), AFTER_REDATING),
        ("MIDCPNIFTY", D(2022, 6, 28), D(2022, 6, 1)),
        ("MIDCPNIFTY", D(2023, 4, 25), D(2023, 4, 3)),
        ("MIDCPNIFTY", D(2023, 5, 31), D(2023, 5, 2)),
        ("MIDCPNIFTY", D(2023, 8, 28), D(2023, 8, 17)),
        ("MIDCPNIFTY", D(2024, 12, 30), D(2024, 12, 2)),
        ("MIDCPNIFTY", D(2025, 1, 30), D(2025, 1, 1)),
        ("NIFTYNXT50", D(2024, 4, 26), D(2024, 4, 24)),
        ("NIFTYNXT50", D(2024, 12, 27), D(2024, 12, 2)),
        ("NIFTYNXT50", D(2025, 2, 27), D(2025, 1, 1)),
        ("SENSEX", D(2024, 6, 28), D(2024, 6, 3)),
        ("SENSEX", D(2025, 1, 28), D(2025, 1, 1)),
        ("SENSEX", D(2025, 9, 25), AFTER_REDATING),
        ("BANKEX", D(2023, 10, 30), D(2023, 10, 16)),
        ("SENSEX50", D(2024, 7, 25), D(2024, 7, 1)),
        ("SENSEX50", D(2025, 3, 25), D(2025, 1, 1)),
    ],
)
def test_each_era_has_its_weekday(underlying: str, expiry: dt.date, as_of: dt.date) -> None:
    assert monthly_expiry(underlying, expiry.year, expiry.month, as_of) == expiry


@pytest.mark.parametrize(
    ("underlying", "year", "month", "expiry"),
    [
        ("NIFTY", 2008, 10, D(2008, 10, 29)),
        ("NIFTY", 2008, 12, D(2008, 12, 24)),
        ("NIFTY", 2014, 4, D(2014, 4, 23)),
        ("NIFTY", 2023, 1, D(2023, 1, 25)),
        ("BANKNIFTY", 2024, 12, D(2024, 12, 24)),
        ("NIFTY", 2026, 3, D(2026, 3, 30)),
        ("NIFTY", 2026, 11, D(2026, 11, 23)),
        ("NIFTY", 2027, 1, D(2027, 1, 25)),
    ],
)
def test_a_holiday_moves_the_expiry_to_the_session_before(
    underlying: str, year: int, month: int, expiry: dt.date
) -> None:
    assert monthly_expiry(underlying, year, month, D(year, month, 1)) == expiry


@pytest.mark.parametrize(
    ("underlying", "month", "before", "after"),
    [
        ("NIFTY", 9, D(2025, 9, 25), D(2025, 9, 30)),
        ("NIFTY", 10, D(2025, 10, 30), D(2025, 10, 28)),
        ("NIFTY", 11, D(2025, 11, 27), D(2025, 11, 25)),
        ("NIFTY", 12, D(2025, 12, 24), D(2025, 12, 30)),
        ("BANKNIFTY", 12, D(2025, 12, 24), D(2025, 12, 30)),
        ("FINNIFTY", 9, D(2025, 9, 25), D(2025, 9, 30)),
        ("MIDCPNIFTY", 10, D(2025, 10, 30), D(2025, 10, 28)),
        ("NIFTYNXT50", 11, D(2025, 11, 27), D(2025, 11, 25)),
        ("360ONE", 9, D(2025, 9, 25), D(2025, 9, 30)),
    ],
)
def test_the_redating_of_29_august_2025_shows_from_the_next_session_on(
    underlying: str, month: int, before: dt.date, after: dt.date
) -> None:
    assert monthly_expiry(underlying, 2025, month, D(2025, 6, 2)) == before
    assert monthly_expiry(underlying, 2025, month, BEFORE_REDATING) == before
    assert monthly_expiry(underlying, 2025, month, AFTER_REDATING) == after


def test_august_2025_itself_was_not_redated() -> None:
    assert monthly_expiry("NIFTY", 2025, 8, BEFORE_REDATING) == monthly_expiry("NIFTY", 2025, 8, AFTER_REDATING)
    assert monthly_expiry("NIFTY", 2025, 8, AFTER_REDATING) == D(2025, 8, 28)


@pytest.mark.parametrize(
    ("underlying", "year", "month", "as_of", "expiry"),
    [
        ("BANKNIFTY", 2024, 3, D(2024, 2, 29), D(2024, 3, 28)),
        ("BANKNIFTY", 2024, 9, D(2024, 2, 29), D(2024, 9, 26)),
        ("BANKNIFTY", 2024, 9, D(2024, 3, 1), D(2024, 9, 25)),
        ("BANKNIFTY", 2025, 3, D(2024, 12, 31), D(2025, 3, 26)),
        ("BANKNIFTY", 2025, 3, D(2025, 1, 1), D(2025, 3, 27)),
        ("FINNIFTY", 2021, 10, D(2021, 10, 14), D(2021, 10, 28)),
        ("MIDCPNIFTY", 2023, 8, D(2023, 8, 16), D(2023, 8, 30)),
        ("SENSEX", 2025, 9, BEFORE_REDATING, D(2025, 9, 30)),
        ("NIFTY", 2026, 6, BEFORE_REDATING, D(2026, 6, 25)),
        ("NIFTY", 2026, 6, AFTER_REDATING, D(2026, 6, 30)),
    ],
)
def test_an_observer_sees_the_day_that_was_listed_then(
    underlying: str, year: int, month: int, as_of: dt.date, expiry: dt.date
) -> None:
    assert monthly_expiry(underlying, year, month, as_of) == expiry


def test_the_move_to_monday_that_was_withdrawn_never_happened() -> None:
    assert weekly_expiry("NIFTY", D(2025, 4, 17), D(2025, 4, 7)) == D(2025, 4, 17)
    assert monthly_expiry("NIFTY", 2025, 4, D(2025, 4, 7)) == D(2025, 4, 24)


@pytest.mark.parametrize(
    ("year", "month", "expiry"),
    [(2027, 6, D(2027, 6, 29)), (2028, 6, D(2028, 6, 27)), (2029, 12, D(2029, 12, 24)), (2030, 12, D(2030, 12, 31))],
)
def test_years_past_the_calendar_shift_off_the_holidays_that_can_be_computed(
    year: int, month: int, expiry: dt.date
) -> None:
    assert monthly_expiry("NIFTY", year, month, D(2026, 11, 20)) == expiry


@pytest.mark.parametrize(
    ("underlying", "week_of", "as_of", "expiry"),
    [
        ("NIFTY", D(2019, 2, 11), D(2019, 2, 11), D(2019, 2, 14)),
        ("NIFTY", D(2025, 8, 20), D(2025, 8, 20), D(2025, 8, 21)),
        ("NIFTY", D(2025, 9, 2), AFTER_REDATING, D(2025, 9, 2)),
        ("NIFTY", D(2025, 9, 9), D(2025, 9, 2), D(2025, 9, 9)),
        ("NIFTY", D(2025, 9, 9), BEFORE_REDATING, D(2025, 9, 11)),
        ("NIFTY", D(2021, 11, 4), D(2021, 11, 1), D(2021, 11, 3)),
        ("NIFTY", D(2025, 10, 21), D(2025, 10, 13), D(2025, 10, 20)),
        ("NIFTY", D(2025, 4, 10), D(2025, 4, 1), D(2025, 4, 9)),
        ("BANKNIFTY", D(2023, 8, 31), D(2023, 8, 1), D(2023, 8, 31)),
        ("BANKNIFTY", D(2023, 9, 6), D(2023, 9, 1), D(2023, 9, 7)),
        ("BANKNIFTY", D(2023, 9, 6), D(2023, 9, 4), D(2023, 9, 6)),
        ("BANKNIFTY", D(2023, 9, 27), D(2023, 9, 4), D(2023, 9, 28)),
        ("BANKNIFTY", D(2024, 1, 31), D(2024, 1, 10), D(2024, 1, 31)),
        ("BANKNIFTY", D(2024, 11, 13), D(2024, 11, 1), D(2024, 11, 13)),
        ("FINNIFTY", D(2021, 10, 19), D(2021, 10, 18), D(2021, 10, 19)),
        ("FINNIFTY", D(2024, 11, 19), D(2024, 11, 1), D(2024, 11, 19)),
        ("MIDCPNIFTY", D(2023, 5, 2), D(2023, 4, 26), D(2023, 5, 3)),
        ("MIDCPNIFTY", D(2023, 8, 21), D(2023, 8, 17), D(2023, 8, 21)),
        ("MIDCPNIFTY", D(2024, 1, 22), D(2024, 1, 19), D(2024, 1, 20)),
        ("MIDCPNIFTY", D(2024, 11, 18), D(2024, 11, 1), D(2024, 11, 18)),
        ("SENSEX", D(2025, 1, 7), D(2025, 1, 1), D(2025, 1, 7)),
        ("SENSEX", D(2025, 9, 4), AFTER_REDATING, D(2025, 9, 4)),
    ],
)
def test_weekly_expiries_follow_their_eras_and_shift_off_holidays(
    underlying: str, week_of: dt.date, as_of: dt.date, expiry: dt.date
) -> None:
    assert weekly_expiry(underlying, week_of, as_of) == expiry


@pytest.mark.parametrize(
    ("underlying", "week_of"),
    [
        ("NIFTY", D(2019, 2, 7)),
        ("BANKNIFTY", D(2016, 5, 26)),
        ("BANKNIFTY", D(2024, 11, 20)),
        ("BANKNIFTY", D(2024, 11, 27)),
        ("FINNIFTY", D(2024, 11, 26)),
        ("MIDCPNIFTY", D(2024, 11, 25)),
        ("NIFTYNXT50", D(2024, 6, 14)),
        ("RELIANCE", D(2025, 8, 20)),
    ],
)
def test_weeks_without_a_weekly_contract_have_none(underlying: str, week_of: dt.date) -> None:
    assert weekly_expiry(underlying, week_of, week_of) is None


@pytest.mark.parametrize(
    ("trade_date", "expected"),
    [
        (D(2025, 8, 20), (D(2025, 8, 28), D(2025, 9, 25), D(2025, 10, 30))),
        (D(2025, 8, 28), (D(2025, 8, 28), D(2025, 9, 25), D(2025, 10, 30))),
        (D(2025, 8, 29), (D(2025, 9, 25), D(2025, 10, 30), D(2025, 11, 27))),
        (D(2025, 9, 1), (D(2025, 9, 30), D(2025, 10, 28), D(2025, 11, 25))),
        (D(2026, 11, 20), (D(2026, 11, 23), D(2026, 12, 29), D(2027, 1, 25))),
        (D(2026, 11, 23), (D(2026, 11, 23), D(2026, 12, 29), D(2027, 1, 25))),
        (D(2019, 12, 27), (D(2020, 1, 30), D(2020, 2, 27), D(2020, 3, 26))),
    ],
)
def test_rolling_futures_resolve_to_the_nearest_monthly_expiries(
    trade_date: dt.date, expected: tuple[dt.date, dt.date, dt.date]
) -> None:
    assert tuple(nth_monthly_expiry("NIFTY", trade_date, rank) for rank in (1, 2, 3)) == expected


@given(
    st.sampled_from(["NIFTY", "BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50", "SENSEX", "M&M", "360ONE"]),
    st.dates(D(2024, 5, 1), D(2027, 6, 30)),
)
def test_ranks_ascend_from_the_trade_date_and_every_expiry_is_a_session(underlying: str, trade_date: dt.date) -> None:
    found = [nth_monthly_expiry(underlying, trade_date, rank) for rank in (1, 2, 3)]
    assert trade_date <= found[0] < found[1] < found[2]
    assert found[2] - trade_date < dt.timedelta(days=130)
    assert all(sessions.is_session(expiry) for expiry in found)


@given(st.sampled_from(["NIFTY", "SENSEX"]), st.dates(D(2023, 6, 1), D(2027, 11, 30)))
def test_a_weekly_expiry_is_a_session_of_its_week_or_just_before_it(underlying: str, week_of: dt.date) -> None:
    expiry = weekly_expiry(underlying, week_of, week_of)
    monday = week_of - dt.timedelta(days=week_of.weekday())
    assert expiry is not None
    assert monday - dt.timedelta(days=4) <= expiry <= monday + dt.timedelta(days=4)
    assert sessions.is_session(expiry)


@pytest.mark.parametrize("underlying", ["", "nifty", "NIFTY 50", "12345", "-X", "A" * 21, "NIFTY25é"])
def test_what_is_no_symbol_has_no_expiry(underlying: str) -> None:
    with pytest.raises(MarketRuleError, match="is no symbol of an underlying"):
        monthly_expiry(underlying, 2025, 8, D(2025, 8, 1))
    with pytest.raises(MarketRuleError, match="is no symbol of an underlying"):
        weekly_expiry(underlying, D(2025, 8, 1), D(2025, 8, 1))


@pytest.mark.parametrize("underlying", ["INDIAVIX", "S&P500"])
def test_underlyings_that_expire_by_other_rules_are_refused(underlying: str) -> None:
    with pytest.raises(MarketRuleError, match="by no weekday rule"):
        monthly_expiry(underlying, 2014, 8, D(2014, 8, 1))


def test_months_and_ranks_that_do_not_exist_are_refused() -> None:
    with pytest.raises(MarketRuleError, match="month 13 of NIFTY contracts is not in 1 to 12"):
        monthly_expiry("NIFTY", 2025, 13, D(2025, 8, 1))
    with pytest.raises(MarketRuleError, match=r"rank 0 .* is not positive"):
        nth_monthly_expiry("NIFTY", D(2025, 8, 1), 0)


def test_contracts_before_the_first_rule_are_refused() -> None:
    with pytest.raises(MarketRuleError, match="no expiry rule covers NIFTY contracts of 2000-05"):
        monthly_expiry("NIFTY", 2000, 5, D(2000, 7, 3))
    with pytest.raises(MarketRuleError, match="as known on 1999-12-31"):
        monthly_expiry("NIFTY", 2000, 7, D(1999, 12, 31))


def test_the_rules_tabulate_with_their_sources() -> None:
    frame = expiries.rules_frame()
    assert dict(frame.schema) == {
        "underlying": pl.String(),
        "cycle": pl.String(),
        "weekday": pl.Int16(),
        "first_date": pl.Date(),
        "last_date": pl.Date(),
        "known_from": pl.Date(),
        "source": pl.String(),
    }
    assert frame["weekday"].is_between(1, 5).all()
    assert (frame["source"].str.len_chars() > 10).all()
    assert frame.select("underlying", "cycle", "known_from").is_unique().all()
    withdrawn = frame.filter(pl.col("known_from").is_between(D(2025, 3, 1), D(2025, 8, 29)))
    assert withdrawn.is_empty()


@pytest.mark.parametrize("line", ["X,daily,4,2020-01-01,,2020-01-01,s", "X,weekly,6,2020-01-01,,2020-01-01,s"])
def test_a_senseless_rule_is_refused(line: str) -> None:
    text = "\n".join((",".join(expiries._COLUMNS), line))
    with pytest.raises(MarketRuleError, match="expected monthly or weekly and 1 to 5"):
        parse_table(text, "rules.csv", expiries._COLUMNS, expiries._rule)
