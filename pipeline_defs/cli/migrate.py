"""``pipeline migrate``: moving in from rustybt and zipline, looking at what came of it, and taking it out again."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipeline_defs.cli.help_page import command_group
from pipeline_defs.cli.options import AsJson
from pipeline_defs.cli.progress import progress_bar
from pipeline_defs.errors import PipelineError
from pipeline_defs.migration.orders import MigrationOrder
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from pipeline_defs.migration.moving import Outcome
    from pipeline_defs.migration.plan import BundlePlan, Plan
    from pipeline_defs.migration.stamping import Stamps
    from pipeline_defs.migration.undoing import RolledBack

migrate = command_group("Move in from rustybt and zipline; old stores are never changed.")

_WIDTH: Final = 140
"""Characters of a table where nobody looks."""


class _Ends(StrEnum):
    START = "start"
    END = "end"


Bundles = Annotated[
    list[str] | None, typer.Option("--bundle", metavar="<bundle>", help="Only this bundle; may be repeated.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan; write nothing, and open no database.")]
RollBack = Annotated[bool, typer.Option("--roll-back", help="Take out what was moved in.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before taking anything out.")]
Markets = Annotated[
    list[str] | None,
    typer.Option(
        "--market", metavar="BUNDLE=MARKET", help="Where a bundle trades: NSE, US or CRYPTO; may be repeated."
    ),
]
StampsOf = Annotated[
    list[str] | None,
    typer.Option(
        "--stamps", metavar="BUNDLE=start|end", help="Which end of a minute a bundle's stamps name; may be repeated."
    ),
]


@migrate.command("rustybt")
def migrate_rustybt(
    *,
    root: Annotated[
        Path | None, typer.Option("--root", help="The store; default ZIPLINE_ROOT, or ~/.zipline.", show_default=False)
    ] = None,
    cache_root: Annotated[
        Path | None, typer.Option("--cache-root", help="The smart cache; default ~/.rustybt/cache.", show_default=False)
    ] = None,
    bundles: Bundles = None,
    markets: Markets = None,
    stamps: StampsOf = None,
    accept: Annotated[
        list[str] | None,
        typer.Option("--accept", metavar="BUNDLE", help="Take it though a checksum does not fit; may be repeated."),
    ] = None,
    take_caches: Annotated[
        bool, typer.Option("--take-cache", help="Take cached answers, too; nothing says which source gave them.")
    ] = False,
    dry_run: DryRun = False,
    roll_back: RollBack = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Move the bundles of a rustybt or zipline store into the warehouse.

    A run that was interrupted is continued by the next; what was moved in stays as it is. Exit code 0: every bundle is
    in, with every bar; 3: a bundle, or bars of one, are left in quarantine, with the reason; 1: something failed.
    Cached answers count only with --take-cache.
    """
    if roll_back:
        _roll_back("rustybt", root, bundles, yes=yes, as_json=as_json)
        return
    _carry_out(
        MigrationOrder(
            "rustybt",
            root,
            cache_root,
            tuple(bundles or ()),
            _pairs(markets, "--market"),
            _stamps(stamps),
            tuple(accept or ()),
            take_caches,
        ),
        dry_run=dry_run,
        as_json=as_json,
    )


