"""How what was read is compared, with readings taken from the files in place of rustybt's; `test_verify` has those."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.exports.manifest import write_manifest
from pipeline_defs.exports.rustybt import verify
from pipeline_defs.exports.rustybt.checks import VALUES
from pipeline_defs.exports.rustybt.truth import write_truth
from pipeline_defs.schema.exports import Verification
from pipeline_tests.exports.rustybt.slices import share_slice
from pipeline_tests.exports.rustybt.test_build import read, rows_of
from pipeline_tests.exports.rustybt.test_run_bundle import column

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.exports.verifying import Report
    from pipeline_defs.schema.exports import BuiltExport

STAMP = pl.Datetime("us")


def readings(root: Path, output: Path) -> dict[str, Any]:
    """Write down what the files hold, in the form in which rustybt's readings come."""
    bars = {name: pl.concat(read(root, f"{name}_bars").values()) for name in ("daily", "minute")}
    for name, rows in bars.items():
        rows.write_parquet(output / f"{name}.parquet")
    bars["daily"].select("date", "sid", "close").write_parquet(output / "portal.parquet")
    (run,) = (root / "data" / "RELIANCE-run").iterdir()
    table = run / "daily_equities.bcolz"
    stored = pl.DataFrame({name: column(table / name) for name in (*VALUES, "day", "id")}).select(
        *(pl.col(name) / 1000 for name in VALUES[:-1]),
        pl.col("volume").cast(pl.Float64),
        sid=pl.col("id").cast(pl.Int64),
        stamp=pl.from_epoch("day").cast(STAMP),
    )
    stored.write_parquet(output / "run_daily.parquet")
    minutes = bars["minute"].select("sid", pl.col("dt").alias("stamp"), *(pl.col(n).cast(pl.Float64) for n in VALUES))
    minutes.write_parquet(output / "run_minute.parquet")
    adjustments = {
        name: [[row["sid"], row["effective_date"], row["ratio"]] for row in rows_of(run / "adjustments.sqlite", name)]
        for name in ("splits", "dividends")
    }
    (_, split_day, _), (_, _, ratio) = adjustments["splits"][0], adjustments["dividends"][0]
    before = pl.col("stamp") < pl.from_epoch(pl.lit(split_day)).cast(STAMP)
    days = stored.with_columns(pl.when(before & (pl.col("sid") == 1)).then(pl.col("close") * ratio).otherwise("close"))
    history = [
        rows.select(pl.lit(frequency).alias("frequency"), "sid", "stamp", "close")
        for frequency, rows in (("1d", days), ("1m", minutes.filter(pl.col("stamp") == minutes["stamp"].max())))
    ]
    pl.concat(history).write_parquet(output / "run_history.parquet")
    symbols = [[row["id"], row["symbol"], row["id"]] for row in rows_of(root / "assets-10.db", "bundle_symbols")]
    sessions = share_slice().sessions.sort("session_date").rows()
    return {
        "version": "0.3.3",
        "loading": "opened",
        "metadata": rows_of(root / "assets-10.db", "bundle_metadata")[0],
        "symbols": symbols,
        "run_symbols": symbols,
        "run_sessions": [[str(day), opens.isoformat(), closes.isoformat()] for day, opens, closes in sessions],
        "adjustments": adjustments,
        "run_adjustments": adjustments,
    }


@pytest.fixture
def compared(built_share: BuiltExport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Report]:
    """Compare readings, as they are or changed, with the truth."""
    truth = tmp_path / "truth"
    truth.mkdir()
    assert write_truth(built_share, share_slice(), truth) == []

    def compare(change: Callable[[dict[str, Any], Path], None] = lambda *_: None) -> Report:
        def stand_in(root: Path, output: Path, asked: dict[str, Any]) -> dict[str, Any]:
            assert asked["resolutions"] == [60, 86_400]
            found = readings(root, output)
            change(found, output)
            return found

        monkeypatch.setattr(verify, "read_with_rustybt", stand_in)
        return verify.verify_root(built_share.root, truth)

    return compare


