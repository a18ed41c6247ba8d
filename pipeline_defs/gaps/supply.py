"""Whether a gap can be filled now: what each source can give again, and for files what lies where.

Nothing is asked over a network here, and no file is opened.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.schema.tables import DAY, MINUTE, TICK
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.sources.nse_csv.landed import LandedFiles, expected_name_dates, landed_files
from pipeline_defs.sources.nse_csv.layouts import LAYOUTS_BY_NAME
from pipeline_defs.sources.nse_csv.products import read_names
from pipeline_defs.sources.registry import get_source, source_entry, source_market
from pipeline_defs.storage.raw_archive import open_raw_archive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.schema.batches import Source
    from pipeline_defs.settings import Settings
    from pipeline_defs.sources.asking.questions import Dataset
    from pipeline_defs.storage.raw_archive import ArchivedFile, RawArchive

LANDING_SOURCE: Final = "nse_csv"
"""The source of files whose names say their dates, and which are looked for in the landing folder."""


_DERIVATIVES: Final = frozenset({"options_ticks", "futures_ticks"})
_RESOLUTIONS: Final = {TICK: "ticks", MINUTE: "minutes", DAY: "days"}


@dataclass(slots=True)
class Supplies:
    """What the sources can give, looked up once.

    Parameters
    ----------
    settings : Settings
        Where the landing folder and the raw archive are.
    make_source : callable
        From a name to an adapter; default the registry's.

    """

    settings: Settings
    make_source: Callable[..., Source] = get_source
    _of: dict[str, Supply] = field(default_factory=dict)

    def of(self, source: str) -> Supply:
        """Give the supply of a source."""
        if source not in self._of:
            if source_entry(source).source_type == "api":
                self._of[source] = ApiSupply(source, self.make_source)
            elif source == LANDING_SOURCE:
                self._of[source] = FileSupply(source, self.settings)
            else:
                self._of[source] = Supply(source)
        return self._of[source]


class Supply:
    """A source that has no place of its own where a day could be found again.

    Parameters
    ----------
    source : str
        Adapter name.

    """

    def __init__(self, source: str) -> None:
        self.source = source

    @property
    def market(self) -> str:
        """Name of the market whose days the partitions are."""
        return source_market(self.source)

    def grace(self, dataset: str, bar_seconds: int) -> dt.timedelta | None:
        """Give how long after the close its answer is complete; None when it follows no rule for files or APIs."""
        del dataset, bar_seconds
        return None

    def not_fillable(self, dataset: str, bar_seconds: int, trade_date: dt.date, now: dt.datetime) -> str | None:
        """Say why a gap cannot be filled from here; None when it can.

        Parameters
        ----------
        dataset : str
            Observation table.
        bar_seconds : int
            Resolution.
        trade_date : datetime.date
            The day.
        now : datetime.datetime
            UTC.

        """
        del dataset, bar_seconds, trade_date, now
        return f"{self.source} delivers by hand: give the files to 'pipeline import --source {self.source}'"

    def fingerprint(self, trade_date: dt.date) -> str:
        """Name what there is of a day; another name is worth another try."""
        del trade_date
        return ""


class ApiSupply(Supply):
    """A source that is asked over a network.

    Parameters
    ----------
    source : str
        Adapter name.
    make_source : callable
        Gives the adapter.

    """

    def __init__(self, source: str, make_source: Callable[..., Source]) -> None:
        super().__init__(source)
        self._make_source = make_source

    def grace(self, dataset: str, bar_seconds: int) -> dt.timedelta | None:
        """Give the delay that the adapter declares."""
        found = self._datasets.get((dataset, bar_seconds))
        return dt.timedelta(seconds=found.delay_seconds if found is not None else 0)

    def not_fillable(self, dataset: str, bar_seconds: int, trade_date: dt.date, now: dt.datetime) -> str | None:
        """Say whether it has such bars, and goes back so far."""
        if isinstance(self._found, str):
            return self._found
        given = self._datasets.get((dataset, bar_seconds))
        if given is None:
            what = "ticks" if bar_seconds == 0 else f"bars of {bar_seconds} s"
            return f"{self.source} gives no {what} of earlier days"
        if given.history_days is not None and (now.date() - trade_date).days > given.history_days:
            return f"{self.source} goes back {given.history_days} days"
        return None

    @cached_property
    def _found(self) -> ApiSource | str:
        try:
            source = self._make_source(self.source)
            if not isinstance(source, ApiSource):
                return f"{self.source} is not asked for single instruments"
            source.wanted  # noqa: B018 -- reads the universe file
        except ConfigurationError as error:
            return f"{self.source} cannot be asked: {error.what}"
        return source

    @cached_property
    def _datasets(self) -> dict[tuple[str, int], Dataset]:
        if isinstance(self._found, str):
            return {}
        wanted = self._found.wanted
        named = wanted.kinds_named()
        sized = [wanted.with_length(one) for one in self._found.datasets if any(kind in named for kind in one.kinds)]
        return {(one.table, one.bar_seconds): one for one in sized}


class FileSupply(Supply):
    """The vendors' files: those in the landing folder, else those in the raw archive.

    Parameters
    ----------
    source : str
        Adapter name.
    settings : Settings
        Where both are.

    """

    def __init__(self, source: str, settings: Settings) -> None:
        super().__init__(source)
        self._settings = settings

    @property
    def folder(self) -> Path:
        """The landing folder."""
        return self._settings.landing_dir

    def not_fillable(self, dataset: str, bar_seconds: int, trade_date: dt.date, now: dt.datetime) -> str | None:
        """Say which files were looked for, if there is none."""
        del now
        if any(_may_hold(layout, dataset, bar_seconds) for layout in self._layouts(trade_date)):
            return None
        dates = ", ".join(expected_name_dates(trade_date))
        what = _RESOLUTIONS.get(bar_seconds, f"bars of {bar_seconds} s")
        return f"no file of {what} below {self.folder} or in the raw archive has one of {dates} in its name"

    def fingerprint(self, trade_date: dt.date) -> str:
        """Give a digest of names, sizes and times, or of the contents that are archived."""
        if self.has_landed(trade_date):
            return self._landed.fingerprints[trade_date]
        digests = sorted(file.sha256 for file in self.archived(trade_date))
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16] if digests else ""

    def has_landed(self, trade_date: dt.date) -> bool:
        """Tell whether the landing folder has files of a day."""
        return trade_date in self._landed.fingerprints

    def archived(self, trade_date: dt.date) -> list[ArchivedFile]:
        """List the deliveries of a day in the raw archive."""
        return self._archived.get(trade_date, [])

    def restore(self, trade_date: dt.date, folder: Path) -> None:
        """Lay the archived deliveries of a day below a folder.

        Raises
        ------
        StorageError
            If one is damaged, or is there no more.

        """
        if self._archive is not None:
            for file in self.archived(trade_date):
                self._archive.fetch(file, folder / file.sha256 / file.name)

    @cached_property
    def _archive(self) -> RawArchive | None:
        return open_raw_archive(self._settings, self.source)

    @cached_property
    def _landed(self) -> LandedFiles:
        return landed_files(self.folder)

    def _layouts(self, trade_date: dt.date) -> set[str]:
        """Give the layouts of what would be read: the landed files, else the archived ones."""
        if self.has_landed(trade_date):
            return self._landed.layouts[trade_date]
        told = (read_names([file.name]).layout for file in self.archived(trade_date))
        return {layout for layout in told if layout is not None}

    @cached_property
    def _archived(self) -> dict[dt.date, list[ArchivedFile]]:
        found: dict[dt.date, list[ArchivedFile]] = {}
        for file in self._archive.files() if self._archive is not None else ():
            day = read_names([file.name]).trade_date
            if day is not None:
                found.setdefault(day, []).append(file)
        return found


def _may_hold(layout: str, dataset: str, bar_seconds: int) -> bool:
    """Tell whether a file of a layout may have rows of a table: one of derivatives holds options and futures."""
    known = LAYOUTS_BY_NAME[layout]
    return known.bar_seconds == bar_seconds and (known.table in _DERIVATIVES) == (dataset in _DERIVATIVES)
