"""Columns of whole numbers in bcolz' files, as bcolz 1.x opens them; written without bcolz.

A column is a folder: ``meta/storage`` and ``meta/sizes`` (JSON), ``__attrs__`` and ``data/__<n>.blp``. A ``.blp`` file
is a 16-byte header, then one Blosc 1 chunk (16-byte header, then the bytes). The chunks here are Blosc's stored form,
flag ``0x2``, in which the bytes follow as they are: it needs no compressor and gives the same file everywhere.
Formats: bcolz' ``carray_ext.pyx`` and Blosc's ``README_CHUNK_FORMAT``, confirmed by reading with both.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CHUNK_ROWS: Final = 65_536

_FILE_HEADER: Final = b"blpk" + struct.pack("<BBBBq", 1, 0, 0, 0, 1)
_BLOSC: Final = struct.Struct("<BBBBiii")
_STORED: Final = 0x2
_ITEM_BYTES: Final = 4


def write_column(folder: Path, values: NDArray[np.uint32]) -> None:
    """Write one column.

    Parameters
    ----------
    folder : Path
        Folder to make.
    values : numpy.ndarray
        One dimension of uint32.

    """
    (folder / "meta").mkdir(parents=True)
    (folder / "data").mkdir()
    content = np.ascontiguousarray(values, dtype="<u4")
    size = 0
    for number, start in enumerate(range(0, content.size, CHUNK_ROWS)):
        raw = content[start : start + CHUNK_ROWS].tobytes()
        chunk = _BLOSC.pack(2, 1, _STORED, _ITEM_BYTES, len(raw), len(raw), len(raw) + _BLOSC.size) + raw
        (folder / "data" / f"__{number}.blp").write_bytes(_FILE_HEADER + chunk)
        size += len(chunk)
    storage = {
        "dtype": "uint32",
        "cparams": {"clevel": 0, "shuffle": 0, "cname": "blosclz", "quantize": 0},
        "chunklen": CHUNK_ROWS,
        "expectedlen": content.size,
        "dflt": 0,
    }
    _write_json(folder / "meta" / "storage", storage)
    _write_json(folder / "meta" / "sizes", {"shape": [content.size], "nbytes": content.nbytes, "cbytes": size})
    _write_json(folder / "__attrs__", {})


def write_table(folder: Path, columns: dict[str, NDArray[np.uint32]], attributes: dict[str, Any]) -> None:
    """Write columns of one length as a table.

    Parameters
    ----------
    folder : Path
        Folder to make.
    columns : dict
        Name to values, in order.
    attributes : dict
        What its reader must know, as JSON.

    """
    for name, values in columns.items():
        write_column(folder / name, values)
    _write_json(folder / "__rootdirs__", {"names": list(columns)})
    _write_json(folder / "__attrs__", attributes)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(f"{json.dumps(content)}\n", encoding="ascii")
