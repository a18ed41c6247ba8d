"""What an import tells its caller about one partition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline_defs.errors import DamageError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Outcome of importing one batch.

    `read == stored + unchanged + corrected + sum(quarantined)` unless the load was rejected.

    Parameters
    ----------
    load_id : int
        Row of `loads`.
    dataset : str
        Table written.
    trade_date : datetime.date
        Partition.
    bar_seconds : int
        Resolution, 0 for ticks.
    status : str
        ``complete``, ``empty`` (confirmed, see `message`) or ``rejected`` (nothing stored, see `message`).
    read, stored, unchanged, corrected, retired : int
        Data lines seen (a refused file counts as one); new, identical, changed and vanished rows.
    quarantined : dict of str to int
        Refused lines (and files) by reason.
    message : str
        Why the partition is empty or rejected.
    calls : int or None
        Requests made of a source that is asked over a network; None of a source of files that was read.
    fetch_seconds : float
        How long the source took.
    size_bytes : int
        Size of what was asked for.
    complete_to : datetime.datetime or None
        Up to when the part of a session that it speaks of is stored; None for a whole day.

    """

    load_id: int
    dataset: str
    trade_date: dt.date
    bar_seconds: int
    status: str
    read: int
    stored: int
    unchanged: int
    corrected: int
    retired: int
    quarantined: dict[str, int]
    message: str = ""
    calls: int | None = None
    fetch_seconds: float = 0.0
    size_bytes: int = 0
    complete_to: dt.datetime | None = None

    @property
    def is_hit(self) -> bool:
        """Whether what was asked for was stored already, so that the source was not called."""
        return self.calls == 0

    @property
    def cache(self) -> str:
        """``hit`` or ``miss``."""
        return "hit" if self.is_hit else "miss"

    def to_line(self) -> str:
        """Give the line that `pipeline import` prints."""
        refused = ", ".join(f"{count} {reason}" for reason, count in sorted(self.quarantined.items())) or "none refused"
        asked = "" if self.calls is None else f"; cache {self.cache}, {self.calls} calls"
        return (
            f"load {self.load_id}: {self.dataset} {self.trade_date} {name_length(self.bar_seconds)}: {self.status};"
            f" read {self.read}, stored {self.stored}, unchanged {self.unchanged}, corrected {self.corrected},"
            f" retired {self.retired}; {refused}{asked}"
        )

    def to_json(self) -> dict[str, Any]:
        """Give the stable shape that `pipeline import --json` prints."""
        return {
            "load_id": self.load_id,
            "dataset": self.dataset,
            "partition": self.trade_date.isoformat(),
            "bar_seconds": self.bar_seconds,
            "status": self.status,
            "read": self.read,
            "stored": self.stored,
            "unchanged": self.unchanged,
            "corrected": self.corrected,
            "retired": self.retired,
            "quarantined": dict(sorted(self.quarantined.items())),
            "message": self.message,
            **({} if self.calls is None else {"cache": self.cache, "source_calls": self.calls}),
        }


def name_length(bar_seconds: int) -> str:
    """Name a length of bars in a line for people."""
    return {0: "ticks", 60: "minute", 86_400: "daily"}.get(bar_seconds, f"{bar_seconds} s")


def refuse_damage(reports: Iterable[LoadReport]) -> None:
    """Raise if any partition was so damaged that nothing of it was stored.

    Parameters
    ----------
    reports : iterable of LoadReport
        Of one session.

    Raises
    ------
    DamageError
        Naming the first such partition and the command that lists its lines.

    """
    listed = list(reports)
    rejected = [report for report in listed if report.status == "rejected"]
    if rejected:
        first = rejected[0]
        raise DamageError(
            f"{len(rejected)} of {len(listed)} partitions stored nothing; {first.dataset} {first.trade_date}"
            f" at {first.bar_seconds} s: {first.message}",
            next_step=f"see the refused lines with 'pipeline quarantine --load {first.load_id}'",
        )
