"""A published folder is checked without its slice: every damage is told with its reason, and nothing crashes us."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.exports.backtrader import validate as module
from pipeline_defs.exports.backtrader.build import build_files
from pipeline_defs.exports.backtrader.contracts import SIDECAR_NAME
from pipeline_defs.exports.backtrader.exporter import BacktraderExporter
from pipeline_defs.exports.backtrader.readback import text_bars
from pipeline_defs.exports.backtrader.validate import main, validate_folder
from pipeline_defs.exports.manifest import MANIFEST_NAME, catalog_hash, list_objects, write_manifest
from pipeline_defs.exports.validating import validate_export
from pipeline_defs.exports.verifying import REPORT_FILE
from pipeline_defs.schema.exports import Verification
from pipeline_tests.exports.backtrader.slices import nifty_slice, with_resolutions

if TYPE_CHECKING:
    from collections.abc import Callable

CALL, PUT = "NIFTY_250814_24600_CE_5m.csv", "NIFTY_250814_24500_PE_5m.csv"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, market = tmp_path_factory.mktemp("published"), with_resolutions(nifty_slice(10), 300, 86_400)
    built = build_files(market, root)
    write_manifest(root, "backtrader", market, built, Verification(True, built.engine, {}, ()))  # noqa: FBT003
    return root


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "folder"))


def failures(root: Path) -> list[str]:
    return validate_folder(root).failures


def change(root: Path, file: str, edit: Callable[[str], str], *, hide: bool = False) -> None:
    """Edit a file; if hidden, bring the hashes of sidecar and manifest up to it, so that only the content tells."""
    text = (root / file).read_text()
    assert edit(text) != text
    (root / file).write_text(edit(text))
    if hide:
        conceal(root)


def conceal(root: Path) -> None:
    content = json.loads((root / SIDECAR_NAME).read_text())
    for contract in content["contracts"]:
        for bars in contract["files"]:
            bars["sha256"] = hashlib.sha256((root / bars["file"]).read_bytes()).hexdigest()
    (root / SIDECAR_NAME).write_text(json.dumps(content))
    manifest = json.loads((root / MANIFEST_NAME).read_text())
    objects = list_objects(root)
    (root / MANIFEST_NAME).write_text(
        json.dumps({**manifest, "objects": objects, "catalog_hash": catalog_hash(objects)})
    )


def describe(root: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit the sidecar, unseen by the manifest."""
    content = json.loads((root / SIDECAR_NAME).read_text())
    edit(content)
    (root / SIDECAR_NAME).write_text(json.dumps(content))
    objects = list_objects(root)
    manifest = json.loads((root / MANIFEST_NAME).read_text())
    (root / MANIFEST_NAME).write_text(json.dumps({**manifest, "objects": objects}))


def entry_of(content: dict[str, Any], file: str) -> dict[str, Any]:
    (bars,) = (bars for contract in content["contracts"] for bars in contract["files"] if bars["file"] == file)
    found: dict[str, Any] = bars
    return found


def test_a_published_folder_is_whole_and_the_engine_has_read_it(published: Path) -> None:
    report = validate_folder(published)
    assert report.failures == []
    assert report.checks["files"] == 25
    assert report.checks["text"] == {"files": 24, "bars": 8 * (20 + 4 + 2)}
    assert report.checks["engine"] == {"files": 24, "bars": 8 * 26, "all": True}


def test_of_a_large_folder_the_engine_reads_a_part_of_each_resolution_with_the_underlying(published: Path) -> None:
    report = validate_folder(published, 100)
    assert report.failures == []
    assert report.checks["engine"]["all"] is False
    assert report.checks["engine"]["files"] >= 6


def test_another_process_says_the_same(published: Path) -> None:
    verification = BacktraderExporter().validate(published)
    assert (verification.passed, verification.failures) == (True, ())
    assert verification.engine.startswith("backtrader 1.")
    assert verification.checks == validate_folder(published).checks


