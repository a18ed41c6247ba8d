"""The export formats there are, what each has a place for, and whether its engine is installed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pipeline_defs.exports.registry import EXPORTERS, FURTHER_EXPORTERS, get_exporter


@dataclass(frozen=True, slots=True)
class FormatSummary:
    """One export format.

    Parameters
    ----------
    name : str
        As in ``pipeline export --format``.
    engine : str
        What confirms its exports.
    engine_version : str or None
        The installed one; None when it is not installed, and nothing could be exported.
    lengths : str
        Which lengths of bars it has a place for.
    ticks, greeks : str or None
        What becomes of them; None when the format has no place for them.
    has_assets : bool
        Whether Dagster has catalogs of it.

    """

    name: str
    engine: str
    engine_version: str | None
    lengths: str
    ticks: str | None
    greeks: str | None
    has_assets: bool

    def to_json(self) -> dict[str, Any]:
        """Give the fields, and in one word whether exports can be made."""
        return {**asdict(self), "is_installed": self.engine_version is not None}


def list_formats() -> list[FormatSummary]:
    """List every format, by name; engines are looked up, not imported."""
    summaries = []
    for name in sorted(EXPORTERS | FURTHER_EXPORTERS):
        exporter = get_exporter(name)
        engine = exporter.engine()
        summaries.append(
            FormatSummary(
                name,
                engine.name,
                engine.version,
                exporter.lengths,
                exporter.ticks,
                exporter.greeks,
                name in EXPORTERS,
            )
        )
    return summaries
