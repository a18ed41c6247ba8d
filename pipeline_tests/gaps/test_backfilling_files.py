"""Gaps of files: what lies in the landing folder or the raw archive fills them, and what is refused is told apart."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from pipeline_defs.gaps.assessing import assess, assess_partition, sessions_of
from pipeline_defs.gaps.backfilling import Backfill, Backfiller
from pipeline_defs.gaps.ledger import Gap, Scope, coverage, list_gaps, total_gaps
from pipeline_defs.gaps.series import Series
from pipeline_defs.gaps.supply import Supplies
from pipeline_defs.settings import Settings, load_settings
from pipeline_tests.gaps.conftest import LATER
from pipeline_tests.gaps.landing import OUTAGE, THURSDAY, TUESDAY, WEDNESDAY, WHOLE, land, take_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import pytest

    from pipeline_defs.warehouse.connection import Warehouse


def reassess(
    warehouse: Warehouse, settings: Settings, first: dt.date | None = None, last: dt.date | None = None
) -> None:
    wanted = sessions_of(warehouse, first=first, last=last)
    list(assess(warehouse, wanted, supplies=Supplies(settings), now=LATER))


def fill(warehouse: Warehouse, settings: Settings, **how: bool) -> Backfill:
    return Backfiller(warehouse, Supplies(settings), clock=lambda: LATER).run(Scope(), **how)


def shown(gaps: Iterable[Gap]) -> list[tuple[Any, ...]]:
    return [(gap.trade_date.day, gap.symbol, gap.minutes, gap.cause, gap.fillable) for gap in gaps]


def test_an_outage_at_noon_is_filled_by_the_corrected_file_and_no_other_day_is_read(
    warehouse: Warehouse, settings: Settings, ask: Callable[..., list[tuple[Any, ...]]]
) -> None:
    holed = [minute for minute in WHOLE if minute not in OUTAGE]
    for day in (TUESDAY, THURSDAY):
        land(settings, day, {"NIFTY 50": WHOLE, "NIFTY BANK": WHOLE})
    land(settings, WEDNESDAY, {"NIFTY 50": holed, "NIFTY BANK": holed})
    take_in(warehouse, settings)
    reassess(warehouse, settings)
    (gap,) = list_gaps(warehouse, Scope())
    assert (gap.instruments, gap.minutes, gap.cause, gap.fillable) == (2, 30, "source_missing", True)
    assert (f"{gap.gap_start:%H:%M}", f"{gap.gap_end:%H:%M}") == ("05:32", "05:47")

    land(settings, WEDNESDAY, {"NIFTY 50": WHOLE, "NIFTY BANK": WHOLE})
    outcome = fill(warehouse, settings)
    assert [str(refill) for refill in outcome.planned] == ["nse_csv spot_prices 2025-08-13: all instruments"]
    assert (outcome.filled_minutes, outcome.remaining, outcome.failures) == (30, (), [])
    assert ask("SELECT trade_date, rows_stored FROM loads ORDER BY load_id DESC LIMIT 1") == [(WEDNESDAY, 30)]
    assert ask("SELECT count(*) FROM loads") == [(4,)]
    assert list_gaps(warehouse, Scope()) == []


def test_the_same_file_again_fills_nothing_and_is_read_once(warehouse: Warehouse, settings: Settings) -> None:
    path = land(settings, WEDNESDAY, {"NIFTY 50": range(300), "NIFTY BANK": WHOLE})
    take_in(warehouse, settings)
    reassess(warehouse, settings)
    first = fill(warehouse, settings)
    assert (len(first.done), first.filled_minutes, shown(first.remaining)) == (
        1, 0, [(13, "NIFTY 50.NSE_IDX", 75, "source_missing", False)],
    )  # fmt: skip
    assert "same answer" in first.remaining[0].detail
    assert fill(warehouse, settings).planned == ()

    land(settings, WEDNESDAY, {"NIFTY 50": range(310), "NIFTY BANK": WHOLE})
    assert path.exists()
    second = fill(warehouse, settings)
    assert (second.filled_minutes, second.remaining_minutes) == (10, 65)


def test_a_session_between_two_that_has_no_file_says_which_names_are_looked_for_and_is_filled_once_it_lands(
    warehouse: Warehouse, settings: Settings
) -> None:
    for day in (TUESDAY, THURSDAY):
        land(settings, day, {"NIFTY 50": WHOLE})
    take_in(warehouse, settings)
    reassess(warehouse, settings)
    (gap,) = list_gaps(warehouse, Scope())
    assert (gap.trade_date, gap.minutes, gap.cause, gap.fillable) == (WEDNESDAY, 375, "source_missing", False)
    assert "has one of 13082025, 13AUG2025, 20250813 in its name" in gap.detail
    assert fill(warehouse, settings).planned == ()

    land(settings, WEDNESDAY, {"NIFTY 50": WHOLE})
    assert fill(warehouse, settings, dry_run=True).asked_minutes == 375
    assert fill(warehouse, settings).filled_minutes == 375


def test_the_raw_archive_fills_what_is_gone_from_the_landing_folder(
    warehouse: Warehouse, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_RAW_ARCHIVE", str(tmp_path / "archive"))
    settings = load_settings()
    path = land(settings, WEDNESDAY, {"NIFTY 50": WHOLE})
    take_in(warehouse, settings)
    path.unlink()
    with warehouse.connect() as connection:
        connection.execute("DELETE FROM spot_prices WHERE \"timestamp\" > '2025-08-13 06:00Z'")
    reassess(warehouse, settings)
    (gap,) = list_gaps(warehouse, Scope())
    assert (gap.minutes, gap.fillable) == (240, True)

    outcome = fill(warehouse, settings)
    assert [str(refill) for refill in outcome.planned] == [
        "nse_csv spot_prices 2025-08-13: all instruments from the raw archive"
    ]
    assert (outcome.filled_minutes, outcome.failures) == (240, [])


def test_refused_rows_are_told_apart_from_missing_ones_and_lead_to_their_load(
    warehouse: Warehouse, settings: Settings, ask: Callable[..., list[tuple[Any, ...]]]
) -> None:
    holed = [minute for minute in WHOLE if minute not in {5, 6, 7, 200}]
    land(settings, WEDNESDAY, {"NIFTY 50": holed, "NIFTY BANK": WHOLE}, bad=(("NIFTY 50", 5), ("NIFTY 50", 6)))
    take_in(warehouse, settings)
    reassess(warehouse, settings)

    ((load_id,),) = ask("SELECT max(load_id) FROM loads")
    gaps = list_gaps(warehouse, Scope())
    assert shown(gaps) == [
        (13, "NIFTY 50.NSE_IDX", 2, "quarantined", False),
        (13, "NIFTY 50.NSE_IDX", 1, "source_missing", True),
        (13, "NIFTY 50.NSE_IDX", 1, "source_missing", True),
    ]
    assert gaps[0].load_id == load_id
    assert gaps[0].detail == f"refused: bad_price; see pipeline quarantine --load {load_id}"
    assert total_gaps(warehouse, Scope()).minutes("quarantined") == 2


def test_weekends_and_holidays_of_a_range_are_listed_with_their_reason(
    warehouse: Warehouse, settings: Settings
) -> None:
    for day in (WEDNESDAY, THURSDAY):
        land(settings, day, {"NIFTY 50": WHOLE})
    take_in(warehouse, settings)
    reassess(warehouse, settings, first=THURSDAY, last=dt.date(2025, 8, 18))

    gaps = list_gaps(warehouse, Scope(), causes=("closed",))
    assert [(gap.trade_date.day, gap.minutes, gap.detail, gap.about) for gap in gaps] == [
        (15, 0, "holiday Independence Day", "the market"),
        (16, 0, "weekend", "the market"),
        (17, 0, "weekend", "the market"),
    ]
    (monday,) = list_gaps(warehouse, Scope(), causes=("source_missing",))
    assert monday.trade_date.day == 18


def test_coverage_is_a_frame_of_days_and_classes(warehouse: Warehouse, settings: Settings) -> None:
    land(settings, TUESDAY, {"NIFTY 50": range(300)})
    land(settings, THURSDAY, {"NIFTY 50": WHOLE})
    take_in(warehouse, settings)
    reassess(warehouse, settings)
    frame = coverage(warehouse, Scope(source="nse_csv"))

    assert frame.select("trade_date", "kind", "is_dense", "instruments", "expected_minutes", "coverage").rows() == [
        (TUESDAY, "SPOT", True, 1, 375, 0.8),
        (WEDNESDAY, "SPOT", True, 1, 375, 0.0),
        (THURSDAY, "SPOT", True, 1, 375, 1.0),
    ]
    assert coverage(warehouse, Scope(source="yahoo")).is_empty()


def test_a_source_that_delivers_by_hand_is_never_asked(warehouse: Warehouse, settings: Settings) -> None:
    found = assess_partition(
        warehouse,
        Series("options_ticks", "manual_csv", 60, WEDNESDAY, WEDNESDAY),
        WEDNESDAY,
        supplies=Supplies(settings),
        now=LATER,
    )
    assert found.missing == {"source_missing": 375}
    assert found.fillable_minutes == 0
    assert "give the files to 'pipeline import --source manual_csv'" in list_gaps(warehouse, Scope())[0].detail


def test_damage_fails_the_backfill_and_leads_to_the_refused_lines(warehouse: Warehouse, settings: Settings) -> None:
    land(settings, TUESDAY, {"NIFTY 50": WHOLE})
    land(settings, THURSDAY, {"NIFTY 50": WHOLE})
    take_in(warehouse, settings)
    land(settings, WEDNESDAY, {}, bad=tuple(("NIFTY 50", minute) for minute in WHOLE))
    reassess(warehouse, settings)
    outcome = fill(warehouse, settings)

    (failed,) = outcome.failures
    assert "none of 375 lines was usable" in (failed.error or "")
    assert shown(outcome.remaining) == [(13, None, 375, "quarantined", False)]


def test_a_file_of_another_resolution_fills_nothing_and_is_not_tried(warehouse: Warehouse, settings: Settings) -> None:
    for day in (TUESDAY, THURSDAY):
        land(settings, day, {"NIFTY 50": WHOLE})
    take_in(warehouse, settings)
    (settings.landing_dir / "BhavCopy_NSE_CM_0_0_0_20250813_F_0000.csv.zip").write_bytes(b"")
    reassess(warehouse, settings)

    (gap,) = list_gaps(warehouse, Scope())
    assert (gap.trade_date, gap.fillable) == (WEDNESDAY, False)
    assert "no file of minutes below" in gap.detail


def test_who_names_a_table_and_a_source_means_every_day_of_the_range(warehouse: Warehouse, settings: Settings) -> None:
    land(settings, THURSDAY, {"NIFTY 50": WHOLE})
    take_in(warehouse, settings)

    def days(source: str | None = None, dataset: str | None = None) -> list[int]:
        found = sessions_of(warehouse, first=TUESDAY, last=THURSDAY, source=source, dataset=dataset)
        return [day.day for _, day in found]

    assert days() == days(source="nse_csv") == [14]
    assert days(source="nse_csv", dataset="spot_prices") == [12, 13, 14]
