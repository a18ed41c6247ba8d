"""Catalogs for the pre-release of Nautilus 2, read and written by that version in its own environment."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_defs.errors import ConfigurationError, ExportError
from pipeline_defs.exports.nautilus.exporter import Nautilus2Exporter
from pipeline_defs.exports.nautilus.reading_2 import ENVIRONMENT, read_with_version_2
from pipeline_defs.exports.nautilus.target_2 import VERSION
from pipeline_defs.exports.nautilus.targets import SERIES, get_target
from pipeline_defs.exports.nautilus.truth import TRIAL_FILE, write_truth
from pipeline_defs.exports.nautilus.verify_2 import main
from pipeline_defs.exports.registry import get_exporter
from pipeline_defs.exports.verifying import REPORT_FILE, Report
from pipeline_defs.schema.exports import READBACK_SCHEMA
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.exports.nautilus.slices import file_of, share_slice

if TYPE_CHECKING:
    from pipeline_defs.exports.run import PublishedExport
    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

type Published = PublishedExport[Path]


def _files(root: Path) -> dict[str, Path]:
    """Find the first file of each class."""
    return {folder.name: next(folder.rglob("*.parquet")) for folder in sorted((root / "data").iterdir())}


@pytest.fixture(scope="module")
def theirs(nautilus_2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of each class as Nautilus 2 writes it."""
    root = tmp_path_factory.mktemp("theirs")
    script = Path(__file__).with_name("writing_2.py")
    subprocess.run([str(nautilus_2), "-P", str(script), str(root)], check=True, capture_output=True)
    return root


def test_every_schema_and_folder_is_that_of_version_2_s_own_writer(theirs: Path) -> None:
    target = get_target("2")
    written = _files(theirs)
    names = {pq.read_schema(file).metadata[b"type_name"].decode(): folder for folder, file in written.items()}
    assert {name: target.folder(name) for name in names} == names
    assert len(names) == 10
    for name, folder in names.items():
        found = pq.read_schema(written[folder])
        assert target.schema(name).equals(found.remove_metadata()), name
        metadata = {key.decode(): value.decode() for key, value in found.metadata.items()}
        said = target.metadata(name, metadata["instrument_id"], (8, 8), metadata.get("bar_type", ""))
        expected = said if name in SERIES else {"instrument_id": metadata["instrument_id"], "type_name": name}
        assert metadata.keys() == expected.keys(), name


def test_our_instruments_are_those_of_version_2_s_own_writer(
    theirs: Path, published_2: Published, published_pairs_2: Published
) -> None:
    compared = 0
    for root in (published_2.path, published_pairs_2.path):
        for folder in ("option_contract", "index_instrument", "currency_pair"):
            for their_file in (theirs / "data" / folder).rglob("*.parquet"):
                our_folder = root / "data" / folder / their_file.parent.name
                for our_file in our_folder.glob("*.parquet"):
                    ours, expected = pq.read_table(our_file), pq.read_table(their_file)
                    assert ours.schema.equals(expected.schema, check_metadata=True)
                    times = ["ts_event", "ts_init"]
                    assert ours.drop_columns(times).equals(expected.drop_columns(times)), their_file
                    compared += 1
    assert compared == 3


def test_version_2_confirms_the_catalog_value_by_value_and_settles_an_option(
    published_2: Published,
) -> None:
    found = published_2.verification
    assert found.engine == published_2.engine == f"nautilus_trader {VERSION}"
    assert found.checks["instruments"] == {"FuturesContract": 1, "IndexInstrument": 1, "OptionContract": 7}
    assert (found.checks["bars_compared_one_by_one"], found.checks["index_prices_compared_one_by_one"]) == (7_328, 750)
    assert (found.checks["trade_ticks"], found.checks["quote_ticks"], found.checks["option_greeks"]) == (
        404,
        804,
        4_500,
    )
    fills = found.checks["trial"]["hold_to_expiry"]["fills"]
    assert [(fill["side"], fill["price"], fill["quantity"]) for fill in fills] == [
        ("BUY", "93.10", "75"),
        ("SELL", "7.85", "75"),
    ]


def test_both_versions_read_the_same_bars(published: Published, published_2: Published) -> None:
    one, two = published.verification.readback, published_2.verification.readback
    assert one is not None
    assert two is not None
    assert dict(two.schema) == READBACK_SCHEMA
    assert one.equals(two)


def test_pairs_are_confirmed_also_with_a_currency_that_nobody_knows(published_pairs_2: Published) -> None:
    checks = published_pairs_2.verification.checks
    assert checks["instruments"] == {"CurrencyPair": 2}
    assert checks["trial"] == {"replay": {"bar_type": "BTCUSDT.BINANCE-1-MINUTE-LAST-EXTERNAL", "iterations": 750}}
    file = _files(published_pairs_2.path)["bars"]
    assert pq.read_schema(file).field("volume").type == pa.decimal128(38, 16)


def test_two_builds_give_the_same_bytes(rich_market: MarketSlice, published_2: Published, tmp_path: Path) -> None:
    Nautilus2Exporter().build(rich_market, tmp_path)
    digests = [
        {
            str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in root.rglob("*")
            if file.is_file() and file.name != "_manifest.json"
        }
        for root in (tmp_path, published_2.path)
    ]
    assert digests[0] == digests[1]


