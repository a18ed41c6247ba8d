"""Time travel: around closes, weekends, holidays, special sessions, and the day on which the hours changed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import pytest

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.freshness.deciding import Hit, Missing, NotDue, Partition, Verdict, fresh
from pipeline_defs.freshness.spans import Span
from pipeline_defs.markets.market import market

DIGEST = "what an answer depends on"


@dataclass
class Known:
    """What is stored."""

    days: set[dt.date] = field(default_factory=set)
    stored: list[tuple[dt.datetime, dt.datetime]] = field(default_factory=list)

    def knows_date(self, trade_date: dt.date) -> bool:
        return trade_date in self.days

    def holds(self, trade_date: dt.date, digest: str) -> bool:
        return digest == DIGEST and trade_date in self.days

    def spans(
        self, trade_date: dt.date, table: str, bar_seconds: int, digest: str
    ) -> list[tuple[dt.datetime, dt.datetime]]:
        del trade_date, table, bar_seconds
        return self.stored if digest == DIGEST else []


def partition(day: str, *, of: str = "NSE", bar_seconds: int = 86_400, grace_seconds: int = 900) -> Partition:
    return Partition("spot_prices", bar_seconds, dt.date.fromisoformat(day), market(of), grace_seconds, DIGEST)


def local(instant: str, zone: str) -> dt.datetime:
    return dt.datetime.fromisoformat(instant).replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)


def ist(instant: str) -> dt.datetime:
    return local(instant, "Asia/Kolkata")


def shown(verdict: Verdict) -> str:
    match verdict:
        case Hit():
            return "hit"
        case Missing():
            return "missing"
    return "closed" if verdict.is_closed else "not due"


@pytest.mark.parametrize(
    ("day", "now", "expected"),
    [
        # An ordinary Friday: it closes at 15:30, and the source needs a quarter of an hour more.
        ("2025-08-22", "2025-08-22T09:14:59", "not due"),
        ("2025-08-22", "2025-08-22T15:29:59", "not due"),
        ("2025-08-22", "2025-08-22T15:44:59", "not due"),
        ("2025-08-22", "2025-08-22T15:45:00", "missing"),
        ("2025-08-22", "2025-08-25T09:00:00", "missing"),
        # The weekend after it, a holiday, and the Saturday and Sunday on which the budget was traded.
        ("2025-08-23", "2025-08-25T09:00:00", "closed"),
        ("2025-08-24", "2025-08-25T09:00:00", "closed"),
        ("2025-08-27", "2025-08-28T09:00:00", "closed"),
        ("2025-02-01", "2025-02-01T15:44:59", "not due"),
        ("2025-02-01", "2025-02-01T15:45:00", "missing"),
        ("2026-02-01", "2026-02-01T15:45:00", "missing"),
        ("2025-02-08", "2025-02-09T12:00:00", "closed"),
        # Muhurat of 2024 in the evening, and of 2025 in the afternoon; both days are holidays otherwise.
        ("2024-11-01", "2024-11-01T15:45:00", "not due"),
        ("2024-11-01", "2024-11-01T19:14:59", "not due"),
        ("2024-11-01", "2024-11-01T19:15:00", "missing"),
        ("2025-10-21", "2025-10-21T14:59:59", "not due"),
        ("2025-10-21", "2025-10-21T15:00:00", "missing"),
        # Derivatives close at 15:40 from 3 August 2026 on.
        ("2026-07-31", "2026-07-31T15:45:00", "missing"),
        ("2026-08-03", "2026-08-03T15:45:00", "not due"),
        ("2026-08-03", "2026-08-03T15:54:59", "not due"),
        ("2026-08-03", "2026-08-03T15:55:00", "missing"),
    ],
)
def test_a_session_of_india_is_missing_from_its_close_and_the_grace_on(day: str, now: str, expected: str) -> None:
    assert shown(fresh(partition(day), ist(now), Known())) == expected


@pytest.mark.parametrize(
    ("day", "now", "expected"),
    [
        ("2025-07-03", "2025-07-03T13:14:59", "not due"),  # the eve of Independence Day closes at 13:00
        ("2025-07-03", "2025-07-03T13:15:00", "missing"),
        ("2025-07-04", "2025-07-05T12:00:00", "closed"),
        ("2025-03-07", "2025-03-07T16:15:00", "missing"),  # the Friday before summer time, and the Monday after it
        ("2025-03-10", "2025-03-10T16:14:59", "not due"),
        ("2025-03-10", "2025-03-10T16:15:00", "missing"),
    ],
)
def test_a_session_of_the_united_states_follows_new_york(day: str, now: str, expected: str) -> None:
    assert shown(fresh(partition(day, of="US"), local(now, "America/New_York"), Known())) == expected


def test_markets_that_never_close_are_due_after_midnight_of_their_day() -> None:
    end = dt.datetime(2025, 8, 25, tzinfo=dt.UTC)
    of_crypto, of_files = partition("2025-08-24", of="CRYPTO", grace_seconds=60), partition("2025-08-24", of="ANY")
    minute = dt.timedelta(minutes=1)

    assert shown(fresh(of_crypto, end + minute * 0.99, Known())) == "not due"
    assert shown(fresh(of_crypto, end + minute, Known())) == "missing"
    assert shown(fresh(of_files, ist("2025-08-25T00:14:59"), Known())) == "not due"
    assert shown(fresh(of_files, ist("2025-08-25T00:15:00"), Known())) == "missing"


def test_a_session_that_is_stored_is_a_hit_forever_and_another_universe_is_not() -> None:
    stored, known = partition("2025-08-22"), Known({dt.date(2025, 8, 22)})
    for now in ("2025-08-22T15:45:00", "2025-08-24T12:00:00", "2027-12-31T12:00:00"):
        assert fresh(stored, ist(now), known) == Hit()
    other = Partition("spot_prices", 86_400, stored.trade_date, stored.market, 900, "another universe")

    assert shown(fresh(other, ist("2025-08-24T12:00:00"), known)) == "missing"


def test_a_day_that_is_missing_is_missing_as_a_whole() -> None:
    verdict = fresh(partition("2025-08-22"), ist("2025-08-23T00:00:00"), Known())

    assert verdict == Missing((Span(ist("2025-08-22T00:00:00"), ist("2025-08-23T00:00:00")),))


def test_a_confirmed_holiday_is_a_hit_and_one_that_is_not_says_its_name() -> None:
    holiday = dt.date(2025, 8, 27)
    assert fresh(partition("2025-08-27"), ist("2025-08-28T00:00:00"), Known({holiday})) == Hit()
    verdict = fresh(partition("2025-08-27"), ist("2025-08-28T00:00:00"), Known())
    assert verdict == NotDue(None, "holiday Ganesh Chaturthi", is_closed=True)


def test_a_day_outside_the_calendar_is_an_error_and_no_holiday() -> None:
    with pytest.raises(MarketRuleError, match="2028-01-03 lies outside the calendar of NSE"):
        fresh(partition("2028-01-03"), ist("2028-01-04T00:00:00"), Known())


def test_what_is_not_due_says_when_it_will_be() -> None:
    verdict = fresh(partition("2026-08-03"), ist("2026-08-03T12:00:00"), Known())

    assert isinstance(verdict, NotDue)
    assert verdict.due_at == ist("2026-08-03T15:55:00")


def test_files_are_never_stale() -> None:
    delivered = Partition("spot_prices", 60, dt.date(2025, 8, 22), market("NSE"), 0, None)

    assert shown(fresh(delivered, ist("2026-12-31T00:00:00"), Known())) == "not due"
    assert fresh(delivered, ist("2026-12-31T00:00:00"), Known({dt.date(2025, 8, 22)})) == Hit()


# A session that is running. ------------------------------------------------------------------------------------------


def minutes(until: str, *, bar_seconds: int = 60, day: str = "2025-08-22", now: str, opens: str = "09:15") -> Verdict:
    known = Known(stored=[(ist(f"{day}T00:00"), ist(f"{day}T{until}"))] if until > opens else [])
    return fresh(partition(day, bar_seconds=bar_seconds), ist(f"{day}T{now}"), known)


@pytest.mark.parametrize("bar_seconds", [0, 60, 300])
def test_minute_data_is_fresh_for_five_minutes(bar_seconds: int) -> None:
    assert minutes("10:00", bar_seconds=bar_seconds, now="10:05:00") == Hit(ist("2025-08-22T10:00"))
    assert shown(minutes("10:00", bar_seconds=bar_seconds, now="10:06:00")) == "missing"


def test_the_missing_range_ends_with_the_last_bar_that_is_complete() -> None:
    assert minutes("10:00", now="10:06:09") == Missing(
        (Span(ist("2025-08-22T10:00"), ist("2025-08-22T10:05")),), is_whole=False
    )


def test_a_bar_is_complete_ten_seconds_after_its_close() -> None:
    for now, until in (("10:07:09", "10:06"), ("10:07:10", "10:07")):
        expected = Missing((Span(ist("2025-08-22T10:00"), ist(f"2025-08-22T{until}")),), is_whole=False)
        assert minutes("10:00", now=now) == expected
    assert minutes("15:20", now="15:30:09") == Missing(
        (Span(ist("2025-08-22T15:20"), ist("2025-08-22T15:29")),), is_whole=False
    )
    assert minutes("15:20", now="15:30:10") == Missing(
        (Span(ist("2025-08-22T15:20"), ist("2025-08-22T15:30")),), is_whole=False
    )


@pytest.mark.parametrize("allowed", [0, 2, 30])
def test_who_asks_may_allow_less_or_more_than_the_partition_does(allowed: int) -> None:
    known = Known(stored=[(ist("2025-08-22T00:00"), ist("2025-08-22T10:00"))])
    allowance = dt.timedelta(minutes=allowed)

    def at(time: str) -> Verdict:
        return fresh(partition("2025-08-22", bar_seconds=60), ist(f"2025-08-22T{time}"), known, allowance)

    assert at("10:01:09") == Hit(ist("2025-08-22T10:00"))  # everything that is complete is stored
    assert shown(at("10:01:10")) == ("missing" if allowed == 0 else "hit")
    assert shown(at("10:05:00")) == ("hit" if allowed == 30 else "missing")
    assert shown(at("15:44:59")) == "missing"


def test_hourly_data_is_fresh_for_an_hour() -> None:
    assert minutes("10:15", bar_seconds=3600, now="11:14:59") == Hit(ist("2025-08-22T10:15"))
    assert minutes("10:15", bar_seconds=3600, now="11:15:00") == Hit(ist("2025-08-22T10:15"))
    assert minutes("10:15", bar_seconds=3600, now="11:15:09") == Hit(ist("2025-08-22T10:15"))
    assert minutes("10:15", bar_seconds=3600, now="11:15:10") == Missing(
        (Span(ist("2025-08-22T10:15"), ist("2025-08-22T11:15")),), is_whole=False
    )


def test_before_its_first_complete_bar_a_session_is_not_due() -> None:
    assert minutes("09:15", now="08:00:00") == NotDue(ist("2025-08-22T09:16:10"), "the session has no complete bar yet")
    assert shown(minutes("09:15", now="09:16:09")) == "not due"
    assert shown(minutes("09:15", now="09:16:10")) == "missing"


def test_a_hole_in_the_middle_is_missing_and_the_stored_rest_is_not() -> None:
    day = "2025-08-22"
    known = Known(stored=[(ist(f"{day}T09:00"), ist(f"{day}T10:00")), (ist(f"{day}T10:30"), ist(f"{day}T11:00"))])
    verdict = fresh(partition(day, bar_seconds=60), ist(f"{day}T11:02:10"), known)

    assert verdict == Missing(
        (Span(ist(f"{day}T10:00"), ist(f"{day}T10:30")), Span(ist(f"{day}T11:00"), ist(f"{day}T11:02"))),
        is_whole=False,
    )


def test_after_the_close_the_tail_is_missing_until_the_whole_day_is_due() -> None:
    assert minutes("15:30", now="15:35:00") == Hit(ist("2025-08-22T15:30"))
    assert shown(minutes("15:29", now="15:35:01")) == "missing"
    assert minutes("15:30", now="15:45:00") == Missing((Span(ist("2025-08-22T00:00"), ist("2025-08-23T00:00")),))


def test_a_muhurat_evening_runs_for_its_own_hour() -> None:
    assert shown(minutes("18:00", day="2024-11-01", now="17:00:00", opens="18:00")) == "not due"
    assert shown(minutes("18:30", day="2024-11-01", now="18:35:00", opens="18:00")) == "hit"
    assert shown(minutes("18:30", day="2024-11-01", now="18:36:00", opens="18:00")) == "missing"
    whole = minutes("18:00", day="2024-11-01", bar_seconds=14_400, now="19:05:00", opens="18:00")
    assert whole == Missing((Span(ist("2024-11-01T18:00"), ist("2024-11-01T19:00")),), is_whole=False)


def test_the_last_minutes_of_the_longer_session_are_part_of_it() -> None:
    assert shown(minutes("15:30", day="2026-08-03", now="15:36:00")) == "missing"
    assert minutes("15:30", day="2026-08-03", now="15:44:00") == Missing(
        (Span(ist("2026-08-03T15:30"), ist("2026-08-03T15:40")),), is_whole=False
    )
