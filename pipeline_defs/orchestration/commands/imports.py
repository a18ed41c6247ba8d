"""``import_data``: what ``pipeline import`` and ``pipeline ingest`` run, launchable with the same words from the UI.

Which asset events an import gives is decided here: the whole of a session's table is a materialisation of its asset, as
if the asset had been run; a part of it is an observation; a source without assets tells on its run alone.
"""

import contextlib
import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import dagster as dg
from pydantic import Field

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.markets.market import market
from pipeline_defs.orchestration import evidence
from pipeline_defs.orchestration.assets.outcomes import count_rows, describe_loads, describe_partition
from pipeline_defs.orchestration.commands.telling import failures_told
from pipeline_defs.orchestration.partitions import has_session_partition
from pipeline_defs.orchestration.pools import ASKING_STEP
from pipeline_defs.orchestration.resources import WAREHOUSE, WarehouseResource, open_warehouse_of
from pipeline_defs.settings import load_settings
from pipeline_defs.sources.registry import SOURCES, source_market
from pipeline_defs.warehouse.reports import LoadReport

if TYPE_CHECKING:
    from pipeline_defs.ingesting import ImportOrder, PreparedImport
    from pipeline_defs.warehouse.connection import Warehouse

DATA_VERSION: Final = "dagster/data_version"
"""Tag by which Dagster knows the data version of an event that an op gives."""

_DATES: Final = frozenset({"start_date", "end_date"})
_PATHS: Final = frozenset({"path", "mapping"})
_LISTS: Final = frozenset({"tables", "symbols"})
_MOST_LINES: Final = 40
"""Loads that have a line of their own in the run's log, of which each costs some milliseconds."""


class ImportConfig(dg.Config):
    """What to import; empty is not said."""

    source: str = Field(description="Adapter, e.g. nse_csv or yahoo.")
    path: str = Field(default="", description="File or folder to read, of a source of files.")
    mapping: str = Field(default="", description="What the columns of one's own files mean (TOML).")
    underlying: str = Field(default="", description="Only this underlying.")
    tables: list[str] = Field(default=[], description="Only these tables of an API.")
    symbols: list[str] = Field(default=[], description="Instruments of an API, in place of the universe file's.")
    kind: str = Field(default="", description="What the symbols are: equity, index, pair, future or option.")
    market: str = Field(default="", description="Whose days are meant: NSE, US or CRYPTO.")
    exchange: str = Field(default="", description="Exchange id, for ccxt.")
    frequency: str = Field(default="", description="Length of the bars, e.g. 1d or 1m.")
    start_date: str = Field(default="", description="First trade date, YYYY-MM-DD, inclusive.")
    end_date: str = Field(default="", description="Last trade date, YYYY-MM-DD, inclusive.")
    reread: bool = Field(default=False, description="Also read, or ask for, what is known and stored already.")
    bundle: str = Field(default="", description="Name for the series that are stored.")
    ib_host: str = Field(default="", description="Where TWS runs.")
    ib_port: int = Field(default=0, description="Its port.")
    ib_client_id: int = Field(default=0, description="First client id to try.")

    def order(self) -> "ImportOrder":
        """Give it as the core has it.

        Raises
        ------
        ConfigurationError
            If a date cannot be read.

        """
        from pipeline_defs.ingesting import ImportOrder  # noqa: PLC0415 -- imports polars

        said = {name: getattr(self, name) for name in type(self).model_fields}
        return ImportOrder(**{name: _typed(name, value) for name, value in said.items() if value})


def config_of(order: "ImportOrder") -> dict[str, Any]:
    """Give an order as a run's configuration: `ImportConfig` reads the same order from it."""
    said = {one.name: getattr(order, one.name) for one in fields(order)}
    return {name: _plain(name, value) for name, value in said.items() if value}


def tags_of(order: "ImportOrder") -> dict[str, str]:
    """Give the tags by which runs of imports are found."""
    dates = f"{order.start_date or ''}..{order.end_date or ''}"
    tags = {"pipeline/source": order.source, "pipeline/bundle": order.bundle or ""}
    return {name: text for name, text in (*tags.items(), ("pipeline/dates", dates)) if text.strip(".")}


