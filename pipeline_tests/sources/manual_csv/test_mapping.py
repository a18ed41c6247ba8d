"""Columns mean what a mapping says; what it does not say is never guessed."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError, SchemaDriftError, SourceError
from pipeline_defs.sources.manual_csv.adapter import ManualCsvSource
from pipeline_defs.sources.manual_csv.mapping import read_mapping
from pipeline_tests.sources.manual_csv.reading import (
    HEADER,
    MAPPING,
    OWN_HEADER,
    OWN_ROW,
    ROW,
    only,
    read,
    refused,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path


def mapped(folder: Path, *rows: str, header: str = OWN_HEADER, **changes: str | None) -> Path:
    """Write a file of one's own with its mapping beside it; changes replace lines of it or leave them out."""
    text = []
    for line in MAPPING.splitlines():
        key = line.partition(" = ")[0]
        if key not in changes:
            text.append(line)
        elif changes[key] is not None:
            text.append(f"{key} = {changes[key]}")
    write(folder / "reliance.mapping.toml", *text)
    return write(folder / "reliance.csv", header, *rows)


def stamps(path: Path) -> list[dt.datetime]:
    return [stamp for batch in read(path) for stamp in batch.observations["timestamp"]]


def test_open_stamps_in_exchange_time_become_close_stamps_in_utc(tmp_path: Path) -> None:
    batch = only(mapped(tmp_path, OWN_ROW))

    assert (batch.table, batch.bar_seconds, batch.trade_date) == ("spot_prices", 60, dt.date(2025, 8, 13))
    (row,) = batch.observations.to_dicts()
    assert row["timestamp"] == dt.datetime(2025, 8, 13, 3, 46, tzinfo=dt.UTC)
    assert (row["open"], row["close"], row["volume"]) == (Decimal("1400.5"), Decimal("1401.25"), 1200)
    (contract,) = batch.contracts.to_dicts()
    assert (contract["kind"], contract["symbol"], contract["series"]) == ("EQ", "RELIANCE", "EQ")
    assert batch.files["layout"].to_list() == ["mapped"]


def test_close_stamps_stay(tmp_path: Path) -> None:
    row = OWN_ROW.replace("09:15", "09:16")
    assert stamps(mapped(tmp_path, row, stamp='"close"')) == [dt.datetime(2025, 8, 13, 3, 46, tzinfo=dt.UTC)]


def test_the_last_bar_of_a_session_ends_with_it(tmp_path: Path) -> None:
    path = mapped(tmp_path, OWN_ROW.replace("09:15", "15:15"), bar_seconds="3600")
    assert stamps(path) == [dt.datetime(2025, 8, 13, 10, 0, tzinfo=dt.UTC)]


@pytest.mark.parametrize("stamp", ["open", "close"])
def test_a_daily_bar_with_a_date_is_stamped_with_the_close_of_its_session(tmp_path: Path, stamp: str) -> None:
    path = mapped(
        tmp_path,
        "13/08/2025,1400,1402,1400,1401,10",
        header="Date,O,H,L,C,Vol",
        timestamp='"Date"',
        format='"%d/%m/%Y"',
        bar_seconds="86400",
        stamp=f'"{stamp}"',
    )

    batch = only(path)
    assert (batch.table, batch.trade_date) == ("equity_daily", dt.date(2025, 8, 13))
    assert stamps(path) == [dt.datetime(2025, 8, 13, 10, 0, tzinfo=dt.UTC)]


def test_a_daily_bar_stamped_at_its_open_ends_with_its_session(tmp_path: Path) -> None:
    assert stamps(mapped(tmp_path, OWN_ROW, bar_seconds="86400")) == [dt.datetime(2025, 8, 13, 10, 0, tzinfo=dt.UTC)]


def test_a_date_of_a_venue_without_a_calendar_names_no_instant(tmp_path: Path) -> None:
    path = mapped(
        tmp_path,
        "13/08/2025,1400,1402,1400,1401,10",
        "13/08/25,1400,1402,1400,1401,10",
        header="Date,O,H,L,C,Vol",
        timestamp='"Date"',
        format='"%d/%m/%Y"',
        bar_seconds="86400",
        venue='"XETR"',
    )
    batches = read(write(path.parent / "all" / "none.csv", HEADER, ROW).parent.parent)

    assert [reason for _, reason, _ in refused(batches)] == ["no_close_time", "bad_timestamp"]


@pytest.mark.parametrize(
    "text", ["3/08/2025,09:15", "13/08/2025,9:15", "13-08-2025,09:15", "13/08/2025,24:15", "30/02/2025,09:15"]
)
def test_a_timestamp_in_another_form_is_refused(tmp_path: Path, text: str) -> None:
    bad = OWN_ROW.replace("13/08/2025,09:15", text)
    assert refused(read(mapped(tmp_path, OWN_ROW, bad))) == [(3, "bad_timestamp", bad)]


def test_clock_times_without_a_zone_are_refused(tmp_path: Path) -> None:
    (found,) = read(write(mapped(tmp_path, OWN_ROW, zone=None).parent / "b" / "x.csv", HEADER, ROW).parent.parent)[:1]
    assert refused([found])[0][1] == "no_time_zone"


