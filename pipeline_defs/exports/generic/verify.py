"""Reads every value of every file of an export and compares: a process of its own.

``python -m pipeline_defs.exports.generic.verify FOLDER TRUTH`` writes ``TRUTH/report.json`` and exits with 0 when
everything agreed, 1 when something did not. With `truth.EXPECTED_FILE` in TRUTH the rows are compared with the slice;
without it, the files with what their sidecar says of them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import PipelineError
from pipeline_defs.exports.generic.ordering import Order
from pipeline_defs.exports.generic.reading import READERS, reader_version
from pipeline_defs.exports.generic.sidecar import read_sidecar
from pipeline_defs.exports.generic.summaries import COLUMN_HASH, Summary
from pipeline_defs.exports.generic.truth import EXPECTED_FILE
from pipeline_defs.exports.manifest import MANIFEST_NAME
from pipeline_defs.exports.verifying import Report
from pipeline_defs.schema.columns import SIZE
from pipeline_defs.schema.exports import READBACK_SCHEMA
from pipeline_defs.schema.interchange import (
    BAR_COLUMNS,
    BARS,
    ROW_KEYS,
    SETTLED_BAR,
    SIDECAR_NAME,
    SMALL_FILES,
    TICK_COLUMNS,
    TICKS,
    describe,
    file_stem,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_FRACTIONAL: Final = frozenset({"volume", "size", "bid_size", "ask_size"})
_TOTALS: Final = ("rows", "first_timestamp", "last_timestamp", "close_sum", "volume_sum")


def verify_export(root: Path, truth: Path) -> Report:
    """Read an export in full and compare it with its sidecar and, if there is one, with the truth.

    Parameters
    ----------
    root : Path
        The export.
    truth : Path
        Directory; filled by `pipeline_defs.exports.generic.truth.write_truth`, or empty.

    Returns
    -------
    Report

    """
    try:
        described = read_sidecar(root)
    except PipelineError as error:
        report = Report("no file read")
        report.failures.append(str(error))
        return report
    file_format = str(described.get("format"))
    if file_format not in READERS:
        report = Report("no file read")
        report.expect(f"format in {SIDECAR_NAME}", " or ".join(READERS), file_format)
        return report
    report = Report(reader_version(file_format))
    try:
        _check_export(report, root, truth, described)
    except (KeyError, TypeError, ValueError) as error:
        report.failures.append(f"{SIDECAR_NAME} does not have the form of a sidecar: {error!r}")
    return report


def _check_export(report: Report, root: Path, truth: Path, described: dict[str, Any]) -> None:
    files: list[dict[str, Any]] = described["files"]
    found = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    found = [name for name in found if name != MANIFEST_NAME]
    wanted = sorted([*(str(entry["path"]) for entry in files), SIDECAR_NAME])
    report.expect("files that are missing", [], sorted(set(wanted) - set(found)))
    report.expect(f"files that {SIDECAR_NAME} does not name", [], sorted(set(found) - set(wanted)))
    expected = _expected(report, truth, described)
    rows = {}
    summaries = []
    for entry in files:
        if entry["path"] in found:
            try:
                own_truth = truth / f"{Path(entry['path']).stem}.parquet"
                # A file that the truth does not know is a failure already.
                part = _check_file(report, root, entry, own_truth if expected and own_truth.is_file() else None)
            except PipelineError as error:
                report.failures.append(str(error))
                continue
            rows[entry["path"]] = int(part["rows"].sum()) if "rows" in part.columns else part.height
            if entry["content"] in {BARS, TICKS}:
                summaries.append(part.with_columns(bar_seconds=pl.lit(entry["bar_seconds"], pl.Int32())))
    report.checks["rows"] = rows
    if summaries:
        readback = pl.concat(summaries, how="diagonal")
        report.readback = readback.select(list(READBACK_SCHEMA)).sort("instrument_id", "bar_seconds")


def _expected(report: Report, truth: Path, described: dict[str, Any]) -> bool:
    """Compare the sidecar's partition and files with the truth's, if there is one."""
    path = truth / EXPECTED_FILE
    if not path.is_file():
        return False
    expected = json.loads(path.read_text(encoding="utf-8"))
    report.expect(f"partition in {SIDECAR_NAME}", expected["partition"], described["partition"])
    described_files = {
        entry["path"]: {"content": entry["content"], "bar_seconds": entry.get("bar_seconds")}
        for entry in described["files"]
    }
    report.expect(f"files in {SIDECAR_NAME}", expected["files"], described_files)
    return True


def _schema_of(report: Report, entry: dict[str, Any]) -> dict[str, pl.DataType]:
    """Give the columns that a file must have; what the sidecar says of them must be what the schema says."""
    content, said = entry["content"], {column["name"]: column["type"] for column in entry["columns"]}
    schema = {BARS: BAR_COLUMNS, TICKS: TICK_COLUMNS}.get(content) or SMALL_FILES[content]
    if content == BARS and set(SETTLED_BAR) <= set(said):
        schema = schema | SETTLED_BAR
    schema = {
        name: SIZE if name in _FRACTIONAL and said.get(name) == type_name(SIZE) else dtype
        for name, dtype in schema.items()
    }
    wanted = [{"name": c.name, "type": c.type, "meaning": c.meaning} for c in describe(content, schema)]
    report.expect(f"columns of {entry['path']} in {SIDECAR_NAME}", wanted, entry["columns"])
    stem = file_stem(content, entry.get("bar_seconds"))
    report.expect(f"name of {content} in {SIDECAR_NAME}", stem, Path(entry["path"]).stem)
    return schema


def _check_file(report: Report, root: Path, entry: dict[str, Any], truth: Path | None) -> pl.DataFrame:
    """Read one file and compare; give its sums by instrument, or its rows if it is a small one."""
    schema, name, content = _schema_of(report, entry), entry["path"], entry["content"]
    frames = READERS[Path(name).suffix.removeprefix(".")](root / name, schema)
    order = Order(ROW_KEYS[content])
    if content not in {BARS, TICKS}:
        rows = pl.concat([pl.DataFrame(schema=schema), *frames])
        _check_order(report, name, order, rows)
        report.expect(f"rows of {name}", entry["rows"], rows.height)
        if truth is not None:
            _compare_rows(report, name, rows, pl.read_parquet(truth))
        return rows
    summary = Summary(content)
    summary.add(pl.DataFrame(schema=schema))
    for rows in frames:
        _check_order(report, name, order, rows)
        odd = rows.filter(pl.col("bar_seconds").ne_missing(entry["bar_seconds"]))
        report.expect(f"rows of {name} of another resolution than {entry['bar_seconds']} s", 0, odd.height)
        summary.add(rows)
    found = summary.by_instrument()
    report.expect(f"rows of {name}", entry["rows"], int(found["rows"].sum()))
    for bound, instant in (("first", found["first_timestamp"].min()), ("last", found["last_timestamp"].max())):
        said = entry[f"{bound}_timestamp"]
        told = None if said is None else pl.Series([said]).str.to_datetime("%+", time_unit="us", time_zone="UTC")[0]
        report.expect(f"{bound} timestamp of {name}", told, instant)
    if truth is not None:
        _compare_sums(report, name, found, pl.read_parquet(truth))
    return found


def _check_order(report: Report, name: str, order: Order, rows: pl.DataFrame) -> None:
    position = order.first_break(rows)
    if position is not None:
        values = rows.select(order.key).row(position, named=True)
        told = ", ".join(f"{column} {value}" for column, value in values.items())
        report.failures.append(f"{name}: rows are not sorted by {' and '.join(order.key)}, or twice at {told}")


def _compare_rows(report: Report, name: str, found: pl.DataFrame, expected: pl.DataFrame) -> None:
    report.expect(f"rows of {name} against the slice", expected.height, found.height)
    if found.height != expected.height:
        return
    for column in expected.columns:
        differs = found[column].ne_missing(expected[column])
        if differs.any():
            row = differs.arg_max() or 0
            report.expect(f"{name} row {row + 1}, {column}", expected[column][row], found[column][row])


def _compare_sums(report: Report, name: str, found: pl.DataFrame, expected: pl.DataFrame) -> None:
    both = expected.join(found, on="instrument_id", how="full", coalesce=True, suffix="_found")
    hashes = [column for column in expected.columns if column.startswith(COLUMN_HASH)]
    compared = [*_TOTALS, *hashes]
    missing = [column for column in compared if f"{column}_found" not in both.columns]
    both = both.with_columns(pl.lit(None).alias(f"{column}_found") for column in missing)
    differs = pl.any_horizontal(pl.col(column).ne_missing(pl.col(f"{column}_found")) for column in compared)
    for row in both.filter(differs).sort("instrument_id").iter_rows(named=True):
        told = [
            f"{column}: expected {row[column]}, found {row[f'{column}_found']}"
            for column in _TOTALS
            if row[column] != row[f"{column}_found"]
        ]
        odd = [
            column.removeprefix(COLUMN_HASH)
            for column in hashes
            if column != f"{COLUMN_HASH}rows" and row[column] != row[f"{column}_found"]
        ]
        values = f"values differ in {', '.join(odd)}" if odd else "values are at other rows"
        report.failures.append(
            f"{name}, instrument {row['instrument_id']} ({row['symbol'] or row['symbol_found']}): "
            + "; ".join([*told, values])
        )


def main(arguments: Sequence[str]) -> int:
    """Verify an export; the arguments are its folder and the truth's."""
    root, truth = Path(arguments[0]), Path(arguments[1])
    report = verify_export(root, truth)
    report.write(truth)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
