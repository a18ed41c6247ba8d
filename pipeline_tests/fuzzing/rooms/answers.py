"""Answers of the vendors that are asked: JSON of Zerodha, Yahoo, Polygon and CCXT's exchanges, messages of TWS."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from decimal import Decimal
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

import polars as pl

from pipeline_defs.errors import PipelineError
from pipeline_defs.markets.market import market
from pipeline_defs.sources.asking.questions import Listed
from pipeline_defs.sources.asking.universe import Named
from pipeline_defs.sources.ccxt.client import Client, Reply
from pipeline_defs.sources.ccxt.pairs import list_pair
from pipeline_defs.sources.ccxt.rows import bar_rows as ccxt_rows
from pipeline_defs.sources.interactive_brokers import replies
from pipeline_defs.sources.interactive_brokers.bars import read_bars
from pipeline_defs.sources.interactive_brokers.contracts import Target as Contract
from pipeline_defs.sources.interactive_brokers.contracts import read_details
from pipeline_defs.sources.interactive_brokers.errors import history_farm, verdict
from pipeline_defs.sources.interactive_brokers.expiries import read_expiry
from pipeline_defs.sources.interactive_brokers.session import Session, _Open
from pipeline_defs.sources.interactive_brokers.ticks import read_ticks
from pipeline_defs.sources.polygon.actions import ACTIONS_SCHEMA, _dividends, _splits, one_a_day
from pipeline_defs.sources.polygon.bars import bar_rows, results_of_pages
from pipeline_defs.sources.polygon.contracts import _KNOWN, _NEEDED, _OCC
from pipeline_defs.sources.polygon.contracts import _read as read_contracts
from pipeline_defs.sources.polygon.numbers import check_keys, text_frame
from pipeline_defs.sources.polygon.pages import _next_path, results_of
from pipeline_defs.sources.polygon.pages import _read as read_page
from pipeline_defs.sources.polygon.refusals import saying
from pipeline_defs.sources.polygon.snapshots import _KNOWN as _KNOWN_SNAPSHOT
from pipeline_defs.sources.polygon.snapshots import _PLACES, SNAPSHOT_SCHEMA, _at
from pipeline_defs.sources.polygon.snapshots import _read as read_snapshot
from pipeline_defs.sources.yahoo.actions import SOURCE_ACTION_SCHEMA, actions_of, splits_of, told_of
from pipeline_defs.sources.yahoo.bars import rows_of as yahoo_rows
from pipeline_defs.sources.yahoo.checking import check_meta
from pipeline_defs.sources.yahoo.client import Reply as YahooReply
from pipeline_defs.sources.yahoo.replies import chart_of, document_of
from pipeline_defs.sources.zerodha.candles import rows_of as kite_rows
from pipeline_tests.fuzzing.helping import check_answer, question
from pipeline_tests.fuzzing.target import Target

DAY: Final = dt.date(2023, 10, 5)
NSE_DAY: Final = dt.date(2025, 8, 14)
_MINUTE, _DAILY = 60, 86_400


def _check_ends(rows: pl.DataFrame, starts: list[Any], seconds: int, unit: int = 1) -> None:
    """Hold closes against starts, in parts of a second: nothing is known before its bar is over."""
    for end, start in zip(rows["timestamp"], starts, strict=True):
        if end is not None and isinstance(start, int | float):
            assert end.timestamp() >= start / unit + (seconds if seconds < _DAILY else 0), (
                f"{end} of a bar from {start}"
            )


# Polygon ---------------------------------------------------------------------------------------------------------


def _polygon_bars(seconds: int, *, has_volume: bool = True) -> Any:
    def check(data: bytes) -> None:
        page = read_page(data, 1, "bars of AAPL")
        _next_path(page, 1, "bars of AAPL")
        results = results_of_pages([page], "AAPL", "bars of AAPL")
        rows = bar_rows(results, seconds, market("US"), "bars of AAPL", has_volume=has_volume, units=100)
        good = check_answer(rows, len(results))
        if has_volume:
            told = [one for one, reason in zip(results, rows["reason"], strict=True) if reason is None]
            for name, key in (("open", "o"), ("high", "h"), ("low", "l"), ("close", "c")):
                for one, value in zip(told, good[name], strict=True):
                    assert Decimal(str(one[key])) == value, f"{key} {one[key]!r} was read as {value}"
            _check_ends(good, [int(one["t"]) for one in told], seconds, 1000)
        assert good["volume"].is_null().sum() == 0 or any(one.get("v") is None for one in results)

    return check


def _polygon_contracts(data: bytes) -> None:
    page = read_page(data, 1, "options of A")
    rows = results_of(page, 1, "options of A")
    check_keys(rows, set(_NEEDED), _KNOWN, "options of A")
    frame = text_frame(rows, _NEEDED, "options of A")
    read = read_contracts(frame.with_columns(said=pl.col("ticker").str.extract_groups(_OCC)), "options of A")
    assert read.height == len(rows)
    assert read.null_count().sum_horizontal().sum() == 0


def _polygon_snapshot(data: bytes) -> None:
    rows = results_of(read_page(data, 1, "chain of AAPL"), 1, "chain of AAPL")
    check_keys(rows, {"details"}, _KNOWN_SNAPSHOT, "chain of AAPL")
    flat = [{name: _at(row, place) for name, place in _PLACES.items()} for row in rows]
    read = read_snapshot(text_frame(flat, tuple(_PLACES), "chain of AAPL"), "chain of AAPL")
    assert read.schema == pl.Schema(SNAPSHOT_SCHEMA)
    assert read.height == len(rows)


def _polygon_actions(data: bytes) -> None:
    rows = results_of(read_page(data, 1, "actions of GOOG"), 1, "actions of GOOG")
    is_split = any("split_to" in row for row in rows if isinstance(row, dict))
    read = _splits(rows, "splits of GOOG") if is_split else _dividends(rows, "dividends of GOOG")
    assert len(read) == len(rows)
    given, _ = one_a_day(pl.DataFrame(read, schema=ACTIONS_SCHEMA, orient="row"), "USD")
    assert all(action.value > 0 for action in given)


def _polygon_refusal(data: bytes) -> None:
    assert len(saying(data.decode("utf-8", "replace"))) <= 2000


# Yahoo -----------------------------------------------------------------------------------------------------------


def _yahoo_chart(seconds: int, kind: str) -> Any:
    def check(data: bytes) -> None:
        asked = question("yahoo", DAY, bar_seconds=seconds, kind=kind)
        chart = chart_of(YahooReply(200, data.decode("utf-8", "replace")), "GS")
        if chart is not None:
            check_meta(chart["meta"], asked, market("US"))
        rows = yahoo_rows(chart, asked, market("US"))
        starts = [] if chart is None else chart.get("timestamp", [])
        check_answer(rows, len(starts))
        if seconds < _DAILY:
            _check_ends(rows, starts, seconds)
        actions = actions_of(chart, "GS")
        assert actions.schema == pl.Schema(SOURCE_ACTION_SCHEMA)
        splits_of(actions)
        assert all(action.value >= 0 for action in told_of(actions))

    return check


def _yahoo_reply(data: bytes) -> None:
    """Read a reply of any status; the first byte chooses it."""
    statuses = (200, 400, 401, 404, 422, 429, 500, 503)
    reply = YahooReply(statuses[(data[0] if data else 0) % len(statuses)], data[1:].decode("utf-8", "replace"))
    try:
        chart_of(reply, "GS")
    except PipelineError as refusal:
        assert len(str(refusal)) < 3000, "a refusal of thousands of letters"
    document_of(reply)


# Zerodha ---------------------------------------------------------------------------------------------------------


def _kite_candles(seconds: int, *, with_interest: bool, has_volume: bool = True) -> Any:
    def check(data: bytes) -> None:
        try:
            reply = json.loads(data)
        except (ValueError, RecursionError):
            return  # the vendor's client says that it is no JSON
        content = reply.get("data") if isinstance(reply, dict) else None
        candles = content.get("candles") if isinstance(content, dict) else None
        rows = kite_rows(candles, seconds, market("NSE"), with_interest=with_interest, has_volume=has_volume)
        assert isinstance(candles, list)
        good = check_answer(rows, len(candles))
        told = [one for one, reason in zip(candles, rows["reason"], strict=True) if reason is None]
        for place, name in enumerate(("open", "high", "low", "close"), start=1):
            for one, value in zip(told, good[name], strict=True):
                assert Decimal(str(one[place])) == value, f"{name} {one[place]!r} was read as {value}"
        if not has_volume:
            assert rows["volume"].null_count() == rows.height

    return check


# CCXT ------------------------------------------------------------------------------------------------------------


@cache
def _exchange() -> Client:
    client = Client("binance", None, 1.0)
    client.exchange.set_markets(
        [
            {
                "id": "BTCUSDT",
                "symbol": "BTC/USDT",
                "base": "BTC",
                "quote": "USDT",
                "spot": True,
                "type": "spot",
                "precision": {"price": 0.01, "amount": 0.00001},
            }
        ]
    )
    client.exchange.number = str
    return client


def _ccxt_candles(data: bytes) -> None:
    client = _exchange()
    body = data.decode("utf-8", "replace")

    def fetch(*_: Any, **__: Any) -> Any:
        client.reply = Reply(200, {})
        return client.exchange.parse_json(body)

    client.exchange.fetch2 = client.exchange.fetch = fetch
    candles = client.candles("BTC/USDT", "1m", 0, 500)
    rows = ccxt_rows(candles, _MINUTE, 1_755_000_000_000)
    good = check_answer(rows, candles.height)
    assert not good.filter(pl.col("timestamp").is_null()).height
    told = candles.filter(rows["reason"].is_null())
    for name in ("open", "high", "low", "close"):
        for text, value in zip(told[name], good[name], strict=True):
            assert Decimal(text) == value, f"{name} {text!r} was read as {value}"
    _check_ends(good, told["time"].to_list(), _MINUTE, 1000)


def _ccxt_market(data: bytes) -> None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(found, dict) or not isinstance(found.get("base"), str) or not isinstance(found.get("quote"), str):
        return  # the client itself puts a market's names together
    if not isinstance(found.get("precision"), dict | None):
        return
    for mode in (2, 4):
        listed = list_pair("binance", {"BTC/USDT": found}, mode, Named(symbol="BTC/USDT"))
        tick = listed.terms["tick_size"]
        assert tick is None or tick > 0


# Interactive Brokers ---------------------------------------------------------------------------------------------


def _fields(data: bytes) -> list[str]:
    """Cut a message into its fields, as the client does: each ends with a NUL, written here as a line."""
    return data.decode("utf-8", "backslashreplace").split("\n")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _listening() -> tuple[Session, _Open]:
    """Give a session that waits for the answer to request 7, without a connection."""
    session = object.__new__(Session)
    waiting = _Open(_loop().create_future())
    session._open = {7: waiting}
    session._ib = SimpleNamespace(wrapper=SimpleNamespace(historicalDataEnd=lambda *_: None))
    return session, waiting


def _settled(waiting: _Open) -> pl.DataFrame | None:
    if waiting.trouble.done():
        waiting.trouble.result()
    return pl.concat(waiting.parts) if waiting.parts else None


def _tws_bars(seconds: int, kind: str) -> Any:
    def check(data: bytes) -> None:
        session, waiting = _listening()
        fields = _fields(data)
        session._keep(fields, replies.read_bars)
        rows = _settled(waiting)
        if rows is None:
            return  # about another request
        asked = question("interactive_brokers", DAY, bar_seconds=seconds, kind=kind)
        asked = type(asked)(
            asked.source,
            "1",
            asked.dataset,
            Listed("265598@SMART", asked.listed.terms),
            asked.window,
            asked.start,
            asked.end,
        )
        answer = read_bars(rows, asked, market("US"))
        check_answer(answer.rows)
        left_out = int(answer.note.partition(" ")[0]) if answer.note else 0
        assert answer.rows.height + left_out == rows.height == int(fields[4])

    return check


def _tws_ticks(data: bytes) -> None:
    session, waiting = _listening()
    for part in data.split(b"\n--\n"):
        session._keep(_fields(part), replies.read_ticks)
    if waiting.trouble.done():
        waiting.trouble.result()
    trades = [part for part in waiting.parts if "price" in part.columns]
    quotes = [part for part in waiting.parts if "bid_price" in part.columns]
    from pipeline_defs.sources.interactive_brokers.ticks import _instants  # noqa: PLC0415 -- as `read_all` does it

    def timed(parts: list[pl.DataFrame], names: tuple[str, ...]) -> pl.DataFrame:
        frame = pl.concat([pl.DataFrame(schema=dict.fromkeys(names, pl.String())), *parts])
        return frame.with_columns(_instants(frame["time"]).alias("instant"))

    asked = question("interactive_brokers", DAY)
    asked = type(asked)(
        asked.source,
        "1",
        asked.dataset,
        Listed("1@SMART*100", asked.listed.terms),
        asked.window,
        asked.start,
        asked.end,
    )
    answer = read_ticks(timed(trades, replies.TRADE_FIELDS), timed(quotes, replies.QUOTE_FIELDS), asked)
    check_answer(answer.rows, sum(part.height for part in trades))


def _tws_details(data: bytes) -> None:
    """Read the client's objects: their fields come from TWS as text or numbers."""
    kind, *lines = _fields(data)
    named = dict(line.partition("=")[::2] for line in lines)
    contract = SimpleNamespace(
        conId=1,
        symbol=named.get("symbol", ""),
        localSymbol=named.get("local", ""),
        tradingClass=named.get("class", ""),
        exchange=named.get("exchange", ""),
        currency=named.get("currency", ""),
        multiplier=named.get("multiplier", ""),
        strike=_float(named.get("strike", "")),
        right=named.get("right", ""),
        lastTradeDateOrContractMonth=named.get("last", ""),
    )
    details = SimpleNamespace(
        contract=contract,
        realExpirationDate=named.get("expiry", ""),
        minTick=_float(named.get("tick", "")),
        minSize=named.get("size", ""),
        secIdList=[SimpleNamespace(tag=named.get("tag", ""), value=named.get("isin", ""))],
    )
    found = read_details(details, kind if kind in {"OPT", "FUT", "EQ", "SPOT"} else "OPT")
    assert found.multiplier > 0
    assert found.tick_size is None or found.tick_size > 0


