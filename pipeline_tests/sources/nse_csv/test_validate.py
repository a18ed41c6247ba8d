from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.nse_csv.validate import settle_bars, settle_ticks

type Write = Callable[..., Path]
type Row = Callable[..., str]
type Read = Callable[..., Any]

MINUTE_HEADER = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest"
TICK_HEADER = "Ticker,Date,Time,LTP,BuyPrice,BuyQty,SellPrice,SellQty,LTQ,OpenInterest"
MINUTE_FILE = "GFDLNFO_OPTIONS_20082025.csv"
START = dt.datetime(2025, 8, 20, 4, tzinfo=dt.UTC)
SCHEMA = {
    "contract_key": pl.UInt32(),
    "timestamp": pl.Datetime("us", "UTC"),
    "close": pl.Int64(),
    "volume": pl.Int64(),
    "file_index": pl.UInt32(),
    "line": pl.UInt32(),
}
ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(1, 2), st.sampled_from([None, 1, 2])), max_size=30
)


def frame(rows: list[tuple[int, int, int, int | None]]) -> pl.DataFrame:
    """Rows of (contract, minute, close, volume), in the order of one file."""
    return pl.DataFrame(
        [
            (contract, START + dt.timedelta(minutes=minute), close, volume, 0, line)
            for line, (contract, minute, close, volume) in enumerate(rows, start=2)
        ],
        schema=SCHEMA,
        orient="row",
    )


@given(ROWS)
def test_bars_are_settled_as_if_each_key_were_judged_by_hand(rows: list[tuple[int, int, int, int | None]]) -> None:
    groups: dict[tuple[int, int], list[tuple[int, int, int | None]]] = {}
    for line, (contract, minute, close, volume) in enumerate(rows, start=2):
        groups.setdefault((contract, minute), []).append((line, close, volume))
    kept: dict[tuple[int, int], int] = {}
    refused: dict[int, str] = {}
    for key, group in groups.items():
        closes = {close for _, close, _ in group}
        volumes = {volume for _, _, volume in group if volume is not None}
        if len(closes) > 1 or len(volumes) > 1:
            refused |= {line: "conflicting_duplicate" for line, _, _ in group}
            continue
        best = min(group, key=lambda row: (row[2] is None, row[0]))
        kept[key] = best[0]
        refused |= {line: "duplicate" for line, _, _ in group if line != best[0]}
    settled = settle_bars(frame(rows))
    assert dict(settled.rejects.select("line", "reason").iter_rows()) == refused
    assert settled.rejects.height == len(refused)
    assert settled.rows["line"].to_list() == [kept[key] for key in sorted(kept)]
    latest: dict[int, int] = {}
    behind = 0
    for contract, minute, _, _ in rows:
        behind += minute < latest.get(contract, 0)
        latest[contract] = max(minute, latest.get(contract, 0))
    assert settled.out_of_order == behind


@given(ROWS)
def test_no_tick_is_lost_and_ticks_of_one_second_keep_their_order(rows: list[tuple[int, int, int, int | None]]) -> None:
    settled = settle_ticks(frame(rows))
    assert sorted(settled.rows["line"]) == list(range(2, len(rows) + 2))
    assert settled.rejects.is_empty()
    expected, seen = [], Counter[tuple[int, int]]()
    for line, (contract, minute, _, _) in enumerate(rows, start=2):
        expected.append((contract, minute, seen[contract, minute], line))
        seen[contract, minute] += 1
    found = settled.rows.select("contract_key", "timestamp", "sequence", "line").rows()
    assert [(c, (t - START).seconds // 60, s, line) for c, t, s, line in found] == sorted(expected)


def test_exact_duplicate_keeps_the_first_and_a_conflict_keeps_none(read: Read, write: Write, minute_row: Row) -> None:
    rows = [
        minute_row(),
        minute_row(),
        minute_row(close="100.050"),
        minute_row(time="10:00:59"),
        minute_row(time="10:00:59", volume="751"),
        minute_row(time="10:00:59"),
        minute_row(time="10:01:59"),
    ]
    found = read(write(MINUTE_FILE, MINUTE_HEADER, *rows))
    assert found.reasons() == {3: "duplicate", 4: "duplicate", **dict.fromkeys((5, 6, 7), "conflicting_duplicate")}
    assert found.only.observations["line"].to_list() == [2, 8]
    assert found.only.rejects["text"].to_list() == rows[1:6]


def test_damaged_row_is_no_conflict(read: Read, write: Write, minute_row: Row) -> None:
    found = read(write(MINUTE_FILE, MINUTE_HEADER, minute_row(), minute_row(close="-1")))
    assert found.reasons() == {3: "non_positive_price"}


def test_duplicates_are_found_across_files(read: Read, tmp_path: Path, write: Write, minute_row: Row) -> None:
    write("GFDLNFO_BACKADJUSTED_20082025.csv", MINUTE_HEADER, minute_row())
    write(MINUTE_FILE, MINUTE_HEADER, minute_row(), minute_row(time="09:16:59"))
    batch = read(tmp_path).only
    assert batch.observations.select("file_index", "line").rows() == [(0, 2), (1, 3)]
    assert batch.rejects.select("file_index", "line", "reason").rows() == [(1, 2, "duplicate")]


def test_block_out_of_order_is_sorted_and_reported(read: Read, write: Write, minute_row: Row) -> None:
    times = ["09:15:59", "09:18:59", "09:16:59", "09:17:59", "09:19:59"]
    batch = read(write(MINUTE_FILE, MINUTE_HEADER, *(minute_row(time=time) for time in times))).only
    assert batch.observations["line"].to_list() == [2, 4, 5, 3, 6]
    assert batch.rejects.is_empty()
    (finding,) = (finding for finding in batch.findings if finding.check == "out_of_order")
    assert (finding.passed, finding.found) == (False, "2 rows, sorted")


def test_file_in_order_of_time_over_all_contracts_is_in_order(read: Read, write: Write, minute_row: Row) -> None:
    rows = [
        minute_row(time=time, ticker=ticker)
        for time in ("09:15:59", "09:16:59")
        for ticker in ("NIFTY28AUG2524500CE.NFO", "NIFTY28AUG2524500PE.NFO")
    ]
    batch = read(write(MINUTE_FILE, MINUTE_HEADER, *rows)).only
    assert batch.observations["line"].to_list() == [2, 4, 3, 5]
    assert all(finding.passed for finding in batch.findings)


def test_ticks_of_one_contract_at_the_same_time_in_two_files_are_refused(
    read: Read, tmp_path: Path, write: Write, tick_row: Row
) -> None:
    write("GFDLNFO_TICK_20082025/a.csv", TICK_HEADER, tick_row(time="10:00:00"), tick_row(time="10:00:10"))
    write("GFDLNFO_TICK_20082025/b.csv", TICK_HEADER, tick_row(time="10:00:10"), tick_row(time="10:00:20"))
    with pytest.raises(SourceError, match=r"b\.csv: holds ticks of 1 contracts at the same time as .*a\.csv"):
        read(tmp_path)


def test_ticks_of_one_contract_may_go_on_in_another_file(
    read: Read, tmp_path: Path, write: Write, tick_row: Row
) -> None:
    write("GFDLNFO_TICK_20082025/a.csv", TICK_HEADER, tick_row(time="10:00:00"), tick_row(time="10:00:10"))
    write("GFDLNFO_TICK_20082025/b.csv", TICK_HEADER, tick_row(time="10:00:11"))
    assert read(tmp_path).only.observations.height == 3
