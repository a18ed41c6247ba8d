"""What one import is asked to bring in: from the words of a person to a source and its request.

The command line and Dagster's launchpad both make an `ImportOrder`; what happens to it is decided here, and rows are
stored by the one import path. Callable without either.
"""

from __future__ import annotations

import datetime as dt
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ConfigurationError, SourceError, UnansweredError
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.schema.tables import DAY
from pipeline_defs.sources.asking.choosing import choose
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.sources.asking.universe import find_universe
from pipeline_defs.sources.registry import canonical_name, get_source, source_entry
from pipeline_defs.storage.raw_archive import open_raw_archive
from pipeline_defs.warehouse.named_bundles import check_bundle_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.schema.batches import Source
    from pipeline_defs.settings import Settings

DAILY_SPAN_DAYS: Final = 365
INTRADAY_SPAN_DAYS: Final = 7
"""Calendar days up to the last finished session that an API is asked for when nobody says which."""

_LONGEST_CLOSURE_DAYS: Final = 20
_FILE: Final = re.compile(r"(correct|correct it in|check) the universe file")
_TWS: Final = "interactive_brokers"
_TWS_HOST, _TWS_PORT = "127.0.0.1", 7497


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOrder:
    """What is to be imported, in the words of who wants it.

    Parameters
    ----------
    source : str
        Adapter, or what its users call it: ``yfinance``.
    path : Path or None
        File or folder, of a source of files.
    mapping : Path or None
        What the columns of one's own files mean (TOML).
    underlying : str or None
        Only this one.
    tables : tuple of str
        Only these tables of an API.
    symbols : tuple of str
        Instruments of an API in place of the universe file's.
    kind, market, exchange, frequency : str or None
        As for `pipeline_defs.sources.asking.choosing.choose`.
    start_date, end_date : datetime.date or None
        Trade dates, both inclusive. Of an API the end is by default the last session whose answers are final, the begin
        a year earlier, or a week if anything finer than days is asked for.
    reread : bool
        Also read, or ask for, what is known and stored already.
    bundle : str or None
        Name under which the series that are stored can be found.
    ib_host : str or None
        Where TWS runs.
    ib_port, ib_client_id : int or None
        Its port, and the first client id to try.

    """

    source: str
    path: Path | None = None
    mapping: Path | None = None
    underlying: str | None = None
    tables: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    kind: str | None = None
    market: str | None = None
    exchange: str | None = None
    frequency: str | None = None
    start_date: dt.date | None = None
    end_date: dt.date | None = None
    reread: bool = False
    bundle: str | None = None
    ib_host: str | None = None
    ib_port: int | None = None
    ib_client_id: int | None = None


@dataclass(frozen=True, slots=True)
class PreparedImport:
    """An order that was understood.

    Parameters
    ----------
    order : ImportOrder
        With the source's own name and, of an API, both dates.
    source : Source
        Ready to be asked.
    request : ImportRequest
        What it is asked for.

    """

    order: ImportOrder
    source: Source
    request: ImportRequest

    @property
    def is_narrowed(self) -> bool:
        """Whether what comes may not be all that the source's daily import gives of a session."""
        order = self.order
        return any((order.underlying, order.symbols, order.market, order.exchange, order.frequency))


def prepare_import(order: ImportOrder, settings: Settings, now: dt.datetime | None = None) -> PreparedImport:
    """Make a source and a request of an order; nothing is read or asked yet.

    Parameters
    ----------
    order : ImportOrder
        What is wanted.
    settings : Settings
        Where the raw archive is.
    now : datetime.datetime, optional
        With a zone; default the time of the source's clock.

    Returns
    -------
    PreparedImport

    Raises
    ------
    ConfigurationError
        If there is no such source, or it does not go together with something else that was said.
    SourceError
        If the dates are the wrong way round.
    WarehouseError
        If the bundle's name cannot be one.

    """
    order = replace(order, source=canonical_name(order.source))
    if order.bundle is not None:
        check_bundle_name(order.bundle)
    source = _source(order)
    tables = frozenset(order.tables) or None
    if isinstance(source, ApiSource):
        tables = _choose(source, order, tables)
        order = _with_dates(source, order, tables, now or source.clock())
    archive = open_raw_archive(settings, source.name)
    request = ImportRequest(
        order.start_date, order.end_date, order.underlying, order.path, tables=tables, archive=archive
    )
    return PreparedImport(order, source, request)


@dataclass(frozen=True, slots=True)
class Question:
    """What an API would be asked of one table.

    Parameters
    ----------
    table : str
        Where the rows would go.
    bar_seconds : int
        Length of the bars.
    names : tuple of str
        Of what, as it was named; for chains, the underlyings.
    first, last : datetime.date
        Trade dates.
    sessions : int
        How many of them traded.

    """

    table: str
    bar_seconds: int
    names: tuple[str, ...]
    first: dt.date
    last: dt.date
    sessions: int

    def to_json(self) -> dict[str, Any]:
        """Give the stable shape of ``--dry-run --json``."""
        return {
            "table": self.table,
            "bar_seconds": self.bar_seconds,
            "instruments": list(self.names),
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "sessions": self.sessions,
        }


