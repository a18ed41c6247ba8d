from __future__ import annotations

import datetime as dt
import gzip
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.samples import dirty_day
from pipeline_defs.samples.chain import ChainSpec
from pipeline_defs.samples.generate import GeneratedSample, SampleSpec, generate
from pipeline_defs.samples.truth import CLEAN_ROW_SCHEMA, Truth, read_truth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.samples.truth import Defect

MINUTES = "landing/gdfl_fo_minute/GFDLNFO_BACKADJUSTED_12082025.csv"
INDEX = "landing/gdfl_index_minute/GFDLCM_INDICES_12082025.csv"
TICKS = "landing/gdfl_fo_tick/GFDLNFO_TICK_12082025.zip"


@pytest.fixture(scope="session")
def lines_of(read_bytes: Callable[[str, str], bytes]) -> Callable[[str, str], list[str]]:
    """Physical lines of a file, without line ends and byte order mark."""

    def lines(file: str, member: str) -> list[str]:
        text = read_bytes(file, member).decode("utf-8-sig")
        return [line.removesuffix("\r") for line in text.split("\n")]

    return lines


def of_file(truth: Truth, file: str) -> list[Defect]:
    return [defect for defect in truth.defects if defect.file == file]


def test_every_kind_of_damage_is_planted(truth: Truth) -> None:
    def expected(damages: tuple[object, ...]) -> set[str]:
        return {damage.defect for damage in damages}  # type: ignore[attr-defined]  # they are damages

    minutes = {defect.defect for defect in of_file(truth, MINUTES)}
    assert minutes == expected(dirty_day.MINUTE_DAMAGES) | {"utc_stamped", "truncated_last_line"}
    assert {defect.defect for defect in of_file(truth, INDEX)} == expected(dirty_day.INDEX_DAMAGES)
    ticks = {defect.defect for defect in of_file(truth, TICKS) if defect.line}
    assert ticks == expected(dirty_day.TICK_DAMAGES) | {"utc_stamped", "truncated_last_line"}
    assert {defect.defect for defect in truth.defects if defect.line == 0} == {
        *("resource_fork", "folder_settings", "member_outside_archive", "empty_member", "minute_file_among_ticks"),
        "gzip_twin",
    }
    assert len({defect.defect for defect in truth.defects}) == 33


def test_each_damaged_line_stands_where_the_truth_says(truth: Truth, lines_of: Callable[[str, str], list[str]]) -> None:
    planted = [defect for defect in truth.defects if defect.line]
    assert len(planted) > 50
    for defect in planted:
        assert lines_of(defect.file, defect.member)[defect.line - 1] == defect.text, defect


def test_every_line_is_header_clean_or_damaged(truth: Truth, lines_of: Callable[[str, str], list[str]]) -> None:
    clean = truth.clean_rows.group_by("file", "member").agg(pl.col("line"))
    assert clean.height == 6
    for file, member, clean_lines in clean.rows():
        damaged = [defect.line for defect in truth.defects if (defect.file, defect.member) == (file, member)]
        physical = lines_of(file, member)
        count = len(physical) - (physical[-1] == "")
        assert sorted([1, *clean_lines, *damaged]) == list(range(1, count + 1)), file


def test_clean_rows_are_what_the_file_says(truth: Truth, lines_of: Callable[[str, str], list[str]]) -> None:
    minutes = truth.clean_rows.filter(pl.col("file") == MINUTES)
    lines = lines_of(MINUTES, "")
    text = pl.DataFrame({"line": range(1, len(lines) + 1), "text": lines}, schema_overrides={"line": pl.UInt32})
    fields = (
        minutes.join(text, on="line", how="left", maintain_order="left")["text"]
        .str.split_exact(",", 8)
        .struct.rename_fields(["ticker", "date", "time", "open", "high", "low", "close", "volume", "open_interest"])
        .struct.unnest()
    )
    for name in ("open", "high", "low", "close"):
        assert fields[name].cast(pl.Decimal(20, 8)).equals(minutes[name]), name
    assert fields["ticker"].equals(minutes["ticker"])
    assert fields["volume"].cast(pl.Int64).equals(minutes["volume"])
    clock = (fields["date"] + " " + fields["time"]).str.to_datetime("%d/%m/%Y %H:%M:%S", time_unit="us")
    complete = clock.dt.replace_time_zone("Asia/Kolkata").dt.convert_time_zone("UTC") + dt.timedelta(seconds=1)
    assert complete.equals(minutes["timestamp"])


