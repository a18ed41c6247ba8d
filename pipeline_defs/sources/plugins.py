"""Sources that other packages bring: what they register under an entry point, checked before anything uses it.

A package that is not well never takes the others down: it is left out with a warning, and whoever asks for its source
reads why. Two packages that bring one name are an error at once: nobody could say whose rows are whose.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.markets.market import MARKETS
from pipeline_defs.sources.entry import SourceEntry

if TYPE_CHECKING:
    from collections.abc import Collection
    from importlib.metadata import EntryPoint

GROUP: Final = "market_data_pipeline.sources"

_OURS: Final = "market-data-pipeline"
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class PluginWarning(UserWarning):
    """A package's source is left out."""


@dataclass(frozen=True, slots=True)
class Plugins:
    """What other packages bring.

    Parameters
    ----------
    entries : dict of str to SourceEntry
        By source.
    distributions : dict of str to str
        By source, which package brings it; of those that are left out, too.
    troubles : dict of str to str
        By source, why it is left out.

    """

    entries: dict[str, SourceEntry] = field(default_factory=dict)
    distributions: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)

    def trouble(self, name: str) -> ConfigurationError | None:
        """Say why a source is left out; None if it is not."""
        if name not in self.troubles:
            return None
        return ConfigurationError(
            self.troubles[name],
            where=f"source {name} of the package {self.distributions[name]}",
            next_step="mend or remove that package; the other sources work without it",
        )


def find_plugins(ours: Collection[str]) -> Plugins:
    """Find the sources that installed packages bring.

    Parameters
    ----------
    ours : collection of str
        Names that are taken.

    Returns
    -------
    Plugins
        Warned of are those that are left out.

    Raises
    ------
    ConfigurationError
        If a name is one of ours, or two packages bring it; both are named.

    """
    found = Plugins()
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, _distribution(point))):
        name, package = point.name.replace("-", "_"), _distribution(point)
        if name in ours or name in found.distributions:
            other = _OURS if name in ours else found.distributions[name]
            raise ConfigurationError(
                f"the packages {other} and {package} both bring a source {name!r}",
                next_step=f"remove {package}, or have its author choose another name",
            )
        found.distributions[name] = package
        try:
            found.entries[name] = _load(point, name)
        except Exception as error:  # noqa: BLE001 -- a package that nobody here wrote may raise anything
            found.troubles[name] = f"cannot be loaded: {type(error).__name__}: {error}"
            warnings.warn(
                f"source {name} of the package {package} is left out: {type(error).__name__}: {error}",
                PluginWarning,
                stacklevel=2,
            )
    return found


def _load(point: EntryPoint, name: str) -> SourceEntry:
    if not _NAME.fullmatch(name):
        raise ValueError(f"the name {name!r} is not of small letters, digits and single underscores")
    entry = point.load()
    if not isinstance(entry, SourceEntry):
        raise TypeError(f"{point.value} is {type(entry).__name__}, expected pipeline_defs.sources.entry.SourceEntry")
    if entry.market not in MARKETS:
        raise ValueError(f"market {entry.market!r} is none of {', '.join(MARKETS)}")
    return entry


def _distribution(point: EntryPoint) -> str:
    return "an unknown package" if point.dist is None else point.dist.name
