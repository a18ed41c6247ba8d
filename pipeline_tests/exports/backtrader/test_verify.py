"""A verification passes what was exported and tells of everything else."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.exports.backtrader.build import build_files
from pipeline_defs.exports.backtrader.exporter import BacktraderExporter
from pipeline_defs.exports.backtrader.naming import bar_length, with_names
from pipeline_defs.exports.backtrader.truth import (
    BARS_FILE,
    CONTRACTS_FILE,
    choose_for_engine,
    write_truth,
)
from pipeline_defs.exports.backtrader.verify import main, verify_export
from pipeline_defs.exports.verifying import MAX_FAILURES, REPORT_FILE
from pipeline_tests.exports.backtrader.slices import MONTHLY, bars_of, instrument, make_slice, nifty_slice, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

FILE = "NIFTY_250814_24600_CE_1m.csv"
ENGINE_BARS = 100_000


@dataclasses.dataclass(frozen=True)
class Case:
    """An export, its truth, and what both were made from."""

    root: Path
    truth: Path
    built: BuiltExport
    market: MarketSlice

    def failures(self) -> list[str]:
        return verify_export(self.root, self.truth).failures

    def edit(self, file: str, change: Callable[[str], str]) -> None:
        text = (self.root / file).read_text()
        assert change(text) != text
        (self.root / file).write_bytes(change(text).encode())


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder, market = tmp_path_factory.mktemp("case"), nifty_slice()
    (folder / "export").mkdir()
    (folder / "truth").mkdir()
    built = build_files(market, folder / "export")
    assert write_truth(built, market, folder / "truth", ENGINE_BARS) == []
    return Case(folder / "export", folder / "truth", built, market)


@pytest.fixture
def case(original: Case, tmp_path: Path) -> Case:
    root = Path(shutil.copytree(original.root, tmp_path / "export"))
    truth = Path(shutil.copytree(original.truth, tmp_path / "truth"))
    return dataclasses.replace(original, root=root, truth=truth)


def test_a_true_export_passes_and_the_checks_say_what_was_read(original: Case) -> None:
    report = verify_export(original.root, original.truth)
    assert report.failures == []
    assert report.checks["files"] == 9
    assert report.checks["contracts"] == {"described": 8, "settled": 5}
    assert report.checks["text"] == {"files": 8, "bars": 480}
    assert report.checks["engine"] == {"files": 8, "bars": 480, "all": True}
    held = report.checks["trial"]["hold_to_expiry"]
    # The index closes at 24607.85.
    assert held["instrument"] == "NIFTY_250814_24600_CE"
    assert held["settlement_price"] == "7.85"


def test_another_process_reports_the_same(original: Case) -> None:
    verification = BacktraderExporter().verify(original.built, original.market)
    assert verification.passed
    assert verification.failures == ()
    assert verification.engine == original.built.engine
    assert verification.checks == verify_export(original.root, original.truth).checks


def test_the_command_writes_its_report_and_exits_with_the_verdict(case: Case) -> None:
    assert main([str(case.root), str(case.truth)]) == 0
    case.edit(FILE, lambda text: text.replace("92.05", "92.10"))
    assert main([str(case.root), str(case.truth)]) == 1
    report = json.loads((case.truth / REPORT_FILE).read_text())
    assert report["engine"] == case.built.engine
    assert len(report["failures"]) > 0


def test_missing_and_additional_files_are_told(case: Case) -> None:
    (case.root / FILE).rename(case.root / "NIFTY_250814_24700_CE_1m.csv")
    assert case.failures() == [
        f"files that are missing: expected [], found ['{FILE}']",
        "files that do not belong there: expected [], found ['NIFTY_250814_24700_CE_1m.csv']",
    ]


def with_another_close(text: str) -> str:
    line = text.splitlines()[2]
    fields = line.split(",")
    return text.replace(line, ",".join([*fields[:4], "99.9", *fields[5:]]))


def with_a_higher_high(text: str) -> str:
    line = text.splitlines()[2]
    fields = line.split(",")
    return text.replace(line, ",".join([*fields[:2], "99.9", *fields[3:]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("\n", "\n\n", 1), "a stamp or a number of another form"),
        (lambda text: text + "\n", "does not end with exactly one newline"),
        (lambda text: text[:-1], "does not end with exactly one newline"),
        (lambda text: text.replace("\n", "\r\n"), "does not begin with the line datetime,open"),
        (lambda text: text.replace("datetime", "date"), "does not begin with the line datetime,open"),
        (lambda text: text.splitlines()[0] + "\n", "holds no bars"),
        (lambda text: text.replace("92.05", "9.205e1"), "a stamp or a number of another form"),
        (lambda text: text.replace(",75,0\n", ",75\n"), "a stamp or a number of another form"),
        (
            lambda text: text.replace("2025-08-13 15:02:00", "2025-08-13 25:02:00"),
            "a stamp or a number of another form",
        ),
        (lambda text: text.replace("2025-08-13 15:02:00", "2025-08-13 15:01:00"), "line 3 does not ascend"),
        (lambda text: text.replace("2025-08-13 15:01:00", "2025-08-13 15:00:59"), "first stamp: expected"),
        (lambda text: text.replace("2025-08-14 15:30:00", "2025-08-14 15:30:01"), "last stamp: expected"),
        (lambda text: text[: text[:-1].rindex("\n") + 1], "rows: expected 60, found 59"),
        (with_another_close, "line 3 has a high and low that do not enclose its prices"),
        (with_a_higher_high, "sum of high: expected"),
        (lambda text: text.replace("92.05", "92.050"), "a stamp or a number of another form"),
        (lambda text: text.replace(",75,0\n", ",76,0\n"), "sum of volume: expected"),
        (lambda text: text.replace(",75,0\n", ",75,1\n"), "sum of open_interest: expected"),
    ],
)
def test_a_text_that_is_not_what_was_exported_is_told(case: Case, change: Callable[[str], str], message: str) -> None:
    case.edit(FILE, change)
    failures = case.failures()
    assert any(failure.startswith(FILE) and message in failure for failure in failures), failures
    assert any(failure.startswith(f"{FILE} sha256") for failure in failures)


def with_volumes_exchanged(text: str) -> str:
    first, second = text.splitlines()[2:4]
    one, other = first.split(","), second.split(",")
    assert one[5] != other[5]
    one[5], other[5] = other[5], one[5]
    return text.replace(first, ",".join(one)).replace(second, ",".join(other))


def test_two_values_that_changed_places_are_told_of_any_file_though_all_sums_agree(case: Case) -> None:
    # None of the contracts is read by the engine.
    write_truth(case.built, case.market, case.truth, 0)
    case.edit(FILE, with_volumes_exchanged)
    told, hashed = case.failures()
    assert told == f"{FILE}: expected the bars of the slice, found others, though rows, bounds and all sums agree"
    assert hashed.startswith(f"{FILE} sha256: expected ")


def test_another_zone_in_the_sidecar_is_told(case: Case) -> None:
    case.edit("contracts.json", lambda text: text.replace("Asia/Kolkata", "UTC"))
    assert case.failures() == ["zone in the sidecar: expected ['Asia/Kolkata'], found ['UTC']"]


@pytest.mark.parametrize(
    ("term", "value", "message"),
    [
        ("strike", "24650", "24600_CE strike in the sidecar: expected 24600.00000000, found 24650"),
        ("expiry", "2025-08-15", "24600_CE expiry in the sidecar"),
        ("lot_size", 50, "24600_CE lot_size in the sidecar: expected 75, found 50"),
        ("multiplier", 75, "24600_CE multiplier in the sidecar: expected 1, found 75"),
        ("right", "PE", "24600_CE right in the sidecar"),
        ("settlement", None, "24600_CE settlement price: expected 7.85000000, found None"),
        ("name", "OTHER", "contracts in the sidecar: expected"),
    ],
)
def test_a_term_that_differs_is_told(case: Case, term: str, value: object, message: str) -> None:
    sidecar = json.loads((case.root / "contracts.json").read_text())
    (contract,) = (entry for entry in sidecar["contracts"] if entry["file"] == FILE)
    contract[term] = value
    (case.root / "contracts.json").write_text(json.dumps(sidecar))
    assert any(message in failure for failure in case.failures())


def swap_closes(bars: pl.DataFrame) -> pl.DataFrame:
    """Exchange two closes of the index, which leaves its sums as they are."""
    index = pl.col("file") == "NIFTY_IDX_1m.csv"
    swapped = pl.when(index).then(pl.col("close").reverse().over("file")).otherwise("close")
    return bars.with_columns(close=swapped)


def test_bars_that_backtrader_reads_otherwise_are_told_for_both_ways_of_loading(case: Case) -> None:
    swap_closes(pl.read_parquet(case.truth / BARS_FILE)).write_parquet(case.truth / BARS_FILE)
    plain, chain = case.failures()
    assert plain.startswith("NIFTY_IDX_1m.csv with all defaults: expected {'time': '2025-08-13 23:59:59'")
    assert chain.startswith("NIFTY_IDX_1m.csv through load_chain: expected {'time': '2025-08-13 15:01:00'")
    assert "'close': '24607.85000000'" in plain
    assert "'close': '24580.35000000'" in plain.partition("found")[2]


def test_bars_that_backtrader_does_not_give_are_told(case: Case) -> None:
    bars = pl.read_parquet(case.truth / BARS_FILE)
    pl.concat([bars, bars.tail(1)]).sort("file", "time").write_parquet(case.truth / BARS_FILE)
    assert case.failures() == [
        "NIFTY_IDX_1m.csv with all defaults, bars: expected 61, found 60",
        "NIFTY_IDX_1m.csv through load_chain, bars: expected 61, found 60",
    ]


def test_a_trial_with_another_outcome_is_told(case: Case) -> None:
    trial = json.loads((case.truth / "trial.json").read_text())
    (case.truth / "trial.json").write_text(json.dumps({**trial, "settlement_price": "8"}))
    assert case.failures() == [
        "trial backtest of NIFTY_250814_24600_CE, settlement_price: expected 8, found 7.85",
    ]
    (case.truth / "trial.json").write_text(json.dumps({**trial, "contract": "NIFTY_250828_24500_CE"}))
    (failure,) = case.failures()
    assert failure.startswith(
        "trial backtest of NIFTY_250828_24500_CE: expected a settlement, found the contract expires"
    )


def test_very_many_failures_are_counted(case: Case) -> None:
    truth = pl.read_parquet(case.truth / CONTRACTS_FILE)
    others = truth.with_columns(pl.col(pl.String).exclude("name") + "?", pl.col("multiplier") + 1)
    others.write_parquet(case.truth / CONTRACTS_FILE)
    assert main([str(case.root), str(case.truth)]) == 1
    shown = json.loads((case.truth / REPORT_FILE).read_text())["failures"]
    assert len(shown) == MAX_FAILURES + 1
    assert shown[-1] == f"and {len(case.failures()) - MAX_FAILURES} more"


def test_a_crash_of_the_process_is_a_failed_verification(case: Case) -> None:
    crashing = "import os; os.abort()"
    (case.root / "sitecustomize.py").write_text(crashing)
    built = dataclasses.replace(case.built, root=case.root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(case.root))
        verification = BacktraderExporter().verify(built, case.market)
    assert not verification.passed
    (failure,) = verification.failures
    assert failure.startswith("the engine's process was expected to report, but ended with signal 6: ")
    assert verification.readback is None


def test_a_sidecar_that_is_no_json_is_told(case: Case) -> None:
    (case.root / "contracts.json").write_text("{")
    (failure,) = case.failures()
    assert "contracts.json: is not a whole sidecar: JSONDecodeError" in failure


def test_claims_of_the_builder_that_the_slice_does_not_bear_out_are_told(case: Case) -> None:
    claimed = case.built.instruments.with_columns(
        rows=pl.when(pl.col("engine_id") == "NIFTY_IDX").then(61).otherwise("rows")
    )
    (failure,) = write_truth(dataclasses.replace(case.built, instruments=claimed), case.market, case.truth, ENGINE_BARS)
    assert failure.startswith("NIFTY_IDX, bars of 60 s: built as rows 61, ")
    assert "; expected rows 60, " in failure


@pytest.mark.parametrize(("engine_bars", "files"), [(0, 1), (60, 2), (120, 3), (200, 4), (420, 8)])
def test_of_a_large_export_the_engine_reads_a_part_and_the_texts_are_read_whole(
    case: Case, engine_bars: int, files: int
) -> None:
    assert write_truth(case.built, case.market, case.truth, engine_bars) == []
    report = verify_export(case.root, case.truth)
    assert report.failures == []
    assert report.checks["engine"] == {"files": files, "bars": files * 60, "all": files == 8}
    assert report.checks["text"] == {"files": 8, "bars": 480}


def test_the_part_that_the_engine_reads_lies_at_even_distances_and_holds_the_underlying() -> None:
    rows = [option(number, str(24000 + number), "CE") for number in range(2, 102)]
    market = make_slice([instrument(1, "SPOT"), *rows], [bars_of(number, "1", minutes=1) for number in range(1, 102)])
    named = with_names(market.instruments, bar_length(60))
    assert choose_for_engine(named, 1, 50) == [1, *range(2, 102, 4)]
    assert choose_for_engine(named.reverse(), 1, 50) == [1, *range(2, 102, 4)]
    assert choose_for_engine(named, None, 10_000) == named.sort("name")["instrument_id"].to_list()


@pytest.mark.parametrize(
    ("instruments", "bar_seconds"),
    [
        ([instrument(1, "SPOT"), option(2, "24500", "CE", MONTHLY)], 60),
        ([instrument(2, "FUT", expiry=MONTHLY)], 60),
        ([instrument(1, "EQ", underlying="M&M"), instrument(2, "EQ", underlying="M&M", series="BE")], 60),
        ([instrument(1, "SPOT"), option(2, "24500", "CE")], 86_400),
        ([instrument(1, "EQ", underlying="RELIANCE"), option(2, "1400", "PE", underlying="RELIANCE")], 86_400),
        ([instrument(1, "SPOT"), option(2, "24500", "CE"), instrument(3, "FUT", expiry=MONTHLY)], 86_400),
    ],
)
def test_exports_of_every_shape_are_confirmed(
    tmp_path: Path, instruments: list[dict[str, Any]], bar_seconds: int
) -> None:
    minutes = 1 if bar_seconds == 86_400 else 3
    frames = [bars_of(row["instrument_id"], "100.05", minutes=minutes) for row in instruments]
    market = make_slice(instruments, frames, bar_seconds=bar_seconds)
    (tmp_path / "export").mkdir()
    (tmp_path / "truth").mkdir()
    built = build_files(market, tmp_path / "export")
    assert write_truth(built, market, tmp_path / "truth", ENGINE_BARS) == []
    report = verify_export(tmp_path / "export", tmp_path / "truth")
    assert report.failures == []
    expires = bar_seconds == 86_400
    assert ("hold_to_expiry" in report.checks["trial"]) == expires
