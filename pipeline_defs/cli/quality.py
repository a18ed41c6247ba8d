"""``pipeline quality``: what checks found about stored partitions, and the rows that fail."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from pipeline_defs.cli.exit_codes import ExitCode
from pipeline_defs.cli.json_lists import print_json_list
from pipeline_defs.cli.options import OnlySource, parse_date
from pipeline_defs.errors import PipelineError, UnknownNameError
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline_defs.quality.results import StoredCheck, StoredFailure
    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse


def quality(
    *,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Only this table, e.g. options_ticks.")] = None,
    source: OnlySource = None,
    trade_date: Annotated[
        dt.date | None, typer.Option("--date", help="Only this trade date.", parser=parse_date)
    ] = None,
    check: Annotated[str | None, typer.Option("--check", help="Only this check, e.g. outliers.")] = None,
    check_now: Annotated[
        bool, typer.Option("--run", help="Check the partitions first; without it, only look.")
    ] = False,
    failures: Annotated[bool, typer.Option("--failures", help="Show the failing rows as well.")] = False,
    show_all: Annotated[bool, typer.Option("--all", help="List what passed as well.")] = False,
    history: Annotated[
        bool, typer.Option("--history", help="List earlier results, too, and not only the newest of each check.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, instants in UTC.")] = False,
) -> None:
    """List what is wrong with stored data, the gravest first.

    Results come from the asset checks of Dagster, or from --run. The exit code is 1 if any error is listed; warnings
    do not change it.
    """
    from pipeline_defs.quality import results  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    settings = load_settings()
    _refuse_unknown(dataset, check)
    warehouse = open_warehouse(settings)
    if check_now:
        _check(warehouse, settings, dataset, source, trade_date)
    found = results.list_results(
        warehouse, dataset=dataset, source=source, trade_date=trade_date, check=check, history=history
    )
    shown = [result for result in found if show_all or not result.passed]
    rows = results.list_failures(warehouse, [result.check_id for result in shown]) if failures else {}
    if as_json:
        print_json_list("results", _json_lines(shown, rows, failures=failures))
    else:
        for line in _lines(shown, rows):
            typer.echo(line)
    typer.echo(_summary(found), err=as_json)
    if any(not result.passed and result.severity == "error" for result in found):
        raise typer.Exit(ExitCode.FAILED)


def _refuse_unknown(dataset: str | None, check: str | None) -> None:
    from pipeline_defs.quality.specs import EVERY, SPECS_BY_NAME  # noqa: PLC0415 -- keeps --help quick

    if dataset is not None and dataset not in EVERY:
        raise UnknownNameError("table", dataset, EVERY)
    if check is not None and check not in SPECS_BY_NAME:
        raise UnknownNameError("check", check, SPECS_BY_NAME)


def _check(
    warehouse: Warehouse, settings: Settings, dataset: str | None, source: str | None, trade_date: dt.date | None
) -> None:
    """Check every partition that has loads, or the one that is named whole though it has none."""
    from pipeline_defs.markets.market import market  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.quality.results import list_partitions  # noqa: PLC0415
    from pipeline_defs.quality.running import check_partition  # noqa: PLC0415
    from pipeline_defs.sources.registry import source_market  # noqa: PLC0415

    partitions = list_partitions(warehouse, dataset=dataset, source=source, trade_date=trade_date)
    if not partitions and dataset and source and trade_date:
        partitions = [(dataset, source, trade_date)]
    with typer.progressbar(partitions, label="checking", file=sys.stderr) as listed:
        for table, adapter, date in listed:
            check_partition(warehouse, table, adapter, date, market(source_market(adapter)), home=settings.home)


def _json_lines(shown: Sequence[StoredCheck], rows: dict[int, list[StoredFailure]], *, failures: bool) -> Iterator[str]:
    for result in shown:
        line: dict[str, Any] = dataclasses.asdict(result)
        if failures:
            line["failures"] = [dataclasses.asdict(row) for row in rows.get(result.check_id, [])]
        yield json.dumps(line, default=lambda value: value.isoformat(), ensure_ascii=False)


def _lines(shown: Sequence[StoredCheck], rows: dict[int, list[StoredFailure]]) -> Iterator[str]:
    """One line a result, with its failing rows indented below it, on the clock of the source's market."""
    for result in shown:
        verdict = "ok" if result.passed else result.severity
        place = f"{result.trade_date}  {result.source}/{result.dataset}"
        detail = f" ({result.detail})" if result.detail and not result.passed else ""
        yield f"{verdict:<5}  {place:<38}  {result.check_name:<18}  {result.found}{detail}"
        zone = _zone(result.source)
        for row in rows.get(result.check_id, []):
            when = "" if row.timestamp is None else f"{row.timestamp.astimezone(zone):%H:%M:%S} {zone.key}"
            yield "       " + "  ".join(filter(None, (row.symbol, when, row.detail)))


def _zone(source: str) -> ZoneInfo:
    from pipeline_defs.markets.market import market  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.sources.registry import source_market  # noqa: PLC0415

    try:
        return ZoneInfo(market(source_market(source)).zone)
    except PipelineError:  # a source whose package is gone
        return ZoneInfo("UTC")


def _summary(found: Sequence[StoredCheck]) -> str:
    if not found:
        return "nothing was checked yet; 'pipeline quality --run' checks what is stored"
    partitions = {(result.dataset, result.source, result.trade_date) for result in found}
    failing = {
        severity: sum(not result.passed and result.severity == severity for result in found)
        for severity in ("error", "warn", "info")
    }
    counts = ", ".join(f"{count} {severity}" for severity, count in failing.items() if count) or "nothing fails"
    return f"{len(found)} results of {len(partitions)} partitions: {counts}"
