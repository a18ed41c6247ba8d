"""Corporate actions: kept exactly, and a split after bars were stored makes them be asked for again."""

from __future__ import annotations

import datetime as dt
import multiprocessing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from filelock import FileLock

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.asking.questions import Listed, Question, Window
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.yahoo.actions import SOURCE_ACTION_SCHEMA, Split
from pipeline_defs.sources.yahoo.adapter import YahooSource
from pipeline_defs.sources.yahoo.ledger import ActionLedger
from pipeline_tests.sources.yahoo.conftest import NEW_YORK, NOW, QUICK, daily, minute_bars, request, with_rows
from pipeline_tests.sources.yahoo.server import Failure, Instrument, seconds

if TYPE_CHECKING:
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from pipeline_tests.sources.yahoo.conftest import Ask
    from pipeline_tests.sources.yahoo.server import YahooServer

OPEN = "09:30"
MESSAGE = (
    "GS SPLIT 2:1 on 2023-10-05: earlier bars were adjusted by Yahoo; re-fetch from the first stored day to 2023-10-04"
)


def at(day: str, zone: ZoneInfo = NEW_YORK) -> int:
    return seconds(dt.date.fromisoformat(day), OPEN, zone)


def action_requests(server: YahooServer) -> int:
    return sum("range=max" in one for one in server.others)


def question(source: YahooSource, first: str, last: str) -> Question:
    window = Window(dt.date.fromisoformat(first), dt.date.fromisoformat(last))
    dataset = source.datasets[0]
    (listed,) = source.list_instruments(dataset, window)
    start, end = source.market.bounds(window.first)[0], source.market.bounds(window.last)[1]
    return Question(source.name, source.version, dataset, listed, window, start, end)


def news(source: YahooSource, first: str, last: str, **more: Any) -> list[str]:
    """Fetch, and give what the findings say of splits."""
    found = [finding for batch in source.fetch(daily(first, last, **more)) for finding in batch.findings]
    return [finding.detail for finding in found if finding.check == "splits_known"]


def test_splits_dividends_and_capital_gains_are_kept_exactly(ask: Ask, server: YahooServer) -> None:
    server.instruments["GS"].splits = [(at("2000-07-05"), 3, 1), (at("2023-10-05"), 1033, 1000)]
    server.instruments["GS"].dividends = [(at("2023-10-03"), 0.24), (at("2023-10-04"), 0.005357142857142857)]
    server.instruments["GS"].gains = [(at("2023-10-06"), 1.5)]
    source = ask()
    asked = question(source, "2023-10-02", "2023-10-06")
    answer = source.ask(asked)
    found = source.actions(asked)
    assert found.schema == pl.Schema(SOURCE_ACTION_SCHEMA)
    assert found.drop("symbol").rows() == [
        (dt.date(2023, 10, 3), "dividend", Decimal("0.24"), "0.24 USD"),
        (dt.date(2023, 10, 4), "dividend", Decimal("0.00535714"), "0.005357142857142857 USD"),
        (dt.date(2023, 10, 5), "split", Decimal("1.033"), "1033:1000"),
        (dt.date(2023, 10, 6), "dividend", Decimal("1.5"), "1.5 USD capital gain"),
    ]
    assert (
        "prices and volumes as Yahoo adjusted them for splits, not for dividends, at 2023-10-12T12:00Z" in answer.note
    )
    assert "GS SPLIT 1033:1000 on 2023-10-05: earlier bars were adjusted by Yahoo" in answer.note
    assert [action.value for action in answer.actions or ()] == found["value"].to_list()
    assert len(server.history) == 1
    assert action_requests(server) == 0


def test_actions_go_with_the_daily_bars_of_their_day(ask: Ask, server: YahooServer) -> None:
    server.instruments["GS"].splits = [(at("2023-10-05"), 2, 1), (at("2023-10-05") + 1, 3, 2)]
    server.instruments["GS"].dividends = [(at("2023-10-05"), 0.24), (at("2023-10-06"), 0.0)]
    server.instruments["GS"].gains = [(at("2023-10-05"), 1.5)]
    server.instruments["GS"].bars["1m"] = minute_bars("2023-10-05", (OPEN, 310, 311, 309, 310, 100))
    batches = list(ask().fetch(daily("2023-10-05", "2023-10-06")))
    batches += ask().fetch(request("2023-10-05", "2023-10-05", "spot_prices"))
    day = dt.date(2023, 10, 5)
    assert [batch.actions is not None and batch.actions.rows() for batch in batches] == [
        [(0, day, "dividend", Decimal("1.74")), (0, day, "split", Decimal(3))],
        [],
        False,
    ]


