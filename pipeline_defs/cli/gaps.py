"""``pipeline gaps`` and ``pipeline backfill``: what is missing and why, and the one command that fills it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from pipeline_defs.cli.options import DATE
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.gaps.backfilling import Backfill
    from pipeline_defs.gaps.ledger import Gap, Scope, Totals
    from pipeline_defs.gaps.planning import Refill
    from pipeline_defs.warehouse.connection import Warehouse

_CAUSES = ("source_missing", "quarantined", "no_trade", "not_yet_due", "closed")
_SHOWN = 200
_STILL_MISSING = 3
"""Exit code: the sources answered, and minutes are missing all the same."""


@click.command()
@click.option("--dataset", help="Only this table.")
@click.option("--source", "source_name", help="Only this source.")
@click.option("--from", "first", type=DATE, help="First trade date, inclusive.")
@click.option("--to", "last", type=DATE, help="Last trade date, inclusive.")
@click.option("--cause", "causes", multiple=True, type=click.Choice(_CAUSES), help="Only this cause; may be repeated.")
@click.option("--fillable", is_flag=True, help="Only what 'pipeline backfill' would ask for.")
@click.option("--assess", "assess_first", is_flag=True, help="Assess the days first, by default all that were loaded.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def gaps(
    dataset: str | None,
    source_name: str | None,
    first: dt.date | None,
    last: dt.date | None,
    causes: tuple[str, ...],
    fillable: bool,  # noqa: FBT001 -- click passes flags by name
    assess_first: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """List missing minutes with their causes, and totals by cause.

    One row of the ledger is a range of adjacent minutes of one instrument, of all instruments of a delivery, or the
    idle minutes of a class. What was never assessed is not listed: --assess does so.
    """
    from pipeline_defs.gaps.ledger import Scope, list_gaps, total_gaps  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    warehouse = open_warehouse(load_settings())
    scope = Scope(dataset, None if source_name is None else source_name.replace("-", "_"), first, last)
    if assess_first:
        _assess(warehouse, scope, quiet=as_json)
    found = list_gaps(warehouse, scope, causes=causes, only_fillable=fillable)
    totals = total_gaps(warehouse, scope)
    if as_json:
        click.echo(json.dumps({"gaps": [gap.to_json() for gap in found], **_totals(totals)}, ensure_ascii=False))
        return
    # Closed days are no gaps of data: who wants to see them says so.
    shown = [gap for gap in found if gap.cause != "closed" or "closed" in causes]
    for gap in shown[:_SHOWN]:
        click.echo(_line(gap))
    if len(shown) > _SHOWN:
        click.echo(f"and {len(shown) - _SHOWN} more; narrow it down, or use --json")
    _show_totals(totals)


@click.command()
@click.option("--dataset", help="Only this table.")
@click.option("--source", "source_name", help="Only this source.")
@click.option("--from", "first", type=DATE, help="First trade date, inclusive.")
@click.option("--to", "last", type=DATE, help="Last trade date, inclusive.")
@click.option("--dry-run", is_flag=True, help="Show what would be asked; ask nothing.")
@click.option("--ask-again", is_flag=True, help="Also ask for what a source was asked for before, and did not have.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def backfill(
    dataset: str | None,
    source_name: str | None,
    first: dt.date | None,
    last: dt.date | None,
    dry_run: bool,  # noqa: FBT001 -- click passes flags by name
    ask_again: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Import exactly what the gap ledger says is missing and can be had.

    Exit code 0: nothing is missing any more of what was asked for, or there was nothing to ask; 3: the sources
    answered, and minutes are missing all the same; 1: a source could not be asked, or its answer not be stored.
    """
    from pipeline_defs.gaps.backfilling import Backfiller  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.gaps.ledger import Scope  # noqa: PLC0415
    from pipeline_defs.gaps.supply import Supplies  # noqa: PLC0415
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    settings = load_settings()
    scope = Scope(dataset, None if source_name is None else source_name.replace("-", "_"), first, last)
    backfiller = Backfiller(open_warehouse(settings), Supplies(settings), on_progress=None if as_json else _announce)
    outcome = backfiller.run(scope, dry_run=dry_run, ask_again=ask_again)
    if as_json:
        click.echo(json.dumps(_to_json(outcome), ensure_ascii=False))
    else:
        _show(outcome, dry_run=dry_run)
    if outcome.failures:
        raise SystemExit(1)
    if outcome.remaining:
        raise SystemExit(_STILL_MISSING)


def _assess(warehouse: Warehouse, scope: Scope, *, quiet: bool) -> None:
    from pipeline_defs.gaps.assessing import assess, sessions_of  # noqa: PLC0415 -- only when asked for

    wanted = sessions_of(warehouse, dataset=scope.dataset, source=scope.source, first=scope.first, last=scope.last)
    with click.progressbar(length=len(wanted), label="assessing", file=sys.stderr, hidden=quiet) as bar:
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
    click.echo(
        f"{totals.partitions} partitions: {totals.present_minutes} of {totals.expected_minutes} minutes there"
        f" ({share:.2%})"
    )
    for total in totals.causes:
        fillable = f", {total.fillable_minutes} fillable" if total.fillable_minutes else ""
        rows = "1 row" if total.gaps == 1 else f"{total.gaps} rows"
        click.echo(f"  {total.cause}: {total.minutes} minutes in {rows}{fillable}")


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
    click.echo(f"asking {refill}", err=True)


def _show(outcome: Backfill, *, dry_run: bool) -> None:
    if not outcome.planned:
        click.echo("nothing to fill")
        return
    if dry_run:
        for refill in outcome.planned:
            click.echo(f"would ask {refill} ({refill.minutes} minutes)")
        return
    for one in outcome.done:
        counts = f"{sum(load.stored for load in one.loads)} rows stored" if one.loads else "nothing given"
        click.echo(f"{one.refill}: {counts}" if one.error is None else f"{one.refill}: failed: {one.error}")
    click.echo(
        f"{outcome.filled_minutes} minutes filled; of {outcome.asked_minutes} that were known to be missing,"
        f" {outcome.remaining_minutes} remain"
    )
    for gap in outcome.remaining[:_SHOWN]:
        click.echo(f"remains: {_line(gap)}")


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
