"""What is fresh is not asked for: one more symbol, a hole in the middle, a session that is running."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import SourceError
from pipeline_defs.schema.batches import ImportRequest
from pipeline_tests.sources.asking.conftest import PaperLedger, PaperSource, minute

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.schema.batches import ImportBatch
    from pipeline_defs.sources.asking.questions import Answer, Question

    Paper = Callable[..., PaperSource]

INSTANT = dt.timedelta(microseconds=1)
THURSDAY, FRIDAY, MONDAY = dt.date(2025, 8, 21), dt.date(2025, 8, 22), dt.date(2025, 8, 25)
DAYS = ("2025-08-21", "2025-08-22", "2025-08-25")
TWO: dict[str, Any] = {"equities": ["RELIANCE", "INFY"]}


def candles(*symbols: str, days: tuple[str, ...] = DAYS) -> dict[str, list[Any]]:
    return {symbol: [minute(day, "09:16") for day in days] for symbol in symbols}


def fetch(
    source: PaperSource, first: dt.date, last: dt.date, ledger: PaperLedger | None, table: str = "spot_prices"
) -> list[ImportBatch]:
    given = []
    for batch in source.fetch(ImportRequest(first, last, tables=frozenset({table}), ledger=ledger)):
        given.append(batch)
        if ledger is not None:
            ledger.commit(batch)
    return given


def at(time: str, day: str = "2025-08-22") -> dt.datetime:
    """An instant by the clock of India."""
    return dt.datetime.fromisoformat(f"{day}T{time}+05:30").astimezone(dt.UTC)


def test_one_more_symbol_is_asked_alone_and_the_stored_ones_are_not(paper: Paper) -> None:
    ledger = PaperLedger()
    fetch(paper(candles=candles("RELIANCE")), THURSDAY, MONDAY, ledger)
    more = paper(candles=candles("RELIANCE", "INFY"), universe=TWO)
    given = fetch(more, THURSDAY, MONDAY, ledger)

    assert more.log == ["INFY 2025-08-21..2025-08-25"]
    assert [batch.contracts["symbol"].to_list() for batch in given if batch.observations.height] == [["INFY"]] * 3
    again = paper(candles=candles("RELIANCE", "INFY"), universe=TWO)
    assert fetch(again, THURSDAY, MONDAY, ledger) == []
    assert again.log == []


def test_a_smaller_universe_is_stored_already(paper: Paper) -> None:
    ledger = PaperLedger()
    fetch(paper(candles=candles("RELIANCE", "INFY"), universe=TWO), MONDAY, MONDAY, ledger)
    fewer = paper(candles={}, universe={"equities": ["INFY"]})

    assert fetch(fewer, MONDAY, MONDAY, ledger) == []
    assert (fewer.log, ledger.adopted) == ([], [MONDAY])


def test_a_symbol_under_another_name_of_the_warehouse_is_another_question(paper: Paper) -> None:
    ledger = PaperLedger()
    fetch(paper(candles=candles("RELIANCE")), MONDAY, MONDAY, ledger)
    renamed = paper(candles=candles("RELIANCE"))
    listed = renamed.list_instruments
    renamed.wanted.equities[0].__dict__["first_date"] = MONDAY  # another universe, the same instrument
    assert fetch(renamed, MONDAY, MONDAY, ledger) == []
    renamed.list_instruments = lambda *of: [  # type: ignore[method-assign]
        type(one)(one.vendor_id, one.terms | {"underlying": "RIL"}) for one in listed(*of)
    ]
    renamed.wanted.equities[0].__dict__["first_date"] = THURSDAY
    fetch(renamed, MONDAY, MONDAY, ledger)

    assert renamed.log == ["RELIANCE 2025-08-25"]


def test_a_hole_in_the_middle_of_one_symbol_is_asked_for_alone(paper: Paper) -> None:
    ledger = PaperLedger()
    everything = candles("RELIANCE", "INFY")
    fetch(paper(candles=everything, universe=TWO), THURSDAY, THURSDAY, ledger)
    fetch(paper(candles=everything), FRIDAY, FRIDAY, ledger)
    fetch(paper(candles=everything, universe=TWO), MONDAY, MONDAY, ledger)
    source = paper(candles=everything, universe=TWO)
    (saturday, sunday, friday) = fetch(source, THURSDAY, MONDAY, ledger)

    assert source.log == ["INFY 2025-08-22"]
    assert (saturday.empty_reason, sunday.empty_reason) == ("weekend", "weekend")
    assert friday.contracts["symbol"].to_list() == ["INFY"]


def test_a_window_is_cut_where_what_is_known_changes(paper: Paper) -> None:
    ledger = PaperLedger()
    everything = candles("RELIANCE", "INFY")
    fetch(paper(candles=everything), FRIDAY, FRIDAY, ledger)
    source = paper(candles=everything, universe=TWO)
    fetch(source, THURSDAY, MONDAY, ledger)

    assert source.log == [
        "RELIANCE 2025-08-21",
        "INFY 2025-08-21",
        "INFY 2025-08-22",
        "RELIANCE 2025-08-25",
        "INFY 2025-08-25",
    ]


def test_a_new_symbol_without_rows_is_an_answer_that_leaves_the_others_alone(paper: Paper) -> None:
    ledger = PaperLedger()
    fetch(paper(candles=candles("RELIANCE")), MONDAY, MONDAY, ledger)
    more = paper(candles=candles("RELIANCE"), universe=TWO)
    (batch,) = fetch(more, MONDAY, MONDAY, ledger)

    assert batch.empty_reason == "no row of INFY; the rows of other instruments stay"
    assert batch.files["logical_name"].to_list() == ["60/2025-08-25/INFY"]
    assert [finding.passed for finding in batch.findings] == [False]
    assert fetch(more, MONDAY, MONDAY, ledger) == []


def test_whoever_wants_everything_again_is_asked_every_symbol(paper: Paper) -> None:
    source = paper(candles=candles("RELIANCE", "INFY"), universe=TWO)
    fetch(source, MONDAY, MONDAY, PaperLedger())
    fetch(source, MONDAY, MONDAY, None)

    assert source.log == ["RELIANCE 2025-08-25", "INFY 2025-08-25"] * 2


def test_what_a_batch_cost_is_told_with_it(paper: Paper) -> None:
    ledger = PaperLedger()
    given = fetch(paper(candles=candles("RELIANCE", "INFY"), universe=TWO), FRIDAY, MONDAY, ledger)

    assert [None if batch.cost is None else batch.cost.calls for batch in given] == [0, 0, 2, 2]


# A session that is running. ------------------------------------------------------------------------------------------


@pytest.fixture
def running(paper: Paper) -> tuple[PaperSource, PaperLedger]:
    """Friday at 09:31:10, with a bar for each of its first minutes, and what was stored by then."""
    source = paper(candles={"RELIANCE": [minute("2025-08-22", f"09:{one}") for one in range(16, 60)]})
    source.clock = lambda: at("09:31:10")
    ledger = PaperLedger()
    (batch,) = fetch(source, FRIDAY, FRIDAY, ledger)
    assert batch.observations.height == 16
    assert batch.delivery is None
    source.log.clear()
    return source, ledger


def test_within_five_minutes_a_running_session_is_not_asked_again(running: tuple[PaperSource, PaperLedger]) -> None:
    source, ledger = running
    source.clock = lambda: at("09:36:00")

    assert fetch(source, FRIDAY, FRIDAY, ledger) == []
    assert (source.log, ledger.still_fresh) == ([], [FRIDAY])


def test_after_that_only_what_came_since_is_asked_for(running: tuple[PaperSource, PaperLedger]) -> None:
    source, ledger = running
    source.clock = lambda: at("09:36:10")
    asked: list[tuple[dt.datetime, dt.datetime]] = []
    ask = source.ask

    def heard(question: Question) -> Answer:
        asked.append((question.start, question.end))
        return ask(question)

    source.ask = heard  # type: ignore[method-assign]
    (batch,) = fetch(source, FRIDAY, FRIDAY, ledger)

    assert asked == [(at("09:31:00"), at("09:36:00"))]
    assert batch.observations["timestamp"].to_list() == [at(f"09:{one}:00") for one in range(32, 37)]
    assert batch.window == (at("09:31:00.000001"), at("09:36:00.000001"))


def test_a_hole_in_the_running_session_is_asked_for_and_closed(running: tuple[PaperSource, PaperLedger]) -> None:
    source, ledger = running
    ((key, spans),) = ledger.running.items()
    ledger.running[key] = [(spans[0][0], at("09:20:00")), (at("09:25:00"), spans[0][1])]
    source.clock = lambda: at("09:32:10")
    batches = fetch(source, FRIDAY, FRIDAY, ledger)

    assert [batch.observations["timestamp"].min() for batch in batches] == [at("09:21:00"), at("09:32:00")]
    assert len(source.log) == 2
    source.log.clear()
    assert fetch(source, FRIDAY, FRIDAY, ledger) == []
    assert source.log == []


def test_a_source_that_gives_whole_days_is_not_stored_twice(running: tuple[PaperSource, PaperLedger]) -> None:
    source, ledger = running
    source.clock = lambda: at("09:40:10")
    ask = source.ask
    whole = source.market.bounds(FRIDAY)
    source.ask = lambda question: ask(type(question)(  # type: ignore[method-assign]
        question.source, question.version, question.dataset, question.listed, question.window, *whole
    ))  # fmt: skip
    (batch,) = fetch(source, FRIDAY, FRIDAY, ledger)

    assert batch.observations["timestamp"].to_list() == [at(f"09:{one}:00") for one in range(32, 41)]


def test_nothing_new_is_said_and_is_no_error(running: tuple[PaperSource, PaperLedger]) -> None:
    source, ledger = running
    source.candles = {}
    source.clock = lambda: at("09:40:10")
    (batch,) = fetch(source, FRIDAY, FRIDAY, ledger)

    assert batch.empty_reason == "nothing new from 04:01 to 04:10 UTC; the session is running"
    assert fetch(source, FRIDAY, FRIDAY, ledger) != []
    assert len(source.log) == 2


def test_a_running_session_of_which_nothing_comes_at_all_is_an_error(paper: Paper) -> None:
    source = paper(candles={}, now=at("09:40:00"))
    with pytest.raises(SourceError, match="0 bars on a trading day"):
        fetch(source, FRIDAY, FRIDAY, PaperLedger())

    young = paper(candles={"RELIANCE": [minute("2025-08-22", "09:42")]}, now=at("09:40:00"))
    with pytest.raises(SourceError, match="0 bars on a trading day"):
        fetch(young, FRIDAY, FRIDAY, PaperLedger())


def test_a_session_that_is_young_may_have_nothing_yet(paper: Paper) -> None:
    source = paper(candles={}, now=at("09:20:10"))
    (batch,) = fetch(source, FRIDAY, FRIDAY, PaperLedger())

    assert batch.empty_reason == "nothing new from 18:30 to 03:50 UTC; the session is running"
    assert batch.complete_to == source.market.bounds(FRIDAY)[0]


def test_a_running_session_of_which_nothing_is_wanted_is_no_error(paper: Paper) -> None:
    wanted = {"equities": [{"symbol": "RELIANCE", "last_date": "2025-08-21"}]}
    source = paper(candles=candles("RELIANCE"), universe=wanted, now=at("12:00:10"))
    (batch,) = fetch(source, FRIDAY, FRIDAY, PaperLedger())

    assert (source.log, batch.empty_reason) == ([], "nothing new from 18:30 to 06:30 UTC; the session is running")


def test_what_was_answered_before_a_question_failed_is_given_and_accounts_for_nothing(paper: Paper) -> None:
    two = {name: [minute("2025-08-22", f"09:{one}") for one in range(16, 40)] for name in ("RELIANCE", "INFY")}
    source = paper(candles=two, universe=TWO, now=at("09:31:10"))
    ask, ledger = source.ask, PaperLedger()

    def refuse(question: Question) -> Answer:
        if question.listed.symbol == "INFY":
            raise SourceError("no such plan")
        return ask(question)

    source.ask = refuse  # type: ignore[method-assign]
    given = source.fetch(ImportRequest(FRIDAY, FRIDAY, tables=frozenset({"spot_prices"}), ledger=ledger))
    batch = next(given)
    ledger.commit(batch)
    assert (batch.contracts["symbol"].to_list(), batch.observations.height) == (["RELIANCE"], 16)
    assert (batch.so_far, batch.window) == (
        None,
        (source.market.bounds(FRIDAY)[0] + INSTANT, at("09:31:00") + INSTANT),
    )
    with pytest.raises(SourceError, match="no such plan"):
        next(given)
    assert ledger.running == {}

    source.trouble = [SourceError("no such symbol")]  # the first one fails: there is nothing to be given
    with pytest.raises(SourceError, match="no such symbol"):
        fetch(source, FRIDAY, FRIDAY, ledger)

    source.ask = ask  # type: ignore[method-assign]
    (whole,) = fetch(source, FRIDAY, FRIDAY, ledger)
    assert whole.observations.height == 32
    assert whole.so_far is not None


def test_a_bar_that_is_late_is_asked_for_again_but_not_across_a_hole(paper: Paper) -> None:
    two = {name: [minute("2025-08-22", f"09:{one}") for one in range(16, 60)] for name in ("RELIANCE", "INFY")}
    source, ledger = paper(candles=two | {"INFY": two["INFY"][:3]}, universe=TWO, now=at("09:31:10")), PaperLedger()
    fetch(source, FRIDAY, FRIDAY, ledger)
    asked: list[tuple[str, dt.datetime]] = []
    ask = source.ask

    def heard(question: Question) -> Answer:
        asked.append((question.listed.symbol, question.start))
        return ask(question)

    source.ask, source.candles = heard, two  # type: ignore[method-assign]
    source.clock = lambda: at("09:37:10")
    (batch,) = fetch(source, FRIDAY, FRIDAY, ledger)
    assert asked == [("RELIANCE", at("09:31:00")), ("INFY", at("09:18:00"))]
    assert batch.observations.height == 6 + 19

    ((key, spans),) = ledger.running.items()
    ledger.running[key] = [(spans[0][0], at("09:20:00")), (at("09:25:00"), at("09:37:00"))]
    ledger.stored -= {one for one in ledger.stored if one[0] == "INFY" and one[1] > at("09:19:00")}
    asked.clear()
    source.clock = lambda: at("09:45:10")
    hole, newest = fetch(source, FRIDAY, FRIDAY, ledger)
    assert asked == [
        ("RELIANCE", at("09:20:00")),
        ("INFY", at("09:20:00")),
        ("RELIANCE", at("09:37:00")),
        ("INFY", at("09:25:00")),
    ]
    assert hole.window == (at("09:20:00") + INSTANT, at("09:25:00") + INSTANT)
    assert newest.window == (at("09:25:00") + INSTANT, at("09:45:00") + INSTANT)


def test_what_is_refused_of_a_running_session_is_kept_but_for_the_candle_that_runs(
    running: tuple[PaperSource, PaperLedger],
) -> None:
    source, ledger = running
    day = "2025-08-22"
    source.candles = {"RELIANCE": [minute(day, "09:32", price="-1"), minute(day, "09:41")]}
    source.clock = lambda: at("09:40:10")
    ask = source.ask
    whole = source.market.bounds(FRIDAY)
    source.ask = lambda question: ask(dataclasses.replace(question, start=whole[0], end=whole[1]))  # type: ignore[method-assign]
    (batch,) = fetch(source, FRIDAY, FRIDAY, ledger)

    assert (batch.observations.height, batch.rejects["reason"].to_list()) == (0, ["non_positive_price"])
    assert batch.findings == ()


def test_of_chosen_symbols_nothing_is_said_about_the_session(paper: Paper) -> None:
    two = {name: [minute("2025-08-22", f"09:{one}") for one in range(16, 40)] for name in ("RELIANCE", "INFY")}
    source, ledger = paper(candles=two, universe=TWO, now=at("09:31:10")), PaperLedger()
    chosen = ImportRequest(
        FRIDAY, FRIDAY, tables=frozenset({"spot_prices"}), symbols=frozenset({"INFY"}), ledger=ledger
    )
    (batch,) = source.fetch(chosen)
    ledger.commit(batch)

    assert (batch.contracts["symbol"].to_list(), batch.so_far, ledger.running) == (["INFY"], None, {})


def test_when_the_session_is_due_the_whole_day_is_asked_once_more_and_then_never(
    running: tuple[PaperSource, PaperLedger],
) -> None:
    source, ledger = running
    source.clock = lambda: at("15:30:05")
    (batch,) = fetch(source, FRIDAY, FRIDAY, ledger)
    assert batch.observations.height == 44
    assert batch.delivery is not None
    fetch(source, FRIDAY, FRIDAY, ledger)

    assert source.log == ["RELIANCE 2025-08-22"]


def test_a_daily_bar_of_a_running_session_is_given_to_who_asks_and_is_not_final(paper: Paper) -> None:
    running = at("15:29:00")
    source = paper(candles={"RELIANCE": [(running, "1", "2", "0.5", "1.5", 7)]}, now=at("15:29:30"))
    ledger = PaperLedger()
    for _ in range(2):
        (batch,) = fetch(source, FRIDAY, FRIDAY, ledger, "equity_daily")
        assert (batch.observations.height, batch.delivery) == (1, None)

    source.clock = lambda: at("15:30:00")
    fetch(source, FRIDAY, FRIDAY, ledger, "equity_daily")
    fetch(source, FRIDAY, FRIDAY, ledger, "equity_daily")
    assert len(source.log) == 3
