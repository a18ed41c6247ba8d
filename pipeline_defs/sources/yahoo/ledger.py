"""Corporate actions as last heard: one small file a symbol, shared by the processes of a machine.

What is stored stays right only as long as no split came after it was asked for, and a question about old days does not
tell of a split since. So the ledger also knows up to which day a symbol's splits are known.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.sources.yahoo.actions import SOURCE_ACTION_SCHEMA, Split, splits_of

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one symbol.

    Parameters
    ----------
    actions : polars.DataFrame
        `SOURCE_ACTION_SCHEMA`, by date.
    until : datetime.date or None
        No split up to this day is missing; None when the symbol was never asked for all of them.

    """

    actions: pl.DataFrame
    until: dt.date | None = None


class ActionLedger:
    """The files.

    Parameters
    ----------
    folder : Path
        Made when it is needed.
    lock_seconds : float, default 30
        How long to wait for other processes, each of which takes milliseconds.

    """

    def __init__(self, folder: Path, lock_seconds: float = 30.0) -> None:
        self._folder, self._lock_seconds = folder, lock_seconds

    def path(self, symbol: str) -> Path:
        """Where the file of a symbol lies."""
        return self._folder / f"{quote(symbol, safe='')}.json"

    def known(self, symbol: str) -> Known:
        """Read what is known of a symbol; an unreadable file counts as none.

        Parameters
        ----------
        symbol : str
            Yahoo's.

        Returns
        -------
        Known

        """
        try:
            content = json.loads(self.path(symbol).read_text(encoding="utf-8"))
            rows = [(symbol, dt.date.fromisoformat(row["ex_date"]), *_rest(row)) for row in content["actions"]]
            until = None if content["until"] is None else dt.date.fromisoformat(content["until"])
            actions = pl.DataFrame(rows, schema=pl.Schema(_AS_TEXT), orient="row").cast({"value": PRICE})
        except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
            return Known(pl.DataFrame(schema=SOURCE_ACTION_SCHEMA))
        return Known(actions, until)

    def learn(
        self,
        symbol: str,
        actions: pl.DataFrame,
        span: tuple[dt.date, dt.date] | None,
        until: dt.date | None,
    ) -> list[Split]:
        """Take over what Yahoo said.

        Parameters
        ----------
        symbol : str
            Whose.
        actions : polars.DataFrame
            `SOURCE_ACTION_SCHEMA`.
        span : tuple of datetime.date or None
            First and last day that Yahoo was asked about: what was known of them before gives way. None for all days.
        until : datetime.date or None
            Up to which day splits are known now; None when that has not changed.

        Returns
        -------
        list of Split
            Those that were not known, of a symbol whose splits were: bars stored before are stale.

        """
        from filelock import FileLock, Timeout  # noqa: PLC0415 -- only asking needs it

        self._folder.mkdir(parents=True, exist_ok=True)
        path = self.path(symbol)
        lock = FileLock(path.with_suffix(".lock"), timeout=self._lock_seconds)
        try:
            lock.acquire()
        except Timeout:
            raise SourceError(
                f"another process has held {path.name} for {self._lock_seconds:g} s",
                where=f"yahoo {symbol} corporate actions",
                next_step="run the partition again; if no other process runs, delete the lock beside it",
            ) from None
        try:
            before = self.known(symbol)
            kept = (
                before.actions.clear() if span is None else before.actions.filter(~pl.col("ex_date").is_between(*span))
            )
            after = Known(pl.concat([kept, actions]).unique().sort("ex_date", "kind", "text"), until or before.until)
            if not after.actions.equals(before.actions) or after.until != before.until:
                staging = path.with_suffix(f".{os.getpid()}.tmp")
                staging.write_text(_written(after), encoding="utf-8")
                staging.replace(path)
        finally:
            lock.release()
        if before.until is None:
            return []
        old = set(splits_of(before.actions))
        return [split for split in splits_of(after.actions) if split not in old]


_AS_TEXT: Final = {**SOURCE_ACTION_SCHEMA, "value": pl.String()}


def _rest(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["kind"], row["value"], row["text"]


def _written(known: Known) -> str:
    rows = known.actions.drop("symbol").with_columns(pl.col("ex_date", "value").cast(pl.String)).to_dicts()
    return json.dumps({"until": known.until and known.until.isoformat(), "actions": rows}, indent=1)
