"""Every line of a delivery is stored exactly or refused with its reason, and nothing else happens to it."""

from __future__ import annotations

import datetime as dt
import json
import signal
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.samples.truth import read_truth
from pipeline_defs.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.samples.generate import GeneratedSample
    from pipeline_tests.end_to_end.conftest import CommandLine

type Ask = Callable[..., list[tuple[Any, ...]]]

SHAPED = Path(__file__).parents[1] / "fixtures" / "nse"

TABLES = ("options_ticks", "futures_ticks", "spot_prices", "equity_daily")
CONTENT = " UNION ALL ".join(
    f"SELECT '{table}' AS t, xmin::text, ctid::text, md5(o::text) FROM {table} AS o" for table in TABLES
)
STATE = (
    " UNION ALL ".join(
        f"SELECT '{table}', count(*), md5(string_agg(md5(concat_ws('|', timestamp, symbol, bar_seconds, sequence, open,"
        f" high, low, close, volume, open_interest)), '' ORDER BY timestamp, symbol, bar_seconds, sequence))"
        f" FROM v_{table}"
        for table in TABLES
    )
    + " UNION ALL SELECT 'hourly', count(*), sum(close)::text FROM options_hourly"
    + (" UNION ALL SELECT 'daily', count(*), sum(close)::text FROM options_daily")
)


def imported(loads: list[dict[str, Any]]) -> None:
    for load in loads:
        refused = sum(load["quarantined"].values())
        assert load["read"] == load["stored"] + load["unchanged"] + load["corrected"] + refused, load


def test_every_planted_defect_is_found_and_nothing_else(pipeline: CommandLine, demo: GeneratedSample, ask: Ask) -> None:
    assert demo.truth_path is not None
    truth = read_truth(demo.truth_path)
    day = truth.trade_date.isoformat()
    loads = pipeline.json(
        "import", "--source", "nse-csv", "--path", demo.landing, "--start-date", day, "--end-date", day
    )["loads"]

    refused = [line for load in loads for line in pipeline.json_list("quarantine", "--load", load["load_id"])]
    found = Counter(
        (Path(line["file"]).relative_to(demo.root).as_posix(), line["member"] or "", line["line"]) for line in refused
    )
    planted = Counter((d.file, d.member, d.line) for d in truth.defects if d.outcome == "rejected")
    assert found == planted
    texts = {(d.file, d.member, d.line): d.text for d in truth.defects if d.line}
    for line in refused:
        if line["line"]:
            key = (Path(line["file"]).relative_to(demo.root).as_posix(), line["member"] or "", line["line"])
            assert line["text"] == texts[key]

    stored = "SELECT timestamp, bar_seconds, close, volume, open_interest FROM {} WHERE bar_seconds < 86400"
    rows = [row for table in TABLES for row in ask(stored.format(table))]
    clean = truth.clean_rows.select("timestamp", "bar_seconds", "close", "volume", "open_interest")
    # The clean rows know no contract ids; as multisets of measurements they must be equal.
    assert Counter(rows) == Counter(clean.rows())


def test_a_second_import_of_the_same_files_changes_no_row(
    pipeline: CommandLine, demo: GeneratedSample, ask: Ask
) -> None:
    command = ("import", "--source", "nse-csv", "--path", demo.landing)
    first = pipeline.json(*command)["loads"]
    before = sorted(ask(CONTENT))

    second = pipeline.json(*command)["loads"]

    assert sorted(ask(CONTENT)) == before
    for earlier, later in zip(first, second, strict=True):
        assert (later["stored"], later["corrected"], later["retired"]) == (0, 0, 0)
        assert later["unchanged"] == earlier["stored"]
        assert later["quarantined"] == earlier["quarantined"]
    assert ask("SELECT count(*) FROM options_ticks_history") == [(0,)]


def test_vendor_shaped_files_are_stored_line_by_line_or_explained(pipeline: CommandLine, database_url: str) -> None:
    loads = pipeline.json("import", "--source", "nse-csv", "--path", SHAPED)["loads"]

    lines = [line for load in loads for line in pipeline.json_list("quarantine", "--load", load["load_id"])]
    assert {line["reason"] for line in lines} == {"before_open", "after_close"}
    truth = json.loads((SHAPED / "GFDLNFO_NIFTY_OPT_01012019.truth_options.json").read_text(), parse_float=Decimal)
    close_of_session = "2019-01-01T15:30:00"
    expected = {
        (
            row["ticker"],
            dt.datetime.fromisoformat(row["minute_start_ist"] + "+05:30").astimezone(dt.UTC) + dt.timedelta(minutes=1),
            *(Decimal(row[price]) for price in ("open", "high", "low", "close")),
            row["volume"],
            row["oi"],
        )
        for row in truth
        if row["minute_start_ist"] < close_of_session
    }
    with Warehouse(database_url).connect() as connection:
        found = connection.execute(
            "SELECT replace(symbol, '.NFO', ''), timestamp, open, high, low, close, volume, open_interest"
            " FROM v_options_ticks WHERE bar_seconds = 60"
        ).fetchall()
    assert set(found) == expected
    assert len(found) == len(expected)
    late = Counter(row["ticker"] for row in truth if row["minute_start_ist"] >= close_of_session)
    assert Counter(line["text"].partition(".NFO,")[0] for line in lines if "OPT_" in line["file"]) >= late
    ticks = json.loads((SHAPED / "GFDLNFO_TICK_02012019.truth.json").read_text())
    (load,) = (load for load in loads if load["bar_seconds"] == 0)
    assert load["read"] == sum(member["good_rows"] for member in ticks.values())


