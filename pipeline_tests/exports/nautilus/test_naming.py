from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
from nautilus_trader.persistence.catalog.parquet import _timestamps_to_filename
from nautilus_trader.persistence.funcs import urisafe_identifier

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.nautilus import naming
from pipeline_defs.schema.exports import INSTRUMENT_SCHEMA
from pipeline_tests.exports.nautilus.slices import MONTHLY, WEEKLY, instrument


def _ids(instruments: list[dict[str, object]]) -> list[str]:
    named = naming.with_identifiers(pl.DataFrame(instruments, schema=INSTRUMENT_SCHEMA))
    return named["engine_id"].to_list()


def _option(number: int, strike: str, **terms: object) -> dict[str, object]:
    defaults = {"expiry": WEEKLY, "strike": Decimal(strike), "option_type": "CE"}
    return instrument(number, "OPT", f"T{number}", **(defaults | terms))


def test_kinds_are_named_by_one_rule_each() -> None:
    assert _ids(
        [
            instrument(1, "SPOT", "NIFTY 50"),
            instrument(2, "FUT", "F", expiry=MONTHLY),
            _option(3, "24500"),
            _option(4, "24500", option_type="PE"),
            _option(5, "24500", expiry=MONTHLY),
            instrument(6, "EQ", "R", underlying="RELIANCE", series="EQ"),
            instrument(7, "EQ", "R", underlying="RELIANCE", series="BE"),
        ]
    ) == [
        "NIFTY.NSE",
        "NIFTY25AUGFUT.NSE",
        "NIFTY250814C24500.NSE",
        "NIFTY250814P24500.NSE",
        "NIFTY250828C24500.NSE",
        "RELIANCE.NSE",
        "RELIANCE-BE.NSE",
    ]


def test_strikes_with_decimals_and_underlyings_with_digits_or_signs_stay_apart() -> None:
    assert _ids(
        [
            _option(1, "100"),
            _option(2, "100.5"),
            _option(3, "1000"),
            _option(4, "100", underlying="NIFTY25"),
            _option(5, "100", underlying="M&M"),
            _option(6, "100", underlying="BAJAJ-AUTO"),
            _option(7, "0.00000001", underlying="BTC/USDT"),
        ]
    ) == [
        "NIFTY250814C100.NSE",
        "NIFTY250814C100.5.NSE",
        "NIFTY250814C1000.NSE",
        "NIFTY25250814C100.NSE",
        "M_M250814C100.NSE",
        "BAJAJ-AUTO250814C100.NSE",
        "BTC_USDT250814C0.00000001.NSE",
    ]


def test_derivative_segments_share_the_venue_of_their_underlying() -> None:
    assert _ids([instrument(1, "SPOT", "S"), _option(2, "1", venue="NFO")]) == [
        "NIFTY.NSE",
        "NIFTY250814C1.NSE",
    ]


@pytest.mark.parametrize("second", ["M_M", "M-M", "m&m", "M M"])
def test_ids_that_nautilus_cannot_tell_apart_are_refused(second: str) -> None:
    with pytest.raises(ExportError, match=r"one to Nautilus") as caught:
        _ids([instrument(1, "EQ", "M&M", underlying="M&M"), instrument(2, "EQ", "X", underlying=second)])
    assert "instrument 1, M&M" in str(caught.value)


def test_the_same_contract_twice_is_refused() -> None:
    with pytest.raises(ExportError, match="one to Nautilus"):
        _ids([_option(1, "24500"), _option(2, "24500")])


def test_several_venues_are_refused() -> None:
    with pytest.raises(ExportError, match="venues BSE, NSE"):
        _ids([instrument(1, "SPOT", "S"), _option(2, "1", venue="BFO")])


@pytest.mark.parametrize(
    ("kind", "terms"),
    [
        ("CONT", {"rank": 1}),
        ("OPT", {"expiry": dt.date(2025, 8, 14), "strike": Decimal(1), "option_type": "XX"}),
        ("OPT", {"expiry": dt.date(2025, 8, 14), "option_type": "CE"}),
        ("FUT", {}),
    ],
)
def test_instruments_without_the_terms_of_a_name_are_refused(kind: str, terms: dict[str, object]) -> None:
    with pytest.raises(ExportError, match="terms do not name a contract"):
        _ids([instrument(1, kind, "NIFTY-I", **terms)])


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(1, "1-SECOND"), (60, "1-MINUTE"), (300, "5-MINUTE"), (3_600, "1-HOUR"), (7_200, "2-HOUR"), (86_400, "1-DAY")],
)
def test_bar_lengths_are_written_as_nautilus_does(seconds: int, expected: str) -> None:
    assert naming.bar_specification(seconds) == f"{expected}-LAST-EXTERNAL"


@pytest.mark.parametrize("seconds", [0, -60, 7, 420, 5_400, 172_800])
def test_bar_lengths_without_a_form_in_nautilus_are_refused(seconds: int) -> None:
    with pytest.raises(ExportError, match="no form in Nautilus"):
        naming.bar_specification(seconds)


def test_files_are_named_as_nautilus_names_them() -> None:
    start = dt.datetime(2025, 8, 1, 3, 45, tzinfo=dt.UTC)
    end = dt.datetime(2025, 8, 29, 10, 0, 0, 123_456, tzinfo=dt.UTC)
    nanoseconds = [int(instant.timestamp()) * 10**9 + instant.microsecond * 1000 for instant in (start, end)]
    assert naming.file_name(start, end) == _timestamps_to_filename(*nanoseconds)


def test_folders_are_named_as_nautilus_names_them() -> None:
    assert naming.folder_name("BTC/USDT.X-1-MINUTE-LAST-EXTERNAL") == urisafe_identifier(
        "BTC/USDT.X-1-MINUTE-LAST-EXTERNAL"
    )
