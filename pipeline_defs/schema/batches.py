"""What a source hands to the warehouse: requests, canonical frames, and the three-valued result.

Adapters build these, the warehouse's import path consumes them; neither knows the other.
"""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.schema.columns import MARKET_ZONE, PRICE, SIZE, TIMESTAMP
from pipeline_defs.schema.tables import MEASUREMENT_COLUMNS, SIZES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.schema.deliveries import Delivery, DeliveryLedger, FetchCost, RawArchive

CONTRACT_SCHEMA: Final[dict[str, pl.DataType]] = {
    "contract_key": pl.UInt32(),
    "kind": pl.String(),
    "symbol": pl.String(),
    "underlying": pl.String(),
    "expiry": pl.Date(),
    "strike": PRICE,
    "option_type": pl.String(),
    "rank": pl.Int16(),
    "series": pl.String(),
    "isin": pl.String(),
    "lot_size": pl.Int64(),
    "tick_size": PRICE,
    "venue": pl.String(),
    "currency": pl.String(),
    "base_currency": pl.String(),
}
"""One row per distinct instrument of a batch; `contract_key` numbers them 0..n-1 in the batch.

`symbol` is the source's own ticker text. `kind` is OPT, FUT, CONT (rolling), SPOT (index), EQ or PAIR.
For CONT, `expiry` is the contract the alias meant on the trade date and `rank` is 1, 2 or 3. For PAIR, `base_currency`
is bought and sold for `currency`, and `underlying` is both in one word (``BTCUSDT``).
"""

OBSERVATION_SCHEMA: Final[dict[str, pl.DataType]] = {
    "contract_key": pl.UInt32(),
    "timestamp": TIMESTAMP,
    "sequence": pl.Int32(),
    **{column.name: column.dtype for column in MEASUREMENT_COLUMNS},
    "file_index": pl.UInt32(),
    "line": pl.UInt32(),
}
"""One row per good observation; `line` is the 1-based physical line in the file."""

FRACTIONAL_OBSERVATION_SCHEMA: Final[dict[str, pl.DataType]] = {
    **OBSERVATION_SCHEMA,
    **dict.fromkeys(SIZES, SIZE),
}
"""The same for batches of instruments of which parts of a unit are traded: pairs, and shares of some markets."""

REJECT_SCHEMA: Final[dict[str, pl.DataType]] = {
    "file_index": pl.UInt32(),
    "line": pl.UInt32(),
    "reason": pl.String(),
    "text": pl.String(),
}
"""One row per line (or, with line 0, per file) that was not stored."""

_INSTANT: Final = dt.timedelta(microseconds=1)

HARMLESS_REASONS: Final = frozenset({"extended_hours", "no_trade", "running_bar"})
"""Reasons for leaving out a row that is right in itself, or says that nothing traded: they do not count as damage."""

FILE_SCHEMA: Final[dict[str, pl.DataType]] = {
    "file_index": pl.UInt32(),
    "path": pl.String(),
    "member": pl.String(),
    "logical_name": pl.String(),
    "sha256": pl.String(),
    "size_bytes": pl.Int64(),
    "layout": pl.String(),
}
"""One row per file or archive member read. `logical_name` identifies a delivery across re-deliveries."""


BATCH_ACTION_SCHEMA: Final[dict[str, pl.DataType]] = {
    "contract_key": pl.UInt32(),
    "ex_date": pl.Date(),
    "kind": pl.String(),
    "value": PRICE,
}
"""Corporate actions of shares: `kind` ``split`` (new shares for an old one) or ``dividend`` (currency a share)."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to fetch.

    Parameters
    ----------
    start_date, end_date : datetime.date or None
        First and last trade date wanted, both inclusive; None is open.
    underlying : str or None
        Restrict to one underlying; None is all.
    path : Path or None
        File or folder to read, for file sources.
    tables : frozenset of str or None
        Restrict to some observation tables; None is all. A source of files reads everything and may ignore it.
    symbols : frozenset of str or None
        Restrict to instruments as the source writes them; None is all. A source of files ignores it.
    ledger : DeliveryLedger or None
        Asked by a source that can tell a delivery before it reads it; None to read everything.
    archive : RawArchive or None
        Told by a source of files about each one before it is read; None to keep nothing.
    allowance : datetime.timedelta or None
        How old what is stored of a running session may be and count as fresh; None is what suits the length of its
        bars. A source of files ignores it.

    """

    start_date: dt.date | None = None
    end_date: dt.date | None = None
    underlying: str | None = None
    path: Path | None = None
    tables: frozenset[str] | None = None
    symbols: frozenset[str] | None = None
    ledger: DeliveryLedger | None = field(default=None, compare=False, repr=False)
    archive: RawArchive | None = field(default=None, compare=False, repr=False)
    allowance: dt.timedelta | None = None

    def __post_init__(self) -> None:
        """Refuse a range that ends before it starts."""
        if self.start_date is not None and self.end_date is not None and self.end_date < self.start_date:
            raise SourceError(
                f"end date {self.end_date} lies before start date {self.start_date}",
                next_step="swap the two dates",
            )

    def covers(self, trade_date: dt.date) -> bool:
        """Tell whether a trade date was asked for."""
        after_start = self.start_date is None or trade_date >= self.start_date
        return after_start and (self.end_date is None or trade_date <= self.end_date)