@pytest.mark.thorough("pipeline_tests/chaos kills an import at each of its steps, not at a time")
@pytest.mark.parametrize("delay_seconds", [0.8, 1.4])
def test_an_import_killed_at_any_moment_leaves_nothing_half_visible(
    pipeline: CommandLine, demo: GeneratedSample, ask: Ask, delay_seconds: float
) -> None:
    command = ("import", "--source", "nse-csv", "--path", demo.landing)
    process = pipeline.start(*command)
    time.sleep(delay_seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.1)

    for table in TABLES:
        half = ask(
            f"SELECT o.load_id FROM {table} AS o LEFT JOIN loads AS l USING (load_id) GROUP BY o.load_id, l.rows_stored"
            " HAVING count(*) IS DISTINCT FROM l.rows_stored"
        )
        assert half == []

    imported(pipeline.json(*command)["loads"])
    counts: dict[str, int] = dict(ask("SELECT dataset, sum(rows_stored)::bigint FROM loads GROUP BY 1"))
    for table in TABLES:
        assert ask(f"SELECT count(*) FROM {table}") == [(counts[table],)]
    assert ask("SELECT count(*) FROM pending_bars") == [(0,)]
    assert ask("SELECT count(DISTINCT (instrument_id, bar_seconds, date(bucket))) FROM options_hourly") == ask(
        "SELECT count(*) FROM options_daily WHERE bar_seconds <= 3600"
    )


def test_one_underlying_and_one_day_can_be_asked_for(pipeline: CommandLine, demo: GeneratedSample, ask: Ask) -> None:
    loads = pipeline.json(
        "import", "--source", "nse-csv", "--path", demo.landing, "--underlying", "NIFTY",
        "--start-date", "2025-08-13", "--end-date", "2025-08-13",
    )["loads"]  # fmt: skip

    assert {load["partition"] for load in loads} == {"2025-08-13"}
    assert ask("SELECT DISTINCT underlying FROM v_spot_prices") == [("NIFTY",)]
    assert ask("SELECT DISTINCT underlying FROM v_options_ticks") == [("NIFTY",)]


def test_a_folder_without_a_usable_file_fails_with_what_was_looked_for(pipeline: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    completed = pipeline.run("import", "--source", "nse-csv", "--path", tmp_path / "empty", "--json")

    assert completed.returncode == 1
    assert json.loads(completed.stdout)["loads"] == []
    assert "Next:" in completed.stderr


def test_an_unknown_header_prints_expected_against_found(pipeline: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "GFDLNFO_OPTIONS_01012019.csv"
    path.write_text("Ticker,Date,Time,Open,High,Low,Closing,Volume,Open Interest\n", encoding="utf-8")
    completed = pipeline.run("import", "--source", "nse-csv", "--path", path)

    assert completed.returncode == 1
    assert "expected" in completed.stderr
    assert "closing" in completed.stderr


def test_a_day_of_which_nothing_is_usable_fails_and_its_lines_can_be_listed(
    pipeline: CommandLine, tmp_path: Path
) -> None:
    path = tmp_path / "GFDLNFO_OPTIONS_01012019.csv"
    path.write_text(
        "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest\n"
        "NIFTY31JAN1910800CE.NFO,01/01/2019,09:15:59,-1,1,1,1,75,0\n",
        encoding="utf-8",
    )
    completed = pipeline.run_apart("import", "--source", "nse-csv", "--path", path, "--json")

    assert completed.returncode == 1
    (load,) = json.loads(completed.stdout)["loads"]
    assert load["status"] == "rejected"
    (line,) = pipeline.json_list("quarantine", "--load", load["load_id"])
    assert (line["line"], line["text"]) == (2, "NIFTY31JAN1910800CE.NFO,01/01/2019,09:15:59,-1,1,1,1,75,0")
