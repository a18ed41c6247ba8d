"""Checks a folder without the slice that it was made from: a process of its own.

``python -m pipeline_defs.exports.backtrader.validate FOLDER WORK`` writes ``WORK/report.json`` and exits with 0 when
the folder is a whole export, 1 when it is not. It compares the files with the manifest and the sidecar, their texts
with the grammar, and what Backtrader makes of them with their texts. Whether they say what the warehouse says is the
business of `verify`.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError, PipelineError
from pipeline_defs.exports.backtrader.contracts import read_sidecar
from pipeline_defs.exports.backtrader.readback import text_bars
from pipeline_defs.exports.backtrader.truth import ENGINE_BARS, choose_for_engine
from pipeline_defs.exports.backtrader.verify import check_described_files, check_engine, check_file_names, check_texts
from pipeline_defs.exports.manifest import MANIFEST_NAME, check_manifest, read_manifest
from pipeline_defs.exports.verifying import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_defs.exports.backtrader.values import Sidecar

_FORMAT: Final = "backtrader"


def validate_folder(root: Path, engine_bars: int = ENGINE_BARS) -> Report:
    """Check a folder that says it is a Backtrader export.

    Parameters
    ----------
    root : Path
        The folder.
    engine_bars : int, default ENGINE_BARS
        Bars that Backtrader reads at most, the underlying's apart; the texts are read whole.

    Returns
    -------
    Report
        Its failures say what is wrong, where, and what was expected.

    """
    report = Report(f"backtrader {version('backtrader')}")
    try:
        _check_manifest(report, root)
        _validate(report, root, engine_bars)
    except PipelineError as error:
        report.failures.append(str(error))
    except OSError as error:
        report.failures.append(f"{root}: cannot be read: {error}")
    return report


def _check_manifest(report: Report, root: Path) -> None:
    try:
        report.expect(f"{MANIFEST_NAME} format", _FORMAT, read_manifest(root)["format"])
        report.failures.extend(check_manifest(root))
    except (LookupError, TypeError) as error:
        raise ExportError(
            f"is not a whole manifest: {type(error).__name__}: {error}",
            where=str(root / MANIFEST_NAME),
            next_step="remove the folder and export again",
        ) from error


def _validate(report: Report, root: Path, engine_bars: int) -> None:
    sidecar = read_sidecar(root)
    files = pl.DataFrame(
        [
            {"name": contract.name, "file": bars.file, "bar_seconds": bars.bar_seconds, "row_count": bars.rows}
            for contract in sidecar.contracts
            for bars in contract.files
        ],
        schema={"name": pl.String(), "file": pl.String(), "bar_seconds": pl.Int32(), "row_count": pl.Int64()},
    )
    report.expect(
        "files described twice in the sidecar", [], files.filter(pl.col("file").is_duplicated())["file"].to_list()
    )
    # A name that leads elsewhere would have other files read.
    report.expect("files described outside the folder", [], [file for file in files["file"] if Path(file).name != file])
    if not report.failures:
        check_file_names(report, root, files["file"].to_list())
    if report.failures and not all((root / file).is_file() for file in files["file"]):
        return
    texts = check_texts(report, root, files.select("file"))
    check_described_files(report, sidecar, texts)
    _check_bounds(report, sidecar)
    if not report.failures:
        check_engine(
            report,
            root,
            {file: text_bars((root / file).read_bytes()) for file in _chosen(sidecar, files, engine_bars)},
            files.height,
        )


def _check_bounds(report: Report, sidecar: Sidecar) -> None:
    """Expect every file to lie within the sessions, and within the life of its contract."""
    for contract in sidecar.contracts:
        for bars in contract.files:
            if (
                sidecar.sessions
                and not sidecar.sessions[0].open < bars.first <= bars.last <= sidecar.sessions[-1].close
            ):
                report.failures.append(
                    f"{bars.file}: expected stamps within the sessions, after {sidecar.sessions[0].open} and up to "
                    f"{sidecar.sessions[-1].close}, found {bars.first} to {bars.last}"
                )
            if contract.expiry_close is not None and bars.last > contract.expiry_close:
                report.failures.append(
                    f"{bars.file}: expected no bar after the expiry at {contract.expiry_close}, "
                    f"found one at {bars.last}"
                )


def _chosen(sidecar: Sidecar, files: pl.DataFrame, engine_bars: int) -> list[str]:
    numbered = files.sort("bar_seconds", "name").with_row_index("instrument_id")
    all_bars = max(int(files["row_count"].sum()), 1)
    chosen: list[str] = []
    for part in numbered.partition_by("bar_seconds", maintain_order=True):
        underlying = part.filter(pl.col("name") == pl.lit(sidecar.underlying_name, pl.String))[
            "instrument_id"
        ].to_list()
        share = engine_bars * int(part["row_count"].sum()) // all_bars
        taken = choose_for_engine(part, underlying[0] if underlying else None, share)
        chosen.extend(part.filter(pl.col("instrument_id").is_in(taken))["file"])
    return chosen


def main(arguments: Sequence[str]) -> int:
    """Validate one folder and write the report.

    Parameters
    ----------
    arguments : sequence of str
        Folder, and the directory that takes the report.

    Returns
    -------
    int
        Exit code.

    """
    root, work = map(Path, arguments)
    report = validate_folder(root)
    report.write(work)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
