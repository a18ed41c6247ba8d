"""An API source asks for what is missing, once, and gives rows, a confirmed empty day, or an error."""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError, NothingGivenError, SourceError
from pipeline_defs.schema.batches import ImportBatch, ImportRequest
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_tests.sources.asking.conftest import PaperLedger, PaperSource, minute

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FRIDAY, MONDAY = dt.date(2025, 8, 22), dt.date(2025, 8, 25)
GANESH = dt.date(2025, 8, 27)


def fetch(
    source: PaperSource, first: dt.date, last: dt.date, ledger: PaperLedger | None = None, table: str = "spot_prices"
) -> list[ImportBatch]:
    batches = []
    request = ImportRequest(first, last, tables=frozenset({table}), ledger=ledger)
    for batch in source.fetch(request):
        batches.append(batch)
        if ledger is not None:
            ledger.commit(batch)
    return batches


def candles() -> dict[str, list[Any]]:
    return {"RELIANCE": [minute("2025-08-22", "09:16"), minute("2025-08-25", "09:16", price="101.10")]}


def test_a_range_is_asked_in_one_window_and_given_day_by_day(paper: Callable[..., PaperSource]) -> None:
    source = paper(candles=candles())
    friday, saturday, sunday, monday = sorted(fetch(source, FRIDAY, MONDAY), key=lambda batch: batch.trade_date)

    assert source.log == ["RELIANCE 2025-08-22..2025-08-25"]
    assert (saturday.empty_reason, sunday.empty_reason) == ("weekend", "weekend")
    assert friday.observations["close"].to_list() == [Decimal("100.05")]
    assert monday.observations.select("timestamp", "close", "volume", "sequence", "line").rows() == [
        (dt.datetime(2025, 8, 25, 3, 46, tzinfo=dt.UTC), Decimal("101.10"), 10, 0, 2)
    ]
    assert monday.contracts["symbol"].to_list() == ["RELIANCE"]
    assert monday.files["logical_name"].to_list() == ["60/2025-08-25/RELIANCE"]


def test_a_day_that_is_stored_is_not_asked_for_again(paper: Callable[..., PaperSource]) -> None:
    ledger, source = PaperLedger(), paper(candles=candles())
    fetch(source, FRIDAY, MONDAY, ledger)

    again = paper(candles=candles())
    assert fetch(again, FRIDAY, MONDAY, ledger) == []
    assert again.log == []


def test_only_the_missing_day_of_a_range_is_asked_for(paper: Callable[..., PaperSource]) -> None:
    ledger, source = PaperLedger(), paper(candles=candles())
    fetch(source, FRIDAY, FRIDAY, ledger)
    fetch(source, FRIDAY, MONDAY, ledger)

    assert source.log == ["RELIANCE 2025-08-22", "RELIANCE 2025-08-25"]


def test_a_holiday_is_confirmed_empty_with_its_name_and_nothing_is_asked(paper: Callable[..., PaperSource]) -> None:
    source = paper(candles=candles())
    (batch,) = fetch(source, GANESH, GANESH)

    assert batch.empty_reason == "holiday Ganesh Chaturthi"
    assert source.log == []


def test_a_session_without_a_row_is_an_error_after_the_good_days_were_given(
    paper: Callable[..., PaperSource],
) -> None:
    source, ledger = paper(candles={"RELIANCE": candles()["RELIANCE"][:1]}), PaperLedger()
    with pytest.raises(SourceError, match="spot_prices 2025-08-25: 0 bars on a trading day, of 1 instruments"):
        fetch(source, FRIDAY, MONDAY, ledger)

    assert {day for day, _ in ledger.marks} == {FRIDAY, dt.date(2025, 8, 23), dt.date(2025, 8, 24)}


def test_a_day_that_is_not_over_is_given_without_its_running_bar_and_not_as_final(
    paper: Callable[..., PaperSource],
) -> None:
    noon = dt.datetime(2025, 8, 22, 4, tzinfo=dt.UTC)
    rows = {"RELIANCE": [minute("2025-08-22", "09:16"), minute("2025-08-22", "09:31")]}
    source = paper(candles=rows, now=noon)
    (batch,) = fetch(source, FRIDAY, FRIDAY, PaperLedger())

    assert (batch.observations.height, batch.rejects.height) == (1, 0)
    assert batch.delivery is None


