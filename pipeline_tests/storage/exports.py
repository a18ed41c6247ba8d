"""Exports as the storage room sees them: files and a manifest that names them."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from pipeline_defs.exports.manifest import MANIFEST_NAME, list_objects

if TYPE_CHECKING:
    from pathlib import Path


def make_export(folder: Path, files: dict[str, bytes], **more: object) -> Path:
    """Write an export anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    content = {"kind": "market-data-pipeline export", "version": 1, "objects": list_objects(folder), **more}
    (folder / MANIFEST_NAME).write_text(json.dumps(content))
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """Give every file of a folder, manifest included."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
