"""The gap ledger's contract, on every server: what is missing, as ranges, each with its one cause."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_tests.warehouse.deliveries import TRADE_DATE, Delivery, make_batch, option
from pipeline_tests.warehouse.gap_oracle import Traded, expected_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from pipeline_defs.schema.batches import Finding, ImportBatch
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

type Ask = Callable[..., list[tuple[Any, ...]]]

OPENS = dt.datetime(2019, 1, 1, 3, 45, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
DUE = dt.datetime(2019, 1, 1, 12, tzinfo=dt.UTC)
DAY_START = dt.datetime(2018, 12, 31, 18, 30, 0, 1, tzinfo=dt.UTC)

ASSESS = """
SELECT assess_session(%(dataset)s, 'nse_csv', %(day)s, %(seconds)s, %(start)s, %(end)s, %(opens)s, %(until)s, %(due)s,
                      %(now)s, %(edge)s, %(middle)s, %(not_fillable)s, %(supply)s)
"""
NEW_LOAD = """
INSERT INTO loads (source, dataset, trade_date, bar_seconds, status, source_type, source_url, api_version, fetched_at,
                   rows_read, rows_stored, rows_unchanged, rows_corrected, rows_retired, rows_quarantined, checksum,
                   code_version)
VALUES ('nse_csv', 'spot_prices', %s, %s, 'complete', 'file', 'folder', '1', now(), 0, 0, 0, 0, 0, 0, '', '1')
RETURNING load_id
"""


def parameters(minutes: int = 10, **changed: Any) -> dict[str, Any]:
    """Describe the partition of the first minutes of 2019, long over."""
    usual = {
        "dataset": "spot_prices", "day": TRADE_DATE, "seconds": 60, "start": DAY_START,
        "end": DAY_START + dt.timedelta(days=1), "opens": OPENS, "until": OPENS + minutes * MINUTE, "due": DUE,
        "now": DUE, "edge": None, "middle": None, "not_fillable": None, "supply": "",
    }  # fmt: skip
    return usual | changed


def index(symbol: str = "NIFTY 50") -> dict[str, Any]:
    return {"kind": "SPOT", "symbol": symbol, "underlying": symbol, "venue": "NSE", "currency": "INR"}


def share(symbol: str) -> dict[str, Any]:
    return index(symbol) | {"kind": "EQ", "series": "EQ"}


def batch_of(rows: dict[str, Any], terms: dict[str, dict[str, Any]], **more: Any) -> ImportBatch:
    """Make a batch of symbols, each with the minutes after the open at which its bars close."""
    flat = [(symbol, minute, "100.05") for symbol, minutes in rows.items() for minute in minutes]
    return make_batch(Delivery(flat, contracts=terms), **({"table": "spot_prices"} | more))


@pytest.fixture
def assessed(warehouse: Warehouse, ask: Ask) -> Callable[..., list[tuple[Any, ...]]]:
    """Assess, and give the gaps as (symbol, first and last minute after the open, minutes, cause, fillable)."""

    def run(**changed: Any) -> list[tuple[Any, ...]]:
        with warehouse.connect() as connection:
            connection.execute(ASSESS, parameters(**changed))
        return ask(
            "SELECT a.symbol, extract(epoch FROM gap_start - %s)::int / 60, extract(epoch FROM gap_end - %s)::int / 60,"
            " minutes, cause, fillable FROM session_gaps AS g LEFT JOIN instrument_terms AS a USING (instrument_id)"
            " ORDER BY 2, 1, 5",
            OPENS,
            OPENS,
        )

    return run


SESSIONS = st.integers(1, 9).flatmap(
    lambda slots: st.tuples(
        st.just(slots),
        st.lists(
            st.builds(
                Traded,
                st.sampled_from(["SPOT", "EQ"]),
                st.sets(st.integers(0, slots - 1)),
                st.sets(st.integers(0, slots - 1), max_size=2),
            ),
            max_size=5,
            # Many alike: enough that a hole of sparse ones is no chance.
        ).flatmap(lambda traded: st.sampled_from([traded, traded, traded * 8])),
        st.sampled_from([0, 60, 3_600]),
        st.booleans(),
    )
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(session=SESSIONS, offset=st.integers(0, 59_999_999))
def test_any_session_is_assessed_as_plain_python_would(
    warehouse: Warehouse, session: tuple[int, list[Traded], int, bool], offset: int
) -> None:
    slots, traded, seconds, is_due = session
    step = dt.timedelta(seconds=seconds or 60)
    # The last long bar is cut at the close.
    until = OPENS + slots * step - (dt.timedelta(minutes=45) if seconds == 3_600 else dt.timedelta())
    with warehouse.connect() as connection:
        stamps = [
            [
                start + dt.timedelta(microseconds=offset) if seconds == 0 else min(start + step, until)
                for start in starts
            ]
            for one in traded
            for starts in [[OPENS + slot * step for slot in sorted(one.present)]]
        ]
        ids = _store(connection, traded, stamps, seconds, step)
        wanted = parameters(seconds=seconds, until=until, now=DUE if is_due else DUE - MINUTE)
        connection.execute(ASSESS, wanted)
        found = connection.execute(
            "SELECT instrument_id, kind, gap_start, gap_end, minutes, cause FROM session_gaps"
        ).fetchall()
        ((expected, present),) = connection.execute(
            "SELECT expected_minutes, present_minutes FROM gap_assessments"
        ).fetchall()
        connection.rollback()

    rows, expected_minutes, present_minutes = expected_rows(traded, slots, is_due=is_due)
    names: dict[int | None, int | None] = {None: None, **dict(enumerate(ids))}
    stamped = {
        (names[at], kind, OPENS + first * step, min(OPENS + (last + 1) * step, until), count, cause)
        for at, kind, first, last, count, cause in rows
    }
    assert set(found) == stamped
    assert len(found) == len(stamped)
    assert (expected, present) == (expected_minutes, present_minutes)
    assert expected == present + sum(row[4] for row in found)


def _store(
    connection: psycopg.Connection,
    traded: list[Traded],
    stamps: list[list[dt.datetime]],
    seconds: int,
    step: dt.timedelta,
) -> list[int]:
    """Put a session's rows and refusals where the database looks for them."""
    ((load_id,),) = connection.execute(NEW_LOAD, [TRADE_DATE, seconds]).fetchall()
    connection.execute(
        "CREATE TEMP TABLE refused_minutes (instrument_id integer, inside timestamptz, load_id bigint, reason text)"
        " ON COMMIT DROP"
    )
    ids = []
    for at, one in enumerate(traded):
        ((instrument_id,),) = connection.execute(
            "INSERT INTO instruments (kind, venue) VALUES (%s, 'NSE') RETURNING instrument_id", [one.kind]
        ).fetchall()
        connection.execute(
            "INSERT INTO instrument_terms (instrument_id, kind, venue, symbol, underlying, series, currency)"
            " VALUES (%s, %s, 'NSE', %s, %s, 'EQ', 'INR')",
            [instrument_id, one.kind, f"S{at}", f"S{at}"],
        )
        ids.append(instrument_id)
        with connection.cursor() as cursor:
            cursor.executemany(
                'INSERT INTO spot_prices ("timestamp", instrument_id, bar_seconds, sequence, source, close, load_id)'
                " VALUES (%s, %s, %s, 0, 'nse_csv', 100, %s)",
                [(stamp, instrument_id, seconds, load_id) for stamp in stamps[at]],
            )
            cursor.executemany(
                "INSERT INTO refused_minutes VALUES (%s, %s, %s, 'bad_price')",
                [(instrument_id, OPENS + slot * step, load_id) for slot in sorted(one.refused)],
            )
    return ids


