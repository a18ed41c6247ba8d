"""Every cell is stored exactly or its line refused, with its number, its text and one reason."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import SourceError
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.sources.manual_csv.reasons import REASONS
from pipeline_tests.sources.manual_csv.reading import HEADER, ROW, only, read, refused, write

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = HEADER.split(",")


def row(**values: str) -> str:
    """Change some cells of the good row."""
    cells = dict(zip(COLUMNS, ROW.split(","), strict=True)) | values
    return ",".join(cells.values())


def test_a_plain_line_becomes_a_row_and_a_contract(tmp_path: Path) -> None:
    batch = only(write(tmp_path / "mine.csv", HEADER, ROW))

    assert (batch.table, batch.bar_seconds, batch.trade_date) == ("options_ticks", 60, dt.date(2025, 8, 13))
    (observation,) = batch.observations.to_dicts()
    assert observation["timestamp"] == dt.datetime(2025, 8, 13, 3, 46, tzinfo=dt.UTC)
    prices = [observation[name] for name in ("open", "high", "low", "close")]
    assert prices == [Decimal("93.05"), Decimal(94), Decimal("92.5"), Decimal("93.1")]
    assert (observation["volume"], observation["open_interest"], observation["sequence"]) == (750, 1500, 0)
    assert (observation["line"], observation["bid_price"], observation["settlement_price"]) == (2, None, None)
    (contract,) = batch.contracts.to_dicts()
    assert (contract["kind"], contract["underlying"], contract["option_type"]) == ("OPT", "NIFTY", "CE")
    assert (contract["expiry"], contract["strike"]) == (dt.date(2025, 8, 14), Decimal(24500))
    assert (contract["venue"], contract["currency"], contract["lot_size"]) == ("NSE", "INR", None)


GOOD = [
    {"open": "93.05000000"},
    {"open": "0093.05"},
    {"high": "123456789012.12345678"},
    {"low": "0.00000001"},
    {"volume": ""},
    {"volume": "750.0"},
    {"open_interest": ""},
    {"volume": "999999999999999999"},
    {"timestamp": "2025-08-13T09:16:00+05:30"},
    {"timestamp": "2025-08-13 09:16:00+0530"},
    {"timestamp": "2025-08-13T03:46:00.000Z"},
    {"timestamp": "2025-08-13T10:00:00Z"},
]


@pytest.mark.parametrize("values", GOOD, ids=str)
def test_any_plain_form_is_read_exactly(tmp_path: Path, values: dict[str, str]) -> None:
    batch = only(write(tmp_path / "mine.csv", HEADER, row(**values)))

    (observation,) = batch.observations.to_dicts()
    for name, text in values.items():
        if name == "timestamp":
            instant = dt.datetime.fromisoformat(text)
            assert observation[name] == instant
        elif text:
            assert observation[name] == Decimal(text)
        else:
            assert observation[name] is None


BAD = [
    *(
        ({name: text}, "bad_price")
        for name in ("open", "close")
        for text in (
            "",
            " ",
            "1e2",
            "NaN",
            "inf",
            "93.123456789",
            "+93",
            " 93",
            "93.",
            ".5",
            "1234567890123",
        )
    ),
    ({"close": "-93.1"}, "non_positive_price"),
    ({"low": "0"}, "non_positive_price"),
    ({"low": "0.00"}, "non_positive_price"),
    ({"high": "92"}, "high_below_low"),
    ({"open": "95"}, "price_outside_range"),
    ({"close": "92"}, "price_outside_range"),
    *(({"volume": text}, "bad_quantity") for text in ("-1", "1.5", "1e3", "NaN", "9" * 19, "1_0")),
    ({"open_interest": "-1"}, "bad_quantity"),
    *(({"bar_seconds": text}, "bad_resolution") for text in ("", "60s", "-60", "86401", "0", "6e1")),
    *(
        ({"timestamp": text}, "bad_timestamp")
        for text in (
            *("", "13/08/2025 09:16", "2025-02-30T03:46:00Z", "2025-08-13T24:00:00Z", "2025-08-13T03:46:60Z"),
            *("20250813T034600Z", "1755056760", "2025-08-13T03:46Z", "2025-08-13T03:46:00.1234567Z", "2025-08-13"),
        )
    ),
    ({"timestamp": "2025-08-13T09:16:00"}, "no_time_zone"),
    ({"timestamp": "2025-08-13 09:16"}, "no_time_zone"),
    ({"timestamp": "2025-08-13T03:45:00Z"}, "before_open"),
    ({"timestamp": "2025-08-13T10:00:01Z"}, "after_close"),
    ({"timestamp": "2025-08-10T03:46:00Z"}, "not_a_session"),
    ({"timestamp": "2025-08-18T03:46:00Z"}, "expired_contract"),
    *(({name: ""}, "bad_contract") for name in ("kind", "symbol", "underlying", "expiry", "strike", "option_type")),
    *(({name: ""}, "bad_contract") for name in ("venue", "currency")),
    ({"kind": "SWAP"}, "bad_contract"),
    ({"kind": "EQ"}, "bad_contract"),
    ({"kind": "FUT"}, "bad_contract"),
    ({"option_type": "CALL"}, "bad_contract"),
    ({"strike": "0"}, "bad_contract"),
    ({"strike": "24500.123456789"}, "bad_contract"),
    ({"expiry": "14-08-2025"}, "bad_contract"),
    ({"expiry": "2025-02-30"}, "bad_contract"),
    ({"symbol": " NIFTY"}, "bad_contract"),
    ({"underlying": "NI\tFTY\x07"}, "bad_contract"),
]


def test_any_other_cell_refuses_its_line_and_no_other(tmp_path: Path) -> None:
    lines = [row(**values) for values, _ in BAD]
    good = [row(timestamp=f"2025-08-13T{hour:02}:{minute:02}:00Z") for hour in range(4, 6) for minute in range(60)]
    between = [line for pair in zip(lines, good, strict=False) for line in pair]

    batches = read(write(tmp_path / "mine.csv", HEADER, ROW, *between))

    expected = [(3 + 2 * k, reason, line) for k, (line, (_, reason)) in enumerate(zip(lines, BAD, strict=True))]
    assert len(good) > len(lines)
    assert refused(batches) == expected
    stored = sorted(line for batch in batches for line in batch.observations["line"])
    assert stored == [2, *range(4, 4 + 2 * len(lines), 2)]


def test_a_number_in_quotes_is_read_like_any_other(tmp_path: Path) -> None:
    bad = row(open='"1,000"')
    good = row(open='"93.05"', timestamp="2025-08-13T03:47:00Z")
    batches = read(write(tmp_path / "mine.csv", HEADER, bad, good))

    assert refused(batches) == [(2, "bad_price", bad)]
    assert batches[0].observations["open"].to_list() == [Decimal("93.05")]


def test_a_cell_with_a_comma_in_quotes_is_one_cell(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", HEADER, ROW, row(symbol='"NIFTY, weekly"', timestamp="2025-08-13T03:47:00Z"))

    assert sorted(only(path).contracts["symbol"]) == ["NIFTY14AUG2524500CE"], "one contract, whatever it is called"
    assert only(path).observations.height == 2


def test_the_header_among_the_data_is_told_as_such(tmp_path: Path) -> None:
    assert refused(read(write(tmp_path / "mine.csv", HEADER, ROW, HEADER))) == [(3, "repeated_header", HEADER)]


def test_a_venue_without_a_calendar_is_not_judged_by_hours(tmp_path: Path) -> None:
    at_night = row(venue="XETR", timestamp="2025-08-10T20:00:00Z")

    assert only(write(tmp_path / "mine.csv", HEADER, at_night)).observations.height == 1


def test_days_before_the_calendar_are_not_judged_by_hours(tmp_path: Path) -> None:
    early = row(timestamp="1990-01-06T03:46:00Z")

    assert only(write(tmp_path / "mine.csv", HEADER, early)).trade_date == dt.date(1990, 1, 6)


TICK_HEADER = (
    "timestamp,kind,symbol,underlying,expiry,venue,currency,bar_seconds,price,size,bid_price,bid_size,ask_price"
)
FUTURE = "FUT,NIFTY28AUG25FUT,NIFTY,2025-08-28,NSE,INR,0"


def test_ticks_have_one_price_and_the_sides_of_the_quote_that_were_given(tmp_path: Path) -> None:
    batch = only(
        write(
            tmp_path / "ticks.csv",
            TICK_HEADER,
            f"2025-08-13T03:45:00Z,{FUTURE},24600.05,75,24600,150,24600.1",
            f"2025-08-13T03:45:00Z,{FUTURE},24600.05,75,,,",
            f"2025-08-13T03:45:00.000001Z,{FUTURE},24600.1,0,,,24600.15",
        )
    )

    assert (batch.table, batch.bar_seconds) == ("futures_ticks", 0)
    assert batch.observations["sequence"].to_list() == [0, 1, 0], "equal ticks are several trades, in file order"
    first, second, third = batch.observations.to_dicts()
    assert {first[name] for name in ("open", "high", "low", "close")} == {Decimal("24600.05")}
    assert (first["volume"], first["bid_price"], first["bid_size"]) == (75, Decimal(24600), 150)
    assert (second["bid_price"], second["ask_price"]) == (None, None)
    assert third["timestamp"] == dt.datetime(2025, 8, 13, 3, 45, 0, 1, dt.UTC)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (",75,,,", "bad_price"),
        ("24600.05,75,0,150,", "non_positive_price"),
        ("24600.05,75,x,150,", "bad_price"),
        ("24600.05,75,,1.5,", "bad_quantity"),
        ("0,75,,,", "non_positive_price"),
    ],
)
def test_a_bad_tick_is_refused(tmp_path: Path, cells: str, reason: str) -> None:
    good = f"2025-08-13T03:45:00Z,{FUTURE},24600.05,75,,,"
    bad = f"2025-08-13T03:45:01Z,{FUTURE},{cells}"

    assert refused(read(write(tmp_path / "ticks.csv", TICK_HEADER, good, bad))) == [(3, reason, bad)]


@pytest.mark.parametrize(("text", "is_good"), [("0", True), ("7", True), ("", False), ("-1", False), ("1.0", False)])
def test_a_sequence_is_kept_where_there_is_one(tmp_path: Path, text: str, is_good: bool) -> None:  # noqa: FBT001
    batches = read(
        write(
            tmp_path / "ticks.csv",
            f"{TICK_HEADER},sequence",
            f"2025-08-13T03:45:01Z,{FUTURE},24600.05,75,,,,3",
            f"2025-08-13T03:45:02Z,{FUTURE},24600.05,75,,,,{text}",
        )
    )

    assert [reason for _, reason, _ in refused(batches)] == ([] if is_good else ["bad_sequence"])
    assert batches[0].observations["sequence"].to_list() == ([3, int(text)] if is_good else [3])


PAIR_HEADER = "timestamp,kind,symbol,underlying,base_currency,venue,currency,bar_seconds,open,high,low,close,volume"
PAIR = "PAIR,BTC/USDT,BTCUSDT,BTC,BINANCE,USDT,3600"


def test_a_pair_has_fractional_volumes_and_belongs_to_the_utc_day_in_which_its_bar_began(tmp_path: Path) -> None:
    batches = read(
        write(
            tmp_path / "btc.csv",
            PAIR_HEADER,
            f"2018-05-01T01:00:00Z,{PAIR},9246.01,9248.99,8934.44,8955.01,5263.79955112",
            f"2018-05-02T00:00:00Z,{PAIR},8955.13,9020.99,8870,8994.99,0.00000001",
            f"2018-05-02T01:00:00Z,{PAIR},8955.13,9020.99,8870,8994.99,7",
            f"2018-05-02T02:00:00Z,{PAIR},8955.13,9020.99,8870,8994.99,0.000000001",
        )
    )

    assert [(batch.table, batch.trade_date) for batch in batches] == [
        ("spot_prices", dt.date(2018, 5, 1)),
        ("spot_prices", dt.date(2018, 5, 2)),
    ]
    assert batches[0].observations["volume"].to_list() == [Decimal("5263.79955112"), Decimal("0.00000001")]
    assert [reason for _, reason, _ in refused(batches)] == ["bad_quantity"]


SHARE_HEADER = "timestamp,kind,symbol,underlying,venue,currency,bar_seconds,open,high,low,close,volume"


def test_parts_of_a_share_are_read_where_its_market_trades_them_and_refused_beside_it(tmp_path: Path) -> None:
    (batch,) = read(
        write(
            tmp_path / "shares.csv",
            SHARE_HEADER,
            "2026-03-09T09:31:00Z,EQ,AAPL,AAPL,NASDAQ,USD,60,1,1,1,1,0.000125",
            "2026-03-09T09:31:00Z,EQ,TCS,TCS,NSE,INR,60,1,1,1,1,75",
            "2026-03-09T09:32:00Z,EQ,TCS,TCS,NSE,INR,60,1,1,1,1,75.5",
            "2026-03-09T09:31:00Z,EQ,VOD,VOD,XLON,GBP,60,1,1,1,1,7.5",
            "2026-03-09T09:32:00Z,EQ,AAPL,AAPL,NASDAQ,USD,60,1,1,1,1,0.000000001",
            "2026-03-09T09:33:00Z,EQ,AAPL,AAPL,NASDAQ,USD,60,1,1,1,1,",
        )
    )

    rows = batch.observations.join(batch.contracts, on="contract_key").select("symbol", "volume").rows()
    assert sorted(rows, key=str) == [("AAPL", Decimal("0.000125")), ("AAPL", None), ("TCS", Decimal(75))]
    assert refused([batch]) == [
        (4, "bad_quantity", "2026-03-09T09:32:00Z,EQ,TCS,TCS,NSE,INR,60,1,1,1,1,75.5"),
        (5, "bad_quantity", "2026-03-09T09:31:00Z,EQ,VOD,VOD,XLON,GBP,60,1,1,1,1,7.5"),
        (6, "bad_quantity", "2026-03-09T09:32:00Z,EQ,AAPL,AAPL,NASDAQ,USD,60,1,1,1,1,0.000000001"),
    ]


def test_files_with_and_without_parts_of_shares_make_one_batch(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", SHARE_HEADER, "2026-03-09T09:31:00Z,EQ,TCS,TCS,NSE,INR,60,1,1,1,1,75")
    write(tmp_path / "b.csv", SHARE_HEADER, "2026-03-09T09:31:00Z,EQ,AAPL,AAPL,NASDAQ,USD,60,1,1,1,1,0.5")

    (batch,) = read(tmp_path)

    assert sorted(batch.observations["volume"].to_list()) == [Decimal("0.5"), Decimal(75)]


def test_pairs_and_other_kinds_do_not_share_a_file(tmp_path: Path) -> None:
    share = "2018-05-01T04:00:00Z,EQ,TCS,TCS,,NSE,INR,3600,1,1,1,1,1"
    path = write(tmp_path / "both.csv", PAIR_HEADER, f"2018-05-01T01:00:00Z,{PAIR},1,1,1,1,1", share)

    with pytest.raises(SourceError, match="holds pairs and other kinds"):
        read(path)


def test_a_rolling_future_needs_its_rank(tmp_path: Path) -> None:
    header = "timestamp,kind,symbol,underlying,expiry,rank,venue,currency,bar_seconds,open,high,low,close"
    rolling = "2025-08-13T03:{}:00Z,CONT,NIFTY-I,NIFTY,2025-08-28,{},NSE,INR,60,1,1,1,1"
    batches = read(
        write(tmp_path / "rolling.csv", header, rolling.format(46, 1), rolling.format(47, ""), rolling.format(48, 13))
    )

    assert batches[0].contracts["rank"].to_list() == [1]
    assert [reason for _, reason, _ in refused(batches)] == ["bad_contract", "bad_contract"]


def test_the_manual_explains_every_reason_in_the_order_of_the_checks() -> None:
    manual = (PROJECT_ROOT / "docs" / "sources" / "manual-csv.md").read_text(encoding="utf-8")
    table = "\n".join(f"| `{reason}` | {meaning} |" for reason, meaning in REASONS.items())

    assert table in manual
