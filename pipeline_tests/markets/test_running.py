from __future__ import annotations

import datetime as dt

import pytest

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets.market import market
from pipeline_defs.markets.running import running_session


@pytest.mark.parametrize(
    ("name", "now", "message"),
    [
        ("NSE", "2025-08-15T06:00:00Z", "no session on 2025-08-15: holiday"),
        ("NSE", "2025-08-14T03:45:00Z", "on 2025-08-14 opens at 03:45 UTC"),
        ("NSE", "2025-08-14T10:00:01Z", "on 2025-08-14 closed at 10:00 UTC"),
        ("US", "2025-11-28T18:00:01Z", "on 2025-11-28 closed at 18:00 UTC"),
        ("US", "2025-03-10T13:30:00Z", "on 2025-03-10 opens at 13:30 UTC"),
        ("US", "2025-11-03T14:30:00Z", "on 2025-11-03 opens at 14:30 UTC"),
        ("NSE", "2026-08-03T10:10:01Z", "on 2026-08-03 closed at 10:10 UTC"),
    ],
)
def test_outside_a_session_the_reason_is_told(name: str, now: str, message: str) -> None:
    with pytest.raises(MarketRuleError, match=message):
        running_session(market(name), dt.datetime.fromisoformat(now))


@pytest.mark.parametrize(
    ("name", "now", "day"),
    [
        ("NSE", "2025-08-14T03:46:00Z", "2025-08-14"),
        ("NSE", "2025-10-21T08:30:00Z", "2025-10-21"),
        ("NSE", "2026-08-03T10:10:00Z", "2026-08-03"),
        ("US", "2025-11-28T18:00:00Z", "2025-11-28"),
        ("US", "2025-03-10T13:31:00Z", "2025-03-10"),
        ("CRYPTO", "2025-05-03T00:05:00Z", "2025-05-03"),
    ],
)
def test_a_session_runs_from_its_open_to_its_close(name: str, now: str, day: str) -> None:
    assert running_session(market(name), dt.datetime.fromisoformat(now)) == dt.date.fromisoformat(day)


def test_a_session_counts_as_running_until_its_answer_is_final() -> None:
    late = dt.datetime(2025, 8, 14, 10, 10, tzinfo=dt.UTC)
    assert running_session(market("NSE"), late, dt.timedelta(minutes=15)) == dt.date(2025, 8, 14)
