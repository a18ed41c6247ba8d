"""Programs of Debian's packages that judge or run the files of a deployment: unpacked into the cache, never installed.

``docker-compose``  reads a compose file as Docker would; it needs no engine for that
``nginx``           the door before the UI
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Final

from pipeline_tests.servers.apache_packages import SUITE, fetch_and_unpack, refuse_other_systems
from pipeline_tests.servers.places import locked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LIBRARIES: Final = re.compile(r"lib(c6|crypt1|pcre2-8-0|ssl3t64|zstd1)$|zlib1g$|nginx")


def docker_compose() -> list[str]:
    """Give the command, after fetching it the first time.

    Raises
    ------
    ServerUnavailableError
        If this is no Debian, or the mirror does not answer.

    """
    root = _fetched("docker-compose", lambda name: name == "docker-compose")
    return [str(root / "usr/libexec/docker/cli-plugins/docker-compose")]


def nginx() -> list[str]:
    """Give the command, with the C library that it was made for.

    Raises
    ------
    ServerUnavailableError
        As above.

    """
    root = _fetched("nginx", lambda name: bool(_LIBRARIES.match(name)))
    folder = root / "usr/lib/x86_64-linux-gnu"
    return [str(folder / "ld-linux-x86-64.so.2"), "--library-path", str(folder), str(root / "usr/sbin/nginx")]


def _fetched(package: str, is_wanted: Callable[[str], bool]) -> Path:
    refuse_other_systems()
    with locked(package) as cache:
        root = cache / f"{package}-{SUITE}"
        if not (root / ".ready").exists():
            work = cache / f"{package}-fetching"
            try:
                fetch_and_unpack(work, root, SUITE, [package], is_wanted)
            finally:
                shutil.rmtree(work, ignore_errors=True)
            (root / ".ready").touch()
    return root
