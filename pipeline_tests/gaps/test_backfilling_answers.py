"""Gaps of a source that is asked over a network: what is asked, how often, and what is remembered."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from pipeline_defs.gaps.assessing import Assessment, assess_partition
from pipeline_defs.gaps.backfilling import Backfill, Backfiller
from pipeline_defs.gaps.ledger import Scope, list_gaps
from pipeline_defs.gaps.series import Series, list_series
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.warehouse.loading import import_source
from pipeline_tests.gaps.conftest import DAY, LATER, pairs_of, supplies_of
from pipeline_tests.sources.ccxt.server import HOUR, ExchangeServer, epoch_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse

HOLE = range(5, 8)
"""Hours of the day that the exchange leaves out at first."""
SERIES = Series("spot_prices", "ccxt", 3_600, DAY, DAY)


def cut(server: ExchangeServer, pair: str, hours: range = HOLE) -> dict[int, Any]:
    """Take hours out of a pair's candles, and give them to be put back."""
    candles = server.candles[pair, HOUR]
    return {time: candles.pop(time) for time in (epoch_ms(DAY) + hour * HOUR for hour in hours)}


def import_days(
    warehouse: Warehouse, server: ExchangeServer, first: dt.date = DAY, last: dt.date | None = None
) -> None:
    list(import_source(warehouse, pairs_of(server), ImportRequest(first, last or first)))


def assess(warehouse: Warehouse, settings: Settings, server: ExchangeServer, day: dt.date = DAY) -> Assessment:
    return assess_partition(warehouse, SERIES, day, supplies=supplies_of(settings, server), now=LATER)


def fill(warehouse: Warehouse, settings: Settings, server: ExchangeServer, **how: bool) -> Backfill:
    filler = Backfiller(warehouse, supplies_of(settings, server), clock=lambda: LATER)
    return filler.run(Scope(source="ccxt"), **how)


def test_a_hole_of_one_pair_is_asked_for_once_of_that_pair_and_day_alone(
    warehouse: Warehouse, settings: Settings, exchange: ExchangeServer, ask: Callable[..., list[tuple[Any, ...]]]
) -> None:
    kept = cut(exchange, "BTCUSDT")
    import_days(warehouse, exchange, DAY, DAY + dt.timedelta(days=1))
    assert assess(warehouse, settings, exchange).missing == {"source_missing": 3}
    (gap,) = list_gaps(warehouse, Scope())
    assert (gap.symbol, gap.minutes, gap.fillable) == ("BTC/USDT", 3, True)
    assert (gap.gap_start.hour, gap.gap_end.hour) == (5, 8)

    exchange.candles["BTCUSDT", HOUR].update(kept)
    exchange.requests.clear()
    assert fill(warehouse, settings, exchange, dry_run=True).planned[0].symbols == frozenset({"BTC/USDT"})
    assert exchange.requests == []
    outcome = fill(warehouse, settings, exchange)

    assert exchange.requests == [
        f"/api/v3/klines?interval=1h&limit=24&symbol=BTCUSDT&startTime={epoch_ms(DAY)}",
    ]
    assert (outcome.filled_minutes, outcome.remaining, outcome.failures) == (3, (), [])
    assert list_gaps(warehouse, Scope()) == []
    assert ask("SELECT count(*) FROM spot_prices WHERE load_id = (SELECT max(load_id) FROM loads)") == [(3,)]
    assert ask("SELECT count(*) FROM spot_prices_history") == [(0,)]


def test_after_a_backfill_the_day_is_still_held_and_nothing_is_asked(
    warehouse: Warehouse, settings: Settings, exchange: ExchangeServer
) -> None:
    kept = cut(exchange, "BTCUSDT")
    import_days(warehouse, exchange)
    assess(warehouse, settings, exchange)
    exchange.candles["BTCUSDT", HOUR].update(kept)
    fill(warehouse, settings, exchange)
    exchange.requests.clear()

    import_days(warehouse, exchange)
    assert exchange.requests == []
    assert fill(warehouse, settings, exchange).planned == ()
    assert exchange.requests == []


def test_a_source_that_answers_the_same_hole_is_not_asked_for_ever(
    warehouse: Warehouse, settings: Settings, exchange: ExchangeServer
) -> None:
    cut(exchange, "BTCUSDT")
    import_days(warehouse, exchange)
    assess(warehouse, settings, exchange)
    exchange.requests.clear()

    first = fill(warehouse, settings, exchange)
    assert (len(exchange.requests), first.filled_minutes, first.failures) == (1, 0, [])
    (gap,) = list_gaps(warehouse, Scope())
    # The pair traded in every other hour, and its source was asked twice: in these it did not.
    assert (gap.cause, gap.fillable) == ("no_trade", False)
    assert "asked again on" in gap.detail
    assert gap.detail.endswith("same answer")

    assert fill(warehouse, settings, exchange).planned == ()
    assert len(exchange.requests) == 1
    again = fill(warehouse, settings, exchange, ask_again=True)
    assert len(again.planned) == 1
    assert len(exchange.requests) == 2


