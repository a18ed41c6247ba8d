"""The text of a file is what Backtrader reads with all defaults, exactly and minimally."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.exports.backtrader.text import COLUMNS, csv_files, exchange_time
from pipeline_defs.schema.columns import SIZE
from pipeline_defs.schema.exports import BAR_SCHEMA

INDIA = "Asia/Kolkata"
PRICES = st.decimals(min_value=0, max_value=10**7, places=8)
COUNTS = st.none() | st.integers(min_value=0, max_value=2**53)
INSTANTS = st.datetimes(min_value=dt.datetime(1995, 1, 1), max_value=dt.datetime(2100, 1, 1)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0, tzinfo=dt.UTC)
)


def frame(*rows: tuple[object, ...]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=BAR_SCHEMA, orient="row")


def test_a_file_has_the_header_end_stamps_in_exchange_time_and_minimal_numbers() -> None:
    prices = tuple(Decimal(text) for text in ("24500.50", "24501.00000000", "0.00000001", "275.45"))
    bars = frame(
        (7, dt.datetime(2025, 8, 14, 3, 46, tzinfo=dt.UTC), *prices, 75, None),
        (7, dt.datetime(2025, 8, 14, 18, 29, 59, tzinfo=dt.UTC), *prices, None, 100000000000),
        (9, dt.datetime(2025, 8, 14, 18, 30, tzinfo=dt.UTC), *prices, 0, 0),
    )
    assert dict(csv_files(bars, INDIA)) == {
        7: b"datetime,open,high,low,close,volume,openinterest\n"
        b"2025-08-14 09:16:00,24500.5,24501,0.00000001,275.45,75,0\n"
        b"2025-08-14 23:59:59,24500.5,24501,0.00000001,275.45,0,100000000000\n",
        9: b"datetime,open,high,low,close,volume,openinterest\n"
        b"2025-08-15 00:00:00,24500.5,24501,0.00000001,275.45,0,0\n",
    }


@given(st.lists(st.tuples(st.just(1), INSTANTS, PRICES, PRICES, PRICES, PRICES, COUNTS, COUNTS), min_size=1))
def test_every_value_can_be_read_back_from_the_text(rows: list[tuple[object, ...]]) -> None:
    bars = frame(*rows)
    ((_, content),) = csv_files(bars, INDIA)
    lines = content.decode().split("\n")
    assert lines[0] == ",".join(COLUMNS)
    assert lines[-1] == ""
    assert len(lines) == len(rows) + 2
    india = dt.timezone(dt.timedelta(hours=5, minutes=30))
    for line, (_, instant, *values) in zip(lines[1:-1], bars.iter_rows(), strict=True):
        stamp, *texts = line.split(",")
        assert dt.datetime.fromisoformat(stamp).replace(tzinfo=india) == instant
        assert [Decimal(text) for text in texts] == [value or 0 for value in values]
        assert not any("e" in text.lower() for text in texts)


SIZES = st.none() | st.decimals(min_value=0, max_value=2**39, places=8)


@given(st.lists(st.tuples(st.just(1), INSTANTS, PRICES, PRICES, PRICES, PRICES, SIZES, COUNTS), min_size=1))
def test_fractional_volumes_are_exact_plain_and_minimal(rows: list[tuple[object, ...]]) -> None:
    bars = pl.DataFrame(rows, schema={**BAR_SCHEMA, "volume": SIZE}, orient="row")
    ((_, content),) = csv_files(bars, "UTC")
    for line, row in zip(content.decode().split("\n")[1:-1], bars.iter_rows(named=True), strict=True):
        stamp, *_, volume, _ = line.split(",")
        assert dt.datetime.fromisoformat(stamp).replace(tzinfo=dt.UTC) == row["timestamp"]
        assert Decimal(volume) == (row["volume"] or 0)
        assert "e" not in volume.lower()
        assert "." not in volume or not volume.endswith(("0", "."))


def test_exchange_time_has_no_zone() -> None:
    bars = pl.DataFrame({"t": [dt.datetime(2025, 8, 14, 10, tzinfo=dt.UTC)]})
    assert bars.select(exchange_time("t", INDIA)).item() == dt.datetime(2025, 8, 14, 15, 30)  # noqa: DTZ001