def test_holes_at_the_open_in_the_middle_and_at_the_close_are_ranges(
    load: Callable[..., LoadReport], assessed: Callable[..., list[tuple[Any, ...]]]
) -> None:
    load(
        batch_of(
            {"NIFTY 50": [3, 4, 7, 8], "A": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}, {"NIFTY 50": index(), "A": share("A")}
        )
    )

    assert assessed() == [
        ("NIFTY 50", 0, 2, 2, "source_missing", True),
        ("NIFTY 50", 4, 6, 2, "source_missing", True),
        ("NIFTY 50", 8, 10, 2, "source_missing", True),
    ]


def test_a_minute_bar_belongs_to_the_minute_it_closes_and_one_outside_the_hours_to_none(
    load: Callable[..., LoadReport], assessed: Callable[..., list[tuple[Any, ...]]], ask: Ask
) -> None:
    load(batch_of({"NIFTY 50": [0, 1, 2, 10, 11]}, {"NIFTY 50": index()}))

    assert assessed() == [("NIFTY 50", 2, 9, 7, "source_missing", True)]
    assert ask("SELECT expected_minutes, present_minutes FROM gap_assessments") == [(10, 3)]


def test_ten_thousand_idle_minutes_of_options_are_one_row(
    load: Callable[..., LoadReport], assessed: Callable[..., list[tuple[Any, ...]]]
) -> None:
    rows = {f"NIFTY{at}": [1 + at % 10, 10 - at % 10] for at in range(100)}
    load(batch_of(rows, {name: option(name, 10_000 + 50 * at) for at, name in enumerate(rows)}, table="options_ticks"))

    assert assessed(dataset="options_ticks") == [(None, 0, 10, 800, "no_trade", False)]


