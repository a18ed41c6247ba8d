"""From the raw archive into the warehouse once more: the one place where archived files and imports meet.

The command line calls `replay_load`; the rooms it joins do not know each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_defs.errors import ConfigurationError, SourceError, StorageError
from pipeline_defs.schema.batches import ImportRequest, Source
from pipeline_defs.scratch import scratch
from pipeline_defs.sources.registry import get_source
from pipeline_defs.storage.raw_archive import holds_contents, open_raw_archive
from pipeline_defs.warehouse.load_inputs import read_load_input
from pipeline_defs.warehouse.loading import import_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.schema.batches import ImportBatch, SourceMetadata
    from pipeline_defs.settings import Settings
    from pipeline_defs.storage.raw_archive import ArchivedFile, RawArchive
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport


class _OnePartition(Source):
    """A source that gives only what belongs to the replayed load: its files may fill other tables, too."""

    def __init__(self, source: Source, table: str, bar_seconds: int) -> None:
        self.name = source.name
        self._source = source
        self._kind = (table, bar_seconds)

    def get_metadata(self) -> SourceMetadata:
        """Describe the source itself."""
        return self._source.get_metadata()

    def fetch(self, request: ImportRequest) -> Iterator[ImportBatch]:
        """Pass on the one batch that is meant."""
        return (batch for batch in self._source.fetch(request) if (batch.table, batch.bar_seconds) == self._kind)


def replay_load(warehouse: Warehouse, settings: Settings, load_id: int, *, force: bool = False) -> Iterator[LoadReport]:
    """Import what a load read once more, byte for byte as it was delivered.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    settings : Settings
        Where the raw archive is.
    load_id : int
        The load.
    force : bool, default False
        Replay it, too, if a newer load has filled its partition: the partition then becomes what it was, and what it
        is now goes to the history.

    Yields
    ------
    LoadReport
        Of the new load.

    Raises
    ------
    ConfigurationError
        If no raw archive is set.
    SourceError
        If the load read no file, or a newer one has filled its partition.
    StorageError
        If a file is not in the archive, or damaged there.
    WarehouseError
        If there is no such load.

    """
    load = read_load_input(warehouse, load_id)
    where = f"load {load_id}"
    archive = open_raw_archive(settings, load.source)
    if archive is None:
        raise ConfigurationError(
            "there is no raw archive to replay from", next_step="set PIPELINE_RAW_ARCHIVE, see docs/storage-objects.md"
        )
    if not load.contents:
        raise SourceError("read no file that could be replayed", where=where)
    if load.newest_load_id != load_id and not force:
        raise SourceError(
            f"load {load.newest_load_id} has filled the same partition since, and replaying would undo it",
            where=where,
            next_step=f"replay load {load.newest_load_id}, or use --force",
        )
    with scratch("replay") as folder:
        _restore(archive, load.contents, folder, where)
        source = _OnePartition(get_source(load.source, path=str(folder)), load.dataset, load.bar_seconds)
        request = ImportRequest(load.trade_date, load.trade_date, load.underlying)
        yield from import_source(warehouse, source, request, reread=True)


def _restore(archive: RawArchive, contents: dict[str, set[str]], folder: Path, where: str) -> None:
    """Lay the files of a load below a folder under the names they had, which sources read, too."""
    by_name: dict[str, list[ArchivedFile]] = {}
    for file in archive.files():
        by_name.setdefault(file.name, []).append(file)
    for path, digests in contents.items():
        target = folder / Path(path).absolute().relative_to("/")
        candidates = by_name.get(Path(path).name, [])
        # A plain file lies under its own digest; of anything else, look inside.
        candidates = sorted(candidates, key=lambda file: file.sha256 not in digests)
        for file in candidates:
            archive.fetch(file, target)
            if holds_contents(target, digests):
                break
        else:
            raise StorageError(
                f"the archive holds {len(candidates)} files named {Path(path).name}, none of them with what was read",
                where=f"{where}: {path}",
                next_step="import that file again while PIPELINE_RAW_ARCHIVE is set, if you still have it",
            )
