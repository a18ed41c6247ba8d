"""``pipeline doctor``: the state of the warehouse, for a person or as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline_defs.cli.exit_codes import ExitCode
from pipeline_defs.cli.options import AsJson
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LARGEST_TABLES = 12
"""How many a person is shown."""


def doctor(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out what reads every stored row.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show where state lives, what the database can do, what it holds, and what is not in order; changes nothing.

    Exit code 1 if something is wrong: migrations outstanding, the schema changed by hand, rows without their load,
    background jobs that fail.
    """
    from pipeline_defs.warehouse.connection import Warehouse, database_url  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.doctor import describe  # noqa: PLC0415

    settings = load_settings()
    state = {"home": str(settings.home), **describe(Warehouse(database_url(settings)), quick=quick)}
    if as_json:
        typer.echo(json.dumps(state))
    else:
        for line in _readable(state):
            typer.echo(line)
    raise typer.Exit(ExitCode.FAILED if state["problems"] else ExitCode.SUCCESS)


def _readable(state: dict[str, Any]) -> Iterator[str]:
    migrations = state["migrations"]
    yield f"home:        {state['home']}"
    yield f"database:    {state['database']}, {_size(state['size_bytes'])}"
    yield f"server:      PostgreSQL {state['server']}, {state['edition']}"
    applied = ", ".join(f"{count} {layer}" for layer, count in migrations["applied"].items())
    yield f"migrations:  {applied or 'none applied'}; schema {migrations['schema_fingerprint'][:12]}"
    for name, use in state["capabilities"].items():
        yield f"{name.replace('_', ' ') + ':':<23}{use}"
    yield f"pending bar windows:   {state['pending_bar_windows']}"
    yield from _section("content", map(_dataset, state["datasets"]))
    tables = state["tables"]
    more = [f"and {len(tables) - LARGEST_TABLES} smaller ones (--json names all)"] * (len(tables) > LARGEST_TABLES)
    yield from _section("tables", [*map(_table, tables[:LARGEST_TABLES]), *more])
    yield from _section("chunks", map(_chunks, state["chunks"]))
    yield from _section("storage policies", map(_policy, state["storage_policies"]))
    yield from _section("beside the pipeline's own", migrations["beside"])
    for title, findings in (("warnings", state["warnings"]), ("problems", state["problems"])):
        yield from _section(title, (f"{finding['what']}\n    next: {finding['next_step']}" for finding in findings))
    if not state["problems"]:
        yield "in order"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if number == 0:
            yield f"{title}:"
        yield f"  {line}"


def _dataset(dataset: dict[str, Any]) -> str:
    return (
        f"{dataset['dataset']:<16} {dataset['bar_seconds']:>6} s  {dataset['first']} .. {dataset['last']}"
        f"  {dataset['rows_stored']:>12,} rows in {dataset['loads']} loads"
    )


def _table(table: dict[str, Any]) -> str:
    rows = "not counted yet" if table["estimated_rows"] is None else f"about {table['estimated_rows']:,} rows"
    return f"{table['table']:<32} {_size(table['size_bytes']):>12}  {rows}"


def _chunks(table: dict[str, Any]) -> str:
    line = f"{table['table']:<32} {table['chunks']:>5} chunks, {table['compressed']} compressed"
    if table["chunks"]:
        line += f", {table['oldest'][:10]} .. {table['newest'][:10]}"
    if table.get("ratio"):
        line += f", {_size(table['bytes_before'])} became {_size(table['bytes_after'])} ({table['ratio']} to 1)"
    return line


def _policy(policy: dict[str, Any]) -> str:
    table = policy["table_name"]
    rules = ", ".join(
        f"{name.replace('_', ' ')} {value or 'never set'}" for name, value in policy.items() if name != "table_name"
    )
    return f"{table:<32} {rules}"


def _size(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 1e6:,.1f} MB"
