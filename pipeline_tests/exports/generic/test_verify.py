"""Every value is read back and compared with the slice; a published export is checked by itself."""

from __future__ import annotations

import dataclasses
import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.generic import reading, verify
from pipeline_defs.exports.generic.exporter import CsvExporter, ParquetExporter
from pipeline_defs.exports.generic.summaries import Summary
from pipeline_defs.exports.generic.truth import write_truth
from pipeline_defs.exports.manifest import MANIFEST_NAME, check_manifest, list_objects, read_manifest
from pipeline_defs.exports.registry import EXPORTERS
from pipeline_defs.exports.run import export_slice
from pipeline_defs.exports.verifying import READBACK_FILE, REPORT_FILE
from pipeline_defs.schema.exports import READBACK_SCHEMA, BuiltExport, MarketSlice
from pipeline_defs.schema.interchange import BAR_COLUMNS, BARS
from pipeline_tests.exports.generic.conftest import FORMATS, SLICES, Exports
from pipeline_tests.exports.generic.slices import in_halves, nifty_slice

if TYPE_CHECKING:
    from collections.abc import Callable

EXPORTER = {"csv": CsvExporter, "parquet": ParquetExporter}
type Copied = Callable[..., Path]


def read_table(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False) if path.suffix == ".csv" else pl.read_parquet(path)


