from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.samples.chain import ChainSpec
from pipeline_defs.samples.market import DayState, MarketDay, trade_one_day
from pipeline_defs.samples.underlyings import UNDERLYINGS

TRADE_DATE = dt.date(2025, 8, 13)
CHAIN = ChainSpec("NIFTY", strikes_each_side=3, strike_every=6, weeklies=1)


def trade(**changes: object) -> MarketDay:
    arguments: dict[str, object] = {"seed": 3, "nights": 1, "state": DayState(), "activity": 0.02} | changes
    return trade_one_day(TRADE_DATE, (CHAIN,), **arguments)  # type: ignore[arg-type]  # names are checked by the call


@pytest.fixture(scope="module")
def day() -> MarketDay:
    return trade(extra_symbols=("RELIANCE", "INDIAVIX"))


def test_bars_are_bars(day: MarketDay) -> None:
    bars = day.bars
    body_high = pl.max_horizontal("open", "close")
    body_low = pl.min_horizontal("open", "close")
    assert bars.filter((pl.col("high") < body_high) | (pl.col("low") > body_low) | (pl.col("low") < 500)).is_empty()
    assert bars.select((pl.col("open", "high", "low", "close") % 500 == 0).all()).row(0) == (True,) * 4
    assert bars.select(pl.struct("contract", "minute").is_unique().all()).item()


def test_volume_comes_in_lots_and_untraded_minutes_are_missing(day: MarketDay) -> None:
    assert day.bars.filter((pl.col("volume") <= 0) | (pl.col("volume") % 75 != 0)).is_empty()
    far = day.contracts.filter(pl.col("strike_e4") == pl.col("strike_e4").max())["contract"].to_list()
    assert day.bars.filter(pl.col("contract").is_in(far)).height < 30
    assert day.bars.filter(pl.col("contract") == 0).height > 250


def test_open_interest_is_zero_until_refreshed_and_then_moves_every_three_minutes(day: MarketDay) -> None:
    future = day.bars.filter(pl.col("contract") == 0).sort("minute")
    before = future.filter(pl.col("open_interest") == 0)["minute"]
    assert before.to_list() == list(range(len(before)))
    assert 1 <= len(before) <= 3
    after = future.filter(pl.col("open_interest") > 0)
    changes = after.filter(pl.col("open_interest").diff() != 0)["minute"]
    assert changes.len() > 50
    assert (after["open_interest"] % 75).sum() == 0
    first_of_three = ((after["minute"] - len(before)) // 3).alias("refresh")
    assert after.group_by(first_of_three).agg(pl.col("open_interest").n_unique())["open_interest"].max() == 1


def test_few_trades_leave_few_prices(day: MarketDay) -> None:
    single = day.bars.filter(pl.col("volume") == 75)
    assert single.height > 20
    assert single.filter(pl.col("high") != pl.col("low")).is_empty()
    double = day.bars.filter(pl.col("volume") == 150)
    assert double.filter(pl.col("high") != pl.max_horizontal("open", "close")).is_empty()


def test_indices_have_no_volume_and_shares_trade_single_units(day: MarketDay) -> None:
    volume = dict(day.spot_bars.group_by("symbol").agg(pl.col("volume").sum()).rows())
    assert volume["NIFTY"] == volume["INDIAVIX"] == 0
    assert volume["RELIANCE"] > 375
    assert day.spot_bars.filter(pl.col("symbol") == "INDIAVIX").select((pl.col("close") % 25 == 0).all()).item()


def test_exact_rows_are_exact_and_spread_evenly() -> None:
    bars = trade(exact_rows=1_001).bars
    assert bars.height == 1_001
    counts = bars.group_by("contract").len()["len"]
    assert counts.max() - counts.min() <= 1  # type: ignore[operator]  # there are rows


def test_more_rows_than_minutes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="31 contracts, which have 11625 minutes"):
        trade(exact_rows=11_626)


def test_the_next_session_goes_on_where_the_last_one_ended(day: MarketDay) -> None:
    following = trade_one_day(dt.date(2025, 8, 14), (CHAIN,), seed=3, nights=1, state=day.state)
    assert following.previous_spot_closes["NIFTY"] == day.spot_close_e4("NIFTY") / 10_000
    carried = following.contracts.join(day.contracts, on="exchange_symbol", suffix="_before")
    assert carried.height == day.contracts.height
    assert carried.filter(pl.col("previous_close_e4") != pl.col("settlement_e4_before")).is_empty()
    gap = following.spot_paths["NIFTY"][0] / day.spot_close_e4("NIFTY") - 1
    assert abs(gap) < 0.05


def test_a_day_without_derivatives_still_has_its_shares() -> None:
    day = trade_one_day(TRADE_DATE, (), seed=1, nights=0, state=DayState(), extra_symbols=("M&M",))
    assert day.bars.is_empty()
    assert day.spot_bars.height == 375


def test_other_underlyings_do_not_disturb_a_path() -> None:
    alone = trade().spot_paths["NIFTY"]
    assert (alone == trade(extra_symbols=("BANKNIFTY",)).spot_paths["NIFTY"]).all()


def test_on_expiry_day_who_traded_at_all_trades_in_the_last_minute() -> None:
    day = trade_one_day(dt.date(2025, 8, 14), (CHAIN,), seed=3, nights=1, state=DayState(), activity=0.02)
    expiring = day.contracts.filter(pl.col("expiry") == dt.date(2025, 8, 14))
    last = day.bars.join(expiring, on="contract", how="semi").group_by("contract").agg(pl.col("minute").max())
    assert last.height >= 4
    assert last["minute"].unique().to_list() == [374]
    spot = day.spot_close_e4("NIFTY")
    closing = day.bars.filter(pl.col("minute") == 374).join(expiring, on="contract")
    side = pl.when(pl.col("option_type") == "CE").then(1).otherwise(-1)
    intrinsic = (side * (spot - pl.col("strike_e4"))).clip(lower_bound=0)
    assert closing.filter((pl.col("close") - intrinsic) != UNDERLYINGS["NIFTY"].tick_e4).is_empty()
