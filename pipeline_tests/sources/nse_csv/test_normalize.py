from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

type Write = Callable[..., Path]
type Row = Callable[..., str]
type Read = Callable[..., Any]

DAY = dt.date(2025, 8, 20)
MINUTE_HEADER = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest"
TICK_HEADER = "Ticker,Date,Time,LTP,BuyPrice,BuyQty,SellPrice,SellQty,LTQ,OpenInterest"
PADDED_HEADER = "Ticker,Date,Time,Expiry Date,Open,High,Low,Close,Volume,Open Interest,Padding Flag"
MINUTE_FILE = "GFDLNFO_OPTIONS_20082025.csv"
TICK_FILE = "GFDLNFO_TICK_20082025/Options/NIFTY28AUG2524500CE.NFO.csv"


def utc(hour: int, minute: int, second: int = 0) -> dt.datetime:
    """An instant of the trade date, given by the clock in India."""
    return dt.datetime.combine(DAY, dt.time(hour, minute, second)).replace(
        tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))
    )


class TestMinutes:
    def test_row_becomes_an_exact_observation_stamped_at_the_close_of_its_minute(
        self, read: Read, write: Write, minute_row: Row
    ) -> None:
        batch = read(write(MINUTE_FILE, MINUTE_HEADER, minute_row(close="100.00000001", volume="750.0"))).only
        assert (batch.table, batch.bar_seconds, batch.trade_date) == ("options_ticks", 60, DAY)
        assert batch.observations.row(0, named=True) == {
            "contract_key": 0,
            "timestamp": utc(9, 16),
            "sequence": 0,
            "open": Decimal("100.5"),
            "high": Decimal(101),
            "low": Decimal("99.95"),
            "close": Decimal("100.00000001"),
            "volume": 750,
            "open_interest": 1500,
            **dict.fromkeys(("bid_price", "bid_size", "ask_price", "ask_size", "settlement_price")),
            "file_index": 0,
            "line": 2,
        }
        assert batch.contracts.row(0, named=True) == {
            "contract_key": 0,
            "kind": "OPT",
            "symbol": "NIFTY28AUG2524500CE.NFO",
            "underlying": "NIFTY",
            "expiry": dt.date(2025, 8, 28),
            "strike": Decimal(24500),
            "option_type": "CE",
            **dict.fromkeys(("rank", "series", "isin", "lot_size", "tick_size")),
            "venue": "NSE",
            "currency": "INR",
            "base_currency": None,
        }

    @pytest.mark.parametrize(
        ("time", "outcome"),
        [
            ("09:15:59", utc(9, 16)),
            ("15:29:59", utc(15, 30)),
            ("09:14:59", "before_open"),
            ("15:30:59", "after_close"),
            ("09:07:00", "before_open"),
            ("15:59:00", "after_close"),
            ("09:15:00", "bad_bar_time"),
            ("12:00:00", "bad_bar_time"),
            ("12:00:58", "bad_bar_time"),
            ("15:30:00", "bad_bar_time"),
            ("03:45:59", "before_open"),
            ("25:00:59", "bad_time"),
            ("9:15:59", "bad_time"),
            ("", "bad_time"),
        ],
    )
    def test_only_the_last_second_of_a_minute_inside_the_session_is_a_bar(
        self, read: Read, write: Write, minute_row: Row, time: str, outcome: dt.datetime | str
    ) -> None:
        found = read(
            write(MINUTE_FILE, MINUTE_HEADER, minute_row(), minute_row(time="10:00:59"), minute_row(time=time))
        )
        if isinstance(outcome, str):
            assert found.reasons() == {4: outcome}
        elif time != "09:15:59":
            assert found.only.observations["timestamp"][-1] == outcome

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"ticker": "@@#REF!.NFO"}, "bad_ticker"),
            # The exchange's monthly name: day first it is the 500 strike of 25 August 2024.
            ({"ticker": "NIFTY25AUG24500CE.NFO"}, "expired_contract"),
            ({"ticker": "NIFTY 50"}, "bad_ticker"),
            ({"ticker": ""}, "bad_ticker"),
            ({"ticker": "NIFTY14AUG2524500CE.NFO"}, "expired_contract"),
            ({"date": "20/08/20255"}, "bad_date"),
            ({"date": "2025-08-20"}, "bad_date"),
            ({"date": "20-08-2025"}, "bad_date"),
            ({"date": "20/08/2062"}, "bad_date"),
            ({"date": "19/08/2025"}, "other_day"),
            ({"open": ""}, "bad_price"),
            ({"high": "NaN"}, "bad_price"),
            ({"low": "99.123456789"}, "bad_price"),
            ({"close": "1e2"}, "bad_price"),
            ({"close": "0"}, "non_positive_price"),
            ({"low": "-99.95"}, "non_positive_price"),
            ({"high": "99", "open": "99.5", "close": "99.5"}, "high_below_low"),
            ({"open": "101.05"}, "price_outside_range"),
            ({"close": "99.9"}, "price_outside_range"),
            ({"close": "\uff13"}, "bad_price"),
            ({"volume": "\uff17\uff15"}, "bad_quantity"),
            ({"volume": ""}, "bad_quantity"),
            ({"volume": "-75"}, "bad_quantity"),
            ({"volume": "75.5"}, "bad_quantity"),
            ({"oi": "1e3"}, "bad_quantity"),
        ],
    )
    def test_damaged_row_is_refused_for_its_one_reason_with_its_line_and_text(
        self, read: Read, write: Write, minute_row: Row, changed: dict[str, str], reason: str
    ) -> None:
        bad = minute_row(**{"time": "10:00:59"} | changed)
        batch = read(write(MINUTE_FILE, MINUTE_HEADER, minute_row(), bad, newline="\r\n")).only
        assert batch.rejects.rows() == [(0, 3, reason, bad)]
        assert batch.observations["line"].to_list() == [2]
        assert batch.rows_read == 2

    def test_first_reason_in_the_documented_order_wins(self, read: Read, write: Write, minute_row: Row) -> None:
        bad = minute_row(ticker="?", time="08:00:59", close="x", volume="-1")
        assert read(write(MINUTE_FILE, MINUTE_HEADER, minute_row(), bad)).reasons() == {3: "bad_ticker"}

    def test_physical_lines_are_counted_through_mark_blanks_headers_and_a_cut_end(
        self, read: Read, write: Write, minute_row: Row
    ) -> None:
        lines = [
            MINUTE_HEADER,
            minute_row(),
            "",
            MINUTE_HEADER.upper(),
            minute_row(time="09:16:59"),
            "  ",
            f"{minute_row(time='09:17:59')},0,0",
            minute_row(time="09:18:59")[:30],
        ]
        content = b"\xef\xbb\xbf" + "\r\n".join(lines).encode()
        found = read(write(MINUTE_FILE, content))
        assert found.reasons() == {
            3: "blank_line",
            4: "repeated_header",
            6: "blank_line",
            7: "wrong_field_count",
            8: "wrong_field_count",
        }
        assert found.only.observations["line"].to_list() == [2, 5]
        assert found.lines_read == len(lines) - 1

    def test_blank_lines_before_the_header_are_counted(self, read: Read, write: Write, minute_row: Row) -> None:
        found = read(write(MINUTE_FILE, "", "", MINUTE_HEADER, minute_row()))
        assert found.reasons() == {1: "blank_line", 2: "blank_line"}
        assert found.only.observations["line"].to_list() == [4]

    def test_tables_follow_the_kind_of_contract(self, read: Read, write: Write, minute_row: Row) -> None:
        tickers = ["NIFTY28AUG2524500CE.NFO", "NIFTY28AUG25FUT.NFO", "NIFTY-I.NFO", "NIFTY 50.NSE_IDX", "M&M.NSE"]
        found = read(write("x.csv", MINUTE_HEADER, *(minute_row(ticker=ticker) for ticker in tickers)))
        by_table = {
            key[0]: batch.contracts.select("kind", "underlying", "expiry", "rank", "series").rows()
            for key, batch in found.batches.items()
        }
        assert by_table == {
            "options_ticks": [("OPT", "NIFTY", dt.date(2025, 8, 28), None, None)],
            "futures_ticks": [
                ("FUT", "NIFTY", dt.date(2025, 8, 28), None, None),
                ("CONT", "NIFTY", dt.date(2025, 8, 28), 1, None),
            ],
            "spot_prices": [("SPOT", "NIFTY", None, None, None), ("EQ", "M&M", None, None, "EQ")],
        }

    def test_spellings_of_one_contract_are_one_contract(self, read: Read, write: Write, minute_row: Row) -> None:
        tickers = ["NIFTY28AUG2524500CE.NFO", "NIFTY28AUG2524500CE", "OPTIDX_NIFTY_28AUG2025_CE_24500"]
        rows = [minute_row(ticker=ticker, time=f"10:0{n}:59") for n, ticker in enumerate(tickers)]
        batch = read(write(MINUTE_FILE, MINUTE_HEADER, *rows)).only
        assert batch.contracts["symbol"].to_list() == tickers[:1]
        assert batch.observations["contract_key"].to_list() == [0, 0, 0]

    def test_half_strikes_stay_apart(self, read: Read, write: Write, minute_row: Row) -> None:
        tickers = ["ASHOKLEY28AUG25122.5CE.NFO", "ASHOKLEY28AUG25122.5PE.NFO", "360ONE28AUG25122CE.NFO"]
        batch = read(write(MINUTE_FILE, MINUTE_HEADER, *(minute_row(ticker=ticker) for ticker in tickers))).only
        assert batch.contracts.select("underlying", "strike", "option_type").rows() == [
            ("ASHOKLEY", Decimal("122.5"), "CE"),
            ("ASHOKLEY", Decimal("122.5"), "PE"),
            ("360ONE", Decimal(122), "CE"),
        ]

    @pytest.mark.parametrize(
        ("instrument", "times"),
        [
            ({"date": "18/08/2026", "ticker": "NIFTY25AUG2624500CE.NFO"}, ("15:39:59", "15:40:59")),
            ({"date": "31/07/2026", "ticker": "NIFTY25AUG2624500CE.NFO"}, ("15:29:59", "15:30:59")),
            ({"date": "18/08/2026", "ticker": "RELIANCE.NSE"}, ("15:34:59", "15:35:59")),
            ({"date": "21/10/2025", "ticker": "NIFTY28OCT2524500CE.NFO"}, ("13:45:59", "15:29:59")),
        ],
    )
    def test_hours_are_those_of_the_date_and_segment(
        self, read: Read, write: Write, minute_row: Row, instrument: dict[str, str], times: tuple[str, str]
    ) -> None:
        rows = [minute_row(**instrument, time=time) for time in times]
        assert read(write("x.csv", MINUTE_HEADER, *rows)).reasons() == {3: "after_close"}

    def test_day_without_a_session_yields_only_rejects(self, read: Read, write: Write, minute_row: Row) -> None:
        found = read(write("GFDLNFO_OPTIONS_15082025.csv", MINUTE_HEADER, minute_row(date="15/08/2025")))
        assert found.reasons() == {2: "not_a_session"}
        assert found.only.observations.is_empty()
        assert found.only.trade_date == dt.date(2025, 8, 15)


