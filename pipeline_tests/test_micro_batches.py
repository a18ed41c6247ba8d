"""Looks at a running session: only what was completed, only what is missing, and in the end the day as it is alone."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from pipeline_defs.errors import ConfigurationError, MarketRuleError, UnansweredError
from pipeline_defs.micro_batches import intraday_datasets, store_completed
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.asking.calling import Patience
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.ccxt.adapter import CcxtSource
from pipeline_defs.staleness import latest_states
from pipeline_defs.warehouse.cache import list_statistics
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_tests.sources.ccxt.server import MINUTE, Canned, ExchangeServer, epoch_ms, invented, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.warehouse.reports import LoadReport

DAY = dt.date(2025, 5, 2)
MIDNIGHT = dt.datetime(2025, 5, 2, tzinfo=dt.UTC)
QUICK = Patience(tries=2, total_seconds=20, try_seconds=5, first_wait_seconds=0.01)
PAIRS = ("BTCUSDT", "ETHBTC")
RUNNING = ("1.00000000", "1.00000000", "1.00000000", "1.00000000", "0.01000000")
"""What the exchange says of a candle that is not over."""

HISTORY = 'SELECT "timestamp", change FROM spot_prices_history ORDER BY 1'
ROWS = """
SELECT a.symbol, o."timestamp", o.bar_seconds, o.sequence, o.open, o.high, o.low, o.close, o.volume, o.open_interest
FROM spot_prices AS o JOIN instrument_aliases AS a USING (instrument_id, source) ORDER BY 1, 2, 4
"""


def at(hour: int, minute: int, second: int = 0) -> dt.datetime:
    return MIDNIGHT + dt.timedelta(hours=hour, minutes=minute, seconds=second)


class Exchange:
    """Binance on the loopback, which tells what it knows at a time: whole minutes, and one that is not over."""

    def __init__(self, server: ExchangeServer) -> None:
        self.server = server
        self.truth = {pair: dict(invented(epoch_ms(DAY), epoch_ms(DAY) + 1439 * MINUTE, MINUTE)) for pair in PAIRS}
        self.now = MIDNIGHT
        self.late: set[tuple[str, dt.datetime]] = set()
        """Minutes, by their begin, that are not published yet."""

    def set(self, now: dt.datetime) -> None:
        self.now = now
        stamp = round(now.timestamp() * 1000)
        late = {(pair, round(begin.timestamp() * 1000)) for pair, begin in self.late}
        for pair, candles in self.truth.items():
            known = {time: values for time, values in candles.items() if time + MINUTE <= stamp}
            if (begun := stamp - stamp % MINUTE) in candles:
                known[begun] = RUNNING
            told = {time: values for time, values in known.items() if (pair, time) not in late}
            self.server.candles[pair, MINUTE] = told

    def source(self, **changed: Any) -> CcxtSource:
        universe = SourceUniverse.model_validate({"exchange": "binance", "pairs": ["BTC/USDT", "ETH/BTC"], **changed})
        return CcxtSource(universe=universe, endpoint=self.server.url, patience=QUICK, clock=lambda: self.now)

    def asked(self) -> list[tuple[str, dt.datetime, int]]:
        """Give each request for candles so far, and forget them: pair, since when, how many minutes."""
        queries = [parse_qs(urlsplit(request).query) for request in self.server.requests]
        self.server.requests.clear()
        return [
            (
                query["symbol"][0],
                dt.datetime.fromtimestamp(int(query["startTime"][0]) / 1000, dt.UTC),
                int(query["limit"][0]),
            )
            for query in queries
        ]


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


@pytest.fixture
def warehouse(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    return Warehouse(database_url)


@pytest.fixture
def other_warehouse(migrated_url: str, postgres_url: str) -> Iterator[Warehouse]:
    """A second database, for the day that was never looked at while it ran."""
    name, template = f"other_{os.getpid()}", urlsplit(migrated_url).path.removeprefix("/")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        yield Warehouse(urlsplit(postgres_url)._replace(path=f"/{name}").geturl())
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with running(ExchangeServer()) as server:
        yield Exchange(server)


def look(warehouse: Warehouse, exchange: Exchange, now: dt.datetime) -> LoadReport:
    exchange.set(now)
    (report,) = store_completed(warehouse, exchange.source())
    return report


def whole_day(warehouse: Warehouse, exchange: Exchange) -> None:
    exchange.set(at(24, 2))
    (report,) = import_source(warehouse, exchange.source(), ImportRequest(DAY, DAY))
    assert report.status == "complete"


def rows(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(ROWS).fetchall()


def ask(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def test_looks_and_the_days_own_run_give_the_day_as_its_run_alone_gives_it(
    warehouse: Warehouse, other_warehouse: Warehouse, exchange: Exchange
) -> None:
    for now in (at(0, 5, 30), at(0, 10, 30), at(4, 0, 30), at(23, 59, 30)):
        assert look(warehouse, exchange, now).status == "complete"
    looked = rows(warehouse)
    assert len(looked) == 2 * 1439
    assert ask(warehouse, HISTORY) == []

    # The vendor revises one minute and takes another back before the day is over.
    exchange.truth["BTCUSDT"][epoch_ms(DAY) + 60 * MINUTE] = ("9.1", "9.3", "9.0", "9.2", "4.5")
    del exchange.truth["ETHBTC"][epoch_ms(DAY) + 61 * MINUTE]
    whole_day(warehouse, exchange)
    whole_day(other_warehouse, exchange)

    assert rows(warehouse) == rows(other_warehouse)
    assert len(rows(warehouse)) == 2 * 1440 - 1
    assert ask(warehouse, HISTORY) == [(at(1, 1), "corrected"), (at(1, 2), "retired")]
    assert ask(other_warehouse, HISTORY) == []


def test_each_look_asks_only_for_what_is_missing(warehouse: Warehouse, exchange: Exchange) -> None:
    first = look(warehouse, exchange, at(0, 5, 30))
    assert sorted(exchange.asked()) == [("BTCUSDT", at(0, 0), 5), ("ETHBTC", at(0, 0), 5)]
    assert (first.stored, first.quarantined, first.complete_to) == (10, {}, at(0, 5))

    second = look(warehouse, exchange, at(0, 7, 30))
    assert sorted(exchange.asked()) == [("BTCUSDT", at(0, 5), 2), ("ETHBTC", at(0, 5), 2)]
    assert (second.stored, second.unchanged, second.complete_to) == (4, 0, at(0, 7))

    again = look(warehouse, exchange, at(0, 7, 50))
    assert exchange.asked() == []
    assert (again.cache, again.calls, again.stored, again.complete_to) == ("hit", 0, 0, at(0, 7))
    (statistics,) = list_statistics(warehouse)
    assert (statistics.hits, statistics.misses) == (1, 2)


def test_looks_every_five_minutes_never_take_the_newest_bars_for_fresh(
    warehouse: Warehouse, exchange: Exchange
) -> None:
    found = [look(warehouse, exchange, at(0, minute, second)) for minute, second in ((5, 12), (10, 11), (15, 10))]

    assert [report.complete_to for report in found] == [at(0, 5), at(0, 10), at(0, 15)]
    assert [report.cache for report in found] == ["miss"] * 3
    assert len(rows(warehouse)) == 2 * 15


def test_who_imports_and_who_watches_sees_what_looks_have_stored(warehouse: Warehouse, exchange: Exchange) -> None:
    look(warehouse, exchange, at(0, 10, 30))
    exchange.asked()
    exchange.set(at(0, 14, 30))
    (report,) = import_source(warehouse, exchange.source(), ImportRequest(DAY, DAY))
    assert (report.cache, report.complete_to, exchange.asked()) == ("hit", at(0, 10), [])
    states = {
        minute: [one.is_fresh for one in latest_states(warehouse, exchange.source(), at(0, minute), sessions=0)]
        for minute in (14, 17)
    }
    assert states == {14: [True], 17: [False]}

    exchange.set(at(0, 17, 30))
    (report,) = import_source(warehouse, exchange.source(), ImportRequest(DAY, DAY))
    assert sorted(exchange.asked()) == [("BTCUSDT", at(0, 10), 7), ("ETHBTC", at(0, 10), 7)]
    assert look(warehouse, exchange, at(0, 17, 50)).cache == "hit"


def test_a_bar_that_was_published_late_is_asked_for_again_for_its_instrument_alone(
    warehouse: Warehouse, exchange: Exchange
) -> None:
    exchange.late = {("ETHBTC", at(0, 4))}
    look(warehouse, exchange, at(0, 5, 30))
    exchange.asked()
    exchange.late = set()
    report = look(warehouse, exchange, at(0, 6, 30))

    assert sorted(exchange.asked()) == [("BTCUSDT", at(0, 5), 1), ("ETHBTC", at(0, 4), 2)]
    assert (report.stored, report.retired) == (3, 0)
    assert len(rows(warehouse)) == 12


def test_a_bar_is_not_taken_before_it_has_settled_and_never_while_it_runs(
    warehouse: Warehouse, exchange: Exchange
) -> None:
    with pytest.raises(MarketRuleError, match="no complete bar yet, but will have one at 00:01:10 UTC"):
        look(warehouse, exchange, at(0, 1, 5))
    assert exchange.server.every_request == []
    look(warehouse, exchange, at(0, 2, 30))

    assert {stamp for _, stamp, *_ in rows(warehouse)} == {at(0, 1), at(0, 2)}
    assert all(close > 1 for *_, close, _, _ in rows(warehouse))
    assert ask(warehouse, "SELECT reason FROM quarantine") == []


def test_a_running_candle_that_an_exchange_gives_all_the_same_is_refused_without_a_trace(
    warehouse: Warehouse, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange.set(at(0, 3, 30))
    source = exchange.source()
    real = source.ask

    def generous(question: Any) -> Any:
        return real(dataclasses.replace(question, start=at(0, 0), end=at(24, 0)))

    monkeypatch.setattr(source, "ask", generous)
    (report,) = store_completed(warehouse, source)
    assert (report.stored, report.read) == (6, 6)

    exchange.late = {(pair, at(0, 3)) for pair in PAIRS}
    exchange.set(at(0, 4, 30))  # all that there is after the last bar is the one that runs
    exchange.asked()
    (nothing,) = store_completed(warehouse, source)
    assert len(exchange.asked()) == 2
    assert (nothing.status, nothing.read, nothing.complete_to) == ("empty", 0, at(0, 3))
    assert nothing.message == "nothing new from 00:03 to 00:04 UTC; the session is running"
    assert ask(warehouse, "SELECT reason FROM quarantine") == []


def test_what_the_load_speaks_of_is_its_window(warehouse: Warehouse, exchange: Exchange) -> None:
    look(warehouse, exchange, at(0, 5, 30))
    look(warehouse, exchange, at(0, 7, 30))

    instant = dt.timedelta(microseconds=1)
    assert ask(
        warehouse, "SELECT window_start, window_end, delivery_digest, rows_stored FROM loads ORDER BY load_id"
    ) == [
        (at(0, 0) + instant, at(0, 5) + instant, None, 10),
        (at(0, 5) + instant, at(0, 7) + instant, None, 4),
    ]
    assert {name for (name,) in ask(warehouse, "SELECT logical_name FROM load_files")} == {
        f"60/{DAY}/binance:{pair}" for pair in ("BTC/USDT", "ETH/BTC")
    }


def test_the_days_run_asks_for_the_whole_day_although_parts_are_stored(
    warehouse: Warehouse, exchange: Exchange
) -> None:
    look(warehouse, exchange, at(12, 0, 30))
    exchange.asked()
    whole_day(warehouse, exchange)

    assert [since for pair, since, _ in exchange.asked() if pair == "BTCUSDT"] == [at(0, 0), at(16, 40)]


def test_two_looks_at_once_store_every_bar_once(warehouse: Warehouse, exchange: Exchange) -> None:
    exchange.set(at(0, 10, 30))
    together = threading.Barrier(2, timeout=20)

    def one() -> LoadReport:
        source = exchange.source()
        source.list_instruments(source.datasets[0], None)  # type: ignore[arg-type]
        together.wait()
        (report,) = store_completed(warehouse, source)
        return report

    with ThreadPoolExecutor(2) as pool:
        both = [future.result() for future in [pool.submit(one), pool.submit(one)]]

    assert sum(report.stored for report in both) == 20
    assert len(rows(warehouse)) == len({row[:2] for row in rows(warehouse)}) == 20
    assert ask(warehouse, HISTORY) == []


PROGRAM = """
import datetime as dt, sys
from pipeline_defs.micro_batches import store_completed
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.ccxt.adapter import CcxtSource
from pipeline_defs.warehouse.connection import Warehouse
now = dt.datetime.fromisoformat(sys.argv[3])
universe = SourceUniverse.model_validate({"exchange": "binance", "pairs": ["BTC/USDT", "ETH/BTC"]})
list(store_completed(Warehouse(sys.argv[1]), CcxtSource(universe=universe, endpoint=sys.argv[2], clock=lambda: now)))
"""


def test_a_killed_look_loses_nothing(warehouse: Warehouse, exchange: Exchange) -> None:
    look(warehouse, exchange, at(0, 5, 30))
    before = rows(warehouse)
    exchange.asked()
    now = at(0, 9, 30)
    exchange.set(now)
    exchange.server.next_candles = [None, Canned(hang=True)]
    command = [sys.executable, "-c", PROGRAM, warehouse.url, exchange.server.url, now.isoformat()]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while len(exchange.server.requests) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert len(exchange.asked()) == 2  # it was killed while the second answer was on its way
    assert rows(warehouse) == before

    look(warehouse, exchange, at(0, 11, 30))
    assert sorted(exchange.asked()) == [("BTCUSDT", at(0, 5), 6), ("ETHBTC", at(0, 5), 6)]
    assert len(rows(warehouse)) == 22


def test_what_was_answered_is_stored_before_a_failure_is_told(warehouse: Warehouse, exchange: Exchange) -> None:
    exchange.set(at(0, 5, 30))
    exchange.server.next_candles = [None, *(Canned(503, "out of order") for _ in range(2))]
    with pytest.raises(UnansweredError, match="ETH/BTC"):
        list(store_completed(warehouse, exchange.source()))
    assert {symbol for symbol, *_ in rows(warehouse)} == {"BTC/USDT"}

    # It does not account for the others: nobody takes the session for fresh up to there.
    exchange.asked()
    assert latest_states(warehouse, exchange.source(), at(0, 5, 40), sessions=0) == []
    report = look(warehouse, exchange, at(0, 5, 50))
    assert sorted(exchange.asked()) == [("BTCUSDT", at(0, 0), 5), ("ETHBTC", at(0, 0), 5)]
    assert (report.stored, report.unchanged) == (5, 5)


def test_hours_are_counted_from_the_open(warehouse: Warehouse, exchange: Exchange) -> None:
    source = exchange.source(bars={"spot_prices": "1h"})
    exchange.server.candles = {
        (pair, 60 * MINUTE): dict(invented(epoch_ms(DAY), epoch_ms(DAY) + 3 * 60 * MINUTE, 60 * MINUTE))
        for pair in PAIRS
    }
    exchange.now = at(2, 59)
    (report,) = store_completed(warehouse, source)

    assert report.bar_seconds == 3600
    assert sorted({stamp for _, stamp, *_ in rows(warehouse)}) == [at(1, 0), at(2, 0)]


def test_nothing_is_asked_for_where_no_bars_within_the_day_are_wanted(exchange: Exchange) -> None:
    with pytest.raises(ConfigurationError, match="no bars of ccxt within the day for any table"):
        intraday_datasets(exchange.source(bars={"spot_prices": "1d"}))
    with pytest.raises(ConfigurationError, match="names no instrument of ccxt for options_ticks"):
        intraday_datasets(exchange.source(), ["options_ticks"])


def test_outside_a_session_nothing_is_asked_and_the_reason_is_told(
    warehouse: Warehouse, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CcxtSource, "default_market", "US")
    for now, reason in (
        (at(13, 0), "opens at 13:30 UTC"),
        (at(20, 2), "closed at 20:00 UTC"),
        (at(48, 0), "no session on 2025-05-03: weekend"),
    ):
        with pytest.raises(MarketRuleError, match=reason):
            look(warehouse, exchange, now)

    assert exchange.server.every_request == []
    assert ask(warehouse, "SELECT * FROM loads") == []
