"""What is run a second and a third time: on the servers that are not embedded.

They have more than the embedded one: hypertables, whose rows lie in chunks; the full edition also compression,
continuous aggregates and policies. A test is run again where these can change its answer, one of each kind: tables that
are no hypertables, the ledger of the migrations and rules that only another argument tells apart are asked once, on the
embedded server. ``--thorough`` runs all tests of `ROOMS` again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePath

ROOMS: Final = {"apache": ("warehouse",), "full": ("warehouse",)}
"""Folders whose tests ask what the SQL does on a server. The command line's tests copy and drop databases at will,
which the full server's only one does not allow."""

EMBEDDED_ONLY: Final = "warehouse/embedded"

_ALL: Final = ()

FILES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "apache": {
        "warehouse/migrations/test_downgrade.py": _ALL,
        "warehouse/migrations/test_fractional_shares.py": _ALL,
        "warehouse/migrations/test_roles.py": _ALL,
        "warehouse/migrations/test_snapshot.py": _ALL,
        "warehouse/migrations/test_upgrade.py": _ALL,
        "warehouse/test_bars.py": _ALL,
        "warehouse/test_bundles.py": ("test_the_row_count_follows_corrections_retirements_and_repeats",),
        "warehouse/test_continuous_bars.py": _ALL,
        "warehouse/test_doctor.py": _ALL,
        "warehouse/test_faults.py": _ALL,
        "warehouse/test_gaps.py": (
            "test_any_session_is_assessed_as_plain_python_would",
            "test_what_retention_has_deleted_is_not_fillable",
        ),
        "warehouse/test_history.py": _ALL,
        "warehouse/test_loading.py": _ALL,
        "warehouse/test_loading_days.py": _ALL,
        "warehouse/test_maintenance.py": _ALL,
        "warehouse/test_merging.py": _ALL,
        "warehouse/test_option_greeks.py": _ALL,
        "warehouse/test_precedence.py": (
            "test_what_the_first_source_lacks_is_taken_from_the_next",
            "test_ticks_are_of_the_source_that_the_bars_are_of",
            "test_each_contract_day_is_of_the_first_source_in_order_that_has_it",
        ),
        "warehouse/test_quality.py": _ALL,
        "warehouse/test_reconciling.py": (
            "test_what_is_found_is_what_the_rules_say_and_turning_the_sides_mirrors_it",
            "test_a_finer_source_is_brought_to_the_coarser_ones_bars_from_the_sessions_open",
            "test_ticks_agree_with_the_minutes_that_they_make",
        ),
        "warehouse/test_resampling.py": ("test_bars_of_hours_and_days_are_those_that_the_database_makes",),
        "warehouse/test_segments.py": (
            "test_more_days_corrections_and_vanished_rows_are_seen_at_once",
            "test_a_month_that_retention_deleted_is_not_given",
        ),
        "warehouse/test_slices.py": (
            "test_a_slice_holds_index_future_and_options_with_exact_prices",
            "test_bars_come_in_bounded_parts_with_whole_instruments",
            "test_what_is_imported_meanwhile_is_not_seen",
            "test_a_slice_as_of_its_knowledge_time_is_the_slice_it_was",
            "test_bars_are_made_of_ticks_where_that_is_wanted",
            "test_a_pair_has_days_of_utc_that_take_in_the_bar_closing_at_midnight",
        ),
        "warehouse/test_storage_edges.py": _ALL,
    },
    "full": {
        "warehouse/migrations/test_downgrade.py": (
            "test_back_to_the_baseline_and_up_again_gives_the_same_schema",
            "test_each_way_back_restores_the_schema_from_before_its_migration",
        ),
        "warehouse/migrations/test_fractional_shares.py": _ALL,
        "warehouse/migrations/test_roles.py": (
            "test_every_object_has_the_owner_and_the_rights_that_the_schema_declares",
            "test_a_reader_reads_every_table_and_view_and_writes_none",
            "test_a_loader_may_do_to_each_table_what_the_page_says_and_nothing_else",
            "test_neither_reader_nor_loader_reaches_beyond_the_tables",
            "test_chunks_have_the_rights_of_their_table",
            "test_retention_and_compression_work_for_a_loader_by_policy_only",
            "test_bars_are_refreshed_by_a_loader",
        ),
        "warehouse/migrations/test_snapshot.py": (
            "test_a_migrated_database_has_no_drift",
            "test_a_change_by_hand_is_still_named_after_the_next_migration",
        ),
        "warehouse/migrations/test_upgrade.py": (
            "test_a_second_upgrade_applies_nothing",
            "test_every_described_column_is_in_the_database_as_described",
            "test_a_session_that_was_added_to_the_files_reaches_a_database_in_use",
        ),
        "warehouse/test_bars.py": _ALL,
        "warehouse/test_continuous_bars.py": _ALL,
        "warehouse/test_doctor.py": (
            "test_a_healthy_warehouse_has_no_problem_and_shows_its_content",
            "test_layers_and_capabilities_are_those_of_the_server",
            "test_chunks_are_counted_where_there_are_any",
            "test_a_schema_changed_by_hand_is_a_problem_that_names_the_change",
            "test_bars_that_are_behind_are_a_warning",
            "test_background_jobs_that_failed_since_or_never_start_are_problems",
        ),
        "warehouse/test_history.py": (
            "test_as_of_gives_what_was_known_at_each_time",
            "test_corrections_say_what_changed_when_by_which_load_from_what_to_what",
        ),
        "warehouse/test_loading.py": (
            "test_a_first_load_stores_every_row_exactly",
            "test_the_same_delivery_again_changes_no_row_version",
            "test_a_changed_row_is_corrected_and_its_old_version_kept",
            "test_a_vanished_row_is_retired_with_its_last_version_kept",
            "test_bars_left_pending_by_a_crash_are_refreshed_by_the_next_import",
        ),
        "warehouse/test_loading_days.py": ("test_days_at_once_and_one_by_one_leave_the_same",),
        "warehouse/test_maintenance.py": _ALL,
        "warehouse/test_merging.py": _ALL,
        "warehouse/test_option_greeks.py": _ALL,
        "warehouse/test_resampling.py": ("test_bars_of_hours_and_days_are_those_that_the_database_makes",),
        "warehouse/test_slices.py": (
            "test_a_slice_as_of_its_knowledge_time_is_the_slice_it_was",
            "test_bars_are_made_of_ticks_where_that_is_wanted",
        ),
        "warehouse/test_storage_edges.py": _ALL,
    },
}
"""By server and file: the names of the tests that are run again, all where none is named."""


def is_run_again(server: str, place: PurePath, name: str, *, thorough: bool) -> bool:
    """Tell whether a test is run on a server that is not embedded.

    Parameters
    ----------
    server : str
        One of `ROOMS`.
    place : PurePath
        File of the test, from the folder of all tests.
    name : str
        Name of its function.
    thorough : bool
        Whether all tests of the server's rooms are wanted.

    """
    if place.is_relative_to(EMBEDDED_ONLY) or not any(map(place.is_relative_to, ROOMS[server])):
        return False
    names = FILES[server].get(place.as_posix())
    return thorough or (names is not None and (names == _ALL or name in names))