def test_a_hole_of_many_options_is_an_outage_and_of_few_is_quiet(
    load: Callable[..., LoadReport], assessed: Callable[..., list[tuple[Any, ...]]]
) -> None:
    around = [1, 2, 3, 7, 8, 9, 10]
    rows = {f"NIFTY{at}": around for at in range(10)}
    terms = {name: option(name, 10_000 + 50 * at) for at, name in enumerate(rows)}
    load(batch_of({"NIFTY0": around}, terms, table="options_ticks"))
    assert assessed(dataset="options_ticks") == [(None, 0, 10, 3, "no_trade", False)]

    load(batch_of(rows, terms, table="options_ticks"))
    # 70 rows in 10 minutes: in three of them, 21 would have been there.
    assert assessed(dataset="options_ticks") == [(None, 3, 6, 30, "source_missing", True)]


def test_the_nearest_future_and_the_first_rolling_one_are_dense_and_later_ones_are_not(
    load: Callable[..., LoadReport], assessed: Callable[..., list[tuple[Any, ...]]]
) -> None:
    def future(symbol: str, expiry: dt.date | None = None, rank: int | None = None) -> dict[str, Any]:
        return index(symbol) | {
            "kind": "FUT" if rank is None else "CONT", "underlying": "NIFTY", "expiry": expiry, "rank": rank,
        }  # fmt: skip

    terms = {
        "JAN": future("JAN", dt.date(2019, 1, 31)), "FEB": future("FEB", dt.date(2019, 2, 28)),
        "I": future("I", None, 1), "II": future("II", None, 2),
    }  # fmt: skip
    load(batch_of({"JAN": range(1, 10), "FEB": [1, 10], "I": range(2, 11), "II": [5]}, terms, table="futures_ticks"))

    assert assessed(dataset="futures_ticks") == [
        ("I", 0, 1, 1, "source_missing", True),
        (None, 0, 10, 9, "no_trade", False),
        (None, 0, 10, 8, "no_trade", False),
        ("JAN", 9, 10, 1, "source_missing", True),
    ]


def test_an_index_that_came_yesterday_and_not_today_is_missed_and_an_expired_future_is_not(
    load: Callable[..., LoadReport], assessed: Callable[..., list[tuple[Any, ...]]]
) -> None:
    yesterday = TRADE_DATE - dt.timedelta(days=1)
    terms = {"NIFTY 50": index(), "BANK": index("BANK"), "A": share("A")}
    load(batch_of({name: [1] for name in terms}, terms, trade_date=yesterday))
    load(batch_of({"BANK": range(1, 11)}, terms))
    assert assessed() == [("NIFTY 50", 0, 10, 10, "source_missing", True)]

    expired = index("DEC") | {"kind": "FUT", "underlying": "NIFTY", "expiry": yesterday}
    near = expired | {"symbol": "JAN", "expiry": dt.date(2019, 1, 31)}
    load(batch_of({"DEC": [1]}, {"DEC": expired}, table="futures_ticks", trade_date=yesterday))
    load(batch_of({"JAN": range(1, 11)}, {"JAN": near}, table="futures_ticks"))
    assert assessed(dataset="futures_ticks")[1:] == []


