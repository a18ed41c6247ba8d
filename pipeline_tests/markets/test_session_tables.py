"""A line of the session tables that says nothing sensible is refused, not skipped."""

from __future__ import annotations

import datetime as dt

import pytest

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets import sessions
from pipeline_defs.markets.session_tables import by_segment, session_calendar, special_session
from pipeline_defs.markets.tables import parse_table

COLUMNS = ("date", "segment", "open_ist", "close_ist", "kind", "source")
GOOD = "2027-10-29,ALL,18:00,19:00,muhurat,a circular"


def read(*lines: str) -> dict[tuple[str, dt.date], object]:
    rows = parse_table("\n".join((",".join(COLUMNS), *lines)), "special.csv", COLUMNS, special_session)
    return dict(by_segment(rows))


def test_a_session_of_all_segments_counts_for_each() -> None:
    day = dt.date(2027, 10, 29)
    assert set(read(GOOD)) == {("FO", day), ("CM", day)}
    assert set(read(GOOD.replace("ALL", "CM"))) == {("CM", day)}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (GOOD.replace("2027-10-29", "29-10-2027"), "special.csv line 2: Invalid isoformat string"),
        (GOOD.replace("ALL", "EQ"), "'EQ' is none of ALL, CM, FO"),
        (GOOD.replace("muhurat", "party"), "'party' is none of budget, dr_drill, extended, muhurat"),
        (
            GOOD.replace("19:00", "18:00"),
            "open 18:00:00, continuous until 18:00:00 and close 18:00:00 are not in order",
        ),
    ],
)
def test_a_senseless_line_is_refused(line: str, message: str) -> None:
    with pytest.raises(MarketRuleError, match=message):
        read(line)


def test_two_sessions_of_one_segment_on_a_day_are_refused() -> None:
    with pytest.raises(MarketRuleError, match="two special sessions of CM on 2027-10-29"):
        read(GOOD, GOOD.replace("ALL", "CM"))


def test_a_session_of_one_segment_only_leaves_the_other_closed(monkeypatch: pytest.MonkeyPatch) -> None:

    calendar = session_calendar()
    day = dt.date(2027, 10, 30)
    hours = calendar.special_hours["CM", dt.date(2024, 11, 1)]
    monkeypatch.setitem(calendar.special_hours, ("CM", day), hours)
    assert sessions.session_on(day, "CM") is not None
    assert sessions.session_on(day, "FO") is None
