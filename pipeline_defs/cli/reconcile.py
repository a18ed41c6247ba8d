"""``pipeline reconcile``: whether two sources say the same, and where they do not."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from pipeline_defs.cli.options import AsJson, BarLengths, parse_date, refuse_reversed
from pipeline_defs.errors import WarehouseError
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline_defs.reconciliation.comparing import Reconciliation
    from pipeline_defs.reconciliation.reading import Disagreement
    from pipeline_defs.warehouse.connection import Warehouse

_Table = Literal["options_ticks", "futures_ticks", "spot_prices", "equity_daily"]
_REFEREE_NAMES: Final = ("bhavcopy", "nse_bhavcopy")
_COUNTS: Final = ("compared", "agreeing", "disagreeing", "only_left", "only_right")


def reconcile(
    *,
    dataset: Annotated[_Table | None, typer.Option("--dataset", help="Table; default all.")] = None,
    left: Annotated[
        str | None, typer.Option("--left", help="Source, e.g. zerodha; default every two sources of the day.")
    ] = None,
    right: Annotated[
        str | None,
        typer.Option("--right", help="The other source, or bhavcopy: the exchange's own daily file as referee."),
    ] = None,
    start_date: Annotated[dt.date, typer.Option("--from", help="First trade date, inclusive.", parser=parse_date)],
    end_date: Annotated[dt.date, typer.Option("--to", help="Last trade date, inclusive.", parser=parse_date)],
    lengths: Annotated[
        BarLengths | None,
        typer.Option(
            "--bars",
            help="Lengths of bars, e.g. 1m,1d; default what the sources have.",
            parser=BarLengths.parse,
            metavar="<lengths>",
        ),
    ] = None,
    worst: Annotated[int, typer.Option("--worst", help="Disagreements to print.", min=0)] = 10,
    assess: Annotated[
        bool,
        typer.Option(
            "--assess/--stored", help="Compare now (default), or print what was found last.", show_default=False
        ),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Compare two sources over trade dates, bar by bar, with tolerances.

    The outcome is stored and printed; nothing that a source said is changed. Which source an export takes is the
    declared precedence.
    """
    refuse_reversed("--from", start_date, "--to", end_date)
    from pipeline_defs.reconciliation import reading  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    left, right = _source(left), _source(right)
    warehouse = open_warehouse(load_settings())
    if assess:
        made = _assess(
            warehouse, (dataset, left, right), start_date, end_date, None if lengths is None else lengths.seconds
        )
    else:
        made = [
            one
            for one in reading.stored_reconciliations(
                warehouse, dataset=dataset, left=left, right=right, start_date=start_date, end_date=end_date
            )
            if lengths is None or one.bar_seconds in lengths.seconds
        ]
    if not made:
        raise WarehouseError(
            "there is nothing to compare",
            where=f"{dataset or 'all tables'}, {left or 'any'} and {right or 'any other'}, {start_date} to {end_date}",
            next_step="import both sources for these days first"
            if assess
            else "compare them first: the same command without --stored",
        )
    ids = [one.reconciliation_id for one in made]
    listed, alike = reading.worst_disagreements(warehouse, ids, most=worst), reading.find_look_alikes(warehouse, ids)
    totals = {name: sum(getattr(one, name) for one in made) for name in _COUNTS}
    if as_json:
        content = {
            "reconciliations": [one.to_json() for one in made],
            "totals": totals,
            "contract_days": reading.count_verdicts(warehouse, ids),
            "worst": [one.to_json() for one in listed],
            "look_alikes": [one.to_json() for one in alike],
        }
        typer.echo(json.dumps(content))
        return
    for line in (*_report(made, totals), "", *_worst(listed), *map(str, alike)):
        typer.echo(line)


def _source(name: str | None) -> str | None:
    """Check a source's name; the referee is one, too."""
    from pipeline_defs.reconciliation.comparing import BHAVCOPY  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.sources.registry import source_entry  # noqa: PLC0415

    if name is None:
        return None
    plain = name.replace("-", "_")
    if plain in _REFEREE_NAMES:
        return BHAVCOPY
    source_entry(plain)
    return plain


def _assess(
    warehouse: Warehouse,
    wanted: tuple[str | None, str | None, str | None],
    start_date: dt.date,
    end_date: dt.date,
    lengths: tuple[int, ...] | None,
) -> list[Reconciliation]:
    from pipeline_defs.reconciliation import session  # noqa: PLC0415 -- keeps --help quick

    made = []
    for trade_date in session.dates_held(warehouse, start_date, end_date):
        pairings = session.choose_pairings(session.find_pairings(warehouse, trade_date), *wanted, lengths)
        made += session.reconcile_session(warehouse, trade_date, pairings)
    return made


def _report(made: Sequence[Reconciliation], totals: dict[str, int]) -> Iterator[str]:
    """Lay the comparisons out as a table, with their sum below."""
    header = ("dataset", "trade date", "bars", "left", "right", *(name.replace("_", " ") for name in _COUNTS))
    rows = [
        (
            one.dataset,
            one.trade_date.isoformat(),
            f"{one.bar_seconds}s",
            one.left,
            one.right,
            *(f"{getattr(one, name):,}" for name in _COUNTS),
        )
        for one in made
    ]
    rows.append(("total", "", "", "", "", *(f"{count:,}" for count in totals.values())))
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    named = len(header) - len(_COUNTS)
    for row in (header, *rows):
        cells = [
            cell.ljust(width) if place < named else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _worst(listed: Sequence[Disagreement]) -> Iterator[str]:
    from pipeline_defs.warehouse.days import EXCHANGE_ZONE  # noqa: PLC0415 -- keeps --help quick

    if not listed:
        yield "no disagreement is listed"
        return
    yield f"worst disagreements ({EXCHANGE_ZONE.key}):"
    for one in listed:
        stamp = one.timestamp.astimezone(EXCHANGE_ZONE)
        yield (
            f"  {stamp:%Y-%m-%d %H:%M:%S}  {one.symbol or one.instrument_id}  {one.field}"
            f"  {one.left_value} | {one.right_value}  ({one.share:.2%} apart, tolerance {one.tolerance.normalize():f})"
        )
