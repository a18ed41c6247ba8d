"""The compose file, as docker compose itself reads it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_tests.deployment.conftest import DEPLOY
from pipeline_tests.servers.debian_tools import docker_compose
from pipeline_tests.servers.places import ServerUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

ENDS = {"schema", "buckets"}
"""Services that do something once."""

OURS = {"schema", "buckets", "code-server", "daemon", "webserver", "metrics"}
WORKERS = {"worker", "asker"}


WITH_WORKERS = ("compose.yaml", "celery/compose.celery.yaml")


@pytest.fixture(scope="session", params=[("compose.yaml",), WITH_WORKERS], ids=["one-server", "workers"])
def compose(secrets: tuple[Path, str], request: pytest.FixtureRequest) -> dict[str, Any]:
    """The whole configuration, with anchors and variables resolved."""
    try:
        command = docker_compose()
    except ServerUnavailableError as error:
        pytest.skip(f"docker compose cannot be had: {error}")
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PIPELINE_SECRETS": str(secrets[0])}
    read = subprocess.run(
        [*command, *(f"--file={DEPLOY / name}" for name in request.param), "config", "--format", "json"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert read.returncode == 0, read.stderr
    assert "warning" not in read.stderr.lower(), read.stderr
    found: dict[str, Any] = json.loads(read.stdout)
    return found


@pytest.fixture(scope="session")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose["services"]
    return found


def test_only_the_door_has_a_port_on_the_host_and_only_on_the_loopback(services: dict[str, dict[str, Any]]) -> None:
    published = {name: service["ports"] for name, service in services.items() if service.get("ports")}
    assert list(published) == ["proxy"]
    assert [(port["host_ip"], port["target"]) for port in published["proxy"]] == [("127.0.0.1", 8443)]


def test_database_and_store_are_on_a_network_that_leads_nowhere(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert compose["networks"]["inside"]["internal"] is True
    assert {name for name, service in services.items() if set(service["networks"]) == {"inside"}} >= {
        "database",
        "object-store",
        "webserver",
        "schema",
    }
    outward = {name for name, service in services.items() if "outside" in service["networks"]}
    assert outward == {"proxy", "code-server", "daemon"} | (WORKERS & services.keys())


def test_no_secret_is_in_the_file_and_each_is_a_file_that_somebody_reads(
    compose: dict[str, Any], secrets: tuple[Path, str]
) -> None:
    text = json.dumps(dict(compose["services"].items()))
    values = {path.name: path.read_text().strip() for path in secrets[0].iterdir()}
    assert [name for name, value in values.items() if value in text] == []
    assert all(set(secret) == {"name", "file"} for secret in compose["secrets"].values())
    mounted = {entry["source"] for service in compose["services"].values() for entry in service.get("secrets", [])}
    assert mounted == set(compose["secrets"])
    for service in compose["services"].values():
        for name, value in (service.get("environment") or {}).items():
            assert not any(word in name for word in ("PASSWORD", "SECRET", "KEY", "TOKEN")) or value.startswith(
                "/run/secrets/"
            ), name
            assert "@" not in value or ":" not in value.split("@")[0].split("://")[-1], name


def test_nobody_is_root_and_nobody_can_become_it(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["user"].split(":")[0] not in {"0", "root"}, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        assert service.get("network_mode") is None, name


def test_our_containers_and_the_door_write_to_volumes_and_memory_only(services: dict[str, dict[str, Any]]) -> None:
    for name in OURS | {"proxy"} | (WORKERS & services.keys()):
        assert services[name]["read_only"] is True, name
    for name, service in services.items():
        for volume in service.get("volumes", []):
            assert volume["type"] == "volume" or volume.get("read_only"), name
            assert "docker.sock" not in volume.get("source", ""), name


def test_every_service_has_limits_a_restart_and_says_how_it_is(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert {"cpus", "memory", "pids"} <= set(limits), name
        assert service["restart"] == ("on-failure:5" if name in ENDS else "unless-stopped"), name
        health = service["healthcheck"]
        assert health.get("disable") if name in ENDS else health["test"], name


def test_every_image_is_pinned_and_ours_is_built_here(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        tag = service["image"].partition(":")[2]
        assert any(character.isdigit() for character in tag), name
        assert "latest" not in tag, name
        assert ("build" in service) == (name in OURS | WORKERS), name


def test_a_run_may_begin_on_any_worker_and_no_disk_is_between_them(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        if "broker" not in services:
            assert "PIPELINE_HOSTS" not in service.get("environment", {}), name
        elif name in WORKERS | {"code-server", "daemon", "webserver"}:
            environment = service["environment"]
            assert (environment["PIPELINE_HOSTS"], environment["PIPELINE_RUN_LAUNCHER"]) == ("many", "celery"), name
            assert environment["PIPELINE_LANDING"].startswith("s3://"), name
    homes = [
        volume.get("source")
        for name in WORKERS & services.keys()
        for volume in services[name]["volumes"]
        if volume["target"] == "/var/lib/pipeline"
    ]
    assert "state" not in homes


def test_a_process_waits_until_what_it_needs_is_well(services: dict[str, dict[str, Any]]) -> None:
    waits = {
        name: {other: wait["condition"] for other, wait in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }
    assert waits["code-server"] == {
        "schema": "service_completed_successfully",
        "buckets": "service_completed_successfully",
    }
    assert waits["schema"] == {"database": "service_healthy"}
    assert waits["proxy"] == {"webserver": "service_healthy"}


def test_the_secrets_are_made_once_and_the_password_of_the_ui_is_told_once(secrets: tuple[Path, str]) -> None:
    folder, told = secrets
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "user trader, password " in told
    password = told.partition("password ")[2].split()[0]
    assert all(password.encode() not in content for content in before.values())

    again = subprocess.run([DEPLOY / "make-secrets.sh", folder], capture_output=True, text=True, check=True)

    assert again.stderr == ""
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert len({content for name, content in before.items() if name.endswith(("password", "key"))}) == 7
