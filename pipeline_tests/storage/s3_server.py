"""An S3 server on loopback in a process of its own: moto, which checks signatures and rights as S3 does.

Run as a program it serves until it is ended, and first prints its address and the keys of a user who may do everything.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAY_DO_EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@contextmanager
def serving(address: str = "127.0.0.1") -> Iterator[dict[str, str]]:
    """Run a server, and give the variables by which AWS tools find it."""
    environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "0"}
    with subprocess.Popen(
        [sys.executable, __file__, address],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


def main() -> None:
    sys.path.remove(str(Path(__file__).parent))
    from moto.iam.models import iam_backends  # noqa: PLC0415 -- the path is right only now
    from moto.moto_server.werkzeug_app import create_backend_app  # noqa: PLC0415
    from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415

    users = iam_backends["123456789012"]["aws"]
    users.create_user("us-east-1", "tester")
    users.put_user_policy("tester", "everything", json.dumps(MAY_DO_EVERYTHING))
    key = users.create_access_key("tester")
    # Connections are kept open, and nothing is logged: a test sends thousands of requests.
    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    WSGIRequestHandler.log_request = lambda *_: None  # type: ignore[method-assign]
    server = make_server(sys.argv[1], 0, create_backend_app("s3"), threaded=True)
    address = {
        "AWS_ENDPOINT_URL_S3": f"http://{sys.argv[1]}:{server.server_port}",
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    print(json.dumps(address), flush=True)  # noqa: T201 -- it is how the address is told
    server.serve_forever()


if __name__ == "__main__":
    main()
