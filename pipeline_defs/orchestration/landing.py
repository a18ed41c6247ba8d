"""Whether the files of the landing folder are still arriving, by trade date.

Which trade dates their names say is decided in `pipeline_defs.sources.nse_csv.landed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_defs.sources.nse_csv.landed import LandedFiles, expected_name_dates, landed_files
from pipeline_defs.storage.locations import S3Location

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.storage.locations import Location

__all__ = ["Arrivals", "LandedFiles", "expected_name_dates", "judge_arrivals", "landed_files", "look_at"]


def look_at(place: Location) -> LandedFiles:
    """Look at the landing folder, or at the prefix of a bucket that is one."""
    if isinstance(place, S3Location):
        from pipeline_defs.orchestration.landed_objects import landed_objects  # noqa: PLC0415 -- only with a bucket

        return landed_objects(place)
    return landed_files(place)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What changed since the last looks.

    Parameters
    ----------
    settled : dict of datetime.date to str
        Trade dates that were the same at two looks in a row and were not asked for yet, with their fingerprint.
    arriving : list of datetime.date
        Trade dates that are new or changed since the last look.
    memory : dict of str to list of str
        What to remember until the next look: by date the fingerprint, and the one that was asked for.

    """

    settled: dict[dt.date, str]
    arriving: list[dt.date]
    memory: dict[str, list[str]]

    def remember_request(self, trade_date: dt.date) -> None:
        """Do not give the date again until its files change."""
        self.memory[trade_date.isoformat()][1] = self.settled[trade_date]


def judge_arrivals(landed: LandedFiles, memory: dict[str, list[str]]) -> Arrivals:
    """Compare the landing folder with what it was.

    Parameters
    ----------
    landed : LandedFiles
        What lies there now.
    memory : dict of str to list of str
        `Arrivals.memory` of the last look.

    Returns
    -------
    Arrivals

    """
    settled: dict[dt.date, str] = {}
    arriving: list[dt.date] = []
    remembered: dict[str, list[str]] = {}
    for trade_date, fingerprint in landed.fingerprints.items():
        seen, asked_for = memory.get(trade_date.isoformat(), ["", ""])
        remembered[trade_date.isoformat()] = [fingerprint, asked_for]
        if fingerprint == asked_for:
            continue
        if fingerprint == seen:
            settled[trade_date] = fingerprint
        else:
            arriving.append(trade_date)
    return Arrivals(settled, arriving, remembered)
