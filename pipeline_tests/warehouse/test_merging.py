"""How a re-import compares what came in with what is stored: the ways differ in what they read, not in what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse import loading, merging
from pipeline_defs.warehouse import rows as table_rows
from pipeline_tests.warehouse.deliveries import Delivery, make_batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.reports import LoadReport

CONTRACTS = 40
MINUTES = 375
CHANGED = 300


def rows(*, changed: int) -> list[tuple[str, int, str]]:
    return [
        (f"C{contract}", minute, "99.95" if contract * MINUTES + minute <= changed else "100.05")
        for contract in range(CONTRACTS)
        for minute in range(1, MINUTES + 1)
    ]


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The plans of the statements that compare and correct, written down before they run."""
    found: dict[str, str] = {}
    execute = psycopg.Connection.execute

    def explaining(connection: psycopg.Connection, query: Any, *arguments: Any, **options: Any) -> psycopg.Cursor:
        text = query if isinstance(query, bytes) else b""
        for name, mark in {"compare": b"CREATE TEMP TABLE difference", "correct": b"UPDATE options_ticks"}.items():
            if mark in text:
                plan = execute(connection, b"EXPLAIN " + text, *arguments, **options).fetchall()
                found[name] = "\n".join(str(line[0]) for line in plan)
        return execute(connection, query, *arguments, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", explaining)
    return found


@pytest.mark.needs_real_backend("it compares compressed rows as a whole")
def test_few_corrections_are_looked_up_by_key_though_the_table_has_no_statistics_yet(
    load: Callable[..., LoadReport], plans: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "refresh_pending_bars", lambda *_: None)
    load(make_batch(Delivery(rows(changed=0))))
    report = load(make_batch(Delivery(rows(changed=CHANGED))))

    assert (report.corrected, report.unchanged) == (CHANGED, CONTRACTS * MINUTES - CHANGED)
    # Anything else walks through the whole partition for every row: an hour where a day has a million.
    assert "(instrument_id = i.instrument_id)" in plans["compare"]
    assert "Tid Scan" in plans["correct"]


def test_a_row_that_is_gone_when_it_is_to_be_corrected_ends_the_import(
    load: Callable[..., LoadReport], ask: Callable[..., list[tuple[Any, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(make_batch(Delivery([("A", 1, "10"), ("B", 1, "20")])))
    monkeypatch.setattr(merging, "_CORRECT", merging._CORRECT.replace("WHERE", "WHERE t.close < 15 AND"))

    with pytest.raises(WarehouseError, match="2 rows were to be corrected, but 1 were there a moment later"):
        load(make_batch(Delivery([("A", 1, "11"), ("B", 1, "21")])))

    assert ask("SELECT close::int FROM options_ticks ORDER BY 1") == [(10,), (20,)]


def test_rows_in_slices_are_stored_corrected_left_alone_and_retired_as_at_once(
    load: Callable[..., LoadReport], ask: Callable[..., list[tuple[Any, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = (
        "SELECT timestamp, instrument_id, sequence, close, volume, open_interest FROM options_ticks ORDER BY 1, 2, 3"
    )
    prints = "SELECT rows, close_sum, volume_sum, row_hashes FROM partition_fingerprints"
    many = [(f"C{contract}", minute, "100.05") for contract in range(7) for minute in range(1, 30)]
    changed = [(name, minute, "99.95" if minute == 5 else price) for name, minute, price in many]

    def versions() -> list[Any]:
        found: list[Any] = []
        for delivered in (many, changed, changed, [*changed[:50], *changed[60:]]):
            report = load(make_batch(Delivery(delivered)))
            counts = (report.stored, report.unchanged, report.corrected, report.retired)
            found += [counts, ask(state), ask(prints)]
        return found

    monkeypatch.setattr(table_rows, "HEAVY_ROWS", 11)
    monkeypatch.setattr(table_rows, "SLICE_ROWS", 11)
    sliced = versions()
    assert list(sliced[::3]) == [(203, 0, 0, 0), (0, 196, 7, 0), (0, 203, 0, 0), (0, 193, 0, 10)]
    monkeypatch.setattr(table_rows, "HEAVY_ROWS", 1_000_000)
    # What is stored now says the same of all its rows, however they were sent.
    assert versions()[3:] == sliced[3:]
