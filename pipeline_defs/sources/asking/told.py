"""A batch that was made before, given through the import path like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_defs.schema.batches import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.schema.batches import ImportBatch, ImportRequest, SourceMetadata


class Told(Source):
    """A source that gives one batch.

    Parameters
    ----------
    source : Source
        Who said it.
    batch : ImportBatch
        What it said.

    """

    def __init__(self, source: Source, batch: ImportBatch) -> None:
        self.name = source.name
        self._source, self._batch = source, batch

    def get_metadata(self) -> SourceMetadata:
        """Describe the source itself."""
        return self._source.get_metadata()

    def fetch(self, request: ImportRequest) -> Iterator[ImportBatch]:
        """Give the batch, whatever is requested."""
        del request
        yield self._batch