def test_a_clock_time_that_was_skipped_or_came_twice_is_refused(tmp_path: Path) -> None:
    path = mapped(
        tmp_path,
        OWN_ROW.replace("13/08/2025,09:15", "30/03/2025,02:30"),
        OWN_ROW.replace("13/08/2025,09:15", "26/10/2025,02:30"),
        OWN_ROW.replace("13/08/2025,09:15", "30/03/2025,03:30"),
        zone='"Europe/Berlin"',
        venue='"XETR"',
    )

    batches = read(path)
    assert [(line, reason) for line, reason, _ in refused(batches)] == [(2, "bad_timestamp"), (3, "bad_timestamp")]
    assert stamps(path) == [dt.datetime(2025, 3, 30, 1, 31, tzinfo=dt.UTC)]


def test_a_format_with_an_offset_needs_no_zone(tmp_path: Path) -> None:
    path = mapped(
        tmp_path,
        OWN_ROW.replace("09:15", "09:15+0530"),
        zone=None,
        format='"%d/%m/%Y %H:%M%z"',
    )
    assert stamps(path) == [dt.datetime(2025, 8, 13, 3, 46, tzinfo=dt.UTC)]


def test_a_mapping_may_hold_for_a_folder_or_be_named(tmp_path: Path) -> None:
    folder = mapped(tmp_path / "a", OWN_ROW).parent
    (folder / "reliance.mapping.toml").rename(folder / "mapping.toml")
    assert only(folder).observations.height == 1

    (folder / "mapping.toml").rename(tmp_path / "elsewhere.toml")
    with pytest.raises(
        ConfigurationError, match="has the columns Date, Time, O, H, L, C, Vol, Remark, which are no fie"
    ):
        read(folder)
    source = ManualCsvSource(mapping=str(tmp_path / "elsewhere.toml"))
    assert only(folder, source=source).observations.height == 1
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read(folder, source=ManualCsvSource(mapping=str(tmp_path / "nowhere.toml")))


def test_a_column_that_the_mapping_names_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SchemaDriftError, match="has no column Vol; it has Date, Time, O, H, L, C, Volume"):
        read(mapped(tmp_path, OWN_ROW, header="Date,Time,O,H,L,C,Volume,Remark"))


def test_one_column_may_serve_two_fields(tmp_path: Path) -> None:
    path = mapped(
        tmp_path,
        OWN_ROW.replace("first", "TCS"),
        symbol=None,
        underlying=None,
        low='"L"\nsymbol = "Remark"\nunderlying = "Remark"',
    )
    assert only(path).contracts.select("symbol", "underlying").row(0) == ("TCS", "TCS")


def test_a_file_may_have_a_name_of_its_own_for_when_it_is_delivered_again(tmp_path: Path) -> None:
    named = only(mapped(tmp_path / "a", OWN_ROW, stamp='"open"\ndelivery = "reliance minutes"'))
    unnamed = only(mapped(tmp_path / "b", OWN_ROW))

    assert named.files["logical_name"].to_list() == ["reliance minutes"]
    assert unnamed.files["logical_name"].to_list() == [(tmp_path / "b" / "reliance.csv").resolve().as_posix()]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"stamp": None}, "stamp was None, expected 'open' or 'close'"),
    ({"stamp": '"middle"'}, "stamp was 'middle'"),
    ({"zone": '"India"'}, "zone was 'India', expected an IANA name"),
    ({"zone": "5"}, "zone was 5, expected text"),
    ({"venue": None}, "nothing says venue"),
    ({"close": None}, "has the prices open, high, low, expected open, high, low, close"),
    ({"close": '"C"\nprice = "C"'}, "has the prices open, high, low, close, price"),
    ({"close": '"C"\nbid_price = "Bid"'}, "has bid_price, which bars cannot have"),
    ({"close": '"C"\nkind = "Kind"'}, "kind both in a column and fixed"),
    ({"close": '["C", "D"]'}, "expected one name"),
    ({"close": "4"}, "column of close was 4, expected a name"),
    ({"close": '"C"\nclosing = "C"'}, "unknown fields closing"),
    ({"venue": '"NSE"\nopen_interest = 0'}, "unknown fixed fields open_interest"),
    ({"stamp": '"open"\ndecimal = ","'}, "unknown keys decimal"),
    ({"stamp": '"open"\nseparator = "||"'}, "separator was '||', expected one character"),
    ({"stamp": "open"}, "is not readable as TOML"),
]


