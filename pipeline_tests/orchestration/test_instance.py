from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.orchestration import instance as instance_module
from pipeline_defs.orchestration.instance import prepare_dagster_home
from pipeline_defs.orchestration.runs import open_instance
from pipeline_defs.settings import PROJECT_ROOT, Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=None)


def test_the_home_has_the_projects_configuration(settings: Settings) -> None:
    home = prepare_dagster_home(settings)

    assert home == settings.dagster_home
    assert (home / "dagster.yaml").read_bytes() == (PROJECT_ROOT / "dagster.yaml").read_bytes()


def test_preparing_twice_changes_nothing(settings: Settings) -> None:
    link = prepare_dagster_home(settings) / "dagster.yaml"
    before = link.lstat()

    prepare_dagster_home(settings)

    assert link.lstat() == before
    assert [path.name for path in settings.dagster_home.iterdir()] == ["dagster.yaml"]


def test_a_link_to_a_clone_that_moved_is_mended(settings: Settings) -> None:
    settings.dagster_home.mkdir(parents=True)
    (settings.dagster_home / "dagster.yaml").symlink_to("/nowhere/dagster.yaml")

    home = prepare_dagster_home(settings)

    assert (home / "dagster.yaml").readlink() == PROJECT_ROOT / "dagster.yaml"


def test_a_configuration_of_ones_own_is_kept(settings: Settings) -> None:
    settings.dagster_home.mkdir(parents=True)
    own = settings.dagster_home / "dagster.yaml"
    own.write_text("telemetry: {enabled: false}\n")

    prepare_dagster_home(settings)

    assert own.read_text() == "telemetry: {enabled: false}\n"


def test_an_incomplete_clone_is_an_error(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_module, "PROJECT_ROOT", tmp_path)

    with pytest.raises(ConfigurationError, match="complete clone"):
        prepare_dagster_home(settings)


def test_the_instance_keeps_to_itself(settings: Settings) -> None:
    with open_instance(settings) as opened:
        assert not opened.telemetry_enabled
        assert opened.is_persistent
        assert Path(opened.root_directory) == settings.dagster_home
        queue = opened.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 2


def test_a_source_is_asked_by_one_run_at_a_time_unless_a_person_allows_more(settings: Settings) -> None:
    with open_instance(settings) as opened:
        pools = opened.get_concurrency_config().pool_config
        assert pools.default_pool_limit == 1
        assert pools.pool_granularity is not None
        assert pools.pool_granularity.value == "run"


def test_only_a_run_that_died_is_retried_as_a_whole(settings: Settings) -> None:
    with open_instance(settings) as opened:
        assert opened.run_retries_enabled
        assert opened.run_retries_max_retries == 2
        assert not opened.run_retries_retry_on_asset_or_op_failure
        assert opened.run_monitoring_enabled


def test_dagster_accepts_the_configuration(settings: Settings) -> None:
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(settings))) as opened:
        assert opened.get_runs() == []
