from __future__ import annotations

import datetime as dt
import threading
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pipeline_defs.errors import ConfigurationError, WarehouseError
from pipeline_defs.greeks.inputs import Session
from pipeline_defs.greeks.parameters import GreeksParameters
from pipeline_defs.greeks.rate_files import read_rates
from pipeline_defs.greeks.rates import load_rates
from pipeline_defs.greeks.reading import find_not_repriced, find_out_of_bounds, read_smile, read_state
from pipeline_defs.greeks.session import GreeksReport, compute_session
from pipeline_tests.greeks.conftest import TINY_DATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.warehouse.connection import Warehouse

    type Ask = Callable[..., list[tuple[Any, ...]]]

SPOT = GreeksParameters(forward_method="spot")
SESSION = Session(TINY_DATE, "nse_csv", 60)


def compute(warehouse: Warehouse, parameters: GreeksParameters = SPOT) -> GreeksReport:
    return compute_session(warehouse, "nse_csv", TINY_DATE, parameters=parameters)


@pytest.mark.parametrize("method", ["future", "parity", "spot"])
def test_every_bar_of_a_session_has_numbers_or_a_reason(imported: Warehouse, ask: Ask, method: str) -> None:
    report = compute(imported, GreeksParameters(forward_method=method, max_underlying_age_seconds=300))
    ((bars,),) = ask(imported, "SELECT count(*) FROM options_ticks WHERE bar_seconds = 60")
    ((rows, numbers),) = ask(imported, "SELECT count(*), count(implied_volatility) FROM option_greeks")

    assert bars == rows == report.rows > 200
    assert numbers == report.with_numbers > 50
    assert read_state(imported, SESSION).rows == rows
    for found in (find_out_of_bounds(imported, TINY_DATE), find_not_repriced(imported, TINY_DATE)):
        assert (found.examined, found.failing) == (numbers, 0)


def test_volatilities_are_those_with_which_the_sample_was_made(imported: Warehouse) -> None:
    compute(imported)
    median = read_state(imported, SESSION).median_volatility

    assert median is not None
    assert 0.08 < median < 0.2


def test_a_second_run_writes_nothing(imported: Warehouse, ask: Ask) -> None:
    first = compute(imported)
    versions = ask(
        imported, "SELECT xmin::text, computed_at, instrument_id, timestamp FROM option_greeks ORDER BY 3, 4"
    )
    state = read_state(imported, SESSION)
    second = compute(imported)

    assert (first.counts.new, first.counts.unchanged) == (first.rows, 0)
    assert (second.counts.new, second.counts.changed, second.counts.removed) == (0, 0, 0)
    assert second.counts.unchanged == first.rows
    assert read_state(imported, SESSION) == state
    again = "SELECT xmin::text, computed_at, instrument_id, timestamp FROM option_greeks ORDER BY 3, 4"
    assert ask(imported, again) == versions


def test_a_corrected_option_changes_its_own_row_and_no_other(imported: Warehouse, ask: Ask) -> None:
    compute(imported)
    state = read_state(imported, SESSION)
    ((at, instrument_id),) = ask(
        imported,
        "UPDATE options_ticks SET close = close + 0.05, high = high + 0.05 WHERE (timestamp, instrument_id) = (SELECT"
        " timestamp, instrument_id FROM option_greeks WHERE implied_volatility IS NOT NULL LIMIT 1)"
        " AND bar_seconds = 60 RETURNING timestamp, instrument_id",
    )
    stale = find_not_repriced(imported, TINY_DATE)
    report = compute(imported)
    changed = ask(imported, "SELECT timestamp, instrument_id FROM option_greeks ORDER BY computed_at DESC LIMIT 1")

    assert (stale.failing, len(stale.shown)) == (1, 1)
    assert "off by 0.05" in stale.shown[0]
    assert (report.counts.new, report.counts.changed, report.counts.removed) == (0, 1, 0)
    assert changed == [(at, instrument_id)]
    assert read_state(imported, SESSION).content_hash != state.content_hash
    assert find_not_repriced(imported, TINY_DATE).failing == 0


def test_a_corrected_price_of_the_underlying_changes_the_bars_that_used_it(imported: Warehouse, ask: Ask) -> None:
    compute(imported)
    ((at, used),) = ask(
        imported,
        "SELECT underlying_timestamp, count(*) FROM option_greeks WHERE underlying_price IS NOT NULL GROUP BY 1"
        " ORDER BY 2 DESC, 1 LIMIT 1",
    )
    ask(
        imported,
        "UPDATE spot_prices AS s SET close = s.close + 1, high = s.high + 1 FROM option_greeks AS g WHERE"
        " s.timestamp = %s AND g.underlying_timestamp = s.timestamp AND g.underlying_id = s.instrument_id",
        at,
    )

    assert compute(imported).counts.changed == used


def test_a_new_rate_changes_what_was_computed_with_the_old_one(imported: Warehouse, tmp_path: Path, ask: Ask) -> None:
    compute(imported)
    file = tmp_path / "rates.csv"
    file.write_text("currency,valid_from,rate,source\nINR,2025-08-14,0.05,later\n", encoding="utf-8")
    load_rates(imported, read_rates(file))
    untouched = compute(imported)
    file.write_text("currency,valid_from,rate,source\nINR,2025-08-13,0.05,that day\n", encoding="utf-8")
    load_rates(imported, read_rates(file))
    changed = compute(imported)

    assert untouched.counts.changed == 0  # it counts from the next day on
    assert changed.counts.changed == changed.rows
    assert ask(imported, "SELECT DISTINCT rate FROM option_greeks") == [(0.05,)]