def test_a_ratio_without_a_last_decimal_is_exact_in_its_text(ask: Ask, server: YahooServer) -> None:
    server.instruments["GS"].splits = [(at("2023-10-05"), 1, 3)]
    source = ask()
    source.ask(question(source, "2023-10-05", "2023-10-05"))
    assert source.known_actions("GS").select("value", "text").rows() == [(Decimal("0.33333333"), "1:3")]


def test_a_second_import_of_the_same_day_asks_for_no_actions_and_the_next_day_neither(
    ask: Ask, server: YahooServer
) -> None:
    server.instruments["GS"].bars["1d"] += minute_bars("2023-10-10", (OPEN, 310, 311, 309, 310, 100))
    server.instruments["GS"].bars["1d"] += minute_bars("2023-10-11", (OPEN, 310, 311, 309, 310, 100))
    for day, now in (("2023-10-06", "2023-10-07"), ("2023-10-06", "2023-10-08"), ("2023-10-09", "2023-10-10"),
                     ("2023-10-10", "2023-10-11"), ("2023-10-11", "2023-10-12")):  # fmt: skip
        moment = dt.datetime.fromisoformat(f"{now}T12:00:00+00:00")
        assert with_rows(list(ask(moment).fetch(daily(day, day))))
    assert action_requests(server) == 1


def test_after_days_without_an_import_the_splits_are_asked_for_once(ask: Ask, server: YahooServer) -> None:
    list(ask().fetch(daily("2023-10-05", "2023-10-05")))
    later = dt.datetime(2023, 11, 20, 12, tzinfo=dt.UTC)
    list(ask(later).fetch(daily("2023-10-05", "2023-10-05")))
    list(ask(later).fetch(daily("2023-10-06", "2023-10-06")))
    assert action_requests(server) == 2


def test_a_split_known_from_the_first_is_no_news(ask: Ask, server: YahooServer) -> None:
    server.instruments["GS"].splits = [(at("2023-10-05"), 2, 1)]
    assert news(ask(), "2023-10-02", "2023-10-06") == []
    assert ask().splits_since("GS", dt.date(2023, 10, 4)) == [Split("GS", dt.date(2023, 10, 5), "2:1")]
    assert ask().splits_since("GS", dt.date(2023, 10, 5)) == []


def test_a_split_that_comes_after_bars_were_stored_is_told_and_changes_the_revision(
    ask: Ask, server: YahooServer
) -> None:
    before = dt.datetime(2023, 10, 5, 3, tzinfo=dt.UTC)
    source = ask(before)
    list(source.fetch(daily("2023-10-02", "2023-10-03")))
    daily_bars, minutes = source.datasets
    assert source.revision(daily_bars) == ""
    marks = [batch.delivery for batch in source.fetch(daily("2023-10-02", "2023-10-03"))]

    server.instruments["GS"].splits = [(at("2023-10-05"), 2, 1)]
    later = ask()
    assert news(later, "2023-10-02", "2023-10-03") == [MESSAGE]
    assert news(later, "2023-10-02", "2023-10-03") == []
    assert later.revision(daily_bars) != ""
    assert later.revision(minutes) == ""
    split, other = (Listed(symbol, {"kind": "EQ", "symbol": symbol}) for symbol in ("GS", "MSFT"))
    assert later.revision_of(daily_bars, split) != later.revision_of(daily_bars, other) == ""
    assert later.revision_of(minutes, split) == ""
    again = [batch.delivery for batch in later.fetch(daily("2023-10-02", "2023-10-03"))]
    assert not set(marks) & set(again)
    assert later.revision(daily_bars) == ask().revision(daily_bars)


def test_a_split_on_the_day_that_is_imported_is_noticed_in_its_own_answer(ask: Ask, server: YahooServer) -> None:
    eve = dt.datetime(2023, 10, 5, 12, tzinfo=dt.UTC)
    list(ask(eve).fetch(daily("2023-10-04", "2023-10-04")))
    server.instruments["GS"].splits = [(at("2023-10-05"), 2, 1)]
    evening = dt.datetime(2023, 10, 6, 2, tzinfo=dt.UTC)
    assert news(ask(evening), "2023-10-05", "2023-10-05") == [MESSAGE]
    assert action_requests(server) == 1


