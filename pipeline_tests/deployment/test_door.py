"""The door before the UI, as nginx opens it: nobody passes without a user, and the password goes no further."""

from __future__ import annotations

import base64
import http.client
import http.server
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pipeline_tests.deployment.conftest import DEPLOY
from pipeline_tests.servers.debian_tools import nginx
from pipeline_tests.servers.places import ServerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class UserInterface(http.server.BaseHTTPRequestHandler):
    """Answers with the headers that it was sent."""

    def do_GET(self) -> None:
        body = str(self.headers).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def door(secrets: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of nginx with the project's configuration; only places and ports are others."""
    try:
        command = nginx()
    except ServerUnavailableError as error:
        pytest.skip(f"nginx cannot be had: {error}")
    folder, port = tmp_path_factory.mktemp("door"), free_port()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), UserInterface) as behind:
        threading.Thread(target=behind.serve_forever, daemon=True).start()
        text = (DEPLOY / "nginx/nginx.conf").read_text()
        for old, new in {
            "/tmp/": f"{folder}/",  # noqa: S108 -- of the container, and before paths that hold it
            "listen 8443": f"listen 127.0.0.1:{port}",
            "http://webserver:3000": f"http://127.0.0.1:{behind.server_port}",
            "/run/secrets/ui_users": f"{secrets[0]}/ui_users",
            "/run/secrets/ui_certificate": f"{secrets[0]}/ui_certificate.pem",
            "/run/secrets/ui_key": f"{secrets[0]}/ui_key.pem",
            "/dev/stderr": f"{folder}/errors",
            "/dev/stdout": f"{folder}/requests",
        }.items():
            assert old in text, old
            text = text.replace(old, new)
        own = "user root;\n" if os.geteuid() == 0 else ""  # who made the secrets may read them
        (folder / "nginx.conf").write_text(f"{own}{re.sub('worker_processes auto', 'worker_processes 1', text)}")
        process = subprocess.Popen(
            [*command, "-p", folder, "-e", folder / "errors", "-c", folder / "nginx.conf", "-g", "daemon off;"]
        )
        try:
            for _ in range(200):
                with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                assert process.poll() is None, (folder / "errors").read_text()
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()
            process.wait()
            behind.shutdown()


def ask(port: int, path: str = "/", login: str | None = None) -> tuple[int, str]:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=30)
    headers = {} if login is None else {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


@pytest.mark.parametrize("login", [None, "trader:wrong", "nobody:", "trader:"])
def test_a_stranger_is_refused(door: int, login: str | None) -> None:
    assert ask(door, "/graphql", login)[0] == 401


def test_the_user_passes_and_the_password_stays_outside(door: int, secrets: tuple[Path, str]) -> None:
    password = secrets[1].partition("password ")[2].split()[0]

    status, seen = ask(door, "/runs", f"trader:{password}")

    assert status == 200
    assert "X-Forwarded-Proto: https" in seen
    assert "uthorization" not in seen


def test_the_probe_needs_no_user_and_shows_nothing(door: int) -> None:
    assert ask(door, "/healthz") == (200, "ok\n")
    assert ask(door, "/healthz/../graphql")[0] == 401


def test_guessing_is_slowed_down(door: int) -> None:
    with ThreadPoolExecutor(40) as guesses:
        answers = list(guesses.map(lambda number: ask(door, "/", None if number else "trader:")[0], range(40)))

    assert set(answers) == {401, 429}


def test_plain_http_gets_nothing(door: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", door, timeout=30)
    connection.request("GET", "/")
    assert connection.getresponse().status == 400
    connection.close()
