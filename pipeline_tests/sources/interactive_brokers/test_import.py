"""A day imported from a TWS on loopback, through the real client."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.schema.batches import ImportBatch, ImportRequest
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.interactive_brokers.adapter import InteractiveBrokersSource
from pipeline_tests.sources.interactive_brokers.conftest import dataset, question
from pipeline_tests.sources.interactive_brokers.offline import EXPECTED, RANGE, TRADE_DATE, UNIVERSE, scripted, start
from pipeline_tests.sources.interactive_brokers.tws import DETAILS, HISTORY, POSITIONS, running

LIMITS = InteractiveBrokersSource.limits  # the fixtures lift them

if TYPE_CHECKING:
    from pipeline_tests.sources.interactive_brokers.conftest import MakeSource
    from pipeline_tests.sources.interactive_brokers.tws import Tws


def rows_of(batch: ImportBatch) -> set[tuple[Any, ...]]:
    names = ("symbol", "timestamp", "open", "high", "low", "close", "volume")
    return set(batch.observations.join(batch.contracts, on="contract_key").select(names).rows())


def expected(table: str) -> set[tuple[Any, ...]]:
    """As given by hand; the table's volumes are whole numbers."""
    return set(EXPECTED[table])


def test_a_day_of_every_table_is_exactly_what_tws_told(make_source: MakeSource) -> None:
    with running(scripted()) as tws:
        batches = list(make_source(endpoint=tws.endpoint).fetch(ImportRequest(TRADE_DATE, TRADE_DATE)))
    assert {batch.table: rows_of(batch) for batch in batches} == {table: expected(table) for table in EXPECTED}
    assert all(batch.rejects.is_empty() for batch in batches)


def test_terms_of_contracts_come_with_them(make_source: MakeSource) -> None:
    batches = {batch.table: batch for batch in make_source().fetch(ImportRequest(TRADE_DATE, TRADE_DATE))}
    names = ("kind", "underlying", "expiry", "strike", "option_type", "lot_size", "tick_size", "venue", "currency")
    assert batches["options_ticks"].contracts.select(names).row(0) == (
        "OPT", "ACME", dt.date(2026, 12, 18), Decimal(150), "CE", 100, Decimal("0.01"), "US", "USD",
    )  # fmt: skip
    assert batches["futures_ticks"].contracts.select(names).row(0) == (
        "FUT", "WIDX", dt.date(2026, 12, 18), None, None, 50, Decimal("0.25"), "CME", "USD",
    )  # fmt: skip
    assert batches["equity_daily"].contracts.select("isin", "lot_size").row(0) == ("US0000000001", None)


def test_a_range_is_asked_for_day_by_day_and_daily_bars_at_once(make_source: MakeSource, tws: Tws) -> None:
    batches = list(make_source().fetch(ImportRequest(*RANGE, tables=frozenset({"equity_daily", "futures_ticks"}))))
    stored = {table: {b.trade_date for b in batches if b.table == table and not b.observations.is_empty()} for table in
              ("equity_daily", "futures_ticks")}  # fmt: skip
    assert stored["equity_daily"] == stored["futures_ticks"]
    assert len(stored["equity_daily"]) == 10
    durations = [fields[17] for fields in tws.of_kind(HISTORY)]
    assert durations == ["1 D"] * 10 + ["12 D"]
    assert all(batch.rejects.is_empty() for batch in batches)
    assert len(tws.of_kind(DETAILS)) == 2  # what was found is not looked for again


def test_a_request_is_put_as_tws_wants_it(make_source: MakeSource, tws: Tws) -> None:
    list(make_source().fetch(ImportRequest(TRADE_DATE, TRADE_DATE, tables=frozenset({"futures_ticks"}))))
    (fields,) = tws.of_kind(HISTORY)
    # ... expired futures included, until the end of the day in New York, regular hours, times as numbers, not live
    assert fields[14:] == ["1", "20261015 03:59:59 UTC", "1 min", "1 D", "1", "TRADES", "2", "0", ""]


def test_tws_is_not_asked_for_an_end_in_the_future(make_source: MakeSource, tws: Tws) -> None:
    now = dt.datetime(2026, 10, 14, 21, 0, 30, tzinfo=dt.UTC)
    source = make_source(clock=lambda: now, universe={"equities": ["ACME"]})
    list(source.fetch(ImportRequest(TRADE_DATE, TRADE_DATE, tables=frozenset({"spot_prices"}))))
    assert tws.of_kind(HISTORY)[0][15] == "20261014 21:00:30 UTC"