def _float(text: str) -> float:
    try:
        return float(text or "0")
    except ValueError:
        return 0.0


def _tws_errors(data: bytes) -> None:
    code, _, text = data.decode("utf-8", "replace").partition("\n")
    number = int(code) if code.isascii() and code.isdigit() and len(code) < 6 else 162
    verdict(number, text)
    history_farm(number, text)


def _tws_names(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    first, _, second = text.partition("\n")
    number, _, times = second.partition("*")
    if number.isascii() and number.isdigit() and times.isascii() and times.isdigit() and 0 < int(times) < 10**9:
        target = Contract(int(number), "SMART", Decimal(times))
        assert Contract.read(target.text) == target
    day = read_expiry(first)
    assert f"{day.year:04}{day:%m%d}" == first, f"{first!r} was read as {day}"


_AGGS: Final = (
    b'{"ticker":"AAPL","queryCount":2,"resultsCount":2,"adjusted":false,"results":[{"v":1500,"vw":182.2,"o":182.16,'
    b'"c":182.4,"h":182.43,"l":182,"t":1696512600000,"n":7},{"v":6.4e+08,"o":1.5,"c":1.5,"h":1.5,"l":1.5,'
    b'"t":1696512660000}],"status":"OK","request_id":"x","count":2,"next_url":"https://api.example/v2/aggs?cursor=a"}'
)
_AGGS_DAY: Final = _AGGS.replace(b"1696512600000", b"1696478400000").replace(b"1696512660000", b"1696564800000")
_CONTRACTS: Final = (
    b'{"results":[{"cfi":"OCASPS","contract_type":"call","exercise_style":"american","expiration_date":"2022-05-20",'
    b'"primary_exchange":"BATO","shares_per_contract":100,"strike_price":65.5,"ticker":"O:A220520C00065500",'
    b'"underlying_ticker":"A"}],"status":"OK"}'
)
_SNAPSHOT: Final = (
    b'{"results":[{"details":{"contract_type":"call","exercise_style":"american","expiration_date":"2023-06-16",'
    b'"shares_per_contract":100,"strike_price":150,"ticker":"O:AAPL230616C00150000"},"greeks":{"delta":0.6436614,'
    b'"gamma":0.0061,"theta":-0.02,"vega":0.7},"implied_volatility":0.3,"last_quote":{"ask":31.25,"ask_size":1,'
    b'"bid":30.1,"bid_size":4,"last_updated":1651204800000000000},"open_interest":8133,"last_trade":{"price":29},'
    b'"underlying_asset":{"ticker":"AAPL","price":156.1}}],"status":"OK"}'
)
_SPLITS: Final = (
    b'{"results":[{"execution_date":"2022-07-18","split_from":1,"split_to":20,"ticker":"GOOG"}],"status":"OK"}'
)
_DIVIDENDS: Final = (
    b'{"results":[{"ticker":"GOOG","ex_dividend_date":"2024-06-10","cash_amount":0.2,"currency":"USD",'
    b'"dividend_type":"CD"}],"status":"OK"}'
)
_CHART: Final = json.dumps(
    {
        "chart": {
            "result": [
                {
                    "meta": {
                        "currency": "USD",
                        "symbol": "GS",
                        "instrumentType": "EQUITY",
                        "gmtoffset": -14400,
                        "exchangeTimezoneName": "America/New_York",
                        "dataGranularity": "1m",
                    },
                    "timestamp": [1696512600, 1696512660],
                    "events": {
                        "splits": {"1": {"date": 1696512600, "numerator": 2, "denominator": 1, "splitRatio": "2:1"}},
                        "dividends": {"1": {"date": 1696512600, "amount": 2.5}},
                    },
                    "indicators": {
                        "quote": [
                            {
                                "open": [307.3599853515625, None],
                                "high": [310.54998779296875, None],
                                "low": [304.2099914550781, None],
                                "close": [310.5, None],
                                "volume": [1584600, None],
                            }
                        ]
                    },
                }
            ],
            "error": None,
        }
    }
).encode()
_KITE: Final = (
    b'{"status":"success","data":{"candles":[["2025-08-14T09:15:00+0530",93.05,94,92.5,93.1,750,1500],'
    b'["2025-08-14T09:16:00+0530",93.1,93.1,93.1,93.1,0,1500]]}}'
)
_KLINES: Final = (
    b'[[1754999940000,"119294.01000000","119300.1","1.5E+3","119294.2","0.12345678",1754999999999,"1.1",7,"0.1","2",'
    b'"0"],[1754999880000,"1","1","1","1","5",1754999939999,"1",1,"1","1","0"]]'
)
_TWS_BARS: Final = b"\n".join(
    [
        *(b"17", b"7", b"20231005  09:30:00", b"20231005  16:00:00", b"2"),
        *(b"1696512600", b"182.16", b"182.43", b"182", b"182.4", b"1500", b"182.2", b"7"),
        *(b"1696512660", b"5.0E-4", b"5.0E-4", b"5.0E-4", b"5.0E-4", b"1.2345678E7", b"0", b"1"),
    ]
)
_TWS_DAYS: Final = _TWS_BARS.replace(b"1696512600", b"20231005").replace(b"1696512660", b"20231006")
_TWS_TRADES: Final = b"98\n7\n1\n1696512601\n0\n182.16\n3\nNYSE\n\n1"
_TWS_QUOTES: Final = b"97\n7\n1\n1696512600\n0\n182.15\n182.17\n3\n4\n0"
_DETAILS: Final = (
    b"OPT\nsymbol=AAPL\nlocal=AAPL  240119C00150000\nclass=AAPL\nexchange=SMART\ncurrency=USD\nmultiplier=100\n"
    b"strike=150.0\nright=C\nlast=20240119\nexpiry=20240119\ntick=0.01\nsize=1\ntag=ISIN\nisin=US0378331005"
)
_ROWS: Final = ("sources.polygon.numbers:read_json", "sources.polygon.pages:_read", "sources.polygon.numbers:_parsed")

TARGETS: Final = (
    Target(name="polygon-minutes", reads=_ROWS, check=_polygon_bars(_MINUTE), form="json", seeds=(_AGGS,)),
    Target(name="polygon-days", reads=_ROWS, check=_polygon_bars(_DAILY), form="json", seeds=(_AGGS_DAY,)),
    Target(
        name="polygon-contracts",
        reads=("sources.polygon.contracts:_read",),
        check=_polygon_contracts,
        form="json",
        seeds=(_CONTRACTS,),
    ),
    Target(
        name="polygon-snapshot",
        reads=("sources.polygon.snapshots:_read",),
        check=_polygon_snapshot,
        form="json",
        seeds=(_SNAPSHOT,),
    ),
    Target(
        name="polygon-actions",
        reads=("sources.polygon.actions:_splits", "sources.polygon.actions:_unreadable"),
        check=_polygon_actions,
        form="json",
        seeds=(_SPLITS, _DIVIDENDS),
    ),
    Target(
        name="polygon-refusal",
        reads=("sources.polygon.refusals:saying",),
        check=_polygon_refusal,
        form="json",
        seeds=(b'{"status":"NOT_AUTHORIZED","message":"You are not entitled"}', b"<html>no</html>"),
    ),
    Target(
        name="yahoo-minutes",
        reads=("sources.yahoo.replies:chart_of",),
        check=_yahoo_chart(_MINUTE, "EQ"),
        form="json",
        seeds=(_CHART,),
    ),
    Target(
        name="yahoo-days",
        reads=("sources.yahoo.replies:chart_of", "sources.yahoo.actions:splits_of"),
        check=_yahoo_chart(_DAILY, "EQ"),
        form="json",
        seeds=(_CHART.replace(b'"1m"', b'"1d"'),),
    ),
    Target(
        name="yahoo-reply",
        reads=("sources.yahoo.replies:document_of",),
        check=_yahoo_reply,
        form="binary",
        seeds=(
            b"\x00" + _CHART,
            b'\x02{"chart":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}',
            b'\x03{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found"}}}',
            b"\x05<html><title>Too many</title></html>",
        ),
    ),
    Target(
        name="zerodha-minutes",
        reads=("sources.zerodha.candles:rows_of",),
        check=_kite_candles(_MINUTE, with_interest=True),
        form="json",
        seeds=(_KITE,),
    ),
    Target(
        name="zerodha-days-of-an-index",
        reads=("sources.zerodha.candles:rows_of",),
        check=_kite_candles(_DAILY, with_interest=False, has_volume=False),
        form="json",
        seeds=(_KITE.replace(b",1500]", b"]").replace(b"T09:15:00", b"T00:00:00"),),
    ),
    Target(
        name="ccxt-candles",
        reads=("sources.ccxt.client:_parsed", "sources.ccxt.client:candles"),
        check=_ccxt_candles,
        form="json",
        seeds=(_KLINES,),
        prepare=_exchange,
    ),
    Target(
        name="ccxt-market",
        reads=("sources.ccxt.pairs:list_pair",),
        check=_ccxt_market,
        form="json",
        seeds=(b'{"base":"BTC","quote":"USDT","spot":true,"type":"spot","precision":{"price":0.01,"amount":1e-05}}',),
    ),
    Target(
        name="interactive_brokers-minutes",
        reads=(
            "sources.interactive_brokers.replies:read_bars",
            "sources.interactive_brokers.bars:read_bars",
            "sources.interactive_brokers.bars:read_sizes",
            "sources.interactive_brokers.session:_unreadable",
        ),
        check=_tws_bars(_MINUTE, "EQ"),
        form="text",
        seeds=(_TWS_BARS,),
    ),
    Target(
        name="interactive_brokers-days",
        reads=("sources.interactive_brokers.replies:read_bars", "sources.interactive_brokers.bars:read_bars"),
        check=_tws_bars(_DAILY, "EQ"),
        form="text",
        seeds=(_TWS_DAYS,),
    ),
    Target(
        name="interactive_brokers-ticks",
        reads=("sources.interactive_brokers.replies:read_ticks", "sources.interactive_brokers.ticks:read_ticks"),
        check=_tws_ticks,
        form="text",
        seeds=(_TWS_TRADES + b"\n--\n" + _TWS_QUOTES,),
    ),
    Target(
        name="interactive_brokers-details",
        reads=("sources.interactive_brokers.contracts:read_details",),
        check=_tws_details,
        form="text",
        seeds=(_DETAILS, _DETAILS.replace(b"OPT", b"FUT", 1), _DETAILS.replace(b"OPT", b"EQ", 1)),
    ),
    Target(
        name="interactive_brokers-errors",
        reads=("sources.interactive_brokers.errors:verdict",),
        check=_tws_errors,
        form="text",
        seeds=(
            b"162\nHistorical Market Data Service error message:HMDS query returned no data: AAPL@SMART Trades",
            b"2105\nHMDS data farm connection is broken:ushmds",
            b"200\nNo security definition has been found for the request",
        ),
    ),
    Target(
        name="interactive_brokers-names",
        reads=("sources.interactive_brokers.expiries:read_expiry", "sources.interactive_brokers.contracts:read"),
        check=_tws_names,
        form="text",
        seeds=(b"20240119\n265598*100", b"20240229\n1*1"),
        refusals=(PipelineError,),
    ),
)
