from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import backtrader as bt
import pytest

from pipeline_defs.errors import ConfigurationError, ExportError
from pipeline_defs.exports.backtrader.broker import SettlingBroker
from pipeline_defs.exports.backtrader.loader import CommInfo, add_chain, commission_info, load_chain
from pipeline_defs.exports.backtrader.readback import replay
from pipeline_tests.exports.backtrader.slices import SESSIONS, bars_of, instrument, make_slice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice


def names(feeds: list[Any]) -> list[str]:
    return [feed._name for feed in feeds]


def test_all_contracts_come_with_the_underlying_first(export: Path) -> None:
    feeds = load_chain(export)
    assert names(feeds)[:2] == ["NIFTY_IDX", "NIFTY_250814_24500_CE"]
    assert len(feeds) == 8
    assert {(feed._timeframe, feed._compression) for feed in feeds} == {(bt.TimeFrame.Minutes, 1)}
    assert [feed.contract.name for feed in feeds] == names(feeds)


def test_the_folder_may_be_text(export: Path) -> None:
    assert names(load_chain(str(export))) == names(load_chain(export))


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [({"FUT"}, ["NIFTY_IDX", "NIFTY_250814_FUT"]), (["SPOT"], ["NIFTY_IDX"])],
)
def test_kinds_select_and_the_underlying_comes_with_derivatives(
    export: Path, kinds: set[str] | list[str], expected: list[str]
) -> None:
    assert names(load_chain(export, kinds=kinds)) == expected


def test_names_select(export: Path) -> None:
    assert names(load_chain(export, names={"NIFTY_250814_24600_CE"})) == ["NIFTY_IDX", "NIFTY_250814_24600_CE"]


def test_dates_select_whole_days(export: Path) -> None:
    (feed,) = load_chain(export, kinds={"SPOT"}, start_date=SESSIONS[1], end_date=SESSIONS[1])
    times = replay(feed)["time"]
    assert len(times) == 30
    assert times[-1] == dt.datetime(2025, 8, 14, 15, 30)  # noqa: DTZ001
    (feed,) = load_chain(export, kinds={"SPOT"}, end_date=SESSIONS[0])
    assert replay(feed)["time"].to_list()[-1] == dt.datetime(2025, 8, 13, 15, 30)  # noqa: DTZ001


def test_a_date_range_without_bars_is_empty_in_backtrader_and_not_an_error(export: Path) -> None:
    (feed,) = load_chain(export, kinds={"SPOT"}, start_date=dt.date(2026, 1, 1))
    assert replay(feed).height == 0


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"kinds": {"OPTION"}}, "kinds OPTION are not among the 5 known ones"),
        ({"names": {"NIFTY"}}, "names NIFTY are not among the 8 known ones, such as NIFTY_250814_24500_CE"),
        ({"kinds": {"EQ"}}, "it holds 8 contracts of the kinds FUT, OPT, SPOT"),
        ({"kinds": "OPT"}, "kinds was the text 'OPT', expected a collection"),
        ({"names": set()}, "nothing of the export of NIFTY is selected"),
    ],
)
def test_a_selection_that_means_nothing_is_refused(export: Path, selection: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_chain(export, **selection)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is not a Backtrader export"):
        load_chain(tmp_path)


def test_an_export_without_its_underlying_gives_the_contracts_alone(
    build: Callable[[MarketSlice], BuiltExport],
) -> None:
    market = make_slice([instrument(2, "FUT", expiry=SESSIONS[1])], [bars_of(2, "24600")])
    assert names(load_chain(build(market).root)) == ["NIFTY_250814_FUT"]


def test_daily_bars_are_stamped_with_the_close_of_their_session(build: Callable[[MarketSlice], BuiltExport]) -> None:
    root = build(make_slice([instrument(1, "SPOT")], [bars_of(1, "1", minutes=1)], bar_seconds=86_400)).root
    (feed,) = load_chain(root)
    assert feed._timeframe == bt.TimeFrame.Days
    assert replay(feed)["time"].to_list() == [
        dt.datetime(2025, 8, 13, 15, 30),  # noqa: DTZ001
        dt.datetime(2025, 8, 14, 15, 30),  # noqa: DTZ001
    ]


def test_five_minute_bars_made_of_the_minutes_have_five_each(export: Path) -> None:
    (feed,) = load_chain(export, kinds={"SPOT"}, end_date=SESSIONS[0])
    feed.resample(timeframe=bt.TimeFrame.Minutes, compression=5)
    times = replay(feed)["time"].to_list()
    assert [time.strftime("%H:%M") for time in times] == ["15:05", "15:10", "15:15", "15:20", "15:25", "15:30"]


def test_derivatives_are_marked_to_market_and_shares_are_paid_for(export: Path) -> None:
    cerebro = bt.Cerebro()
    cerebro.broker = SettlingBroker()
    feeds = {feed._name: feed for feed in add_chain(cerebro, export)}
    option = cerebro.broker.getcommissioninfo(feeds["NIFTY_250814_24500_CE"])
    assert isinstance(option, CommInfo)
    assert not option.stocklike
    assert option.p.mult == 1.0
    assert option.getoperationcost(75, 100.0) == 75.0
    assert option.profitandloss(75, 100.0, 101.5) == 112.5
    assert option.getcommission(75, 100.0) == 0.0
    index = commission_info(feeds["NIFTY_IDX"].contract)
    assert index.stocklike
    assert index.getoperationcost(2, 100.0) == 200.0