def test_the_check_of_any_format_tells_each_reason_once(folder: Path) -> None:
    change(folder, CALL, unsorted)
    found = validate_export(folder)
    assert not found.passed
    assert len(set(found.failures)) == len(found.failures)
    assert [failure.split(":")[0] for failure in found.failures] == [CALL, CALL, f"{CALL} sha256"]


def test_a_folder_that_is_none_is_refused_and_not_raised_over(tmp_path: Path) -> None:
    verification = BacktraderExporter().validate(tmp_path)
    (failure,) = verification.failures
    assert not verification.passed
    assert "holds no _manifest.json, so it is not one of our exports" in failure


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (failure,) = failures(tmp_path / "file")
    assert "cannot be read" in failure
    (failure,) = failures(tmp_path / "nowhere")
    assert "holds no _manifest.json" in failure


def cut(text: str) -> str:
    return text[:-7]


def without_a_column(text: str) -> str:
    return "\n".join(line.rpartition(",")[0] for line in text.splitlines()) + "\n"


def with_a_short_line(text: str) -> str:
    lines = text.splitlines()
    return "\n".join([*lines[:2], lines[2].rpartition(",")[0], *lines[3:]]) + "\n"


def unsorted(text: str) -> str:
    header, first, second, *rest = text.splitlines()
    return "\n".join([header, second, first, *rest]) + "\n"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "does not end with exactly one newline: it is cut short"),
        (lambda text: text[:0], "does not begin with the line datetime,open"),
        (without_a_column, "does not begin with the line datetime,open"),
        (with_a_short_line, "line 3 holds a stamp or a number of another form, or another number of columns than 7"),
        (unsorted, "line 3 does not ascend, its stamp is not later than the one before: '2025-08-13 15:25:00,"),
        (lambda text: text.replace("2025-08-13 15:30:00", "2025-08-13 15:25:00"), "line 3 does not ascend"),
        (lambda text: text.replace("2025-08-13 15:30:00", "2025-02-30 15:30:00"), "line 3 holds a stamp"),
        (lambda text: text.replace(",0\n", ",0.50\n"), "line 2 holds a stamp or a number of another form"),
        (lambda text: text.replace("2025-08-13 15:25:00,", "2025-08-13 15:25:00,1"), "line 2 has a high and low that"),
        (lambda text: text.replace("2025-08-13 15:25:00", "2025-08-13 15:24:00"), "first in the sidecar: expected"),
        (lambda text: "\n".join(text.splitlines()[:-1]) + "\n", "rows in the sidecar: expected 3, found 4"),
    ],
)
@pytest.mark.parametrize("hide", [False, True])
def test_a_damaged_file_is_refused_with_the_reason(
    folder: Path, damage: Callable[[str], str], reason: str, *, hide: bool
) -> None:
    size = (folder / CALL).stat().st_size
    change(folder, CALL, damage, hide=hide)
    found = failures(folder)
    assert any(failure.startswith(CALL) and reason in failure for failure in found), found
    assert any(failure.startswith(f"{CALL}: expected {size} bytes with sha256 ") for failure in found) != hide


def test_two_files_that_were_swapped_are_told(folder: Path) -> None:
    first, second = (folder / CALL).read_bytes(), (folder / PUT).read_bytes()
    (folder / CALL).write_bytes(second)
    (folder / PUT).write_bytes(first)
    objects = list_objects(folder)
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    (folder / MANIFEST_NAME).write_text(json.dumps({**manifest, "objects": objects}))
    assert sorted(failures(folder)) == [
        f"{PUT}: expected its own bars, found those of {CALL}: files were swapped",
        f"{CALL}: expected its own bars, found those of {PUT}: files were swapped",
    ]


def test_files_that_are_missing_or_too_many_are_told(folder: Path) -> None:
    (folder / CALL).rename(folder / "OTHER_IDX.csv")
    assert failures(folder) == [
        f"{CALL}: is missing",
        "OTHER_IDX.csv: is not in the manifest",
    ]
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    (folder / MANIFEST_NAME).write_text(json.dumps({**manifest, "objects": list_objects(folder)}))
    assert failures(folder) == [
        f"files that are missing: expected [], found ['{CALL}']",
        "files that do not belong there: expected [], found ['OTHER_IDX.csv']",
    ]


