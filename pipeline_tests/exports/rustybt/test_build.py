"""What is written, looked at without rustybt: the decimal bundle, its databases, and what is refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import sqlite3
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.manifest import list_objects
from pipeline_defs.exports.rustybt.adjustments import Adjustments
from pipeline_defs.exports.rustybt.checks import EXACT
from pipeline_defs.exports.rustybt.exporter import RustybtExporter
from pipeline_defs.exports.rustybt.naming import with_sids
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.schema.exports import ACTION_SCHEMA
from pipeline_tests.exports.generic.slices import in_halves, instrument, walk
from pipeline_tests.exports.generic.slices import nifty_slice as chain_slice
from pipeline_tests.exports.rustybt.slices import (
    DAYS,
    SHARES,
    SPLIT_DAY,
    hours_of,
    index_slice,
    make,
    pair_slice,
    share_bars,
    share_slice,
    us_slice,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice


def rows_of(database: Path, table: str) -> list[dict[str, Any]]:
    connection = sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]
    finally:
        connection.close()


def read(root: Path, resolution: str) -> dict[str, pl.DataFrame]:
    """Read each file by itself, by the path of its folder."""
    (bundle,) = (root / "data" / "bundles").iterdir()
    return {
        file.parent.relative_to(bundle / resolution).as_posix(): pl.read_parquet(file, hive_partitioning=False)
        for file in sorted((bundle / resolution).glob("**/data.parquet"))
    }


def days_of(bars: pl.DataFrame, **changes: Any) -> MarketSlice:
    return make(SHARES, bars, 86_400, **changes)


def daily_bars() -> pl.DataFrame:
    return share_bars(lambda day: [hours_of(day)[1]])


def test_every_row_lies_in_the_folder_of_its_own_date(built_share: BuiltExport) -> None:
    daily, minute = read(built_share.root, "daily_bars"), read(built_share.root, "minute_bars")

    assert list(daily) == ["year=2024/month=10", "year=2024/month=11"]
    assert set(minute) == {f"year={day.year}/month={day.month}/day={day.day}" for day in DAYS}
    for folder, rows in daily.items():
        assert {f"year={d.year}/month={d.month}" for d in rows["date"]} == {folder}
    for folder, rows in minute.items():
        assert {f"year={d.year}/month={d.month}/day={d.day}" for d in rows["timestamp"]} == {folder}


def test_values_are_the_slice_s_digit_for_digit(built_share: BuiltExport) -> None:
    market = share_slice()
    sids = with_sids(market)
    wanted = pl.concat(market.read_bars()).join(sids, on="instrument_id").sort("sid", "timestamp")
    found = pl.concat(read(built_share.root, "minute_bars").values()).sort("sid", "timestamp")

    assert dict(found.schema) == {
        "timestamp": pl.Datetime("us"),
        "dt": pl.Datetime("us"),
        "sid": pl.Int64(),
        **dict.fromkeys(("open", "high", "low", "close", "volume"), EXACT),
    }
    assert found["timestamp"].equals(found["dt"], check_names=False)
    assert found["timestamp"].to_list() == wanted["timestamp"].dt.replace_time_zone(None).to_list()
    for name in ("open", "high", "low", "close", "volume"):
        assert found[name].to_list() == wanted[name].cast(EXACT).to_list()


def test_a_minute_that_closes_at_midnight_is_stamped_with_the_next_date(built_pair: BuiltExport) -> None:
    minute = read(built_pair.root, "minute_bars")

    assert set(minute) == {f"year=2024/month=11/day={day}" for day in (9, 10, 11)}
    assert minute["year=2024/month=11/day=10"]["timestamp"][0] == dt.datetime(2024, 11, 10)  # noqa: DTZ001 -- as it is stored
    assert minute["year=2024/month=11/day=9"]["volume"].to_list()[0] == Decimal("0.00012345")


def test_the_finder_s_symbols_are_the_readers_sids(built_share: BuiltExport) -> None:
    database = built_share.root / "assets-10.db"
    symbols = rows_of(database, "bundle_symbols")
    (metadata,) = rows_of(database, "bundle_metadata")

    assert [(row["id"], row["symbol"], row["asset_type"], row["exchange"]) for row in symbols] == [
        (1, "RELIANCE", "equity", "NSE"),
        (2, "RELIANCE-BE", "equity", "NSE"),
    ]
    day = 86_400
    assert (metadata["start_date"] // day, metadata["end_date"] // day) == tuple(
        (date - dt.date(1970, 1, 1)).days for date in (DAYS[0], DAYS[-1])
    )
    assert (metadata["row_count"], metadata["timezone"]) == (84, "Asia/Kolkata")
    assert rows_of(built_share.root / "data" / "bundles" / "RELIANCE" / "metadata.db", "datasets") == []


def test_the_same_slice_gives_the_same_bytes(built_share: BuiltExport, tmp_path: Path) -> None:
    again = RustybtExporter().build(share_slice(), tmp_path)

    assert list_objects(again.root) == list_objects(built_share.root)
    assert again.instruments.equals(built_share.instruments)
    for database in ("assets-10.db", "data/bundles/RELIANCE/metadata.db"):
        # What the file says of the library that wrote it does not depend on the library.
        assert (tmp_path / database).read_bytes()[96:100] == (3_040_000).to_bytes(4, "big")


def test_pairs_indices_and_shares_of_another_market_are_named_by_what_they_are(tmp_path: Path) -> None:
    for number, (market, symbol, kind) in enumerate(
        ((pair_slice(), "BTC/USDT", "crypto"), (index_slice(), "NIFTY", "index"), (us_slice(), "AAPL", "equity"))
    ):
        root = tmp_path / str(number)
        root.mkdir()
        RustybtExporter().build(market, root)
        (row,) = rows_of(root / "assets-10.db", "bundle_symbols")
        assert (row["symbol"], row["asset_type"]) == (symbol, kind)


def test_options_and_futures_are_refused_by_name(tmp_path: Path) -> None:
    market = chain_slice()
    with pytest.raises(
        ExportError, match=r"NIFTY14AUG2524500CE.NFO: rustybt has no option among its assets.* 2 options"
    ):
        RustybtExporter().build(dataclasses.replace(market, resolutions=()), tmp_path)
    bars = walk(2, [hours_of(DAYS[0])[1]], "24600.05", "1.25")
    future = make([instrument(2, "FUT", "NIFTY28NOV24FUT.NFO", expiry=dt.date(2024, 11, 28))], bars, 86_400)
    with pytest.raises(ExportError, match=r"NIFTY28NOV24FUT.NFO: .*expiry 2099-12-31, and the slice holds 1 futures"):
        RustybtExporter().build(future, tmp_path)


def test_other_bar_lengths_are_refused(tmp_path: Path) -> None:
    market = dataclasses.replace(days_of(daily_bars()), bar_seconds=300)
    with pytest.raises(ExportError, match="bars of 300 seconds have no place in rustybt"):
        RustybtExporter().build(market, tmp_path)


def _with(**changes: Any) -> pl.DataFrame:
    """Change the last bar."""
    bars = daily_bars()
    last = pl.int_range(pl.len()) == bars.height - 1
    return bars.with_columns(
        pl.when(last).then(pl.lit(value)).otherwise(pl.col(name)).cast(bars.schema[name]).alias(name)
        for name, value in changes.items()
    )


@pytest.mark.parametrize(
    ("bars", "what"),
    [
        (_with(close=None), "a value is missing"),
        (_with(low=0), "a price is not above zero"),
        (_with(volume=-1), "the volume is below zero"),
        (_with(low=Decimal(2_900)), "high and low do not enclose the prices"),
        (_with(high=Decimal(10**10)), "more than ten digits before the point"),
        (_with(volume=10**10), "more than ten digits before the point"),
        (_with(timestamp=hours_of(DAYS[-1])[1] + dt.timedelta(minutes=1)), "the bar lies in no session"),
        (_with(timestamp=hours_of(DAYS[-1])[0]), "the bar lies in no session"),
        (_with(timestamp=hours_of(DAYS[-2])[1] + dt.timedelta(days=-1)), "not sorted by instrument and time"),
        (_with(timestamp=hours_of(DAYS[-2])[1]), "not sorted by instrument and time"),
    ],
)
def test_a_bar_that_rustybt_would_misread_is_refused_by_instrument_and_time(
    bars: pl.DataFrame, what: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=rf"RELIANCE \(7\) at 20.*{what}"):
        RustybtExporter().build(days_of(bars), tmp_path)


def test_two_daily_bars_of_a_session_and_parts_of_a_minute_are_refused(tmp_path: Path) -> None:
    closes = hours_of(DAYS[0])[1]
    bars = walk(7, [closes - dt.timedelta(seconds=30), closes], "2800.05", "0.05")
    with pytest.raises(ExportError, match="the session has two daily bars"):
        RustybtExporter().build(days_of(bars), tmp_path / "days")
    with pytest.raises(ExportError, match="the close of a minute is not a whole minute"):
        RustybtExporter().build(make(SHARES, bars, 60), tmp_path / "minutes")


def test_other_bars_than_announced_are_refused(tmp_path: Path) -> None:
    market = days_of(daily_bars())
    for number, rows in enumerate((daily_bars()[:-1], daily_bars().clear())):
        with pytest.raises(ExportError, match=r"the slice announces 4|the reader gave no bars"):
            RustybtExporter().build(dataclasses.replace(market, read_bars=in_halves(rows)), tmp_path / str(number))
    wrong = daily_bars().with_columns(pl.col("volume").cast(pl.Int32))
    with pytest.raises(ExportError, match="bars came with the columns"):
        RustybtExporter().build(dataclasses.replace(market, read_bars=in_halves(wrong)), tmp_path / "types")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"sessions": index_slice().sessions.clear()}, "the slice holds no sessions"),
        ({"underlying": "../up"}, "cannot name a bundle"),
        ({"instruments": pl.col("kind").replace("EQ", "SWAP")}, "kind 'SWAP' has no form in rustybt"),
        ({"instruments": pl.lit("EQ").alias("series")}, "two instruments would have one symbol in rustybt"),
        ({"instruments": pl.lit("PAIR").alias("kind")}, "lacks a term that its name needs"),
    ],
)
def test_what_cannot_be_named_is_refused(changes: dict[str, Any], what: str, tmp_path: Path) -> None:
    market = days_of(daily_bars())
    told: dict[str, Any] = {
        name: market.instruments.with_columns(change) if isinstance(change, pl.Expr) else change
        for name, change in changes.items()
    }
    with pytest.raises(ExportError, match=what):
        RustybtExporter().build(dataclasses.replace(market, **told), tmp_path)


def test_adjustments_are_old_shares_for_a_new_one_and_what_a_dividend_leaves_of_the_close(
    built_share: BuiltExport,
) -> None:
    day = (SPLIT_DAY - dt.date(1970, 1, 1)).days * 86_400
    found = {
        table: rows_of(built_share.root / "data" / "bundles" / "RELIANCE" / "metadata.db", table)
        for table in ("splits", "dividends", "dividend_payouts")
    }

    assert found["splits"] == [{"sid": 2, "effective_date": day, "ratio": 0.5}]
    # 2801.10 was the daily close of the session before.
    assert found["dividends"] == [
        {"sid": 1, "effective_date": day, "ratio": float(1 - Decimal("9.5") / Decimal("2801.1"))}
    ]
    assert [(row["sid"], row["ex_date"], row["pay_date"], row["amount"]) for row in found["dividend_payouts"]] == [
        (1, day, day, 9.5)
    ]
    (run,) = (built_share.root / "data" / "RELIANCE-run").iterdir()
    for table, rows in found.items():
        stored = rows_of(run / "adjustments.sqlite", table)
        assert [{name: row[name] for name in rows[0]} for row in stored] == rows


def test_a_dividend_before_all_bars_is_paid_and_adjusts_nothing() -> None:
    market = share_slice()
    first = pl.DataFrame([(7, DAYS[0], "dividend", Decimal(3))], schema=ACTION_SCHEMA, orient="row")
    market = dataclasses.replace(market, actions=pl.concat([first, first]))
    tables = Adjustments.of(market, with_sids(market)).tables()

    assert (tables["splits"], tables["dividends"], len(tables["dividend_payouts"])) == ([], [], 1)
    assert tables["dividend_payouts"][0]["amount"] == 6.0


@pytest.mark.parametrize(
    "actions", [[(7, DAYS[1], "merger", 1)], [(7, DAYS[1], "split", 0)], [(7, DAYS[1], "split", 2)] * 2]
)
def test_a_corporate_action_that_cannot_be_expressed_is_refused(actions: list[tuple[Any, ...]]) -> None:
    frame = pl.DataFrame(actions, schema={**ACTION_SCHEMA, "value": pl.Int64()}, orient="row")
    market = dataclasses.replace(share_slice(), actions=frame.with_columns(pl.col("value").cast(PRICE)))
    with pytest.raises(ExportError, match="a corporate action cannot be expressed"):
        Adjustments.of(market, with_sids(market))
