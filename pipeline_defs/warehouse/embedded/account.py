"""Which operating system account runs the embedded server, and how a process becomes it.

PostgreSQL refuses to run as root. Only the change of account belongs here; what is run with it is
`embedded`'s business. An ordinary user needs none of this: the server is started as that user.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from pipeline_defs.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

_CAPABILITIES = ("dac_read_search", "dac_override")
"""Least first: to search and read anywhere suffices unless programs are executable by their owner alone."""

_REACHES = 'cd "$1" && exec "$2" --version'

ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
"""All that a server program sees: no ``PG*`` setting of the caller's shell, messages in English."""


class _Identity(TypedDict, total=False):
    """Arguments of `subprocess` that change the account of a child."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """The account that owns the server's files and runs its programs.

    Parameters
    ----------
    user_id : int
        Numeric user of the server.
    group_id : int
        Numeric group of the server.
    capability : str, optional
        The one capability granted to the server so that it reaches its files below closed folders.

    """

    user_id: int
    group_id: int
    capability: str | None = None

    @property
    def is_caller(self) -> bool:
        """Whether the server runs as the calling user."""
        return self.user_id == os.geteuid()

    def command(self, *arguments: str | Path) -> list[str]:
        """Prefix a command with what grants the capability, if one is needed.

        PostgreSQL asks ``access(2)`` about its own programs, and the kernel answers that call for a user other than
        root as if no capability were held, unless the secure bit ``no_setuid_fixup`` is set.
        """
        plain = [os.fspath(argument) for argument in arguments]
        if self.capability is None:
            return plain
        ids = [f"--reuid={self.user_id}", f"--regid={self.group_id}", "--clear-groups"]
        grant = [f"--inh-caps=+{self.capability}", f"--ambient-caps=+{self.capability}"]
        return ["setpriv", *ids, *grant, "--securebits=+no_setuid_fixup", *plain]

    def identity(self) -> _Identity:
        """Give the arguments with which `subprocess` changes the account itself."""
        if self.is_caller or self.capability is not None:
            return {}
        return {"user": self.user_id, "group": self.group_id, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Hand a file or folder over to the account."""
        if not self.is_caller:
            os.chown(path, self.user_id, self.group_id)

    def reaches(self, folder: Path, program: Path) -> bool:
        """Try, as the account, to enter `folder` and to run `program`."""
        command = self.command("/bin/sh", "-c", _REACHES, "sh", folder, program)
        try:
            probe = subprocess.run(  # noqa: S603 -- a fixed script, the paths are its arguments
                command, cwd="/", env=ENVIRONMENT, capture_output=True, check=False, **self.identity()
            )
        except OSError:  # the account cannot be assumed at all, for instance in a user namespace without it
            return False
        return probe.returncode == 0


def owner_for(data: Path) -> ServerAccount:
    """Choose whose files the server's are, before knowing how they are reached.

    Parameters
    ----------
    data : Path
        Folder of the cluster; its owner runs the server if it exists.

    Returns
    -------
    ServerAccount
        The caller; for root the owner of `data`, or ``nobody``.

    Raises
    ------
    ConfigurationError
        If the files are root's own or another user's.

    """
    caller = os.geteuid()
    if not data.exists():
        if caller != 0:
            return ServerAccount(caller, os.getegid())
        nobody = pwd.getpwnam("nobody")
        return ServerAccount(nobody.pw_uid, nobody.pw_gid)
    found = data.stat()
    if found.st_uid == 0:
        raise ConfigurationError(
            "the files of the embedded database belong to root, as which PostgreSQL refuses to run",
            where=str(data),
            next_step=f"run 'chown -R nobody {data} {data.parent / 'password'}'",
        )
    if caller not in (0, found.st_uid):
        raise ConfigurationError(
            f"the embedded database belongs to user {found.st_uid}, not to the caller (user {caller})",
            where=str(data),
            next_step="run as that user, or set PIPELINE_HOME to a folder of your own",
        )
    return ServerAccount(found.st_uid, found.st_gid)


def account_reaching(owner: ServerAccount, folder: Path, program: Path) -> ServerAccount:
    """Find the least privilege with which the owner reaches its folder and its programs.

    Parameters
    ----------
    owner : ServerAccount
        From `owner_for`.
    folder : Path
        Folder that belongs to the owner.
    program : Path
        One of the server's programs.

    Returns
    -------
    ServerAccount
        Without a capability wherever the folders above are open to the owner.

    Raises
    ------
    ConfigurationError
        If no way leads there.

    """
    candidates = [owner]
    if not owner.is_caller and shutil.which("setpriv", path=ENVIRONMENT["PATH"]) is not None:
        candidates += [ServerAccount(owner.user_id, owner.group_id, capability) for capability in _CAPABILITIES]
    for candidate in candidates:
        if candidate.reaches(folder, program):
            return candidate
    raise ConfigurationError(
        f"user {owner.user_id}, who runs the embedded database, cannot both enter this folder and run {program}",
        where=str(folder),
        next_step="set PIPELINE_HOME to a folder that every user may enter (mode 755 along its whole path),"
        " or set PIPELINE_DATABASE_URL to a server of your own",
    )