@pytest.mark.parametrize(("changes", "what"), BAD, ids=[what for _, what in BAD])
def test_a_mapping_that_says_too_little_or_too_much_is_refused(
    tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    mapped(tmp_path, OWN_ROW, **changes)

    with pytest.raises(ConfigurationError) as refusal:
        read_mapping(tmp_path / "reliance.mapping.toml")
    assert what in str(refusal.value)


def test_a_table_must_be_one(tmp_path: Path) -> None:
    path = write(tmp_path / "mapping.toml", 'stamp = "open"', "columns = 1")
    with pytest.raises(ConfigurationError, match="columns was 1, expected a table"):
        read_mapping(path)


def test_a_plain_header_must_say_everything(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing says venue"):
        read(write(tmp_path / "x.csv", HEADER.replace("venue,", ""), ROW.replace("NSE,", "")))


def parquet(path: Path, **columns: pl.Series) -> Path:
    rows = pl.DataFrame(
        {"Date": ["13/08/2025", "13/08/2025"], "Time": ["09:15", "09:16"], **{name: [100.5, 100.5] for name in "OHLC"}}
    ).with_columns(**({"Vol": pl.lit(10, pl.Int32)} | columns))
    rows.write_parquet(path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def test_floats_of_a_parquet_file_stand_for_their_shortest_decimal_and_are_never_rounded(tmp_path: Path) -> None:
    mapped(tmp_path)
    path = parquet(tmp_path / "reliance", H=pl.Series([0.1 + 100.5, 100.5 + 1e-13]), L=pl.Series([0.1, 0.1]))
    (tmp_path / "reliance.csv").unlink()

    batches = read(path)
    assert batches[0].observations["high"].to_list() == [Decimal("100.6")]
    assert batches[0].observations["low"].to_list() == [Decimal("0.1")]
    assert batches[0].observations["line"].to_list() == [1]
    ((line, reason, text),) = refused(batches)
    assert (line, reason) == (2, "bad_price")
    assert text.startswith("13/08/2025,09:16,100.5,100.5000000000001,0.1,")


def test_columns_that_no_field_needs_may_be_of_any_type(tmp_path: Path) -> None:
    mapped(tmp_path)
    path = parquet(tmp_path / "reliance", C=pl.Series([100.5, -1.0]), more=pl.Series([[1], [2]]))

    ((line, reason, text),) = refused(read(path))
    assert (line, reason) == (2, "non_positive_price")
    assert text.startswith("13/08/2025,09:16,")


def test_a_field_of_a_type_that_it_cannot_have_is_refused(tmp_path: Path) -> None:
    mapped(tmp_path)

    with pytest.raises(SourceError, match="column Vol is of type List"):
        read(parquet(tmp_path / "reliance", Vol=pl.Series([[1], [2]])))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, 1e-9, 1e17])
def test_floats_that_are_no_plain_decimals_are_refused(tmp_path: Path, value: float | None) -> None:
    mapped(tmp_path)
    path = parquet(tmp_path / "reliance", C=pl.Series([100.5, value]))

    assert [reason for _, reason, _ in refused(read(path))] == ["bad_price"]


@pytest.mark.parametrize(
    ("stamp", "zone"),
    [
        (pl.Series([dt.datetime(2025, 8, 13, 9, 15)]).cast(pl.Datetime("ns")), '"Asia/Kolkata"'),  # noqa: DTZ001
        (pl.Series([dt.datetime(2025, 8, 13, 9, 15)]).cast(pl.Datetime("ms")), '"Asia/Kolkata"'),  # noqa: DTZ001
        (pl.Series([dt.datetime(2025, 8, 13, 3, 45, tzinfo=dt.UTC)]), None),
        (pl.Series([dt.datetime(2025, 8, 13, 3, 45, tzinfo=dt.UTC)]).dt.convert_time_zone("Asia/Kolkata"), None),
    ],
)
def test_typed_timestamps_are_instants_by_their_own_zone_or_the_declared_one(
    tmp_path: Path, stamp: pl.Series, zone: str | None
) -> None:
    mapped(tmp_path, timestamp='"When"', format=None, zone=zone)
    rows = pl.DataFrame({"When": stamp, "Vol": [1]}).with_columns(
        pl.lit("1.5").cast(pl.Categorical).alias(n) for n in "OHLC"
    )
    rows.write_parquet(tmp_path / "reliance.parquet")

    assert stamps(tmp_path / "reliance.parquet") == [dt.datetime(2025, 8, 13, 3, 46, tzinfo=dt.UTC)]


def test_an_instant_finer_than_a_microsecond_is_refused(tmp_path: Path) -> None:
    mapped(tmp_path, timestamp='"When"', format=None)
    when = pl.Series([1_755_056_700_000_000_000, 1_755_056_760_000_000_001]).cast(pl.Datetime("ns", "UTC"))
    rows = pl.DataFrame({"When": when, "Vol": [1, 1]}).with_columns(pl.lit(1).alias(name) for name in "OHLC")
    rows.write_parquet(tmp_path / "reliance.parquet")

    assert [(line, why) for line, why, _ in refused(read(tmp_path / "reliance.parquet"))] == [(2, "bad_timestamp")]


def test_a_parquet_date_is_a_date(tmp_path: Path) -> None:
    mapped(tmp_path, timestamp='"When"', format=None, bar_seconds="86400")
    rows = pl.DataFrame({"When": [dt.date(2025, 8, 13)], "Vol": [1]}).with_columns(pl.lit(1).alias(n) for n in "OHLC")
    rows.write_parquet(tmp_path / "reliance.parquet")

    assert stamps(tmp_path / "reliance.parquet") == [dt.datetime(2025, 8, 13, 10, 0, tzinfo=dt.UTC)]
