"""The instruments dump of each day: fetched once by a machine, kept for good, and read as the contract master reads it.

Kite lists what trades today and forgets the rest, so yesterday's dumps are the only record of yesterday's contracts.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import io
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SchemaDriftError
from pipeline_defs.markets.sessions import IST
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.terms import kite_dump
from pipeline_defs.sources.terms.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_COLUMNS: Final = (
    *("instrument_token", "exchange_token", "tradingsymbol", "name", "last_price", "expiry", "strike", "tick_size"),
    *("lot_size", "instrument_type", "segment", "exchange"),
)
_MADE_AT: Final = dt.timedelta(hours=8, minutes=30)
"""Time of day in India from which Kite's dump is that of the day; before, it is yesterday's."""


@dataclass(frozen=True, slots=True)
class Dump:
    """One day's dump.

    Parameters
    ----------
    date : datetime.date
        Whose contracts it lists.
    path : Path
        Where it lies.

    """

    date: dt.date
    path: Path

    def instruments(self) -> pl.DataFrame:
        """Give its instruments of the NSE and the BSE; raises `SchemaDriftError` if it is another kind of file.

        Returns
        -------
        polars.DataFrame
            ``vendor_id``, and the columns of `pipeline_defs.schema.terms.TERMS_SCHEMA`.

        """
        return _read(self.path, self.date, self.path.stat().st_mtime_ns)

    @property
    def shown(self) -> str:
        """Name it in messages."""
        return f"Kite instruments of {self.date}"


class Dumps:
    """The dumps of a machine.

    Parameters
    ----------
    folder : Path
        Made when it is needed.
    fetch : callable
        Asks Kite for the dump of now.
    clock : callable
        Tells the time, UTC.

    """

    def __init__(self, folder: Path, fetch: Callable[[], bytes], clock: Callable[[], dt.datetime]) -> None:
        self._folder, self._fetch, self._clock = folder, fetch, clock

    @property
    def today(self) -> dt.date:
        """The day whose dump Kite gives now."""
        return (self._clock().astimezone(IST) - _MADE_AT).date()

    def newest(self) -> Dump:
        """Give today's dump, asking for it if this machine has not yet.

        Returns
        -------
        Dump

        Raises
        ------
        SchemaDriftError
            If what came is no dump; it is not kept.
        SourceError
            If Kite does not give it.

        """
        today = self.today
        path = self._path(today)
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            with _turn(self._folder / ".lock"):
                if not path.exists():
                    content = self._fetch()
                    staging = path.with_suffix(f".{os.getpid()}.tmp")
                    staging.write_bytes(content)
                    staging.replace(path)
        return Dump(today, path)

    def nearest(self, day: dt.date) -> Dump:
        """Give the dump of a day, or else the nearest one; of two as near, the earlier.

        Parameters
        ----------
        day : datetime.date
            A trade date.

        Returns
        -------
        Dump

        """
        self.newest()
        return min(self._kept(), key=lambda dump: (abs(dump.date - day), dump.date))

    def _kept(self) -> list[Dump]:
        found = []
        for path in self._folder.glob("*.csv"):
            try:
                found.append(Dump(dt.date.fromisoformat(path.stem), path))
            except ValueError:
                continue  # not one of ours
        return found

    def _path(self, day: dt.date) -> Path:
        return self._folder / f"{day}.csv"


def checked(content: bytes) -> bytes:
    """Give a dump that came whole.

    Parameters
    ----------
    content : bytes
        What Kite sent.

    Returns
    -------
    bytes

    Raises
    ------
    SchemaDriftError
        If the header is not that of a dump.
    TryAgainError
        If it has no lines, or its last line is cut.

    """
    header, _, rest = content.partition(b"\n")
    names = [name.strip().strip('"') for name in header.decode("utf-8-sig", "replace").split(",")]
    missing = [name for name in _COLUMNS if name not in names]
    if missing:
        raise SchemaDriftError(
            f"Kite's instruments lack the columns {', '.join(missing)}; the header is {', '.join(names)[:300]}",
            next_step="nothing was kept; look whether Kite has changed its format",
        )
    last = rest.rstrip(b"\r\n").rpartition(b"\n")[2]
    try:
        width = pl.read_csv(io.BytesIO(last), has_header=False, infer_schema=False).width if last else 0
    except pl.exceptions.PolarsError:
        width = 0
    if width != len(names):
        raise TryAgainError(
            f"Kite's instruments came cut short: {width} fields in the last line, expected {len(names)}"
        )
    return content


@lru_cache(maxsize=16)
def _read(path: Path, date: dt.date, _changed: int) -> pl.DataFrame:
    table, _ = read_table(path, _COLUMNS)
    said = kite_dump.read(path, date).statements
    tokens = table.select("line", vendor_id="instrument_token").filter(
        pl.col("vendor_id").str.contains(r"^[0-9]{1,18}$")
    )
    return said.join(tokens, on="line", how="inner", maintain_order="left")


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Let one process of the machine ask at a time; the others find what it got."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