def test_an_answer_is_as_final_as_it_was_when_it_was_asked_for(paper: Callable[..., PaperSource]) -> None:
    close = dt.datetime(2025, 8, 22, 10, tzinfo=dt.UTC)
    source = paper(candles=candles())
    times = iter([close - dt.timedelta(seconds=1)])
    source.clock = lambda: next(times, close + dt.timedelta(seconds=1))  # the session ends while it is answered
    (batch,) = fetch(source, FRIDAY, FRIDAY, PaperLedger())

    assert batch.delivery is None


def test_a_killed_backfill_asks_no_question_twice(paper: Callable[..., PaperSource]) -> None:
    universe = {"equities": ["RELIANCE", "INFY"]}
    rows = {name: candles()["RELIANCE"] for name in ("RELIANCE", "INFY")}
    ledger, killed = PaperLedger(), paper(candles=rows, universe=universe)
    killed.trouble = []
    request = ImportRequest(FRIDAY, MONDAY, tables=frozenset({"spot_prices"}), ledger=ledger)
    batches = killed.fetch(request)
    for _ in range(3):  # the two days of the weekend, then the first session: then the process dies
        next(batches)
    resumed = paper(candles=rows, universe=universe)
    fetch(resumed, FRIDAY, MONDAY, ledger)

    assert killed.log == ["RELIANCE 2025-08-22..2025-08-25", "INFY 2025-08-22..2025-08-25"]
    assert resumed.log == []


def test_whoever_asks_for_everything_again_is_not_given_kept_answers(paper: Callable[..., PaperSource]) -> None:
    source = paper(candles=candles())
    next(source.fetch(ImportRequest(MONDAY, MONDAY, tables=frozenset({"spot_prices"}), ledger=PaperLedger())))
    fetch(source, MONDAY, MONDAY)

    assert len(source.log) == 2


def test_a_request_that_passes_is_tried_again_and_one_that_does_not_ends_it(paper: Callable[..., PaperSource]) -> None:
    source = paper(candles=candles(), trouble=[TryAgainError("the connection was lost")])
    assert len(fetch(source, MONDAY, MONDAY)) == 1
    assert len(source.log) == 2

    refused = paper(candles=candles(), trouble=[SourceError("no such plan")])
    with pytest.raises(SourceError, match="paper RELIANCE spot_prices 2025-08-25: no such plan"):
        fetch(refused, MONDAY, MONDAY)
    assert len(refused.log) == 1


def test_an_instrument_that_stays_silent_is_a_finding(paper: Callable[..., PaperSource]) -> None:
    source = paper(candles=candles(), universe={"equities": ["RELIANCE", "INFY"]})
    (batch,) = fetch(source, MONDAY, MONDAY)
    (finding,) = batch.findings

    assert not finding.passed
    assert finding.detail == "without: INFY"
    assert batch.files.height == 2  # the silent answer, too: it says that earlier rows are gone


def test_an_instrument_is_asked_for_only_on_its_own_days(paper: Callable[..., PaperSource]) -> None:
    universe = {"equities": ["RELIANCE", {"symbol": "INFY", "last_date": "2025-08-22"}]}
    source = paper(candles={name: candles()["RELIANCE"] for name in ("RELIANCE", "INFY")}, universe=universe)
    batches = {batch.trade_date: batch for batch in fetch(source, FRIDAY, MONDAY)}

    assert batches[FRIDAY].contracts["symbol"].to_list() == ["RELIANCE", "INFY"]
    assert batches[MONDAY].findings[0].passed
    fetch(source, MONDAY, MONDAY)
    assert source.log[-1] == "RELIANCE 2025-08-25"


def test_days_on_which_nothing_is_wanted_are_confirmed_empty_and_the_others_are_given(
    paper: Callable[..., PaperSource],
) -> None:
    universe = {"equities": [{"symbol": "RELIANCE", "first_date": "2025-08-25"}]}
    source = paper(candles=candles(), universe=universe)
    batches = {batch.trade_date: batch for batch in fetch(source, FRIDAY, MONDAY)}

    assert batches[FRIDAY].empty_reason == "no instrument of the universe is wanted on this day"
    assert batches[MONDAY].observations.height == 1


