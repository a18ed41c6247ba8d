"""Is this folder a sound export? For any format, without the market data that it was made of.

The manifest names the format, and the format looks at the files; here the two are put together. Bad files are an
answer, never an exception or a crash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_defs.errors import PipelineError
from pipeline_defs.exports.manifest import check_manifest, read_manifest
from pipeline_defs.exports.registry import get_exporter
from pipeline_defs.schema.exports import Verification

if TYPE_CHECKING:
    from pathlib import Path


def validate_export(root: Path) -> Verification:
    """Check that an export is as it was published and that its engine can read it.

    Parameters
    ----------
    root : Path
        Folder of the export.

    Returns
    -------
    Verification
        `failures` names every file that is missing, foreign or changed, and what its format finds wrong in it. A folder
        that is no export of ours, or one of a format that is not known here, is a failed verification, too.

    """
    try:
        manifest = read_manifest(root)
        engine = str(manifest["engine"])
        differences = check_manifest(root)
        exporter = get_exporter(manifest["format"])
    except PipelineError as error:
        return _failed("", str(error))
    except (OSError, LookupError, TypeError, ValueError) as error:
        return _failed("", f"{root}: the manifest or a file cannot be read: {type(error).__name__}: {error}")
    try:
        found = exporter.validate(root)
    except (PipelineError, OSError) as error:
        found = _failed(engine, str(error))
    # A format that compares its files with the manifest itself says the same lines again.
    failures = tuple(dict.fromkeys((*differences, *found.failures)))
    checks = {"manifest_objects": len(manifest["objects"]), **found.checks}
    return Verification(not failures and found.passed, found.engine or engine, checks, failures, found.readback)


def _failed(engine: str, failure: str) -> Verification:
    return Verification(passed=False, engine=engine, checks={}, failures=(failure,))
