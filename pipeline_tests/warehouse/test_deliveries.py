"""Known deliveries: left out when reading them again could give nothing else, and only then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import pipeline_defs
from pipeline_defs.schema.batches import ImportBatch, ImportRequest, SourceMetadata
from pipeline_defs.schema.deliveries import Delivery as Known
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.reports import LoadReport
from pipeline_tests.warehouse.deliveries import TRADE_DATE, Delivery, StubSource, make_batch

if TYPE_CHECKING:
    from pipeline_defs.progress import Step
    from pipeline_defs.warehouse.connection import Warehouse

type Ask = Callable[..., list[tuple[Any, ...]]]

A, B = "NIFTY31JAN1910000CE", "NIFTY31JAN1910050CE"


class DigestSource(StubSource):
    """A source that asks the ledger, as a source of files does."""

    version = "1"
    fetched = 0

    def get_metadata(self) -> SourceMetadata:
        return replace(super().get_metadata(), api_version=self.version)

    def fetch(self, request: ImportRequest) -> Iterator[ImportBatch]:
        known = self.batches[0].delivery
        assert known is not None
        held = (
            request.ledger is not None
            and request.ledger.knows_date(TRADE_DATE)
            and request.ledger.holds(TRADE_DATE, known.digest)
        )
        if not held:
            self.fetched += 1
            yield from self.batches


def options(price: str = "1.5", digest: str = "d1", parts: int = 1, **more: Any) -> ImportBatch:
    batch = make_batch(Delivery([(A, 1, price), (B, 1, "2.5")], rejects=[(9, "bad_price", "x,y")]), **more)
    return replace(batch, delivery=Known(digest, parts))


@pytest.fixture
def run(warehouse: Warehouse) -> Callable[..., tuple[list[LoadReport], int]]:
    """Import batches; give the reports and how often the source was read."""

    def run(*batches: ImportBatch, version: str = "1", **more: Any) -> tuple[list[LoadReport], int]:
        source = DigestSource(*batches)
        source.version = version
        request = ImportRequest(underlying=batches[0].underlying)
        return list(import_source(warehouse, source, request, **more)), source.fetched

    return run


type Run = Callable[..., tuple[list[LoadReport], int]]


def test_a_known_delivery_is_not_read_and_reported_as_a_reading_would(run: Run, ask: Ask) -> None:
    ((first,), _) = run(options())
    rows = ask("SELECT xmin::text, * FROM options_ticks")

    ((second,), fetched) = run(options(), dagster_run_id="run 2")

    assert fetched == 0
    assert (second.status, second.read, second.stored, second.unchanged) == ("complete", 3, 0, 2)
    assert second.quarantined == first.quarantined == {"bad_price": 1}
    assert second.message == f"same files as load {first.load_id}"
    assert ask("SELECT xmin::text, * FROM options_ticks") == rows
    for table, columns in (
        ("load_files", "path, logical_name, sha256"),
        ("quarantine", "line, reason, text"),
        ("loads", "checksum, delivery_digest, rows_read, rows_quarantined"),
    ):
        (one,), (two,) = (
            ask(f"SELECT {columns} FROM {table} WHERE load_id = %s", report.load_id) for report in (first, second)
        )
        assert one == two
    assert ask("SELECT dagster_run_id, rows_stored FROM loads WHERE load_id = %s", second.load_id) == [("run 2", 0)]


def test_it_is_read_when_asked_to(run: Run) -> None:
    run(options())

    ((report,), fetched) = run(options(), reread=True)

    assert (fetched, report.unchanged) == (1, 2)


def test_another_content_is_read(run: Run) -> None:
    run(options())

    ((report,), fetched) = run(options("1.6", "d2"))

    assert (fetched, report.corrected) == (1, 1)


def test_an_old_delivery_is_read_again_after_a_newer_one(run: Run, ask: Ask) -> None:
    run(options())
    run(options("1.6", "d2"))

    ((report,), fetched) = run(options())

    assert (fetched, report.corrected) == (1, 1)
    assert ask("SELECT min(close) FROM options_ticks")[0][0] == 1.5


def test_it_is_read_by_a_newer_version_of_the_reader(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run(options())

    assert run(options(), version="2")[1] == 1
    assert run(options(), version="2")[1] == 0
    monkeypatch.setattr(pipeline_defs, "__version__", "99")
    assert run(options(), version="2")[1] == 1


def test_it_is_read_when_the_rules_of_the_market_have_changed_since(run: Run, warehouse: Warehouse) -> None:
    run(options())
    with warehouse.connect() as connection:
        connection.execute("UPDATE market_rules_ledger SET seeded_at = clock_timestamp()")

    assert run(options())[1] == 1


def test_it_is_read_for_another_underlying(run: Run) -> None:
    run(options())

    assert run(options(underlying="NIFTY"))[1] == 1
    assert run(options())[1] == 1
    assert run(options())[1] == 0


def test_a_delivery_of_which_a_part_is_missing_is_read(run: Run, warehouse: Warehouse) -> None:
    """As after a crash between the partitions of a day."""
    ticks = replace(make_batch(Delivery([(A, 1, "1.5")]), bar_seconds=0), delivery=Known("d1", 2))
    told: list[Step] = []
    (only,) = import_source(warehouse, StubSource(options(parts=2)), ImportRequest(), on_progress=told.append)
    assert [(step.doing.split()[0], step.done, step.total) for step in told] == [
        ("reading", 0, None),
        ("storing", 0, None),
        ("reading", 1, None),
    ]
    assert only.stored == 2

    reports, fetched = run(options(parts=2), ticks)

    assert fetched == 1
    assert [report.stored for report in reports] == [0, 1]
    reports, fetched = run(options(parts=2), ticks)
    assert fetched == 0
    assert [(report.bar_seconds, report.unchanged) for report in reports] == [(0, 1), (60, 2)]


def test_a_damaged_delivery_is_read_again(run: Run) -> None:
    damaged = replace(make_batch(Delivery([], rejects=[(2, "bad_price", "x")])), delivery=Known("d1", 1))
    assert run(damaged)[0][0].status == "rejected"

    assert run(damaged)[1] == 1


def test_a_confirmed_empty_day_is_known_as_well(run: Run) -> None:
    empty = replace(make_batch(Delivery([]), empty_reason="holiday"), delivery=Known("d1", 1))
    run(empty)

    ((report,), fetched) = run(empty)

    assert (fetched, report.status, report.message) == (0, "empty", "holiday")
