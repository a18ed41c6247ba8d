"""Lines of ``import`` and ``ingest`` as people type them: rows, a run with its provenance, or one clear message."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipeline_defs import ingesting
from pipeline_defs.markets.market import market
from pipeline_defs.samples.generate import GeneratedSample, tiny_day
from pipeline_defs.warehouse.named_bundles import read_bundle
from pipeline_tests.sources.ccxt.server import HOUR, ExchangeServer, epoch_ms, invented
from pipeline_tests.sources.ccxt.server import running as running_exchange
from pipeline_tests.sources.interactive_brokers import tws as ib
from pipeline_tests.sources.polygon import offline as polygon
from pipeline_tests.sources.polygon.server import running as running_polygon
from pipeline_tests.sources.yahoo.offline import GS_DAY, NEW_YORK
from pipeline_tests.sources.yahoo.server import Instrument, YahooServer, seconds
from pipeline_tests.sources.yahoo.server import running as running_yahoo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_tests.cli.conftest import Home, Typed

DAY = "2025-08-13"
RUN_OF_LOADS = "SELECT DISTINCT dagster_run_id FROM loads WHERE source = %s ORDER BY 1"
MATERIALISED, OBSERVED = dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> GeneratedSample:
    """One clean session of a few hundred rows."""
    return tiny_day(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def a_short_year(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the machine most of the days that are asked for when nobody says which."""
    monkeypatch.setattr(ingesting, "DAILY_SPAN_DAYS", 5)


