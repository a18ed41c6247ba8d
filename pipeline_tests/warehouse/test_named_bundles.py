"""Bundles under the names that people gave them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse.named_bundles import (
    BundleMember,
    add_to_bundle,
    list_bundles,
    read_bundle,
    remove_bundle,
)
from pipeline_tests.warehouse.deliveries import Delivery, make_batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

A = "NIFTY31JAN1910000CE"
B = "NIFTY31JAN1910100CE"


@pytest.fixture
def members(load: Callable[..., LoadReport], ask: Callable[..., list[tuple[Any, ...]]]) -> list[BundleMember]:
    """Two stored series."""
    load(make_batch(Delivery([(A, 1, "1.5"), (B, 2, "2.5")])))
    ids = ask("SELECT DISTINCT instrument_id FROM options_ticks ORDER BY 1")
    return [
        BundleMember(symbol, one, "nse_csv", "options_ticks", 0)
        for symbol, (one,) in zip(("first", "second"), ids, strict=True)
    ]


def write(warehouse: Warehouse, name: str, members: list[BundleMember]) -> None:
    with warehouse.connect() as connection:
        add_to_bundle(connection, name, members)


def test_a_bundle_holds_what_was_added_to_it_sorted(warehouse: Warehouse, members: list[BundleMember]) -> None:
    write(warehouse, "my-data", [members[1], members[0], members[0]])

    found = read_bundle(warehouse, "my-data")

    assert found.members == tuple(members)
    assert found.created_at.tzinfo == dt.UTC
    assert list_bundles(warehouse) == [found]


def test_adding_again_changes_nothing_and_another_instrument_takes_the_symbol(
    warehouse: Warehouse, members: list[BundleMember]
) -> None:
    write(warehouse, "my-data", members)
    once = read_bundle(warehouse, "my-data")
    write(warehouse, "my-data", members)
    assert read_bundle(warehouse, "my-data") == once

    _, second = members
    renamed = BundleMember("first", second.instrument_id, "nse_csv", "options_ticks", 0)
    write(warehouse, "my-data", [renamed])

    assert read_bundle(warehouse, "my-data").members == (renamed, second)


def test_a_bundle_may_be_empty_and_then_there_is_one(warehouse: Warehouse) -> None:
    write(warehouse, "empty", [])

    assert read_bundle(warehouse, "empty").members == ()


def test_a_bundle_that_is_forgotten_takes_no_row_along(
    warehouse: Warehouse, members: list[BundleMember], ask: Callable[..., list[tuple[Any, ...]]]
) -> None:
    write(warehouse, "my-data", members)
    with warehouse.connect() as connection:
        assert remove_bundle(connection, "my-data")
        assert not remove_bundle(connection, "my-data")

    assert list_bundles(warehouse) == []
    assert ask("SELECT count(*) FROM options_ticks") == [(2,)]


def test_an_unknown_bundle_is_an_error_that_names_those_spelt_alike(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="no bundle is named 'my-dta'; there is none yet"):
        read_bundle(warehouse, "my-dta")
    write(warehouse, "my-data", [])
    write(warehouse, "crypto", [])

    with pytest.raises(WarehouseError, match="no bundle is named 'my-dta'; near it: my-data"):
        read_bundle(warehouse, "my-dta")
    with pytest.raises(WarehouseError, match="no bundle is named 'zzz'; there are crypto, my-data"):
        read_bundle(warehouse, "zzz")


@pytest.mark.parametrize("name", ["", "a/b", " a", "-a", "a" * 101, "a\nb", "a;drop"])
def test_a_name_with_other_characters_is_refused(warehouse: Warehouse, name: str) -> None:
    with pytest.raises(WarehouseError, match="cannot be the name of a bundle"):
        write(warehouse, name, [])
    assert list_bundles(warehouse) == []
