"""What all readers of zip archives share: what damage raises, and what cannot be read within bounds."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    import io
    from pathlib import Path

DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    RuntimeError,
)
"""What the library raises when bytes are not what they were: more than it promises. A wrong password or an unknown
method is a `RuntimeError`, a name that is no text a `ValueError`."""

_BOUNDED: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


def open_zip(source: str | Path | BinaryIO | io.BytesIO) -> zipfile.ZipFile:
    """Open an archive whose members can be read within the sizes that they declare.

    Parameters
    ----------
    source : path or file
        The archive.

    Returns
    -------
    zipfile.ZipFile

    Raises
    ------
    zipfile.BadZipFile
        If it is no zip; or a member is packed with bzip2 or LZMA, of which the library unpacks a whole portion at
        once, a few hundred bytes to gigabytes, before it looks at the declared size; or its members share packed
        bytes, as those of a bomb do.
    Exception
        Any other of `DAMAGE`.

    """
    archive = zipfile.ZipFile(source)
    try:
        _check(archive)
    except BaseException:
        archive.close()
        raise
    return archive


def read_member(archive: zipfile.ZipFile, name: str, most_bytes: int) -> bytes:
    """Read a member that may not be larger than what is sensible.

    Parameters
    ----------
    archive : zipfile.ZipFile
        From `open_zip`.
    name : str
        Of the member.
    most_bytes : int
        Unpacked.

    Raises
    ------
    zipfile.BadZipFile
        If it is larger, or damaged.
    Exception
        Any other of `DAMAGE`.

    """
    with archive.open(name) as member:
        content = member.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise zipfile.BadZipFile(f"{name!r} unpacks to more than {most_bytes >> 20} MiB")
    return content


def _check(archive: zipfile.ZipFile) -> None:
    packed_bytes = 0
    for info in archive.infolist():
        if info.compress_type not in _BOUNDED:
            method = zipfile.compressor_names.get(info.compress_type, str(info.compress_type))  # type: ignore[attr-defined]
            raise zipfile.BadZipFile(f"{info.filename!r} is packed with {method}, expected deflate or none")
        packed_bytes += info.compress_size
    # The directory, which lies behind the members, begins where these end.
    if packed_bytes > archive.start_dir:
        raise zipfile.BadZipFile("members share their packed bytes: a bomb, or no whole archive")
