"""What Nautilus 2 decoded in its own environment, as that process wrote it down.

The process itself is the script `engine_2`; what the values must be is the business of `compare`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa

from pipeline_defs.exports.environments import EngineEnvironment
from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENT: Final = EngineEnvironment(
    engine="Nautilus 2",
    default=PROJECT_ROOT / ".venv-nautilus2" / "bin" / "python",
    variable="PIPELINE_NAUTILUS2_PYTHON",
    tool="tools/nautilus2.sh",
    needed_for="catalogs for Nautilus 2 are verified by that version",
)

_SCRIPT: Final = Path(__file__).with_name("engine_2.py")


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
    arguments = [root.resolve(), output]
    if trial is not None:
        asked = output / "asked.json"
        asked.write_text(json.dumps(trial), encoding="utf-8")
        arguments.append(asked)
    ENVIRONMENT.run(_SCRIPT, *arguments, root=root)
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
