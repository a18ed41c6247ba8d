"""The binary format against PostgreSQL's own reading of it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.schema.columns import PRICE, TIMESTAMP
from pipeline_defs.warehouse.binary_rows import encode_rows, has_fixed_width
from pipeline_defs.warehouse.transport import copy_in, copy_out

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = {
    "instant": TIMESTAMP,
    "id": pl.Int32(),
    "price": PRICE,
    "volume": pl.Int64(),
    "source": pl.String(),
}
LARGEST = Decimal("89999999999.99999999")

prices = st.decimals(min_value=0, max_value=LARGEST, places=8) | st.decimals(min_value=0, max_value=LARGEST, places=2)
instants = st.datetimes(dt.datetime(1995, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001
rows = st.tuples(
    instants, st.integers(-(2**31), 2**31 - 1), prices, st.integers(-(2**63), 2**63 - 1), st.just("nse_csv")
)


@pytest.fixture(scope="module")
def connection(postgres_url: str) -> Iterator[psycopg.Connection]:
    """A table of its own in the maintenance database, gone with the connection."""
    with psycopg.connect(postgres_url, options="-c timezone=UTC") as connection:
        connection.execute(
            "CREATE TEMP TABLE received (instant timestamptz, id integer, price numeric, volume bigint, source text)"
        )
        yield connection
        connection.rollback()


@given(st.lists(rows, min_size=1, max_size=30))
def test_the_server_reads_back_every_value_exactly(connection: psycopg.Connection, values: list[object]) -> None:
    frame = pl.DataFrame(values, schema=SCHEMA, orient="row")
    assert has_fixed_width(frame)
    connection.execute("TRUNCATE received")

    copy_in(connection, "received", frame, typed=True)

    received = copy_out(connection, "SELECT * FROM received", SCHEMA)
    order = list(SCHEMA)
    assert received.sort(order).equals(frame.sort(order))


def test_a_price_is_stored_with_two_places_if_they_are_enough_and_with_eight_if_not(
    connection: psycopg.Connection,
) -> None:
    for price, text in (("271.65", "271.65"), ("271.6", "271.60"), ("271.655", "271.65500000"), ("0", "0.00")):
        connection.execute("TRUNCATE received")
        copy_in(connection, "received", pl.DataFrame({"price": [Decimal(price)]}, schema={"price": PRICE}), typed=True)
        assert connection.execute("SELECT price::text FROM received").fetchall() == [(text,)]


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"x": [1, None]}, schema={"x": pl.Int64()}),
        pl.DataFrame({"x": ["a", "b"]}),
        pl.DataFrame({"x": [1.5]}),
        pl.DataFrame({"x": [Decimal(-1)]}, schema={"x": PRICE}),
        pl.DataFrame({"x": [Decimal(90_000_000_001)]}, schema={"x": PRICE}),
        pl.DataFrame({"x": [1]}, schema={"x": pl.UInt32()}),
        pl.DataFrame(schema={"x": pl.Int64()}),
    ],
    ids=["null", "texts", "float", "negative", "too large", "unsigned", "empty"],
)
def test_what_has_no_one_width_goes_as_text(frame: pl.DataFrame) -> None:
    assert not has_fixed_width(frame)


def test_frames_with_nulls_arrive_as_exactly(connection: psycopg.Connection) -> None:
    frame = pl.DataFrame(
        [(dt.datetime(2025, 8, 14, 3, 46, tzinfo=dt.UTC), 1, Decimal("5.05"), None, "nse_csv")] * 2
        + [(dt.datetime(2025, 8, 14, 3, 46, tzinfo=dt.UTC), 2, Decimal("5.055"), 7, "nse_csv")],
        schema=SCHEMA,
        orient="row",
    )
    connection.execute("TRUNCATE received")

    copy_in(connection, "received", frame, typed=True)

    assert copy_out(connection, "SELECT * FROM received ORDER BY id", SCHEMA).equals(frame)


def test_an_empty_text_is_not_lost() -> None:
    assert encode_rows(pl.DataFrame({"x": [""]})) == b"\x00\x01" + bytes(4)