@pytest.fixture
def yahoo(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[YahooServer]:
    """Yahoo, with the same day of GS for two shares on each session of the last weeks."""
    assert home.warehouse
    today = market("US").trade_date(dt.datetime.now(dt.UTC))
    sessions = market("US").sessions(today - dt.timedelta(days=40), today)
    bars = [(seconds(day, "09:30", NEW_YORK), *GS_DAY) for day in sessions]
    with running_yahoo() as server:
        server.instruments = {name: Instrument(bars={"1d": bars}) for name in ("AAPL", "MSFT")}
        monkeypatch.setenv("PIPELINE_YAHOO_ENDPOINT", server.url)
        yield server


@pytest.fixture
def exchange(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExchangeServer]:
    """An exchange shaped like Binance, with days of BTC/USDT."""
    assert home.warehouse
    today = dt.datetime.now(dt.UTC).date()
    days = invented(epoch_ms(today - dt.timedelta(days=40)), epoch_ms(today), 24 * HOUR)
    with running_exchange(ExchangeServer({("BTCUSDT", 24 * HOUR): days})) as server:
        monkeypatch.setenv("PIPELINE_CCXT_ENDPOINT", server.url)
        yield server


def test_a_part_of_files_is_observed_and_the_whole_is_materialised(
    home: Home, typed: Typed, sample: GeneratedSample
) -> None:
    line = f"import --source nse-csv --path {sample.landing} --start-date {DAY} --end-date {DAY}"
    part = typed(f"{line} --underlying NIFTY")
    assert (part.code, part.err) == (0, "")
    (run,) = home.new_runs()
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert run.tags["pipeline/command"] == f"pipeline {line} --underlying NIFTY"
    assert (run.tags["pipeline/source"], run.tags["pipeline/dates"]) == ("nse_csv", f"{DAY}..{DAY}")
    assert run.tags["pipeline/user"]
    assert home.ask(RUN_OF_LOADS, "nse_csv") == [(run.run_id,)]
    assert home.events(run, MATERIALISED) == []
    observed = {one.asset_observation.asset_key.to_user_string(): one for one in home.events(run, OBSERVED)}
    assert set(observed) == {"nse_csv/options_ticks", "nse_csv/futures_ticks", "nse_csv/spot_prices"}
    options = observed["nse_csv/options_ticks"].asset_observation
    assert (options.partition, options.metadata["only"].value) == (DAY, ["NIFTY"])

    whole = typed(line)
    assert whole.code == 0
    (run,) = home.new_runs()
    materialised = {
        one.materialization.asset_key.path[-1]: one.materialization for one in home.events(run, MATERIALISED)
    }
    assert set(materialised) == {"options_ticks", "futures_ticks", "spot_prices", "equity_daily"}
    ((rows,),) = home.ask("SELECT count(*) FROM options_ticks")
    options = materialised["options_ticks"]
    assert (options.partition, options.metadata["dagster/partition_row_count"].value) == (DAY, rows)
    assert {"rows_read", "rows_stored", "files_read", "loads", "refused", "day"} <= options.metadata.keys()
    assert options.tags["dagster/data_version"]

    again = typed(f"{line} --json")
    (run,) = home.new_runs()
    told = json.loads(again.out)
    assert told["dagster_run_id"] == run.run_id
    assert {load["stored"] for load in told["loads"]} == {0}
    assert home.events(run, MATERIALISED) == []  # nothing was read, and the assets know


def test_a_symbol_of_tws_needs_no_universe_file(home: Home, typed: Typed) -> None:
    with ib.running() as tws:
        host, _, port = tws.endpoint.rpartition(":")
        line = f"import --source interactive-brokers --symbol ACME --ib-host {host} --ib-port {port}"
        first = typed(f"{line} --ib-client-id 7")
        (run,) = home.new_runs()
        asked = len(tws.history_requests)
        again = typed(line)

    assert (first.code, again.code) == (0, 0), first.err
    assert first.err.startswith("from ")
    assert asked
    assert len(tws.history_requests) == asked
    assert run.tags["pipeline/source"] == "interactive_brokers"
    assert {one.asset_observation.asset_key.path[-1] for one in home.events(run, OBSERVED)} == {
        "spot_prices",
        "equity_daily",
    }
    assert home.ask("SELECT DISTINCT symbol FROM instrument_aliases WHERE source = 'interactive_brokers'") == [
        ("ACME",)
    ]


@pytest.mark.usefixtures("a_short_year")
def test_ingest_of_shares_names_a_bundle_and_asks_nothing_twice(home: Home, typed: Typed, yahoo: YahooServer) -> None:
    line = "ingest yfinance --symbols AAPL,MSFT --bundle my-data"
    plan = typed(f"{line} --dry-run --json")
    (question,) = json.loads(plan.out)["would_ask"]
    assert (question["table"], question["instruments"]) == ("equity_daily", ["AAPL", "MSFT"])
    assert (plan.code, home.new_runs(), yahoo.history) == (0, [], [])

    first = typed(line)
    assert first.code == 0, first.err
    assert f"from {question['first']} to {question['last']}" in first.err
    ((shares, days),) = home.ask(
        "SELECT count(DISTINCT instrument_id), count(DISTINCT timestamp) FROM equity_daily WHERE source = 'yahoo'"
    )
    assert (shares, days) == (2, question["sessions"])
    (run,) = home.new_runs()
    (observed,) = home.events(run, OBSERVED)
    assert observed.asset_observation.metadata["only"].value == ["AAPL", "MSFT"]
    assert run.tags["pipeline/bundle"] == "my-data"
    assert run.tags["pipeline/dates"] == f"{question['first']}..{question['last']}"
    bundle = read_bundle(home.warehouse, "my-data")
    assert [(one.symbol, one.dataset, one.bar_seconds) for one in bundle.members] == [
        ("AAPL", "equity_daily", 86_400),
        ("MSFT", "equity_daily", 86_400),
    ]

    asked = len(yahoo.history)
    again = typed(line)
    assert again.code == 0
    assert len(yahoo.history) == asked
    assert read_bundle(home.warehouse, "my-data") == bundle


@pytest.mark.usefixtures("a_short_year")
def test_ingest_of_a_pair_of_an_exchange(home: Home, typed: Typed, exchange: ExchangeServer) -> None:
    line = "ingest ccxt --exchange binance --symbols BTC/USDT --bundle crypto"
    told = typed(line)

    assert told.code == 0, told.err
    assert exchange.requests
    (member,) = read_bundle(home.warehouse, "crypto").members
    assert (member.symbol, member.source, member.dataset, member.bar_seconds) == (
        "BTC/USDT",
        "ccxt",
        "spot_prices",
        86_400,
    )
    assert home.ask("SELECT count(*) FROM spot_prices WHERE source = 'ccxt'") == [(5,)]


def test_files_of_ones_own_go_into_a_bundle(home: Home, typed: Typed, sample: GeneratedSample) -> None:
    told = typed(f"ingest nse --path {sample.landing} --underlying NIFTY --bundle files --reread")

    assert told.code == 0, told.err
    assert "bundle files" in told.out
    symbols = {one.symbol for one in read_bundle(home.warehouse, "files").members}
    assert symbols
    assert all("NIFTY" in symbol for symbol in symbols)
    home.new_runs()


@pytest.mark.usefixtures("yahoo", "exchange")
@pytest.mark.parametrize(
    "wrong",
    [
        ("import --source nse-cvs", 2, "did you mean nse_csv", 0),
        ("ingest yfinance --symbols AAPL --frequency 1m,1d", 2, "one length", 0),
        ("import --source nse-csv --path no/such/place", 1, "no/such/place", 1),
        ("import --source nse-csv --symbol NIFTY", 1, "cannot be chosen", 0),
        ("import --source yahoo --path x --symbol AAPL", 1, "reads no files", 0),
        ("import --source yahoo --symbol AAPL --ib-port 1", 1, "not asked through a TWS", 0),
        ("ingest yfinance --symbols AAPL --start-date 2025-13-01", 2, "expected YYYY-MM-DD", 0),
        ("ingest yfinance --symbols AAPL --start-date 2025-08-14 --end-date 2025-08-13", 1, "swap the two dates", 0),
        ("ingest yfinance --symbols AAPL --frequency 1x", 2, "is not a length of bars", 0),
        ("ingest yfinance --symbols AAPL --bundle 'my data'", 1, "cannot be the name of a bundle", 0),
        ("ingest yfinance --symbols AAPL --kind option", 1, "yahoo has no options", 0),
        ("ingest yfinance --symbols AAPL --kind bond", 2, "no kind of instrument 'bond'", 0),
        ("ingest yfinance --symbols AAPL --market LSE", 2, "no market 'LSE'", 0),
        ("ingest yfinance --symbols AAPL --exchange binance", 1, "has no exchanges", 0),
        ("ingest yfinance --symbols 'A APL;'", 1, "yahoo: equities.0.symbol", 0),
        (
            "ingest yfinance --symbols NOPE --start-date 2026-01-05 --end-date 2026-01-06",
            1,
            "Next: correct the symbol",
            1,
        ),
        ("ingest yfinance", 1, "universe.yaml", 0),
        ("ingest ccxt --exchange binanc --symbols BTC/USDT", 1, "near names: binance", 1),
        ("ingest ccxt --exchange binance --symbols BTC/USD", 1, "BTC/USDT", 1),
    ],
)
def test_what_is_wrong_gives_one_clear_message_and_the_right_exit_code(
    home: Home, typed: Typed, wrong: tuple[str, int, str, int]
) -> None:
    line, code, words, runs = wrong
    told = typed(line)

    assert told.code == code, told.err
    assert words in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert [run.status for run in home.new_runs()] == [dg.DagsterRunStatus.FAILURE] * runs


def test_a_wrong_credential_is_a_failed_run_that_does_not_show_it(
    home: Home, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_polygon() as server:
        polygon.fill(server)
        monkeypatch.setenv("PIPELINE_POLYGON_ENDPOINT", server.url)
        monkeypatch.setenv("POLYGON_REQUESTS_PER_MINUTE", "6000")
        monkeypatch.setenv("POLYGON_API_KEY", "a-wrong-key-of-somebody")
        told = typed("ingest polygon --symbols AAPL --start-date 2024-01-16 --end-date 2024-01-16 --json")

    assert told.code == 1
    (run,) = home.new_runs()
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert json.loads(told.out)["dagster_run_id"] == run.run_id
    assert "key" in json.loads(told.out)["error"]
    (failed,) = home.events(run, dg.DagsterEventType.STEP_FAILURE)
    assert failed.user_failure_data.metadata["what"].value
    assert "a-wrong-key" not in told.out + told.err + str(failed) + str(run.tags)
