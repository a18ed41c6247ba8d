"""Reads an exported data folder by LEAN's grammar and compares it with the truth: a process of its own.

``python -m pipeline_defs.exports.lean.verify FOLDER TRUTH`` writes ``TRUTH/report.json`` and exits with 0 when
everything agreed, 1 when something did not. Without a report, the process has crashed.

Every zip is read and every line checked; counts, bounds and sums are compared for all instruments, every value for
those that the truth names, and the files beside the data byte for byte. LEAN itself does not run here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.exports.lean.kinds import SECONDS_OF_RESOLUTION, Resolution, TickType
from pipeline_defs.exports.lean.symbols import contract_key
from pipeline_defs.exports.lean.truth import (
    CLOSES_FILE,
    EXPECTED_FOLDER,
    SESSIONS_FILE,
    SUMS_FILE,
    VALUES,
    VALUES_FOLDER,
    ZONE_FILE,
    summed,
)
from pipeline_defs.exports.lean.validator import VALIDATOR, validate_folder
from pipeline_defs.exports.manifest import MANIFEST_NAME
from pipeline_defs.exports.verifying import Report
from pipeline_defs.spool import Spool

if TYPE_CHECKING:
    from pipeline_defs.exports.lean.reading import ZipContent

_KEYS: Final = ["engine_id", "bar_seconds"]
_MOST_TOLD: Final = 10


def verify_folder(root: Path, truth: Path) -> Report:
    """Compare a data folder with what it must hold.

    Parameters
    ----------
    root : Path
        The export.
    truth : Path
        Directory filled by `pipeline_defs.exports.lean.truth.write_truth`.

    Returns
    -------
    Report

    """
    report = Report(VALIDATOR)
    sums = pl.read_parquet(truth / SUMS_FILE)
    with Spool() as values:
        collector = _Collector(truth, values)
        validated = validate_folder(root, collector.see)
        report.failures += [str(finding) for finding in validated.findings]
        report.failures += collector.failures
        report.checks |= validated.counts
        _check_listings(report, root, truth / EXPECTED_FOLDER)
        for tick_type in VALUES:
            _check_sums(report, sums, collector, tick_type)
            _check_values(report, truth, values, tick_type)
    report.readback = _readback(sums, collector)
    return report


class _Collector:
    """What was read: sums of everything, every value of the instruments that are compared one by one.

    The values are put down by the file of the truth that they are compared with; each instrument is in one of these.
    """

    def __init__(self, truth: Path, values: Spool) -> None:
        self._sessions = pl.read_parquet(truth / SESSIONS_FILE)
        self._closes = pl.read_parquet(truth / CLOSES_FILE)
        self._zone: str = json.loads((truth / ZONE_FILE).read_text())
        self._values = values
        schema = {"engine_id": pl.String(), "bar_seconds": pl.Int32(), "file": pl.String()}
        self._chosen = {
            tick_type: pl.concat(
                [
                    pl.DataFrame(schema=schema),
                    *(
                        pl.read_parquet(file, columns=_KEYS).unique().with_columns(file=pl.lit(file.name))
                        for file in _value_files(truth, tick_type)
                    ),
                ]
            )
            for tick_type in VALUES
        }
        self.sums: dict[str, list[pl.DataFrame]] = {tick_type: [] for tick_type in VALUES}
        self.failures: list[str] = []

    def see(self, content: ZipContent) -> None:
        """Take in a portion of a zip."""
        file = content.file
        if content.rows.is_empty() or file.resolution is Resolution.TICK:
            return
        prefix = f"{file.security}/{file.market}/{file.ticker}"
        keys = [contract_key(entry.style, entry.contract) for entry in content.entries]
        names = pl.Series("engine_id", [f"{prefix}/{key}" if key else prefix for key in keys], pl.String())
        rows = content.rows.with_columns(
            names.gather(content.rows["entry"]),
            bar_seconds=pl.lit(SECONDS_OF_RESOLUTION[file.resolution], pl.Int32),
        )
        closed = self._with_closes(rows, content)
        for row in closed.filter(pl.col("timestamp").is_null()).head(1).iter_rows(named=True):
            self.failures.append(
                f"{file.path}: {row['engine_id']} has a line at {row['time']}, in no session of the slice"
            )
        tick_type = file.tick_type.value
        self.sums[tick_type].append(summed(closed, tick_type))
        chosen = closed.join(self._chosen[tick_type], on=_KEYS, how="inner")
        compared = chosen.select("file", *_KEYS, "timestamp", *VALUES[tick_type])
        for (name,), values in compared.partition_by("file", as_dict=True, include_key=False).items():
            self._values.put(name, values)

    def _with_closes(self, rows: pl.DataFrame, content: ZipContent) -> pl.DataFrame:
        """Turn LEAN's times into close stamps, UTC."""
        file = content.file
        if file.resolution is Resolution.DAILY:
            return self._with_daily_closes(rows, content)
        if file.date is not None:
            rows = rows.with_columns(session_date=pl.lit(file.date, pl.Date()), since=pl.duration(milliseconds="time"))
        else:
            day = pl.col("time").dt.date()
            rows = rows.with_columns(session_date=day, since=pl.col("time") - day.cast(pl.Datetime("us")))
        placed = rows.join(
            self._sessions.select("session_date", "midnight", session_close="close"),
            on="session_date",
            how="left",
            maintain_order="left",
        )
        at = pl.col("midnight") + pl.col("since")
        if file.tick_type is TickType.OPEN_INTEREST:
            return placed.with_columns(timestamp=at)
        ends = pl.min_horizontal(at + pl.duration(seconds="bar_seconds"), "session_close")
        return placed.with_columns(timestamp=pl.when(pl.col("midnight").is_not_null()).then(ends))

    def _with_daily_closes(self, rows: pl.DataFrame, content: ZipContent) -> pl.DataFrame:
        days = self._sessions.select("session_date", "following").join(
            self._closes.filter(security=content.file.security.value), on="session_date", how="left"
        )
        if content.file.tick_type is TickType.OPEN_INTEREST:
            known = pl.col("following").dt.convert_time_zone(self._zone).dt.replace_time_zone(None)
            return rows.join(days.select("timestamp", time=known), on="time", how="left", maintain_order="left")
        midnight = pl.col("session_date").cast(pl.Datetime("us"))
        return rows.join(days.select("timestamp", time=midnight), on="time", how="left", maintain_order="left")