@migrate.command("csvdir")
def migrate_csvdir(
    folder: Annotated[Path, typer.Argument(help="With daily/ or minute/ in it, and a CSV file for each symbol.")],
    *,
    name: Annotated[
        str | None, typer.Option("--bundle", help="Name of the bundle; default the folder's.", show_default=False)
    ] = None,
    market: Annotated[str | None, typer.Option("--market", help="Where it trades: NSE, US or CRYPTO.")] = None,
    stamps: Annotated[
        _Ends | None, typer.Option("--stamps", help="Which end of a minute its stamps name, if they do not tell.")
    ] = None,
    decimals: Annotated[
        int | None,
        typer.Option("--decimals", min=0, max=8, help="Round prices of more than eight decimals; default refuse them."),
    ] = None,
    dry_run: DryRun = False,
    roll_back: RollBack = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Move a csvdir folder of zipline into the warehouse.

    Exit codes as of 'pipeline migrate rustybt'.
    """
    bundle = name or folder.expanduser().absolute().name
    if roll_back:
        _roll_back("csvdir", folder, [bundle], yes=yes, as_json=as_json)
        return
    ends: dict[str, Stamps] = {} if stamps is None else {bundle: "start" if stamps is _Ends.START else "end"}
    markets = {} if market is None else {bundle: market}
    order = MigrationOrder("csvdir", folder, bundles=(bundle,), markets=markets, stamps=ends, decimals=decimals)
    _carry_out(order, dry_run=dry_run, as_json=as_json)


@migrate.command("status")
def status(*, as_json: AsJson = False) -> None:
    """List every bundle of every store, whether it was moved in, and why not."""
    from pipeline_defs.migration.listing import list_moved  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    bundles = list_moved(open_warehouse(load_settings()))
    if as_json:
        typer.echo(json.dumps({"bundles": [one.to_json() for one in bundles]}, ensure_ascii=False))
        return
    for one in bundles:
        counted = "" if one.rows_stored is None else f"  {one.rows_stored:,} rows, {one.rows_quarantined:,} quarantined"
        why = "" if one.reason is None else f"  {one.reason}: {one.detail}"
        typer.echo(f"{one.state:<11}  {one.name}  {one.source or one.root}{counted}{why}")
    if not bundles:
        typer.echo("no store was planned yet; 'pipeline migrate rustybt --dry-run' shows what is there")


@migrate.command("refused")
def refused(
    *,
    bundle: Annotated[str | None, typer.Option("--bundle", help="Only this bundle.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the lines of moved-in bundles that were not stored, with file, line and reason."""
    from pipeline_defs.migration.listing import list_refused  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    lines = list_refused(open_warehouse(load_settings()), bundle)
    if as_json:
        typer.echo(json.dumps({"lines": [one.to_json() for one in lines]}, ensure_ascii=False))
        return
    for one in lines:
        typer.echo(f"{one.path}:{one.line}: {one.reason}: {one.text}")


def _carry_out(order: MigrationOrder, *, dry_run: bool, as_json: bool) -> None:
    if not dry_run:
        _run(order, as_json=as_json)
        return
    from pipeline_defs.migration.applying import foresee  # noqa: PLC0415 -- keeps --help quick

    foreseen = foresee(order.plan(), order.stamps)
    if as_json:
        typer.echo(json.dumps(foreseen.to_dict(), ensure_ascii=False))
    else:
        _show_plan(foreseen, with_caches=order.take_caches)


def _run(order: MigrationOrder, *, as_json: bool) -> None:
    from pipeline_defs.migration.applying import exit_code, is_left_cache  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.orchestration.commands.migrations import MIGRATE_JOB, config_of  # noqa: PLC0415
    from pipeline_defs.orchestration.commands.running import COMMAND, run_command, shown_command  # noqa: PLC0415
    from pipeline_defs.orchestration.commands.telling import Listener  # noqa: PLC0415

    outcomes: list[Outcome] = []
    left: list[Outcome] = []
    error: PipelineError | None = None
    with progress_bar(quiet=as_json) as shown:

        def hear(outcome: Outcome) -> None:
            if is_left_cache(outcome) and not order.take_caches:
                left.append(outcome)
                return
            outcomes.append(outcome)
            for line in [] if as_json else outcome.to_lines():
                shown.say(line)

        listener = Listener(on_progress=shown.on_progress, on_result=hear)
        tags = {COMMAND: shown_command(sys.argv[1:]), "pipeline/system": order.system}
        try:
            run_command(MIGRATE_JOB, config_of(order), load_settings(), listener, tags=tags)
        except PipelineError as raised:
            error = raised
    code = exit_code(outcomes) if error is None else 1
    if as_json:
        told = {"bundles": [one.to_json() for one in (*outcomes, *left)], "dagster_run_id": listener.run_id}
        failed = {} if error is None else {"error": str(error)}
        typer.echo(json.dumps({**told, **failed, "exit_code": code}, ensure_ascii=False))
    else:
        if left:
            typer.echo(_caches_left(len(left)))
        typer.echo(_summary(outcomes))
    if error is not None:
        raise error
    if code:
        sys.exit(code)


def _caches_left(count: int) -> str:
    return f"{count} cached answers are left where they are: nothing says which source gave them; see --take-cache"


def _show_plan(plan: Plan, *, with_caches: bool) -> None:
    from rich.console import Console  # noqa: PLC0415 -- only where a table is shown
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=f"Plan for {_from_home(plan.store.root)}", title_justify="left")
    for heading in ("bundle", "decision", "market", "symbols"):
        table.add_column(heading)
    table.add_column("rows", justify="right")
    table.add_column("from")
    table.add_column("to")
    table.add_column("why not", overflow="fold")
    for one in (*plan.bundles, *plan.caches):
        table.add_row(*_cells(one))
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(table, markup=False)
    told = [one for one in plan.quarantined if with_caches or one.bundle.kind != "cache"]
    for one in told:
        typer.echo(f"{one.name}: {one.detail}\n  Next: {one.next_step}")
    if len(told) < len(plan.quarantined):
        typer.echo(_caches_left(len(plan.quarantined) - len(told)))
    for orphan in plan.orphans:
        typer.echo(f"{orphan.what} {orphan.name}: {orphan.detail}")
    for plan_of in plan.taken:
        for note in plan_of.notes:
            if not note.passed:
                detail = f"; {note.detail}" if note.detail else ""
                typer.echo(f"{plan_of.name}: {note.check}: {note.found} (stated: {note.stated}){detail}")
    typer.echo(
        f"{len(plan.taken)} to be taken with {sum(one.rows for one in plan.taken):,} rows,"
        f" {len(plan.quarantined)} to be left; nothing was written"
    )


