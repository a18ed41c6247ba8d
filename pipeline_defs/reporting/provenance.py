"""Provenance: which loads made what is stored, of which files, by which code, and what they corrected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_defs.reporting.elements import Fact, Section, Status, Table, Tone, megabytes, resolution

if TYPE_CHECKING:
    from pipeline_defs.reporting.elements import Cell
    from pipeline_defs.reporting.scope import Scope

LISTED_LOADS: Final = 100
LISTED_FILES: Final = 100
LISTED_CORRECTIONS: Final = 50
CHECKSUM_CHARACTERS: Final = 12

_TOTALS: Final = """
SELECT count(*), count(*) FILTER (WHERE status = 'rejected'), coalesce(sum(rows_read), 0)::bigint,
       coalesce(sum(rows_stored), 0)::bigint, coalesce(sum(rows_corrected + rows_retired), 0)::bigint
FROM loads
"""

_LOADS: Final = """
SELECT load_id, source, dataset, trade_date::text, bar_seconds, status, rows_read, rows_stored, rows_unchanged,
       rows_corrected, rows_retired, rows_quarantined, checksum, code_version, dagster_run_id, committed_at, message
FROM loads ORDER BY load_id DESC LIMIT %(limit)s
"""

_FILES: Final = """
WITH newest AS (SELECT load_id FROM loads ORDER BY load_id DESC LIMIT %(loads)s)
SELECT f.path, string_agg(DISTINCT f.layout, ', ' ORDER BY f.layout), count(DISTINCT coalesce(f.member, '')),
       sum(f.size_bytes)::bigint, min(f.sha256), max(f.load_id), count(*) OVER ()
FROM load_files AS f JOIN newest USING (load_id)
GROUP BY f.path ORDER BY max(f.load_id) DESC, f.path LIMIT %(limit)s
"""

_VERSIONS: Final = """
SELECT source, code_version, api_version, count(*), min(trade_date)::text, max(trade_date)::text, max(committed_at)
FROM loads GROUP BY 1, 2, 3 ORDER BY max(load_id) DESC LIMIT 50
"""

_CORRECTING: Final = """
SELECT load_id, source, dataset, trade_date::text, rows_corrected, rows_retired, committed_at, count(*) OVER ()
FROM loads WHERE rows_corrected > 0 OR rows_retired > 0 ORDER BY load_id DESC LIMIT %(limit)s
"""

_TONES: Final = {"complete": Tone.GOOD, "empty": Tone.QUIET, "rejected": Tone.BAD}


def provenance_section(scope: Scope) -> Section:
    """Show provenance."""
    lead = (
        "Every row names the load that wrote it, and every load its files. Checksums are the first digits of SHA-256."
    )
    loads, rejected, read, stored, changed = scope.ask(_TOTALS)[0]
    if not loads:
        return Section("provenance", "Provenance", lead, empty="Nothing was ever imported.")
    facts = [
        Fact("provenance-loads", "loads", f"{loads:,}"),
        Fact("provenance-read", "lines read", f"{read:,}"),
        Fact("provenance-stored", "rows stored", f"{stored:,}"),
        Fact("provenance-changed", "rows corrected or retired", f"{changed:,}"),
        Fact("provenance-rejected", "loads rejected", f"{rejected:,}", Tone.NOTE if rejected else Tone.GOOD),
    ]
    tables = [_loads(scope, loads), *_files(scope), *_corrections(scope), _versions(scope)]
    return Section("provenance", "Provenance", lead, facts, tables=tables)


def _loads(scope: Scope, total: int) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            load_id,
            source,
            dataset,
            day,
            resolution(bar_seconds),
            Status(status, _TONES[status]),
            read,
            stored,
            unchanged,
            corrected,
            retired,
            refused,
            checksum[:CHECKSUM_CHARACTERS],
            code,
            run_id[:8] if run_id else None,
            scope.local(committed_at, source),
            message or None,
        )
        for (
            (load_id, source, dataset, day, bar_seconds, status),
            (read, stored, unchanged, corrected, retired, refused),
            (checksum, code, run_id, committed_at, message),
        ) in ((row[:6], row[6:12], row[12:]) for row in scope.ask(_LOADS, limit=LISTED_LOADS))
    ]
    header = (
        *("load", "source", "dataset", "session", "resolution", "status", "read", "stored", "unchanged", "corrected"),
        *("retired", "refused", "checksum", "code", "run", "known from", "message"),
    )
    note = f"The newest {len(rows):,} of {total:,}; all are in loads." if total > len(rows) else ""
    return Table("provenance-loads-table", "Loads, the newest first.", header, rows, note)


def _files(scope: Scope) -> list[Table]:
    found = scope.ask(_FILES, loads=LISTED_LOADS, limit=LISTED_FILES)
    rows = [
        (path, layouts, members, megabytes(size), sha256[:CHECKSUM_CHARACTERS] if members == 1 else None, load_id)
        for path, layouts, members, size, sha256, load_id, _ in found
    ]
    if not rows:
        return []
    header = ("file", "layout", "members", "size", "checksum", "newest load")
    total = found[0][-1]
    note = f"{len(rows):,} of {total:,}; all are in load_files." if total > len(rows) else ""
    return [Table("provenance-files", "Files and answers that the newest loads read.", header, rows, note)]


def _corrections(scope: Scope) -> list[Table]:
    found = scope.ask(_CORRECTING, limit=LISTED_CORRECTIONS)
    rows = [
        (
            load_id,
            source,
            dataset,
            day,
            corrected,
            retired,
            scope.local(committed_at, source),
            f"pipeline corrections --dataset {dataset} --date {day}",
        )
        for load_id, source, dataset, day, corrected, retired, committed_at, _ in found
    ]
    if not rows:
        return []
    header = ("load", "source", "dataset", "session", "corrected", "retired", "known from", "see the values with")
    total = found[0][-1]
    note = f"The newest {len(rows):,} of {total:,}." if total > len(rows) else ""
    return [Table("provenance-corrections", "Loads that changed what was known.", header, rows, note)]


def _versions(scope: Scope) -> Table:
    rows = [
        (source, code, interface, loads, first, last, scope.local(newest, source))
        for source, code, interface, loads, first, last, newest in scope.ask(_VERSIONS)
    ]
    header = ("source", "code", "interface", "loads", "first session", "last session", "newest load")
    return Table("provenance-versions", "Versions that read the sources.", header, rows)