def test_clean_ticks_have_one_price_and_quotes(truth: Truth) -> None:
    ticks = truth.clean_rows.filter(pl.col("file") == TICKS)
    assert ticks.height > 5_000
    assert ticks.filter((pl.col("open") != pl.col("close")) | (pl.col("high") != pl.col("low"))).is_empty()
    assert ticks["bid_price"].null_count() == 0
    assert set(ticks["bar_seconds"]) == {0}


def test_clean_minutes_are_unique_and_within_the_session(truth: Truth) -> None:
    minutes = truth.clean_rows.filter(pl.col("bar_seconds") == 60)
    assert minutes.select(pl.struct("ticker", "timestamp").is_unique().all()).item()
    opening = dt.datetime(2025, 8, 12, 3, 45, tzinfo=dt.UTC)
    closing = dt.datetime(2025, 8, 12, 10, 0, tzinfo=dt.UTC)
    inside = truth.clean_rows["timestamp"].is_between(opening, closing)
    assert inside.all()


def test_of_contradicting_rows_both_are_damaged_and_of_equal_rows_the_later(
    truth: Truth, lines_of: Callable[[str, str], list[str]]
) -> None:
    lines = lines_of(MINUTES, "")
    first, second = [defect for defect in of_file(truth, MINUTES) if defect.defect == "conflicting_duplicate"]
    assert first.text.split(",")[:3] == second.text.split(",")[:3]
    assert first.text != second.text
    (later,) = [defect for defect in of_file(truth, MINUTES) if defect.defect == "exact_duplicate"]
    earlier = lines.index(later.text) + 1
    assert earlier < later.line
    assert earlier in truth.clean_rows.filter(pl.col("file") == MINUTES)["line"]


def test_rows_stamped_in_utc_would_be_good_in_india(truth: Truth) -> None:
    rows = [defect.text.split(",") for defect in truth.defects if defect.defect == "utc_stamped"]
    assert len(rows) == 4
    for _, _, clock, *_ in rows:
        assert "03:45:00" <= clock < "09:15:00"


def test_out_of_order_block_is_clean_and_out_of_order(truth: Truth) -> None:
    (block,) = [thing for thing in truth.not_dirt if thing.looks_like == "block_out_of_order"]
    rows = truth.clean_rows.filter(
        (pl.col("file") == MINUTES) & pl.col("line").is_between(block.line, block.last_line + 10)
    )
    assert rows.filter(pl.col("line") <= block.last_line).height == 20
    in_order = rows.with_columns(before=pl.col("timestamp").shift().over("ticker"))
    assert in_order.filter(pl.col("timestamp") < pl.col("before")).height == 1


def test_repeated_tick_is_stored_twice(truth: Truth, lines_of: Callable[[str, str], list[str]]) -> None:
    (repeated,) = [thing for thing in truth.not_dirt if thing.looks_like == "exact_duplicate"]
    lines = lines_of(repeated.file, repeated.member)
    assert lines[repeated.line - 1] == lines[repeated.line - 2]
    kept = truth.clean_rows.filter((pl.col("member") == repeated.member) & (pl.col("line") >= repeated.line - 1))
    assert kept["line"].head(2).to_list() == [repeated.line - 1, repeated.line]


def test_things_that_look_damaged_are_as_described(truth: Truth, read_bytes: Callable[[str, str], bytes]) -> None:
    described = {thing.looks_like: thing for thing in truth.not_dirt}
    assert described.keys() == {
        *("byte_order_mark", "carriage_returns", "block_out_of_order", "no_final_newline", "upper_case_suffix"),
        *("exact_duplicate", "several_rows_a_second", "trade_of_nothing", "no_open_interest"),
    }
    assert read_bytes(MINUTES, "").startswith(b"\xef\xbb\xbfTicker,")
    assert b"\r\n" in read_bytes(MINUTES, "")
    assert not read_bytes(INDEX, "").endswith(b"\n")
    upper = described["upper_case_suffix"]
    assert read_bytes(upper.file, upper.member).startswith(b"Ticker,")
    tick = truth.clean_rows.filter(pl.col("member") == described["trade_of_nothing"].member)
    assert tick.filter(pl.col("line") == described["trade_of_nothing"].line)["volume"].item() == 0
    assert tick.filter(pl.col("line") == described["no_open_interest"].line)["open_interest"].item() == 0


