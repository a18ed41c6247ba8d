"""What an export would hold, told without building it: the same reads, and nothing written.

Callable without the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline_defs.exports.registry import get_exporter
from pipeline_defs.publishing import declared_precedence
from pipeline_defs.warehouse.slices import open_market_slice

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.warehouse.connection import Warehouse


@dataclass(frozen=True, slots=True)
class ExportPreview:
    """What would be exported of an underlying.

    Parameters
    ----------
    underlying : str
        Its name.
    instruments : int
        With bars in the range.
    kinds : dict of str to int
        Instruments by kind.
    sessions : int
        Trade dates of the range on which the market was open.
    first_bar, last_bar : datetime.datetime
        Close of the first and of the last bar, UTC.
    bars : dict of int to int
        Bars by their length in seconds.
    contract_days : dict of str to int
        Days of one instrument that would be taken from each source.
    known_at : datetime.datetime
        Knowledge time of what would be read.

    """

    underlying: str
    instruments: int
    kinds: dict[str, int]
    sessions: int
    first_bar: dt.datetime
    last_bar: dt.datetime
    bars: dict[int, int]
    contract_days: dict[str, int]
    known_at: dt.datetime

    def to_json(self) -> dict[str, Any]:
        """Give the stable shape of ``pipeline export --dry-run --json``."""
        return {
            "underlying": self.underlying,
            "instruments": self.instruments,
            "kinds": self.kinds,
            "sessions": self.sessions,
            "first_bar": self.first_bar.isoformat(),
            "last_bar": self.last_bar.isoformat(),
            "bars": {str(seconds): count for seconds, count in self.bars.items()},
            "contract_days": self.contract_days,
            "known_at": self.known_at.isoformat(),
        }


def preview_export(
    warehouse: Warehouse,
    format_name: str,
    underlying: str,
    start_date: dt.date,
    end_date: dt.date,
    **options: Any,  # noqa: ANN401 -- handed on as they are
) -> ExportPreview:
    """Tell what `pipeline_defs.publishing.export_underlying` would export.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    format_name : str
        As in ``pipeline export --format``.
    underlying : str
        E.g. ``NIFTY``.
    start_date, end_date : datetime.date
        Trade dates, inclusive.
    **options
        `known_at`, `source`, `bar_seconds`, `resolutions`, `with_ticks`, `bars_from_ticks` and `with_greeks`, as for
        `pipeline_defs.warehouse.slices.open_market_slice`.

    Returns
    -------
    ExportPreview

    Raises
    ------
    ConfigurationError
        If no format has that name, or the declared precedence is not understood.
    ExportError
        If the warehouse holds nothing of what is asked for.

    """
    get_exporter(format_name)
    precedence = None if options.get("source") is not None else declared_precedence()
    with open_market_slice(warehouse, underlying, start_date, end_date, precedence=precedence, **options) as market:
        choice = {} if market.choice is None else market.choice.to_json()["bars"]["contract_days"]
        instruments = market.instruments
        return ExportPreview(
            underlying=underlying,
            instruments=instruments.height,
            kinds=dict(instruments.group_by("kind").len().sort("kind").iter_rows()),
            sessions=market.sessions.height,
            first_bar=instruments["first_timestamp"].min(),  # type: ignore[arg-type] # a column of instants
            last_bar=instruments["last_timestamp"].max(),  # type: ignore[arg-type]
            bars={one.bar_seconds: int(one.instruments["row_count"].sum()) for one in (market, *market.resolutions)},
            contract_days=choice,
            known_at=market.known_at,
        )
