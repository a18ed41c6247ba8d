"""The sources there are: what each can fill, what it needs of the environment, and what is wanted of it.

Adapters are imported, to see which of them stream; nothing is asked, and no value of a variable is looked at.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.sources.asking.universe import read_universe
from pipeline_defs.sources.entry import Variable
from pipeline_defs.sources.registry import FURTHER_SOURCES, PLUGINS, SOURCES, source_class, source_market

if TYPE_CHECKING:
    from pipeline_defs.sources.entry import SourceEntry

_SECTIONS: Final = ("equities", "indices", "pairs", "futures", "options")


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """One source.

    Parameters
    ----------
    name : str
        As stored in the ``source`` column.
    kind : str
        ``file`` or ``api``.
    market : str
        Whose days its partitions are.
    tables : tuple of str
        Which it can fill.
    live : tuple of str
        Which it can stream.
    environment : tuple of Variable
        What it reads.
    universe : dict of str to int, or None
        How many instruments, or chains, of each section the universe file names; None for sources of files.
    has_assets : bool
        Whether Dagster has assets of it.
    meaning : str
        A sentence on it.
    trouble : str or None
        Why it cannot be used as things are; None when nothing is known against it.

    """

    name: str
    kind: str
    market: str
    tables: tuple[str, ...]
    live: tuple[str, ...]
    environment: tuple[Variable, ...]
    universe: dict[str, int] | None
    has_assets: bool
    meaning: str
    trouble: str | None

    @property
    def missing(self) -> list[str]:
        """Names of needed variables that are not set."""
        return [one.name for one in self.environment if one.is_needed and not one.is_set]

    def to_json(self) -> dict[str, Any]:
        """Give the fields; of a variable whether it is set, never its value."""
        told = asdict(self)
        told["environment"] = [{**asdict(one), "is_set": one.is_set} for one in self.environment]
        return {**told, "missing": self.missing}


def list_sources() -> list[SourceSummary]:
    """List every source, by name; also those of other packages, and those of them that cannot be loaded."""
    every = SOURCES | FURTHER_SOURCES
    found = [_summary(name, entry) for name, entry in every.items()]
    broken = [
        SourceSummary(name, "unknown", "", (), (), (), None, has_assets=False, meaning="", trouble=str(trouble))
        for name, trouble in PLUGINS.troubles.items()
    ]
    return sorted([*found, *broken], key=lambda one: one.name)


def _summary(name: str, entry: SourceEntry) -> SourceSummary:
    is_api = entry.source_type == "api"
    endpoint = Variable(f"PIPELINE_{name.upper()}_ENDPOINT", "address to ask in place of the vendor's")
    universe, trouble = _universe(name) if is_api else (None, None)
    live: tuple[str, ...] = ()
    try:
        adapter = source_class(name)
    except (ConfigurationError, ImportError) as error:
        trouble = str(error)
    else:
        if getattr(adapter, "supports_live", False):
            live = tuple(one.table for one in getattr(adapter, "live_datasets", ()))
    return SourceSummary(
        name,
        entry.source_type,
        source_market(name),
        entry.tables,
        live,
        (*entry.environment, *((endpoint,) if is_api else ())),
        universe,
        name in SOURCES,
        entry.meaning,
        trouble,
    )


def _universe(name: str) -> tuple[dict[str, int], str | None]:
    """Count what the universe file names; a file that does not speak of the source is no trouble before it is asked."""
    try:
        wanted = read_universe(name)
    except ConfigurationError as error:
        return {}, None if error.what.startswith(("cannot be read", "says nothing")) else str(error)
    counts = {section: len(getattr(wanted, section)) for section in _SECTIONS}
    return {section: count for section, count in counts.items() if count}, None