def test_the_manifest_names_the_target_and_the_version(published_2: Published) -> None:
    manifest = json.loads(published_2.manifest.read_text())
    assert (manifest["format"], manifest["details"]["target"]) == ("nautilus-2", "2")
    assert manifest["details"]["nautilus_trader"] == VERSION
    assert "IndexPriceUpdate" in manifest["details"]["schema_classes"]
    pinned = (PROJECT_ROOT / "requirements-nautilus2.txt").read_text()
    assert f"nautilus-trader=={VERSION} " in pinned
    assert "://" not in pinned


def test_the_format_is_chosen_by_its_name() -> None:
    exporter = get_exporter("nautilus-2")
    assert isinstance(exporter, Nautilus2Exporter)
    assert (exporter.name, exporter.target) == ("nautilus-2", "2")
    with pytest.raises(ConfigurationError, match=r"Nautilus target was '3', expected one of 1\.231, 2"):
        get_target("3")


@pytest.fixture(scope="module")
def built_2(market: MarketSlice, tmp_path_factory: pytest.TempPathFactory) -> BuiltExport:
    return Nautilus2Exporter().build(market, tmp_path_factory.mktemp("catalog"))


def _verify(built: BuiltExport, market: MarketSlice, folder: Path, sample_size: int = 24) -> Report:
    """Run the verification here; Nautilus 2 runs in a process of its own all the same."""
    assert write_truth(built, market, folder, sample_size, index_prices=True) == []
    exit_code = main([str(built.root), str(folder)])
    found = json.loads((folder / REPORT_FILE).read_text())
    assert exit_code == (1 if found["failures"] else 0)
    return Report(found["engine"], found["checks"], found["failures"])


def test_without_the_environment_verification_fails_and_says_how_to_make_it(
    built_2: BuiltExport, market: MarketSlice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT.variable, str(tmp_path / "no-python"))
    (failure,) = _verify(built_2, market, tmp_path, 0).failures
    assert "whose environment does not exist" in failure
    assert "sh tools/nautilus2.sh" in failure


def test_a_file_that_version_2_cannot_read_is_a_failed_verification(
    built_2: BuiltExport, market: MarketSlice, nautilus_2: Path, tmp_path: Path
) -> None:
    assert nautilus_2.exists()
    copy = dataclasses.replace(built_2, root=Path(shutil.copytree(built_2.root, tmp_path / "catalog")))
    file = file_of(copy, "bars")
    file.write_bytes(file.read_bytes()[:-100])
    (tmp_path / "output").mkdir()
    with pytest.raises(ExportError, match="Nautilus 2 ended with exit code"):
        read_with_version_2(copy.root, tmp_path / "output")
    (tmp_path / "truth").mkdir()
    (failure,) = _verify(copy, market, tmp_path / "truth", 0).failures
    assert "Nautilus 2 ended with exit code" in failure


def test_other_prices_and_another_outcome_are_found_out(
    built_2: BuiltExport, market: MarketSlice, nautilus_2: Path, tmp_path: Path
) -> None:
    assert nautilus_2.exists()
    write_truth(built_2, market, tmp_path, 0, index_prices=True)
    trial = json.loads((tmp_path / TRIAL_FILE).read_text())
    (tmp_path / TRIAL_FILE).write_text(json.dumps(trial | {"worth_over_underlying": "7.90"}))
    assert main([str(built_2.root), str(tmp_path)]) == 1
    (failure,) = json.loads((tmp_path / REPORT_FILE).read_text())["failures"]
    assert "fills: expected" in failure
    copy = Path(shutil.copytree(built_2.root, tmp_path / "catalog"))
    file = file_of(dataclasses.replace(built_2, root=copy), "bars")
    table = pq.read_table(file)
    pq.write_table(table.set_column(0, table.schema.field(0), table["close"]), file)
    assert main([str(copy), str(tmp_path)]) == 1
    report = json.loads((tmp_path / REPORT_FILE).read_text())
    assert "open_sum: expected" in report["failures"][0]
    assert report["checks"]["trial"] == "not judged, since the catalog differs from the slice"


def test_an_option_without_any_volume_is_not_judged(market: MarketSlice, nautilus_2: Path, tmp_path: Path) -> None:
    assert nautilus_2.exists()
    still = dataclasses.replace(
        market,
        read_bars=lambda _ids=None: (bars.with_columns(volume=pl.lit(0, pl.Int64)) for bars in market.read_bars()),
    )
    (tmp_path / "catalog").mkdir()
    exporter = Nautilus2Exporter()
    verified = _verify(exporter.build(still, tmp_path / "catalog"), still, tmp_path)
    assert verified.failures == []
    assert verified.checks["trial"] == "not judged, since NIFTY250814C24600.NSE has no volume"


def test_an_option_on_a_share_is_bought_but_its_delivery_is_not_asked_for(nautilus_2: Path, tmp_path: Path) -> None:
    assert nautilus_2.exists()
    market = share_slice()
    (tmp_path / "catalog").mkdir()
    exporter = Nautilus2Exporter()
    built = exporter.build(market, tmp_path / "catalog")
    assert built.counts["index_prices"] == 0
    assert (
        "this version settles options on a share only in a run that holds trades of the share" in built.details["notes"]
    )
    verified = _verify(built, market, tmp_path)
    assert verified.failures == []
    (fill,) = verified.checks["trial"]["hold_to_expiry"]["fills"]
    assert (fill["side"], fill["price"]) == ("BUY", "1400.40")
