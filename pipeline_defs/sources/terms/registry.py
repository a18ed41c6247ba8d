"""The readers of contract terms, by the name that ``pipeline terms import --format`` takes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final, cast

from pipeline_defs.errors import ConfigurationError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.schema.terms import TermsDelivery

READERS: Final = {
    "kite": "pipeline_defs.sources.terms.kite_dump",
    "udiff": "pipeline_defs.sources.terms.udiff",
    "csv": "pipeline_defs.sources.terms.own_csv",
}
"""Format to module."""


def read_terms(format_name: str, path: Path, as_of: dt.date | None) -> TermsDelivery:
    """Read a file of contract terms.

    Parameters
    ----------
    format_name : str
        One of `READERS`.
    path : Path
        The file.
    as_of : datetime.date or None
        Trade date of the file, where it does not say so itself.

    Returns
    -------
    TermsDelivery

    Raises
    ------
    ConfigurationError
        If there is no such format, or the date is missing or contradicts the file.
    SourceError
        If the file cannot be read as this format.

    """
    module = READERS.get(format_name)
    if module is None:
        raise ConfigurationError(f"no format {format_name!r} of terms, expected one of {', '.join(READERS)}")
    read = cast("Callable[[Path, dt.date | None], TermsDelivery]", importlib.import_module(module).read)
    return read(path, as_of)
