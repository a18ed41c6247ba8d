"""What Nautilus 2 decoded in its own environment, as that process wrote it down.

The process itself is the script `engine_2`; what the values must be is the business of `compare`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa

from pipeline_defs.errors import ConfigurationError, ExportError
from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERPRETER_VARIABLE: Final = "PIPELINE_NAUTILUS2_PYTHON"
"""Names the Python of an environment with Nautilus 2, when it is not `INTERPRETER`."""

INTERPRETER: Final = PROJECT_ROOT / ".venv-nautilus2" / "bin" / "python"

_SCRIPT: Final = Path(__file__).with_name("engine_2.py")
_TAIL_CHARACTERS: Final = 2_000


def interpreter() -> Path:
    """Find the Python that has Nautilus 2.

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
            "catalogs for Nautilus 2 are verified by that version, whose environment does not exist",
            where=str(python),
            next_step=f"make it with 'sh tools/nautilus2.sh', or name another Python in {INTERPRETER_VARIABLE}",
        )
    return python


def read_with_version_2(root: Path, output: Path, trial: dict[str, Any] | None = None) -> DumpedReading:
    """Have Nautilus 2 read a catalog in a process of its own.

    Parameters
    ----------
    root : Path
        The catalog.
    output : Path
        Existing, empty folder outside it.
    trial : dict, optional
        `instant_ns` of a query over all instruments, and `trial` from `trials.choose_trial`.

    Returns
    -------
    DumpedReading

    Raises
    ------
    ConfigurationError
        If there is no environment with Nautilus 2.
    ExportError
        If the process failed or was aborted; the message has the end of what it said.

    """
    command = [str(interpreter()), "-P", str(_SCRIPT), str(root.resolve()), str(output)]
    if trial is not None:
        asked = output / "asked.json"
        asked.write_text(json.dumps(trial), encoding="utf-8")
        command.append(str(asked))
    # Its own packages and nothing of ours: a path set for our modules must not reach it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}
    finished = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603 -- our own script, no shell
    if finished.returncode != 0:
        said = (finished.stderr or finished.stdout).strip()[-_TAIL_CHARACTERS:]
        raise ExportError(f"Nautilus 2 ended with exit code {finished.returncode}: {said}", where=str(root))
    return DumpedReading(output)


class DumpedReading:
    """What `engine_2` wrote down, see `compare.Reading`.

    Parameters
    ----------
    output : Path
        Its folder.

    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.engine = f"nautilus_trader {self._json('version')}"

    def instruments(self) -> list[dict[str, Any]]:
        """Give the instruments, see `compare.Reading`."""
        found: list[dict[str, Any]] = self._json("instruments")
        return found

    def series(self, class_name: str) -> Iterator[tuple[str, pl.DataFrame]]:
        """Give what was decoded of a class, see `compare.Reading`."""
        identifier = "bar_type" if class_name == "Bar" else "instrument_id"
        for number, folder in enumerate(self._json(f"{class_name}/folders")):
            encoded = (self.output / class_name / f"{number}.arrow").read_bytes()
            if not encoded:
                yield folder, pl.DataFrame()
                continue
            table = pa.ipc.open_stream(encoded).read_all()
            name = table.schema.metadata[identifier.encode()].decode()
            frame = pl.DataFrame(table.drop_columns([one for one in ("identifier",) if one in table.column_names]))
            yield (
                folder,
                frame.with_columns(
                    pl.col("ts_event", "ts_init").dt.epoch("ns").cast(pl.Int64), identifier=pl.lit(name)
                ),
            )

    def bar_types_at(self, instant_ns: int) -> set[str]:  # noqa: ARG002 -- it was asked for that instant
        """Give the bar types that a query over all instruments found, see `compare.Reading`."""
        return set(self._json("bar_types"))

    def trial(self) -> dict[str, Any]:
        """Give what came of the backtest: `iterations` and `fills`."""
        played: dict[str, Any] = self._json("trial")
        return played

    def _json(self, name: str) -> Any:  # noqa: ANN401 -- any JSON value
        return json.loads((self.output / f"{name}.json").read_text(encoding="utf-8"))
