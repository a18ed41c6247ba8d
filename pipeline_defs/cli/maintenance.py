"""``pipeline db maintain`` and ``pipeline db retention``: compression and deletion of old observations."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_defs.cli.options import AsJson, refusal
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from pipeline_defs.warehouse.maintenance import StorageChange, StoragePolicy

MOST_DIGITS = 5
DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}


def parse_age(value: str | dt.timedelta) -> dt.timedelta:
    """Read an age as a number and a unit; ``forever`` and ``never`` are the longest.

    Raises
    ------
    ValueError
        If it is none; the message says what was expected.

    """
    if isinstance(value, dt.timedelta):
        return value
    text = value.lower()
    if text in {"forever", "never"}:
        return dt.timedelta.max
    found = re.fullmatch(r"(\d+)([dwmy])", text)
    if found is None or len(found[1]) > MOST_DIGITS:
        raise refusal(f"{value!r} is not an age; expected days, weeks, months or years, e.g. 30d or 5y")
    return dt.timedelta(days=int(found[1]) * DAYS[found[2]])


def maintain(
    *,
    as_json: AsJson = False,
) -> None:
    """Compress old observations and delete those past their retention, as the policies say."""
    from pipeline_defs.warehouse import maintenance  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    report = maintenance.maintain(open_warehouse(load_settings()))
    if as_json:
        typer.echo(json.dumps(report.to_json()))
        return
    for change in report.changes:
        typer.echo(_line(change))
    if not report.changes:
        typer.echo("nothing to do")
    if not report.can_compress:
        typer.echo("this server does not compress: that takes full TimescaleDB")


def _line(change: StorageChange) -> str:
    sizes = ""
    if change.bytes_before is not None:
        sizes = f": {change.bytes_before:,} bytes"
        if change.bytes_after:
            sizes += f" before, {change.bytes_after:,} after ({change.bytes_before / change.bytes_after:.1f} to 1)"
    rows = "" if change.rows is None else f": {change.rows:,} rows"
    return f"{change.table}: {change.action} {change.object}{sizes}{rows}"


def retention(
    *,
    table: Annotated[str | None, typer.Argument(help="Table whose policy is changed; default: only show.")] = None,
    compress_after: Annotated[
        dt.timedelta | None,
        typer.Option(
            "--compress-after",
            help="Age at which it is compressed, e.g. 30d; or never.",
            parser=parse_age,
            metavar="<age>",
        ),
    ] = None,
    keep_for: Annotated[
        dt.timedelta | None,
        typer.Option(
            "--keep", help="Age at which it is deleted, e.g. 5y; or forever.", parser=parse_age, metavar="<age>"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the policies of storage, or change that of a table.

    Nothing happens to any row before the next 'pipeline db maintain'.
    """
    from pipeline_defs.warehouse import maintenance  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    warehouse = open_warehouse(load_settings())
    if table is not None:
        known = {policy.table: policy for policy in maintenance.list_policies(warehouse)}
        old = known.get(table, maintenance.StoragePolicy(table, None, None))
        maintenance.set_policy(
            warehouse,
            maintenance.StoragePolicy(
                table, _changed(old.compress_after, compress_after), _changed(old.keep_for, keep_for)
            ),
        )
    policies = maintenance.list_policies(warehouse)
    if as_json:
        typer.echo(json.dumps({"policies": [_policy(policy) for policy in policies]}))
        return
    for policy in policies:
        compressed = _days("compressed after", policy.compress_after, "never compressed")
        kept = _days("deleted after", policy.keep_for, "kept forever")
        typer.echo(f"{policy.table:<16} {compressed}, {kept}")


def _changed(old: dt.timedelta | None, new: dt.timedelta | None) -> dt.timedelta | None:
    if new is None:
        return old
    return None if new == dt.timedelta.max else new


def _policy(policy: StoragePolicy) -> dict[str, object]:
    return {
        "table": policy.table,
        "compress_after_days": None if policy.compress_after is None else policy.compress_after.days,
        "keep_for_days": None if policy.keep_for is None else policy.keep_for.days,
    }


def _days(what: str, age: dt.timedelta | None, otherwise: str) -> str:
    return otherwise if age is None else f"{what} {age.days} days"
