"""One folder holds several bar lengths, and a run may use several of one contract at once."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import backtrader as bt
import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError, ExportError
from pipeline_defs.exports.backtrader.broker import SettlingBroker
from pipeline_defs.exports.backtrader.build import build_files
from pipeline_defs.exports.backtrader.contracts import SIDECAR_NAME, read_sidecar
from pipeline_defs.exports.backtrader.exporter import BacktraderExporter
from pipeline_defs.exports.backtrader.loader import add_chain, load_chain
from pipeline_defs.exports.backtrader.naming import resolution_seconds
from pipeline_defs.exports.backtrader.readback import replay
from pipeline_defs.exports.backtrader.truth import write_truth
from pipeline_defs.exports.backtrader.verify import verify_export
from pipeline_defs.schema.columns import SIZE
from pipeline_defs.schema.exports import READBACK_SCHEMA
from pipeline_tests.exports.backtrader.slices import (
    MONTHLY,
    SESSIONS,
    bars_of,
    crypto_slice,
    instrument,
    make_slice,
    nifty_slice,
    option,
    with_resolutions,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

CALL = "NIFTY_250814_24500_CE"


def naive(day: dt.date, hour: int, minute: int) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(hour, minute))


def truth_of(market: MarketSlice) -> pl.DataFrame:
    """Say what reading back must give, worked out from the bars alone."""
    parts = [
        pl.concat(part.read_bars())
        .group_by("instrument_id")
        .agg(
            bar_seconds=pl.lit(part.bar_seconds, pl.Int32),
            rows=pl.len().cast(pl.Int64),
            first_timestamp=pl.col("timestamp").min(),
            last_timestamp=pl.col("timestamp").max(),
            close_sum=pl.col("close").sum(),
            volume_sum=pl.col("volume").sum().cast(READBACK_SCHEMA["volume_sum"]),
        )
        for part in market.every_resolution
    ]
    return pl.concat(parts).sort("instrument_id", "bar_seconds").cast(pl.Schema(READBACK_SCHEMA))


@pytest.fixture(scope="module")
def several() -> MarketSlice:
    return with_resolutions(nifty_slice(), 300, 3_600, 86_400)


@pytest.fixture(scope="module")
def folder(several: MarketSlice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("several")
    build_files(several, root)
    return root


def test_each_resolution_has_its_files_and_daily_ones_no_suffix(folder: Path) -> None:
    names = {contract.name for contract in read_sidecar(folder).contracts}
    expected = {f"{name}{suffix}.csv" for name in names for suffix in ("_1m", "_5m", "_60m", "")} | {SIDECAR_NAME}
    assert {path.name for path in folder.iterdir()} == expected
    assert "NIFTY_250814_24500_CE.csv" in expected


def test_the_sidecar_describes_every_contract_at_every_resolution(folder: Path) -> None:
    content = json.loads((folder / SIDECAR_NAME).read_text())
    assert [(entry["resolution"], entry["timeframe"], entry["compression"]) for entry in content["resolutions"]] == [
        ("1m", "Minutes", 1),
        ("5m", "Minutes", 5),
        ("60m", "Minutes", 60),
        ("1d", "Days", 1),
    ]
    (entry,) = (entry for entry in content["contracts"] if entry["name"] == CALL)
    assert entry["file"] == f"{CALL}_1m.csv"
    assert [(bars["bar_seconds"], bars["file"], bars["rows"], bars["last"]) for bars in entry["files"]] == [
        (60, f"{CALL}_1m.csv", 60, "2025-08-14 15:30:00"),
        (300, f"{CALL}_5m.csv", 12, "2025-08-14 15:30:00"),
        (3_600, f"{CALL}_60m.csv", 4, "2025-08-14 15:30:00"),
        (86_400, f"{CALL}.csv", 2, "2025-08-14 15:30:00"),
    ]


def test_what_was_built_is_told_for_each_resolution(
    several: MarketSlice, build: Callable[[MarketSlice], BuiltExport]
) -> None:
    built = build(several)
    assert built.instruments.select(list(READBACK_SCHEMA)).cast(pl.Schema(READBACK_SCHEMA)).equals(truth_of(several))
    assert built.counts == {"bars": 8 * (60 + 12 + 4 + 2), "instruments": 8}
    assert [told["resolution"] for told in built.details["resolutions"]] == ["1m", "5m", "60m", "1d"]
    assert (built.details["timeframe"], built.details["compression"]) == ("Minutes", 1)


def test_every_resolution_is_read_back_by_the_verifying_process_and_its_sums_are_exact(
    several: MarketSlice, build: Callable[[MarketSlice], BuiltExport]
) -> None:
    verification = BacktraderExporter().verify(build(several), several)
    assert verification.failures == ()
    assert verification.readback is not None
    assert verification.readback.equals(truth_of(several))
    assert verification.checks["engine"] == {"files": 32, "bars": 624, "all": True}


def test_of_a_large_export_the_engine_reads_a_part_of_each_resolution(
    several: MarketSlice, build: Callable[[MarketSlice], BuiltExport], tmp_path: Path
) -> None:
    built = build(several)
    (tmp_path / "truth").mkdir()
    assert write_truth(built, several, tmp_path / "truth", 300) == []
    report = verify_export(built.root, tmp_path / "truth")
    assert report.failures == []
    # The index at each resolution, and of the seven others what half of the bars allows.
    assert report.checks["engine"]["all"] is False
    assert 4 + 4 * 2 <= report.checks["engine"]["files"] <= 4 + 4 * 4
    assert report.readback is not None
    assert report.readback.equals(truth_of(several))


def test_a_bar_of_a_coarse_file_that_differs_is_told(
    several: MarketSlice, build: Callable[[MarketSlice], BuiltExport], tmp_path: Path
) -> None:
    built = build(several)
    (tmp_path / "truth").mkdir()
    write_truth(built, several, tmp_path / "truth", 100_000)
    file = built.root / f"{CALL}.csv"
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")
    assert f"{CALL}.csv rows: expected 2, found 1" in verify_export(built.root, tmp_path / "truth").failures


def test_the_finest_is_loaded_unless_another_is_asked_for(folder: Path) -> None:
    (finest,) = load_chain(folder, kinds={"SPOT"})
    (hourly,) = load_chain(folder, kinds={"SPOT"}, resolutions={"1h"})
    (daily,) = load_chain(folder, kinds={"SPOT"}, resolutions=["1d"])
    assert [(feed._name, feed._timeframe, feed._compression) for feed in (finest, hourly, daily)] == [
        ("NIFTY_IDX", bt.TimeFrame.Minutes, 1),
        ("NIFTY_IDX", bt.TimeFrame.Minutes, 60),
        ("NIFTY_IDX", bt.TimeFrame.Days, 1),
    ]
    assert daily.bar_file.file == "NIFTY_IDX.csv"
    assert replay(daily)["time"].to_list() == [naive(day, 15, 30) for day in SESSIONS]
    # The last bucket of a session ends with it.
    assert replay(hourly)["time"].to_list() == [naive(day, *end) for day in SESSIONS for end in ((15, 15), (15, 30))]


def test_several_resolutions_of_a_contract_come_at_once_the_finest_under_its_name(folder: Path) -> None:
    feeds = load_chain(folder, names={CALL}, resolutions={"1d", "1m", "5m"})
    assert [feed._name for feed in feeds] == [
        "NIFTY_IDX",
        CALL,
        "NIFTY_IDX_5m",
        f"{CALL}_5m",
        "NIFTY_IDX_1d",
        f"{CALL}_1d",
    ]
    assert {feed.contract.name for feed in feeds} == {"NIFTY_IDX", CALL}


class Watching(bt.Strategy):  # type: ignore[misc] # Backtrader carries no types
    """Buys on the first minute and writes down when a daily bar is first seen."""

    def __init__(self) -> None:
        self.daily_seen: list[dt.datetime] = []
        self.executions: list[tuple[str, float, float]] = []

    def prenext(self) -> None:
        self.next()

    def next(self) -> None:
        daily = self.getdatabyname("NIFTY_IDX_1d")
        if len(daily) > len(self.daily_seen):
            self.daily_seen.append(self.datetime.datetime(0))
        if len(self.getdatabyname(CALL)) == 1 and not self.position:
            self.buy(data=self.getdatabyname(CALL), size=75)

    def notify_order(self, order: Any) -> None:
        if order.status == order.Completed:
            self.executions += [(order.data._name, bit.size, bit.price) for bit in order.executed.exbits]


def test_a_daily_bar_is_seen_at_the_close_beside_the_minutes_and_a_position_is_settled_once(folder: Path) -> None:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = SettlingBroker(cash=1e6)
    add_chain(cerebro, folder, names={CALL}, resolutions={"1m", "1d"})
    cerebro.addstrategy(Watching)
    (strategy,) = cerebro.run()
    assert strategy.daily_seen == [naive(day, 15, 30) for day in SESSIONS]
    assert [(name, size) for name, size, _ in strategy.executions] == [(CALL, 75), (CALL, -75)]
    # The index closes at 24607.85.
    assert strategy.executions[1][2] == 107.85


@pytest.mark.parametrize(
    ("resolutions", "message"),
    [
        ({"2m"}, "resolutions 2m are not among those of the export: 1m, 5m, 60m, 1d"),
        ({"daily"}, "resolution was 'daily', expected a number and a unit"),
        ("1d", "resolutions was the text '1d', expected a collection"),
        (set(), r"resolutions \(none\) are not among those of the export"),
    ],
)
def test_a_resolution_that_is_not_there_is_refused(folder: Path, resolutions: set[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_chain(folder, resolutions=resolutions)


def test_a_contract_without_bars_of_the_chosen_length_is_refused_by_name(
    build: Callable[[MarketSlice], BuiltExport],
) -> None:
    market = make_slice([instrument(1, "SPOT"), option(2, "24500", "CE", MONTHLY)], [bars_of(1, "1"), bars_of(2, "7")])
    daily = make_slice([instrument(1, "SPOT")], [bars_of(1, "1", minutes=1)], bar_seconds=86_400)
    root = build(dataclasses.replace(market, resolutions=(daily,))).root
    assert [feed._name for feed in load_chain(root, resolutions={"1d"})] == ["NIFTY_IDX"]
    with pytest.raises(ConfigurationError, match="names NIFTY_250828_24500_CE have no bars of the chosen resolution"):
        load_chain(root, names={"NIFTY_250828_24500_CE"}, resolutions={"1d"})


@pytest.mark.parametrize(("text", "seconds"), [("15s", 15), ("1m", 60), ("60m", 3_600), ("1h", 3_600), ("1d", 86_400)])
def test_a_resolution_is_read_from_its_text(text: str, seconds: int) -> None:
    assert resolution_seconds(text) == seconds


def test_files_of_two_resolutions_never_share_a_name(build: Callable[[MarketSlice], BuiltExport]) -> None:
    share = [instrument(1, "EQ"), instrument(2, "EQ", series="5m")]
    frames = [bars_of(1, "1", minutes=5), bars_of(2, "1", minutes=5)]
    with pytest.raises(ExportError, match=r"share one file: NIFTY_EQ_5m\.csv \(instrument 1, EQ1\) and NIFTY_EQ_5m"):
        build(with_resolutions(make_slice(share, frames), 300, 86_400))


# A market that never closes.


@pytest.fixture(scope="module")
def crypto() -> MarketSlice:
    return with_resolutions(crypto_slice(), 3_600, 86_400)


@pytest.fixture(scope="module")
def crypto_folder(crypto: MarketSlice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("crypto")
    build_files(crypto, root)
    return root


def test_a_pair_is_exported_in_utc_with_exact_plain_fractions(crypto_folder: Path) -> None:
    lines = (crypto_folder / "BTCUSDT_PAIR_1m.csv").read_text().splitlines()
    assert lines[1].startswith("2025-08-13 23:01:00,117345.12345678,")
    assert [line.split(",")[5] for line in lines[1:6]] == ["0.00000001", "12.5", "0", "1234.00096", "7"]
    assert lines[-1].startswith("2025-08-15 00:00:00,")
    sidecar = read_sidecar(crypto_folder)
    assert (sidecar.timezone, sidecar.underlying_name) == ("UTC", "BTCUSDT_PAIR")
    (pair,) = (contract for contract in sidecar.contracts if contract.kind == "PAIR")
    assert (pair.base_currency, pair.currency, pair.lot_size) == ("BTC", "USDT", None)


def test_a_market_that_never_closes_is_confirmed_and_read_back_exactly(
    crypto: MarketSlice, build: Callable[[MarketSlice], BuiltExport]
) -> None:
    verification = BacktraderExporter().verify(build(crypto), crypto)
    assert verification.failures == ()
    assert verification.readback is not None
    assert verification.readback.equals(truth_of(crypto))
    assert "hold_to_expiry" in verification.checks["trial"]


def test_a_volume_that_no_float_holds_is_exact_in_the_file_and_noted(
    crypto: MarketSlice, build: Callable[[MarketSlice], BuiltExport], tmp_path: Path
) -> None:
    exact = Decimal("12345678.12345678")
    bars = pl.concat(crypto.read_bars()).with_columns(volume=pl.lit(exact, SIZE))
    market = dataclasses.replace(crypto, read_bars=lambda *_: iter([bars]), resolutions=())
    built = build(market)
    assert built.details["notes"][1] == (
        "the volume of 240 bars has more digits than a float: exact in the files, rounded by Backtrader"
    )
    (tmp_path / "truth").mkdir()
    assert write_truth(built, market, tmp_path / "truth", 100_000) == []
    report = verify_export(built.root, tmp_path / "truth")
    assert report.failures == []
    assert report.readback is not None
    assert report.readback["volume_sum"].to_list() == [exact * 120] * 2


@pytest.mark.parametrize("resolution", ["1m", "60m", "1d"])
def test_the_bar_that_closes_at_midnight_belongs_to_the_day_before(crypto_folder: Path, resolution: str) -> None:
    first, second = SESSIONS
    rows = {"1m": 60, "60m": 1, "1d": 1}[resolution]

    def times(**dates: Any) -> list[dt.datetime]:
        (feed,) = load_chain(crypto_folder, kinds={"PAIR"}, resolutions={resolution}, **dates)
        return replay(feed)["time"].to_list()

    on_first, on_second = times(end_date=first), times(start_date=second)
    assert (len(on_first), len(on_second)) == (rows, rows)
    assert on_first[-1] == naive(second, 0, 0)
    assert on_second[-1] == naive(second + dt.timedelta(days=1), 0, 0)
    assert times(start_date=first, end_date=first) == on_first
    assert times(start_date=first, end_date=second) == on_first + on_second
    assert times(start_date=second + dt.timedelta(days=1)) == []


def test_an_option_on_a_pair_that_expires_at_midnight_is_settled_on_the_bar_that_closes_then(
    crypto_folder: Path,
) -> None:
    (option_,) = (contract for contract in read_sidecar(crypto_folder).contracts if contract.kind == "OPT")
    assert option_.settlement is not None
    assert option_.settlement.underlying_time == option_.expiry_close == naive(dt.date(2025, 8, 15), 0, 0)


def test_sizes_of_a_pair_may_be_fractions_and_are_paid_for(crypto_folder: Path) -> None:
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker = SettlingBroker(cash=100_000.0, coc=True)
    add_chain(cerebro, crypto_folder, kinds={"PAIR"})

    class Half(bt.Strategy):  # type: ignore[misc] # Backtrader carries no types
        def next(self) -> None:
            if len(self) == 1:
                self.order_target_percent(target=0.5)

    cerebro.addstrategy(Half)
    (strategy,) = cerebro.run()
    # The first close is the price: half the cash buys less than one coin.
    assert strategy.position.size == pytest.approx(50_000 / 117345.12345678)
    assert strategy.broker.getcash() == pytest.approx(50_000.0)


def test_a_clock_that_is_changed_within_a_session_is_refused(build: Callable[[MarketSlice], BuiltExport]) -> None:
    night = pl.DataFrame(
        {
            "session_date": [dt.date(2025, 11, 2)],
            "open": [dt.datetime(2025, 11, 2, 4, tzinfo=dt.UTC)],
            "close": [dt.datetime(2025, 11, 3, 5, tzinfo=dt.UTC)],
        },
        schema=crypto_slice().sessions.schema,
    )
    market = dataclasses.replace(crypto_slice(), sessions=night, timezone="America/New_York")
    with pytest.raises(ExportError, match="the clock of America/New_York is changed within the session of 2025-11-02"):
        build(market)


# Folders of the version before.


def as_version_1(folder: Path, target: Path) -> None:
    content = json.loads((folder / SIDECAR_NAME).read_text())
    for entry in content["contracts"]:
        (bars,) = entry.pop("files")
        entry |= {name: bars[name] for name in ("rows", "first", "last", "sha256")}
        del entry["base_currency"]
        if entry["settlement"]:
            del entry["settlement"]["basis"]
    length = content.pop("resolutions")[0]
    content |= {"version": 1, "timeframe": length["timeframe"], "compression": length["compression"]}
    del content["sessions"]
    (target / SIDECAR_NAME).write_text(json.dumps(content))


def test_a_sidecar_of_the_version_before_is_read_as_it_was_meant(export: Path, tmp_path: Path) -> None:
    as_version_1(export, tmp_path)
    former, now = read_sidecar(tmp_path), read_sidecar(export)
    assert former.contracts == now.contracts
    assert (former.resolutions, former.timezone, former.sessions) == ((60,), "Asia/Kolkata", ())


def test_dates_select_whole_days_of_a_folder_of_the_version_before(export: Path, tmp_path: Path) -> None:
    as_version_1(export, tmp_path)
    (tmp_path / "NIFTY_IDX_1m.csv").write_bytes((export / "NIFTY_IDX_1m.csv").read_bytes())
    for day in SESSIONS:
        (feed,) = load_chain(tmp_path, kinds={"SPOT"}, start_date=day, end_date=day)
        assert {time.date() for time in replay(feed)["time"]} == {day}
