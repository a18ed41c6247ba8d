"""``pipeline gaps`` and ``pipeline backfill``: what is missing and why, and the one command that fills it."""

from __future__ import annotations

import datetime as dt
import json
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_defs.cli.exit_codes import ExitCode
from pipeline_defs.cli.options import AsJson, FromDate, OnlyDataset, OnlySource, ToDate, refuse_reversed
from pipeline_defs.errors import SourceError
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from pipeline_defs.gaps.backfilling import Backfill
    from pipeline_defs.gaps.ledger import Gap, Scope, Totals
    from pipeline_defs.gaps.planning import Refill
    from pipeline_defs.warehouse.connection import Warehouse

_SHOWN = 200


class _Cause(StrEnum):
    SOURCE_MISSING = "source_missing"
    QUARANTINED = "quarantined"
    NO_TRADE = "no_trade"
    NOT_YET_DUE = "not_yet_due"
    CLOSED = "closed"


def gaps(
    *,
    dataset: OnlyDataset = None,
    source_name: OnlySource = None,
    first: FromDate = None,
    last: ToDate = None,
    causes: Annotated[list[_Cause] | None, typer.Option("--cause", help="Only this cause; may be repeated.")] = None,
    fillable: Annotated[bool, typer.Option("--fillable", help="Only what 'pipeline backfill' would ask for.")] = False,
    assess_first: Annotated[
        bool, typer.Option("--assess", help="Assess the days first, by default all that were loaded.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List missing minutes with their causes, and totals by cause.

    One row of the ledger is a range of adjacent minutes of one instrument, of all instruments of a delivery, or the
    idle minutes of a class. What was never assessed is not listed: --assess does so.
    """
    from pipeline_defs.gaps.ledger import Scope, list_gaps, total_gaps  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    _check_range(first, last)
    warehouse = open_warehouse(load_settings())
    scope = Scope(dataset, source_name, first, last)
    if assess_first:
        _assess(warehouse, scope, quiet=as_json)
    found = list_gaps(warehouse, scope, causes=tuple(causes or ()), only_fillable=fillable)
    totals = total_gaps(warehouse, scope)
    if as_json:
        typer.echo(json.dumps({"gaps": [gap.to_json() for gap in found], **_totals(totals)}, ensure_ascii=False))
        return
    # Closed days are no gaps of data: who wants to see them says so.
    shown = [gap for gap in found if gap.cause != "closed" or _Cause.CLOSED in (causes or ())]
    for gap in shown[:_SHOWN]:
        typer.echo(_line(gap))
    if len(shown) > _SHOWN:
        typer.echo(f"and {len(shown) - _SHOWN} more; narrow it down, or use --json")
    _show_totals(totals)


def backfill(
    *,
    dataset: OnlyDataset = None,
    source_name: OnlySource = None,
    first: FromDate = None,
    last: ToDate = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be asked; ask nothing.")] = False,
    ask_again: Annotated[
        bool, typer.Option("--ask-again", help="Also ask for what a source was asked for before, and did not have.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import exactly what the gap ledger says is missing and can be had.

    Exit code 0: nothing is missing any more of what was asked for, or there was nothing to ask; 3: the sources
    answered, and minutes are missing all the same; 1: a source could not be asked, or its answer not be stored. The
    backfill is a run of the Dagster instance: 'pipeline ui' shows it.
    """
    from pipeline_defs.gaps.ledger import Scope  # noqa: PLC0415 -- keeps --help quick

    _check_range(first, last)
    scope = Scope(dataset, source_name, first, last)
    if dry_run:
        outcome, run_id = _plan(scope, ask_again=ask_again), None
    else:
        outcome, run_id = _fill(scope, ask_again=ask_again, quiet=as_json)
    if as_json:
        typer.echo(json.dumps({**_to_json(outcome), "dagster_run_id": run_id}, ensure_ascii=False))
    else:
        _show(outcome, dry_run=dry_run)
    if outcome.failures:
        raise typer.Exit(ExitCode.FAILED)
    if outcome.remaining:
        raise typer.Exit(ExitCode.STILL_MISSING)


def _plan(scope: Scope, *, ask_again: bool) -> Backfill:
    from pipeline_defs.gaps.backfilling import Backfiller  # noqa: PLC0415 -- only when asked for
    from pipeline_defs.gaps.supply import Supplies  # noqa: PLC0415
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    settings = load_settings()
    return Backfiller(open_warehouse(settings), Supplies(settings)).run(scope, dry_run=True, ask_again=ask_again)


def _fill(scope: Scope, *, ask_again: bool, quiet: bool) -> tuple[Backfill, str | None]:
    """Fill as a run; requests that failed are in the outcome, and raise nothing here."""
    from pipeline_defs.gaps.planning import Refill  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.orchestration.commands.backfills import BACKFILL_JOB, config_of  # noqa: PLC0415
    from pipeline_defs.orchestration.commands.running import COMMAND, run_command, shown_command  # noqa: PLC0415
    from pipeline_defs.orchestration.commands.telling import Listener  # noqa: PLC0415

    outcomes: list[Backfill] = []

    def hear(told: Refill | Backfill) -> None:
        if not isinstance(told, Refill):
            outcomes.append(told)
        elif not quiet:
            _announce(told)

    listener = Listener(on_result=hear)
    tags = {COMMAND: shown_command(sys.argv[1:])}
    try:
        run_command(BACKFILL_JOB, config_of(scope, ask_again=ask_again), load_settings(), listener, tags=tags)
    except SourceError:
        if not outcomes:
            raise
    return outcomes[0], listener.run_id


def _check_range(first: dt.date | None, last: dt.date | None) -> None:
    if first is not None and last is not None:
        refuse_reversed("--from", first, "--to", last)


def _assess(warehouse: Warehouse, scope: Scope, *, quiet: bool) -> None:
    from pipeline_defs.gaps.assessing import assess, sessions_of  # noqa: PLC0415 -- only when asked for

    wanted = sessions_of(warehouse, dataset=scope.dataset, source=scope.source, first=scope.first, last=scope.last)
    with typer.progressbar(length=len(wanted), label="assessing", file=sys.stderr, hidden=quiet) as bar:
        for _ in assess(warehouse, wanted):
            bar.update(1)


def _line(gap: Gap) -> str:
    when = "" if gap.cause == "closed" else f" {gap.gap_start:%H:%M}-{gap.gap_end:%H:%M}Z"
    fillable = " (fillable)" if gap.fillable else ""
    return (
        f"{gap.trade_date} {gap.source} {gap.dataset} {_resolution(gap.bar_seconds)}{when} {gap.about}:"
        f" {gap.minutes} {gap.cause}{fillable}: {gap.detail}"
    )


def _resolution(bar_seconds: int) -> str:
    return {0: "ticks", 60: "minute", 86_400: "daily"}.get(bar_seconds, f"{bar_seconds} s")


def _show_totals(totals: Totals) -> None:
    share = totals.present_minutes / totals.expected_minutes if totals.expected_minutes else 1.0
    typer.echo(
        f"{totals.partitions} partitions: {totals.present_minutes} of {totals.expected_minutes} minutes there"
        f" ({share:.2%})"
    )
    for total in totals.causes:
        fillable = f", {total.fillable_minutes} fillable" if total.fillable_minutes else ""
        rows = "1 row" if total.gaps == 1 else f"{total.gaps} rows"
        typer.echo(f"  {total.cause}: {total.minutes} minutes in {rows}{fillable}")


def _totals(totals: Totals) -> dict[str, object]:
    return {
        "partitions": totals.partitions,
        "expected_minutes": totals.expected_minutes,
        "present_minutes": totals.present_minutes,
        "causes": {
            total.cause: {"gaps": total.gaps, "minutes": total.minutes, "fillable_minutes": total.fillable_minutes}
            for total in totals.causes
        },
    }


def _announce(refill: Refill) -> None:
    typer.echo(f"asking {refill}", err=True)


def _show(outcome: Backfill, *, dry_run: bool) -> None:
    if not outcome.planned:
        typer.echo("nothing to fill")
        return
    if dry_run:
        for refill in outcome.planned:
            typer.echo(f"would ask {refill} ({refill.minutes} minutes)")
        return
    for one in outcome.done:
        counts = f"{sum(load.stored for load in one.loads)} rows stored" if one.loads else "nothing given"
        typer.echo(f"{one.refill}: {counts}" if one.error is None else f"{one.refill}: failed: {one.error}")
    typer.echo(
        f"{outcome.filled_minutes} minutes filled; of {outcome.asked_minutes} that were known to be missing,"
        f" {outcome.remaining_minutes} remain"
    )
    for gap in outcome.remaining[:_SHOWN]:
        typer.echo(f"remains: {_line(gap)}")


def _to_json(outcome: Backfill) -> dict[str, object]:
    return {
        "planned": [_refill(refill) for refill in outcome.planned],
        "done": [
            {**_refill(one.refill), "loads": [load.to_json() for load in one.loads], "error": one.error}
            for one in outcome.done
        ],
        "asked_minutes": outcome.asked_minutes,
        "filled_minutes": outcome.filled_minutes,
        "remaining_minutes": outcome.remaining_minutes,
        "remaining": [gap.to_json() for gap in outcome.remaining],
    }


def _refill(refill: Refill) -> dict[str, object]:
    return {
        "source": refill.source,
        "first": refill.first.isoformat(),
        "last": refill.last.isoformat(),
        "tables": sorted(refill.tables),
        "symbols": None if refill.symbols is None else sorted(refill.symbols),
        "minutes": refill.minutes,
    }