def test_a_sidecar_that_is_missing_or_damaged_is_told(folder: Path) -> None:
    content = json.loads((folder / SIDECAR_NAME).read_text())
    (folder / SIDECAR_NAME).write_text(json.dumps(content)[:-9])
    assert any("contracts.json: is not a whole sidecar: JSONDecodeError" in failure for failure in failures(folder))
    del content["contracts"][0]["strike"]
    (folder / SIDECAR_NAME).write_text(json.dumps(content))
    assert any("contracts.json: is not a whole sidecar: KeyError: 'strike'" in failure for failure in failures(folder))
    (folder / SIDECAR_NAME).write_text("[]")
    assert any("contracts.json: is not a whole sidecar: TypeError" in failure for failure in failures(folder))
    (folder / SIDECAR_NAME).unlink()
    found = failures(folder)
    assert f"{SIDECAR_NAME}: is missing" in found
    assert any("holds no contracts.json" in failure for failure in found)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda content: content["contracts"].pop(0), "files that do not belong there: expected [], found ['NIFTY_"),
        (
            lambda content: entry_of(content, CALL).update(file="../elsewhere.csv"),
            "files described outside the folder: expected [], found ['../elsewhere.csv']",
        ),
        (
            lambda content: entry_of(content, CALL).update(file=PUT),
            f"files described twice in the sidecar: expected [], found ['{PUT}', '{PUT}']",
        ),
        (lambda content: entry_of(content, CALL).update(rows=5), f"{CALL} rows in the sidecar: expected 4, found 5"),
        (
            lambda content: content["sessions"].pop(),
            f"{CALL}: expected stamps within the sessions, after 2025-08-13 09:15:00 and up to 2025-08-13 15:30:00",
        ),
        (
            lambda content: [contract.update(expiry_close="2025-08-13 15:30:00") for contract in content["contracts"]],
            f"{CALL}: expected no bar after the expiry at 2025-08-13 15:30:00, found one at 2025-08-14 15:30:00",
        ),
    ],
)
def test_a_sidecar_that_does_not_fit_the_files_is_told(
    folder: Path, edit: Callable[[dict[str, Any]], object], reason: str
) -> None:
    describe(folder, edit)
    found = failures(folder)
    assert any(failure.startswith(reason) for failure in found), found


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (
            lambda content: content.update(format="nautilus"),
            "_manifest.json format: expected backtrader, found nautilus",
        ),
        (lambda content: content.pop("objects"), "_manifest.json: is not a whole manifest: KeyError: 'objects'"),
        (lambda content: content.update(objects=3), "_manifest.json: is not a whole manifest: TypeError"),
        (lambda content: content.update(kind="?"), "does not say that it is"),
    ],
)
def test_a_manifest_that_is_not_ours_is_told(
    folder: Path, edit: Callable[[dict[str, Any]], object], reason: str
) -> None:
    content = json.loads((folder / MANIFEST_NAME).read_text())
    edit(content)
    (folder / MANIFEST_NAME).write_text(json.dumps(content))
    assert any(reason in failure for failure in failures(folder))


def test_what_backtrader_reads_otherwise_than_it_is_written_is_told(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "text_bars", lambda content: text_bars(content).reverse())
    found = failures(published)
    assert any(failure.startswith(f"{CALL} with all defaults: expected") for failure in found)
    assert any(failure.startswith(f"{CALL} through load_chain: expected") for failure in found)


def test_the_command_exits_with_the_verdict(folder: Path, tmp_path: Path) -> None:
    assert main([str(folder), str(tmp_path)]) == 0
    (folder / CALL).unlink()
    assert main([str(folder), str(tmp_path)]) == 1
    report = json.loads((tmp_path / REPORT_FILE).read_text())
    assert f"{CALL}: is missing" in report["failures"]
