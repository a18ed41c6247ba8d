"""Row hashes: equal for equal rows, different for any difference, the same for all time."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.schema.tables import OBSERVATION_COLUMNS
from pipeline_defs.warehouse.fingerprints import take_fingerprint
from pipeline_defs.warehouse.merging import find_differing

SCHEMA = {column.name: column.dtype for column in OBSERVATION_COLUMNS}
STAMP = dt.datetime(2025, 8, 14, 3, 46, tzinfo=dt.UTC)
FIRST = dict.fromkeys(SCHEMA) | {
    "timestamp": STAMP,
    "instrument_id": 7,
    "bar_seconds": 60,
    "sequence": 0,
    "source": "nse_csv",
    "close": Decimal("271.65"),
    "volume": 75,
    "load_id": 1,
}
OTHER_VALUES = {
    "timestamp": STAMP + dt.timedelta(microseconds=1),
    "instrument_id": 8,
    "sequence": 1,
    "open": Decimal("271.65"),
    "high": Decimal("271.65"),
    "low": Decimal("271.65"),
    "close": Decimal("271.65000001"),
    "volume": None,
    "open_interest": 75,
    "bid_price": Decimal("0.05"),
    "bid_size": 0,
    "ask_price": Decimal(999_999_999_999),
    "ask_size": 1,
    "settlement_price": Decimal("271.65"),
}


def frame(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA)


def hashes(*rows: dict[str, object]) -> list[int]:
    return [int(word) for word in take_fingerprint(frame(*rows)).hashes]


@pytest.mark.parametrize("column", OTHER_VALUES)
def test_a_change_of_any_value_changes_the_hash(column: str) -> None:
    first, other = hashes(FIRST, FIRST | {column: OTHER_VALUES[column]})

    assert first != other


def test_the_load_and_the_partition_are_no_part_of_a_row() -> None:
    first, other = hashes(FIRST, FIRST | {"load_id": 9, "bar_seconds": 0, "source": "x"})

    assert first == other


def test_the_hash_never_changes_with_the_versions_of_libraries() -> None:
    """Stored fingerprints outlive an upgrade; a changed hash would compare every partition row by row again."""
    assert hashes(FIRST) == [0x9BE71345012EEB18]


def test_an_absent_column_counts_as_null() -> None:
    assert list(take_fingerprint(frame(FIRST).drop("open", "bid_price")).hashes) == hashes(FIRST)


def test_null_is_not_zero() -> None:
    null, zero = hashes(FIRST | {"volume": None}, FIRST | {"volume": 0})

    assert null != zero


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=40), st.integers(0, 39))
def test_the_hash_of_a_row_does_not_depend_on_its_neighbours(cents: list[int], place: int) -> None:
    rows = [FIRST | {"close": Decimal(cent) / 100, "instrument_id": key} for key, cent in enumerate(cents)]
    place %= len(rows)
    # A large neighbour makes the column need two words.
    large = FIRST | {"instrument_id": 10**6, "close": Decimal(10**11)}

    assert hashes(*rows, large)[place] == hashes(rows[place])[0]


def test_the_sums_are_exact() -> None:
    fingerprint = take_fingerprint(frame(*[FIRST | {"close": Decimal("0.1"), "volume": 2**62}] * 3))

    assert fingerprint.close_sum == Decimal("0.3")
    assert fingerprint.volume_sum == 3 * 2**62


keys = st.dictionaries(st.integers(0, 30), st.integers(1, 3), min_size=0, max_size=20)


@given(keys, keys)
def test_what_differs_is_found_whatever_was_added_changed_or_gone(
    stored: dict[int, int], incoming: dict[int, int]
) -> None:
    def as_rows(prices: dict[int, int]) -> pl.DataFrame:
        return frame(*(FIRST | {"instrument_id": key, "close": Decimal(prices[key])} for key in sorted(prices)))

    mask, missing = find_differing(take_fingerprint(as_rows(incoming)), take_fingerprint(as_rows(stored)))

    differing = [key for key in sorted(incoming) if stored.get(key) != incoming[key]]
    assert as_rows(incoming).filter(mask)["instrument_id"].to_list() == differing
    assert missing == sum(incoming.get(key) != price for key, price in stored.items())
    assert mask.dtype == pl.Boolean
    assert np.asarray(mask).shape == (len(incoming),)


def test_sums_of_volumes_with_parts_are_exact() -> None:
    volumes = [Decimal("0.6"), Decimal("0.6"), Decimal("99999999999999.12345678")]
    rows = frame(*(FIRST | {"sequence": number} for number in range(3))).with_columns(
        pl.Series("volume", volumes, dtype=pl.Decimal(28, 8))
    )

    assert take_fingerprint(rows).volume_sum == sum(volumes)
