from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError, MarketRuleError
from pipeline_defs.samples.chain import ChainSpec
from pipeline_defs.samples.generate import DEMO, GeneratedSample, SampleSpec, benchmark_day, generate, tiny_day
from pipeline_defs.samples.products import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TRADE_DATE = dt.date(2025, 8, 13)


def spec_of(**changes: object) -> SampleSpec:
    arguments: dict[str, object] = {
        "name": "test",
        "start_date": TRADE_DATE,
        "end_date": TRADE_DATE,
        "chains": (ChainSpec("NIFTY", 1, futures=1),),
        "products": ("gdfl_fo_minute",),
        "activity": 0.01,
    } | changes
    return SampleSpec(**arguments)  # type: ignore[arg-type]  # names are checked by the call


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_demo_has_the_same_bytes(demo: GeneratedSample, tmp_path: Path) -> None:
    generate(DEMO, tmp_path)
    assert digests(tmp_path) == digests(demo.root)


def test_another_seed_has_other_bytes(tmp_path: Path) -> None:
    first = generate(spec_of(seed=1), tmp_path / "a")
    second = generate(spec_of(seed=2), tmp_path / "b")
    assert first.files[0].read_bytes() != second.files[0].read_bytes()


def test_demo_is_small_and_ends_with_an_expiry(demo: GeneratedSample, derivatives: pl.DataFrame) -> None:
    summary = demo.summary()
    assert 20_000 < int(str(summary["rows"])) < 60_000
    assert summary["trade_dates"] == ["2025-08-08", "2025-08-11", "2025-08-12", "2025-08-13", "2025-08-14"]
    contracts = derivatives["Ticker"].unique()
    assert contracts.str.contains(r"^NIFTY14AUG25\d+[CP]E").sum() >= 10
    assert {"NIFTY-I.NFO", "NIFTY-II.NFO", "NIFTY-III.NFO"} <= set(contracts)
    assert set(map(str, derivatives["Date"])) == {"08/08/2025", "11/08/2025", "13/08/2025", "14/08/2025"}


def test_counted_rows_are_the_lines_of_undamaged_files(demo: GeneratedSample) -> None:
    plain = [path for path in demo.files if path.suffix.lower() == ".csv" and "12082025" not in path.name]
    assert len(plain) == 12
    for path in plain:
        assert path.read_bytes().count(b"\n") == demo.rows[path.relative_to(demo.root).as_posix()] + 1


def test_all_files_of_the_landing_folder_are_accounted_for(demo: GeneratedSample) -> None:
    on_disk = {path for path in demo.landing.rglob("*") if path.is_file()}
    assert on_disk == {*demo.files, *demo.loose_files}
    assert len(demo.loose_files) == 3


def test_demo_option_prices_are_sane(options: pl.DataFrame) -> None:
    assert options.height > 20_000
    intrinsic = (
        pl.when(pl.col("side") == "CE")
        .then(pl.col("Spot") - pl.col("strike"))
        .otherwise(pl.col("strike") - pl.col("Spot"))
    )
    checks = options.select(
        spot=pl.col("Spot").is_not_null().all(),
        floor=(pl.min_horizontal("Open", "High", "Low", "Close") >= pl.lit("0.05").cast(pl.Decimal(18, 4))).all(),
        tick=((pl.col("Close") * 10_000).cast(pl.Int64) % 500 == 0).all(),
        intrinsic=(pl.col("Close") >= intrinsic).all(),
        order=(
            (pl.col("High") >= pl.max_horizontal("Open", "Close"))
            & (pl.col("Low") <= pl.min_horizontal("Open", "Close"))
        ).all(),
        ceiling=(pl.col("Close") < intrinsic.clip(lower_bound=0) + pl.col("Spot") * 3 / 100).all(),
    )
    assert checks.row(0, named=True) == dict.fromkeys(checks.columns, True)


def test_demo_calls_and_puts_agree(options: pl.DataFrame) -> None:
    on = ["Date", "Time", "expiry", "strike"]
    pairs = options.filter(pl.col("side") == "CE").join(options.filter(pl.col("side") == "PE"), on=on, suffix="_put")
    assert pairs.height > 5_000
    gap = (pl.col("Close") - pl.col("Close_put") - (pl.col("Spot") - pl.col("strike"))).abs()
    assert pairs.select(gap.max()).item() <= 0.05


def test_demo_options_decay_to_their_intrinsic_value(options: pl.DataFrame) -> None:
    last = options.filter(
        (pl.col("Date") == "14/08/2025") & (pl.col("expiry") == "14AUG25") & (pl.col("Time") == "15:29:59")
    )
    assert last.height >= 6
    side = pl.when(pl.col("side") == "CE").then(1).otherwise(-1)
    intrinsic = ((pl.col("Spot") - pl.col("strike")) * side).clip(lower_bound=0)
    assert last.select((pl.col("Close") - intrinsic).max()).item() <= 0.05
    assert options.filter(pl.col("expiry") == "14AUG25").select(pl.col("Date").n_unique()).item() == 4


