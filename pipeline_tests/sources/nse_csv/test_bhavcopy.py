from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

type Write = Callable[..., Path]
type Read = Callable[..., Any]

FO_HEADER = (
    "INSTRUMENT,SYMBOL,EXPIRY_DT,STRIKE_PR,OPTION_TYP,OPEN,HIGH,LOW,CLOSE,SETTLE_PR,CONTRACTS,VAL_INLAKH,OPEN_INT,"
    "CHG_IN_OI,TIMESTAMP,"
)
UDIFF_HEADER = (
    "TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,XpryDt,FininstrmActlXpryDt,StrkPric,OptnTp,"
    "FinInstrmNm,OpnPric,HghPric,LwPric,ClsPric,LastPric,PrvsClsgPric,UndrlygPric,SttlmPric,OpnIntrst,ChngInOpnIntrst,"
    "TtlTradgVol,TtlTrfVal,TtlNbOfTxsExctd,SsnId,NewBrdLotQty,Rmks,Rsvd1,Rsvd2,Rsvd3,Rsvd4"
)
CASH_HEADER = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,"
FULL_HEADER = (
    "SYMBOL, SERIES, DATE1, PREV_CLOSE, OPEN_PRICE, HIGH_PRICE, LOW_PRICE, LAST_PRICE, CLOSE_PRICE, AVG_PRICE,"
    " TTL_TRD_QNTY, TURNOVER_LACS, NO_OF_TRADES, DELIV_QTY, DELIV_PER"
)
FO_NAMES = "instrument,symbol,expiry,strike,type,open,high,low,close,settle,contracts,value,oi,change,date,end"
FO_GOOD = "OPTIDX,NIFTY,25-Jul-2024,24000,CE,100,110.5,99,105,105.2,12,7.2,4500,-50,05-JUL-2024,"
FO_ROW = dict(zip(FO_NAMES.split(","), FO_GOOD.split(","), strict=True))
UDIFF_GOOD = (
    "2025-09-02,2025-09-02,FO,NSE,IDO,1,,NIFTY,,2025-09-09,2025-09-09,24100.00,PE,NIFTY2590924100PE,17.55,24.20,"
    "9.15,18.55,18.30,18.10,24579.60,18.55,1678575,0,140322,1.00,1,F1,75,,,,,"
)
UDIFF_ROW = dict(zip(UDIFF_HEADER.split(","), UDIFF_GOOD.split(","), strict=True))
SHARE = {
    "Sgmt": "CM",
    "FinInstrmTp": "STK",
    "ISIN": "INE002A01018",
    "TckrSymb": "RELIANCE",
    "SctySrs": "EQ",
    "FinInstrmNm": "RELIANCE INDUSTRIES LTD",
    "NewBrdLotQty": "1",
    **dict.fromkeys(("XpryDt", "FininstrmActlXpryDt", "StrkPric", "OptnTp", "OpnIntrst"), ""),
}


def fo(**changed: str) -> str:
    assert set(changed) <= set(FO_ROW)
    return ",".join((FO_ROW | changed).values())


def udiff(**changed: str) -> str:
    assert set(changed) <= set(UDIFF_ROW)
    return ",".join((UDIFF_ROW | changed).values())


