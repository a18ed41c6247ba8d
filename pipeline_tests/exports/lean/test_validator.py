from __future__ import annotations

import re
import shutil
import zipfile
from collections import Counter
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pipeline_defs.exports.lean import reading
from pipeline_defs.exports.lean.__main__ import main
from pipeline_defs.exports.lean.exporter import LeanExporter
from pipeline_defs.exports.lean.market_hours import HOURS_PATH
from pipeline_defs.exports.lean.paths import parse_path
from pipeline_defs.exports.lean.reading import read_zip
from pipeline_defs.exports.lean.symbol_properties import PROPERTIES_PATH
from pipeline_defs.exports.lean.validator import VALIDATOR, validate_folder
from pipeline_tests.exports.lean.samples import SAMPLES, needs_samples
from pipeline_tests.exports.lean.slices import entries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.exports.lean.reading import ZipContent
    from pipeline_defs.schema.exports import BuiltExport

OPTIONS = "indexoption/india/minute/nifty/20250813_trade_european.zip"
FIRST = "20250813_nifty_minute_trade_european_call_245000000_20250814.csv"


@pytest.fixture
def copy(built: BuiltExport, tmp_path: Path) -> Path:
    return shutil.copytree(built.root, tmp_path / "copy")


def rewrite(path: Path, content: dict[str, str]) -> None:
    path.unlink()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in content.items():
            archive.writestr(name, text)


def changed(root: Path, path: str, name: str, change: Callable[[str], str]) -> None:
    content = entries(root / path)
    rewrite(root / path, content | {name: change(content[name])})


def findings(root: Path) -> list[str]:
    return [str(finding) for finding in validate_folder(root).findings]


@pytest.mark.parametrize("name", ["built", "share", "pair"])
def test_what_we_build_has_no_findings(name: str, request: pytest.FixtureRequest) -> None:
    export: BuiltExport = request.getfixturevalue(name)
    report = validate_folder(export.root)
    assert report.findings == []
    assert report.counts["zips"] == export.counts["zips"]
    assert report.counts["entries"] == export.counts["entries"]
    assert report.counts["lines"] == sum(export.counts[name] for name in ("bars", "quotes", "open_interest"))
    verification = LeanExporter().validate(export.root)
    assert verification.passed
    assert verification.engine == VALIDATOR
    assert verification.readback is None


@needs_samples
def test_leans_own_samples_have_the_findings_they_deserve() -> None:
    report = validate_folder(SAMPLES)
    assert report.counts == {"zips": 51, "entries": 280, "lines": 48_955}
    # Two zips named .zip.zip; entries of nifty in a folder nifty50; bars after the close; shares without map files;
    # days without universes, since the samples hold a few of each. No line, no price and no order is amiss.
    assert Counter(finding.rule.value for finding in report.findings) == {
        "path": 2,
        "entry": 8,
        "hours": 5,
        "mapping": 5,
        "universe": 7,
    }
    assert any("juniorbees.csv: is missing" in str(finding) for finding in report.findings)