@dg.op(
    name="bring_in",
    description="Import files or an API's data into the warehouse.",
    tags=ASKING_STEP,
    required_resource_keys={WAREHOUSE},
    out=dg.Out(dg.Nothing),
)
def import_data_op(context: dg.OpExecutionContext, config: ImportConfig) -> Iterator[Any]:
    """Import what is asked for, and tell the assets what they hold now."""
    imported = _Imported(context)
    error: BaseException | None = None
    try:
        with failures_told(context) as listener:
            for report in imported.run(config):
                listener.on_result(report)
            imported.finish()
    except BaseException as raised:  # noqa: BLE001 -- raised again, once it is told what was stored before
        error = raised
    if error is not None:
        with contextlib.suppress(Exception):  # the first error is the one to tell
            yield from imported.events()
        raise error
    yield from imported.events()
    imported.tag_dates()
    yield dg.Output(None, metadata=imported.summary())


IMPORT_JOB: Final = dg.GraphDefinition(name="import_data", node_defs=[import_data_op]).to_job(
    description="What 'pipeline import' and 'pipeline ingest' run: files or an API into the warehouse.",
    resource_defs={WAREHOUSE: WarehouseResource()},
    executor_def=dg.in_process_executor,
)


@dataclass(slots=True)
class _Imported:
    """One import, as far as it has come."""

    context: dg.OpExecutionContext
    reports: "list[LoadReport]" = field(default_factory=list)
    _started: float = field(default_factory=time.perf_counter)
    _warehouse: "Warehouse | None" = None
    _prepared: "PreparedImport | None" = None
    _members: list[str] = field(default_factory=list)
    _known: dict[str, set[str]] = field(default_factory=dict)

    def run(self, config: ImportConfig) -> "Iterator[LoadReport]":
        """Import, and give each report once it is committed."""
        from pipeline_defs.ingesting import prepare_import, told_of_the_order  # noqa: PLC0415 -- imports polars
        from pipeline_defs.orchestration.commands.telling import current_listener  # noqa: PLC0415
        from pipeline_defs.warehouse.loading import import_source  # noqa: PLC0415

        order = config.order()
        prepared = self._prepared = prepare_import(order, load_settings())
        warehouse = self._warehouse = open_warehouse_of(self.context.resources)
        with told_of_the_order(order):
            for report in import_source(
                warehouse,
                prepared.source,
                prepared.request,
                dagster_run_id=self.context.run_id,
                reread=order.reread,
                on_progress=current_listener().on_progress,
            ):
                self.reports.append(report)
                if len(self.reports) <= _MOST_LINES and not report.is_hit:
                    self.context.log.info(report.to_line())
                yield report

    def finish(self) -> None:
        """Refuse damage, and name the bundle."""
        from pipeline_defs.bundling import name_bundle  # noqa: PLC0415 -- imports polars
        from pipeline_defs.warehouse.reports import refuse_damage  # noqa: PLC0415

        refuse_damage(self.reports)
        if self._prepared is not None and self._warehouse is not None and self._prepared.order.bundle is not None:
            members = name_bundle(self._warehouse, self._prepared.order, self.reports)
            self._members = sorted({member.symbol for member in members})

    def events(self) -> Iterator[dg.AssetMaterialization | dg.AssetObservation]:
        """Tell the source's assets of what was stored; nothing if it has none."""
        if self._prepared is None or self._warehouse is None or self._prepared.order.source not in SOURCES:
            return
        source = self._prepared.order.source
        parts: dict[str, list[LoadReport]] = {}
        for (table, trade_date), own in self._by_partition().items():
            if table not in SOURCES[source].tables or any(report.status == "rejected" for report in own):
                continue
            if not self._is_whole(trade_date, own):
                parts.setdefault(table, []).extend(own)
            elif not self._is_known(source, table, trade_date.isoformat(), own):
                yield self._materialized(source, table, trade_date, own)
        for table, own in parts.items():
            told = [report for report in own if report.status == "complete" and not report.is_hit]
            if told:
                yield self._observed(source, table, told)

    def summary(self) -> dict[str, Any]:
        """Describe the import as a whole."""
        days = sorted({report.trade_date for report in self.reports})
        order = None if self._prepared is None else self._prepared.order
        bundle = {} if order is None or order.bundle is None else {"bundle": order.bundle, "series": self._members}
        return {
            **count_rows(self.reports),
            "partitions": len(self.reports),
            "first_trade_date": days[0].isoformat(),
            "last_trade_date": days[-1].isoformat(),
            "seconds": round(time.perf_counter() - self._started, 3),
            **describe_loads(self.reports),
            **bundle,
        }

    def tag_dates(self) -> None:
        """Let the run be found by what it read, where nobody had said which days."""
        days = sorted({report.trade_date for report in self.reports})
        if days and not any((self._order.start_date, self._order.end_date)):
            self.context.instance.add_run_tags(self.context.run_id, {"pipeline/dates": f"{days[0]}..{days[-1]}"})

    @property
    def _order(self) -> "ImportOrder":
        return cast("PreparedImport", self._prepared).order

    def _by_partition(self) -> "dict[tuple[str, dt.date], list[LoadReport]]":
        found: dict[tuple[str, dt.date], list[LoadReport]] = {}
        for report in self.reports:
            found.setdefault((report.dataset, report.trade_date), []).append(report)
        return found

    def _is_whole(self, trade_date: dt.date, own: "list[LoadReport]") -> bool:
        """Tell whether all that the source has of a session that is over was asked for."""
        prepared = cast("PreparedImport", self._prepared)
        of = source_market(prepared.order.source)
        if prepared.is_narrowed or not has_session_partition(trade_date, of):
            return False
        is_over = market(of).close(trade_date) <= dt.datetime.now(dt.UTC)
        return is_over and all(report.complete_to is None for report in own)

    def _is_known(self, source: str, table: str, key: str, own: "list[LoadReport]") -> bool:
        """Tell whether nothing was read, and the asset's partition is materialised already."""
        if not all(report.is_hit for report in own):
            return False
        if table not in self._known:
            self._known[table] = self.context.instance.get_materialized_partitions(dg.AssetKey([source, table]))
        return key in self._known[table]

    def _materialized(
        self, source: str, table: str, trade_date: dt.date, own: list[LoadReport]
    ) -> dg.AssetMaterialization:
        partition = evidence.Partition(table, source, trade_date, market(source_market(source)).zone)
        seconds = sum(report.fetch_seconds for report in own)
        content_hash, metadata = describe_partition(cast("Warehouse", self._warehouse), partition, own, seconds)
        return dg.AssetMaterialization(
            asset_key=[source, table],
            partition=trade_date.isoformat(),
            description="imported by a command",
            metadata=metadata,
            tags={DATA_VERSION: content_hash},
        )

    def _observed(self, source: str, table: str, own: "list[LoadReport]") -> dg.AssetObservation:
        prepared = cast("PreparedImport", self._prepared)
        days = sorted({report.trade_date for report in own})
        first, last = days[0].isoformat(), days[-1].isoformat()
        only = [*prepared.order.symbols, *([prepared.order.underlying] if prepared.order.underlying else [])]
        return dg.AssetObservation(
            asset_key=[source, table],
            partition=first if len(days) == 1 and has_session_partition(days[0], source_market(source)) else None,
            description=f"a part was imported by a command: {', '.join(only) or 'sessions that are not over'}",
            metadata={
                **count_rows(own),
                "only": only,
                "first_trade_date": first,
                "last_trade_date": last,
                "days": len(days),
                **describe_loads(own),
            },
        )


def _typed(name: str, value: Any) -> Any:  # noqa: ANN401 -- a field of a configuration
    if name in _DATES:
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            raise ConfigurationError(f"{value!r} is not a date, expected YYYY-MM-DD", where=name) from None
    if name in _PATHS:
        return Path(value).expanduser()
    return tuple(value) if name in _LISTS else value


def _plain(name: str, value: Any) -> Any:  # noqa: ANN401
    return list(value) if name in _LISTS else str(value) if name in _DATES | _PATHS else value