def test_while_a_session_runs_tws_is_asked_for_whole_bars(make_source: MakeSource, tws: Tws) -> None:
    now = dt.datetime(2026, 10, 14, 13, 32, 30, tzinfo=dt.UTC)
    source = make_source(clock=lambda: now, universe={"equities": ["ACME"]})
    (batch,) = source.fetch(ImportRequest(TRADE_DATE, TRADE_DATE, tables=frozenset({"spot_prices"})))
    # An end within a bar would cut it, and it would pass for a complete one.
    assert tws.of_kind(HISTORY)[0][15] == "20261014 13:32:00 UTC"
    assert (batch.observations.height, batch.rejects.height) == (2, 0)
    assert batch.delivery is None


def test_days_without_trading_are_not_asked_for(make_source: MakeSource, tws: Tws) -> None:
    saturday = dt.date(2026, 10, 17)
    batches = list(make_source().fetch(ImportRequest(saturday, saturday)))
    assert {batch.empty_reason for batch in batches} == {"weekend"}
    assert tws.connections == 0


def test_nothing_about_the_account_is_asked_for(make_source: MakeSource, tws: Tws) -> None:
    list(make_source().fetch(ImportRequest(TRADE_DATE, TRADE_DATE)))
    assert tws.of_kind(POSITIONS) == []
    assert tws.greetings == ["v157..178"]
    assert {fields[0] for fields in tws.requests} == {"71", "9", "20", "78"}


@pytest.mark.parametrize("version", [157, 163, 164, 176, 178])
def test_each_version_of_the_protocol_that_the_client_speaks_is_read(make_source: MakeSource, version: int) -> None:
    server = scripted()
    server.version = version
    with running(server) as tws:
        tables = frozenset({"options_ticks"})
        (batch,) = make_source(endpoint=tws.endpoint).fetch(ImportRequest(TRADE_DATE, TRADE_DATE, tables=tables))
    assert rows_of(batch) == expected("options_ticks")


def test_daily_bars_before_the_window_are_left_out_and_said(make_source: MakeSource, tws: Tws) -> None:
    source = make_source(universe={"equities": ["ACME"]})
    daily = dataset("equity_daily", source)
    (listed,) = source.list_instruments(daily, question(source, _any_listed(source), daily).window)
    # IB counts sessions: a week of days reaches back further than a week.
    answer = source.ask(question(source, listed, daily, dt.date(2026, 10, 12), dt.date(2026, 10, 18)))
    assert answer.rows.height == 5
    assert answer.note == "2 bars before the window were left out"
    assert answer.rows["timestamp"].min() == dt.datetime(2026, 10, 12, 20, tzinfo=dt.UTC)
    assert tws.of_kind(HISTORY)[-1][17] == "7 D"


def _any_listed(source: Any) -> Any:
    daily = dataset("equity_daily", source)
    from pipeline_defs.sources.asking.questions import Window  # noqa: PLC0415

    return source.list_instruments(daily, Window(TRADE_DATE, TRADE_DATE))[0]


def test_the_server_of_the_shared_tests_gives_what_it_promises(
    monkeypatch: pytest.MonkeyPatch, make_source: MakeSource
) -> None:
    with start() as offline:
        for name, value in offline.environment.items():
            monkeypatch.setenv(name, value)
        assert offline.fail_next is not None
        offline.fail_next(429, {"Retry-After": "1"}, 1)
        offline.fail_next(503, {}, 1)
        source = make_source(endpoint=None, universe=offline.universe)
        batches = list(source.fetch(ImportRequest(offline.trade_date, offline.trade_date)))
        assert {batch.table: rows_of(batch) for batch in batches} == {
            table: set(rows) for table, rows in offline.expected.items()
        }
        assert len(offline.requests()) == 6 + 2
        assert source.get_metadata().source_url == offline.environment["PIPELINE_INTERACTIVE_BROKERS_ENDPOINT"]


def test_bars_of_another_length_are_asked_for_in_the_words_of_tws(make_source: MakeSource, tws: Tws) -> None:
    source = make_source(universe={**UNIVERSE, "bars": {"futures_ticks": "5m"}})
    day = TRADE_DATE
    begin = int(source.market.open(day).timestamp())
    tws.world.bars[301, "5 mins", day] = [(str(begin), "1.5", "1.5", "1.5", "1.5", "2", "1.5", "1")]
    (batch,) = source.fetch(ImportRequest(day, day, tables=frozenset({"futures_ticks"})))
    assert tws.of_kind(HISTORY)[0][16] == "5 mins"
    assert batch.observations.select("timestamp", pl.col("volume").cast(pl.Int64)).rows() == [
        (dt.datetime(2026, 10, 14, 13, 35, tzinfo=dt.UTC), 100)
    ]


def test_the_usual_patience_outlasts_the_longest_limit() -> None:
    """Else the sixty-first request of a backfill would give up its turn instead of waiting for it."""
    patience = InteractiveBrokersSource(universe=SourceUniverse()).patience
    assert patience.total_seconds > 600
    assert {limit.group for limit in LIMITS} == {"history", "details"}
    assert all(patience.total_seconds > limit.seconds for limit in LIMITS)