def test_a_truncated_zip_is_refused(copy: Path) -> None:
    whole = (copy / OPTIONS).read_bytes()
    (copy / OPTIONS).write_bytes(whole[: len(whole) // 2])
    assert any(f"archive: {OPTIONS}: cannot be read to its end" in line for line in findings(copy))


def test_a_zip_with_a_flipped_byte_is_refused(copy: Path) -> None:
    whole = bytearray((copy / OPTIONS).read_bytes())
    whole[120] ^= 0xFF
    (copy / OPTIONS).write_bytes(whole)
    assert any(f"archive: {OPTIONS}: cannot be read to its end" in line for line in findings(copy))


@settings(max_examples=25, deadline=None)
@given(at=st.floats(0, 0.999), byte=st.integers(0, 255), cut=st.booleans())
def test_no_bytes_make_the_validator_raise(  # each is a finding, or changes nothing that is read
    built: BuiltExport,
    tmp_path_factory: pytest.TempPathFactory,
    at: float,
    byte: int,
    cut: bool,  # noqa: FBT001 -- given by hypothesis
) -> None:
    root = tmp_path_factory.mktemp("bytes")
    whole = bytearray((built.root / OPTIONS).read_bytes())
    place = int(at * len(whole))
    whole[place] = byte
    (root / OPTIONS).parent.mkdir(parents=True)
    (root / OPTIONS).write_bytes(whole[:place] if cut else whole)
    (content,) = read_zip(root, parse_path(OPTIONS))
    assert content.findings or content.rows.height == 180


def _named(content: ZipContent) -> pl.DataFrame:
    names = pl.Series([entry.name for entry in content.entries], dtype=pl.String())
    return content.rows.with_columns(entry=names.gather(content.rows["entry"]))


def test_portions_of_a_zip_are_the_zip(built: BuiltExport, monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,) = read_zip(built.root, parse_path(OPTIONS))
    monkeypatch.setattr(reading, "PORTION_BYTES", 1_500)
    portions = list(read_zip(built.root, parse_path(OPTIONS)))

    assert len(portions) > 2
    assert [entry for portion in portions for entry in portion.entries] == whole.entries
    values = [_named(portion) for portion in portions]
    assert pl.concat(values).equals(_named(whole))


def test_in_portions_the_same_is_found(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A stamp hours after the close, in every entry.
    late = "63000000,500,500,500,500,1\n"
    rewrite(copy / OPTIONS, {name: text + late for name, text in entries(copy / OPTIONS).items()})
    at_once = validate_folder(copy)
    monkeypatch.setattr(reading, "PORTION_BYTES", 1_500)
    in_portions = validate_folder(copy)

    assert at_once.findings
    assert [str(finding) for finding in in_portions.findings] == [str(finding) for finding in at_once.findings]
    assert in_portions.counts == at_once.counts


def test_a_zip_that_breaks_off_is_found_whatever_was_read_before(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(copy / OPTIONS) as archive:
        last = archive.infolist()[-1]
    whole = bytearray((copy / OPTIONS).read_bytes())
    whole[last.header_offset + 30 + len(last.filename) + last.compress_size // 2] ^= 0xFF
    (copy / OPTIONS).write_bytes(whole)
    monkeypatch.setattr(reading, "PORTION_BYTES", 1_500)
    *before, broken = read_zip(copy, parse_path(OPTIONS))

    assert all(portion.findings == [] and portion.rows.height for portion in before)
    assert broken.rows.is_empty()
    assert any("cannot be read to its end" in finding.what for finding in broken.findings)


def test_an_encrypted_zip_is_a_finding(copy: Path) -> None:
    whole = bytearray((copy / OPTIONS).read_bytes())
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = whole.index(header)
        whole[at + flags] |= 1
    (copy / OPTIONS).write_bytes(whole)
    assert any(f"archive: {OPTIONS}: cannot be read to its end" in line for line in findings(copy))


def test_a_number_that_no_decimal_holds_is_refused(copy: Path) -> None:
    changed(copy, OPTIONS, FIRST, lambda text: f"{text}54999999,500,500,500,500,{'9' * 40}\n")
    assert any(f"{FIRST} line 31: holds a number of more than 30 digits" in line for line in findings(copy))


def test_an_empty_zip_is_refused(copy: Path) -> None:
    rewrite(copy / OPTIONS, {})
    assert f"archive: {OPTIONS}: holds no entry" in findings(copy)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nifty.csv", "is not the name of an entry of minute data of type indexoption"),
        (FIRST.replace("20250813", "20250814", 1), f"LEAN would look for {FIRST}"),
        (FIRST.replace("nifty", "banknifty"), f"LEAN would look for {FIRST}"),
    ],
)
def test_a_wrong_entry_name_is_refused(copy: Path, name: str, why: str) -> None:
    rewrite(copy / OPTIONS, {name: entries(copy / OPTIONS)[FIRST]})
    assert f"entry: {OPTIONS}#{name}: {why}" in findings(copy)


def test_an_empty_entry_is_refused(copy: Path) -> None:
    changed(copy, OPTIONS, FIRST, lambda _: "\n")
    assert f"entry: {OPTIONS}#{FIRST}: is empty: LEAN leaves such entries out" in findings(copy)


def test_unsorted_lines_are_refused_with_the_first_of_them(copy: Path) -> None:
    changed(copy, OPTIONS, FIRST, lambda text: "\n".join(reversed(text.splitlines())))
    assert any(line.startswith(f"order: {OPTIONS}#{FIRST} line 2: is not later") for line in findings(copy))


@pytest.mark.parametrize(
    "line", ["54000000,90.05,90.05,90.05,90.05,0", "54000000,1,2,3", "not a line", "54000000,1,2,1,2,5,6", ""]
)
def test_a_line_of_another_form_is_refused_with_its_number(copy: Path, line: str) -> None:
    changed(copy, OPTIONS, FIRST, lambda text: f"{text}{line}\n54999999,500,500,500,500,0\n")
    assert f"line: {OPTIONS}#{FIRST} line 31: has not the form of minute trade data: {line!r}" in findings(copy)


def test_a_time_after_the_day_is_refused(copy: Path) -> None:
    changed(copy, OPTIONS, FIRST, lambda text: f"{text}86400000,500,500,500,500,0\n")
    assert any(f"{FIRST} line 31: holds no time of a day" in line for line in findings(copy))


def test_prices_without_the_scale_are_refused(copy: Path) -> None:
    def unscale(text: str) -> str:
        fields = [line.split(",") for line in text.splitlines()]
        return "\n".join(
            ",".join([row[0], *(str(int(price) // 10_000) for price in row[1:5]), row[5]]) for row in fields
        )

    rewrite(copy / OPTIONS, {name: unscale(text) for name, text in entries(copy / OPTIONS).items()})
    assert any(line.startswith(f"scale: {OPTIONS}: most prices are no whole hundredths") for line in findings(copy))


def test_prices_scaled_twice_are_refused(copy: Path) -> None:
    changed(copy, OPTIONS, FIRST, lambda text: text.replace(",9", ",90000009"))
    assert any(f"scale: {OPTIONS}#{FIRST}: the option costs" in line for line in findings(copy))


def test_strikes_without_the_scale_are_refused(copy: Path) -> None:
    for zip_file in (copy / "indexoption/india").rglob("*.zip"):
        names = entries(zip_file)
        rewrite(zip_file, {name.replace("0000_2025", "_2025"): text for name, text in names.items()})
    assert any("scale: indexoption/india/nifty: the middle strike is" in line for line in findings(copy))


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (
            "indexoption/india/universes/nifty/20250813.csv",
            "universe: {}: is missing, while there are data of 2025-08-13",
        ),
        ("future/india/universes/nifty/20250813.csv", "universe: {}: is missing"),
        (HOURS_PATH, "hours: {}: is missing"),
        (PROPERTIES_PATH, "properties: {}: is missing"),
    ],
)
def test_a_file_that_lean_would_look_for_is_missed(copy: Path, path: str, why: str) -> None:
    (copy / path).unlink()
    assert any(line.startswith(why.format(path)) for line in findings(copy))


@pytest.mark.parametrize("kind", ["map", "factor"])
def test_a_share_without_map_or_factor_file_is_missed(share: BuiltExport, tmp_path: Path, kind: str) -> None:
    root = shutil.copytree(share.root, tmp_path / "copy")
    path = f"equity/india/{kind}_files/m&m.csv"
    (root / path).unlink()
    assert any(line.startswith(f"mapping: {path}: is missing") for line in findings(root))
    (root / path).write_text("19900101\n")
    assert any(line.startswith(f"mapping: {path}: line 1 has not the form") for line in findings(root))


def test_databases_without_what_the_data_need_are_told(copy: Path) -> None:
    hours = (copy / HOURS_PATH).read_text().replace("IndexOption-india", "IndexOption-usa")
    (copy / HOURS_PATH).write_text(hours)
    rows = (copy / PROPERTIES_PATH).read_text().splitlines()
    (copy / PROPERTIES_PATH).write_text("\n".join(rows[:-1]))
    found = findings(copy)
    assert any("no entry IndexOption-india-[*] for indexoption/india/nifty" in line for line in found)
    assert any("no row india,NIFTY,indexoption,..." in line for line in found)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("15:30:00", "15:10:00", "LEAN drops the line at 2025-08-13 15:29:00: the market is closed then"),
        ('"holidays": [', '"holidays": ["8/13/2025", ', "LEAN drops the data of 2025-08-13: the market is closed"),
        ("09:15:00", "nine", "cannot be read: .*'nine' is not a time of day"),
        ("exchangeTimeZone", "zone", "cannot be read: 'exchangeTimeZone'"),
    ],
)
def test_hours_that_the_data_do_not_lie_within_are_told(copy: Path, old: str, new: str, why: str) -> None:
    (copy / HOURS_PATH).write_text((copy / HOURS_PATH).read_text().replace(old, new))
    joined = "\n".join(findings(copy))
    assert re.search(why, joined)


def test_broken_databases_and_universes_are_findings_not_exceptions(copy: Path) -> None:
    (copy / HOURS_PATH).write_bytes(b"\xff{")
    (copy / PROPERTIES_PATH).write_text("market\nindia,NIFTY\n")
    (copy / "indexoption/india/universes/nifty/20250813.csv").write_bytes(b"\xff")
    found = "\n".join(findings(copy))
    assert f"hours: {HOURS_PATH}" in found
    assert f"properties: {PROPERTIES_PATH}" in found
    assert "universe: indexoption/india/universes/nifty/20250813.csv" in found


def test_a_zip_where_lean_does_not_look_is_told_and_zipped_map_files_are_let_be(copy: Path) -> None:
    (copy / "equity/usa/map_files").mkdir(parents=True)
    for path in ("equity/usa/map_files/map_files_20250801.zip", "stray.zip", "notes/india/daily/x.zip"):
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes(b"")
    told = [line for line in findings(copy) if line.startswith("path")]
    assert len(told) == 2
    assert told[0].startswith("path: notes/india/daily/x.zip: expected one of equity")
    assert told[1].startswith("path: stray.zip: expected <security type>")


def test_a_folder_without_data_is_told(tmp_path: Path) -> None:
    assert any("holds no data" in line for line in findings(tmp_path))
    assert not LeanExporter().validate(tmp_path).passed


def test_many_findings_are_cut_short(copy: Path) -> None:
    bad = {f"{at}.csv": "x\n" for at in range(60)}
    rewrite(copy / OPTIONS, bad)
    failures = LeanExporter().validate(copy).failures
    assert len(failures) == 51
    assert failures[-1].startswith("and ")


def test_the_command_prints_findings_and_ends_with_1(copy: Path) -> None:
    assert CliRunner().invoke(main, ["validate", str(copy)]).exit_code == 0
    (copy / PROPERTIES_PATH).unlink()
    result = CliRunner().invoke(main, ["validate", str(copy)])
    assert result.exit_code == 1
    assert f"properties: {PROPERTIES_PATH}: is missing" in result.output
