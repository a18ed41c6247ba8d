"""The adapter of a moved-in bundle: it describes itself, and has nothing more to give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_defs.errors import SourceError
from pipeline_defs.schema.batches import Source, SourceMetadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.schema.batches import ImportBatch, ImportRequest


class MigratedSource(Source):
    """A source that has given everything it had.

    Parameters
    ----------
    name : str
        As its observations are stored.

    """

    def __init__(self, name: str) -> None:
        self.name = name

    def get_metadata(self) -> SourceMetadata:
        """Describe it; where each bundle came from is in its loads."""
        return SourceMetadata(self.name, "file", self.name, "moved in", supports_live=False)

    def fetch(self, request: ImportRequest) -> Iterator[ImportBatch]:
        """Refuse: a store is moved in as a whole.

        Raises
        ------
        SourceError
            Always.

        """
        del request
        system, _, bundle = self.name.split("/", 2)
        raise SourceError(
            "a moved-in bundle cannot be imported again by itself",
            where=self.name,
            next_step=f"run 'pipeline migrate {system}', after --roll-back --bundle {bundle} if its files have changed",
        )
