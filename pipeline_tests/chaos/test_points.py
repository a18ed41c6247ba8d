"""Killed at each step boundary, one after the other in one world: readers see old or new, and the end is as without."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
import pytest

from pipeline_tests.chaos import invariants, points
from pipeline_tests.chaos.operations import Operation
from pipeline_tests.chaos.points import POINTS, Point, points_of
from pipeline_tests.chaos.readers import read_catalog
from pipeline_tests.chaos.world import CORRECTED, DAYS, FIRST, Deliveries, look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_tests.chaos.running import Engine, Workshop

DAY: Final = DAYS[0]


@pytest.fixture
def shop(engine: Engine) -> Iterator[Workshop]:
    """An empty world, in which operations are done one by one."""
    with engine.workshop() as workshop:
        yield workshop


def kill(shop: Workshop, point: Point, operation: Operation, occurrence: int = 1) -> None:
    """Let an operation die at a point, and see that it died there and that no reader saw anything but old or new."""
    code, output = shop.run(operation, point=point, occurrence=occurrence)
    assert code == -signal.SIGKILL, f"{point}: was not come by: {code} {output}"
    with psycopg.connect(shop.url) as connection:
        for key, state in look(connection).items():
            assert state in shop.engine.reference.known(key), f"{point}: {key} is in no state it ever had"


def check_everything(shop: Workshop, version: str) -> None:
    """What must hold in the end."""
    assert list(invariants.check_sessions(shop.url)) == []
    reference = shop.engine.reference
    expected = {key: version for key in reference.states if key[1] == "nse_csv" and key[2] == DAY}
    with psycopg.connect(shop.url) as connection:
        found = {key: state for key, state in look(connection).items() if key[1] == "nse_csv"}
    assert found == {key: reference.states[key][version] for key in expected}
    assert list(invariants.check_litter(shop.places.root)) == []


def landing(shop: Workshop, version: str) -> Operation:
    return Operation("import", str(shop.engine.deliveries.landing(version)), DAY)


def test_an_import_killed_at_each_point_is_finished_by_the_next(engine: Engine) -> None:
    with engine.workshop(keeps_raw=True) as shop:
        for number, point in enumerate(points_of("import")):
            # Another version each time: what is stored as it is would not come by most points.
            kill(shop, point, landing(shop, (FIRST, CORRECTED)[number % 2]))

        shop.must(landing(shop, FIRST))

        check_everything(shop, FIRST)


def test_a_correction_killed_at_each_point_is_finished_by_the_next(shop: Workshop) -> None:
    shop.must(landing(shop, FIRST))
    for point in points_of("correction"):
        kill(shop, point, landing(shop, CORRECTED))

    shop.must(landing(shop, CORRECTED))

    check_everything(shop, CORRECTED)
    with psycopg.connect(shop.url) as connection:
        unexplained = connection.execute(
            "SELECT count(*) FROM options_ticks_history AS h LEFT JOIN loads AS l ON l.load_id = h.superseded_by"
            " WHERE l.load_id IS NULL"
        ).fetchone()
    assert unexplained == (0,)


def test_a_backfill_of_several_days_killed_at_each_point_is_finished_by_the_next(engine: Engine) -> None:
    operation = Operation("backfill", day=DAYS[0], last=DAYS[-1])
    every = points_of("backfill")
    for occurrence, come_by in ((1, every), (2, (every[0], every[-1]))):
        with engine.workshop() as shop:
            for point in come_by:
                kill(shop, point, operation, occurrence)

            shop.must(operation)

            with psycopg.connect(shop.url) as connection:
                found = look(connection)
            wanted = {key: states[FIRST] for key, states in engine.reference.states.items() if key[1] == "vendor"}
            assert found == wanted
            assert list(invariants.check_litter(shop.places.root)) == []


@pytest.mark.parametrize("form", ["csv"])
def test_an_export_killed_at_each_point_leaves_a_whole_catalog_or_none(shop: Workshop, form: str) -> None:
    place = shop.places.root / "published"
    operation = Operation("export", str(place), DAY, format=form)
    for number, point in enumerate(points_of("export")):
        shop.must(landing(shop, (FIRST, CORRECTED)[number % 2]))
        if number == 1:  # a first publication has no old tree beside it
            shop.must(operation)
            shop.must(landing(shop, CORRECTED if number % 2 == 0 else FIRST))
        kill(shop, point, operation)
        assert read_catalog(place) in ({None, ""} if number == 0 else {""}), str(point)

    shop.must(operation)

    assert read_catalog(place) == ""
    assert invariants.files_besides(place) == []
    assert list(invariants.check_readbacks(shop.url)) == []
    assert list(invariants.check_litter(shop.places.root)) == []


def test_an_export_to_objects_killed_at_each_point_is_finished_by_the_next(shop: Workshop) -> None:
    place = f"s3://{shop.places.bucket}/published"
    operation = Operation("export", place, DAY, format="csv")
    shop.must(landing(shop, FIRST))
    shop.must(operation)  # only what replaces something passes by every point
    shop.must(landing(shop, CORRECTED))
    *before, last = points_of("export to objects")
    for point in before:
        kill(shop, point, operation)
    shop.must(landing(shop, FIRST))  # by then the correction is published
    kill(shop, last, operation)

    shop.must(operation)

    assert list(shop.engine.objects.check(place)) == []
    assert list(invariants.check_readbacks(shop.url)) == []
    assert list(invariants.check_litter(shop.places.root)) == []


def test_certificate_uploads_greeks_and_reconciliation_killed_at_each_point_are_finished_by_the_next(
    shop: Workshop,
) -> None:
    certificate = shop.places.root / "certificate.json"
    Deliveries.upload(shop.places.uploads, DAY)
    shop.must(landing(shop, FIRST))
    shop.must(Operation("export", str(shop.places.root / "published"), DAY, format="csv"))
    operations = {
        "uploads": Operation("uploads", str(shop.places.uploads)),
        "greeks": Operation("greeks", day=DAY),
        "reconciliation": Operation("reconcile", day=DAY),
        "certificate": Operation("certify", str(certificate), DAY),
    }
    for name, operation in operations.items():
        for point in points_of(name):
            if name == "uploads" and not list(shop.places.uploads.glob("*.csv")):
                Deliveries.upload(shop.places.uploads, DAY)
            kill(shop, point, operation)
        shop.must(operation)

    check_everything(shop, FIRST)
    assert certificate.is_file()
    with psycopg.connect(shop.url) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM option_greeks").fetchone() == (True,)
        assert connection.execute("SELECT count(*) FROM spot_prices WHERE source = 'manual_csv'").fetchone() == (30,)
    assert list(invariants.check_sessions(shop.url)) == []


def test_every_point_of_the_list_is_a_place_of_the_product() -> None:
    for point in POINTS:
        owner, name, function = points._find(point.place)
        assert callable(function), (owner, name)
    assert Path(__file__).is_file()
    assert len({str(point) for point in POINTS}) == len(POINTS)
