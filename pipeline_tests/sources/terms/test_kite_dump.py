"""The broker's dump: contracts by columns, shares and indices by name, and what is not covered."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError, SchemaDriftError
from pipeline_defs.schema.terms import TERMS_SCHEMA
from pipeline_defs.sources.terms.registry import read_terms

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.terms import TermsDelivery

HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,"
    "segment,exchange"
)
AS_OF = dt.date(2025, 9, 2)


def read(folder: Path, *lines: str, as_of: dt.date | None = AS_OF, header: str = HEADER) -> TermsDelivery:
    file = folder / "instruments.csv"
    file.write_text("\n".join([header, *lines]) + "\n")
    return read_terms("kite", file, as_of)


def test_an_option_is_read_from_its_columns(tmp_path: Path) -> None:
    delivery = read(tmp_path, "1,41000,NIFTY25SEP24500CE,NIFTY,80.05,2025-09-30,24500.0,0.05,75,CE,NFO-OPT,NFO")

    assert dict(delivery.statements.schema) == TERMS_SCHEMA
    assert delivery.statements.row(0, named=True) == dict.fromkeys(TERMS_SCHEMA) | {
        "line": 2,
        "valid_from": AS_OF,
        "token": "NSE-FO:41000",
        "kind": "OPT",
        "venue": "NSE",
        "underlying": "NIFTY",
        "expiry": dt.date(2025, 9, 30),
        "strike": Decimal(24500),
        "option_type": "CE",
        "symbol": "NIFTY25SEP24500CE",
        "lot_size": 75,
        "tick_size": Decimal("0.05"),
        "currency": "INR",
    }
    assert (delivery.source, delivery.precedence, len(delivery.sha256)) == ("kite", 20, 64)


def test_shares_and_indices_have_the_names_they_have_elsewhere(tmp_path: Path) -> None:
    delivery = read(
        tmp_path,
        "1,11,BAJAJ-AUTO,BAJAJ AUTO,0,,0,0.05,1,EQ,NSE,NSE",
        "1,12,IDEA-BE,VODAFONE IDEA,0,,0,0.05,1,EQ,NSE,NSE",
        "1,13,NIFTY BANK,NIFTY BANK,0,,0,0,0,EQ,INDICES,NSE",
    )

    assert delivery.statements.select("kind", "underlying", "series", "token", "lot_size").rows() == [
        ("EQ", "BAJAJ-AUTO", "EQ", "NSE-CM:11", None),
        ("EQ", "IDEA", "BE", "NSE-CM:12", None),
        ("SPOT", "BANKNIFTY", None, None, None),
    ]


def test_a_contract_without_a_name_is_read_from_its_ticker(tmp_path: Path) -> None:
    delivery = read(
        tmp_path,
        "1,1,NIFTY25SEPFUT,,0,2025-09-30,0,0.05,75,FUT,NFO-FUT,NFO",
        "1,2,???,,0,2025-09-30,0,0.05,75,FUT,NFO-FUT,NFO",
    )

    assert delivery.statements["underlying"].to_list() == ["NIFTY"]
    assert delivery.refused.rows() == [(3, "the underlying or the venue is missing")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,1,GOLD25OCTFUT,GOLD,0,2025-10-03,0,1,1,FUT,MCX-FUT,MCX", "the exchange MCX is not covered"),
        ("1,1,N,NIFTY,0,2025-09-01,24500,0.05,75,CE,NFO-OPT,NFO", "it had expired by then"),
        ("1,1,N,NIFTY,0,30-09-2025,24500,0.05,75,CE,NFO-OPT,NFO", "the expiry is missing or no date"),
        ("1,1,N,NIFTY,0,2025-09-30,0.0,0.05,75,CE,NFO-OPT,NFO", "the strike is missing or not positive"),
        ("1,1,N,NIFTY,0,2025-09-30,24500,0.05,0,CE,NFO-OPT,NFO", "a size is not positive"),
        ("1,1,N,NIFTY,0,2025-09-30,24500,0.05,x,CE,NFO-OPT,NFO", "the lot size is no whole number"),
        ("1,1,N,NIFTY,0,2025-09-30,24500,1e-2,75,CE,NFO-OPT,NFO", "the tick size is no price"),
        ("1,1,N,NIFTY,0,2025-09-30,24500,0.05,75,XX,NFO-OPT,NFO", "the kind is none of OPT, FUT, EQ, SPOT"),
    ],
)
def test_a_line_that_cannot_be_taken_is_refused_with_its_reason(tmp_path: Path, line: str, reason: str) -> None:
    delivery = read(tmp_path, line)

    assert delivery.statements.is_empty()
    assert delivery.refused.rows() == [(2, reason)]


def test_the_day_of_the_dump_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not say of which day"):
        read(tmp_path, as_of=None)


def test_another_header_is_drift(tmp_path: Path) -> None:
    with pytest.raises(SchemaDriftError, match="lacks the columns lot_size"):
        read(tmp_path, header=HEADER.replace("lot_size", "lots"))
