"""A headless Chromium from Debian's packages, unpacked into the servers' cache: nothing is installed on the system.

Its libraries come along, but the C library is the system's, since the browser starts copies of itself; so the system
must be as new as the release the packages are of.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Final

from pipeline_tests.servers.apache_packages import fetch_and_unpack, refuse_other_systems
from pipeline_tests.servers.places import locked, run

if TYPE_CHECKING:
    from pathlib import Path

SUITE: Final = "bookworm"
PACKAGE: Final = "chromium-headless-shell"

_WANTED: Final = re.compile(r"(lib|zlib1g|chromium-|fonts-dejavu-core$|fontconfig-config$)")
_LEFT_OUT: Final = re.compile(r"lib(c6|c-bin|crypt1|debconf|perl|llvm|z3|icu|xml2|gl1-mesa-dri|glx-mesa0).*")
"""The C library, and what draws with a graphics card: a browser without a window draws by itself."""

_NEVER_USED: Final = ("libVkLayer*", "libVkICD*", "libvk_swiftshader*", "chrome_crashpad_handler")


def installed() -> Path:
    """Give the tree with the browser, after fetching it the first time.

    Raises
    ------
    ServerUnavailableError
        If this is no Debian or one that is too old, or the mirror does not answer.

    """
    refuse_other_systems()
    with locked("chromium") as cache:
        root = cache / f"chromium-{SUITE}"
        if not (root / ".ready").exists():
            work = cache / "chromium-fetching"
            try:
                fetch_and_unpack(work, root, SUITE, [PACKAGE, "fonts-dejavu-core"], _is_wanted)
                for pattern in _NEVER_USED:
                    for file in (root / "usr/lib/chromium").glob(pattern):
                        file.unlink()
            finally:
                shutil.rmtree(work, ignore_errors=True)
            run([program(root), "--version"], cwd=root, environment=environment(root))
            (root / ".ready").touch()
    return root


def program(root: Path) -> Path:
    """Give the browser in an unpacked tree."""
    return root / "usr/lib/chromium/chromium-headless-shell"


def environment(root: Path) -> dict[str, str]:
    """Give what the browser needs to find its libraries and fonts, and nothing of the user's."""
    libraries = root / "usr/lib/x86_64-linux-gnu"
    return {
        "LD_LIBRARY_PATH": os.pathsep.join(
            map(str, (libraries, libraries / "pulseaudio", root / "lib/x86_64-linux-gnu"))
        ),
        "FONTCONFIG_PATH": str(root / "etc/fonts"),
        "XDG_DATA_HOME": str(root / "usr/share"),
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
    }


def _is_wanted(package: str) -> bool:
    return bool(_WANTED.match(package)) and not _LEFT_OUT.match(package)
