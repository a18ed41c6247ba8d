"""The report as one HTML file: style, script and pictures are inside, nothing is fetched, every text is escaped."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.reporting.elements import Folded, Number, Status

if TYPE_CHECKING:
    import jinja2

    from pipeline_defs.reporting.building import DataReport

_PAGE: Final = Path(__file__).with_name("page")


def render(report: DataReport) -> str:
    """Write a report as HTML that needs no server, no network and no script to be read.

    Parameters
    ----------
    report : DataReport
        What it says.

    Returns
    -------
    str
        The same report gives the same text.

    """
    return _environment().get_template("report.html").render(report=report)


def write_report(report: DataReport, output: Path) -> int:
    """Put a report in the place of an older one, all at once.

    Parameters
    ----------
    report : DataReport
        What it says.
    output : Path
        File; folders above it are made.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    ConfigurationError
        If `output` is a folder or cannot be written.

    """
    page = render(report).encode()
    if output.is_dir():
        raise ConfigurationError(
            "is a folder, expected a file", where=str(output), next_step="name a file, report.html"
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(page)
            temporary.chmod(0o644)
            temporary.replace(output)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot be written: {error.strerror}", where=str(output)) from error
    return len(page)


@cache
def _environment() -> jinja2.Environment:
    import jinja2  # noqa: PLC0415 -- only whoever writes a page needs it

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.tests["status"] = lambda cell: isinstance(cell, Status)
    environment.tests["amount"] = lambda cell: isinstance(cell, Number)
    environment.tests["folded"] = lambda cell: isinstance(cell, Folded)
    return environment