def test_demo_options_can_be_bought_early_and_held_to_expiry(options: pl.DataFrame) -> None:
    of_expiry = options.filter(pl.col("expiry") == "14AUG25")
    first = set(of_expiry.filter(pl.col("Date") == "08/08/2025")["Ticker"])
    last = set(of_expiry.filter((pl.col("Date") == "14/08/2025") & (pl.col("Time") == "15:29:59"))["Ticker"])
    assert len(first & last) >= 6


def test_demo_futures_keep_their_order(derivatives: pl.DataFrame) -> None:
    futures = derivatives.filter(pl.col("Ticker").str.contains("-I")).pivot(
        "Ticker", index=["Date", "Time"], values="Close"
    )
    complete = futures.drop_nulls()
    assert complete.height > 500
    rising = (pl.col("NIFTY-I.NFO") < pl.col("NIFTY-II.NFO")) & (pl.col("NIFTY-II.NFO") < pl.col("NIFTY-III.NFO"))
    assert complete.select(rising.all()).item()


@pytest.mark.parametrize(("rows", "files"), [(20_000, 40), (3_000, 900)])
def test_benchmark_days_have_exactly_the_rows_and_files_asked_for(tmp_path: Path, rows: int, files: int) -> None:
    sample = generate(benchmark_day(rows, files), tmp_path)
    assert len(sample.files) == files
    assert sum(sample.rows.values()) == rows
    lines = sum(path.read_bytes().count(b"\n") for path in sample.files)
    assert lines == rows + files


def test_a_full_benchmark_day_asks_for_a_million_rows() -> None:
    spec = benchmark_day()
    assert (spec.contract_rows, spec.contract_files) == (998_875, 2_499)


@pytest.mark.parametrize(("rows", "files"), [(1_125, 2), (100_000, 1), (1_200, 500)])
def test_benchmark_days_that_cannot_be_are_refused(rows: int, files: int) -> None:
    with pytest.raises(ConfigurationError, match="fewer than one row for a file"):
        benchmark_day(rows, files)


def test_a_benchmark_day_beyond_the_sample_market_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"at most \d+ contracts, 133331 are needed"):
        benchmark_day(50_000_000, 2_500)


def test_a_tiny_day_has_all_kinds_of_instruments(tmp_path: Path) -> None:
    sample = tiny_day(tmp_path)
    assert sum(sample.rows.values()) < 1_000
    assert {path.parent.name for path in sample.files} == {
        *("gdfl_fo_minute", "gdfl_index_minute", "fo_bhavcopy", "cm_bhavcopy"),
    }
    frame = pl.read_csv(next(path for path in sample.files if "GFDLNFO" in path.name), infer_schema=False)
    assert frame["Ticker"].unique(maintain_order=True).to_list() == [
        *("NIFTY-I.NFO", "NIFTY-II.NFO"),
        *(f"NIFTY14AUG25{strike}{side}.NFO" for strike in (24500, 24600, 24700) for side in ("CE", "PE")),
    ]


def test_every_product_can_be_delivered(tmp_path: Path) -> None:
    spec = spec_of(products=tuple(PRODUCTS), symbols=("M&M",))
    sample = generate(spec, tmp_path)
    assert {path.parent.name for path in sample.files if path.suffix == ".zip"} == {
        *("gdfl_fo_tick", "gdfl_index_tick", "truedata", "fo_bhavcopy", "cm_bhavcopy"),
    }
    assert sample.truth_path is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"products": ("gdfl_fo_minutes",)}, "unknown sample products: gdfl_fo_minutes"),
        ({"dirty_date": dt.date(2025, 8, 15)}, "2025-08-15 is not a session between"),
        ({"chains": (ChainSpec("NOSUCH", 1),)}, "no underlying 'NOSUCH'"),
        ({"dirty_date": TRADE_DATE, "contract_rows": 60}, "too few to put a block"),
        ({"dirty_date": TRADE_DATE, "contract_rows": 90}, "no row of 90 is left to plant"),
    ],
)
def test_samples_that_cannot_be_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        generate(spec_of(**changes), tmp_path)


def test_a_range_without_sessions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MarketRuleError, match="no session"):
        generate(spec_of(start_date=dt.date(2025, 8, 16), end_date=dt.date(2025, 8, 17)), tmp_path)


def test_undamaged_files_are_where_the_fixture_says(clean_paths: Callable[[str], list[Path]]) -> None:
    assert len(clean_paths("gdfl_fo_minute")) == len(clean_paths("gdfl_index_minute")) == 4