def list_questions(prepared: PreparedImport) -> list[Question]:
    """Say what an API would be asked; nothing is asked, and what is stored is not looked at.

    Raises
    ------
    ConfigurationError
        If the source is no API, or nothing is wanted of it.

    """
    source, order = prepared.source, prepared.order
    if not isinstance(source, ApiSource) or order.start_date is None or order.end_date is None:
        raise ConfigurationError("only what an API would be asked can be told beforehand", where=order.source)
    first, last = order.start_date, order.end_date
    sessions = len(source.market.sessions(first, last))
    return [
        Question(dataset.table, dataset.bar_seconds, source.wanted.names(dataset), first, last, sessions)
        for dataset in source.datasets_wanted(prepared.request.tables)
    ]


def _source(order: ImportOrder) -> Source:
    is_api = source_entry(order.source).source_type == "api"
    config: dict[str, Any] = {}
    if order.mapping is not None:
        config["mapping"] = str(order.mapping)
    if order.ib_host is not None or order.ib_port is not None or order.ib_client_id is not None:
        if order.source != _TWS:
            raise ConfigurationError(
                f"{order.source} is not asked through a TWS", next_step="leave host, port and client id of IB out"
            )
        if order.ib_client_id is not None:
            config["client_id"] = order.ib_client_id
        if order.ib_host is not None or order.ib_port is not None:
            config["endpoint"] = f"{order.ib_host or _TWS_HOST}:{order.ib_port or _TWS_PORT}"
    source = get_source(order.source, **config)
    if is_api and order.path is not None:
        raise ConfigurationError(f"{order.source} is an API and reads no files", next_step="leave the path out")
    asked = {
        "symbols": order.symbols, "kind": order.kind, "market": order.market, "exchange": order.exchange,
        "frequency": order.frequency,
    }  # fmt: skip
    named = [name for name, value in asked.items() if value]
    if named and not isinstance(source, ApiSource):
        raise ConfigurationError(
            f"{order.source} reads what its files hold: {', '.join(named)} cannot be chosen",
            next_step="name an underlying to take only some of the rows",
        )
    return source


def _choose(source: ApiSource, order: ImportOrder, tables: frozenset[str] | None) -> frozenset[str] | None:
    """Give an API the instruments that were named; which tables are then asked for."""
    if not (order.symbols or order.market or order.exchange or order.frequency):
        return tables
    if not order.symbols and not (source.universe or source.wanted).kinds_named():
        return tables  # who asks for nothing is told so when it is looked for
    if order.kind is not None and not order.symbols:
        raise ConfigurationError("a kind without symbols", next_step="name the symbols that are of this kind")
    chosen = choose(
        type(source),
        order.symbols,
        base=find_universe(source.name),
        kind=order.kind,
        market=order.market,
        exchange=order.exchange,
        frequency=order.frequency,
    )
    source.universe = chosen.universe
    if chosen.tables is None:
        return tables
    both = chosen.tables if tables is None else chosen.tables & tables
    if not both:
        raise ConfigurationError(
            f"bars of {order.frequency} of these instruments are in {', '.join(sorted(chosen.tables))}",
            where=f"table {', '.join(sorted(tables or ()))}",
            next_step="leave the table out",
        )
    return both


def _with_dates(source: ApiSource, order: ImportOrder, tables: frozenset[str] | None, now: dt.datetime) -> ImportOrder:
    """Fill in the dates that nobody named."""
    if order.start_date is not None and order.end_date is not None:
        return order
    datasets = source.datasets_wanted(tables)
    end = order.end_date or _last_final(source, max(one.delay_seconds for one in datasets), now)
    span = DAILY_SPAN_DAYS if all(one.bar_seconds >= DAY for one in datasets) else INTRADAY_SPAN_DAYS
    return replace(order, start_date=order.start_date or end - dt.timedelta(days=span - 1), end_date=end)


def _last_final(source: ApiSource, delay_seconds: int, now: dt.datetime) -> dt.date:
    """Find the last session of which the source's answers do not change any more."""
    today = source.market.trade_date(now)
    for day in reversed(source.market.sessions(today - dt.timedelta(days=_LONGEST_CLOSURE_DAYS), today)):
        if source.market.close(day) + dt.timedelta(seconds=delay_seconds) <= now:
            return day
    raise ConfigurationError(
        f"no session of {source.market.name} is over in the {_LONGEST_CLOSURE_DAYS} days before {today}",
        next_step="name the first and the last trade date",
    )


@contextmanager
def told_of_the_order(order: ImportOrder) -> Iterator[None]:
    """Let errors about instruments that were named here not send their reader to the universe file."""
    try:
        yield
    except (ConfigurationError, SourceError) as error:
        said = f"{error.where} {error.next_step}"
        if not order.symbols or "universe" not in said:
            raise
        kind = next(one for one in (ConfigurationError, UnansweredError, SourceError) if isinstance(error, one))
        where = error.where
        if where is None or "universe" in where:
            where = f"{order.source} {', '.join(order.symbols)}"
        raise kind(error.what, where=where, next_step=_FILE.sub("correct the symbol", error.next_step or "")) from error
