"""The export formats by name.

Adding a format is adding its folder and one line here; nothing else of the package names formats. The
classes are named, not imported, since an engine may take seconds to import or not be installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from pipeline_defs.errors import UnknownNameError

if TYPE_CHECKING:
    from pipeline_defs.schema.exporters import Exporter

EXPORTERS: Final = {
    "backtrader": "pipeline_defs.exports.backtrader.exporter:BacktraderExporter",
    "csv": "pipeline_defs.exports.generic.exporter:CsvExporter",
    "lean": "pipeline_defs.exports.lean.exporter:LeanExporter",
    "nautilus": "pipeline_defs.exports.nautilus.exporter:NautilusExporter",
    "parquet": "pipeline_defs.exports.generic.exporter:ParquetExporter",
}
"""Format name to ``module:class``."""

FURTHER_EXPORTERS: Final = {
    "nautilus-2": "pipeline_defs.exports.nautilus.exporter:Nautilus2Exporter",
    "rustybt": "pipeline_defs.exports.rustybt.exporter:RustybtExporter",
}
"""Formats that need an environment of their own to be verified: for whoever names them, without an asset."""


def get_exporter(name: str) -> Exporter:
    """Make the exporter of a format.

    Parameters
    ----------
    name : str
        As in ``pipeline export --format``.

    Returns
    -------
    Exporter

    Raises
    ------
    UnknownNameError
        If no format has that name.

    """
    known = EXPORTERS | FURTHER_EXPORTERS
    if name not in known:
        raise UnknownNameError("export format", name, known)
    module, _, class_name = known[name].partition(":")
    return cast("Exporter", getattr(import_module(module), class_name)())