@dataclass(frozen=True, slots=True)
class SourceMetadata:
    """Where data comes from, as recorded with every load.

    Parameters
    ----------
    source : str
        Adapter name, e.g. ``nse_csv``.
    source_type : str
        ``file`` or ``api``.
    source_url : str
        Folder or endpoint, without secrets.
    api_version : str
        Version of the vendor's layout or API.
    supports_live : bool
        Whether it can stream.

    """

    source: str
    source_type: str
    source_url: str
    api_version: str
    supports_live: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """A quality observation about a whole partition, not about one row.

    Parameters
    ----------
    check : str
        Steady snake_case name, e.g. ``session_coverage``.
    passed : bool
        Whether the partition is as expected.
    expected, found : str
        Both sides, readable.
    detail : str, default ""
        Which instruments or files, shortened.

    """

    check: str
    passed: bool
    expected: str
    found: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ImportBatch:
    """Everything one source says about one table, resolution and trade date.

    Parameters
    ----------
    table : str
        One of `pipeline_defs.schema.tables.OBSERVATION_TABLES`.
    bar_seconds : int
        Resolution of every observation in the batch.
    trade_date : datetime.date
        The exchange's trading day.
    contracts : polars.DataFrame
        `CONTRACT_SCHEMA`.
    observations : polars.DataFrame
        `OBSERVATION_SCHEMA`, or `FRACTIONAL_OBSERVATION_SCHEMA` where parts of a unit are traded; unique by
        (contract_key, timestamp, sequence).
    rejects : polars.DataFrame
        `REJECT_SCHEMA`.
    files : polars.DataFrame
        `FILE_SCHEMA`.
    findings : tuple of Finding
        Quality of the partition.
    empty_reason : str or None
        Why there are no observations, when that is confirmed (a holiday, say).
    underlying : str or None
        Set when the request was restricted: the batch says nothing about other underlyings.
    delivery : Delivery or None
        What the batch was read from, if the source can recognise it next time.
    timezone : str, default "Asia/Kolkata"
        Zone whose day the trade date is; ``UTC`` for markets that never close. A bar that closes at midnight belongs to
        the day it ends.
    window : tuple of datetime.datetime or None
        Begin, inclusive, and end, exclusive, of what the batch speaks about, if that is a part of the trade date: rows
        outside stay as they are.
    actions : polars.DataFrame or None
        `BATCH_ACTION_SCHEMA`, all with the trade date as ex-date; None when the batch says nothing of actions.
    so_far : Delivery or None
        As what the ledger will know what a session that is still running gave up to the end of `window`.
    cost : FetchCost or None
        What it took; None for files.

    """

    table: str
    bar_seconds: int
    trade_date: dt.date
    contracts: pl.DataFrame
    observations: pl.DataFrame
    rejects: pl.DataFrame
    files: pl.DataFrame
    findings: tuple[Finding, ...] = field(default=())
    empty_reason: str | None = None
    underlying: str | None = None
    delivery: Delivery | None = None
    timezone: str = MARKET_ZONE
    window: tuple[dt.datetime, dt.datetime] | None = None
    actions: pl.DataFrame | None = None
    so_far: Delivery | None = None
    cost: FetchCost | None = None

    @property
    def rows_read(self) -> int:
        """What was looked at: good lines, refused lines, and refused files as one each."""
        return self.observations.height + self.rejects.height

    @property
    def complete_to(self) -> dt.datetime | None:
        """Up to when a part of a day is known with it; an empty part leaves it at its begin. None for a whole day."""
        if self.window is None:
            return None
        begin, end = self.window
        return (begin if self.empty_reason is not None else end) - _INSTANT


class Source(ABC):
    """The import port: every data source implements this and nothing else."""

    name: str
    """Adapter name as stored in the `source` column."""

    @property
    def calls_made(self) -> int:
        """Requests made over a network so far; a hit makes none, and neither does a source of files."""
        return 0

    @abstractmethod
    def get_metadata(self) -> SourceMetadata:
        """Describe the source, for provenance."""

    @abstractmethod
    def fetch(self, request: ImportRequest) -> Iterator[ImportBatch]:
        """Yield one batch per (table, resolution, trade date).

        Parameters
        ----------
        request : ImportRequest
            What is wanted.

        Yields
        ------
        ImportBatch
            Rows, or confirmed-empty with `empty_reason`.

        Raises
        ------
        SourceError
            If nothing usable was found or the layout is unknown. Never yields silence: an
            iterator that ends without a batch is an error of the adapter.

        """

    def validate_data(self, batch: ImportBatch) -> None:
        """Hold a batch against the contract of sources.

        Parameters
        ----------
        batch : ImportBatch
            As `fetch` gave it.

        Raises
        ------
        DataError
            A `ValueError` that names the first rows that are wrong.

        """
        from pipeline_defs.schema.validating import validate_data  # noqa: PLC0415 -- it checks what is defined here

        validate_data(batch)
