"""The configuration for Kubernetes: the manifests and the Job of the real launcher, against the client's models."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.orchestration.workers_fixtures import IMAGE, a_run, instance_with, launch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = PROJECT_ROOT / "deploy/kubernetes"
JOBS = "/apis/batch/v1/namespaces/pipeline/jobs"
MODELS = {
    "Namespace": "V1Namespace",
    "ServiceAccount": "V1ServiceAccount",
    "Role": "V1Role",
    "RoleBinding": "V1RoleBinding",
    "ConfigMap": "V1ConfigMap",
    "Service": "V1Service",
    "Deployment": "V1Deployment",
    "Job": "V1Job",
}


def as_the_server_understands(body: dict[str, Any]) -> Any:
    """Read an object into its model and write it again: a field that there is not, is lost on the way."""
    from kubernetes import client  # noqa: PLC0415 -- one and a half seconds of every collection

    api = client.ApiClient()

    class Response:
        data = json.dumps(body)

    return api.sanitize_for_serialization(api.deserialize(Response, MODELS[body["kind"]]))


class ApiServer(BaseHTTPRequestHandler):
    """Takes Jobs as the API of Kubernetes does, and remembers what was asked of it."""

    asked: list[tuple[str, str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(("POST", self.path, body))
        self._answer(201, body)

    def do_GET(self) -> None:
        job = next(body for method, _, body in self.asked if method == "POST")
        listed = {"kind": "PodList", "apiVersion": "v1", "items": []}
        self._answer(200, listed if "/pods" in self.path else job)

    def do_DELETE(self) -> None:
        self.asked.append(("DELETE", self.path.partition("?")[0], None))
        self._answer(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        answer = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def api_server() -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    asked: list[tuple[str, str, Any]] = []
    handler = type("Handler", (ApiServer,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_a_run_becomes_a_job_whose_every_field_the_server_knows(tmp_path: Path) -> None:
    configured = yaml.safe_load((FOLDER / "run_launcher.yaml").read_text(encoding="utf-8"))
    with api_server() as (url, asked):
        context = {"cluster": "here", "user": "me"}
        kubeconfig = {
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": url}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": "here", "context": context}],
        }  # fmt: skip
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
        configured["run_launcher"]["config"] |= {
            "load_incluster_config": False,  # the test is outside of any cluster
            "kubeconfig_file": str(tmp_path / "kubeconfig"),
        }
        with instance_with(configured) as instance:
            run = launch(instance, a_run(instance))
            ((method, path, job),) = asked
            assert (method, path) == ("POST", JOBS)
            assert instance.run_launcher.terminate(run.run_id)
            messages = [entry.message for entry in instance.all_logs(run.run_id)]
            assert any("Run was terminated successfully." in message for message in messages)
        assert asked[-1][:2] == ("DELETE", f"{JOBS}/{job['metadata']['name']}")

    assert as_the_server_understands({"kind": "Job", **job}) == {"kind": "Job", **job}
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == IMAGE
    assert container["args"][:3] == ["dagster", "api", "execute_run"]
    assert run.run_id in container["args"][3]
    assert job["spec"]["backoffLimit"] == 0
    assert pod["restartPolicy"] == "Never"
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {"secretRef": {"name": "pipeline-secrets"}} in container["envFrom"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {
        "/tmp",  # noqa: S108 -- of the pod
        "/opt/dagster/dagster_home/dagster.yaml",
    }


def manifests() -> list[dict[str, Any]]:
    return [*yaml.safe_load_all((FOLDER / "manifests.yaml").read_text(encoding="utf-8"))]


@pytest.mark.parametrize("manifest", manifests(), ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_every_field_of_the_manifests_is_known_to_the_server(manifest: dict[str, Any]) -> None:
    assert as_the_server_understands(manifest) == manifest


def test_a_misspelt_field_of_a_manifest_is_found() -> None:
    (daemon,) = [one for one in manifests() if one["metadata"]["name"] == "daemon" and one["kind"] == "Deployment"]
    daemon["spec"]["template"]["spec"]["securityContex"] = {"runAsNonRoot": True}

    assert as_the_server_understands(daemon) != daemon


def test_the_manifests_and_the_launcher_name_the_same_things() -> None:
    launcher = yaml.safe_load((FOLDER / "run_launcher.yaml").read_text(encoding="utf-8"))["run_launcher"]["config"]
    named = {(one["kind"], one["metadata"]["name"]): one for one in manifests()}

    assert {one["metadata"].get("namespace", launcher["job_namespace"]) for one in named.values()} == {"pipeline"}
    assert ("ServiceAccount", launcher["service_account_name"]) in named
    assert ("ConfigMap", launcher["env_config_maps"][0]) in named
    for kind, name in named:
        if kind == "Deployment":
            pod = named[kind, name]["spec"]["template"]["spec"]
            assert {"name": "instance", "configMap": {"name": launcher["instance_config_map"]}} in pod["volumes"]
            assert {"secretRef": {"name": launcher["env_secrets"][0]}} in pod["containers"][0]["envFrom"]
    assert named["Deployment", "daemon"]["spec"]["replicas"] == 1
