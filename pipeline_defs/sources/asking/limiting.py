"""Rate limits that all processes of a machine share: their counters lie in small files.

Vendors count by key, not by process, and a backfill is many processes. Several machines with one key share nothing
here: give each its part of the limit, or let Dagster's pools keep the runs apart.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline_defs.sources.asking.questions import Limit

_MS: Final = 1000


class SharedLimits:
    """The limits of one source.

    Parameters
    ----------
    folder : Path
        Where counters lie; the same folder, the same limits.
    source : str
        Adapter's name.
    limits : iterable of Limit
        Several of one group hold together.

    """

    def __init__(self, folder: Path, source: str, limits: Iterable[Limit]) -> None:
        from pyrate_limiter import Limiter, Rate, SQLiteBucket  # noqa: PLC0415 -- only asking needs it

        grouped: dict[str, list[Rate]] = {}
        for limit in sorted(limits, key=lambda limit: limit.seconds):
            grouped.setdefault(limit.group, []).append(Rate(limit.requests, round(limit.seconds * _MS)))
        folder.mkdir(parents=True, exist_ok=True)
        self._source = source
        self._limiters = {
            group: Limiter(
                SQLiteBucket.init_from_file(rates, db_path=str(folder / f"{source}-{group}.sqlite"), use_file_lock=True)
            )
            for group, rates in grouped.items()
        }

    def wait(self, group: str, seconds: float) -> None:
        """Wait for one's turn.

        Parameters
        ----------
        group : str
            Kind of request; one without a limit does not wait.
        seconds : float
            At most so long.

        Raises
        ------
        SourceError
            If the turn does not come in time.

        """
        limiter = self._limiters.get(group)
        if limiter is not None and not limiter.try_acquire(self._source, timeout=seconds):
            raise SourceError(
                f"its own rate limit left no turn within {seconds:.0f} s: other processes ask as well",
                where=self._source,
                next_step="run fewer backfills of this source at once, or go on later",
            )

    def close(self) -> None:
        """Let go of the files."""
        for limiter in self._limiters.values():
            with contextlib.suppress(OSError):
                limiter.close()