def test_a_session_without_a_load_is_one_gap_of_those_who_should_have_come(
    load: Callable[..., LoadReport], assessed: Callable[..., list[tuple[Any, ...]]], ask: Ask
) -> None:
    assert assessed() == [(None, 0, 10, 10, "source_missing", True)]
    terms = {"NIFTY 50": index(), "BANK": index("BANK"), "A": share("A")}
    load(batch_of({name: [1] for name in terms}, terms, trade_date=TRADE_DATE - dt.timedelta(days=1)))

    assert assessed() == [(None, 0, 10, 20, "source_missing", True)]
    assert assessed(not_fillable="no file") == [(None, 0, 10, 20, "source_missing", False)]
    assert ask("SELECT detail FROM session_gaps") == [("no load of this session; no file",)]
    assert ask("SELECT kind, instruments, expected_minutes, present_minutes FROM gap_coverage") == [("SPOT", 2, 20, 0)]
    assert assessed(now=DUE - MINUTE) == [(None, 0, 10, 20, "not_yet_due", False)]


def test_a_delivery_of_which_nothing_was_stored_names_its_load(
    load: Callable[..., LoadReport], assessed: Callable[..., list[tuple[Any, ...]]], ask: Ask
) -> None:
    report = load(make_batch(Delivery([], rejects=[(2, "bad_price", "x")]), table="spot_prices"))
    assert report.status == "rejected"

    assert assessed() == [(None, 0, 10, 10, "quarantined", False)]
    ((detail, load_id),) = ask("SELECT detail, load_id FROM session_gaps")
    assert load_id == report.load_id
    assert detail.endswith(f"see pipeline quarantine --load {report.load_id}")


def test_a_closed_day_is_listed_with_its_reason_and_counts_nothing(
    assessed: Callable[..., list[tuple[Any, ...]]], ask: Ask
) -> None:
    assessed(opens=None, until=None, due=None, edge="holiday New Year")

    assert ask("SELECT cause, minutes, instruments, detail, gap_end - gap_start FROM session_gaps") == [
        ("closed", 0, 0, "holiday New Year", dt.timedelta(days=1))
    ]
    assert ask("SELECT expected_minutes, session_open FROM gap_assessments") == [(0, None)]


def test_a_break_that_is_known_of_is_closed_and_the_edges_of_uncertain_hours_are_too(
    load: Callable[..., LoadReport], assessed: Callable[..., list[tuple[Any, ...]]]
) -> None:
    load(batch_of({"NIFTY 50": [3, 4, 8]}, {"NIFTY 50": index()}))

    edges, middle = [(0, 2), (8, 10)], (4, 7)
    drill = assessed(edge="drill", middle="drill")
    assert [(row[1:3], row[4]) for row in drill] == [((0, 2), "closed"), (middle, "closed"), ((8, 10), "closed")]
    uncertain = assessed(edge="hours uncertain")
    assert [row[1:3] for row in uncertain if row[4] == "closed"] == edges
    assert [row[1:3] for row in uncertain if row[4] == "source_missing"] == [middle]


def test_a_silence_that_the_recorder_noted_is_an_outage_even_of_few_instruments(
    load: Callable[..., LoadReport], assessed: Callable[..., list[tuple[Any, ...]]], ask: Ask
) -> None:
    silence = _silence(OPENS + 3 * MINUTE, OPENS + 6 * MINUTE)
    load(batch_of({"A": [1, 2, 3, 7, 8, 10]}, {"A": share("A")}, findings=(silence,)))

    assert assessed() == [
        (None, 0, 10, 1, "no_trade", False),
        ("A", 3, 6, 3, "source_missing", True),
    ]
    assert ask("SELECT detail FROM session_gaps WHERE cause = 'source_missing'") == [
        ("the stream was silent: connection lost",)
    ]


def _silence(start: dt.datetime, end: dt.datetime) -> Finding:
    from pipeline_defs.recording import _gap  # noqa: PLC0415 -- the words are the recorder's own
    from pipeline_defs.sources.asking.streaming import Silence  # noqa: PLC0415

    return _gap(Silence(start, end, "connection lost"))


def test_a_gap_that_was_asked_about_is_not_fillable_until_other_files_are_there(
    load: Callable[..., LoadReport], assessed: Callable[..., list[tuple[Any, ...]]], warehouse: Warehouse
) -> None:
    load(batch_of({"NIFTY 50": [1, 2, 6, 7, 8, 9, 10], "A": range(1, 11)}, {"NIFTY 50": index(), "A": share("A")}))
    (gap,) = assessed(supply="first files")
    assert gap == ("NIFTY 50", 2, 5, 3, "source_missing", True)
    with warehouse.connect() as connection:
        connection.execute(
            "INSERT INTO gap_requests SELECT dataset, source, trade_date, bar_seconds, instrument_id, gap_start,"
            " gap_end, 'first files' FROM session_gaps"
        )

    assert [row[4:] for row in assessed(supply="first files")] == [("source_missing", False)]
    assert [row[4:] for row in assessed(supply="other files")] == [("source_missing", True)]


