"""Zips whose bytes depend on what is in them alone, many of them open at once.

LEAN has one zip a day for all contracts, while bars come contract by contract: so every day's zip stays open until
the last contract. Times of files, systems and the order of entries are fixed. The compressed bytes are zlib's, whose
version is part of what an export says of itself.
"""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING, Final, Self

from pipeline_defs.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

COMPRESSION_LEVEL: Final = 1
"""A third of the time of zlib's default for zips that are a third larger, and time is what an export takes most of."""

_TIME: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3
_MODE: Final = 0o100644 << 16


def compression_library() -> str:
    """Name the library that compresses, since its version decides on the bytes.

    Returns
    -------
    str
        E.g. ``zlib 1.3.1``.

    """
    return f"zlib {zlib.ZLIB_RUNTIME_VERSION}"


class ZipFolder:
    """The zips of one data folder, written entry by entry.

    Parameters
    ----------
    root : Path
        Existing directory.

    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: dict[str, zipfile.ZipFile] = {}
        self._names: dict[str, set[str]] = {}
        self.entries = 0

    def __enter__(self) -> Self:
        """Begin to write."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish every zip."""
        self.close()

    def write(self, path: str, entry: str, content: bytes | memoryview) -> None:
        """Add an entry.

        Parameters
        ----------
        path : str
            Of the zip, below the root.
        entry : str
            Its name.
        content : bytes or memoryview
            Its lines.

        Raises
        ------
        ExportError
            If the zip has such an entry already, or was finished before.

        """
        if entry in self._names.setdefault(path, set()):
            raise ExportError("the bars of one instrument and day came twice, expected once", where=f"{path}#{entry}")
        self._names[path].add(entry)
        if path not in self._open:
            target = self._root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            self._open[path] = zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL)
        self._open[path].writestr(zip_entry(entry), content, zipfile.ZIP_DEFLATED, COMPRESSION_LEVEL)
        self.entries += 1

    @property
    def paths(self) -> list[str]:
        """Zips that were written, sorted."""
        return sorted(self._names)

    def close(self) -> None:
        """Finish the zips that are open; a further entry of one of them would be an error."""
        while self._open:
            _, archive = self._open.popitem()
            archive.close()


def zip_entry(name: str) -> zipfile.ZipInfo:
    """Describe an entry by nothing but its name.

    Parameters
    ----------
    name : str
        Of the entry.

    Returns
    -------
    zipfile.ZipInfo
        With the zip format's first day as its time.

    """
    info = zipfile.ZipInfo(name, _TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = _UNIX
    info.external_attr = _MODE
    return info
