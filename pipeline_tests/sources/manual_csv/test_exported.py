"""What the generic exports wrote is recognised by its sidecar and comes back as it was."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import shutil
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_defs.errors import SchemaDriftError, SourceError
from pipeline_defs.exports.generic.build import build_files
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.schema.exports import BAR_SCHEMA, TICK_SCHEMA, TickSlice
from pipeline_tests.exports.generic.slices import (
    INSTRUMENTS,
    SESSIONS,
    close_of,
    daily_slice,
    described,
    in_halves,
    market_of,
    minutes,
    nifty_bars,
    nifty_slice,
    nifty_ticks,
    open_of,
    pair_slice,
)
from pipeline_tests.sources.manual_csv.reading import HEADER, ROW, finding, read, refused, write

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.batches import ImportBatch
    from pipeline_defs.schema.exports import MarketSlice

FORMATS = ("csv", "parquet")
BAR_VALUES = ("open", "high", "low", "close", "volume", "open_interest")
IDENTITY = ("kind", "underlying", "expiry", "strike", "option_type", "series", "venue", "currency")


def export(market: MarketSlice, folder: Path, file_format: str) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    build_files(market, folder, file_format)
    return folder


def imported(batches: list[ImportBatch], bar_seconds: int) -> pl.DataFrame:
    """All rows of a resolution with their contracts."""
    frames = [
        batch.observations.join(batch.contracts, on="contract_key")
        for batch in batches
        if batch.bar_seconds == bar_seconds and batch.empty_reason is None
    ]
    return pl.concat(frames)


def compare(found: pl.DataFrame, rows: pl.DataFrame, values: dict[str, str], *more: str) -> None:
    """Compare imported rows with those of a slice, contract by contract."""
    instruments = pl.DataFrame(INSTRUMENTS, schema_overrides={"strike": PRICE}, infer_schema_length=None).select(
        "instrument_id", *IDENTITY
    )
    expected = rows.join(instruments, on="instrument_id").select(
        *IDENTITY, "timestamp", *more, *(pl.col(own).alias(name) for name, own in values.items())
    )
    key = [*IDENTITY, "timestamp", *more]
    told = found.select(expected.columns)
    assert told.sort(key, nulls_last=True).equals(expected.cast(told.schema).sort(key, nulls_last=True))


@pytest.mark.parametrize("file_format", FORMATS)
def test_bars_ticks_and_terms_come_back_exactly(tmp_path: Path, file_format: str) -> None:
    market = nifty_slice()
    batches = read(export(market, tmp_path / "export", file_format))

    assert refused(batches) == []
    assert {batch.bar_seconds for batch in batches} == {0, 60}, "derived bars are not rows of their own"
    compare(imported(batches, 60), pl.concat(market.read_bars()), {name: name for name in BAR_VALUES})
    values = dict.fromkeys(("open", "high", "low", "close"), "price") | {"volume": "size"}
    values |= {name: name for name in TICK_SCHEMA if name.startswith(("bid", "ask", "open_"))}
    compare(imported(batches, 0), nifty_ticks(), values, "sequence")
    lots = {
        (batch.trade_date, *row)
        for batch in batches
        for row in batch.contracts.select("symbol", "lot_size", "tick_size", "isin").rows()
        if batch.table == "futures_ticks"
    }
    assert lots == {
        (SESSIONS[0], "NIFTY28AUG25F.NFO", 50, Decimal("0.05"), None),
        (SESSIONS[1], "NIFTY28AUG25FUT.NFO", 75, Decimal("0.05"), None),
    }
    derived = finding(batches[0], "derived_files")
    assert derived.passed
    assert derived.detail.endswith(f"bars_5m.{file_format} (from bars_1m.{file_format})")


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_session_without_a_row_is_confirmed_to_be_empty(tmp_path: Path, file_format: str) -> None:
    batches = read(export(nifty_slice(), tmp_path / "export", file_format))

    empty = [(batch.table, batch.trade_date, batch.empty_reason) for batch in batches if batch.empty_reason]
    assert empty == [
        (
            *("futures_ticks", SESSIONS[1]),
            f"export NIFTY 2025-08-13 to 2025-08-14, ticks.{file_format} holds no row of this session",
        )
    ]


@pytest.mark.parametrize("file_format", FORMATS)
def test_settlements_of_daily_bars_come_back(tmp_path: Path, file_format: str) -> None:
    rows = imported(read(export(daily_slice(), tmp_path / "export", file_format)), 86_400)

    settled = rows.filter(pl.col("settlement_price").is_not_null()).sort("kind")
    assert settled.select("kind", "settlement_price").rows() == [
        ("FUT", Decimal("24632.4")),
        ("OPT", Decimal("24631.05")),
    ]
    assert settled["timestamp"].unique().to_list() == [close_of(SESSIONS[1])]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_pair_comes_back_with_its_fractions(tmp_path: Path, file_format: str) -> None:
    market = pair_slice()

    batches = read(export(market, tmp_path / "export", file_format))

    assert [(batch.trade_date.isoformat(), batch.observations.height) for batch in batches] == [
        ("2018-05-01", 24),
        ("2018-05-02", 24),
    ]
    rows = pl.concat(batch.observations for batch in batches)
    bars = pl.concat(market.read_bars())
    assert rows.select("timestamp", "open", "close", "volume").equals(
        bars.select("timestamp", "open", "close", "volume")
    )


def test_a_derived_file_is_read_when_it_is_named(tmp_path: Path) -> None:
    folder = export(nifty_slice(), tmp_path / "export", "csv")

    assert {batch.bar_seconds for batch in read(folder / "bars_5m.csv")} == {300}


def test_an_export_is_the_same_delivery_wherever_it_lies(tmp_path: Path) -> None:
    for place in ("here", "there"):
        batch = read(export(nifty_slice(), tmp_path / place, "csv"))[1]
        assert batch.files["logical_name"].to_list() == ["export NIFTY 2025-08-13 to 2025-08-14, bars_1m.csv"]
        assert batch.files["layout"].to_list() == ["generic"]


def test_a_file_that_was_cut_off_gives_nothing(tmp_path: Path) -> None:
    folder = export(nifty_slice(), tmp_path / "export", "csv")
    whole = (folder / "ticks.csv").read_text().splitlines(keepends=True)
    (folder / "ticks.csv").write_text("".join(whole[:-1]))

    with pytest.raises(SourceError, match="holds 3 rows, but its sidecar says 4"):
        read(folder)


def test_a_file_that_was_renamed_gives_nothing(tmp_path: Path) -> None:
    folder = export(nifty_slice(), tmp_path / "export", "parquet")
    shutil.copy(folder / "bars_5m.parquet", folder / "bars_1m.parquet")

    with pytest.raises(SourceError, match="holds rows of 300 s, but its sidecar says 60 s"):
        read(folder)
    shutil.copy(folder / "ticks.parquet", folder / "bars_1m.parquet")
    with pytest.raises(SchemaDriftError, match=r"but schema.json says timestamp, .*close, volume, open_interest"):
        read(folder)


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        ("schema.json", '"version": 1', '"version": 2', "has version 2, expected 1"),
        ("schema.json", '"version": 1', '"version": ', "is not readable as JSON"),
        ("schema.json", '"rows"', '"lines"', "does not have the form of a sidecar: KeyError"),
        ("instruments.csv", ",75,0.05", ",75,0.123456789", "tick_size was '0.123456789', which cannot be read"),
        ("term_periods.csv", ",50,0.05", ",fifty,0.05", "lot_size was 'fifty'"),
        ("term_periods.csv", "valid_from", "from", "has no column valid_from"),
        ("instruments.csv", "1,SPOT", "1,2,SPOT", "line 2 cannot be read"),
    ],
)
def test_terms_and_sidecar_must_be_readable(tmp_path: Path, file: str, old: str, new: str, what: str) -> None:
    folder = export(nifty_slice(), tmp_path / "export", "csv")
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))

    with pytest.raises(SourceError, match=what):
        read(folder)


def test_an_export_without_its_terms_still_has_its_contracts(tmp_path: Path) -> None:
    folder = export(nifty_slice(), tmp_path / "export", "csv")
    (folder / "instruments.csv").unlink()
    (folder / "term_periods.csv").unlink()

    contracts = pl.concat(batch.contracts for batch in read(folder))
    assert contracts["lot_size"].null_count() == contracts.height
    assert "NIFTY28AUG25F.NFO" in contracts["symbol"].to_list()


def test_a_sidecar_of_somebody_else_is_a_foreign_file_of_no_concern(tmp_path: Path) -> None:
    write(tmp_path / "schema.json", json.dumps({"kind": "other"}))
    write(tmp_path / "mine.csv", HEADER, ROW)

    assert read(tmp_path)[0].files["layout"].to_list() == ["plain"]


prices = st.decimals(min_value=Decimal("0.00000001"), max_value=Decimal("999999999999.99999999"), places=8)
counts = st.none() | st.integers(0, 10**18 - 1)


@st.composite
def bars(draw: st.DrawFn) -> list[tuple[object, ...]]:
    """Bars of any size that the schema allows: of one contract, minute by minute."""
    found: list[tuple[object, ...]] = []
    for stamp in minutes(draw(st.integers(1, 4))):
        low, first, last, high = sorted(draw(st.tuples(prices, prices, prices, prices)))
        opened, closed = draw(st.permutations([first, last]))
        volume = draw(st.integers(0, 10**18 - 1))
        found.append((10, stamp, opened, high, low, closed, volume, draw(counts)))
    return found


@pytest.mark.parametrize("file_format", FORMATS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=bars())
def test_any_bar_within_the_limits_survives_exactly(
    tmp_path: Path, file_format: str, rows: list[tuple[object, ...]]
) -> None:
    frame = pl.DataFrame(rows, schema=BAR_SCHEMA, orient="row")
    batches = read(export(market_of(INSTRUMENTS, frame), tmp_path / "export", file_format))

    assert refused(batches) == []
    compare(imported(batches, 60), frame, {name: name for name in BAR_VALUES})


@st.composite
def ticks(draw: st.DrawFn) -> list[tuple[object, ...]]:
    """Ticks of one contract, some in the same instant, to the microsecond."""
    micros = sorted(draw(st.lists(st.integers(0, 3), min_size=1, max_size=6)))
    found: list[tuple[object, ...]] = []
    for number, micro in enumerate(micros):
        stamp = open_of(SESSIONS[0]) + dt.timedelta(microseconds=micro)
        side = st.one_of(st.tuples(st.none(), st.none()), st.tuples(prices, st.integers(0, 10**15)))
        sequence = number - micros.index(micro)
        found.append(
            (20, stamp, sequence, draw(prices), draw(st.integers(0, 10**15)), draw(counts), *draw(side), *draw(side))
        )
    return found


@pytest.mark.parametrize("file_format", FORMATS)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ticks())
def test_any_tick_within_the_limits_survives_exactly(
    tmp_path: Path, file_format: str, rows: list[tuple[object, ...]]
) -> None:
    frame = pl.DataFrame(rows, schema=TICK_SCHEMA, orient="row")
    market = market_of(INSTRUMENTS, nifty_bars(minutes(1)))
    market = dataclasses.replace(market, ticks=TickSlice(described(INSTRUMENTS, frame), in_halves(frame)))
    batches = read(export(market, tmp_path / "export", file_format))

    assert refused(batches) == []
    values = dict.fromkeys(("open", "high", "low", "close"), "price") | {"volume": "size"}
    values |= {name: name for name in TICK_SCHEMA if name.startswith(("bid", "ask", "open_"))}
    compare(imported(batches, 0), frame, values, "sequence")


CELLS = {"open": 10, "close": 13, "volume": 14, "open_interest": 15}
texts = st.one_of(
    st.text(st.characters(exclude_characters=',"\r\n', exclude_categories=["Cs"]), max_size=12),
    st.from_regex(r"[+-]?[0-9]{0,14}(\.[0-9]{0,10})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(CELLS)), text=texts)
def test_any_cell_is_stored_exactly_or_its_line_refused(tmp_path: Path, name: str, text: str) -> None:
    cells = ROW.replace(",94,92.5,", ",999999999999.99999999,0.00000001,").split(",")
    cells[CELLS[name]] = text
    good = ROW.replace("03:46", "03:47")
    batches = read(write(tmp_path / "mine.csv", HEADER, ",".join(cells), good))

    stored = pl.concat(batch.observations for batch in batches).filter(pl.col("line") == 2)
    lines = [line for line, *_ in refused(batches)]
    assert stored.height + len(lines) == 1
    if stored.height:
        value = stored.item(0, name)
        # Python's own arithmetic on the very text is the judge: not a digit may be lost, nor one made up.
        assert value is None if not text else value == Decimal(text)
        assert text.isascii()
    else:
        assert lines == [2]
