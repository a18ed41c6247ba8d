"""``pipeline corrections`` and ``pipeline diff``: what the warehouse came to know, and when."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipeline_defs.cli.json_lists import print_json_list
from pipeline_defs.cli.options import parse_date, parse_instant, refuse_reversed
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

_FIRST: Final = dt.date(1970, 1, 1)
_LAST: Final = dt.date(2999, 12, 31)
"""Before and after every trade date."""


def corrections(
    *,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Only this table, e.g. options_ticks.")] = None,
    trade_date: Annotated[
        dt.date | None, typer.Option("--date", help="Only this trade date.", parser=parse_date)
    ] = None,
    since: Annotated[
        dt.datetime | None,
        typer.Option(
            "--since",
            help="Only changes known from this instant on, e.g. 2025-08-14T18:00+05:30.",
            parser=parse_instant,
            metavar="<instant>",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, instants in UTC.")] = False,
) -> None:
    """List every value that a later load corrected or retired.

    One line a value, in the order in which the changes became known: old and new, when, by which load.
    """
    from pipeline_defs.warehouse import history  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    warehouse = open_warehouse(load_settings())
    found = history.corrections(warehouse, dataset=dataset, trade_date=trade_date, since=since)
    _show(found, "corrections", as_json=as_json)


def diff(
    *,
    dataset: Annotated[str, typer.Option("--dataset", help="Table, e.g. options_ticks.")],
    known_from: Annotated[
        dt.datetime,
        typer.Option(
            "--known-from",
            help="Earlier knowledge time, e.g. 2025-08-14T18:00+05:30.",
            parser=parse_instant,
            metavar="<instant>",
        ),
    ],
    known_to: Annotated[
        dt.datetime, typer.Option("--known-to", help="Later knowledge time.", parser=parse_instant, metavar="<instant>")
    ],
    start_date: Annotated[
        dt.date | None,
        typer.Option(
            "--start-date", help="First trade date, inclusive; default the first there is.", parser=parse_date
        ),
    ] = None,
    end_date: Annotated[
        dt.date | None,
        typer.Option("--end-date", help="Last trade date, inclusive; default the last there is.", parser=parse_date),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, instants in UTC.")] = False,
) -> None:
    """Compare what was known of a dataset at two instants.

    One line a value that was added, removed or changed between them.
    """
    refuse_reversed("--known-from", known_from, "--known-to", known_to)
    first, last = start_date or _FIRST, end_date or _LAST
    refuse_reversed("--start-date", first, "--end-date", last)

    from pipeline_defs.warehouse import history  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    warehouse = open_warehouse(load_settings())
    found = history.changes_between(warehouse, dataset, known_from, known_to, start_date=first, end_date=last)
    _show(found, "differences", as_json=as_json)


def _show(found: pl.DataFrame, what: str, *, as_json: bool) -> None:
    """Print a report line by line."""
    if as_json:
        print_json_list(what, _json_lines(found))
    elif found.is_empty():
        typer.echo(f"no {what}")
    else:
        for line in _table(found):
            typer.echo(line)


def _json_lines(found: pl.DataFrame) -> Iterator[str]:
    for row in found.iter_rows(named=True):
        yield json.dumps(row, default=dt.datetime.isoformat, ensure_ascii=False)


def _table(found: pl.DataFrame) -> Iterator[str]:
    """Align a report in columns, with its instants on the exchange's clock, which the heading names."""
    import polars as pl  # noqa: PLC0415 -- keeps --help quick
    import polars.selectors as cs  # noqa: PLC0415

    from pipeline_defs.warehouse.days import EXCHANGE_ZONE  # noqa: PLC0415

    zone = EXCHANGE_ZONE.key
    instants = cs.expand_selector(found, cs.datetime())
    texts = found.with_columns(cs.datetime().dt.convert_time_zone(zone).dt.strftime("%Y-%m-%d %H:%M:%S%.f")).select(
        pl.all().cast(pl.String()).fill_null("-")
    )
    texts = texts.rename({name: f"{name} ({zone})" for name in instants})
    longest = texts.select(pl.all().str.len_chars().max()).row(0)
    widths = {name: max(len(name), length) for name, length in zip(texts.columns, longest, strict=True)}
    yield "  ".join(name.ljust(width) for name, width in widths.items()).rstrip()
    lines = pl.concat_str([pl.col(name).str.pad_end(width) for name, width in widths.items()], separator="  ")
    yield from texts.select(lines.str.strip_chars_end()).to_series()