def _check_listings(report: Report, root: Path, expected: Path) -> None:
    """Compare the files beside the data, byte for byte."""
    wanted = {path.relative_to(expected).as_posix(): path for path in expected.rglob("*") if path.is_file()}
    found = {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.is_file() and path.suffix != ".zip" and path != root / MANIFEST_NAME
    }
    report.checks["listings"] = len(found)
    report.expect("files beside the data that are missing", [], sorted(set(wanted) - set(found)))
    report.expect("files besides those of the slice", [], sorted(set(found) - set(wanted)))
    for name in sorted(set(wanted) & set(found)):
        if wanted[name].read_bytes() != found[name].read_bytes():
            lines = zip(wanted[name].read_text().splitlines(), found[name].read_text().splitlines(), strict=False)
            number, (line, was) = next(
                ((at, pair) for at, pair in enumerate(lines, start=1) if pair[0] != pair[1]), (0, ("", ""))
            )
            report.failures.append(f"{name} line {number}: expected {line!r}, found {was!r}")


def _check_sums(report: Report, sums: pl.DataFrame, collector: _Collector, tick_type: str) -> None:
    names = ["rows", "first_timestamp", "last_timestamp", *(f"{name}_sum" for name in VALUES[tick_type])]
    expected = sums.filter(tick_type=tick_type)
    found = total(collector.sums[tick_type], tick_type)
    report.checks[tick_type] = {"instruments": found.height, "rows": int(found["rows"].sum())}
    expected = expected.select(*_KEYS, *(name for name in names if name in expected.columns))
    both = expected.join(found, on=_KEYS, how="full", suffix="_found", coalesce=True).sort(_KEYS)
    for row in both.iter_rows(named=True):
        where = f"{row['engine_id']} {tick_type} of {row['bar_seconds']} seconds"
        for name in names:
            report.expect(f"{where}: {name}", row.get(name), row.get(f"{name}_found"))


def _check_values(report: Report, truth: Path, values: Spool, tick_type: str) -> None:
    order, names = [*_KEYS, "timestamp"], VALUES[tick_type]
    compared, told = 0, 0
    for file in _value_files(truth, tick_type):
        expected = pl.read_parquet(file).sort(order)
        found = pl.concat([expected.clear(), *values.take(file.name)]).sort(order)
        compared += expected.height
        if expected.equals(found):
            continue
        both = expected.join(found, on=order, how="full", suffix="_found", coalesce=True).sort(order)
        differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_found")) for name in names)
        for row in both.filter(differs).head(_MOST_TOLD - told).iter_rows(named=True):
            where = f"{row['engine_id']} {tick_type} of {row['bar_seconds']} seconds at {row['timestamp']}"
            report.expect(
                where, {name: str(row[name]) for name in names}, {name: str(row[f"{name}_found"]) for name in names}
            )
            told += 1
    if compared:
        report.checks[tick_type]["compared"] = compared


def _value_files(truth: Path, tick_type: str) -> list[Path]:
    return sorted((truth / VALUES_FOLDER).glob(f"{tick_type}-*.parquet"))


def total(parts: list[pl.DataFrame], tick_type: str) -> pl.DataFrame:
    """Add up the sums of several zips.

    Parameters
    ----------
    parts : list of polars.DataFrame
        Of `pipeline_defs.exports.lean.truth.summed`.
    tick_type : str
        Key of `VALUES`.

    Returns
    -------
    polars.DataFrame
        One row per instrument and resolution.

    """
    sums = [f"{name}_sum" for name in VALUES[tick_type]]
    schema = {
        "engine_id": pl.String(),
        "bar_seconds": pl.Int32(),
        "rows": pl.Int64(),
        "first_timestamp": pl.Datetime("us", "UTC"),
        "last_timestamp": pl.Datetime("us", "UTC"),
        **dict.fromkeys(sums, pl.Decimal(38, 8)),
    }
    every = pl.concat([pl.DataFrame(schema=schema), *(part.select(list(schema)) for part in parts)])
    return every.group_by(_KEYS).agg(
        pl.col("rows").sum(), pl.col("first_timestamp").min(), pl.col("last_timestamp").max(), pl.col(sums).sum()
    )


def _readback(sums: pl.DataFrame, collector: _Collector) -> pl.DataFrame:
    """Give what was read, under the instruments' own ids; what has none is a failure of its own."""
    ids = sums.select("engine_id", "instrument_id").unique()
    return total(collector.sums["trade"], "trade").join(ids, on="engine_id").sort("instrument_id", "bar_seconds")


def main(arguments: list[str]) -> int:
    """Verify and write the report.

    Parameters
    ----------
    arguments : list of str
        Folder of the export, folder of the truth.

    Returns
    -------
    int
        Exit code: 0 when everything agreed.

    """
    root, truth = (Path(argument) for argument in arguments)
    report = verify_folder(root, truth)
    report.write(truth)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
