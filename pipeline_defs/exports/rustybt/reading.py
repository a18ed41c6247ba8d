"""Has rustybt read a root in its own environment; the process itself is the script `engine`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

from pipeline_defs.errors import ConfigurationError, ExportError
from pipeline_defs.settings import PROJECT_ROOT

INTERPRETER_VARIABLE: Final = "PIPELINE_RUSTYBT_PYTHON"
"""Names the Python of an environment with rustybt, when it is not `INTERPRETER`."""

INTERPRETER: Final = PROJECT_ROOT / ".venv-rustybt" / "bin" / "python"

_SCRIPT: Final = Path(__file__).with_name("engine.py")
_TAIL_CHARACTERS: Final = 2_000


def interpreter() -> Path:
    """Find the Python that has rustybt.

    Returns
    -------
    Path

    Raises
    ------
    ConfigurationError
        If it does not exist.

    """
    python = Path(os.environ.get(INTERPRETER_VARIABLE) or INTERPRETER)
    if not python.exists():
        raise ConfigurationError(
            "folders for rustybt are verified by rustybt itself, whose environment does not exist",
            where=str(python),
            next_step=f"make it with 'sh tools/rustybt.sh', or name another Python in {INTERPRETER_VARIABLE}",
        )
    return python


def read_with_rustybt(root: Path, output: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Have rustybt read both bundles of a root in a process of its own.

    Parameters
    ----------
    root : Path
        The exported root.
    output : Path
        Existing, empty folder outside it; receives the Parquet files that `engine` names.
    asked : dict
        `decimal_bundle`, `run_bundle` (or None) and `resolutions`.

    Returns
    -------
    dict
        What `engine` found.

    Raises
    ------
    ConfigurationError
        If there is no environment with rustybt.
    ExportError
        If the process failed or was aborted; the message has the end of what it said.

    """
    (output / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    command = [str(interpreter()), "-P", str(_SCRIPT), str(root.resolve()), str(output), str(output / "asked.json")]
    # Its own packages and nothing of ours: a path set for our modules must not reach it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}
    # rustybt reads and makes files below the home folder where it is not told otherwise; no bytecode beside the script.
    environment |= {"HOME": str(output), "ZIPLINE_ROOT": str(root.resolve()), "PYTHONDONTWRITEBYTECODE": "1"}
    finished = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603 -- our own script, no shell
    if finished.returncode != 0:
        said = (finished.stderr or finished.stdout).strip()[-_TAIL_CHARACTERS:]
        raise ExportError(f"rustybt ended with exit code {finished.returncode}: {said}", where=str(root))
    found: dict[str, Any] = json.loads((output / "found.json").read_text(encoding="utf-8"))
    return found
