from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import SchemaDriftError
from pipeline_defs.sources.nse_csv.headers import recognise
from pipeline_defs.sources.nse_csv.layouts import LAYOUTS

MINUTE = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest"
TICK = "Ticker,Date,Time,LTP,BuyPrice,BuyQty,SellPrice,SellQty,LTQ,OpenInterest"
FO = (
    "INSTRUMENT,SYMBOL,EXPIRY_DT,STRIKE_PR,OPTION_TYP,OPEN,HIGH,LOW,CLOSE,SETTLE_PR,CONTRACTS,VAL_INLAKH,OPEN_INT,"
    "CHG_IN_OI,TIMESTAMP"
)
FULL = (
    "SYMBOL, SERIES, DATE1, PREV_CLOSE, OPEN_PRICE, HIGH_PRICE, LOW_PRICE, LAST_PRICE, CLOSE_PRICE, AVG_PRICE,"
    " TTL_TRD_QNTY, TURNOVER_LACS, NO_OF_TRADES, DELIV_QTY, DELIV_PER"
)


@pytest.mark.parametrize(
    ("header", "usual", "layout", "fields"),
    [
        (MINUTE, None, "gdfl-minute", 9),
        (MINUTE.lower().replace(" ", ""), None, "gdfl-minute", 9),
        (MINUTE, "gdfl-cash-minute", "gdfl-cash-minute", 9),
        (MINUTE, "gdfl-cash-tick", "gdfl-cash-minute", 9),
        (TICK, None, "gdfl-tick", 10),
        (TICK.replace("OpenInterest", "Open Interest"), "gdfl-tick", "gdfl-tick", 10),
        (FO + ",", None, "fo-bhavcopy", 16),
        (FO, None, "fo-bhavcopy", 15),
        (FO.replace("OPTION_TYP", "OPTIONTYPE") + ",", None, "fo-bhavcopy", 16),
        (FULL, None, "cash-bhavdata-full", 15),
    ],
)
def test_header_is_recognised_whatever_its_spelling(header: str, usual: str | None, layout: str, fields: int) -> None:
    found = recognise(header.encode() + b"\r\nrow", usual, "x.csv")
    assert (found.layout.name, found.field_count) == (layout, fields)


def test_every_declared_header_leads_to_a_layout_with_that_header() -> None:
    for layout in LAYOUTS:
        if layout.header is not None:
            found = recognise(",".join(layout.header).encode(), layout.name, "x.csv")
            assert found.layout is layout
            assert len(layout.columns) == len(layout.header)
            assert "date" in layout.columns


def test_drift_prints_expected_against_found_column_by_column() -> None:
    with pytest.raises(SchemaDriftError) as caught:
        recognise(MINUTE.replace("Close", "Closing").encode(), None, "drop/x.csv")
    message = str(caught.value)
    assert message.startswith("drop/x.csv: unknown header; the nearest layout is gdfl-minute:")
    assert "   7  close                closing               <- differs" in message
    assert "   6  low                  low                 \n" in message


def test_missing_and_surplus_columns_are_shown_as_nothing() -> None:
    with pytest.raises(SchemaDriftError, match=r"10  \(nothing\) +extra"):
        recognise(f"{MINUTE},Extra".encode(), None, "x.csv")
    with pytest.raises(SchemaDriftError, match=r" 9  openinterest +\(nothing\)"):
        recognise(MINUTE.rpartition(",")[0].encode(), None, "x.csv")


def test_header_without_any_known_column_lists_the_layouts() -> None:
    with pytest.raises(SchemaDriftError, match="no known layout has any of its columns") as caught:
        recognise(b"\x00\x01garbage\xff", None, "x.csv")
    assert "gdfl-minute" in str(caught.value)


def test_headerless_file_needs_its_name_and_its_field_count() -> None:
    line = b"20250620,09:15:00,100.05,75,0,100,75,100.1,75\n"
    assert recognise(line, "truedata-tick", "x.csv").layout.name == "truedata-tick"
    with pytest.raises(SchemaDriftError, match="no known layout"):
        recognise(line, None, "x.csv")
    with pytest.raises(SchemaDriftError, match="truedata-index-tick has 5 fields a line and no header; found 9"):
        recognise(line, "truedata-index-tick", "x.csv")


def test_damaged_first_line_of_a_headerless_file_does_not_hide_its_layout() -> None:
    found = recognise(b"20250620,09:1\n20250620,09:15:00,100.05,0,0\n", "truedata-index-tick", "x.csv")
    assert (found.layout.name, found.field_count) == ("truedata-index-tick", 5)


@given(st.binary(min_size=1, max_size=200).filter(lambda data: data.strip()))
def test_any_first_line_is_recognised_or_refused_with_a_message(head: bytes) -> None:
    try:
        recognise(head.lstrip(), None, "x.csv")
    except SchemaDriftError as error:
        assert "x.csv" in str(error)  # noqa: PT017 -- either outcome is right, the message must be too
