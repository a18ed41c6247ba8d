"""What sources delivered, kept as it came, before anything is made of it.

A delivery is the file on disk: of an archive the archive, never its members. It is kept under its digest,
``raw/<source>/<MM-YYYY>/<sha256>/<name>``, so that a delivery with other bytes under the same name lies beside the
first, and nothing is ever overwritten. Who decides which files were read, and what they mean, is the source.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import gzip
import hashlib
import io
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Final

from pipeline_defs.errors import StorageError
from pipeline_defs.storage.answers import Upload
from pipeline_defs.storage.file_locks import lock_file
from pipeline_defs.storage.locations import Location, S3Location, parse_location, raw_place
from pipeline_defs.storage.objects import ObjectStore
from pipeline_defs.zips import DAMAGE, open_zip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.settings import Settings

_MAX_DEPTH: Final = 4
_CHUNK_BYTES: Final = 1 << 20
_MOST_PACKED_BYTES: Final = 1 << 30
"""Of an archive within an archive, which is read whole."""
_ARRIVING: Final = ".arriving"


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """One delivery in the archive.

    Parameters
    ----------
    sha256 : str
        Of the file as it was delivered.
    name : str
        Its base name.
    place : Path or S3Location
        Where it lies.

    """

    sha256: str
    name: str
    place: Location


class RawArchive:
    """The archive of one source.

    Parameters
    ----------
    base : Path or S3Location
        Below which ``raw/`` is.
    source : str
        Adapter name.
    store : ObjectStore, optional
        For a base in an object store; default: the store that the environment names.

    """

    def __init__(self, base: Location, source: str, store: ObjectStore | None = None) -> None:
        self.base = base
        self.source = source
        self._store = store
        self._kept: dict[str, tuple[int, int]] = {}
        self._there: dict[str, set[str]] = {}

    @property
    def store(self) -> ObjectStore:
        """The object store, opened when it is first needed."""
        if self._store is None:
            self._store = ObjectStore.open()
        return self._store

    def keep(self, path: str, trade_date: dt.date | None) -> None:
        """Keep a file that is about to be read; at once if it is there already.

        Parameters
        ----------
        path : str
            The file on disk. Archives are kept whole, whichever member is read.
        trade_date : datetime.date or None
            Which month it belongs to; None, when its name does not say, means the month of its time stamp.

        Raises
        ------
        StorageError
            If it cannot be kept: it is not to be read then.

        """
        file = Path(path)
        try:
            status = file.stat()
            stamp = (status.st_size, status.st_mtime_ns)
            if self._kept.get(path) == stamp:
                return
            sha256 = _digest(file)
        except OSError as error:
            raise StorageError(f"cannot be read: {error.strerror}", where=path) from error
        day = trade_date or dt.datetime.fromtimestamp(status.st_mtime, dt.UTC).date()
        month = raw_place(self.base, self.source, day)
        if isinstance(month, S3Location):
            self._keep_object(file, month, sha256, status.st_size)
        else:
            if str(month) not in self._there:
                self._there[str(month)] = set()
                _remove_abandoned(month)
            _keep_file(file, month / sha256 / file.name, sha256)
        self._kept[path] = stamp

    def files(self) -> Iterator[ArchivedFile]:
        """List everything the source delivered.

        Yields
        ------
        ArchivedFile
            In the order of the months and digests.

        """
        if isinstance(self.base, S3Location):
            root = self.base / "raw" / self.source
            for path in self.store.list_below(root):
                _, sha256, name = path.split("/", 2)
                yield ArchivedFile(sha256, name, root / path)
        else:
            for place in sorted((self.base / "raw" / self.source).glob("*/*/*")):
                if not place.name.startswith("."):
                    yield ArchivedFile(place.parent.name, place.name, place)

    def fetch(self, file: ArchivedFile, target: Path) -> None:
        """Copy a delivery out of the archive.

        Raises
        ------
        StorageError
            If it is not what was put in.

        """
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(file.place, S3Location):
            digest = self.store.download(file.place, target)
        else:
            shutil.copyfile(file.place, target)
            digest = _digest(target)
        if digest != file.sha256:
            raise StorageError(
                f"expected sha256 {file.sha256}, found {digest or 'nothing'}",
                where=str(file.place),
                next_step="the archive is damaged there: restore it from a copy of yours",
            )

    def _keep_object(self, file: Path, month: S3Location, sha256: str, size_bytes: int) -> None:
        target = month / sha256 / file.name
        if str(month) not in self._there:
            self._there[str(month)] = {str(month / path) for path in self.store.list_below(month)}
        if str(target) not in self._there[str(month)]:
            self.store.upload(Upload(file, target, sha256, size_bytes))
            self._there[str(month)].add(str(target))


def open_raw_archive(settings: Settings, source: str) -> RawArchive | None:
    """Open the archive that the settings name.

    Parameters
    ----------
    settings : Settings
        With `raw_archive`.
    source : str
        Adapter name.

    Returns
    -------
    RawArchive or None
        None when nothing is to be kept.

    """
    if settings.raw_archive is None:
        return None
    return RawArchive(parse_location(settings.raw_archive), source)


def holds_contents(path: Path, wanted: set[str]) -> bool:
    """Tell whether a delivery is, or unpacks to, contents with these digests.

    Parameters
    ----------
    path : Path
        A file, a gzip file, or a zip, with zips in it.
    wanted : set of str
        As loads record them: of the unpacked contents.

    """
    missing = set(wanted)
    for digest in _contents(path.read_bytes(), path.name, _MAX_DEPTH):
        missing.discard(digest)
        if not missing:
            return True
    return False


def _contents(data: bytes, name: str, depth: int) -> Iterator[str]:
    yield hashlib.sha256(data).hexdigest()
    try:
        if name.lower().endswith(".gz"):
            yield _unpacked_digest(gzip.GzipFile(fileobj=io.BytesIO(data)))
        elif name.lower().endswith(".zip") and depth:
            with open_zip(io.BytesIO(data)) as archive:
                for member in archive.infolist():
                    if member.is_dir():
                        continue
                    if member.filename.lower().endswith((".zip", ".gz")):
                        if member.file_size > _MOST_PACKED_BYTES:
                            continue
                        yield from _contents(archive.read(member), member.filename, depth - 1)
                    else:
                        with archive.open(member) as stream:
                            yield _unpacked_digest(stream)
    except DAMAGE:
        return  # what cannot be unpacked was not read by anybody


def _unpacked_digest(stream: IO[bytes] | gzip.GzipFile) -> str:
    """Digest what unpacks, portion by portion: it may be a thousand times as large as what was kept."""
    digest = hashlib.sha256()
    while portion := stream.read(_CHUNK_BYTES):
        digest.update(portion)
    return digest.hexdigest()


def _keep_file(file: Path, target: Path, sha256: str) -> None:
    arriving = target.with_name(f".{target.name}{_ARRIVING}")
    if target.exists() and not arriving.exists():
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Under one name, in turns: what a killed process left there is written over, and does not stay.
        with file.open("rb") as source, os.fdopen(lock_file(arriving, fcntl.LOCK_EX), "r+b") as sink:
            if target.exists():
                arriving.unlink()
                return
            try:
                _copy(source, sink, sha256, file)
                arriving.replace(target)
            except BaseException:
                arriving.unlink(missing_ok=True)
                raise
        target.chmod(0o444)
    except OSError as error:
        raise StorageError(
            f"cannot be kept: {error.strerror}",
            where=str(target),
            next_step="make room and rights there, or set PIPELINE_RAW_ARCHIVE=off",
        ) from error


def _remove_abandoned(month: Path) -> None:
    """Remove what killed processes left of files that nobody may deliver again."""
    for arriving in month.glob(f"*/.*{_ARRIVING}"):
        try:
            descriptor = lock_file(arriving, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # somebody's, or gone
            continue
        arriving.unlink(missing_ok=True)
        os.close(descriptor)


def _copy(source: BinaryIO, sink: io.BufferedRandom, sha256: str, file: Path) -> None:
    sink.truncate()
    shutil.copyfileobj(source, sink, _CHUNK_BYTES)
    sink.flush()
    os.fsync(sink.fileno())
    sink.seek(0)
    if hashlib.file_digest(sink, "sha256").hexdigest() != sha256:
        raise StorageError("was changed while it was kept", where=str(file), next_step="import it again")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
