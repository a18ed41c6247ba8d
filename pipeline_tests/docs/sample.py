"""What the pages' blocks are run against: the demo's data in a home and a database of its own, and catalogs of it."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from pipeline_defs.cli.main import main
from pipeline_defs.exports.registry import get_exporter
from pipeline_defs.publishing import export_underlying
from pipeline_defs.samples.generate import DEMO, generate
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.schema.exports import Verification
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.migrations import upgrade

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

UNDERLYING: Final = "NIFTY"


class _Both(io.StringIO):
    """Writes everything twice."""

    def __init__(self, *targets: io.StringIO) -> None:
        super().__init__()
        self._targets = targets

    def write(self, text: str) -> int:
        for target in self._targets:
            target.write(text)
        return len(text)


@dataclass(frozen=True)
class Sample:
    """A state as `make demo` leaves it, without the runs of Dagster.

    Parameters
    ----------
    home : Path
        What PIPELINE_HOME names.
    warehouse : Warehouse
        The five sessions, imported; the loads are numbered as those of the demo.
    trade_dates : tuple of datetime.date
        The sessions.

    """

    home: Path
    warehouse: Warehouse
    trade_dates: tuple[dt.date, ...]
    _made: set[str] = field(default_factory=set)

    @property
    def month(self) -> str:
        """Name the month, as the catalogs' folders are called."""
        return f"{self.trade_dates[0]:%Y-%m}"

    def catalog(self, format_name: str) -> Path:
        """Give the published catalog of a format; made when first asked for.

        The engine's verification is left out: seconds each, and the tests of the format's own are about it.
        """
        folder = self.home / "catalogs" / format_name / UNDERLYING / self.month
        if format_name not in self._made:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(
                    type(get_exporter(format_name)),
                    "verify",
                    lambda *_: Verification(passed=True, engine="nobody", checks={}, failures=()),
                )
                export_underlying(
                    self.warehouse,
                    format_name,
                    UNDERLYING,
                    self.trade_dates[0],
                    self.trade_dates[-1],
                    output=folder,
                    resolutions=(3600, 86400),
                )
            self._made.add(format_name)
        return folder

    def run(self, arguments: list[str], environment: dict[str, str]) -> tuple[int, str]:
        """Run the `pipeline` command in this process; give its exit code and what it says.

        Of a command that succeeds, what goes to standard output: the rest is progress, which a terminal shows as a bar.
        """
        said, aside = io.StringIO(), io.StringIO()
        both = _Both(said, aside)
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(both), contextlib.redirect_stderr(aside):
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["pipeline", *arguments])
            try:
                main()
            except SystemExit as ended:
                code = ended.code
            else:
                code = 0
        return int(code or 0), (aside if code else said).getvalue()


def make_sample(home: Path, database_url: str) -> Sample:
    """Import the demo's delivery into an empty database.

    Parameters
    ----------
    home : Path
        Empty folder.
    database_url : str
        Of the database.

    Returns
    -------
    Sample

    """
    sample = generate(DEMO, home)
    warehouse = Warehouse(database_url)
    upgrade(warehouse)
    for day in sample.trade_dates:  # one by one, so that loads have the numbers that they have in the demo
        for _ in import_source(warehouse, get_source("nse_csv"), ImportRequest(day, day, path=sample.landing)):
            pass
    return Sample(home, warehouse, sample.trade_dates)


@contextlib.contextmanager
def working_in(folder: Path) -> Any:
    """Be in a folder for as long as the block."""
    before = os.getcwd()  # noqa: PTH109 -- the counterpart of chdir
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
