"""Splits, dividends, and a chain as it stands."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import SchemaDriftError, SourceError
from pipeline_defs.sources.asking.questions import Action
from pipeline_defs.sources.polygon.actions import ACTIONS_SCHEMA, actions
from pipeline_defs.sources.polygon.snapshots import SNAPSHOT_SCHEMA, chain_snapshot
from pipeline_tests.sources.polygon.offline import DAY
from pipeline_tests.sources.polygon.server import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.sources.asking.questions import Answer
    from pipeline_defs.sources.polygon.adapter import PolygonSource
    from pipeline_tests.sources.polygon.server import PolygonServer

RECORDED = Path(__file__).parent / "recorded"
SPLITS, DIVIDENDS = "/v3/reference/splits", "/v3/reference/dividends"
YEAR = dt.date(2022, 1, 1), dt.date(2022, 12, 31)
NOTHING = '{"status":"OK","results":[]}'


@pytest.fixture
def reference(server: PolygonServer) -> PolygonServer:
    server.listings |= {
        SPLITS: [
            '{"execution_date":"2022-07-18","split_from":1,"split_to":20,"ticker":"GOOGL"}',
            '{"execution_date":"2022-08-01","split_from":3,"split_to":4.0,"ticker":"CIG"}',
            '{"execution_date":"2022-05-20","split_from":2,"split_to":1,"ticker":"BRW"}',
        ],
        DIVIDENDS: [
            _dividend("2022-08-05", "0.23"),
            _dividend("2022-05-06", "2.3e-1", '"dividend_type":"CD","currency":"USD",'),
        ],
    }
    return server


def _dividend(day: str, amount: str, more: str = "") -> str:
    return f'{{"cash_amount":{amount},{more}"ex_dividend_date":"{day}","pay_date":"2022-09-01","ticker":"CIG"}}'


def test_splits_and_dividends_are_exact_and_in_order(
    reference: PolygonServer, source: Callable[..., PolygonSource]
) -> None:
    frame = actions("CIG", *YEAR, source())
    assert dict(frame.schema) == ACTIONS_SCHEMA
    assert frame.rows() == [
        ("CIG", dt.date(2022, 5, 6), "dividend", Decimal("0.23"), "USD", None, None, "CD"),
        ("CIG", dt.date(2022, 8, 1), "split", Decimal("1.33333333"), None, Decimal(4), Decimal(3), None),
        ("CIG", dt.date(2022, 8, 5), "dividend", Decimal("0.23"), None, None, None, None),
    ]
    assert "execution_date.lte=2022-12-31&execution_date.gte=2022-01-01" in reference.asked[0]


@pytest.mark.parametrize(("symbol", "ratio"), [("GOOGL", "20"), ("BRW", "0.5")])
def test_a_split_is_new_shares_for_an_old_one(
    reference: PolygonServer, source: Callable[..., PolygonSource], symbol: str, ratio: str
) -> None:
    assert reference.url
    assert actions(symbol, *YEAR, source())["value"].to_list() == [Decimal(ratio)]


def test_a_share_without_actions_has_none(reference: PolygonServer, source: Callable[..., PolygonSource]) -> None:
    assert reference.url
    assert actions("AAPL", *YEAR, source()).is_empty()


def test_a_source_of_its_own_is_made_of_the_environment(
    reference: PolygonServer, source: Callable[..., PolygonSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    source()
    monkeypatch.setenv("PIPELINE_POLYGON_ENDPOINT", reference.url)
    assert actions("GOOGL", *YEAR).height == 1


def test_recorded_splits_of_all_shares_are_read_and_those_of_others_are_refused(
    server: PolygonServer, source: Callable[..., PolygonSource]
) -> None:
    recorded = (RECORDED / "splits.json").read_text(encoding="utf-8")
    server.fail(Fault(body=recorded), Fault(body=NOTHING))
    with pytest.raises(
        SchemaDriftError, match=r"asked for AMZN 2022-01-01\.\.2022-12-31, got 9 others, such as \('GOOGL'"
    ):
        actions("AMZN", *YEAR, source())


@pytest.mark.parametrize("value", ["0", "-1", "null", '"many"', "1e-12", "NaN", "1e40"])
def test_an_amount_that_cannot_be_read_is_an_error(
    server: PolygonServer, source: Callable[..., PolygonSource], value: str
) -> None:
    server.fail(Fault(body=NOTHING), Fault(body=f'{{"status":"OK","results":[{_dividend("2022-08-05", value)}]}}'))
    with pytest.raises(SchemaDriftError, match=r"Polygon dividends of CIG: cash_amount .* cannot be read"):
        actions("CIG", *YEAR, source())


def test_a_date_that_cannot_be_read_is_an_error(server: PolygonServer, source: Callable[..., PolygonSource]) -> None:
    server.fail(Fault(body=NOTHING), Fault(body=f'{{"status":"OK","results":[{_dividend("2022-13-05", "1")}]}}'))
    with pytest.raises(SchemaDriftError, match="ex_dividend_date '2022-13-05' cannot be read"):
        actions("CIG", *YEAR, source())


def test_the_recorded_chain_is_read_digit_for_digit(
    server: PolygonServer, source: Callable[..., PolygonSource]
) -> None:
    server.fail(Fault(body=(RECORDED / "snapshot_options_AAPL.json").read_text(encoding="utf-8")))
    frame = chain_snapshot("AAPL", source())
    assert dict(frame.schema) == SNAPSHOT_SCHEMA
    assert frame.row(0, named=True) == {
        "symbol": "O:AAPL230616C00150000",
        "underlying": "AAPL",
        "expiry": dt.date(2023, 6, 16),
        "option_type": "CE",
        "strike": Decimal(150),
        "lot_size": Decimal(100),
        "quoted_at": dt.datetime(2022, 4, 29, 17, 44, 20, 800059, tzinfo=dt.UTC),
        "bid_price": Decimal("28.9"),
        "bid_size": Decimal(294),
        "ask_price": Decimal("29.25"),
        "ask_size": Decimal(209),
        "last_price": Decimal("29.25"),
        "open_interest": Decimal(8133),
        "implied_volatility": Decimal("0.3570277203465058"),
        "delta": Decimal("0.6436614934293701"),
        "gamma": Decimal("0.0061735291012820675"),
        "theta": Decimal("-0.028227189324641973"),
        "vega": Decimal("0.6381159723175714"),
        "underlying_price": Decimal("159.9606"),
    }
    assert server.asked == ["/v3/snapshot/options/AAPL?limit=250"]


def _snapshot(**more: Any) -> str:
    details = (
        '"details":{"contract_type":"put","expiration_date":"2024-02-16","shares_per_contract":100,'
        '"strike_price":4800,"ticker":"O:SPX240216P04800000"}'
    )
    return "{" + ",".join([details, *(f'"{name}":{value}' for name, value in more.items())]) + "}"


def test_what_a_chain_does_not_tell_is_null_and_an_index_has_a_value(
    server: PolygonServer, source: Callable[..., PolygonSource]
) -> None:
    row = _snapshot(underlying_asset='{"ticker":"I:SPX","value":4772.35}', greeks="{}")
    server.fail(Fault(body=f'{{"status":"OK","results":[{row}]}}'))
    found = chain_snapshot("I:SPX", source()).row(0, named=True)
    assert found["underlying_price"] == Decimal("4772.35")
    assert {found[name] for name in ("delta", "implied_volatility", "bid_price", "open_interest", "quoted_at")} == {
        None
    }


def test_decimals_beyond_the_twentieth_are_cut_off(server: PolygonServer, source: Callable[..., PolygonSource]) -> None:
    row = _snapshot(greeks='{"delta":-0.123456789012345678999,"gamma":1.5e-12}', implied_volatility="0.5")
    server.fail(Fault(body=f'{{"status":"OK","results":[{row}]}}'))
    found = chain_snapshot("I:SPX", source()).row(0, named=True)
    assert found["delta"] == Decimal("-0.12345678901234567899")
    assert found["gamma"] == Decimal("0.0000000000015")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (_snapshot(implied_volatility='"high"'), "implied_volatility 'high' of O:SPX240216P04800000 cannot be read"),
        (_snapshot().replace("4800,", '"low",'), "strike 'low' of O:SPX240216P04800000 cannot be read"),
        (_snapshot().replace('"strike_price":4800,', ""), "strike None of O:SPX240216P04800000 cannot be read"),
        (_snapshot(smile="1"), "unknown 'smile'"),
    ],
)
def test_a_chain_that_cannot_be_read_is_an_error(
    server: PolygonServer, source: Callable[..., PolygonSource], row: str, complaint: str
) -> None:
    server.fail(Fault(body=f'{{"status":"OK","results":[{row}]}}'))
    with pytest.raises(SchemaDriftError, match=complaint):
        chain_snapshot("I:SPX", source())


def test_a_chain_the_plan_does_not_include_is_named(
    server: PolygonServer, source: Callable[..., PolygonSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    source()
    monkeypatch.setenv("PIPELINE_POLYGON_ENDPOINT", server.url)
    server.fail(Fault(403, body='{"status":"NOT_AUTHORIZED","message":"You are not entitled to this data."}'))
    with pytest.raises(SourceError, match=r"polygon chain of AAPL: the plan of this Polygon key does not include it"):
        chain_snapshot("AAPL")


def test_a_daily_answer_tells_of_actions_one_of_a_kind_a_day(
    ask: Callable[..., Answer], reference: PolygonServer
) -> None:
    reference.listings[SPLITS] = [
        f'{{"execution_date":"2024-01-16","split_from":{old},"split_to":{new},"ticker":"AAPL"}}'
        for old, new in ((3, 4), (4, 3), (2, 3))
    ]
    reference.listings[DIVIDENDS] = [
        _dividend("2024-01-16", amount, f'"currency":"{currency}",').replace("CIG", "AAPL")
        for amount, currency in (("0.24", "USD"), ("1.5", "USD"), ("2.50", "EUR"))
    ]
    answer = ask("equity_daily")
    assert answer.actions == (Action(DAY, "split", Decimal("1.5")), Action(DAY, "dividend", Decimal("1.74")))
    assert answer.note == "unadjusted; left out dividends that are not in USD: 2.5 EUR on 2024-01-16"
    assert ask().actions is None


def test_a_share_without_actions_says_so(ask: Callable[..., Answer]) -> None:
    assert ask("equity_daily").actions == ()


def test_a_plan_without_actions_gives_bars_and_says_nothing_of_actions(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    server.fail(None, Fault(403, body='{"status":"NOT_AUTHORIZED","message":"Not entitled."}'))
    answer = ask("equity_daily")
    assert answer.rows.height == 1
    assert (answer.actions, answer.note) == (None, "unadjusted; the plan includes no splits and dividends")
