"""The sources there are, by name; a source's module is imported when it is asked for."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Final, cast

from pipeline_defs.errors import ConfigurationError

if TYPE_CHECKING:
    from pipeline_defs.schema.batches import Source

SOURCES: Final = {
    "nse_csv": "pipeline_defs.sources.nse_csv.adapter:NseCsvSource",
}
"""Name, as stored in the `source` column, to module and class."""

FURTHER_SOURCES: Final = {
    "manual_csv": "pipeline_defs.sources.manual_csv.adapter:ManualCsvSource",
}
"""Sources that nobody delivers daily: for whoever names them, without an asset."""


def get_source(name: str, **config: object) -> Source:
    """Make a source.

    Parameters
    ----------
    name : str
        As in `SOURCES` or `FURTHER_SOURCES`; hyphens count as underscores.
    **config
        Fields of the source's class.

    Returns
    -------
    Source

    Raises
    ------
    ConfigurationError
        If there is no such source, or it has no such field.

    """
    every = SOURCES | FURTHER_SOURCES
    known = every.get(name.replace("-", "_"))
    if known is None:
        raise ConfigurationError(
            f"no source {name!r}, expected one of {', '.join(sorted(every))}", next_step="check the spelling"
        )
    module, _, class_name = known.partition(":")
    source_class = getattr(importlib.import_module(module), class_name)
    fields = inspect.signature(source_class).parameters
    unknown = sorted(set(config) - set(fields))
    if unknown:
        raise ConfigurationError(
            f"no setting {', '.join(unknown)}, expected some of {', '.join(fields)}", where=f"source {name}"
        )
    return cast("Source", source_class(**config))
