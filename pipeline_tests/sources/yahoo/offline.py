"""What the tests that all sources share need: GS and the S&P 500 on every session of the last weeks.

Yahoo serves bars within the day of some weeks only, so the days are counted back from today. Every session has the same
bars: those of GS are the recorded ones of 2 October 2023.
"""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from pipeline_defs.markets.market import market
from pipeline_tests.sources.offline import Offline
from pipeline_tests.sources.yahoo.server import Instrument, running, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_tests.sources.offline import Row
    from pipeline_tests.sources.yahoo.server import Bar

NEW_YORK: Final = ZoneInfo("America/New_York")

GS_DAY: Final = (322.0299987792969, 323.5799865722656, 317.1000061035156, 318.5, 1303800)
GS_FIVE_MINUTES: Final = {
    "09:30": (322.0299987792969, 322.5, 318.7099914550781, 319.20001220703125, 40100),
    "09:35": (319.20001220703125, 319.20001220703125, 318.04998779296875, 318.6600036621094, 20050),
    "12:25": (318.6600036621094, 318.6600036621094, 317.44000244140625, 318.5, 0),
}
INDEX_FIVE_MINUTES: Final = {
    "09:30": (4284.52001953125, 4290.1298828125, 4281.06982421875, 4288.39013671875, 0),
    "09:35": (4288.39013671875, 4301.93994140625, 4275.5, 4275.5, 0),
}


@contextmanager
def start() -> Iterator[Offline]:
    """Run the server."""
    calendar = market("US")
    today = calendar.trade_date(dt.datetime.now(dt.UTC))
    first, last = today - dt.timedelta(days=35), today - dt.timedelta(days=6)
    sessions = calendar.sessions(first, last)
    with running() as server:
        gs, index = Instrument(), Instrument(kind="INDEX")
        gs.bars["1d"] = [(seconds(day, "09:30", NEW_YORK), *GS_DAY) for day in sessions]
        gs.bars["5m"] = [bar for day in sessions for bar in _bars(day, GS_FIVE_MINUTES)]
        gs.dividends = [(seconds(sessions[-2], "09:30", NEW_YORK), 2.75)]
        index.bars["5m"] = [bar for day in sessions for bar in _bars(day, INDEX_FIVE_MINUTES)]
        server.instruments = {"GS": gs, "^GSPC": index}
        yield Offline(
            environment={"PIPELINE_YAHOO_ENDPOINT": server.url},
            universe={"equities": ["GS"], "indices": ["^GSPC"], "bars": {"spot_prices": "5m"}},
            trade_date=sessions[-1],
            expected=_expected(sessions[-1]),
            requests=lambda: list(server.history),
            range=(first, last),
            fail_next=server.fail_next,
        )


def _bars(day: dt.date, by_time: dict[str, tuple[float, float, float, float, int]]) -> list[Bar]:
    return [(seconds(day, time, NEW_YORK), *values) for time, values in by_time.items()]


def _expected(day: dt.date) -> dict[str, list[Row]]:
    def row(symbol: str, time: str, prices: str, volume: int | None) -> Row:
        instant = dt.datetime.combine(day, dt.time.fromisoformat(time), NEW_YORK).astimezone(dt.UTC)
        first, high, low, last = map(Decimal, prices.split())
        return symbol, instant, first, high, low, last, None if volume is None else Decimal(volume)

    close = market("US").close(day).astimezone(NEW_YORK).time().isoformat()
    return {
        "equity_daily": [row("GS", close, "322.03 323.58 317.1 318.5", 1303800)],
        "spot_prices": [
            row("GS", "09:35", "322.03 322.5 318.71 319.2", 40100),
            row("GS", "09:40", "319.2 319.2 318.05 318.66", 20050),
            row("GS", "12:30", "318.66 318.66 317.44 318.5", 0),
            row("^GSPC", "09:35", "4284.52 4290.13 4281.07 4288.39", None),
            row("^GSPC", "09:40", "4288.39 4301.94 4275.5 4275.5", None),
        ],
    }