def test_a_source_that_cannot_be_asked_stays_to_be_asked(
    warehouse: Warehouse, settings: Settings, exchange: ExchangeServer
) -> None:
    kept = cut(exchange, "BTCUSDT")
    import_days(warehouse, exchange)
    assess(warehouse, settings, exchange)
    exchange.candles["BTCUSDT", HOUR].update(kept)
    exchange.fail_next(503, {}, 10)

    failed = fill(warehouse, settings, exchange)
    assert len(failed.failures) == 1
    assert "503" in (failed.failures[0].error or "")
    assert [gap.fillable for gap in list_gaps(warehouse, Scope())] == [True]
    assert [gap.minutes for gap in failed.remaining] == [3]

    exchange.next_candles.clear()
    assert fill(warehouse, settings, exchange).filled_minutes == 3


def test_an_outage_of_all_pairs_is_one_gap_and_the_whole_day_is_asked(
    warehouse: Warehouse, settings: Settings, exchange: ExchangeServer
) -> None:
    kept = {pair: cut(exchange, pair) for pair in ("BTCUSDT", "BTCBUSD")}
    import_days(warehouse, exchange)
    assess(warehouse, settings, exchange)
    (gap,) = list_gaps(warehouse, Scope())
    assert (gap.instrument_id, gap.instruments, gap.minutes) == (None, 2, 6)
    assert gap.detail == "none of 2 instruments has a row"
    for pair, candles in kept.items():
        exchange.candles[pair, HOUR].update(candles)
    exchange.requests.clear()

    outcome = fill(warehouse, settings, exchange)
    assert len(exchange.requests) == 2
    assert (outcome.filled_minutes, list_gaps(warehouse, Scope())) == (6, [])


def test_a_day_without_a_load_between_two_is_asked_for_and_no_other_day(
    warehouse: Warehouse, settings: Settings, exchange: ExchangeServer
) -> None:
    day = dt.timedelta(days=1)
    import_days(warehouse, exchange, DAY - day)
    import_days(warehouse, exchange, DAY + day)
    for offset in (-1, 0, 1):
        assess(warehouse, settings, exchange, DAY + offset * day)
    (gap,) = list_gaps(warehouse, Scope(), causes=("source_missing",))
    assert (gap.trade_date, gap.minutes, gap.detail) == (DAY, 48, "no load of this session")
    exchange.requests.clear()

    outcome = fill(warehouse, settings, exchange)
    assert [str(refill) for refill in outcome.planned] == ["ccxt spot_prices 2025-08-13: all instruments"]
    assert len(exchange.requests) == 2
    assert outcome.filled_minutes == 48
    (series,) = list_series(warehouse)
    assert (series.first, series.last) == (DAY - day, DAY + day)


def test_a_pair_that_answered_nothing_all_day_is_missed(
    warehouse: Warehouse, settings: Settings, exchange: ExchangeServer
) -> None:
    import_days(warehouse, exchange, DAY - dt.timedelta(days=1))
    kept = cut(exchange, "BTCBUSD", range(24))
    import_days(warehouse, exchange)
    assert assess(warehouse, settings, exchange).missing == {"source_missing": 24}
    (gap,) = list_gaps(warehouse, Scope(first=DAY))
    assert (gap.symbol, gap.detail) == ("BTC/BUSD", "BTC/BUSD is not in the delivery")

    # Nothing again is an answer: the source is not asked a third time, and the gap stays what it is.
    first = fill(warehouse, settings, exchange)
    assert (first.failures, first.filled_minutes, first.remaining_minutes) == ([], 0, 24)
    (gap,) = list_gaps(warehouse, Scope(first=DAY))
    assert (gap.cause, gap.fillable) == ("source_missing", False)
    exchange.candles["BTCBUSD", HOUR].update(kept)
    assert fill(warehouse, settings, exchange, ask_again=True).filled_minutes == 24


def test_what_the_source_no_longer_gives_is_not_fillable(
    warehouse: Warehouse, settings: Settings, exchange: ExchangeServer
) -> None:
    cut(exchange, "BTCUSDT")
    import_days(warehouse, exchange)
    minutes = supplies_of(settings, exchange, length="1m")
    assess_partition(warehouse, SERIES, DAY, supplies=minutes, now=LATER)

    (gap,) = list_gaps(warehouse, Scope())
    assert (gap.cause, gap.fillable) == ("source_missing", False)
    assert "ccxt gives no bars of 3600 s of earlier days" in gap.detail


def test_a_day_of_utc_begins_and_ends_at_midnight_and_is_due_a_minute_later(
    warehouse: Warehouse, settings: Settings, exchange: ExchangeServer
) -> None:
    import_days(warehouse, exchange)
    supplies = supplies_of(settings, exchange)
    midnight = dt.datetime(2025, 8, 14, tzinfo=dt.UTC)
    with warehouse.connect() as connection:
        connection.execute('DELETE FROM spot_prices WHERE "timestamp" = %s', [midnight])

    early = assess_partition(warehouse, SERIES, DAY, supplies=supplies, now=midnight + dt.timedelta(seconds=59))
    assert early.missing == {"not_yet_due": 2}
    late = assess_partition(warehouse, SERIES, DAY, supplies=supplies, now=midnight + dt.timedelta(seconds=60))
    assert (late.missing, late.present_minutes) == ({"source_missing": 2}, 46)
    (gap,) = list_gaps(warehouse, Scope())
    assert gap.gap_end == midnight