class TestOldDerivatives:
    @pytest.mark.parametrize(
        "header",
        [FO_HEADER, FO_HEADER.replace("OPTION_TYP", "OPTIONTYPE"), FO_HEADER.lower()],
    )
    def test_row_is_stamped_with_the_close_and_its_lots_are_not_taken_for_units(
        self, read: Read, write: Write, header: str
    ) -> None:
        batch = read(write("fo05JUL2024bhav.csv", header, fo(), newline="\r\n")).only
        assert (batch.table, batch.bar_seconds, batch.trade_date) == ("options_ticks", 86_400, dt.date(2024, 7, 5))
        row = batch.observations.row(0, named=True)
        assert row["timestamp"] == dt.datetime(2024, 7, 5, 10, tzinfo=dt.UTC)
        assert (row["open"], row["high"], row["low"], row["close"]) == tuple(
            map(Decimal, ("100", "110.5", "99", "105"))
        )
        assert (row["settlement_price"], row["volume"], row["open_interest"]) == (Decimal("105.2"), None, 4500)
        assert batch.contracts.select("symbol", "lot_size", "venue").rows() == [
            ("OPTIDX_NIFTY_25JUL2024_CE_24000", None, "NSE")
        ]

    def test_untraded_row_keeps_its_close_and_has_no_other_price(self, read: Read, write: Write) -> None:
        untraded = fo(open="0", high="0", low="0", contracts="0", settle="0")
        row = read(write("fo05JUL2024bhav.csv", FO_HEADER, untraded)).only.observations.row(0, named=True)
        assert (row["open"], row["high"], row["low"], row["close"]) == (None, None, None, Decimal(105))
        assert (row["volume"], row["settlement_price"]) == (0, None)

    def test_all_instruments_and_both_styles_of_options_are_known(self, read: Read, write: Write) -> None:
        found = read(
            write(
                "fo24OCT2008bhav.csv",
                FO_HEADER,
                *(
                    fo(
                        instrument=instrument,
                        symbol=symbol,
                        strike=strike,
                        type=kind,
                        expiry=expiry,
                        date="24-OCT-2008",
                    )
                    for instrument, symbol, strike, kind, expiry in (
                        ("FUTIDX", "NIFTY", "0", "XX", "29-Oct-2008"),
                        ("FUTSTK", "M&M", "0", "XX", "29-Oct-08"),
                        ("FUTINT", "NSE10Y06", "0", "XX", "29-Oct-2008"),
                        ("FUTIVX", "INDIAVIX", "0", "XX", "29-OCT-2008"),
                        ("OPTIDX", "NIFTY", "2750", "PE", "29-Oct-2008"),
                        ("OPTSTK", "ABAN", "1020.50", "CA", "29-Oct-2008"),
                        ("OPTSTK", "ABAN", "1020.50", "PA", "29-Oct-2008"),
                    )
                ),
            )
        )
        assert found.table("futures_ticks").contracts.select(
            "underlying", "expiry", "strike", "option_type"
        ).rows() == [(symbol, dt.date(2008, 10, 29), None, None) for symbol in ("NIFTY", "M&M", "NSE10Y06", "INDIAVIX")]
        options = found.table("options_ticks").contracts
        assert options.select("symbol", "strike", "option_type").rows() == [
            ("OPTIDX_NIFTY_29OCT2008_PE_2750", Decimal(2750), "PE"),
            ("OPTSTK_ABAN_29OCT2008_CA_1020.50", Decimal("1020.5"), "CE"),
            ("OPTSTK_ABAN_29OCT2008_PA_1020.50", Decimal("1020.5"), "PE"),
        ]

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"instrument": "OPTCUR"}, "bad_ticker"),
            ({"symbol": ""}, "bad_ticker"),
            ({"symbol": "NIF TY"}, "bad_ticker"),
            ({"expiry": "25-Jul-20244"}, "bad_ticker"),
            ({"strike": "x"}, "bad_ticker"),
            ({"strike": "0"}, "bad_ticker"),
            ({"type": "XX"}, "bad_ticker"),
            ({"instrument": "FUTIDX"}, "bad_ticker"),
            ({"expiry": "27-Jun-2024"}, "expired_contract"),
            ({"date": "04-JUL-2024"}, "other_day"),
            ({"date": "05/07/2024"}, "bad_date"),
            ({"close": "1.05e2"}, "bad_price"),
            ({"settle": "x"}, "bad_price"),
            ({"close": "0"}, "non_positive_price"),
            ({"settle": "-1"}, "non_positive_price"),
            ({"open": "0", "high": "0", "low": "0"}, "non_positive_price"),
            ({"high": "98"}, "high_below_low"),
            ({"close": "111"}, "price_outside_range"),
            ({"contracts": "-1"}, "bad_quantity"),
            ({"oi": "x"}, "bad_quantity"),
            ({"end": "5"}, "wrong_field_count"),
        ],
    )
    def test_damaged_row_is_refused(self, read: Read, write: Write, changed: dict[str, str], reason: str) -> None:
        bad = fo(**{"strike": "25000"} | changed)
        batch = read(write("fo05JUL2024bhav.csv", FO_HEADER, fo(), bad)).only
        assert batch.rejects.rows() == [(0, 3, reason, bad)]
        assert batch.observations.height == 1

    def test_two_records_on_one_line_are_refused_and_a_repeated_header_is_named(self, read: Read, write: Write) -> None:
        path = write("fo05JUL2024bhav.csv", FO_HEADER, fo(), fo(strike="1") + fo(strike="2"), FO_HEADER)
        assert read(path).reasons() == {3: "wrong_field_count", 4: "repeated_header"}

    def test_holiday_has_no_session(self, read: Read, write: Write) -> None:
        assert read(write("x.csv", FO_HEADER, fo(date="06-JUL-2024"))).reasons() == {2: "not_a_session"}


