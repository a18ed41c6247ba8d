from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_defs.samples.generate import DEMO, generate
from pipeline_defs.samples.truth import Truth, read_truth
from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_defs.sources.nse_csv.adapter import NseCsvSource
from pipeline_defs.sources.nse_csv.reasons import REASONS

type Read = Callable[..., Any]

MINUTE_HEADER = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest"

PLANTED = {
    "bad_year": "bad_date",
    "iso_date": "bad_date",
    "dash_date": "bad_date",
    "other_day_row": "other_day",
    "impossible_time": "bad_time",
    "cut_row": "wrong_field_count",
    "truncated_last_line": "wrong_field_count",
    "too_many_fields": "wrong_field_count",
    "repeated_header": "repeated_header",
    "blank_line": "blank_line",
    "exact_duplicate": "duplicate",
    "conflicting_duplicate": "conflicting_duplicate",
    "zero_price": "non_positive_price",
    "negative_price": "non_positive_price",
    "missing_price": "bad_price",
    "non_numeric_price": "bad_price",
    "nan_price": "bad_price",
    "surplus_decimals": "bad_price",
    "high_below_low": "high_below_low",
    "close_above_high": "price_outside_range",
    "negative_volume": "bad_quantity",
    "time_within_minute": "bad_bar_time",
    "pre_open": "before_open",
    "utc_stamped": "before_open",
    "post_close": "after_close",
    "garbage_ticker": "bad_ticker",
    "expired_contract": "expired_contract",
    "member_outside_archive": "unsafe_member_path",
    "empty_member": "empty_file",
    "minute_file_among_ticks": "other_product",
}
"""Planted defect to the reason it must be refused for."""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    generated = generate(DEMO, tmp_path_factory.mktemp("sample"))
    assert generated.truth_path is not None
    return generated.root, read_truth(generated.truth_path)


def test_every_planted_defect_is_refused_for_its_reason_and_nothing_else_is(
    read: Read, sample: tuple[Path, Truth]
) -> None:
    root, truth = sample
    found = set()
    for batch in read(root / "landing").batches.values():
        files = batch.files.select("file_index", "path", pl.col("member").fill_null(""))
        for path, member, line, reason in (
            batch.rejects.join(files, on="file_index").select("path", "member", "line", "reason").iter_rows()
        ):
            found.add((str(Path(path).relative_to(root)), member, line, reason))
    planted = {
        (defect.file, defect.member, defect.line, PLANTED[defect.defect])
        for defect in truth.defects
        if defect.outcome == "rejected"
    }
    assert found == planted
    assert planted


def test_every_planted_thing_to_ignore_is_left_out_and_counted(read: Read, sample: tuple[Path, Truth]) -> None:
    root, truth = sample
    batches = read(root / "landing", start_date=truth.trade_date, end_date=truth.trade_date).batches.values()
    to_ignore = [defect for defect in truth.defects if defect.outcome == "ignored"]
    (shown,) = {finding.found for batch in batches for finding in batch.findings if finding.check == "ignored_files"}
    twins = sum(defect.defect == "gzip_twin" for defect in to_ignore)
    assert shown == f"{len(to_ignore) - twins} junk, {twins} twins"


def test_every_clean_row_of_the_damaged_day_is_stored_exactly(read: Read, sample: tuple[Path, Truth]) -> None:
    root, truth = sample
    columns = [*("line", "timestamp", "bar_seconds", "open", "high", "low", "close", "volume", "open_interest")]
    columns += ["bid_price", "bid_size", "ask_price", "ask_size"]
    stored = []
    for batch in read(root / "landing", start_date=truth.trade_date, end_date=truth.trade_date).batches.values():
        if batch.bar_seconds < 86_400:
            files = batch.files.select(
                "file_index",
                pl.col("path").str.strip_prefix(f"{root}/").alias("file"),
                pl.col("member").fill_null(""),
            )
            stored.append(
                batch.observations.join(files, on="file_index").select(
                    "file",
                    "member",
                    pl.lit(batch.bar_seconds, pl.Int32()).alias("bar_seconds"),
                    pl.exclude("file", "member"),
                )
            )
    keys = ["file", "member", "line"]
    found = pl.concat(stored).select(*keys[:2], *columns).sort(keys)
    expected = truth.clean_rows.with_columns(pl.col("member").fill_null("")).select(*keys[:2], *columns).sort(keys)
    # The truth writes a missing quote as the vendor does.
    quotes = [
        pl.when(pl.col(f"{side}_price") != 0).then(f"{side}_{what}").alias(f"{side}_{what}")
        for side in ("bid", "ask")
        for what in ("price", "size")
    ]
    assert found.equals(expected.with_columns(quotes))
    assert found.height > 10_000