def test_junk_lies_beside_and_inside_archives(truth: Truth, read_bytes: Callable[[str, str], bytes]) -> None:
    whole = {defect.defect: defect for defect in truth.defects if defect.line == 0 and defect.file == TICKS}
    assert whole["member_outside_archive"].member.endswith(".zip/../evil.csv")
    assert read_bytes(TICKS, whole["empty_member"].member) == b""
    assert read_bytes(TICKS, whole["resource_fork"].member).startswith(b"\x00\x05\x16\x07")
    assert whole["resource_fork"].outcome == whole["folder_settings"].outcome == "ignored"
    twin = gzip.decompress(read_bytes(f"{MINUTES}.gz", ""))
    assert twin == read_bytes(MINUTES, "")


def test_misplaced_minutes_repeat_undamaged_rows(truth: Truth, lines_of: Callable[[str, str], list[str]]) -> None:
    (misplaced,) = [defect for defect in truth.defects if defect.defect == "minute_file_among_ticks"]
    header, *rows, _ = lines_of(misplaced.file, misplaced.member)
    assert header == "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest"
    assert len(rows) == 5
    minutes = lines_of(MINUTES, "")
    stored = set(truth.clean_rows.filter(pl.col("file") == MINUTES)["line"])
    assert all(minutes.index(row) + 1 in stored for row in rows)


def test_truth_survives_writing_and_reading(demo: GeneratedSample, truth: Truth) -> None:
    assert demo.truth_path is not None
    assert truth.trade_date == dt.date(2025, 8, 12)
    assert dict(truth.clean_rows.schema) == CLEAN_ROW_SCHEMA
    assert truth.clean_rows["open"].null_count() == 0
    assert read_truth(demo.truth_path).clean_rows.equals(truth.clean_rows)


def test_no_minutes_are_misplaced_where_every_contract_has_ticks(tmp_path: Path) -> None:
    day = dt.date(2025, 8, 13)
    products = ("gdfl_fo_minute", "gdfl_fo_tick")
    sample = generate(
        SampleSpec("test", day, day, (ChainSpec("NIFTY", 0, futures=1),), products, dirty_date=day), tmp_path
    )
    assert sample.truth_path is not None
    assert "minute_file_among_ticks" not in {defect.defect for defect in read_truth(sample.truth_path).defects}


@pytest.mark.parametrize("products", [("gdfl_fo_minute_folder",), ("gdfl_fo_tick",), ("truedata", "cm_bhavcopy_udiff")])
def test_other_products_can_be_dirty_alone(tmp_path: Path, products: tuple[str, ...]) -> None:
    day = dt.date(2025, 8, 13)
    spec = SampleSpec(
        name="test",
        start_date=day,
        end_date=day,
        chains=(ChainSpec("NIFTY", 0, futures=0),),
        products=products,
        dirty_date=day,
        tick_contracts=1,
    )
    sample = generate(spec, tmp_path)
    assert sample.truth_path is not None
    truth = read_truth(sample.truth_path)
    stored = truth.clean_rows.height
    rejected = len([defect for defect in truth.defects if defect.line])
    assert (rejected > 0) == ("truedata" not in products)
    assert stored > 300
    if "truedata" in products:
        assert set(truth.clean_rows["ticker"]) >= {"NIFTY", "NIFTY25082824600CE"}
        assert stored == sum(rows for file, rows in sample.rows.items() if "truedata" in file)


def test_junk_of_one_member_archives_has_no_upper_case_member(tmp_path: Path) -> None:
    day = dt.date(2025, 8, 13)
    spec = SampleSpec(
        "test", day, day, (ChainSpec("NIFTY", 0, futures=1),), ("gdfl_fo_tick",), dirty_date=day, tick_contracts=1
    )
    sample = generate(spec, tmp_path)
    assert sample.truth_path is not None
    assert "upper_case_suffix" not in {thing.looks_like for thing in read_truth(sample.truth_path).not_dirt}
