"""Which files there are below a path, and their bytes: folders, zips, zips in zips, gzip.

Containers only. What a file's content means (layout, date, rows) belongs in the modules beside this
one. Nothing is ever unpacked to a place of its name; a member's name is a label. What is large waits in a file without
a name.
"""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.nse_csv.entries import Entry, Listing, files_below, is_junk, is_unsafe, unreadable
from pipeline_defs.sources.nse_csv.gzipped import gunzip
from pipeline_defs.spilling import LARGE_BYTES, hold, pieces_of
from pipeline_defs.zips import DAMAGE, open_zip

if TYPE_CHECKING:
    import zipfile
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from pipeline_defs.sources.nse_csv.gzipped import ArchiveLimits
    from pipeline_defs.spilling import Content

_ENCRYPTED_FLAG: Final = 0x1


class Archives:
    """Lists and reads files; keeps the archive it is in open between reads.

    Parameters
    ----------
    limits : ArchiveLimits
        What is refused as an archive bomb.

    """

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._open: list[tuple[tuple[object, ...], zipfile.ZipFile]] = []
        self._declared_bytes = 0

    def __enter__(self) -> Self:
        """Enter a block after which all archives are closed."""
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is open."""
        self._close_from(0)

    def list_files(self, root: Path) -> Listing:
        """Find every file below a path, without reading CSV content.

        Parameters
        ----------
        root : Path
            A folder, a CSV, a zip or a gzip file.

        Returns
        -------
        Listing

        Raises
        ------
        SourceError
            If the path does not exist or cannot be read, or an archive is corrupt, encrypted or a bomb.

        """
        if not root.exists():
            raise SourceError("does not exist", where=str(root), next_step="check the path")
        listing = Listing()
        for path, parts in files_below(root):
            self._declared_bytes = 0
            try:
                status = os.stat(path)  # noqa: PTH116 - thousands of files: no Path object each
            except OSError as error:
                raise unreadable(error) from error
            entry = Entry(path, (), status.st_size)
            if stat.S_ISREG(status.st_mode):
                self._sort_in(entry, listing, parts=parts, is_named=len(parts) == 0)
            else:
                listing.foreign.append(entry)
        return listing

    def read(self, entry: Entry) -> Content:
        """Read one file.

        Parameters
        ----------
        entry : Entry
            From `list_files`.

        Returns
        -------
        bytes or mmap.mmap
            The content; of a gzip file, unpacked. A large one is on disk.

        Raises
        ------
        SourceError
            If it cannot be read whole, is encrypted, or unpacks to more than the limits allow.

        """
        try:
            data = self._read_raw(entry)
        except DAMAGE as error:
            raise _corrupt(entry, error) from error
        return gunzip(data, entry.label, self._limits) if entry.is_gzip else data

    def _read_raw(self, entry: Entry) -> Content:
        is_large = entry.size_bytes > LARGE_BYTES
        if not entry.steps:
            with open(entry.path, "rb") as file:  # noqa: PTH123 - Path.open costs twice as much, over thousands of files
                return hold(pieces_of(file.read)) if is_large else file.read()
        archive = self._archive(entry.path, entry.steps[:-1])
        info = archive.infolist()[entry.steps[-1][0]]
        if not is_large:
            return archive.read(info)
        with archive.open(info) as member:
            return hold(pieces_of(member.read))

    def _sort_in(self, entry: Entry, listing: Listing, *, parts: tuple[str, ...], is_named: bool) -> None:
        """Put one file where it belongs, following archives. `is_named`: the user named this very file."""
        name = entry.packed_name.lower()
        if not is_named and is_junk(parts):
            listing.junk.append(entry)
        elif name.endswith(".zip") and entry.size_bytes == 0:
            listing.empty_archives.append(entry)
        elif name.endswith(".zip"):
            self._follow(entry, listing)
        elif name.endswith((".csv", ".csv.gz")) or is_named:
            listing.entries.append(entry)
        else:
            listing.foreign.append(entry)

    def _follow(self, container: Entry, listing: Listing) -> None:
        depth = len(container.steps) + 1
        if depth > self._limits.max_depth:
            raise _bomb(container, f"archives are nested {depth} deep, more than {self._limits.max_depth}")
        try:
            infos = self._archive(container.path, container.steps).infolist()
        except DAMAGE as error:
            raise _corrupt(container, error) from error
        if len(infos) > self._limits.max_members:
            raise _bomb(container, f"it holds {len(infos)} members, more than {self._limits.max_members}")
        for position, info in enumerate(infos):
            if info.is_dir():
                continue
            name = info.filename.replace("\\", "/")
            member = Entry(container.path, (*container.steps, (position, name)), info.file_size)
            parts = tuple(part for part in name.split("/") if part)
            if not parts or (is_unsafe(name) and not is_junk(parts)):
                listing.unsafe.append(member)
                continue
            if not is_junk(parts) and parts[-1].lower().endswith((".csv", ".gz", ".zip")):
                self._check_declared(member, info, container)
            self._sort_in(member, listing, parts=parts, is_named=False)

    def _check_declared(self, member: Entry, info: zipfile.ZipInfo, container: Entry) -> None:
        limits = self._limits
        self._declared_bytes += info.file_size
        if info.flag_bits & _ENCRYPTED_FLAG:
            raise SourceError("is encrypted", where=member.label, next_step="unpack it and import the folder")
        if info.file_size > limits.max_member_bytes:
            raise _bomb(member, f"it declares {info.file_size:,} bytes, more than {limits.max_member_bytes:,}")
        if self._declared_bytes > limits.max_archive_bytes:
            raise _bomb(container, f"its members declare more than {limits.max_archive_bytes:,} bytes in all")
        if limits.is_suspicious(info.compress_size, info.file_size):
            raise _bomb(
                member,
                f"{info.compress_size:,} bytes unpack to {info.file_size:,}, more than {limits.max_ratio} to 1",
            )

    def _archive(self, path: str, steps: tuple[tuple[int, str], ...]) -> zipfile.ZipFile:
        """Open an archive, re-using those on the way that are open already."""
        keys: list[tuple[object, ...]] = [(path, *steps[:depth]) for depth in range(len(steps) + 1)]
        shared = 0
        while shared < min(len(keys), len(self._open)) and self._open[shared][0] == keys[shared]:
            shared += 1
        self._close_from(shared if shared < len(keys) else len(self._open))
        for depth in range(shared, len(keys)):
            if depth == 0:
                archive = open_zip(path)
            else:
                parent = self._open[depth - 1][1]
                archive = open_zip(io.BytesIO(parent.read(parent.infolist()[steps[depth - 1][0]])))
            self._open.append((keys[depth], archive))
        return self._open[len(keys) - 1][1]

    def _close_from(self, depth: int) -> None:
        while len(self._open) > depth:
            self._open.pop()[1].close()


def _bomb(entry: Entry, what: str) -> SourceError:
    return SourceError(
        f"refused as an archive bomb: {what}",
        where=entry.label,
        next_step="if the archive is genuine, raise the limits of the source",
    )


def _corrupt(entry: Entry, error: BaseException) -> SourceError:
    return SourceError(
        f"cannot be read whole ({type(error).__name__}: {error})",
        where=entry.label,
        next_step="fetch the file again",
    )