def test_a_bar_that_is_gone_takes_its_greeks_with_it(imported: Warehouse, ask: Ask) -> None:
    compute(imported)
    ask(imported, "DELETE FROM options_ticks WHERE instrument_id = (SELECT min(instrument_id) FROM option_greeks)")
    report = compute(imported)

    assert report.counts.removed > 0
    assert ask(imported, "SELECT count(*) FROM option_greeks") == [(report.rows,)]


def test_own_rates_are_stored_with_the_rows(imported: Warehouse, ask: Ask) -> None:
    ask(imported, "DELETE FROM interest_rates")
    ask(imported, "DELETE FROM dividend_yields")
    with pytest.raises(ConfigurationError, match="no interest rate of INR"):
        compute(imported)
    assert ask(imported, "SELECT count(*) FROM option_greeks") == [(0,)]
    compute(imported, GreeksParameters(forward_method="spot", rate=0.07, dividend_yield=0.01))

    assert ask(
        imported, "SELECT DISTINCT rate, dividend_yield, model, forward_method FROM option_greeks WHERE reason IS NULL"
    ) == [(0.07, 0.01, "black_scholes_merton", "spot")]


def test_a_session_without_options_says_what_to_do(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match=r"no option bar of 60 seconds .*\nNext: import options of 2025-08-13"):
        compute(warehouse)
    with pytest.raises(ConfigurationError, match="expected a length of bars above 0"):
        compute_session(warehouse, "nse_csv", TINY_DATE, bar_seconds=0)


def test_a_bar_of_no_known_option_stops_the_session(imported: Warehouse, ask: Ask) -> None:
    ask(imported, "UPDATE options_ticks SET instrument_id = 999 WHERE instrument_id = 9 AND bar_seconds = 60")
    with pytest.raises(WarehouseError, match=r"bars are of instruments that have no terms .* such as instrument 999"):
        compute(imported)
    assert ask(imported, "SELECT count(*) FROM option_greeks") == [(0,)]


def test_two_runs_of_one_session_queue_and_agree(imported: Warehouse) -> None:
    reports: list[GreeksReport] = []
    runs = [threading.Thread(target=lambda: reports.append(compute(imported))) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()

    assert sorted(report.counts.new for report in reports) == [0, reports[0].rows]


def test_a_failure_halfway_leaves_what_was_there(
    imported: Warehouse, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute(imported)
    before = read_state(imported, SESSION)
    ask(imported, "UPDATE options_ticks SET close = close + 0.05, high = high + 0.05 WHERE bar_seconds = 60")
    with monkeypatch.context() as patch:
        patch.setattr("pipeline_defs.greeks.storing._WRITE", "SELECT 1/0")
        with pytest.raises(WarehouseError, match="division by zero"):
            compute(imported)

    assert read_state(imported, SESSION) == before


def test_bars_made_of_minutes_have_the_greeks_of_their_last_minute(imported: Warehouse, ask: Ask) -> None:
    compute(imported)
    ask(imported, "COMMIT")
    with imported.connect(autocommit=True) as connection:
        connection.execute("CALL refresh_bars('2025-08-13', '2025-08-14')")
    day = ("2025-08-13", "2025-08-14")
    hourly = ask(imported, "SELECT * FROM option_greeks_of('options_hourly', %s, %s)", *day)
    daily = ask(imported, "SELECT * FROM option_greeks_of('options_daily', %s, %s)", *day)
    last = ask(
        imported,
        "SELECT DISTINCT ON (instrument_id) instrument_id, timestamp, implied_volatility FROM option_greeks"
        " WHERE implied_volatility IS NOT NULL ORDER BY instrument_id, timestamp DESC",
    )

    assert [(row[2], row[1], row[5]) for row in daily] == last
    assert len(hourly) > len(daily)
    assert all(bucket < at <= bucket + dt.timedelta(hours=1) for bucket, at, *_ in hourly)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="no bars pg_class"):
        ask(imported, "SELECT * FROM option_greeks_of('pg_class', %s, %s)", *day)


def test_the_smile_is_that_of_options_out_of_the_money(imported: Warehouse) -> None:
    assert read_smile(imported, SESSION) == ("", {})
    compute(imported)
    underlying, curves = read_smile(imported, SESSION)

    assert underlying == "NIFTY"
    assert list(curves) == ["2025-08-14"]
    assert [strike for strike, _ in curves["2025-08-14"]] == sorted({strike for strike, _ in curves["2025-08-14"]})


def test_the_database_refuses_a_row_that_is_half_filled(imported: Warehouse, ask: Ask) -> None:
    compute(imported)
    for change in ("delta = NULL", "reason = 'no_trade'", "implied_volatility = 'NaN'", "gamma = -1"):
        with pytest.raises(psycopg.errors.CheckViolation):
            ask(imported, f"UPDATE option_greeks SET {change} WHERE reason IS NULL")
    with pytest.raises(psycopg.errors.CheckViolation, match="no_look_ahead"):
        ask(imported, "UPDATE option_greeks SET underlying_timestamp = timestamp + interval '1 minute'")


def test_a_delta_beyond_its_bounds_is_found_and_named(imported: Warehouse, ask: Ask) -> None:
    compute(imported)
    ask(
        imported,
        "UPDATE option_greeks SET delta = -delta WHERE (timestamp, instrument_id) = (SELECT timestamp, instrument_id"
        " FROM option_greeks WHERE implied_volatility IS NOT NULL ORDER BY 1, 2 LIMIT 1)",
    )
    found = find_out_of_bounds(imported, TINY_DATE)

    assert (found.failing, len(found.shown)) == (1, 1)
    assert found.shown[0].startswith("NIFTY14AUG25")
    assert 0 < found.worst < 1
