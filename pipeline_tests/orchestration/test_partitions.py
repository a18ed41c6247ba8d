from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import ConfigurationError, MarketRuleError
from pipeline_defs.markets.sessions import IST, last_covered_date, session_dates
from pipeline_defs.orchestration.partitions import (
    catalog_partitions,
    exported_underlyings,
    finished_sessions,
    first_partition_date,
    month_dates,
    refuse_unfinished,
    session_close,
    session_partitions,
    split_catalog_key,
)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=IST)


def last_key(now: str) -> str | None:
    with dg.partition_loading_context(effective_dt=at(now)):
        return session_partitions().get_last_partition_key()


def test_keys_are_exactly_the_sessions_of_the_calendar() -> None:
    first = dt.date(2019, 1, 1)
    with dg.partition_loading_context(effective_dt=dt.datetime(2100, 1, 1, tzinfo=dt.UTC)):
        keys = session_partitions(first).get_partition_keys()

    assert keys == [day.isoformat() for day in session_dates(first, last_covered_date())]


@pytest.mark.parametrize("day", ["2024-01-20", "2024-03-02", "2025-02-01", "2025-10-21"])
def test_a_special_session_is_a_partition_weekend_or_not(day: str) -> None:
    assert session_partitions().has_partition_key(day)


@pytest.mark.parametrize("day", ["2025-08-15", "2025-08-16", "2025-08-17", "2025-08-27", "2018-12-31", "2100-01-01"])
def test_a_day_without_a_session_is_no_partition(day: str) -> None:
    assert not session_partitions().has_partition_key(day)


def test_a_session_is_a_key_on_its_own_day_though_the_next_one_is_days_away() -> None:
    assert last_key("2025-08-14T18:00") == "2025-08-14"


def test_the_definition_stays_small_enough_to_be_written_into_every_check_event() -> None:
    assert len(dg.serialize_value(session_partitions())) < 25_000


def test_a_month_of_a_catalog_depends_on_its_own_sessions() -> None:
    sessions, catalogs = session_partitions(), catalog_partitions()

    @dg.asset(partitions_def=sessions)
    def days() -> None: ...

    @dg.asset(partitions_def=catalogs, deps=[days])
    def months() -> None: ...

    graph = dg.Definitions(assets=[days, months]).resolve_asset_graph()
    mapping = graph.get_partition_mapping(months.key, days.key)
    needed = mapping.get_upstream_mapped_partitions_result_for_partitions(
        catalogs.subset_with_partition_keys(["2025-08|NIFTY"]), catalogs, sessions
    ).partitions_subset.get_partition_keys()
    touched = mapping.get_downstream_partitions_for_partitions(
        sessions.subset_with_partition_keys(["2025-08-14"]), sessions, catalogs
    ).get_partition_keys()

    assert sorted(needed) == [str(day) for day in session_dates(dt.date(2025, 8, 1), dt.date(2025, 8, 31))]
    assert sorted(touched) == sorted(f"2025-08|{name}" for name in exported_underlyings())


def test_a_catalog_key_is_month_then_underlying() -> None:
    with dg.partition_loading_context(effective_dt=at("2025-08-14T10:00")):
        keys = catalog_partitions().get_partition_keys()

    assert "2025-08|NIFTY" in keys
    assert keys[0] == "2019-01|NIFTY"
    assert split_catalog_key("2025-08|M&M") == ("2025-08", "M&M")


def test_underlyings_come_from_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_UNDERLYINGS", "NIFTY, M&M,BAJAJ-AUTO")

    assert exported_underlyings() == ["NIFTY", "M&M", "BAJAJ-AUTO"]


@pytest.mark.parametrize("text", ["nifty", "NIFTY,", "NIFTY,NIFTY", "A|B", "../X", "A B"])
def test_an_underlying_that_cannot_be_a_partition_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_UNDERLYINGS", text)

    with pytest.raises(ConfigurationError, match="PIPELINE_UNDERLYINGS"):
        exported_underlyings()


def test_the_first_date_comes_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_FIRST_DATE", "2025-08-01")

    assert session_partitions().get_first_partition_key() == "2025-08-01"
    assert catalog_partitions().get_partition_keys()[0].startswith("2025-08|")


def test_a_first_date_that_is_no_date_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_FIRST_DATE", "01-08-2025")

    with pytest.raises(ConfigurationError, match="YYYY-MM-DD"):
        first_partition_date()


@pytest.mark.parametrize("day", ["1990-01-01", "2100-01-01"])
def test_a_first_date_outside_the_calendar_is_refused(day: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_FIRST_DATE", day)

    with pytest.raises(ConfigurationError, match="outside the session calendar"):
        first_partition_date()


def test_a_session_is_refused_until_its_last_segment_closed() -> None:
    close = session_close(dt.date(2025, 8, 14))

    with pytest.raises(MarketRuleError, match=r"not over before 2025-08-14 15:30 IST"):
        refuse_unfinished(dt.date(2025, 8, 14), close - dt.timedelta(microseconds=1))
    refuse_unfinished(dt.date(2025, 8, 14), close)


def test_a_day_without_a_session_has_no_close() -> None:
    with pytest.raises(MarketRuleError, match="2025-08-15"):
        session_close(dt.date(2025, 8, 15))


def test_the_running_month_ends_with_its_last_finished_session() -> None:
    assert finished_sessions("2025-08", at("2025-08-13T16:00"))[-1] == dt.date(2025, 8, 13)
    assert finished_sessions("2025-08", at("2025-08-13T12:00"))[-1] == dt.date(2025, 8, 12)
    assert finished_sessions("2025-08", at("2025-09-13T12:00"))[-1] == dt.date(2025, 8, 29)


def test_a_month_of_which_nothing_is_over_is_refused() -> None:
    with pytest.raises(MarketRuleError, match="2025-09"):
        finished_sessions("2025-09", at("2025-08-13T12:00"))


@given(st.dates(dt.date(1990, 1, 1), dt.date(2100, 12, 31)))
def test_month_dates_are_the_first_and_last_day_of_any_month(day: dt.date) -> None:
    first, last = month_dates(day.strftime("%Y-%m"))

    assert first <= day <= last
    assert first.day == 1
    assert (last + dt.timedelta(days=1)).day == 1
    assert (first.year, first.month) == (last.year, last.month) == (day.year, day.month)
