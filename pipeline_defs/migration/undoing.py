"""Taking a moved-in bundle out again: everything that it brought, and nothing that anything else came to need.

One transaction a bundle. What only ever grows keeps what it has: the knowledge clock, the numbers of loads and
instruments, the days' cache statistics, quality verdicts that somebody stated, and the ledger's line that says that the
bundle was rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.migration import ledger
from pipeline_defs.progress import Step, ignore
from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_defs.warehouse.faults import PersistentConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import psycopg

    from pipeline_defs.progress import OnProgress
    from pipeline_defs.warehouse.connection import Warehouse

_UNDONE: Final = """
SELECT b.bundle_id, b.name, b.source, b.bundle_name, b.instruments_before
FROM migrated_bundles AS b JOIN migrated_stores AS s USING (store_id)
WHERE s.system = %(system)s AND (%(root)s::text IS NULL OR s.root = %(root)s)
  AND (%(names)s::text[] IS NULL OR b.name = ANY (%(names)s)) AND b.state IN ('planned', 'running', 'done', 'failed')
ORDER BY b.bundle_id DESC
"""

_KNOWN: Final = """
SELECT b.name, b.state FROM migrated_bundles AS b JOIN migrated_stores AS s USING (store_id)
WHERE s.system = %(system)s AND (%(root)s::text IS NULL OR s.root = %(root)s)
"""

_SPAN: Final = """
SELECT (min(trade_date) - 1)::timestamptz, (max(trade_date) + 2)::timestamptz FROM loads
WHERE source = %(source)s AND dataset = %(dataset)s
"""

_FORGET: Final = """
DELETE FROM {table} WHERE source = %(source)s AND "timestamp" >= %(first)s AND "timestamp" < %(last)s
"""

_CATALOGS: Final = """
SELECT c.format || ' ' || c.underlying || ' ' || c.start_date || '..' || c.end_date FROM catalogs AS c
WHERE EXISTS (SELECT FROM loads AS l WHERE l.source = %(source)s AND l.load_id = ANY (c.load_ids))
ORDER BY c.catalog_id
"""

_CANDIDATES: Final = """
SELECT array_agg(DISTINCT i.instrument_id) FROM instrument_aliases AS a JOIN instruments AS i USING (instrument_id)
WHERE a.source = %(source)s AND i.instrument_id > %(before)s
"""

# In the order in which they may go: what points to something goes before it.
_DELETIONS: Final = (
    "DELETE FROM corporate_actions WHERE source = %(source)s",
    "DELETE FROM corporate_actions_history WHERE source = %(source)s",
    "DELETE FROM partition_fingerprints WHERE source = %(source)s",
    "DELETE FROM bar_segments WHERE source = %(source)s",
    "DELETE FROM quality_checks WHERE source = %(source)s",
    "DELETE FROM gap_requests WHERE source = %(source)s",
    "DELETE FROM gap_assessments WHERE source = %(source)s",
    "DELETE FROM reconciliations WHERE %(source)s IN (left_source, right_source)",
    "DELETE FROM named_bundle_members WHERE source = %(source)s",
    (
        "DELETE FROM named_bundles AS b WHERE b.bundle_name = %(bundle_name)s"
        " AND NOT EXISTS (SELECT FROM named_bundle_members AS m WHERE m.bundle_name = b.bundle_name)"
    ),
    "DELETE FROM loads WHERE source = %(source)s",
    "DELETE FROM instrument_aliases WHERE source = %(source)s",
    "DELETE FROM migrated_series WHERE bundle_id = %(bundle_id)s",
    "DELETE FROM migrated_quality WHERE bundle_id = %(bundle_id)s",
)

# What may have come to need an instrument since. Observations of others have aliases and loads that name it.
_NEEDED: Final = """
SELECT i.instrument_id, min(t.symbol) || ' (' || coalesce(string_agg(DISTINCT n.why, ', '), '') || ')'
FROM unnest(%(ids)s::integer[]) AS i (instrument_id)
JOIN instrument_terms AS t USING (instrument_id)
JOIN LATERAL (
    SELECT 'source ' || source AS why FROM instrument_aliases AS a WHERE a.instrument_id = i.instrument_id
    UNION ALL SELECT 'loads of ' || l.source FROM load_instruments AS li JOIN loads AS l USING (load_id)
              WHERE li.instrument_id = i.instrument_id
    UNION ALL SELECT 'bundle ' || bundle_name FROM named_bundle_members AS m WHERE m.instrument_id = i.instrument_id
    UNION ALL SELECT 'corporate actions of ' || source FROM corporate_actions AS c
              WHERE c.instrument_id = i.instrument_id
    UNION ALL SELECT 'a merge' FROM instrument_merges AS m WHERE i.instrument_id IN (m.instrument_id, m.duplicate_id)
    UNION ALL SELECT 'an exchange''s number' FROM instrument_tokens AS k WHERE k.instrument_id = i.instrument_id
    UNION ALL SELECT 'a rolling future' FROM continuous_contracts AS c
              WHERE i.instrument_id IN (c.instrument_id, c.contract_id)
    UNION ALL SELECT 'evidence of ' || e.source FROM term_evidence AS e
              WHERE e.book = (SELECT book FROM instruments AS o WHERE o.instrument_id = i.instrument_id)
                AND i.instrument_id = ANY (e.instrument_ids)
) AS n ON true
GROUP BY i.instrument_id
ORDER BY i.instrument_id
"""

# Deleting terms keeps what they were as history, of an instrument that is none any more.
_INSTRUMENTS: Final = (
    "DELETE FROM instrument_terms WHERE instrument_id = ANY (%(ids)s)",
    "DELETE FROM instrument_terms_history WHERE instrument_id = ANY (%(ids)s)",
    "DELETE FROM instruments WHERE instrument_id = ANY (%(ids)s)",
)

# What one bundle made and another came to need is the other's from now on: it goes when that one is taken out.
_INHERIT: Final = """
UPDATE migrated_bundles AS b SET instruments_before = least(b.instruments_before, k.first - 1)
FROM (SELECT a.source, min(a.instrument_id) AS first FROM instrument_aliases AS a
      WHERE a.instrument_id = ANY (%(ids)s) GROUP BY a.source) AS k
