from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nautilus_trader.model.instruments import Equity, FuturesContract, IndexInstrument, Instrument, OptionContract
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.nautilus import instruments, naming
from pipeline_defs.exports.nautilus.exporter import NautilusExporter
from pipeline_defs.schema.exports import INSTRUMENT_SCHEMA, BuiltExport
from pipeline_tests.exports.nautilus.slices import (
    MONTHLY,
    WEEKLY,
    bars_of,
    bytes_as_nautilus_writes,
    instrument,
    make_slice,
    open_of,
)

if TYPE_CHECKING:
    from pathlib import Path


def _read(root: Path) -> dict[str, Instrument]:
    return {found.id.value: found for found in ParquetDataCatalog(str(root)).instruments()}


def _tables(root: Path) -> dict[str, pa.Table]:
    files = (root / "data").rglob("*.parquet")
    return {f"{file.parts[-3]}/{file.parts[-2]}": pq.read_table(file) for file in files if file.parts[-3] != "bar"}


def _terms(decimals: int = 2, *, kind: str, symbol: str, **terms: object) -> dict[str, object]:
    """One instrument's row, all the way, with prices that need so many decimals."""
    named = naming.with_identifiers(pl.DataFrame([instrument(1, kind, symbol, **terms)], schema=INSTRUMENT_SCHEMA))
    needed = pl.DataFrame({"instrument_id": [1], "decimals": [decimals]}, schema_overrides={"instrument_id": pl.Int32})
    rows = instruments.instrument_rows(instruments.with_precisions(named, needed), open_of(WEEKLY))
    return rows.row(0, named=True)


def test_files_are_what_nautilus_writes_of_the_same_instruments_bit_for_bit(built: BuiltExport, tmp_path: Path) -> None:
    theirs = ParquetDataCatalog(str(tmp_path))
    for found in _read(built.root).values():
        theirs.write_data([found])
    ours, expected = _tables(built.root), _tables(tmp_path)
    ours = {name: table for name, table in ours.items() if not name.startswith("option_greeks")}
    assert ours.keys() == expected.keys()
    assert len(expected) == 8
    for name, table in expected.items():
        assert ours[name].schema.equals(table.schema, check_metadata=True), name
        assert ours[name].equals(table, check_metadata=True), name
        (our_file,), (their_file,) = ((root / "data" / name).iterdir() for root in (built.root, tmp_path))
        assert bytes_as_nautilus_writes(our_file, tmp_path) == their_file.read_bytes(), name


def test_an_option_reads_back_with_all_its_terms(built: BuiltExport) -> None:
    option = _read(built.root)["NIFTY250814P24650.5.NSE"]
    facts = OptionContract.to_dict(option)
    close_ns = int(dt.datetime(2025, 8, 14, 10, tzinfo=dt.UTC).timestamp()) * 10**9
    start_ns = int(dt.datetime(2025, 8, 13, 3, 45, tzinfo=dt.UTC).timestamp()) * 10**9
    assert facts == {
        "type": "OptionContract",
        "id": "NIFTY250814P24650.5.NSE",
        "raw_symbol": "NIFTY14AUG2524650.5PE.NFO",
        "asset_class": "INDEX",
        "option_kind": "PUT",
        "strike_price": "24650.50",
        "currency": "INR",
        "underlying": "NIFTY",
        "activation_ns": 0,
        "expiration_ns": close_ns + 1,
        "price_precision": 2,
        "price_increment": "0.05",
        "size_precision": 0,
        "size_increment": "1",
        "multiplier": "1",
        "max_quantity": None,
        "min_quantity": "1",
        "max_price": None,
        "min_price": None,
        "lot_size": "75",
        "margin_init": "0",
        "margin_maint": "0",
        "maker_fee": "0",
        "taker_fee": "0",
        "exchange": "XNSE",
        "ts_event": start_ns,
        "ts_init": start_ns,
        "tick_scheme_name": None,
        "info": {"expiry_date": "2025-08-14", "lot_size_known": True},
    }


def test_index_and_future_read_back_on_the_venue_of_the_options(built: BuiltExport) -> None:
    found = _read(built.root)
    assert isinstance(found["NIFTY.NSE"], IndexInstrument)
    assert found["NIFTY.NSE"].raw_symbol.value == "NIFTY 50.NSE_IDX"
    future = found["NIFTY25AUGFUT.NSE"]
    assert isinstance(future, FuturesContract)
    assert (future.underlying, int(future.lot_size), int(future.multiplier)) == ("NIFTY", 75, 1)
    assert {one.id.venue.value for one in found.values()} == {"NSE"}


