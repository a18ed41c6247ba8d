"""What this source offers to the tests that all sources share: hours of May 2018 at a server shaped like Binance."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

from pipeline_tests.sources.ccxt.server import HOUR, ExchangeServer, epoch_ms, invented, recorded_hours, running
from pipeline_tests.sources.offline import Offline, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = dt.date(2018, 5, 2)
LAST = dt.date(2018, 5, 30)
KEY, SECRET = "key-of-an-exchange-for-tests", "secret-of-an-exchange-for-tests"

_HOURS = (
    ("9071.48", "9115.26", "9020", "9041.66", "1542.759072"),
    ("9045.9", "9045.9", "8970.2", "9032.25", "1214.075546"),
    ("9032.25", "9057", "9019.4", "9047", "817.57779"),
    ("9047", "9047", "9001.02", "9039.06", "854.06948"),
    ("9039.05", "9092.37", "9033.27", "9077.01", "812.637855"),
    ("9077.01", "9105.99", "9060", "9061.36", "843.035504"),
    ("9064.99", "9170", "9060.1", "9164", "1431.680577"),
    ("9164", "9170.02", "9120", "9145", "1095.526747"),
    ("9145", "9165.12", "9090.3", "9127.1", "1097.700989"),
    ("9126", "9156.41", "9112.04", "9135.98", "862.080003"),
    ("9135.97", "9217.3", "9122.66", "9156", "1479.282456"),
    ("9162", "9200", "9156.08", "9170.15", "1242.277901"),
    ("9170.15", "9180", "9070", "9085.01", "1336.454507"),
    ("9085", "9113.01", "9031", "9112.92", "1555.332534"),
    ("9106.01", "9129.11", "9079.77", "9101.52", "985.080262"),
    ("9101.52", "9166.44", "9095", "9155", "1048.157548"),
    ("9158.18", "9172.27", "9126.41", "9129", "912.463771"),
    ("9133.99", "9148", "9111.01", "9134", "798.613119"),
    ("9134", "9141", "9101.32", "9125", "748.337881"),
    ("9136.68", "9140", "9068.5", "9138.94", "949.658659"),
    ("9135", "9199", "9108.47", "9190.88", "846.477911"),
    ("9199", "9262.4", "9180.01", "9225.96", "1432.716494"),
    ("9225.96", "9266", "9200.8", "9261.25", "827.417945"),
    ("9261.25", "9268", "9210.38", "9247.84", "1390.12941"),
)
"""Open, high, low, close, volume of the hours of 2 May 2018, from 00:00 UTC on."""


def _row(hour: int, values: tuple[str, ...]) -> Row:
    opens, high, low, close, volume = (Decimal(text) for text in values)
    closes = dt.datetime.combine(DAY, dt.time(), dt.UTC) + dt.timedelta(hours=hour + 1)
    return "BTC/USDT", closes, opens, high, low, close, volume


@contextmanager
def start() -> Iterator[Offline]:
    """Serve BTC/USDT: five days as they were, the rest of the month invented."""
    hours = recorded_hours() | invented(epoch_ms(dt.date(2018, 5, 6)), epoch_ms(LAST) + 24 * HOUR, HOUR)
    with running(ExchangeServer({("BTCUSDT", HOUR): hours})) as server:
        yield Offline(
            environment={
                "PIPELINE_CCXT_ENDPOINT": server.url,
                "CCXT_API_KEY": KEY,
                "CCXT_SECRET": SECRET,
                "PIPELINE_FIRST_DATE": "2018-05-01",  # the recorded hours are older than the usual first partition
            },
            universe={"exchange": "binance", "bars": {"spot_prices": "1h"}, "pairs": ["BTC/USDT"]},
            trade_date=DAY,
            expected={"spot_prices": [_row(hour, values) for hour, values in enumerate(_HOURS)]},
            requests=lambda: list(server.requests),
            secrets=[KEY, SECRET],
            range=(dt.date(2018, 5, 1), LAST),
            fail_next=server.fail_next,
        )
