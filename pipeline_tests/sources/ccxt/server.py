"""Exchanges on the loopback: Binance's and Kraken's public interfaces, HTTP and WebSocket on one port."""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOURS = Path(__file__).parents[2] / "fixtures/crypto/binance_BTCUSDT_1h_2018.lean.csv"
MINUTES = Path(__file__).parent / "recorded/binance_BTCBUSD_1m_20221213.lean.csv"
MINUTES_DAY = dt.date(2022, 12, 13)
MINUTE, HOUR = 60_000, 3_600_000
BINANCE_MOST, BINANCE_USUAL, KRAKEN_NEWEST = 1000, 500, 720
LENGTHS = {"1m": MINUTE, "5m": 5 * MINUTE, "1h": HOUR, "1d": 24 * HOUR}

type Candle = tuple[str, str, str, str, str]
"""Open, high, low, close, volume."""


@dataclass
class Canned:
    """A reply in place of the next one: `cut` ends it early, `hang` never begins it."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    hang: bool = False


def epoch_ms(day: dt.date) -> int:
    return round(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp() * 1000)


@cache
def recorded_hours() -> dict[int, Candle]:
    with HOURS.open(encoding="utf-8") as lines:
        rows = list(csv.reader(lines))
    return {
        round(dt.datetime.strptime(row[0], "%Y%m%d %H:%M").replace(tzinfo=dt.UTC).timestamp() * 1000): _candle(row)
        for row in rows
    }


@cache
def recorded_minutes() -> dict[int, Candle]:
    begin = epoch_ms(MINUTES_DAY)
    with MINUTES.open(encoding="utf-8") as lines:
        return {begin + int(row[0]): _candle(row) for row in csv.reader(lines)}


@cache
def invented(first: int, last: int, step: int) -> dict[int, Candle]:
    """Candles of our own from first to last, both inclusive."""
    return {
        time: _candle(["", str(base), str(base + 5), str(base - 3), str(base + 1), f"{at % 7 + 1}.25"])
        for at, time in enumerate(range(first, last + 1, step))
        for base in [Decimal(9000) + at % 400 + Decimal(at % 100) / 100]
    }


def _candle(row: list[str]) -> Candle:
    opens, high, low, close, volume = (f"{Decimal(text):.8f}" for text in row[1:6])
    return opens, high, low, close, volume


@dataclass
class ExchangeServer:
    """What it knows, what it was asked, and troubles that can be planted."""

    candles: dict[tuple[str, int], dict[int, Candle]] = field(default_factory=dict)
    """By the exchange's own name of the pair, and length in milliseconds."""
    now: Callable[[], int] = lambda: round(dt.datetime.now(dt.UTC).timestamp() * 1000)
    requests: list[str] = field(default_factory=list)
    """For candles."""
    every_request: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    next_candles: list[Canned | None] = field(default_factory=list)
    """For the next requests for candles; None answers one as usual."""
    next_markets: list[Canned] = field(default_factory=list)
    pushes: list[Any] = field(default_factory=list)
    """Each connection takes the first one: messages to send; then it is closed, or kept if the last is None."""
    subscriptions: list[Any] = field(default_factory=list)
    url: str = ""

    def fail_next(self, status: int, headers: dict[str, str], times: int) -> None:
        self.next_candles.extend(Canned(status, "planted", headers) for _ in range(times))

    # Binance. ----------------------------------------------------------------------------------------------------

    async def exchange_info(self, request: web.Request) -> web.StreamResponse:
        self.every_request.append(request.path)
        if self.next_markets:
            return await _give(self.next_markets.pop(0), request)
        pairs = [
            ("BTC", "USDT", "0.01000000"),
            ("BTC", "BUSD", "0.01000000"),
            ("ETH", "BTC", "0.00000100"),
        ]
        return web.json_response({"timezone": "UTC", "symbols": [_binance_market(*pair) for pair in pairs]})

    async def klines(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        canned = self.next_candles.pop(0) if self.next_candles else None
        if canned is not None:
            return await _give(canned, request)
        asked = request.query
        length = LENGTHS[asked["interval"]]
        candles = self.candles.get((asked["symbol"], length))
        if candles is None:
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        limit = min(int(asked.get("limit", BINANCE_USUAL)), BINANCE_MOST)
        times = [time for time in sorted(candles) if time >= int(asked.get("startTime", 0))][:limit]
        return web.json_response([_kline(time, length, candles[time]) for time in times])

    # Kraken. -----------------------------------------------------------------------------------------------------

    async def asset_pairs(self, request: web.Request) -> web.StreamResponse:
        self.every_request.append(request.path)
        if self.next_markets:
            return await _give(self.next_markets.pop(0), request)
        return web.json_response({"error": [], "result": {"XBTUSDT": _kraken_market("XBT", "USDT", 1)}})

    async def ohlc(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        canned = self.next_candles.pop(0) if self.next_candles else None
        if canned is not None:
            return await _give(canned, request)
        asked = request.query
        length = int(asked["interval"]) * MINUTE
        candles = self.candles.get((asked["pair"], length))
        if candles is None:
            return web.json_response({"error": ["EQuery:Unknown asset pair"]})
        known = [time for time in sorted(candles) if time <= self.now()]
        served = [time for time in known[-KRAKEN_NEWEST:] if time >= int(asked.get("since", 0)) * 1000]
        rows = [
            [time // 1000, *candles[time][:4], candles[time][3], candles[time][4], 1] for time in served or known[-1:]
        ]
        return web.json_response({"error": [], "result": {asked["pair"]: rows, "last": known[-2] // 1000}})

    # Both. -------------------------------------------------------------------------------------------------------

    async def socket(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        told = await socket.receive()
        assert told.type is WSMsgType.TEXT
        self.subscriptions.append(json.loads(told.data))
        messages = self.pushes.pop(0) if self.pushes else [None]
        for message in messages:
            if message is None:
                await socket.receive()
            elif isinstance(message, float):
                await asyncio.sleep(message)
            else:
                await socket.send_str(message if isinstance(message, str) else json.dumps(message))
        await socket.close()
        return socket

    def _note(self, request: web.Request) -> None:
        self.every_request.append(request.path)
        self.requests.append(f"{request.path}?{request.query_string}")
        self.headers.append(dict(request.headers))


async def _give(canned: Canned, request: web.Request) -> web.StreamResponse:
    if canned.hang:
        await asyncio.sleep(30)
    if not canned.cut:
        return web.Response(status=canned.status, text=canned.body, headers=canned.headers)
    reply = web.StreamResponse(status=canned.status, headers={"Content-Length": str(len(canned.body))})
    await reply.prepare(request)
    await reply.write(canned.body[: len(canned.body) // 2].encode())
    assert request.transport is not None
    request.transport.close()
    return reply


def _kline(time: int, length: int, candle: Candle) -> list[Any]:
    return [time, *candle, time + length - 1, "0", 1, "0", "0", "0"]


def _binance_market(base: str, quote: str, tick: str) -> dict[str, Any]:
    return {
        "symbol": base + quote,
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.0", "stepSize": "0.00001000"},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
    }


def _kraken_market(base: str, quote: str, decimals: int) -> dict[str, Any]:
    return {
        "altname": base + quote,
        "wsname": f"{base}/{quote}",
        "aclass_base": "currency",
        "base": f"X{base}",
        "aclass_quote": "currency",
        "quote": quote,
        "pair_decimals": decimals,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [2, 3],
        "leverage_sell": [2, 3],
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "ordermin": "0.00005",
        "costmin": "0.5",
        "tick_size": "0.1",
        "status": "online",
    }


@contextmanager
def running(server: ExchangeServer) -> Iterator[ExchangeServer]:
    """Serve on a free port until the end of the block."""
    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_get("/api/v3/exchangeInfo", server.exchange_info)
    app.router.add_get("/api/v3/klines", server.klines)
    app.router.add_get("/0/public/AssetPairs", server.asset_pairs)
    app.router.add_get("/0/public/OHLC", server.ohlc)
    app.router.add_get("/ws/{stream}", server.socket)
    app.router.add_get("/v2", server.socket)
    runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def start() -> int:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return int(runner.addresses[0][1])

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        server.url = f"http://127.0.0.1:{port}"
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