def test_a_share_and_its_options_read_back_as_equity(tmp_path: Path) -> None:
    terms = {"underlying": "M&M", "currency": "INR"}
    market = make_slice(
        [
            instrument(1, "EQ", "M&M", series="EQ", isin="INE101A01026", **terms),
            instrument(2, "OPT", "M&M25AUG3000CE", expiry=MONTHLY, strike=Decimal(3000), option_type="CE", **terms),
        ],
        [bars_of(number, Decimal("3000.05"), Decimal("0.05"), minutes=3) for number in (1, 2)],
        underlying="M&M",
    )
    NautilusExporter().build(market, tmp_path)
    found = _read(tmp_path)
    share, option = found["M_M.NSE"], found["M_M250828C3000.NSE"]
    assert isinstance(share, Equity)
    assert (share.isin, share.raw_symbol.value, str(share.lot_size)) == ("INE101A01026", "M&M", "1")
    assert (option.underlying, option.asset_class.name, option.raw_symbol.value) == ("M_M", "EQUITY", "M&M25AUG3000CE")
    assert len(ParquetDataCatalog(str(tmp_path)).bars()) == 12


@pytest.mark.parametrize(
    ("terms", "decimals", "expected"),
    [
        ({"kind": "SPOT", "symbol": "NIFTY 50"}, 2, (2, "0.01")),
        ({"kind": "SPOT", "symbol": "INDIA VIX", "underlying": "INDIAVIX"}, 4, (4, "0.0001")),
        ({"kind": "SPOT", "symbol": "INDIA VIX", "underlying": "INDIAVIX"}, 3, (4, "0.0001")),
        ({"kind": "SPOT", "symbol": "BTC"}, 7, (8, "0.00000001")),
        ({"kind": "EQ", "symbol": "TCS"}, 2, (2, "0.01")),
        ({"kind": "EQ", "symbol": "TCS", "tick_size": Decimal("0.1")}, 2, (2, "0.10")),
        ({"kind": "FUT", "symbol": "F", "expiry": dt.date(2025, 8, 28), "tick_size": None}, 2, (2, "0.05")),
        (
            {"kind": "FUT", "symbol": "F", "expiry": dt.date(2025, 8, 28), "tick_size": None, "venue": "X"},
            4,
            (4, "0.0001"),
        ),
        ({"kind": "FUT", "symbol": "F", "expiry": dt.date(2025, 8, 28), "tick_size": Decimal(5)}, 2, (2, "5.00")),
        (
            {"kind": "FUT", "symbol": "F", "expiry": dt.date(2025, 8, 28), "tick_size": Decimal("0.0025")},
            2,
            (4, "0.0025"),
        ),
    ],
)
def test_precision_and_increment_come_from_the_tick_or_else_from_the_prices(
    terms: dict[str, Any], decimals: int, expected: tuple[int, str]
) -> None:
    row = _terms(decimals, **terms)
    assert (row["price_precision"], row["price_increment"]) == expected


def test_an_unknown_lot_is_one_and_says_so() -> None:
    row = _terms(kind="FUT", symbol="F", expiry=MONTHLY, lot_size=None)
    assert (row["lot_size"], row["info"]) == ("1", '{"expiry_date":"2025-08-28","lot_size_known":false}')


def test_other_venues_have_no_market_code() -> None:
    assert _terms(kind="SPOT", symbol="S", venue="X")["exchange"] is None
    assert _terms(kind="SPOT", symbol="S", venue="BSE")["exchange"] == "XBOM"


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"expiry_close": None}, "close of its last session is not known"),
        ({"expiry_close": dt.datetime(2025, 8, 29, 10, tzinfo=dt.UTC)}, "does not reach its expiry"),
        ({"expiry_close": dt.datetime(2025, 8, 15, 10, tzinfo=dt.UTC)}, "does not reach its expiry"),
        ({"last_timestamp": dt.datetime(2025, 8, 28, 10, 0, 1, tzinfo=dt.UTC)}, "bars after the close"),
    ],
)
def test_expiries_at_the_wrong_time_are_refused(terms: dict[str, object], message: str) -> None:
    row = instrument(1, "FUT", "F28AUG", expiry=MONTHLY, **terms)
    with pytest.raises(ExportError, match=message) as caught:
        instruments.check_expiries(pl.DataFrame([row], schema=INSTRUMENT_SCHEMA))
    assert "F28AUG" in str(caught.value)
