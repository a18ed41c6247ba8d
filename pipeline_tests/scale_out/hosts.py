"""Machines in a machine: network namespaces with addresses of their own on one bridge, and nothing on a disk in common.

Each host sees a `/tmp` and a `/dev/shm` that are its own memory. Where the kernel does not permit that, a host is a
group of plain processes with a folder and a loopback address of its own, which reaches the services by a `Cable`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.scale_out.cable import Cable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

PRIVATE = "/tmp"  # noqa: S108 -- of the host alone
_KEPT = shlex.join(sorted({str(PROJECT_ROOT), str(Path(sys.prefix).resolve())}))
# A clone below /tmp would vanish with the rest of it: the program's own folders, which nobody writes to, are put back.
_OWN_MEMORY = f"""
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
number=0
for kept in {_KEPT}; do
    number=$((number + 1)) && mkdir /mnt/$number && mount --bind "$kept" /mnt/$number
done
for folder in /tmp /dev/shm /var/tmp; do mount -t tmpfs tmpfs $folder; done
number=0
for kept in {_KEPT}; do
    number=$((number + 1))
    [ -e "$kept/." ] || {{ mkdir -p "$kept" && mount --bind /mnt/$number "$kept"; }}
done
cd / && exec "$@"
"""


class Host:
    """One machine.

    Parameters
    ----------
    name : str
        For people.
    address : str
        Its own.
    services : str
        Address at which the services are.
    folder : Path
        Where its processes' output is written, outside of it; of plain processes, their state, too.
    namespace : str, optional
        Of the network; empty for plain processes.
    link : str, optional
        The bridge's end of the namespace's cable.

    """

    def __init__(
        self, name: str, address: str, services: str, folder: Path, *, namespace: str = "", link: str = ""
    ) -> None:
        self.name = name
        self.address = address
        self.gateway = services if namespace else address
        self.cable = None if namespace else Cable(address, services)
        self._namespace = namespace
        self._link = link
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def home(self) -> Path:
        """A folder that no other host sees."""
        return Path(PRIVATE) if self._namespace else self._folder

    def start(
        self, program: str, command: Sequence[str], environment: Mapping[str, str], prepare: str = "true"
    ) -> subprocess.Popen[bytes]:
        """Start a program there; `prepare` is a shell command that is run before it."""
        inside = ["sh", "-c", f'{prepare} && exec "$@"', "sh", *command]
        if self._namespace:
            inside = ["ip", "netns", "exec", self._namespace, "unshare", "-m", "sh", "-c", _OWN_MEMORY, "sh", *inside]
        with self.log(program).open("ab") as output:
            process = subprocess.Popen(
                inside,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def log(self, program: str) -> Path:
        """Where a program's output goes."""
        return self._folder / f"{program}.log"

    def cut_off(self) -> None:
        """Let nothing reach it, and nothing come from it."""
        if self.cable is None:
            _ip("link", "set", self._link, "down")
        else:
            self.cable.cut()

    def reconnect(self) -> None:
        """Let it speak again."""
        if self.cable is None:
            _ip("link", "set", self._link, "up")
        else:
            self.cable.mend()

    def processes(self) -> list[int]:
        """Every process there, of whatever depth."""
        groups = {process.pid for process in self._processes}
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _parent, _group, session = status.read_text().rpartition(") ")[2].split()[:4]
            except (OSError, ValueError):
                continue
            if state != "Z" and int(session) in groups:
                found.append(int(status.parent.name))
        return found

    def cpu_seconds(self) -> float:
        """What its processes that run now, and those they waited for, have used."""
        return cpu_seconds(self.processes())

    def end(self) -> None:
        """End all of its processes."""
        if self._link:
            self.reconnect()
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.processes():
                try:
                    os.kill(pid, signal_number)
                except ProcessLookupError:
                    continue
            for process in self._processes:
                try:
                    process.wait(timeout=10 if signal_number == signal.SIGTERM else 30)
                except subprocess.TimeoutExpired:
                    continue


def cpu_seconds(pids: Sequence[int]) -> float:
    """Sum what processes, and those they have waited for, have used until now."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        except OSError:  # ended while we looked
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def why_no_namespaces() -> str | None:
    """Say why this machine gives no namespaces; None when it does."""
    if missing := [program for program in ("ip", "unshare", "mount") if shutil.which(program) is None]:
        return f"no program {missing[0]}"
    probe = f"probe{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return made.stderr.strip() or "ip netns add failed"
    try:
        tried = subprocess.run(
            ["ip", "netns", "exec", probe, "unshare", "-m", "sh", "-c", _OWN_MEMORY, "sh", "true"],
            capture_output=True,
            text=True,
            check=False,
        )
        bridge = subprocess.run(["ip", "link", "add", probe[:15], "type", "bridge"], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", probe[:15]], capture_output=True, check=False)
    finally:
        subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)
    if bridge.returncode != 0:
        return "no bridge can be made"
    return None if tried.returncode == 0 else tried.stderr.strip()


@contextmanager
def hosts(
    names: Sequence[str], folder: Path, tell: Callable[[str], None], *, namespaces: bool = True
) -> Iterator[tuple[str, dict[str, Host]]]:
    """Make machines, and take them away in the end.

    Parameters
    ----------
    names : sequence of str
        Of the hosts.
    folder : Path
        For their output.
    tell : callable
        Takes lines of the log.
    namespaces : bool, default True
        False does without them where they are permitted, too.

    Yields
    ------
    tuple of (str, dict of str to Host)
        The address at which the services that all of them use must listen, and the hosts by name.

    """
    reason = why_no_namespaces() if namespaces else "they were not asked for"
    made: dict[str, Host] = {}
    if reason is not None:
        tell(f"hosts are plain processes, not network namespaces: {reason}")
        here = "127.0.0.1"
        made = {name: Host(name, f"127.1.0.{number}", here, folder / name) for number, name in enumerate(names, 1)}
        try:
            yield here, made
        finally:
            for host in made.values():
                host.end()
        return
    own = os.getpid() % 65_000
    bridge, net = f"sob{own}", f"10.{200 + own % 50}.{own // 50 % 250}"
    _ip("link", "add", bridge, "type", "bridge")
    try:
        _ip("addr", "add", f"{net}.1/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for number, name in enumerate(names):
            namespace, outer, address = f"so{own}-{name}", f"so{own}v{number}", f"{net}.{number + 2}"
            _ip("netns", "add", namespace)
            made[name] = Host(name, address, f"{net}.1", folder / name, namespace=namespace, link=outer)
            _ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            _ip("link", "set", outer, "master", bridge, "up")
            for command in (["addr", "add", f"{address}/24", "dev", "eth0"], ["link", "set", "eth0", "up"]):
                _ip("-n", namespace, *command)
            _ip("-n", namespace, "link", "set", "lo", "up")
        tell(f"hosts are network namespaces on the bridge {net}.1, each with its own /tmp in memory")
        yield f"{net}.1", made
    finally:
        for name, host in made.items():
            host.end()
            _ip("netns", "del", f"so{own}-{name}")
        _ip("link", "del", bridge)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
