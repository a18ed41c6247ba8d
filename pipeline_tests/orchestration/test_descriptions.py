"""Everything that is seen in the UI says in plain words what it is and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.definitions import defs
from pipeline_defs.exports.registry import EXPORTERS
from pipeline_defs.orchestration import checks
from pipeline_defs.orchestration.assets.teaching import of_catalog, of_source, taught
from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    import dagster as dg

GRAPH = defs.resolve_asset_graph()
REPOSITORY = defs.get_repository_def()


def assert_sentences(description: str | None, least_words: int) -> None:
    assert description is not None
    assert len(description.split()) >= least_words, description
    assert description.rstrip().endswith("."), description
    assert description[0].isupper() or not description[0].isalpha(), description


@pytest.mark.parametrize("key", sorted(GRAPH.get_all_asset_keys()), ids=str)
def test_an_asset_says_what_it_is(key: dg.AssetKey) -> None:
    assert_sentences(GRAPH.get(key).description, 12)


@pytest.mark.parametrize("group", ["ingestion", "api_ingestion", "bars", "catalogs", "uploads", "reports"])
def test_an_asset_that_people_run_says_when_to_run_it_and_what_to_do_when_it_fails(group: str) -> None:
    described = [spec.description or "" for spec in defs.resolve_all_asset_specs() if spec.group_name == group]

    assert described
    assert all("**When to run.**" in text and "**When it fails.**" in text for text in described)


@pytest.mark.parametrize("key", sorted(GRAPH.asset_check_keys), ids=str)
def test_a_check_says_what_holds(key: dg.AssetCheckKey) -> None:
    assert_sentences(GRAPH.get(key).description, 6)


@pytest.mark.parametrize("rows", [checks.SOURCE_CHECKS, checks.BAR_CHECKS])
def test_a_check_of_a_table_says_what_to_do_when_it_does_not_pass(rows: tuple[checks.Check, ...]) -> None:
    assert all(re.search(r"If it (fails|warns)", check.meaning) for check in rows)


def test_jobs_schedules_and_sensors_say_what_they_do() -> None:
    jobs: list[str | None] = [job.description for job in REPOSITORY.get_all_jobs() if not job.name.startswith("__")]
    schedules = [one.description for one in REPOSITORY.schedule_defs]
    sensors = [one.description for one in REPOSITORY.sensor_defs]

    assert min(len(jobs), len(schedules), len(sensors)) > 0
    for description in [*jobs, *schedules, *sensors]:
        assert_sentences(description, 8)


def test_pages_that_descriptions_name_are_there() -> None:
    named = {
        page
        for key in GRAPH.get_all_asset_keys()
        for page in re.findall(r"`(docs/[^`]+)`", GRAPH.get(key).description or "")
    }

    assert named
    assert [page for page in sorted(named) if not (PROJECT_ROOT / page).is_file()] == []


def test_what_is_the_same_in_all_is_written_once() -> None:
    assert taught("What.", run="Now.", mend="Mend.", page="docs/x.md") == (
        "What.\n\n**When to run.** Now.\n\n**When it fails.** Mend.\n\nMore in `docs/x.md`."
    )
    assert "yahoo_import" in of_source("Ticks.", "yahoo", is_api=True)
    assert "landing folder" in of_source("Ticks.", "nse_csv", is_api=False)
    assert all(name in of_catalog(name) for name in EXPORTERS)
