"""How much an archive may unpack to, and gzip files unpacked under those limits.

The limits are shared with the zip reader in `archives`; nothing here knows of CSV.
"""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import SourceError
from pipeline_defs.spilling import hold, pieces_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.spilling import Content

GIBIBYTE: Final = 1 << 30
_RATIO_FLOOR_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What is refused as an archive bomb.

    Quotes compress 5 to 30 to 1; deflate cannot do better than about 1030 to 1, which only bombs reach.

    Parameters
    ----------
    max_member_bytes : int, default 4 GiB
        Largest unpacked member.
    max_archive_bytes : int, default 32 GiB
        Largest sum of unpacked members of one file on disk, nested archives included.
    max_ratio : int, default 200
        Largest unpacked to packed ratio of a member above 1 MiB.
    max_depth : int, default 4
        Deepest nesting of archives.
    max_members : int, default 200000
        Most members of one archive.

    """

    max_member_bytes: int = 4 * GIBIBYTE
    max_archive_bytes: int = 32 * GIBIBYTE
    max_ratio: int = 200
    max_depth: int = 4
    max_members: int = 200_000

    def is_suspicious(self, packed_bytes: int, unpacked_bytes: int) -> bool:
        """Tell whether content unpacks to more than an honest file would.

        Parameters
        ----------
        packed_bytes, unpacked_bytes : int
            Sizes before and after unpacking.

        """
        return unpacked_bytes > _RATIO_FLOOR_BYTES and unpacked_bytes > self.max_ratio * max(packed_bytes, 1)


def gunzip(data: Content, label: str, limits: ArchiveLimits) -> Content:
    """Unpack a gzip file, stopping at the limits.

    Parameters
    ----------
    data : bytes or mmap.mmap
        The file.
    label : str
        How messages name it.
    limits : ArchiveLimits
        Sizes and ratio allowed.

    Returns
    -------
    bytes or mmap.mmap

    Raises
    ------
    SourceError
        If the file is not whole gzip, or unpacks to more than the limits allow.

    """
    packed = io.BytesIO(data) if isinstance(data, bytes) else data
    try:
        with gzip.GzipFile(fileobj=packed) as stream:
            return hold(_limited(stream, len(data), label, limits))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SourceError(
            f"cannot be read whole ({type(error).__name__}: {error})", where=label, next_step="fetch the file again"
        ) from error


def _limited(stream: gzip.GzipFile, packed_bytes: int, label: str, limits: ArchiveLimits) -> Iterator[bytes]:
    unpacked = 0
    for piece in pieces_of(stream.read):
        unpacked += len(piece)
        if unpacked > limits.max_member_bytes or limits.is_suspicious(packed_bytes, unpacked):
            raise SourceError(
                f"refused as an archive bomb: {packed_bytes:,} bytes unpack to more than {unpacked:,}",
                where=label,
                next_step="if the file is genuine, raise the limits of the source",
            )
        yield piece
