"""One report: every section, of one state of the database, at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pipeline_defs
from pipeline_defs.reporting.catalogs import catalogs_section
from pipeline_defs.reporting.coverage import coverage_section
from pipeline_defs.reporting.freshness import freshness_section
from pipeline_defs.reporting.gaps import gaps_section
from pipeline_defs.reporting.provenance import provenance_section
from pipeline_defs.reporting.quality import quality_section
from pipeline_defs.reporting.scope import DEFAULT_SESSIONS, snapshot
from pipeline_defs.reporting.sizes import sizes_section

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.reporting.elements import Fact, Section
    from pipeline_defs.warehouse.connection import Warehouse

_SECTIONS = (
    freshness_section,
    coverage_section,
    gaps_section,
    quality_section,
    catalogs_section,
    provenance_section,
    sizes_section,
)


@dataclass(frozen=True, slots=True)
class DataReport:
    """What a report says.

    Parameters
    ----------
    made_at : str
        The moment it is about, with the zone's name.
    database : str
        Its name.
    version : str
        Of the pipeline.
    sections : sequence of Section
        In the order of the page.

    """

    made_at: str
    database: str
    version: str
    sections: list[Section]

    def facts(self) -> dict[str, Fact]:
        """Give the key numbers of all sections by name."""
        return {fact.name: fact for section in self.sections for fact in section.facts}


def build_report(warehouse: Warehouse, now: dt.datetime, *, most_sessions: int = DEFAULT_SESSIONS) -> DataReport:
    """Read a report from the database, in one read-only transaction that sees one state.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    now : datetime.datetime
        What is due is judged at this moment; aware. The same database and moment give the same report.
    most_sessions : int, default 250
        How many sessions of each market are looked at; what is listed besides is bounded, too.

    Returns
    -------
    DataReport

    Raises
    ------
    ConfigurationError
        If `most_sessions` is not positive (> 0), or `now` has no zone.

    """
    with snapshot(warehouse, now, most_sessions) as scope:
        sections = [section(scope) for section in _SECTIONS]
        # The name alone: an address may carry more than everybody should read.
        ((database,),) = scope.ask("SELECT current_database()")
        return DataReport(scope.local(now) or "", database, pipeline_defs.__version__, sections)
