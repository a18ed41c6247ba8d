"""TimescaleDB's Apache edition from Debian's packages, unpacked into a folder: the system's own packages stay alone.

`apt-get` resolves the dependencies in a state folder of its own, against a system on which nothing is installed; so
the tree carries its own C library and runs on older releases. Only the libraries that the server links are kept.
"""

from __future__ import annotations

import platform
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_tests.servers.places import ServerUnavailableError, locked, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SUITE, MAJOR = "trixie", 17
PACKAGE = f"postgresql-{MAJOR}-timescaledb"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SOURCES = Path("/etc/apt")

_ARCHITECTURES = {"x86_64": ("x86_64-linux-gnu", "ld-linux-x86-64.so.2")}
_WANTED = re.compile(rf"(lib|zlib1g|gcc-.*-base|postgresql-{MAJOR}|postgresql-client-{MAJOR}|patchelf)")
_LEFT_OUT = re.compile(
    r"(lib(llvm|perl|z3|db5|debconf|json|io-|ipc|text|semanage|sepol|gdbm|c-bin|c-l10n|proc|pam-modules|edit).*|.*jit)$"
)
"""Packages of the closure that the server does not link: scripts' interpreters, the just-in-time compiler."""


def mirror(sources: Path = SOURCES) -> str:
    """Give the address of the Debian mirror that this machine is configured to use.

    Raises
    ------
    ServerUnavailableError
        If apt's sources name none.

    """
    files = [sources / "sources.list", *sorted((sources / "sources.list.d").glob("*"))]
    for file in files:
        if not file.is_file():
            continue
        text = file.read_text(errors="replace")
        if file.suffix == ".sources":
            found = [
                match[1]
                for stanza in re.split(r"\n\s*\n", text)
                if _is_debians_own(stanza)
                for match in [re.search(r"^URIs:\s*(\S+)", stanza, flags=re.MULTILINE)]
                if match
            ]
        else:
            lines = re.findall(r"^deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)\s+main\b", text, flags=re.MULTILINE)
            found = [address for address, suite in lines if re.fullmatch(r"[a-z]+", suite)]
        if found:
            return found[0]
    raise ServerUnavailableError("apt on this machine names no mirror of Debian")


def _is_debians_own(stanza: str) -> bool:
    """Whether a stanza is of Debian's releases: not of another vendor, nor of security alone, which lies elsewhere."""
    release = re.search(r"^Suites:(?:.*\s)?[a-z]+(\s|$)", stanza, flags=re.MULTILINE)
    return "debian-archive-keyring" in stanza and release is not None


def programs(root: Path) -> Path:
    """Give the folder of the server's programs in an unpacked tree."""
    return root / f"usr/lib/postgresql/{MAJOR}/bin"


def installed() -> Path:
    """Give the tree with the server, after fetching it the first time.

    Raises
    ------
    ServerUnavailableError
        If this is no Debian, or the mirror does not answer.

    """
    refuse_other_systems()
    architecture = _ARCHITECTURES[platform.machine()]
    with locked("apache") as cache:
        root = cache / f"apache-{SUITE}-{MAJOR}"
        if not (root / ".ready").exists():
            work = cache / "apache-fetching"
            try:
                fetch_and_unpack(work, root, SUITE, [PACKAGE, "patchelf"], _is_wanted)
                _relink(root, *architecture)
            finally:
                shutil.rmtree(work, ignore_errors=True)
            (root / ".ready").touch()
    return root


def refuse_other_systems() -> None:
    """Raise `ServerUnavailableError` where Debian's packages cannot be fetched, or not be run."""
    if platform.system() != "Linux" or platform.machine() not in _ARCHITECTURES:
        raise ServerUnavailableError(f"only on Linux x86_64, not on {platform.system()} {platform.machine()}")
    missing = [program for program in ("apt-get", "dpkg") if shutil.which(program) is None]
    if missing or not KEYRING.exists():
        raise ServerUnavailableError(f"this is not Debian: no {', '.join(missing) or KEYRING.name}")


def _is_wanted(package: str) -> bool:
    return bool(_WANTED.match(package)) and not _LEFT_OUT.match(package)


def fetch_and_unpack(
    work: Path, root: Path, suite: str, packages: Sequence[str], is_wanted: Callable[[str], bool]
) -> None:
    """Unpack packages of a release of Debian, and of all they need what is wanted, into a new folder.

    Raises
    ------
    ServerUnavailableError
        If the mirror does not answer or does not have them.

    """
    for folder in (work, root):
        shutil.rmtree(folder, ignore_errors=True)
    for name in ("lists/partial", "cache/archives/partial", "etc/preferences.d", "etc/apt.conf.d", "debs"):
        (work / name).mkdir(parents=True)
    (work / "status").touch()
    (work / "etc/sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
    settings: dict[str, str | Path] = {
        "Dir::Etc": work / "etc",
        "Dir::Etc::sourcelist": work / "etc/sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": work,
        "Dir::State::lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
        "pkgCacheGen::Essential": "none",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "1",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    apt = ["apt-get", "-qq", *(part for key, value in settings.items() for part in ("-o", f"{key}={value}"))]
    english = {"LC_ALL": "C"}
    run([*apt, "update"], cwd=work, environment=english)
    plan = run([*apt, "-s", "install", *packages], cwd=work, environment=english)
    closure = re.findall(r"^Inst (\S+)", plan, flags=re.MULTILINE)
    run([*apt, "download", *filter(is_wanted, closure)], cwd=work / "debs", environment=english)
    root.mkdir(mode=0o755)
    for package in sorted((work / "debs").glob("*.deb")):
        run(["dpkg", "-x", package, root], cwd=work)
    root.chmod(0o755)
    for part in ("doc", "man", "locale", "lintian", "bug"):
        shutil.rmtree(root / "usr/share" / part, ignore_errors=True)


def _relink(root: Path, libraries: str, loader: str) -> None:
    """Have the programs load the tree's own C library, and all others beside it."""
    for name in ("lib", "lib64"):
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    folder = root / "usr/lib" / libraries
    linker = folder / loader
    for program in programs(root).iterdir():
        if program.is_file() and program.read_bytes()[:4] == b"\x7fELF":
            patch: list[str | Path] = [linker, "--library-path", folder, root / "usr/bin/patchelf"]
            link: list[str | Path] = ["--set-interpreter", linker, "--force-rpath", "--set-rpath", folder]
            run([*patch, *link, program], cwd=root)
    run([programs(root) / "postgres", "--version"], cwd=root)