WHERE b.source = k.source AND b.instruments_before IS NOT NULL AND b.state <> 'rolled_back'
"""

_ROLLED_BACK: Final = """
UPDATE migrated_bundles SET state = 'rolled_back', reason = NULL, detail = %(detail)s, next_step = '',
                            rows_stored = NULL, rows_quarantined = NULL, finished_at = clock_timestamp()
WHERE bundle_id = %(bundle_id)s
"""


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What was taken out with a bundle, and what was left.

    Parameters
    ----------
    name, source : str
        Of the bundle; under which it was stored.
    rows, loads, instruments : int
        Observations, loads and instruments that went.
    kept : tuple of str
        Instruments that something else came to need, with what needs them.
    catalogs : tuple of str
        Published exports that were made of it: they stay, and can not be made again.

    """

    name: str
    source: str
    rows: int
    loads: int
    instruments: int
    kept: tuple[str, ...]
    catalogs: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the shape that ``pipeline migrate --roll-back --json`` prints."""
        return {
            "bundle": self.name,
            "source": self.source,
            "rows": self.rows,
            "loads": self.loads,
            "instruments": self.instruments,
            "kept": list(self.kept),
            "catalogs": list(self.catalogs),
        }


def roll_back(
    warehouse: Warehouse,
    *,
    system: str = "rustybt",
    root: str | None = None,
    names: Collection[str] | None = None,
    on_progress: OnProgress = ignore,
    on_undone: Callable[[RolledBack], None] = lambda _: None,
) -> list[RolledBack]:
    """Take bundles out again, each in one transaction; one that was rolled back before is left alone.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    system : str, default "rustybt"
        Whose stores.
    root : str, optional
        Of one store; default all of the system.
    names : collection of str, optional
        Bundles; default all.
    on_progress, on_undone : callable, optional
        Told before and after each bundle.

    Returns
    -------
    list of RolledBack
        In the order in which they went, the last one moved in first.

    Raises
    ------
    ConfigurationError
        If one of the names was never planned; nothing is taken out then.
    WarehouseError
        If the database failed; a bundle that was not finished is whole.

    """
    asked: dict[str, Any] = {"system": system, "root": root, "names": None if names is None else sorted(names)}
    undone = []
    with ledger.one_at_a_time(warehouse), PersistentConnection(warehouse) as connection:
        known: dict[str, str] = dict(_ask(connection, _KNOWN, asked))
        unknown = sorted(set(names or ()) - set(known))
        if unknown:
            there = f"there are {', '.join(sorted(known))}" if known else "nothing was moved in"
            raise ConfigurationError(
                f"no bundle {', '.join(unknown)} was moved in from {system}; {there}", next_step="check the spelling"
            )
        bundles = _ask(connection, _UNDONE, asked)
        for position, (bundle_id, name, *names_and_number) in enumerate(bundles):
            on_progress(Step(f"taking out {name}", position, len(bundles)))
            told = dict(zip(("source", "bundle_name", "before"), names_and_number, strict=True))
            told |= {"bundle_id": bundle_id, "name": name}
            undone.append(connection.run(partial(_undo, told=told), f"bundle {name}"))
            on_undone(undone[-1])
    return undone


def _ask(connection: PersistentConnection, question: str, asked: dict[str, Any]) -> list[tuple[Any, ...]]:
    return connection.run(lambda session: session.execute(question.encode(), asked).fetchall(), "migrated bundles")


def _undo(session: psycopg.Connection, told: dict[str, Any]) -> RolledBack:
    with session.transaction():
        catalogs = tuple(str(row[0]) for row in session.execute(_CATALOGS, told))
        (found,) = session.execute(_CANDIDATES, told).fetchall()
        ids = [] if told["before"] is None else list(found[0] or [])
        rows = sum(_delete_observations(session, table, told) for table in OBSERVATION_TABLES)
        ((loads,),) = session.execute("SELECT count(*) FROM loads WHERE source = %(source)s", told).fetchall()
        for statement in _DELETIONS:
            session.execute(statement.encode(), told)
        needed = session.execute(_NEEDED, {"ids": ids}).fetchall()
        free = sorted(set(ids) - {instrument_id for instrument_id, _ in needed})
        session.execute(_INHERIT, {"ids": sorted(set(ids) - set(free))})
        for statement in _INSTRUMENTS:
            session.execute(statement.encode(), {"ids": free})
        kept = tuple(str(why) for _, why in needed)
        left = [f"kept {one}" for one in kept] + [f"catalog {one} was made of it" for one in catalogs]
        session.execute(_ROLLED_BACK, {**told, "detail": "; ".join(left)})
    return RolledBack(told["name"], told["source"], rows, int(loads), len(free), kept, catalogs)


def _delete_observations(session: psycopg.Connection, table: str, told: dict[str, Any]) -> int:
    """Delete what a source has in a table, earlier versions as well; the loads' dates bound the search."""
    (span,) = session.execute(_SPAN, {**told, "dataset": table}).fetchall()
    if span[0] is None:
        return 0
    bounds = {**told, "first": span[0], "last": span[1]}
    session.execute(_FORGET.replace("{table}", f"{table}_history").encode(), bounds)
    return session.execute(_FORGET.replace("{table}", table).encode(), bounds).rowcount
