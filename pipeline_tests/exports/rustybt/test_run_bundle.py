"""The run bundle, read without rustybt: by the layout's own rules, with another reader of Blosc."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import blosc2
import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline_defs.exports.rustybt.bcolz import CHUNK_ROWS, write_column
from pipeline_defs.exports.rustybt.exporter import RustybtExporter
from pipeline_tests.exports.generic.slices import walk
from pipeline_tests.exports.rustybt.slices import DAYS, SHARES, hours_of, make, share_bars, share_slice, us_slice
from pipeline_tests.exports.rustybt.test_build import daily_bars, days_of, rows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice


def column(folder: Path) -> NDArray[np.uint32]:
    """Read a column as bcolz does: as many whole chunks as fit into the stated length, then what is left."""
    storage = json.loads((folder / "meta" / "storage").read_text())
    (length,) = json.loads((folder / "meta" / "sizes").read_text())["shape"]
    chunks = -(-length // storage["chunklen"])
    parts = [b""]
    for number in range(chunks):
        content = (folder / "data" / f"__{number}.blp").read_bytes()
        assert content[:4] == b"blpk"
        parts.append(blosc2.decompress(content[16:]))
    assert len(list((folder / "data").iterdir())) == chunks
    return np.frombuffer(b"".join(parts), dtype="<u4")


@settings(max_examples=25)
@given(st.lists(st.integers(0, 2**32 - 1), max_size=50), st.integers(0, 3), st.integers(-1, 1))
@example([7], 1, 0)
def test_any_column_is_read_back_by_another_reader_of_blosc(values: list[int], chunks: int, more: int) -> None:
    rows = max(0, chunks * CHUNK_ROWS + more)
    wanted = np.resize(np.array(values or [3], dtype=np.uint32), rows) if rows else np.array(values, dtype=np.uint32)
    with tempfile.TemporaryDirectory() as folder:
        write_column(Path(folder) / "close", wanted)
        found = column(Path(folder) / "close")
    assert np.array_equal(found, wanted)


@pytest.fixture
def ingestion(built_share: BuiltExport) -> Path:
    (folder,) = (built_share.root / "data" / "RELIANCE-run").iterdir()
    assert folder.name == "2024-11-09T10;00;00"
    return folder


def test_days_are_thousandths_in_a_row_for_every_session_of_an_asset(ingestion: Path) -> None:
    table = ingestion / "daily_equities.bcolz"
    attributes = json.loads((table / "__attrs__").read_text())

    assert attributes["first_row"] == {"1": 0, "2": 4}
    assert attributes["last_row"] == {"1": 3, "2": 5}
    assert attributes["calendar_offset"] == {"1": 0, "2": 2}
    assert attributes["calendar_name"] == "RELIANCE-sessions"
    assert json.loads((table / "__rootdirs__").read_text())["names"] == [
        *("open", "high", "low", "close", "volume", "day", "id")
    ]
    assert column(table / "close").tolist() == [2_800_050, 2_801_100, 2_802_150, 2_803_200, 2_900_005, 2_900_355]
    assert column(table / "id").tolist() == [1, 1, 1, 1, 2, 2]


def test_position_0_of_a_session_is_the_minute_that_ends_after_the_open(ingestion: Path) -> None:
    minutes = ingestion / "minute_equities.bcolz"
    metadata = json.loads((minutes / "metadata.json").read_text())
    close = column(minutes / "00" / "00" / "000001.bcolz" / "close")

    assert metadata["minutes_per_day"] == 375
    assert (metadata["start_session"], metadata["end_session"]) == (str(DAYS[0]), str(DAYS[-1]))
    assert close.size == 4 * 375
    traded = np.flatnonzero(close)
    # Twelve minutes from the open of each session, and its last: the evening session has 60.
    assert traded.tolist() == [
        375 * session + position for session in range(4) for position in (*range(12), 59 if session == 1 else 374)
    ]
    assert close[0] == 2_800_050


def test_a_session_without_a_bar_has_a_row_of_zeros(tmp_path: Path) -> None:
    bars = daily_bars().filter(pl.col("timestamp") != hours_of(DAYS[1])[1])
    RustybtExporter().build(days_of(bars), tmp_path)
    (folder,) = (tmp_path / "data" / "RELIANCE-run").iterdir()

    assert column(folder / "daily_equities.bcolz" / "close").tolist()[:4] == [2_800_050, 0, 2_802_150, 2_803_200]


def test_assets_have_the_days_of_their_bars_and_the_parts_of_their_symbols(ingestion: Path) -> None:
    database = ingestion / "assets-10.sqlite"
    day = 86_400 * 10**9
    equities = {row["sid"]: (row["start_date"] // day, row["end_date"] // day) for row in rows_of(database, "equities")}
    numbers = [(date - DAYS[0].replace(year=1970, month=1, day=1)).days for date in DAYS]

    assert equities == {1: (numbers[0], numbers[3]), 2: (numbers[2], numbers[3])}
    parts = [
        (row["symbol"], row["company_symbol"], row["share_class_symbol"])
        for row in rows_of(database, "equity_symbol_mappings")
    ]
    assert parts == [("RELIANCE", "RELIANCE", ""), ("RELIANCE-BE", "RELIANCE", "BE")]
    assert rows_of(database, "version_info") == [{"id": 1, "version": 10}]


def _changed(**columns: Any) -> MarketSlice:
    return days_of(walk(7, [hours_of(day)[1] for day in DAYS], "2800.05", "0.05", **columns))


@pytest.mark.parametrize(
    ("market", "reason"),
    [
        (
            days_of(walk(7, [hours_of(DAYS[0])[1]], "0.1234", "0.05")),
            r"cannot hold RELIANCE at 2024-10-31T10:00:00\+00:00: open 0.1234",
        ),
        (_changed(volume=2**32 - 1), "below 2"),
        (days_of(walk(7, [hours_of(DAYS[0])[1]], "4294967.295", "0.05")), "cannot hold RELIANCE"),
        (make(SHARES, share_bars(lambda day: [hours_of(day)[1]]), 60), "none are exported: add 1d to --bars"),
        (us_slice("0.5"), "volume 0.5"),
    ],
)
def test_a_run_bundle_that_would_have_to_round_is_left_out_with_the_reason(
    market: MarketSlice, reason: str, tmp_path: Path
) -> None:
    built = RustybtExporter().build(market, tmp_path)

    assert built.details["run_bundle"] is None
    (note,) = [note for note in built.details["notes"] if note.startswith("the run bundle was left out")]
    assert pl.Series([note]).str.contains(reason).item(), note
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["bundles"]
    assert "register(" not in (tmp_path / "extension.py").read_text()


def test_largest_numbers_are_held(tmp_path: Path) -> None:
    market = days_of(walk(7, [hours_of(DAYS[0])[1]], "4294967.294", "0.001", volume=2**32 - 2))
    RustybtExporter().build(market, tmp_path)
    (folder,) = (tmp_path / "data" / "RELIANCE-run").iterdir()

    assert column(folder / "daily_equities.bcolz" / "close").tolist() == [2**32 - 2]
    assert column(folder / "daily_equities.bcolz" / "volume").tolist() == [2**32 - 2]


def test_the_extension_holds_the_sessions_in_the_market_s_time(built_share: BuiltExport, tmp_path: Path) -> None:
    text = (built_share.root / "extension.py").read_text()
    compile(text, "extension.py", "exec")

    assert "    ('2024-11-01', '18:00', '19:00'),\n    ('2024-11-04', '09:15', '15:30'),\n" in text
    assert "time.fromisoformat('09:15')" in text
    RustybtExporter().build(us_slice(), tmp_path)
    assert "    ('2024-11-29', '09:30', '13:00'),\n" in (tmp_path / "extension.py").read_text()


def test_a_date_with_two_sessions_has_no_run_bundle(tmp_path: Path) -> None:
    market = share_slice()
    evening = market.sessions.filter(pl.col("session_date") == DAYS[1]).with_columns(
        session_date=pl.lit(DAYS[0]),
        open=pl.col("open") - pl.duration(days=1),
        close=pl.col("close") - pl.duration(days=1),
    )
    sessions = pl.concat([market.sessions, evening])
    parts = tuple(dataclasses.replace(part, sessions=sessions) for part in market.resolutions)
    built = RustybtExporter().build(dataclasses.replace(market, sessions=sessions, resolutions=parts), tmp_path)

    assert built.details["run_bundle"] is None


def test_sessions_that_a_calendar_of_dates_and_minutes_cannot_hold_have_no_run_bundle(tmp_path: Path) -> None:
    market = days_of(daily_bars())
    for number, (opens, closes) in enumerate(((0, 30), (-10 * 3600, 0), (0, 0))):
        sessions = market.sessions.with_columns(
            open=pl.col("open") + pl.duration(seconds=opens), close=pl.col("close") + pl.duration(seconds=closes)
        )
        built = RustybtExporter().build(dataclasses.replace(market, sessions=sessions), tmp_path / str(number))
        assert (built.details["run_bundle"] is None) == (number < 2)
