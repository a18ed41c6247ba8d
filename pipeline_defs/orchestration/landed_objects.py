"""A landing folder in a bucket: what lies there, and one session of it brought here to be read.

Every host sees the same files. What is read lies on its disk only for as long as it is read.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import SourceError
from pipeline_defs.schema.batches import ImportRequest, Source, SourceMetadata
from pipeline_defs.settings import load_settings
from pipeline_defs.sources.nse_csv.landed import LandedFiles, describe_landed, is_finished
from pipeline_defs.sources.nse_csv.products import read_names
from pipeline_defs.sources.registry import get_source
from pipeline_defs.storage.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.schema.batches import ImportBatch
    from pipeline_defs.storage.answers import Stored
    from pipeline_defs.storage.locations import S3Location

_SCRATCH: Final = "fetched"


def landed_objects(place: S3Location) -> LandedFiles:
    """Look at a landing folder in a bucket.

    Parameters
    ----------
    place : S3Location
        The prefix.

    Returns
    -------
    LandedFiles

    Raises
    ------
    StorageError
        If the store refuses or does not answer.

    """
    listing = _finished(ObjectStore.open(), place)
    return describe_landed(
        (path, tuple(path.split("/")), f"{stored.size_bytes}|{stored.etag}") for path, stored in listing.items()
    )


class LandedObjects(Source):
    """A source of files that reads a prefix of a bucket.

    Parameters
    ----------
    name : str
        Adapter of files, as in the registry.
    place : S3Location
        The prefix that is the landing folder.

    """

    def __init__(self, name: str, place: S3Location) -> None:
        self.name = name
        self._place = place

    def get_metadata(self) -> SourceMetadata:
        """Describe the adapter; the files' address is the bucket's."""
        return get_source(self.name, path=str(self._place)).get_metadata()

    def fetch(self, request: ImportRequest) -> Iterator[ImportBatch]:
        """Bring the files of the requested dates here, and read them.

        Files whose names say no trade date may hold rows of any, and are brought, too.

        Raises
        ------
        SourceError
            If there is no such file, or as for the adapter.
        StorageError
            If the store refuses or does not answer.

        """
        store = ObjectStore.open()
        paths = [path for path in _finished(store, self._place) if _may_hold(path, request)]
        if not paths:
            raise SourceError(f"holds no file of {request.start_date} to {request.end_date}", where=str(self._place))
        scratch = load_settings().home / _SCRATCH
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="landing-", dir=scratch) as folder:

            def bring(path: str) -> None:
                target = Path(folder) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                if store.download(self._place / path, target) is None:
                    raise SourceError("was removed while it was read", where=str(self._place / path))

            store.each(bring, paths)
            yield from get_source(self.name, path=folder).fetch(request)


def _finished(store: ObjectStore, place: S3Location) -> dict[str, Stored]:
    return {
        path: stored
        for path, stored in store.list_below(place).items()
        if not path.endswith("/") and ".." not in path.split("/") and is_finished(path, tuple(path.split("/")))
    }


def _may_hold(path: str, request: ImportRequest) -> bool:
    trade_date = read_names(reversed(path.split("/"))).trade_date
    return trade_date is None or request.covers(trade_date)
