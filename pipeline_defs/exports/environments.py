"""Engines that live in an environment of their own, and are spoken to by a script there.

Here is how that environment is found and its script run; what the script does, and what is asked of it, is the
format's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError, ExportError
from pipeline_defs.exports.patience import run_engine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TAIL_CHARACTERS: Final = 2_000


@dataclass(frozen=True, slots=True)
class EngineEnvironment:
    """The environment of one engine.

    Parameters
    ----------
    engine : str
        As people call it, for messages.
    default : Path
        Its Python, as ``tool`` makes it.
    variable : str
        Environment variable that names another one.
    tool : str
        Script of the project that makes it.
    needed_for : str
        Beginning of the message when it does not exist.

    """

    engine: str
    default: Path
    variable: str
    tool: str
    needed_for: str

    def interpreter(self) -> Path:
        """Find the engine's Python.

        Returns
        -------
        Path

        Raises
        ------
        ConfigurationError
            If it does not exist.

        """
        named = os.environ.get(self.variable)
        python = self.default if not named else type(self.default)(named)
        if not python.exists():
            raise ConfigurationError(
                f"{self.needed_for}, whose environment does not exist",
                where=str(python),
                next_step=f"make it with 'sh {self.tool}', or name another Python in {self.variable}",
            )
        return python

    def exists(self) -> bool:
        """Tell whether there is one."""
        try:
            self.interpreter()
        except ConfigurationError:
            return False
        return True

    def run(self, script: Path, *arguments: Path, root: Path, variables: Mapping[str, str] | None = None) -> None:
        """Run a script in it, and wait for it.

        Parameters
        ----------
        script : Path
            To run.
        *arguments : Path
            What it is given.
        root : Path
            The export that it looks at, for messages.
        variables : mapping, optional
            Of its environment, beside what is inherited.

        Raises
        ------
        ConfigurationError
            If there is no such environment.
        ExportError
            If the process failed, was aborted, or was not done in time; the message has the end of what it said.

        """
        command = [str(self.interpreter()), "-P", str(script), *map(str, arguments)]
        # Its own packages and nothing of ours: a path set for our modules must not reach it.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}
        environment = {**inherited, **(variables or {})}
        finished = run_engine(command, where=str(root), env=environment)
        if finished.returncode != 0:
            said = (finished.stderr or finished.stdout).strip()[-_TAIL_CHARACTERS:]
            raise ExportError(f"{self.engine} ended with exit code {finished.returncode}: {said}", where=str(root))
