"""Checks a published catalog on its own: a process of its own, since Nautilus may abort on a bad file.

``python -m pipeline_defs.exports.nautilus.validate CATALOG FOLDER`` writes ``FOLDER/report.json``. First the manifest
and the files are looked at without Nautilus; only when these are sound does Nautilus open them. Whoever calls this uses
`validate_catalog`, or `pipeline_defs.exports.validating.validate_export`.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ExportError, PipelineError
from pipeline_defs.exports.manifest import check_manifest, read_manifest
from pipeline_defs.exports.nautilus.structure import check_files
from pipeline_defs.exports.nautilus.targets import get_target
from pipeline_defs.exports.verifying import Report, validate_in_process
from pipeline_defs.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_defs.exports.nautilus.compare import Reading
    from pipeline_defs.schema.exports import Verification

_COUNTED: Final = {
    "bars": "Bar",
    "trade_ticks": "TradeTick",
    "quote_ticks": "QuoteTick",
    "option_greeks": "OptionGreeks",
    "index_prices": "IndexPriceUpdate",
}
"""Counts of the manifest by class."""


def validate_catalog(root: Path) -> Verification:
    """Check a published catalog, in a process of its own.

    Parameters
    ----------
    root : Path
        The catalog, with its manifest.

    Returns
    -------
    Verification
        `failures` has a line for each file that is missing, foreign, changed, truncated, of another width or order of
        columns, unsorted, without its metadata or swapped, and for counts that Nautilus read otherwise than the
        manifest says. A crash of Nautilus is a failure, too.

    Raises
    ------
    ExportError
        If there is no manifest, or it is not of a Nautilus catalog.

    """
    manifest = read_manifest(root)
    if not str(manifest["format"]).startswith("nautilus"):
        raise ExportError(
            f"is an export of format {manifest['format']!r}, expected a Nautilus catalog", where=str(root)
        )
    return validate_in_process(__name__, root, str(manifest["engine"]))


def inspect(root: Path) -> Report:
    """Look at the manifest and the files, then have Nautilus read them.

    Parameters
    ----------
    root : Path
        The catalog.

    Returns
    -------
    Report

    """
    manifest = read_manifest(root)
    target = get_target(manifest["details"].get("target", "1.231"))
    report = Report(target.engine)
    report.failures += check_manifest(root)
    fingerprint = target.fingerprint(manifest["details"].get("schema_classes", ["Bar"]))
    if "schema_classes" in manifest["details"]:
        report.expect("schema fingerprint of this Nautilus", manifest["details"]["schema_fingerprint"], fingerprint)
    faults, rows = check_files(root, target)
    report.checks["files"] = {"rows": rows, "faults": len(faults)}
    report.failures += faults
    if faults:
        report.checks["engine"] = "not asked, since it may abort on these files"
        return report
    if target.name == "1.231":
        from pipeline_defs.exports.nautilus.readback import CatalogReading  # noqa: PLC0415 -- imports Nautilus

        _count(report, manifest, CatalogReading(root))
        return report
    from pipeline_defs.exports.nautilus.reading_2 import read_with_version_2  # noqa: PLC0415 -- of that version alone

    with scratch("nautilus2") as folder:
        try:
            _count(report, manifest, read_with_version_2(root, folder))
        except PipelineError as error:
            report.failures.append(str(error))
    return report


def _count(report: Report, manifest: dict[str, Any], reading: Reading) -> None:
    """Compare what Nautilus read with the counts of the manifest."""
    counts = manifest["counts"]
    instruments = Counter(facts["class_name"] for facts in reading.instruments())
    report.checks["instruments"] = dict(instruments)
    report.expect("instruments", counts["instruments"], instruments.total())
    for what, class_name in _COUNTED.items():
        read = [frame.height for _, frame in reading.series(class_name)]
        report.checks[what] = sum(read)
        report.expect(what, counts.get(what, 0), sum(read))


def main(arguments: Sequence[str]) -> int:
    """Validate and report.

    Parameters
    ----------
    arguments : sequence of str
        The catalog and the folder of the report.

    Returns
    -------
    int
        0 when the catalog is sound, else 1.

    """
    root, folder = (Path(argument) for argument in arguments)
    report = inspect(root)
    report.write(folder)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