class TestExpiryColumn:
    def test_expiry_of_the_file_wins_and_padded_bars_are_refused(self, read: Read, write: Write) -> None:
        def row(ticker: str, expiry: str, flag: str, time: str = "09:15:59") -> str:
            return f"{ticker},2025-08-20,{time},{expiry},10,11,9,10,75,150,{flag}"

        found = read(
            write(
                "x.csv",
                PADDED_HEADER,
                row("NIFTY-I.NFO", "2025-08-26", "0"),
                row("NIFTY-I.NFO", "2025-08-26", "1", "09:16:59"),
                row("NIFTY28AUG2524500CE.NFO", "2025-08-26", "0"),
                row("NIFTY28AUG2524600CE.NFO", "", "0"),
                row("NIFTY28AUG2524700CE.NFO", "soon", "0"),
                row("NIFTY28AUG2524800CE.NFO", "2025-08-14", "0"),
                row("NIFTY28AUG2524900CE.NFO", "2025-08-26", ""),
            )
        )
        assert found.table("futures_ticks").contracts["expiry"].to_list() == [dt.date(2025, 8, 26)]
        assert found.table("options_ticks").contracts["expiry"].to_list() == [
            dt.date(2025, 8, 26),
            dt.date(2025, 8, 28),
        ]
        assert found.reasons() == {3: "padded_bar", 6: "bad_ticker", 7: "expired_contract", 8: "padded_bar"}


