"""What is told while the market is open: Kite's binary packets, Yahoo's protobuf, Polygon's events."""

from __future__ import annotations

import base64
import datetime as dt
import json
import struct
from functools import cache
from typing import Any, Final

import polars as pl

from pipeline_defs.markets.market import market
from pipeline_defs.sources.asking.questions import Listed
from pipeline_defs.sources.asking.streaming import Heard
from pipeline_defs.sources.polygon.listening import Told
from pipeline_defs.sources.polygon.live import _Conversation
from pipeline_defs.sources.yahoo.ticks import decode, tick_rows
from pipeline_defs.sources.zerodha.ticker_process import row_of
from pipeline_defs.sources.zerodha.ticks import Ticks
from pipeline_tests.fuzzing.helping import check_answer
from pipeline_tests.fuzzing.target import Target

_TOKEN: Final = 10_222_082
_SHARE: Final = 738_561
_INDEX: Final = 256_265
_SECOND: Final = 1_755_661_500
_LISTED: Final = (
    Listed(f"{_TOKEN}", {"kind": "OPT", "symbol": "NIFTY30DEC24500CE"}),
    Listed(f"{_SHARE}", {"kind": "EQ", "symbol": "RELIANCE"}),
    Listed(f"{_INDEX}", {"kind": "SPOT", "symbol": "NIFTY 50"}),
)
_AT: Final = dt.datetime(2025, 8, 20, 3, 45, tzinfo=dt.UTC)


@cache
def _ticker() -> Any:
    from kiteconnect import KiteTicker  # noqa: PLC0415 -- heavy

    return object.__new__(KiteTicker)


def _kite(data: bytes) -> None:
    """Take a frame apart as the vendor's client does, and hand on what the process of the ticker would."""
    try:
        ticks = _ticker()._parse_binary(data)
    except (struct.error, IndexError):
        return  # the client loses the connection then, which is told as a silence
    rows = [row_of(tick) for tick in ticks if tick["mode"] == "full" and tick["last_price"]]
    told = json.loads(json.dumps({"ticks": rows}), parse_float=str)["ticks"]
    reader = Ticks(_LISTED)
    heard = [*reader.heard(told), *reader.heard(told)]
    known = {int(one.vendor_id) for one in _LISTED}
    assert sum(one.rows.height for one in heard) == 2 * sum(row[0] in known for row in rows)
    for one in heard:
        check_answer(one.rows)
        assert one.rows["close"].null_count() == 0


def _yahoo(data: bytes) -> None:
    message = decode(data)
    if message is not None:
        rows = tick_rows([message, message])
        check_answer(rows, 2)
        assert rows["timestamp"].null_count() == 0 or rows["reason"].null_count() == 0


def _polygon(data: bytes) -> None:
    listed = Listed("AAPL", {"kind": "EQ", "symbol": "AAPL", "underlying": "AAPL"})
    talk = _Conversation({"AAPL": listed}, 60, "AM", market("US"), connection=1, last=_AT)
    heard = list(talk.understand(Told("stocks", 1, data, _AT)))
    for one in heard:
        assert isinstance(one, Heard)
        good = check_answer(one.rows)
        assert good.filter(pl.col("timestamp").is_null()).is_empty()


def _packet(token: int, *, second: int = _SECOND) -> bytes:
    head = struct.pack(">11I", token, 9305, 75, 9300, 1000, 500, 600, 9250, 9400, 9200, 9310)
    state = struct.pack(">5I", second, 1500, 1600, 1400, second)
    return head + state + b"".join(struct.pack(">IIHH", 75, 9300 + place, 1, 0) for place in range(10))


def _frame(*packets: bytes) -> bytes:
    return struct.pack(">H", len(packets)) + b"".join(struct.pack(">H", len(one)) + one for one in packets)


def _pricing() -> bytes:
    from yfinance.pricing_pb2 import PricingData  # noqa: PLC0415 -- heavy

    told = PricingData(id="GS", price=310.5, time=1696512600000, currency="USD", exchange="NYQ", bid=310.4, ask=310.6)
    return json.dumps({"type": "pricing", "message": base64.b64encode(told.SerializeToString()).decode()}).encode()


TARGETS: Final = (
    Target(
        name="zerodha-stream",
        reads=("sources.zerodha.ticks:heard", "sources.zerodha.listening:_read"),
        check=_kite,
        form="binary",
        seeds=(
            _frame(_packet(_TOKEN), _packet(_SHARE)),
            _frame(struct.pack(">8I", _INDEX, 2_460_005, 1, 1, 1, 1, 0, _SECOND)),
            _frame(_packet(_TOKEN, second=0)),
            b"\x00",
        ),
    ),
    Target(name="yahoo-stream", reads=("sources.yahoo.ticks:decode",), check=_yahoo, form="json", seeds=(_pricing(),)),
    Target(
        name="polygon-stream",
        reads=("sources.polygon.live:understand", "sources.polygon.numbers:read_messages"),
        check=_polygon,
        form="json",
        seeds=(
            b'[{"ev":"AM","sym":"AAPL","v":1500,"o":182.16,"c":182.4,"h":182.43,"l":182,"s":1755661500000,'
            b'"e":1755661560000}]',
            b'[{"ev":"status","status":"auth_success","message":"authenticated"}]',
        ),
    ),
)
