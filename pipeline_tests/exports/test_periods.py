"""Terms that change within an export, in memory and in both engines."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.backtrader.contracts import read_sidecar
from pipeline_defs.exports.backtrader.exporter import BacktraderExporter
from pipeline_defs.exports.backtrader.loader import load_chain
from pipeline_defs.exports.nautilus.exporter import NautilusExporter
from pipeline_defs.exports.periods import changing_terms, terms_as_text
from pipeline_defs.schema.exports import TERM_PERIOD_SCHEMA, MarketSlice
from pipeline_tests.exports.nautilus.slices import SESSIONS, WEEKLY, nifty_slice

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exporters import Exporter

AFTER = dt.date(2025, 8, 15)
OPTION = 10
"""The 24500 call that expires on the second day."""


def with_periods(market: MarketSlice, *periods: dict[str, Any]) -> MarketSlice:
    """Say of one option that its terms were these, of all others what the slice says."""
    described = market.instruments.with_columns(
        pl.lit(None, pl.Date).alias("valid_from"),
        pl.lit(None, pl.Date).alias("valid_to"),
        pl.lit(Decimal(1), TERM_PERIOD_SCHEMA["multiplier"]).alias("multiplier"),
    ).select(list(TERM_PERIOD_SCHEMA))
    own = described.row(by_predicate=pl.col("instrument_id") == OPTION, named=True)
    told = pl.DataFrame([own | period for period in periods], schema=TERM_PERIOD_SCHEMA)
    rest = described.filter(pl.col("instrument_id") != OPTION)
    return dataclasses.replace(market, term_periods=pl.concat([rest, told]))


FORMER: dict[str, Any] = {
    "valid_to": SESSIONS[1],
    "lot_size": 50,
    "expiry": dt.date(2025, 8, 13),
    "symbol": "NIFTY13AUG2524500CE.NFO",
}
LATER: dict[str, Any] = {"valid_from": SESSIONS[1]}


@pytest.fixture(scope="module")
def changing() -> MarketSlice:
    """The lot and the expiry of one option change on the second day."""
    return with_periods(nifty_slice(), LATER, FORMER)


def test_only_instruments_that_change_have_periods(changing: MarketSlice) -> None:
    changes = changing_terms(changing)

    assert changes.select("instrument_id", "valid_from", "valid_to", "lot_size").rows() == [
        (OPTION, SESSIONS[0], SESSIONS[1], 50),
        (OPTION, SESSIONS[1], AFTER, 75),
    ]
    assert json.loads(terms_as_text(changes).item(0, "terms"))[0] == {
        "valid_from": "2025-08-13",
        "valid_to": "2025-08-14",
        "symbol": "NIFTY13AUG2524500CE.NFO",
        "underlying": "NIFTY",
        "expiry": "2025-08-13",
        "lot_size": 50,
        "tick_size": "0.05",
    }


def test_a_slice_that_says_nothing_of_periods_has_no_changes() -> None:
    assert changing_terms(nifty_slice()).is_empty()


def test_periods_that_differ_in_nothing_an_engine_is_told_are_no_change() -> None:
    assert changing_terms(with_periods(nifty_slice(), {"valid_to": SESSIONS[1]}, LATER)).is_empty()


@pytest.mark.parametrize(
    ("periods", "message"),
    [
        ([FORMER, {**LATER, "strike": Decimal(24400)}], "a strike that changes at 2025-08-14"),
        ([{"multiplier": Decimal(10)}], "a multiplier other than 1"),
        ([FORMER, {"valid_from": dt.date(2025, 8, 15)}], "a gap before 2025-08-15"),
        ([FORMER, {**LATER, "lot_size": 25}], "other terms at its last bar"),
    ],
)
def test_what_would_make_a_backtest_wrong_is_refused(periods: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ExportError, match=message):
        changing_terms(with_periods(nifty_slice(), *periods))


@pytest.mark.parametrize("exporter", [NautilusExporter(), BacktraderExporter()])
def test_an_engine_confirms_terms_by_date_and_the_manifest_tells_of_them(
    exporter: Exporter, changing: MarketSlice, tmp_path: Path
) -> None:
    built = exporter.build(changing, tmp_path)
    verified = exporter.verify(built, changing)

    assert verified.failures == ()
    assert built.details["terms_changing"] == 1
    assert any("the terms of 1 instruments change within the export" in note for note in built.details["notes"])
    # The same files are not what another history asks for.
    other = with_periods(nifty_slice(), {**FORMER, "lot_size": 25}, LATER)
    assert any("terms by date" in failure for failure in exporter.verify(built, other).failures)


def test_a_strategy_finds_the_lot_of_the_day_in_nautilus(changing: MarketSlice, tmp_path: Path) -> None:
    NautilusExporter().build(changing, tmp_path)
    (option,) = ParquetDataCatalog(str(tmp_path)).instruments(instrument_ids=["NIFTY250814C24500.NSE"])

    assert int(option.lot_size) == 75
    assert [(terms["valid_to"], terms["lot_size"]) for terms in option.info["terms"]] == [
        ("2025-08-14", 50),
        ("2025-08-15", 75),
    ]


def test_a_strategy_finds_the_lot_of_the_day_in_backtrader(changing: MarketSlice, tmp_path: Path) -> None:
    BacktraderExporter().build(changing, tmp_path)
    feeds = load_chain(tmp_path, names=["NIFTY_250814_24500_CE", "NIFTY_250814_24600_CE"])
    contracts = {feed.contract.name: feed.contract for feed in feeds}
    changed, steady = contracts["NIFTY_250814_24500_CE"], contracts["NIFTY_250814_24600_CE"]

    assert [changed.terms_on(day).lot_size for day in SESSIONS] == [50, 75]
    assert [changed.terms_on(day).expiry for day in SESSIONS] == [dt.date(2025, 8, 13), WEEKLY]
    assert [steady.terms_on(day).lot_size for day in SESSIONS] == [75, 75]


def test_what_happens_outside_the_slice_does_not_change_the_export(changing: MarketSlice) -> None:
    known_more = with_periods(
        nifty_slice(), {**FORMER, "valid_from": dt.date(2025, 8, 1)}, {**LATER, "valid_to": dt.date(2025, 9, 1)}
    )

    assert changing_terms(known_more).equals(changing_terms(changing))


def test_a_date_of_which_an_export_says_nothing_is_not_answered(tmp_path: Path) -> None:
    market = with_periods(nifty_slice(), {**FORMER, "valid_from": SESSIONS[0]}, LATER)
    BacktraderExporter().build(market, tmp_path)
    contracts = {contract.name: contract for contract in read_sidecar(tmp_path).contracts}
    with pytest.raises(ExportError, match="the terms on 2025-08-12 are not in the export"):
        contracts["NIFTY_250814_24500_CE"].terms_on(dt.date(2025, 8, 12))