def test_daily_bars_want_one_a_session_whatever_their_stamp(
    load: Callable[..., LoadReport], assessed: Callable[..., list[tuple[Any, ...]]], ask: Ask
) -> None:
    terms = {"NIFTY 50": index(), "BANK": index("BANK"), "A": share("A"), "B": share("B")}
    yesterday = TRADE_DATE - dt.timedelta(days=1)
    load(batch_of({name: [375] for name in terms}, terms, bar_seconds=86_400, trade_date=yesterday))
    load(batch_of({"BANK": [375], "A": [1]}, terms, bar_seconds=86_400))

    assert assessed(seconds=86_400) == [("NIFTY 50", 0, 10, 1, "source_missing", True)]
    assert ask("SELECT expected_minutes, present_minutes FROM gap_assessments") == [(3, 2)]


def test_rows_of_a_merged_instrument_count_for_the_one_it_is(
    load: Callable[..., LoadReport], assessed: Callable[..., list[tuple[Any, ...]]], warehouse: Warehouse, ask: Ask
) -> None:
    load(batch_of({"OLD": range(1, 6), "NEW": range(5, 10)}, {"OLD": index("OLD"), "NEW": index("NEW")}))
    with warehouse.connect() as connection:
        connection.execute(
            "INSERT INTO instrument_merges (duplicate_id, instrument_id, reason)"
            " SELECT o.instrument_id, n.instrument_id, 'renamed' FROM instrument_terms AS o, instrument_terms AS n"
            " WHERE o.symbol = 'OLD' AND n.symbol = 'NEW'"
        )

    assert assessed() == [("NEW", 9, 10, 1, "source_missing", True)]
    assert ask("SELECT instruments, present_minutes FROM gap_assessments") == [(1, 9)]


def test_assessing_again_replaces_and_changes_nothing_else(
    load: Callable[..., LoadReport], assessed: Callable[..., list[tuple[Any, ...]]], ask: Ask
) -> None:
    load(batch_of({"NIFTY 50": [1, 2, 9]}, {"NIFTY 50": index()}))
    once = assessed()
    first = ask("SELECT * FROM session_gaps"), ask("SELECT * FROM gap_coverage")

    assert assessed() == once
    assert (ask("SELECT * FROM session_gaps"), ask("SELECT * FROM gap_coverage")) == first
    load(batch_of({"NIFTY 50": range(1, 11)}, {"NIFTY 50": index()}))
    assert assessed() == []


@pytest.mark.needs_real_backend("two sessions at once")
def test_two_assessments_of_one_partition_queue_and_readers_see_a_whole_one(
    load: Callable[..., LoadReport], warehouse: Warehouse, ask: Ask
) -> None:
    load(batch_of({"NIFTY 50": [1, 2, 9], "A": [5]}, {"NIFTY 50": index(), "A": share("A")}))

    def once(_: int) -> tuple[int, int]:
        with warehouse.connect() as connection:
            connection.execute(ASSESS, parameters())
        ((gaps, balance),) = ask(
            "SELECT count(*), (SELECT expected_minutes - present_minutes FROM gap_assessments) - sum(minutes)"
            " FROM session_gaps"
        )
        return gaps, balance

    with ThreadPoolExecutor(4) as pool:
        seen = set(pool.map(once, range(12)))
    assert seen == {(5, 0)}
    assert ask("SELECT count(*) FROM gap_assessments") == [(1,)]


def test_what_retention_has_deleted_is_not_fillable(
    assessed: Callable[..., list[tuple[Any, ...]]], warehouse: Warehouse, ask: Ask
) -> None:
    with warehouse.connect() as connection:
        connection.execute("INSERT INTO dropped_observations VALUES ('spot_prices', '2019-02-01 00:00Z')")

    assert assessed() == [(None, 0, 10, 10, "source_missing", False)]
    assert ask("SELECT detail FROM session_gaps") == [
        ("no load of this session; retention has deleted spot_prices before 2019-02-01",)
    ]
    assert assessed(dataset="futures_ticks")[-1][-1] is True