class TestUdiff:
    FILE = "BhavCopy_NSE_FO_0_0_0_20250902_F_0000.csv"

    def test_lots_become_units_by_the_lot_of_the_row(self, read: Read, write: Write) -> None:
        batch = read(write(self.FILE, UDIFF_HEADER, udiff())).only
        row = batch.observations.row(0, named=True)
        assert (row["volume"], row["open_interest"]) == (140_322 * 75, 1_678_575)
        assert row["settlement_price"] == Decimal("18.55")
        assert batch.contracts.select("symbol", "underlying", "expiry", "strike", "option_type", "lot_size").rows() == [
            ("NIFTY2590924100PE", "NIFTY", dt.date(2025, 9, 9), Decimal(24100), "PE", 75)
        ]

    def test_volume_is_unknown_without_a_lot(self, read: Read, write: Write) -> None:
        rows = [udiff(NewBrdLotQty=""), udiff(NewBrdLotQty="0", StrkPric="24200", TtlTradgVol="0")]
        batch = read(write(self.FILE, UDIFF_HEADER, *rows)).only
        assert batch.observations["volume"].to_list() == [None, 0]
        assert batch.contracts["lot_size"].to_list() == [None, None]

    def test_actual_expiry_wins_over_the_nominal_one(self, read: Read, write: Write) -> None:
        rows = [
            udiff(XpryDt="2025-09-11", FininstrmActlXpryDt="2025-09-09"),
            udiff(XpryDt="2025-09-16", FininstrmActlXpryDt=""),
            udiff(FininstrmActlXpryDt="soon"),
        ]
        found = read(write(self.FILE, UDIFF_HEADER, *rows))
        assert found.only.contracts["expiry"].to_list() == [dt.date(2025, 9, 9), dt.date(2025, 9, 16)]
        assert found.reasons() == {4: "bad_ticker"}

    def test_tables_follow_the_instrument_type(self, read: Read, write: Write) -> None:
        future = {"StrkPric": "", "OptnTp": "", "FinInstrmNm": "NIFTY25SEPFUT"}
        rows = [
            udiff(),
            udiff(FinInstrmTp="STO", TckrSymb="M&M"),
            udiff(FinInstrmTp="IDF", **future),
            udiff(FinInstrmTp="STF", TckrSymb="M&M", **future),
            udiff(**SHARE),
            udiff(**SHARE | {"TckrSymb": "INFY*", "SctySrs": "BE", "ISIN": ""}),
            udiff(FinInstrmTp="COM"),
            udiff(Src="", TckrSymb="BANKNIFTY"),
        ]
        found = read(write(self.FILE, UDIFF_HEADER, *rows, newline="\r\n"))
        heights = {key[0]: batch.observations.height for key, batch in found.batches.items()}
        assert heights == {"options_ticks": 2, "futures_ticks": 2, "equity_daily": 2}
        assert found.reasons() == {8: "bad_ticker", 9: "bad_ticker"}
        shares = found.table("equity_daily")
        assert shares.contracts.select("symbol", "underlying", "series", "isin", "expiry").rows() == [
            ("RELIANCE", "RELIANCE", "EQ", "INE002A01018", None),
            ("INFY*", "INFY*", "BE", None, None),
        ]
        assert shares.observations["volume"].to_list() == [140_322, 140_322]
        assert shares.observations["open_interest"].to_list() == [None, None]

    def test_bse_file_is_of_the_bse(self, read: Read, write: Write) -> None:
        path = write("BhavCopy_BSE_FO_0_0_0_20250902_F_0000.CSV", UDIFF_HEADER, udiff(Src="BSE"), newline="\r\n")
        assert read(path).only.contracts["venue"].to_list() == ["BSE"]

    def test_untraded_row_keeps_its_close(self, read: Read, write: Write) -> None:
        row = udiff(OpnPric="0.00", HghPric="0.00", LwPric="0.00", TtlTradgVol="0")
        found = read(write(self.FILE, UDIFF_HEADER, row)).only.observations
        assert found.select("open", "high", "low", "close", "volume").row(0) == (None, None, None, Decimal("18.55"), 0)


