"""A price that leaps to where another number left off shows that numbers changed hands."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl

from pipeline_defs.migration.continuity import Ends, find_leap
from pipeline_defs.migration.planning import plan_store
from pipeline_tests.migration.stores import bars, bundle_row, global_database, symbol_rows, write_daily

if TYPE_CHECKING:
    from pathlib import Path


def _ends(first: str, last: str, *closes: tuple[str, str]) -> dict[int | str, Ends]:
    days = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    return {
        number: Ends(days[0], Decimal(begin), days[1], Decimal(end)) for number, (begin, end) in enumerate(closes, 1)
    }


_JANUARY = _ends("2023-01-02", "2023-01-31", ("100", "104"), ("900", "880"), ("50", "51"))


def test_numbers_that_change_places_are_found() -> None:
    february = _ends("2023-02-01", "2023-02-28", ("885", "900"), ("103", "99"), ("52", "50"))

    found = find_leap({"feb": february, "jan": _JANUARY})

    assert found is not None
    assert found.reason == "sids_doubtful"
    assert found.detail.startswith("number 1 closes at 104 in jan and goes on at 885 in feb, where number 2 left off")


def test_prices_that_go_on_are_not_doubted() -> None:
    assert find_leap({"jan": _JANUARY, "feb": _ends("2023-02-01", "2023-02-28", ("70", "1"), ("890", "1"))}) is None


def test_one_symbol_that_was_split_is_not_doubted() -> None:
    february = _ends("2023-02-01", "2023-02-28", ("52", "50"), ("880", "880"), ("51", "50"))

    assert find_leap({"jan": _JANUARY, "feb": february}) is None


def test_files_that_overlap_or_lie_far_apart_are_not_compared() -> None:
    for first in ("2023-01-31", "2023-06-01"):
        later = _ends(first, "2023-12-29", ("885", "900"), ("103", "99"))
        assert find_leap({"jan": _JANUARY, "later": later}) is None


def test_a_price_of_zero_says_nothing() -> None:
    assert find_leap({"jan": _JANUARY, "feb": _ends("2023-02-01", "2023-02-28", ("0", "0"), ("0", "0"))}) is None


def test_a_bundle_whose_numbers_changed_places_waits_for_the_user(tmp_path: Path) -> None:
    root = tmp_path / ".zipline"
    folder = root / "data/bundles/swapped"
    cheap, dear = bars(1, first="2023-02-24", price="100"), bars(2, first="2023-02-24", price="900")
    write_daily(folder, pl.concat([cheap, dear]), where="year=2023/month=2")
    cheap, dear = bars(2, price="100"), bars(1, price="900")
    write_daily(folder, pl.concat([dear, cheap]))
    global_database(root, 10, bundle_row("swapped"), *symbol_rows("swapped", "CHEAP", "DEAR"))

    (plan,) = plan_store(root).bundles
    (accepted,) = plan_store(root, accept=["swapped"]).bundles

    assert (plan.decision, plan.reason) == ("quarantine", "sids_doubtful")
    assert "where number 2 left off" in plan.detail
    assert accepted.decision == "take"