def test_equal_readings_pass_and_are_counted(compared: Callable[..., Report], built_share: BuiltExport) -> None:
    report = compared()

    assert report.failures == []
    assert report.checks["run bundle, minute bars"] == 78
    assert report.readback is not None
    names = ["instrument_id", "bar_seconds", "rows", "close_sum", "volume_sum"]
    assert report.readback.select(names).equals(built_share.instruments.select(names))


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("daily", pl.col("close") + 0, None),
        ("daily", pl.col("close") * 2, "daily bars, sid 1 at 2024-10-31"),
        ("minute", pl.col("sid") + 1, "minute bars, sid 1 at 2024-10-31 03:46:00"),
        ("minute", pl.col("dt") + pl.duration(minutes=1), "minute bars, sid 1 at 2024-10-31 03:46:00"),
        ("portal", pl.col("close") * 2, "PolarsDataPortal, 1d close, sid 1"),
        ("run_daily", pl.col("high") + 0.001, "run bundle, daily bars, sid 1"),
        ("run_minute", pl.col("volume") + 1, "run bundle, minute bars, sid 1"),
        ("run_history", pl.col("close") + 0.001, "DataPortal, 1d close, sid 1"),
    ],
)
def test_a_reading_that_differs_is_told_by_asset_and_stamp(
    compared: Callable[..., Report], file: str, change: pl.Expr, told: str | None
) -> None:
    def alter(_: dict[str, Any], output: Path) -> None:
        path = output / f"{file}.parquet"
        rows = pl.read_parquet(path, memory_map=False)
        altered = rows.with_columns(change)
        altered.cast(dict(rows.schema)).write_parquet(path)  # type: ignore[arg-type]

    failures = compared(alter).failures
    assert failures == [] if told is None else any(line.startswith(told) for line in failures), failures


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("version", "0.3.4", "engine: expected rustybt 0.3.3, found rustybt 0.3.4"),
        ("symbols", [], "symbols by sid, found both ways"),
        ("run_symbols", [], "symbols of both bundles"),
        ("run_sessions", [], "sessions of the run bundle"),
        ("adjustments", {"splits": [], "dividends": []}, "adjustments of the decimal bundle"),
        ("run_adjustments", {"splits": [], "dividends": []}, "adjustments of both bundles"),
        ("metadata", {"row_count": 1}, "bars in bundle_metadata: expected 84, found 1"),
    ],
)
def test_what_rustybt_says_of_the_bundles_is_compared(
    compared: Callable[..., Report], name: str, value: object, told: str
) -> None:
    failures = compared(lambda found, _: found.update({name: value})).failures
    assert any(line.startswith(told) for line in failures), failures


def test_a_file_that_changes_by_reading_is_a_failure(compared: Callable[..., Report], built_share: BuiltExport) -> None:
    trace = built_share.root / "left-behind"
    try:
        failures = compared(lambda *_: trace.write_text("x") and None).failures
    finally:
        trace.unlink()
    assert failures == ["files that rustybt changed by reading: expected [], found ['left-behind']"]


def test_a_published_root_is_compared_with_its_manifest(
    built_share: BuiltExport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = share_slice()
    monkeypatch.setattr(verify, "read_with_rustybt", lambda root, output, _: readings(root, output))
    manifest = write_manifest(
        built_share.root, "rustybt", market, built_share, Verification(passed=True, engine="", checks={}, failures=())
    )
    try:
        assert verify.verify_root(built_share.root, tmp_path).failures == []
        content = json.loads(manifest.read_text())
        content["counts"]["bars"] = 1
        manifest.write_text(json.dumps(content))
        failures = verify.verify_root(built_share.root, tmp_path).failures
    finally:
        manifest.unlink()
    assert failures == ["bars that the manifest counts: expected 1, found 84"]