class TestCash:
    ROW = "RELIANCE,EQ,2800,2850.5,2790,2840,2841,2799,1000,2840000,05-JUL-2024,77,INE002A01018,"

    def test_old_layout_keeps_series_and_isin(self, read: Read, write: Write) -> None:
        bond = "754GS2036,GS,100,100,100,100,100,100,5,500,05-JUL-2024,1,IN0020220029,"
        batch = read(write("cm05JUL2024bhav.csv", CASH_HEADER, self.ROW, bond)).only
        assert (batch.table, batch.bar_seconds) == ("equity_daily", 86_400)
        assert batch.contracts.select("symbol", "series", "isin").rows() == [
            ("RELIANCE", "EQ", "INE002A01018"),
            ("754GS2036", "GS", "IN0020220029"),
        ]
        assert batch.observations.select("high", "close", "volume").row(0) == (Decimal("2850.5"), Decimal(2840), 1000)

    def test_older_layout_has_no_isin(self, read: Read, write: Write) -> None:
        header = ",".join(CASH_HEADER.split(",")[:11]) + ","
        row = ",".join(self.ROW.split(",")[:11]).replace("05-JUL-2024", "05-JUL-2010") + ","
        assert read(write("cm05JUL2010bhav.csv", header, row)).only.contracts["isin"].to_list() == [None]

    def test_full_layout_has_a_space_before_everything_and_a_dash_for_nothing(self, read: Read, write: Write) -> None:
        rows = [
            "RELIANCE, EQ, 05-Jul-2024, 2799.0, 2800.0, 2850.50, 2790.0, 2841.0, 2840.0, 2830.0, 1000, 28, 7, 5, 50",
            "754GS2036, GS, 05-Jul-2024, 100.00, 100.00, 100.00, 100.00, 100.00, 100.00, 100.00, 5, 0.01, 1, -, -",
        ]
        batch = read(write("sec_bhavdata_full_05072024.csv", FULL_HEADER, *rows, newline="\r\n")).only
        assert batch.contracts.select("symbol", "series").rows() == [("RELIANCE", "EQ"), ("754GS2036", "GS")]
        assert batch.observations.select("open", "close", "volume").row(0) == (Decimal(2800), Decimal(2840), 1000)

    def test_text_of_a_refused_line_is_the_line_with_its_spaces(self, read: Read, write: Write) -> None:
        bad = "RELIANCE, EQ, 05-Jul-2024, 1, 2, 2, 2, 2, x, 2, 1000, 28.3, 77, -, -"
        good = bad.replace("x", "2")
        batch = read(write("sec_bhavdata_full_05072024.csv", FULL_HEADER, good, bad)).only
        assert batch.rejects["text"].to_list() == [bad]

    def test_layout_written_by_r_has_quotes_and_a_row_number(self, read: Read, write: Write) -> None:
        header = '"",' + ",".join(f'"{name}"' for name in CASH_HEADER.rstrip(",").split(",")) + ',"X"'
        row = '"1","RELIANCE","EQ",2800,2850.5,2790,2840,2841,2799,1000,2.84,"02-Sep-2025",77,"INE002A01018",""'
        batch = read(write("x.csv", header, row)).only
        assert batch.trade_date == dt.date(2025, 9, 2)
        assert batch.contracts.select("symbol", "series", "isin").row(0) == ("RELIANCE", "EQ", "INE002A01018")


def test_same_session_in_old_and_new_layout_agrees_and_the_fuller_row_is_kept(
    read: Read, tmp_path: Path, write: Write
) -> None:
    shared = {"open": "17.55", "high": "24.20", "low": "9.15", "close": "18.55", "settle": "18.55", "oi": "1678575"}
    old = fo(expiry="09-Sep-2025", strike="24100", type="PE", date="02-SEP-2025", **shared)
    write("a/fo02SEP2025bhav.csv", FO_HEADER, old)
    write("b/BhavCopy_NSE_FO_0_0_0_20250902_F_0000.csv", UDIFF_HEADER, udiff())
    batch = read(tmp_path).only
    assert batch.observations["volume"].to_list() == [140_322 * 75]
    assert batch.rejects["reason"].to_list() == ["duplicate"]
    assert batch.rejects["text"].to_list() == [old]
    assert batch.contracts["lot_size"].to_list() == [75]


def test_restriction_to_an_underlying_leaves_the_others_out_without_rejecting_them(read: Read, write: Write) -> None:
    rows = [udiff(), udiff(TckrSymb="BANKNIFTY"), udiff(TckrSymb="BANKNIFTY", ClsPric="x"), udiff(FinInstrmTp="??")]
    found = read(write(TestUdiff.FILE, UDIFF_HEADER, *rows), underlying="NIFTY")
    assert found.only.observations["line"].to_list() == [2]
    assert found.reasons() == {5: "bad_ticker"}
    assert found.only.underlying == "NIFTY"