def test_a_daily_bar_stands_at_the_close_of_its_session(paper: Callable[..., PaperSource]) -> None:
    source = paper()
    close = source.market.close(MONDAY)
    source.candles = {"RELIANCE": [(close, "1", "2", "0.5", "1.5", 7)]}
    (batch,) = fetch(source, MONDAY, MONDAY, table="equity_daily")

    assert batch.observations["timestamp"].to_list() == [dt.datetime(2025, 8, 25, 10, tzinfo=dt.UTC)]


def test_tables_without_instruments_in_the_universe_are_refused_with_its_place(
    paper: Callable[..., PaperSource], home: Path
) -> None:
    with pytest.raises(ConfigurationError, match="names no instrument of paper for options_ticks") as caught:
        fetch(paper(), MONDAY, MONDAY, table="options_ticks")
    assert caught.value.where == str(home / "universe.yaml")


def test_an_api_needs_both_ends_of_the_range(paper: Callable[..., PaperSource]) -> None:
    with pytest.raises(SourceError, match="both ends of the range are needed"):
        list(paper().fetch(ImportRequest(start_date=MONDAY)))


def test_only_the_options_of_the_underlying_asked_for_are_asked(paper: Callable[..., PaperSource]) -> None:
    source = paper(candles={"NIFTY-O": [minute("2025-08-25", "09:16")]}, universe={"options": ["NIFTY"]})
    request = ImportRequest(MONDAY, MONDAY, "NIFTY", tables=frozenset({"options_ticks"}))
    (batch,) = source.fetch(request)

    assert batch.underlying == "NIFTY"
    assert batch.contracts.select("strike", "expiry").row(0) == (Decimal(24500), dt.date(2025, 9, 2))
    with pytest.raises(ConfigurationError):
        list(source.fetch(ImportRequest(MONDAY, MONDAY, "BANKNIFTY", tables=frozenset({"options_ticks"}))))


def test_bars_of_another_length_can_be_wanted(paper: Callable[..., PaperSource]) -> None:
    source = paper(candles=candles(), universe={"equities": ["RELIANCE"], "bars": {"spot_prices": "5m"}})
    (batch,) = fetch(source, MONDAY, MONDAY)

    assert batch.bar_seconds == 300
    assert isinstance(batch.observations, pl.DataFrame)


def test_what_does_not_stream_says_so(paper: Callable[..., PaperSource]) -> None:
    with pytest.raises(SourceError, match="paper does not stream"):
        paper().stream(PaperSource.datasets[0], [], threading.Event())


def test_its_endpoint_can_come_from_the_environment(
    paper: Callable[..., PaperSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert paper().get_metadata().source_url == "https://paper.invalid"
    monkeypatch.setenv("PIPELINE_PAPER_ENDPOINT", "http://127.0.0.1:9")
    assert paper().get_metadata().source_url == "http://127.0.0.1:9"


def test_named_instruments_alone_are_asked_and_the_day_does_not_pass_for_held(
    paper: Callable[..., PaperSource],
) -> None:
    source = paper(universe={"equities": ["RELIANCE", "TCS"]}, candles=candles())
    (batch,) = source.fetch(
        ImportRequest(FRIDAY, FRIDAY, tables=frozenset({"spot_prices"}), symbols=frozenset({"RELIANCE"}))
    )

    assert source.log == ["RELIANCE 2025-08-22"]
    assert batch.files["logical_name"].to_list() == ["60/2025-08-22/RELIANCE"]
    assert batch.delivery is None


def test_named_instruments_that_the_universe_does_not_have_are_an_error(paper: Callable[..., PaperSource]) -> None:
    source = paper(candles=candles())
    request = ImportRequest(FRIDAY, FRIDAY, tables=frozenset({"spot_prices"}), symbols=frozenset({"INFY"}))

    with pytest.raises(ConfigurationError, match="no instrument of paper for spot_prices of INFY"):
        list(source.fetch(request))
    assert source.log == []


def test_a_session_without_any_row_is_an_answer_of_its_own_kind(paper: Callable[..., PaperSource]) -> None:
    with pytest.raises(NothingGivenError, match="0 bars on a trading day"):
        fetch(paper(), FRIDAY, FRIDAY)
