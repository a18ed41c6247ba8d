"""Catalogs that stand alone: sound ones pass, each kind of bad one is refused with its reason, and nothing crashes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.manifest import MANIFEST_NAME, catalog_hash, list_objects
from pipeline_defs.exports.nautilus import validate
from pipeline_defs.exports.nautilus.structure import check_files
from pipeline_defs.exports.nautilus.targets import get_target
from pipeline_defs.exports.nautilus.validate import inspect, main, validate_catalog
from pipeline_defs.exports.validating import validate_export
from pipeline_defs.exports.verifying import REPORT_FILE
from pipeline_tests.exports.nautilus.slices import OPTION_BARS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.exports.run import PublishedExport

type Published = PublishedExport[Path]

OTHER_BARS = OPTION_BARS.replace("C24500", "C24600")
OPTION = "NIFTY250814C24500.NSE"


@pytest.fixture
def catalog(published: Published, tmp_path: Path) -> Path:
    """A published catalog that a test may damage."""
    return Path(shutil.copytree(published.path, tmp_path / "catalog"))


def file_in(root: Path, folder: str = "bar", identifier: str = OPTION_BARS) -> Path:
    (file,) = (root / "data" / folder / identifier).iterdir()
    return file


def accept(root: Path) -> None:
    """Make the manifest agree with the files, so that only what is in them can tell."""
    path = root / MANIFEST_NAME
    content = json.loads(path.read_text())
    content["objects"] = list_objects(root)
    content["catalog_hash"] = catalog_hash(content["objects"])
    path.write_text(json.dumps(content))


def truncate(root: Path) -> None:
    file = file_in(root)
    file.write_bytes(file.read_bytes()[:-100])


def change_table(
    change: Callable[[pa.Table], pa.Table], folder: str = "bar", identifier: str = OPTION_BARS
) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        file = file_in(root, folder, identifier)
        pq.write_table(change(pq.read_table(file)), file)

    return damage


def narrow(table: pa.Table) -> pa.Table:
    """Keep prices in 8 bytes, as builds of standard precision do."""
    values = [value.as_py()[:8] for value in table["open"]]
    field = pa.field("open", pa.binary(8), nullable=False)
    return table.set_column(0, field, pa.array(values, pa.binary(8)))


def with_metadata(**changes: str) -> Callable[[pa.Table], pa.Table]:
    encoded = {key.encode(): value for key, value in changes.items()}
    return lambda table: table.replace_schema_metadata(table.schema.metadata | encoded)


def reverse(table: pa.Table) -> pa.Table:
    return table.take(list(range(table.num_rows))[::-1])


def nullable(table: pa.Table) -> pa.Table:
    values = table["open"].to_pylist()
    return table.set_column(0, pa.field("open", pa.binary(16)), pa.array([None, *values[1:]], pa.binary(16)))


def later(table: pa.Table) -> pa.Table:
    day = pl.duration(days=1).dt.total_nanoseconds()
    frame = pl.DataFrame(table.select(["ts_event", "ts_init"])).with_columns(pl.all() + day.cast(pl.UInt64))
    moved = frame.to_arrow().cast(pa.schema([table.schema.field("ts_event"), table.schema.field("ts_init")]))
    for name in ("ts_event", "ts_init"):
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), moved[name])
    return table


def swap(root: Path) -> None:
    one, other = file_in(root), file_in(root, identifier=OTHER_BARS)
    contents = one.read_bytes(), other.read_bytes()
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])


def swap_instruments(root: Path) -> None:
    file_in(root, "option_contract", OPTION).write_bytes(
        file_in(root, "option_contract", "NIFTY250814C24600.NSE").read_bytes()
    )


def stray(root: Path) -> None:
    (root / "data" / "bar" / ".hidden.parquet").write_bytes(b"")


def foreign_class(root: Path) -> None:
    folder = root / "data" / "order_book" / "X.NSE"
    folder.mkdir(parents=True)
    shutil.copy(file_in(root), folder)


def renamed(root: Path) -> None:
    file = file_in(root)
    file.rename(file.with_name("data.parquet"))


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (truncate, "is truncated or damaged: "),
    "wrong width": (
        change_table(narrow),
        "has columns of another type or width: open is fixed_size_binary[8], expected fixed_size_binary[16]",
    ),
    "unsorted": (change_table(reverse), "not sorted by ts_init"),
    "twice there": (change_table(lambda table: pa.concat_tables([table, table.slice(0, 0), table])), "not sorted"),
    "without metadata": (
        change_table(lambda table: table.replace_schema_metadata(None)),
        "its metadata lacks bar_type, instrument_id, price_precision, size_precision",
    ),
    "further metadata": (
        change_table(with_metadata(run="7")),
        "its metadata has run besides, and files that differ in it cannot be read together",
    ),
    "swapped": (swap, f"but it lies in the folder {OPTION_BARS}: the file was swapped"),
    "swapped instrument": (swap_instruments, f"but lies in the folder {OPTION}: the file was swapped"),
    "columns in another order": (
        change_table(lambda table: table.select([1, 0, *range(2, table.num_columns)])),
        "has the columns ['high', 'open',",
    ),
    "missing values": (change_table(nullable), "has missing values in open"),
    "another month's": (change_table(later), "rows lie outside the interval that the file is named after"),
    "times apart": (
        change_table(lambda table: table.set_column(5, table.schema.field("ts_event"), later(table)["ts_event"])),
        "ts_event and ts_init differ",
    ),
    "high below low": (
        change_table(
            lambda table: table.set_column(
                1, table.schema.field("high"), pa.chunked_array([[bytes(16)] * table.num_rows], pa.binary(16))
            )
        ),
        "high and low do not enclose the prices of a bar",
    ),
    "another class": (
        change_table(lambda table: table.replace_schema_metadata({"class": "Equity"}), "option_contract", OPTION),
        "its metadata names the class Equity, expected OptionContract",
    ),
    "mixed precision": (
        change_table(with_metadata(price_precision="4")),
        f"{OPTION}: its files say different precisions of price and size",
    ),
    "stray file": (stray, "lies where Nautilus would read it, but is no file of a catalog"),
    "unknown class": (foreign_class, "order_book is no class of Nautilus 1.231"),
    "renamed": (renamed, "rows lie outside the interval that the file is named after"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_each_damage_is_refused_with_its_reason_although_the_manifest_agrees(catalog: Path, kind: str) -> None:
    damage, reason = DAMAGES[kind]
    damage(catalog)
    accept(catalog)
    report = inspect(catalog)
    assert any(reason in failure for failure in report.failures), report.failures
    assert report.checks["engine"] == "not asked, since it may abort on these files"


def test_all_damages_at_once_are_told_from_another_process_that_does_not_take_ours_along(catalog: Path) -> None:
    names = sorted(path.name for path in (catalog / "data" / "bar").iterdir())
    cut, narrowed, turned, bare, swapped, other = names[8:14]
    file = file_in(catalog, identifier=cut)
    file.write_bytes(file.read_bytes()[:-100])
    change_table(narrow, identifier=narrowed)(catalog)
    change_table(reverse, identifier=turned)(catalog)
    change_table(lambda table: table.replace_schema_metadata(None), identifier=bare)(catalog)
    file_in(catalog, identifier=swapped).write_bytes(file_in(catalog, identifier=other).read_bytes())
    verified = validate_export(catalog)
    assert not verified.passed
    told = "\n".join(verified.failures)
    for reason in (
        "is truncated or damaged",
        "open is fixed_size_binary[8]",
        "not sorted by ts_init",
        "its metadata lacks bar_type",
        "the file was swapped",
        "bytes with sha256",
    ):
        assert reason in told
    assert verified.engine == "nautilus_trader 1.231.0"
    assert verified.checks["files"]["faults"] == 5


def test_a_published_catalog_passes_in_a_process_of_its_own(published_pairs: Published) -> None:
    verified = validate_export(published_pairs.path)
    assert verified.failures == ()
    assert verified.passed
    assert verified.checks["instruments"] == {"CurrencyPair": 2}


def test_a_published_catalog_of_every_class_passes(published: Published) -> None:
    verified = inspect(published.path)
    assert verified.failures == []
    assert verified.checks["instruments"] == {"IndexInstrument": 1, "FuturesContract": 1, "OptionContract": 7}
    assert (verified.checks["bars"], verified.checks["trade_ticks"], verified.checks["quote_ticks"]) == (
        7_328,
        404,
        804,
    )


def test_a_catalog_of_version_2_passes_and_its_damages_are_told(published_2: Published, tmp_path: Path) -> None:
    report = inspect(published_2.path)
    assert report.failures == []
    assert (report.checks["bars"], report.checks["index_prices"]) == (7_328, 750)
    root = Path(shutil.copytree(published_2.path, tmp_path / "catalog"))
    change = change_table(lambda table: table.replace_schema_metadata(None), "bars")
    change(root)
    failures, _ = check_files(root, get_target("2"))
    (failure,) = failures
    assert "its metadata lacks bar_type, instrument_id, price_precision, size_precision, type_name" in failure


def test_a_missing_environment_of_version_2_is_a_failure(
    published_2: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_NAUTILUS2_PYTHON", str(tmp_path / "none"))
    (failure,) = inspect(published_2.path).failures
    assert "sh tools/nautilus2.sh" in failure


def test_counts_that_nautilus_does_not_find_are_a_failure(catalog: Path, tmp_path: Path) -> None:
    path = catalog / MANIFEST_NAME
    content = json.loads(path.read_text())
    content["counts"]["bars"] += 1
    content["details"]["schema_fingerprint"] = "another"
    path.write_text(json.dumps(content))
    assert main([str(catalog), str(tmp_path)]) == 1
    fingerprint, bars = json.loads((tmp_path / REPORT_FILE).read_text())["failures"]
    assert fingerprint.startswith("schema fingerprint of this Nautilus: expected another")
    assert bars == "bars: expected 7329, found 7328"


def test_an_abort_of_the_engine_is_a_failure_not_a_crash(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate, "__name__", "pipeline_tests.exports.nautilus.aborting")
    verified = validate_catalog(catalog)
    assert not verified.passed
    (failure,) = verified.failures
    assert "ended with signal 6" in failure


def test_a_folder_that_is_no_nautilus_catalog_is_refused(catalog: Path, tmp_path: Path) -> None:
    path = catalog / MANIFEST_NAME
    path.write_text(path.read_text().replace('"format": "nautilus"', '"format": "backtrader"'))
    with pytest.raises(ExportError, match="is an export of format 'backtrader', expected a Nautilus catalog"):
        validate_catalog(catalog)
    with pytest.raises(ExportError, match=r"holds no _manifest\.json"):
        validate_catalog(tmp_path)
