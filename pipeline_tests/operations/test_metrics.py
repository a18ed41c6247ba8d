"""The text that is scraped, read by Prometheus' own parser; and the alerts that are made of it."""

from __future__ import annotations

import re
import urllib.request
from typing import TYPE_CHECKING

import dagster as dg
import pytest
import yaml
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.operations import metrics
from pipeline_defs.operations.warehouse_metrics import warehouse_parts
from pipeline_defs.orchestration.operations.metrics import instance_parts
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALERTS = PROJECT_ROOT / "deploy/prometheus/alerts.yaml"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as opened:
        yield opened


def read(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Give the samples by name and labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def values(samples: dict[tuple[tuple[str, str], ...], float]) -> dict[tuple[str, ...], float]:
    return {tuple(value for _, value in labels): number for labels, number in samples.items()}


def test_the_numbers_are_what_the_tables_hold(filled: Warehouse, instance: dg.DagsterInstance) -> None:
    text = metrics.render(metrics.registry_of(warehouse_parts(filled) | instance_parts(instance)))

    found = read(text)

    assert set(found["pipeline_collector_success"].values()) == {1.0}
    assert values(found["pipeline_rows"]) == {
        ("nse_csv", "options_ticks"): 150,
        ("zerodha", "options_ticks"): 0,
    }
    assert values(found["pipeline_newest_session_timestamp_seconds"]) == {("nse_csv", "options_ticks"): 1755129600}
    assert values(found["pipeline_quarantined_lines"])["zerodha", "options_ticks"] == 7
    assert values(found["pipeline_loads"])["zerodha", "rejected", "options_ticks"] == 1
    assert values(found["pipeline_quality_findings"]) == {("error",): 1, ("warn",): 1, ("info",): 0}
    assert values(found["pipeline_quality_blocked_partitions"]) == {(): 1}
    assert values(found["pipeline_cache_requests_total"]) == {("hit",): 3, ("miss",): 1}
    assert values(found["pipeline_database_size_bytes"])[()] > 1e6
    assert values(found["pipeline_runs"])[("queued",)] == 0
    assert set(values(found["pipeline_daemon_heartbeat_timestamp_seconds"]).values()) == {0}


def test_catalogs_are_judged_as_the_database_judges_them_one_by_one(filled: Warehouse) -> None:
    with filled.connect() as connection:
        one_by_one = connection.execute(
            "SELECT count(*) FILTER (WHERE catalog_is_current(c)), count(*) FILTER (WHERE NOT catalog_is_current(c))"
            " FROM catalogs AS c WHERE NOT EXISTS"
            " (SELECT FROM catalogs AS n WHERE n.path = c.path AND n.catalog_id > c.catalog_id)"
        ).fetchall()
    found = read(metrics.render(metrics.registry_of(warehouse_parts(filled))))

    assert one_by_one == [(2, 3)]
    assert values(found["pipeline_catalogs"]) == {("yes", "nautilus"): 2, ("no", "nautilus"): 3}


@pytest.mark.usefixtures("home")
def test_a_part_that_fails_is_told_and_the_others_are_read() -> None:
    unreachable = Warehouse("postgresql://nobody@127.0.0.1:9/nothing")

    found = read(metrics.render(metrics.registry_of(warehouse_parts(unreachable))))

    success = values(found["pipeline_collector_success"])
    assert success[("loads",)] == 0
    assert success[("home",)] == 1
    assert "pipeline_home_free_bytes" in found


def test_a_listener_serves_them_and_two_scrapes_cost_one_reading() -> None:
    readings = []

    def part() -> list[GaugeMetricFamily]:
        readings.append(1)
        return [GaugeMetricFamily("pipeline_rows", "", value=len(readings))]

    server, thread = metrics.serve(metrics.registry_of({"part": part}), "127.0.0.1", 0)
    try:
        address = f"http://127.0.0.1:{server.server_port}/metrics"
        scrapes = [urllib.request.urlopen(address).read().decode() for _ in range(2)]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert values(read(scrapes[1])["pipeline_rows"]) == {(): 1}
    assert len(readings) == 1


def test_the_file_for_node_exporter_is_whole_and_has_the_name_that_is_read(tmp_path: Path) -> None:
    registry = metrics.registry_of({})
    metrics.write_file(registry, tmp_path / "pipeline.prom")

    assert "pipeline_build_info" in read((tmp_path / "pipeline.prom").read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.prom"]
    with pytest.raises(ConfigurationError, match=r"ends in \.prom"):
        metrics.write_file(registry, tmp_path / "pipeline.txt")


@pytest.mark.parametrize("text", ["9464", "host", "host:port", "host:70000", ":9464"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no address to listen on"):
        metrics.parse_address(text)
    assert metrics.parse_address("[::1]:9464") == ("::1", 9464)


def test_every_number_that_an_alert_names_exists(filled: Warehouse, instance: dg.DagsterInstance) -> None:
    parts = warehouse_parts(filled) | instance_parts(instance)
    found = read(metrics.render(metrics.registry_of(parts)))
    documented = set(re.findall(r"`(pipeline_\w+)`", (PROJECT_ROOT / "docs/production/health.md").read_text()))
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]

    for rule in rules:
        named = set(re.findall(r"\bpipeline_\w+", rule["expr"]))
        assert named, rule["alert"]
        only_where_there_is_one = {"pipeline_sessions_overdue", "pipeline_event_log_rows"}
        assert named - only_where_there_is_one <= found.keys(), rule["alert"]
        assert {"summary", "next_step"} <= rule["annotations"].keys(), rule["alert"]
    assert found.keys() <= documented | {"pipeline_build_info"}, "name them in docs/production/health.md"