def test_splits_that_cannot_be_asked_for_do_not_stop_the_bars_but_a_finding_says_so(
    ask: Ask, server: YahooServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.action_failures.extend([Failure("status", 503)] * 3)
    (told,) = news(ask(), "2023-10-05", "2023-10-05")
    assert told.startswith("splits of GS are not known up to now: Yahoo's server is in trouble (503)")
    assert "splits of GS are not known" in caplog.text


def test_several_events_are_told_in_one_finding(ask: Ask, server: YahooServer) -> None:
    server.instruments["MS"] = Instrument(bars=server.instruments["GS"].bars)
    eve = dt.datetime(2023, 10, 5, 12, tzinfo=dt.UTC)
    list(ask(eve, equities=["GS", "MS"]).fetch(daily("2023-10-04", "2023-10-04")))
    server.instruments["GS"].splits = server.instruments["MS"].splits = [(at("2023-10-05"), 2, 1)]
    batches = ask(equities=["GS", "MS"]).fetch(daily("2023-10-06", "2023-10-06"))
    (finding,) = [one for batch in batches for one in batch.findings if one.check == "splits_known"]
    assert (finding.passed, finding.found) == (False, "2 events")
    assert MESSAGE in finding.detail
    assert MESSAGE.replace("GS", "MS") in finding.detail


def test_minutes_alone_ask_for_no_actions(ask: Ask, server: YahooServer) -> None:
    server.instruments["GS"].bars["1m"] = minute_bars("2023-10-05", (OPEN, 310, 311, 309, 310, 100))
    assert with_rows(list(ask().fetch(request("2023-10-05", "2023-10-05", "spot_prices"))))
    assert action_requests(server) == 0


def test_a_damaged_ledger_counts_as_none(ask: Ask, server: YahooServer, home: Path) -> None:
    list(ask().fetch(daily("2023-10-05", "2023-10-05")))
    path = ActionLedger(home / "yahoo-actions").path("GS")
    path.write_text("{")
    assert ask().known_actions("GS").is_empty()
    list(ask().fetch(daily("2023-10-05", "2023-10-05")))
    assert action_requests(server) == 2


def test_what_yahoo_says_anew_of_a_window_replaces_what_was_known_of_it(tmp_path: Path) -> None:
    ledger = ActionLedger(tmp_path)
    days = [dt.date(2023, 10, day) for day in (2, 5, 9)]
    rows = [("^A/B", day, "dividend", Decimal("0.1"), "0.1 USD") for day in days]
    frame = pl.DataFrame(rows, schema=SOURCE_ACTION_SCHEMA, orient="row")
    ledger.learn("^A/B", frame, None, days[-1])
    ledger.learn("^A/B", frame.clear(), (days[1], days[1]), None)
    known = ledger.known("^A/B")
    assert known.actions["ex_date"].to_list() == [days[0], days[2]]
    assert known.until == days[-1]
    assert [path.name for path in tmp_path.glob("*.json")] == ["%5EA%2FB.json"]


def _work(url: str, folder: Path, number: int) -> int:
    day = dt.date(2023, 1, 1) + dt.timedelta(days=number)
    row = ("GS", day, "dividend", Decimal(number), f"{number} USD")
    frame = pl.DataFrame([row], schema=SOURCE_ACTION_SCHEMA, orient="row")
    ActionLedger(folder).learn("GS", frame, (day, day), None)
    universe = SourceUniverse.model_validate({"equities": ["GS"]})
    source = YahooSource(universe=universe, patience=QUICK, endpoint=url, clock=now)
    return sum(batch.observations.height for batch in source.fetch(daily("2023-10-05", "2023-10-06")))


def now() -> dt.datetime:
    return NOW


def test_processes_that_ask_and_learn_at_once_lose_nothing(server: YahooServer, tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        rows = pool.starmap(_work, [(server.url, tmp_path / "ledger", number) for number in range(1, 7)])
        pool.close()  # or the block ends them by a signal, which waits for ever where the tests' parent ignores it
        pool.join()
    assert rows == [2] * 6
    assert ActionLedger(tmp_path / "ledger").known("GS").actions.height == 6


def test_a_ledger_that_another_process_holds_too_long_is_named(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / "GS.lock"),
        pytest.raises(SourceError, match=r"another process has held GS\.json for 0\.05 s"),
    ):
        ActionLedger(tmp_path, lock_seconds=0.05).learn("GS", pl.DataFrame(schema=SOURCE_ACTION_SCHEMA), None, None)


def test_answers_kept_from_before_a_split_are_let_go(
    ask: Ask, server: YahooServer, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    eve = dt.datetime(2023, 10, 5, 12, tzinfo=dt.UTC)
    list(ask(eve).fetch(daily("2023-10-04", "2023-10-04")))
    kept = home / "answers" / "yahoo" / "one.parquet"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.touch()
    server.instruments["GS"].splits = [(at("2023-10-05"), 2, 1)]
    assert ask().refresh_splits() == [Split("GS", dt.date(2023, 10, 5), "2:1")]
    assert not kept.exists()
    assert MESSAGE in caplog.text