class TestTicks:
    def test_row_keeps_its_second_and_its_quotes(self, read: Read, write: Write, tick_row: Row) -> None:
        batch = read(write(TICK_FILE, TICK_HEADER, tick_row(ltq="75.0"))).only
        assert (batch.table, batch.bar_seconds) == ("options_ticks", 0)
        row = batch.observations.row(0, named=True)
        assert row["timestamp"] == utc(9, 15, 1)
        assert row["open"] == row["high"] == row["low"] == row["close"] == Decimal("100.5")
        assert (row["volume"], row["open_interest"]) == (75, 0)
        assert (row["bid_price"], row["bid_size"]) == (Decimal("100.45"), 75)
        assert (row["ask_price"], row["ask_size"]) == (Decimal("100.55"), 150)

    def test_rows_of_one_second_keep_file_order_even_when_they_are_equal(
        self, read: Read, write: Write, tick_row: Row
    ) -> None:
        rows = [tick_row(ltq="0"), tick_row(), tick_row(), tick_row(ltp="100.6"), tick_row(time="09:15:02")]
        batch = read(write(TICK_FILE, TICK_HEADER, *rows)).only
        assert batch.observations.select("line", "sequence", "volume").rows() == [
            (2, 0, 0),
            (3, 1, 75),
            (4, 2, 75),
            (5, 3, 75),
            (6, 0, 75),
        ]
        assert batch.rejects.is_empty()

    def test_quote_of_zero_is_no_quote(self, read: Read, write: Write, tick_row: Row) -> None:
        row = read(write(TICK_FILE, TICK_HEADER, tick_row(bid="0", bid_size="0"))).only.observations
        assert row.select("bid_price", "bid_size", "ask_size").row(0) == (None, None, 150)

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"time": "09:14:59"}, "before_open"),
            ({"time": "15:30:01"}, "after_close"),
            ({"time": "03:45:01"}, "before_open"),
            ({"ltp": "0"}, "non_positive_price"),
            ({"bid": "-1"}, "non_positive_price"),
            ({"ask": "x"}, "bad_price"),
            ({"bid_size": "1.5"}, "bad_quantity"),
            ({"ltq": ""}, "bad_quantity"),
        ],
    )
    def test_damaged_tick_is_refused(
        self, read: Read, write: Write, tick_row: Row, changed: dict[str, str], reason: str
    ) -> None:
        assert read(write(TICK_FILE, TICK_HEADER, tick_row(), tick_row(**changed))).reasons() == {3: reason}

    @pytest.mark.parametrize("time", ["09:15:00", "15:30:00"])
    def test_first_and_last_second_of_the_session_belong_to_it(
        self, read: Read, write: Write, tick_row: Row, time: str
    ) -> None:
        assert read(write(TICK_FILE, TICK_HEADER, tick_row(time=time))).reasons() == {}


