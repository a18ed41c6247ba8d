from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.orchestration.runs import materialize_partition, open_instance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.samples.generate import GeneratedSample
    from pipeline_defs.settings import Settings

DAY = "2025-08-13"


def test_a_run_stands_in_the_persistent_instance(
    land: Callable[[GeneratedSample], Path], tiny_sample: GeneratedSample, settings: Settings
) -> None:
    land(tiny_sample)
    with open_instance(settings) as instance:
        run = materialize_partition("group:ingestion", DAY, instance)
    with open_instance(settings) as again:
        record = again.get_run_by_id(run.run_id)
        partitions = again.get_materialized_partitions(dg.AssetKey(["nse_csv", "options_ticks"]))
        history = again.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey(["nse_csv", "options_ticks"]), "rows_accounted_for"), limit=1
        )

    assert record is not None
    assert record.status is dg.DagsterRunStatus.SUCCESS
    assert partitions == {DAY}
    assert [entry.partition for entry in history] == [DAY]


@pytest.mark.usefixtures("settings")
def test_a_selection_of_nothing_is_refused(instance: dg.DagsterInstance) -> None:
    with pytest.raises(ConfigurationError, match="selects no asset"):
        materialize_partition("group:nothing", DAY, instance)


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    ("selection", "partition"),
    [("group:ingestion", "2025-08-15"), ("group:catalogs", "2025-08"), ("group:ingestion or group:catalogs", DAY)],
)
def test_a_partition_that_does_not_exist_is_refused(
    selection: str, partition: str, instance: dg.DagsterInstance
) -> None:
    with pytest.raises(ConfigurationError, match="has no partition"):
        materialize_partition(selection, partition, instance)


def test_a_password_is_nowhere_in_what_a_run_leaves_behind(
    land: Callable[[GeneratedSample], Path],
    tiny_sample: GeneratedSample,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    land(tiny_sample)
    with open_instance(settings) as instance:
        good = materialize_partition("group:ingestion or group:bars", DAY, instance)
        monkeypatch.setenv("PIPELINE_DATABASE_URL", "postgresql://trader:hunter2-secret@127.0.0.1:9/nowhere")
        refused = materialize_partition("group:ingestion", DAY, instance)
        logs = [str(entry) for run in (good, refused) for entry in instance.all_logs(run.run_id)]
    written = [path.read_bytes() for path in settings.dagster_home.rglob("*") if path.is_file()]
    secrets = ["hunter2-secret", *_password(settings.database_url)]

    assert good.succeeded
    assert "did not accept a connection" in refused.failures[0]
    assert "trader:***@" in refused.failures[0]
    printed = "".join(capfd.readouterr())
    for secret in secrets:
        assert secret not in printed
        assert not any(secret in text for text in logs)
        assert not any(secret.encode() in content for content in written)


def _password(url: str | None) -> list[str]:
    """The password of the test server; it has one, so that looking for it means something."""
    assert url is not None
    _, _, rest = url.partition("://")
    password = rest.partition("@")[0].partition(":")[2]
    assert len(password) > 8
    return [password]