def rewrite(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change a file's rows and write it again as it was."""
    changed = change(read_table(path))
    if path.suffix == ".csv":
        changed.write_csv(path)
    else:
        schema = pq.read_schema(path)
        names = [name for name in schema.names if name in changed.columns]
        kept = pa.schema([schema.field(name) for name in names])
        pq.write_table(changed.select(names).to_arrow().cast(kept), path, store_schema=False)


def verified(folder: Path, market: MarketSlice, tmp_path: Path) -> list[str]:
    """Compare an export with a slice in this process; give the failures."""
    truth = tmp_path / "truth"
    truth.mkdir()
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    claims = pl.DataFrame(schema={**READBACK_SCHEMA, "engine_id": pl.String})
    built = BuiltExport(folder, {}, claims, "engine", {})
    write_truth(built, market, truth, read_format(folder))
    return verify.verify_export(folder, truth).failures


def read_format(folder: Path) -> str:
    return str(json.loads((folder / "schema.json").read_text())["format"])


def value(name: str, row: int, text: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """Change one value."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        dtype = rows[name].dtype
        new = pl.lit(text)
        if isinstance(dtype, pl.Datetime):
            new = new.str.to_datetime("%+", time_unit="us", time_zone="UTC")
        elif dtype == pl.Date:
            new = new.str.to_date("%Y-%m-%d")
        elif dtype != pl.String:
            new = new.cast(dtype)
        return rows.with_columns(pl.when(pl.int_range(pl.len()) == row).then(new).otherwise(name).alias(name))

    return change


@pytest.mark.parametrize("name", sorted(SLICES))
@pytest.mark.parametrize("file_format", FORMATS)
def test_every_slice_is_confirmed_and_read_back_as_it_was(exports: Exports, file_format: str, name: str) -> None:
    verification = exports.of(file_format, name).verification

    assert verification.passed
    assert verification.engine.split()[0] == {"csv": "pyarrow", "parquet": "polars"}[file_format]
    assert verification.readback is not None
    assert dict(verification.readback.schema) == READBACK_SCHEMA
    market = SLICES[name]()
    for part in market.every_resolution:
        expected = (
            pl.concat(part.read_bars())
            .group_by("instrument_id")
            .agg(
                bar_seconds=pl.lit(part.bar_seconds, pl.Int32),
                rows=pl.len().cast(pl.Int64),
                first_timestamp=pl.col("timestamp").min(),
                last_timestamp=pl.col("timestamp").max(),
                close_sum=pl.col("close").sum().cast(pl.Decimal(38, 8)),
                volume_sum=pl.col("volume").sum().cast(pl.Decimal(38, 8)),
            )
            .sort("instrument_id")
        )
        found = verification.readback.filter(pl.col("bar_seconds") == part.bar_seconds).sort("instrument_id")
        assert found.equals(expected)


CHANGES: list[tuple[str, Callable[[pl.DataFrame], pl.DataFrame], str]] = [
    ("bars_1m", value("close", 5, "24580.36"), "bars_1m.{}, instrument 1 (NIFTY 50.NSE_IDX): close_sum: expected"),
    ("bars_1m", value("strike", 130, "24500.00000001"), "values differ in strike"),
    ("bars_1m", value("symbol", 130, "other"), "values differ in symbol"),
    ("bars_1m", lambda rows: rows.head(239), "rows of bars_1m.{}: expected 240, found 239"),
    ("ticks", value("bid_price", 0, "24600.00000001"), "values differ in bid_price"),
    ("ticks", value("sequence", 1, "2"), "values differ in sequence"),
    ("ticks", value("timestamp", 2, "2025-08-13T03:45:01.000251Z"), "first_timestamp: expected"),
    ("instruments", value("lot_size", 1, "74"), "instruments.{} row 2, lot_size: expected 75, found 74"),
    ("instruments", lambda rows: rows.head(4), "rows of instruments.{} against the slice: expected 5, found 4"),
    ("sessions", value("session_date", 0, "2025-08-12"), "sessions.{} row 1, session_date"),
    ("settlements", value("underlying_price", 0, "24631.06"), "underlying_price: expected 24631.05"),
    ("bars_1m", lambda rows: rows.reverse(), "rows are not sorted by instrument_id and timestamp, or twice at"),
    ("bars_1m", lambda rows: pl.concat([rows.head(1), rows]), "rows are not sorted by instrument_id and timestamp"),
    ("bars_1m", value("bar_seconds", 3, "300"), "rows of bars_1m.{} of another resolution than 60 s"),
    ("bars_1m", lambda rows: rows.drop("high"), "missing: high"),
]


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("changed", CHANGES, ids=[failure for *_, failure in CHANGES])
def test_any_other_value_is_found_and_named(
    copied: Copied, tmp_path: Path, file_format: str, changed: tuple[str, Callable[[pl.DataFrame], pl.DataFrame], str]
) -> None:
    stem, change, failure = changed
    folder = copied(file_format)
    rewrite(folder / f"{stem}.{file_format}", change)

    failures = verified(folder, nifty_slice(), tmp_path)

    assert any(failure.format(file_format) in line for line in failures), failures


def test_values_that_only_changed_places_are_found(copied: Copied, tmp_path: Path) -> None:
    """Sums and the hash of each column stay the same; the hash of rows does not."""
    folder = copied("csv")

    def swap(rows: pl.DataFrame) -> pl.DataFrame:
        volumes = rows["volume"].to_list()
        volumes[61], volumes[62] = volumes[62], volumes[61]
        return rows.with_columns(volume=pl.Series(volumes))

    rewrite(folder / "bars_1m.csv", swap)
    (failure,) = verified(folder, nifty_slice(), tmp_path)
    assert failure == "bars_1m.csv, instrument 2 (NIFTY28AUG25FUT.NFO): values are at other rows"


def test_another_partition_and_another_set_of_files_are_found(copied: Copied, tmp_path: Path) -> None:
    folder = copied("csv")
    market = dataclasses.replace(nifty_slice(), timezone="UTC", actions=None)

    failures = verified(folder, market, tmp_path)

    assert any("partition in schema.json: expected" in line and "'UTC'" in line for line in failures)
    assert any("files in schema.json: expected" in line for line in failures)


def test_a_builder_that_claims_what_the_slice_does_not_say_is_found(tmp_path: Path) -> None:
    exporter = ParquetExporter()
    folder = tmp_path / "export"
    folder.mkdir()
    built = exporter.build(nifty_slice(), folder)
    wrong = built.instruments.with_columns(close_sum=pl.col("close_sum") + Decimal("0.01"))

    failures = write_truth(dataclasses.replace(built, instruments=wrong), nifty_slice(), tmp_path, "parquet")

    assert len(failures) == built.instruments.height
    assert failures[0].startswith("instrument 1 at 60 s: built as rows 60")


def test_data_that_changed_between_build_and_verification_publish_nothing(tmp_path: Path) -> None:
    market = nifty_slice()
    bars = pl.concat(market.read_bars())
    readers = iter([in_halves(bars), in_halves(value("close", 239, "0.00000002")(bars))])
    changing = dataclasses.replace(market, read_bars=lambda ids=None: next(readers)(ids))

    with pytest.raises(ExportError, match="did not confirm it, nothing was published"):
        export_slice("csv", changing, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_process_reports_to_the_folder_of_the_truth(exports: Exports, tmp_path: Path) -> None:
    assert verify.main([str(exports.of("csv").path), str(tmp_path)]) == 0
    assert json.loads((tmp_path / REPORT_FILE).read_text())["failures"] == []
    assert (tmp_path / READBACK_FILE).is_file()


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_published_export_validates_by_itself(exports: Exports, file_format: str) -> None:
    exporter = EXPORTER[file_format]()
    verification = exporter.validate(exports.of(file_format).path)

    assert verification.failures == ()
    assert verification.passed
    assert verification.readback is not None
    assert verification.readback["rows"].sum() == 292
    assert EXPORTERS[file_format].endswith(type(exporter).__name__)


def truncate(folder: Path, file_format: str) -> None:
    file = folder / f"bars_1m.{file_format}"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def swap(folder: Path, file_format: str) -> None:
    one, other = folder / f"bars_1m.{file_format}", folder / f"bars_5m.{file_format}"
    one.rename(folder / "aside")
    other.rename(one)
    (folder / "aside").rename(other)


def drop(folder: Path, file_format: str) -> None:
    (folder / f"ticks.{file_format}").unlink()


def add(folder: Path, file_format: str) -> None:
    shutil.copy(folder / f"ticks.{file_format}", folder / f"ticks_2.{file_format}")


def unsort(folder: Path, file_format: str) -> None:
    rewrite(folder / f"ticks.{file_format}", lambda rows: rows.reverse())


def narrow(folder: Path, file_format: str) -> None:
    rewrite(folder / f"bars_5m.{file_format}", lambda rows: rows.drop("open_interest"))


def retype(folder: Path, file_format: str) -> None:
    path = folder / f"bars_5m.{file_format}"
    if file_format == "csv":
        rewrite(path, value("close", 0, "24500.123456789"))
    else:
        pl.read_parquet(path).with_columns(pl.col("close").cast(pl.Float64)).write_parquet(path)


def forget(folder: Path, _: str) -> None:
    (folder / "schema.json").unlink()


def redescribe(folder: Path, _: str) -> None:
    text = (folder / "schema.json").read_text()
    (folder / "schema.json").write_text(text.replace("Units traded, never lots", "Lots traded"))


DAMAGE: dict[Callable[[Path, str], None], dict[str, str]] = {
    truncate: {"csv": "bars_1m.csv: cannot be read as its columns' types", "parquet": "cannot be read as Parquet"},
    swap: dict.fromkeys(FORMATS, "rows of bars_1m.{} of another resolution than 60 s"),
    drop: dict.fromkeys(FORMATS, "files that are missing: expected [], found ['ticks.{}']"),
    add: dict.fromkeys(FORMATS, "files that schema.json does not name: expected [], found ['ticks_2.{}']"),
    unsort: dict.fromkeys(FORMATS, "ticks.{}: rows are not sorted by instrument_id and timestamp and sequence"),
    narrow: dict.fromkeys(FORMATS, "missing: open_interest"),
    retype: {"csv": "Rescaling Decimal value would cause data loss", "parquet": "column close has the type Float64"},
    forget: dict.fromkeys(FORMATS, "schema.json is missing"),
    redescribe: dict.fromkeys(FORMATS, "columns of bars_1m.{} in schema.json"),
}


def with_new_manifest(folder: Path) -> None:
    """Write the hashes of the files as they are: whoever swaps files may do that, too."""
    content = read_manifest(folder) | {"objects": list_objects(folder)}
    (folder / MANIFEST_NAME).write_text(json.dumps(content))
    assert check_manifest(folder) == []


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_found_even_where_the_manifest_was_written_anew(
    copied: Copied, tmp_path: Path, file_format: str, damage: Callable[[Path, str], None]
) -> None:
    folder = copied(file_format)
    damage(folder, file_format)
    with_new_manifest(folder)

    # The same that `validate` runs in a process of its own.
    failures = verify.verify_export(folder, tmp_path).failures

    assert any(DAMAGE[damage][file_format].format(file_format) in line for line in failures), failures


def test_validation_names_the_damage_and_never_raises(copied: Copied, tmp_path: Path) -> None:
    folder = copied("parquet")
    truncate(folder, "parquet")

    verification = ParquetExporter().validate(folder)

    assert not verification.passed
    assert "bars_1m.parquet: expected" in verification.failures[0], "the manifest's hash"
    assert "cannot be read as Parquet" in verification.failures[1]
    missing = CsvExporter().validate(tmp_path / "nowhere")
    assert "holds no _manifest.json" in missing.failures[0]
    other = CsvExporter().validate(copied("parquet", "pair"))
    assert other.failures[0] == "format in the manifest: expected csv, found parquet"


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({"kind": "something else"}, "does not say that it describes"),
        ({"version": 2}, "has version 2, expected 1"),
        ({"files": [{"path": "bars_1m.csv"}]}, "does not have the form of a sidecar: KeyError('content')"),
        ({"format": "xlsx"}, "format in schema.json: expected csv or parquet, found xlsx"),
    ],
)
def test_a_sidecar_that_is_not_ours_is_refused(
    copied: Copied, tmp_path: Path, change: dict[str, Any], failure: str
) -> None:
    folder = copied("csv")
    sidecar = folder / "schema.json"
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | change))

    found = verify.verify_export(folder, tmp_path).failures[-1]
    assert failure in found
    sidecar.write_text("{")
    (found,) = verify.verify_export(folder, tmp_path).failures
    assert "is not readable as JSON" in found


def test_a_file_of_rows_without_any_reads_as_none(copied: Copied, tmp_path: Path) -> None:
    folder = copied("csv")
    (folder / "ticks.csv").write_text(f"{(folder / 'ticks.csv').read_text().splitlines()[0]}\n")

    assert any(
        "rows of ticks.csv: expected 4, found 0" in line for line in verify.verify_export(folder, tmp_path).failures
    )


def test_a_summary_keeps_nothing_of_the_batches_that_it_was_made_of(
    built_files: Callable[[str, MarketSlice], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name taken over from Arrow would keep its whole batch in memory, and in the end the whole file."""
    monkeypatch.setattr(reading, "_BLOCK_BYTES", 4_000)
    path = built_files("csv", nifty_slice()) / "bars_1m.csv"
    before, summary = pa.total_allocated_bytes(), Summary(BARS)
    for rows in reading.read_csv(path, dict(BAR_COLUMNS)):
        summary.add(rows)
    del rows

    assert summary.by_instrument()["rows"].sum() > 100
    assert pa.total_allocated_bytes() - before < path.stat().st_size // 4
