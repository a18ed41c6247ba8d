"""A month ends with its last session, and its catalogs are asked for on the day after."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipeline_defs.definitions import defs
from pipeline_defs.orchestration.automation.month_end import catalog_keys, ended_month
from pipeline_defs.orchestration.partitions import exported_underlyings
from pipeline_tests.orchestration.automation.conftest import partitions_of, store

if TYPE_CHECKING:
    from pipeline_tests.orchestration.automation.conftest import Tick

SCHEDULE = "month_catalogs_schedule"
OPTIONS = [["nse_csv", "options_ticks"]]


def morning(day: str) -> str:
    return f"{day}T06:00:00+05:30"


def every(month: str) -> list[str]:
    return [f"{month}|{underlying}" for underlying in exported_underlyings()]


@pytest.mark.parametrize(
    ("last", "tick_day", "month"),
    [
        ("2025-08-29", "2025-08-30", "2025-08"),  # a Friday: the month's last two days are a weekend
        ("2025-09-30", "2025-10-01", "2025-09"),
        ("2024-03-28", "2024-03-29", "2024-03"),  # before Good Friday
        ("2025-03-28", "2025-03-29", "2025-03"),  # before a weekend and Id-ul-Fitr on Monday the 31st
        ("2026-02-27", "2026-02-28", "2026-02"),
    ],
)
def test_the_catalogs_are_asked_for_on_the_day_after_the_last_session(
    tick: Tick, instance: dg.DagsterInstance, last: str, tick_day: str, month: str
) -> None:
    store(instance, OPTIONS, [last])

    assert partitions_of(tick(SCHEDULE, morning(tick_day))) == every(month)
    assert tick(SCHEDULE, morning(last)) == (
        f"{month} has not had its last session; that of {ended_before(last):%Y-%m} was on {ended_before(last)}"
    )


def ended_before(day: str) -> dt.date:
    ended = ended_month(dt.datetime.fromisoformat(morning(day)))
    assert ended is not None
    return ended


def test_one_job_makes_every_format_and_the_certificate_of_what_is_asked_for(
    tick: Tick, instance: dg.DagsterInstance
) -> None:
    store(instance, OPTIONS, ["2025-08-29"])
    job = defs.resolve_job_def("month_catalogs")

    assert set(job.asset_layer.executable_asset_keys) == set(catalog_keys())
    assert job.partitions_def is not None
    for partition in partitions_of(tick(SCHEDULE, morning("2025-08-30"))):
        assert job.partitions_def.has_partition_key(partition)


def test_a_special_session_on_the_last_sunday_is_the_last_session(tick: Tick, instance: dg.DagsterInstance) -> None:
    store(instance, OPTIONS, ["2026-01-30"])
    assert ended_before("2026-02-02") == dt.date(2026, 1, 30)
    # The budget of 2026 was read on Sunday the first of February: it belongs to the new month.
    assert partitions_of(tick(SCHEDULE, morning("2026-02-01"))) == every("2026-01")


def test_it_waits_for_the_last_session_to_be_imported(tick: Tick, instance: dg.DagsterInstance) -> None:
    waits = tick(SCHEDULE, morning("2025-08-30"))
    assert waits == ("the last session of 2025-08, 2025-08-29, is not imported yet, from none of nse_csv, zerodha")
    store(instance, [["zerodha", "options_ticks"]], ["2025-08-29"])

    assert partitions_of(tick(SCHEDULE, morning("2025-08-31"))) == every("2025-08")


def test_only_what_is_not_published_whole_is_asked_for(tick: Tick, instance: dg.DagsterInstance) -> None:
    store(instance, OPTIONS, ["2025-08-29"])
    keys = [list(key.path) for key in catalog_keys()]
    store(instance, keys, ["2025-08|NIFTY"])
    store(instance, keys[:-1], ["2025-08|BANKNIFTY"])  # without its certificate
    instance.add_run(dg.DagsterRun("month_catalogs", str(uuid.uuid4()), tags={"dagster/partition": "2025-08|FINNIFTY"}))

    asked = partitions_of(tick(SCHEDULE, morning("2025-08-30")))
    assert asked == ["2025-08|BANKNIFTY", "2025-08|MIDCPNIFTY", "2025-08|NIFTYNXT50"]
    store(instance, keys, asked)
    assert tick(SCHEDULE, morning("2025-08-31")) == "the catalogs of 2025-08 are published, or on their way"


def test_what_failed_is_asked_for_again_each_day_but_not_for_ever(tick: Tick, instance: dg.DagsterInstance) -> None:
    store(instance, OPTIONS, ["2025-08-29"])
    first, second = tick(SCHEDULE, morning("2025-08-30")), tick(SCHEDULE, morning("2025-09-03"))

    assert not isinstance(first, str)
    assert not isinstance(second, str)
    assert {request.run_key for request in first}.isdisjoint({request.run_key for request in second})
    assert tick(SCHEDULE, morning("2025-09-04")) == (
        "2025-09 has not had its last session; that of 2025-08 was on 2025-08-29"
    )


def test_without_any_month_in_the_partitions_it_says_so(tick: Tick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_FIRST_DATE", "2025-08-05")

    assert tick(SCHEDULE, morning("2025-08-20")) == "no month has ended since the first partition"