class TestTrueData:
    OPTION_ROW = "20250620,09:15:01,12.05,175,5000,12.00,350,12.10,700"

    def test_instrument_comes_from_the_name_and_quotes_stand_after_the_open_interest(
        self, read: Read, write: Write, zipped: Callable[..., bytes]
    ) -> None:
        day = zipped({"BANKBARODA250626256.65CE.csv": f"{self.OPTION_ROW}\r\n{self.OPTION_ROW}\r\n"})
        batch = read(write("TrueData.zip", zipped({"NSE_OPT_TICK_20250620.zip": day}))).only
        assert batch.contracts.select("symbol", "underlying", "expiry", "strike", "option_type").rows() == [
            ("BANKBARODA250626256.65CE", "BANKBARODA", dt.date(2025, 6, 26), Decimal("256.65"), "CE")
        ]
        row = batch.observations.row(0, named=True)
        assert (row["close"], row["volume"], row["open_interest"]) == (Decimal("12.05"), 175, 5000)
        assert (row["bid_price"], row["bid_size"]) == (Decimal(12), 350)
        assert (row["ask_price"], row["ask_size"]) == (Decimal("12.1"), 700)
        assert batch.observations["line"].to_list() == [1, 2]
        assert batch.files["member"].to_list() == ["NSE_OPT_TICK_20250620.zip/BANKBARODA250626256.65CE.csv"]

    def test_index_has_five_fields_and_starts_before_the_open(self, read: Read, write: Write) -> None:
        path = write(
            "NSE_IDX_TICK_20250620/BANKNIFTY.csv", "20250620,09:07:41,56000.5,0,0", "20250620,09:15:00,56001,0,0"
        )
        found = read(path)
        assert found.only.table == "spot_prices"
        assert found.reasons() == {1: "before_open"}
        assert found.rows("underlying", "kind", "close", "bid_price") == [("BANKNIFTY", "SPOT", Decimal(56001), None)]

    def test_contract_futures_are_named_as_the_exchange_names_them(
        self, read: Read, tmp_path: Path, write: Write
    ) -> None:
        write("NSE_FUT_TICK_20250620/Contract Futures/NIFTY25JUNFUT.csv", self.OPTION_ROW)
        write("NSE_FUT_TICK_20250620/Continuous Futures/NIFTY-II.csv", self.OPTION_ROW)
        batch = read(tmp_path).only
        assert batch.contracts.sort("kind").select("kind", "expiry", "rank").rows() == [
            ("CONT", dt.date(2025, 7, 31), 2),
            ("FUT", dt.date(2025, 6, 26), None),
        ]

    def test_name_that_is_no_instrument_refuses_its_rows(self, read: Read, write: Write) -> None:
        assert read(write("NSE_OPT_TICK_20250620/WHATEVER.csv", self.OPTION_ROW)).reasons() == {1: "bad_ticker"}


def test_prices_survive_a_round_trip_through_every_digit(read: Read, write: Write, minute_row: Row) -> None:
    texts = ["0.00000001", "999999999999.99999999", "123456.7", "10"]
    rows = [minute_row(time=f"10:0{n}:59", open=t, high=t, low=t, close=t) for n, t in enumerate(texts)]
    batch = read(write(MINUTE_FILE, MINUTE_HEADER, *rows)).only
    assert batch.observations["close"].to_list() == [Decimal(text) for text in texts]
    assert batch.observations["close"].dtype == pl.Decimal(20, 8)
