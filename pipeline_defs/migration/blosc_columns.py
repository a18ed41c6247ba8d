"""Columns that bcolz wrote, read with blosc2 alone.

A column is a folder. ``meta/storage`` names the type and how many values a chunk holds, ``meta/sizes`` how many there
are in all; ``data/__<n>.blp`` is chunk n: 16 bytes that begin with ``blpk``, then one Blosc buffer. The header of that
tells at bytes 4 to 8 how large it is unpacked, and at bytes 12 to 16 how large it is itself. The last chunk may be
shorter. All numbers are little-endian.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.migration.walking import files_below

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

MAX_CHUNK_BYTES: Final = 1 << 27
"""Of one chunk, unpacked. bcolz makes chunks of some hundred kilobytes."""

MAX_VALUES: Final = 1 << 30

_MAX_JSON: Final = 1 << 28
_MAGIC: Final = b"blpk"
_FRAME: Final = 16
_UNPACKED_AT: Final = slice(_FRAME + 4, _FRAME + 8)
_PACKED_AT: Final = slice(_FRAME + 12, _FRAME + 16)
_TYPES: Final = frozenset({"uint32", "int32", "uint64", "int64", "float64", "float32"})
_NEXT: Final = "restore the ingestion from a backup, or ingest the bundle anew with the old system"


@dataclass(frozen=True, slots=True)
class BloscColumn:
    """A column on disk.

    Parameters
    ----------
    folder : Path
        Its own.
    dtype : numpy.dtype
        Little-endian.
    length : int
        Values in all.
    chunk_length : int
        Values of a chunk.

    """

    folder: Path
    dtype: np.dtype[Any]
    length: int
    chunk_length: int

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Read some values; chunk by chunk, and no more chunks than they lie in.

        Parameters
        ----------
        start, stop : int
            First value, and the one after the last; `stop` at most `length`.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        SourceError
            If a chunk is missing, damaged, or of another size than the column says.

        """
        import numpy as np  # noqa: PLC0415 -- only where a column is read

        parts = []
        for chunk in range(start // self.chunk_length, -(-stop // self.chunk_length)):
            values = self._chunk(chunk)
            first = chunk * self.chunk_length
            parts.append(values[max(0, start - first) : stop - first])
        return np.concatenate(parts) if parts else np.empty(0, self.dtype)

    def _chunk(self, number: int) -> npt.NDArray[Any]:
        import numpy as np  # noqa: PLC0415 -- as above

        path = self.folder / "data" / f"__{number}.blp"
        count = min(self.chunk_length, self.length - number * self.chunk_length)
        try:
            packed = path.read_bytes()
        except OSError as error:
            raise _damaged(path, error.strerror or "it cannot be read") from error
        unpacked = int.from_bytes(packed[_UNPACKED_AT], "little")
        if packed[:4] != _MAGIC or len(packed) < _FRAME * 2:
            raise _damaged(path, "it does not begin as bcolz chunks do")
        if int.from_bytes(packed[_PACKED_AT], "little") != len(packed) - _FRAME:
            raise _damaged(path, f"it has {len(packed) - _FRAME:,} packed bytes, and says another number")
        # Held before unpacking: a chunk that says it is larger is a bomb or damage.
        if not count * self.dtype.itemsize <= unpacked <= self.chunk_length * self.dtype.itemsize:
            raise _damaged(path, f"it unpacks to {unpacked:,} bytes, expected {count * self.dtype.itemsize:,}")
        try:
            raw = require_blosc().decompress(packed[_FRAME:])
        except (RuntimeError, ValueError, TypeError, MemoryError) as error:
            raise _damaged(path, str(error)) from error
        if len(raw) != unpacked:
            raise _damaged(path, f"it gave {len(raw):,} bytes, expected {unpacked:,}")
        return np.frombuffer(raw, self.dtype)[:count]


def require_blosc() -> Any:  # noqa: ANN401 -- an untyped library
    """Import blosc2.

    Raises
    ------
    ConfigurationError
        If it is not installed.

    """
    try:
        import blosc2  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise ConfigurationError(
            "bcolz columns are read with the package blosc2, which is not installed",
            next_step="install the extra 'migration'",
        ) from error
    return blosc2


def open_column(folder: Path) -> BloscColumn:
    """Read what a column says of itself.

    Parameters
    ----------
    folder : Path
        Of the column.

    Returns
    -------
    BloscColumn

    Raises
    ------
    SourceError
        If it is no column of bcolz, of a type it was never used with here, or larger than any bundle is.

    """
    import numpy as np  # noqa: PLC0415 -- only where a column is read

    storage, sizes = read_json(folder / "meta" / "storage"), read_json(folder / "meta" / "sizes")
    try:
        name, chunk_length = str(storage["dtype"]), int(storage["chunklen"])
        (length,) = sizes["shape"]
        length = int(length)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(folder / "meta", f"type, length or chunk length is missing ({error})") from error
    if name not in _TYPES:
        raise _damaged(folder / "meta" / "storage", f"type {name!r}, expected one of {', '.join(sorted(_TYPES))}")
    dtype = np.dtype(name).newbyteorder("<")
    if not (0 <= length <= MAX_VALUES and chunk_length > 0 and chunk_length * dtype.itemsize <= MAX_CHUNK_BYTES):
        raise _damaged(folder / "meta", f"{length:,} values in chunks of {chunk_length:,}")
    return BloscColumn(folder, dtype, length, chunk_length)


def hash_table(folder: Path) -> tuple[str, int]:
    """Hash all files of a table, so that a change to any of them is seen.

    Parameters
    ----------
    folder : Path
        Of the table.

    Returns
    -------
    tuple of str and int
        SHA-256 over names and digests, and bytes in all.

    Raises
    ------
    SourceError
        If a file may not be read.

    """
    digest, size = hashlib.sha256(), 0
    try:
        for path in sorted(files_below(folder)):
            with path.open("rb") as file:
                of_file = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.relative_to(folder).as_posix()} {of_file}\n".encode())
            size += path.stat().st_size
    except OSError as error:
        raise _damaged(folder, error.strerror or "it cannot be read") from error
    return digest.hexdigest(), size


def read_json(path: Path) -> dict[str, Any]:
    """Read a small JSON object.

    Raises
    ------
    SourceError
        If it is missing, too large, or no object.

    """
    try:
        if path.stat().st_size > _MAX_JSON:
            raise _damaged(path, f"it is larger than {_MAX_JSON:,} bytes")
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise _damaged(path, error.strerror or "it cannot be read") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"it is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise _damaged(path, "it is no JSON object")
    return found


def _damaged(path: Path, told: str) -> SourceError:
    return SourceError(f"the bcolz table cannot be read: {told}", where=str(path), next_step=_NEXT)
