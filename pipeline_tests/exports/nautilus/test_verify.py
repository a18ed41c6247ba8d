from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.exports.nautilus.exporter import NautilusExporter
from pipeline_defs.exports.nautilus.truth import TRIAL_FILE, write_truth
from pipeline_defs.exports.nautilus.verify import main, verify_catalog
from pipeline_defs.exports.verifying import REPORT_FILE, Report
from pipeline_tests.exports.nautilus.slices import OPTION_BARS, file_of, rewrite

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

pytestmark = pytest.mark.filterwarnings("ignore:Timestamp.utcnow is deprecated")

LATER = "NIFTY250814C24600.NSE"


def _verify(built: BuiltExport, market: MarketSlice, folder: Path, sample_size: int = 24) -> Report:
    """Run the verification here, as its own process would."""
    assert write_truth(built, market, folder, sample_size, index_prices=False) == []
    exit_code = main([str(built.root), str(folder)])
    found = json.loads((folder / REPORT_FILE).read_text())
    assert exit_code == (1 if found["failures"] else 0)
    return Report(found["engine"], found["checks"], found["failures"])


def test_changed_values_with_unchanged_sums_fail(market: MarketSlice, copy: BuiltExport, tmp_path: Path) -> None:
    def swap_first_two_volumes(bars: pl.DataFrame) -> pl.DataFrame:
        return bars.with_columns(volume=pl.concat([bars["volume"][:2].reverse(), bars["volume"][2:]]))

    rewrite(file_of(copy), swap_first_two_volumes)
    (failure,) = _verify(copy, market, tmp_path).failures
    assert f"{OPTION_BARS}, first differing row: expected" in failure


def test_a_changed_price_outside_the_sample_fails_by_its_sum(
    market: MarketSlice, copy: BuiltExport, tmp_path: Path
) -> None:
    rewrite(file_of(copy), lambda bars: bars.with_columns(open="close"))
    report = _verify(copy, market, tmp_path, sample_size=0)
    assert report.checks["bars_compared_one_by_one"] == 750
    (failure,) = report.failures
    assert f"{OPTION_BARS} open_sum: expected" in failure


def test_bars_out_of_order_fail(market: MarketSlice, copy: BuiltExport, tmp_path: Path) -> None:
    rewrite(file_of(copy), lambda bars: bars.reverse())
    failures = "\n".join(_verify(copy, market, tmp_path).failures)
    assert f"{OPTION_BARS} ascends in time: expected True, found False" in failures


def test_an_empty_file_fails(market: MarketSlice, copy: BuiltExport, tmp_path: Path) -> None:
    rewrite(file_of(copy), lambda bars: bars.clear())
    failures = "\n".join(_verify(copy, market, tmp_path).failures)
    assert f"{OPTION_BARS} rows: expected 750, found 0" in failures


def test_a_missing_and_an_extra_file_fail(market: MarketSlice, copy: BuiltExport, tmp_path: Path) -> None:
    folder = file_of(copy).parent
    folder.rename(folder.with_name(OPTION_BARS.replace("24500", "99999")))
    failures = "\n".join(_verify(copy, market, tmp_path).failures)
    assert f"Bar series without a file: expected [], found ['{OPTION_BARS}']" in failures
    assert "NIFTY250814C99999.NSE-1-MINUTE-LAST-EXTERNAL besides" in failures


def test_a_contract_with_another_lot_and_expiry_fails(market: MarketSlice, copy: BuiltExport, tmp_path: Path) -> None:
    def other_terms(terms: pl.DataFrame) -> pl.DataFrame:
        return terms.with_columns(pl.col("expiration_ns") - 1, lot_size=pl.lit("50"))

    rewrite(file_of(copy, "option_contract", LATER), other_terms)
    failures = "\n".join(_verify(copy, market, tmp_path).failures)
    assert f"{LATER} lot size: expected 75, found 50" in failures
    assert "expires after its last bar: expected True, found False" in failures


def test_a_foreign_instrument_fails(market: MarketSlice, copy: BuiltExport, tmp_path: Path) -> None:
    rewrite(file_of(copy, "option_contract", LATER), lambda terms: terms.with_columns(id=pl.lit("NIFTY250814C1.NSE")))
    failures = "\n".join(_verify(copy, market, tmp_path).failures)
    assert "instruments: expected none besides the slice's, found NIFTY250814C1.NSE" in failures


def test_open_interest_that_differs_fails(market: MarketSlice, copy: BuiltExport, tmp_path: Path) -> None:
    rewrite(file_of(copy, "option_greeks", LATER), lambda greeks: greeks.with_columns(open_interest=pl.lit(1.0)))
    by_sum, by_row = _verify(copy, market, tmp_path).failures
    assert f"{LATER} open_interest_sum: expected" in by_sum
    assert f"{LATER}, first differing row: expected" in by_row


def test_a_catalog_that_differs_is_not_tried(market: MarketSlice, copy: BuiltExport, tmp_path: Path) -> None:
    rewrite(file_of(copy, "option_contract", LATER), lambda terms: terms.with_columns(strike_price=pl.lit("24590.00")))
    report = _verify(copy, market, tmp_path)
    assert report.failures == [f"{LATER} strike: expected 24600.00000000, found 24590.00"]
    assert report.checks["trial"] == "not run, since the catalog differs from the slice"


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({"settlement_price": "7.90"}, f"trial backtest of {LATER}, settlement_price: expected 7.90, found 7.85"),
        (
            {"exit_time": "2025-08-14T09:59:00+00:00"},
            f"trial backtest of {LATER}, exit_time: expected 2025-08-14 09:59",
        ),
        ({"instrument": "NIFTY.NSE"}, "trial backtest of NIFTY.NSE: expected a settlement, found NIFTY.NSE is of"),
    ],
)
def test_a_trial_with_another_outcome_fails(
    market: MarketSlice, built: BuiltExport, tmp_path: Path, change: dict[str, str], failure: str
) -> None:
    write_truth(built, market, tmp_path, 0, index_prices=False)
    trial = json.loads((tmp_path / TRIAL_FILE).read_text())
    (tmp_path / TRIAL_FILE).write_text(json.dumps(trial | change))
    (found,) = verify_catalog(built.root, tmp_path).failures
    assert found.startswith(failure)


def test_a_slice_without_an_expiry_is_replayed_instead(market: MarketSlice, tmp_path: Path) -> None:
    end = market.sessions["close"].max()
    later = market.instruments.filter(pl.col("expiry_close").is_null() | (pl.col("expiry_close") > end))
    ids = later["instrument_id"].to_list()
    quiet = dataclasses.replace(market, instruments=later, read_bars=lambda _ids=None: market.read_bars(ids))
    (tmp_path / "catalog").mkdir()
    report = _verify(NautilusExporter().build(quiet, tmp_path / "catalog"), quiet, tmp_path)
    assert report.failures == []
    assert report.checks["trial"] == {"replay": {"bar_type": "NIFTY.NSE-1-MINUTE-LAST-EXTERNAL", "iterations": 750}}


def test_a_builder_that_claims_other_sums_is_found_out(market: MarketSlice, built: BuiltExport, tmp_path: Path) -> None:
    claims = built.instruments.with_columns(pl.col("close_sum") + pl.lit(Decimal("0.05")))
    failures = write_truth(dataclasses.replace(built, instruments=claims), market, tmp_path, 0, index_prices=False)
    assert len(failures) == 8
    assert failures[0].startswith("NIFTY.NSE at 60 s: built as rows 750")
