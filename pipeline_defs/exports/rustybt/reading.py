"""Has rustybt read a root in its own environment; the process itself is the script `engine`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pipeline_defs.exports.environments import EngineEnvironment
from pipeline_defs.settings import PROJECT_ROOT

ENVIRONMENT: Final = EngineEnvironment(
    engine="rustybt",
    default=PROJECT_ROOT / ".venv-rustybt" / "bin" / "python",
    variable="PIPELINE_RUSTYBT_PYTHON",
    tool="tools/rustybt.sh",
    needed_for="folders for rustybt are verified by rustybt itself",
)

_SCRIPT: Final = Path(__file__).with_name("engine.py")


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
    trial = output / "asked.json"
    trial.write_text(json.dumps(asked), encoding="utf-8")
    # rustybt reads and makes files below the home folder where it is not told otherwise; no bytecode beside the script.
    variables = {"HOME": str(output), "ZIPLINE_ROOT": str(root.resolve()), "PYTHONDONTWRITEBYTECODE": "1"}
    ENVIRONMENT.run(_SCRIPT, root.resolve(), output, trial, root=root, variables=variables)
    found: dict[str, Any] = json.loads((output / "found.json").read_text(encoding="utf-8"))
    return found