def _from_home(path: Path) -> str:
    """Write a path as a shell would take it, from the home folder where it lies in it."""
    absolute = path.absolute()
    return f"~/{absolute.relative_to(Path.home())}" if absolute.is_relative_to(Path.home()) else str(absolute)


def _cells(one: BundlePlan) -> list[str]:
    symbols = ["?" if series.symbol is None else series.symbol for series in one.series]
    named = ", ".join(symbols[:3]) + (f" and {len(symbols) - 3} more" if len(symbols) > 3 else "")  # noqa: PLR2004
    first = min((str(series.first) for series in one.series), default="")
    last = max((str(series.last) for series in one.series), default="")
    return [one.name, one.decision, one.market or "", named, f"{one.rows:,}", first[:16], last[:16], one.reason or ""]


def _summary(outcomes: list[Outcome]) -> str:
    by_state = {state: [one for one in outcomes if one.entry.state == state] for state in ("done", "quarantined")}
    failed = [one for one in outcomes if one.is_failed]
    rows = sum(one.entry.rows_stored or 0 for one in by_state["done"])
    left = sum(one.left_out for one in by_state["done"])
    bars = f", {left:,} bars of those quarantined ('pipeline migrate refused')" if left else ""
    return (
        f"{len(by_state['done'])} moved in with {rows:,} rows, {len(by_state['quarantined'])} quarantined,"
        f" {len(failed)} failed{bars}"
    )


def _roll_back(system: str, root: Path | None, bundles: list[str] | None, *, yes: bool, as_json: bool) -> None:
    from pipeline_defs.migration.undoing import roll_back as take_out  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    what = ", ".join(bundles) if bundles else f"everything that was moved in from {system}"
    if not yes:
        typer.confirm(f"Take {what} out of the warehouse?", abort=True, err=True)

    def tell(undone: RolledBack) -> None:
        shown.say(
            f"rolled back  {undone.name:<24} {undone.rows:,} rows, {undone.loads:,} loads,"
            f" {undone.instruments:,} instruments"
        )
        for kept in undone.kept:
            shown.say(f"             kept {kept}")
        for catalog in undone.catalogs:
            shown.say(f"             catalog {catalog} was made of it: it stays, and cannot be made again")

    with progress_bar(quiet=as_json) as shown:
        undone = take_out(
            open_warehouse(load_settings()),
            system=system,
            root=None if root is None else str(root.expanduser().absolute()),
            names=bundles or None,
            on_progress=shown.on_progress,
            on_undone=(lambda _: None) if as_json else tell,
        )
    if as_json:
        typer.echo(json.dumps({"rolled_back": [one.to_json() for one in undone]}, ensure_ascii=False))
    elif not undone:
        typer.echo("nothing was moved in")


def _pairs(values: list[str] | None, option: str) -> dict[str, str]:
    """Read NAME=VALUE options."""
    read = {}
    for value in values or []:
        name, sign, told = value.rpartition("=")
        if not sign or not name or not told:
            raise typer.BadParameter(f"{value!r} is not of the form BUNDLE=VALUE", param_hint=option)
        read[name] = told
    return read


def _stamps(values: list[str] | None) -> dict[str, Stamps]:
    read: dict[str, Stamps] = {}
    for name, end in _pairs(values, "--stamps").items():
        if end not in set(_Ends):
            raise typer.BadParameter(f"{end!r} of {name} is neither start nor end", param_hint="--stamps")
        read[name] = "start" if end == _Ends.START else "end"
    return read
