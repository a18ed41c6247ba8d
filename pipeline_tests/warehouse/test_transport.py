"""COPY in and out is exact for every value that the schema allows."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_defs.schema.columns import PRICE, TIMESTAMP
from pipeline_defs.warehouse import transport
from pipeline_defs.warehouse.transport import copy_in, copy_out, copy_out_in_portions, shorten_decimals

if TYPE_CHECKING:
    import pytest

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
SCHEMA = {"timestamp": TIMESTAMP, "price": PRICE, "volume": pl.Int64(), "name": pl.String(), "day": pl.Date()}

rows = st.lists(
    st.tuples(
        st.integers(631_152_000_000_000, 4_102_444_800_000_000).map(lambda us: EPOCH + dt.timedelta(microseconds=us)),
        st.none() | st.decimals(Decimal("0.00000001"), Decimal("999999999999.99999999"), places=8),
        st.none() | st.integers(0, 2**62),
        st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1),
        st.none() | st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)),
    ),
    max_size=20,
)


@given(rows)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_copied_in_comes_out_unchanged(postgres_url: str, values: list[tuple[object, ...]]) -> None:
    frame = pl.DataFrame(values, schema=SCHEMA, orient="row")
    with psycopg.connect(postgres_url, options="-c timezone=UTC") as connection:
        connection.execute(
            "CREATE TEMP TABLE t (timestamp timestamptz, price numeric, volume bigint, name text, day date)"
        )
        copy_in(connection, "t", frame)
        back = copy_out(connection, "SELECT * FROM t", SCHEMA)

    assert back.rows() == frame.rows()
    assert back.schema == frame.schema


def test_instants_of_which_none_is_known_are_instants_all_the_same(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        query = "SELECT n, NULL::timestamptz AS at FROM generate_series(1, 2) AS n"
        back = copy_out(connection, query, {"n": pl.Int64(), "at": TIMESTAMP})

    assert back.rows() == [(1, None), (2, None)]
    assert back.schema["at"] == TIMESTAMP


def test_portions_together_are_what_comes_out_at_once(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"n": pl.Int64(), "at": TIMESTAMP}
    query = "SELECT n, 'epoch'::timestamptz + n * interval '1 second' AS at FROM generate_series(%(first)s, 1000) AS n"
    monkeypatch.setattr(transport, "PORTION_BYTES", 500)
    with psycopg.connect(postgres_url) as connection:
        for first in (1, 1_000):
            portions = list(copy_out_in_portions(connection, query, schema, {"first": first}))
            assert pl.concat(portions).equals(copy_out(connection, query, schema, {"first": first}))
            assert len(portions) > 10 or first == 1_000
        (nothing,) = copy_out_in_portions(connection, query, schema, {"first": 1_001})

    assert nothing.is_empty()
    assert dict(nothing.schema) == schema


def test_parameters_are_bound_not_pasted(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        back = copy_out(
            connection, "SELECT %(name)s::text AS name", {"name": pl.String()}, {"name": "o'; DROP TABLE x"}
        )

    assert back["name"].to_list() == ["o'; DROP TABLE x"]


def test_decimals_are_shortened_only_when_no_digit_is_lost() -> None:
    frame = pl.DataFrame(
        {"short": [Decimal("1.25"), None], "long": [Decimal("1.255"), Decimal(2)]},
        schema={"short": PRICE, "long": PRICE},
    )

    shortened = shorten_decimals(frame)

    assert shortened.rows() == frame.rows()
    assert shortened.schema == {"short": pl.Decimal(20, 2), "long": PRICE}


def test_the_largest_price_is_not_rounded_past_the_end() -> None:
    frame = pl.DataFrame({"price": [Decimal("999999999999.995")]}, schema={"price": PRICE})

    assert shorten_decimals(frame).rows() == frame.rows()
