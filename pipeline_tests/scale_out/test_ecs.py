"""The configuration for ECS, with the real launcher, against a server that speaks ECS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml
from dagster._core.launcher import WorkerStatus

from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.orchestration.workers_fixtures import IMAGE, a_run, instance_with, launch

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVE = """
from moto.ecs.models import EC2ContainerServiceBackend as Backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

count = Backend._calculate_task_resource_requirements

def count_without_memory(definition):
    for container in definition.container_definitions:
        container.setdefault("memory", 0)  # ECS takes the task's own when a container names none; this server fails
    return count(definition)

Backend._calculate_task_resource_requirements = staticmethod(count_without_memory)
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def aws() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def settings() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / "deploy/ecs/run_launcher.yaml").read_text(encoding="utf-8"))
    return loaded


def passed_on() -> list[str]:
    """Variables that a task has from the daemon."""
    names: list[str] = settings()["run_launcher"]["config"]["env_vars"]
    return [name for name in names if "=" not in name and name != "AWS_DEFAULT_REGION"]


def test_a_run_becomes_a_task_with_its_secrets_by_name_and_is_stopped_when_it_is_terminated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with aws() as url:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in {
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "tester",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL": url,
            "PIPELINE_ECS_CLUSTER": "pipeline",
            **dict.fromkeys(passed_on(), "set-on-the-daemon"),
            "PIPELINE_OBJECT_STORE": "s3://bucket",
            "PIPELINE_DATABASE_URL": "postgresql://loader:a-password@db/market",
        }.items():
            monkeypatch.setenv(name, value)
        ecs, ec2 = boto3.client("ecs"), boto3.client("ec2")
        ecs.create_cluster(clusterName="pipeline")
        network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        ec2.modify_vpc_attribute(VpcId=network, EnableDnsHostnames={"Value": True})
        subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        group = ec2.create_security_group(GroupName="runs", Description="runs", VpcId=network)["GroupId"]
        configured = settings()
        places = configured["run_launcher"]["config"]["run_task_kwargs"]["networkConfiguration"]["awsvpcConfiguration"]
        places |= {"subnets": [subnet], "securityGroups": [group]}  # those of the file are somebody's

        with instance_with(configured) as instance:
            run = launch(instance, a_run(instance))

            (task,) = ecs.describe_tasks(cluster="pipeline", tasks=[run.tags["ecs/task_arn"]])["tasks"]
            definition = ecs.describe_task_definition(taskDefinition=task["taskDefinitionArn"])["taskDefinition"]
            (container,) = definition["containerDefinitions"]
            (override,) = task["overrides"]["containerOverrides"]
            assert task["launchType"] == "FARGATE"
            assert container["image"] == IMAGE
            assert (definition["cpu"], definition["memory"]) == ("1024", "4096")
            environment = {entry["name"]: entry["value"] for entry in container["environment"]}
            assert environment["PIPELINE_HOSTS"] == "many"
            assert environment["PIPELINE_OBJECT_STORE"] == "s3://bucket"
            assert {secret["name"] for secret in container["secrets"]} == {
                "PIPELINE_DATABASE_URL",
                "DAGSTER_POSTGRES_PASSWORD",
            }
            assert override["command"][:3] == ["dagster", "api", "execute_run"]
            assert run.run_id in override["command"][3]
            assert len(json.dumps(task["overrides"])) < 8192, "the service takes no longer overrides"
            assert "a-password" not in f"{definition}{task}{instance.all_logs(run.run_id)}"

            assert instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
            assert instance.run_launcher.terminate(run.run_id)
            (stopped,) = ecs.describe_tasks(cluster="pipeline", tasks=[run.tags["ecs/task_arn"]])["tasks"]
            assert stopped["lastStatus"] == "STOPPED"
            assert instance.run_launcher.check_run_worker_health(run).status is not WorkerStatus.RUNNING


def test_the_launcher_refuses_a_misspelt_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    configured = settings()
    configured["run_launcher"]["config"]["run_ressources"] = {"cpu": "1024"}

    with pytest.raises(Exception, match="run_ressources"), instance_with(configured) as instance:
        assert instance.run_launcher
