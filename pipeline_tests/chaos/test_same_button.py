"""Two operators press the same button at the same instant: both succeed, and the end is that of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from pipeline_tests.chaos import invariants
from pipeline_tests.chaos.operations import Operation
from pipeline_tests.chaos.readers import read_catalog
from pipeline_tests.chaos.running import DEADLINE_SECONDS, Workshop
from pipeline_tests.chaos.world import CORRECTED, DAYS, DERIVED, FIRST, Deliveries, look

if TYPE_CHECKING:
    from pipeline_tests.chaos.running import Engine

DAY = DAYS[0]


def press_together(shop: Workshop, *operations: Operation) -> None:
    """Start everything at the same instant; all must succeed."""
    workers = [shop.start(operation) for operation in operations]
    for operation, worker in zip(operations, workers, strict=True):
        assert worker.wait(DEADLINE_SECONDS) == 0, f"{operation}: {worker.output}"


def test_every_operation_can_be_pressed_twice_at_once(engine: Engine) -> None:
    with engine.workshop() as shop:
        first, corrected = (str(engine.deliveries.landing(version)) for version in (FIRST, CORRECTED))
        published, other = (str(shop.places.root / name) for name in ("published", "other"))
        Deliveries.upload(shop.places.uploads, DAY)
        twice = [
            Operation("upgrade"),
            Operation("import", first, DAY),
            Operation("backfill", day=DAYS[0], last=DAYS[-1]),
            Operation("uploads", str(shop.places.uploads)),
            Operation("greeks", day=DAY),
            Operation("reconcile", day=DAY),
            Operation("export", published, DAY, format="csv"),
            Operation("certify", str(shop.places.root / "certificate.json"), DAY),
            Operation("maintain"),
            Operation("import", corrected, DAY),
        ]
        for operation in twice:
            press_together(shop, operation, operation)
        # Different buttons of the same partition: a correction and an export, while somebody upgrades.
        press_together(
            shop,
            Operation("import", first, DAY),
            Operation("export", published, DAY, format="csv"),
            Operation("export", other, DAY, format="csv"),
            Operation("upgrade"),
        )
        shop.must(Operation("import", corrected, DAY))
        shop.must(Operation("greeks", day=DAY))
        shop.must(Operation("export", published, DAY, format="csv"))
        shop.must(Operation("export", other, DAY, format="csv"))

        with psycopg.connect(shop.url) as connection:
            found, derived = look(connection), look(connection, DERIVED)
        versions = {"nse_csv": CORRECTED, "manual_csv": FIRST, "vendor": FIRST}
        reference = engine.reference
        assert found == {
            key: states[versions[key[1]]]
            for key, states in reference.states.items()
            if (key[1] != "nse_csv" or key[2] == DAY) and versions[key[1]] in states
        }
        assert derived == {
            key: states[CORRECTED] for key, states in reference.derived.items() if key[2] == DAY and CORRECTED in states
        }
        assert read_catalog(Path(published)) == ""
        assert list(invariants.check_readbacks(shop.url)) == []
        assert list(invariants.check_sessions(shop.url)) == []
        assert list(invariants.check_litter(shop.places.root)) == []