def test_same_input_gives_the_same_batches(read: Read, sample: tuple[Path, Truth]) -> None:
    root, truth = sample
    first, second = (read(root / "landing", end_date=truth.trade_date).batches for _ in range(2))
    assert list(first) == list(second)
    for key, batch in first.items():
        assert batch.observations.equals(second[key].observations)
        assert batch.contracts.equals(second[key].contracts)
        assert batch.rejects.equals(second[key].rejects)
        assert batch.files.equals(second[key].files)


CELL = st.sampled_from(
    [
        *(
            "NIFTY28AUG2524500CE.NFO",
            "NIFTY-I.NFO",
            "NIFTY 50.NSE_IDX",
            "RELIANCE.NSE",
            "?",
            "20/08/2025",
            "19/08/2025",
        ),
        *(
            "22/01/20266",
            "09:15:59",
            "09:16:59",
            "15:31:59",
            "09:07:00",
            "25:00:59",
            "100",
            "0",
            "-1",
            "x",
            "1e3",
            "",
            "é",
        ),
    ]
)
GOOD = st.tuples(
    st.sampled_from(["NIFTY28AUG2524500CE.NFO", "NIFTY-I.NFO", "NIFTY 50.NSE_IDX", "RELIANCE.NSE"]),
    st.sampled_from(["20/08/2025", "21/08/2025"]),
    st.sampled_from(["09:15:59", "09:16:59", "15:29:59", "15:30:59"]),
    *[st.sampled_from(["100", "100.00"])] * 4,
    *[st.sampled_from(["0", "75"])] * 2,
).map(",".join)
ANY_LINE = st.one_of(
    GOOD, GOOD, st.lists(CELL, min_size=9, max_size=9).map(",".join), st.lists(CELL, max_size=11).map(",".join)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    st.lists(st.lists(ANY_LINE, max_size=12), min_size=1, max_size=3),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["final newline", "no final newline"]),
    st.sampled_from(["_20082025", ""]),
)
def test_every_physical_line_but_the_header_is_stored_or_refused_exactly_once(  # noqa: PLR0917 -- hypothesis and pytest fill them in
    read: Read,
    tmp_path_factory: pytest.TempPathFactory,
    contents: list[list[str]],
    newline: str,
    end: str,
    name_date: str,
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    good = "NIFTY28AUG2524500PE.NFO,20/08/2025,12:00:59,5,6,4,5,75,75"
    expected = set()
    for index, lines in enumerate([[good], *contents]):
        text = newline.join([MINUTE_HEADER, *lines]) + (newline if end == "final newline" else "")
        (folder / f"GFDLNFO_{index}{name_date}.csv").write_bytes(text.encode())
        physical = text.removesuffix("\n").count("\n")
        expected |= {(index, line) for line in range(2, 2 + physical)}
    found = []
    for batch in read(folder).batches.values():
        for frame in (batch.observations, batch.rejects.filter(pl.col("line") > 0)):
            found += frame.select("file_index", "line").rows()
        assert batch.table in OBSERVATION_TABLES
        assert set(batch.rejects["reason"]) <= set(REASONS)
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_metadata_describes_a_file_source() -> None:
    metadata = NseCsvSource(path="drop").get_metadata()
    assert (metadata.source, metadata.source_type, metadata.source_url) == ("nse_csv", "file", "drop")
    assert not metadata.supports_live


def test_documentation_explains_every_reason() -> None:
    page = Path(__file__).parents[3] / "docs" / "sources" / "nse-csv.md"
    text = page.read_text()
    positions = [text.index(f"| `{reason}` |") for reason in REASONS]
    assert positions == sorted(positions)


def test_days_are_trade_dates_in_india(read: Read, tmp_path: Path) -> None:
    row = "NIFTY28AUG2524500PE.NFO,20/08/2025,09:15:59,5,6,4,5,75,75"
    (tmp_path / "x.csv").write_text(f"{MINUTE_HEADER}\n{row}\n")
    batch = read(tmp_path).only
    assert batch.trade_date == dt.date(2025, 8, 20)
    assert batch.observations["timestamp"][0] == dt.datetime(2025, 8, 20, 3, 46, tzinfo=dt.UTC)
