"""The checks there are: name, severity, what holds when one passes, what to do when it does not.

Standard library only: Dagster's definitions read these, and are imported by every run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    import datetime as dt

type Severity = Literal["error", "warn", "info"]
"""``error``: wrong data, stops what comes after; ``warn``: to be looked at; ``info``: worth knowing."""

OPTIONS, FUTURES, SPOT, DAILY = "options_ticks", "futures_ticks", "spot_prices", "equity_daily"
INTRADAY: Final = (OPTIONS, FUTURES, SPOT)
EVERY: Final = (*INTRADAY, DAILY)

MOST_FAILURES: Final = 20
"""So many failing rows of a check are kept; all of them are counted."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One check.

    Parameters
    ----------
    name : str
        Steady snake_case name.
    severity : str
        ``error``, ``warn`` or ``info``.
    meaning : str
        What holds when it passes.
    advice : str
        What to do when it does not.
    datasets : tuple of str
        Observation tables it is for.

    """

    name: str
    severity: Severity
    meaning: str
    advice: str
    datasets: tuple[str, ...] = EVERY


SPECS: Final = (
    Spec(
        "ohlc",
        "error",
        "No stored row contradicts itself: low, open, close and high are in order, all given or none.",
        "Nothing that reads these rows can be trusted; find the file, mend or report it, import it again.",
    ),
    Spec(
        "ohlc_refused",
        "warn",
        "No line was refused because its prices or quantities contradict themselves.",
        "The lines are not stored; see them with 'pipeline quarantine' and ask the source for a better file.",
    ),
    Spec(
        "duplicates",
        "error",
        "No bar is stored twice for one instrument and time.",
        "Volume counts double in whatever is made of these bars; mend the source, import it again.",
    ),
    Spec(
        "duplicates_refused",
        "warn",
        "No line was refused because another one says something else about the same instrument and time.",
        "None of the contradicting lines is stored; find out which is right and import it.",
    ),
    Spec(
        "expiry_after_trade",
        "error",
        "No contract has an observation after its expiry.",
        "The contract or the date is wrong; look at 'pipeline terms' of the symbol and at the file.",
        (OPTIONS, FUTURES),
    ),
    Spec(
        "expiry_refused",
        "warn",
        "No line was refused because its contract had expired.",
        "The lines are not stored; a file with many of them is of another day.",
        (OPTIONS, FUTURES),
    ),
    Spec(
        "outside_session",
        "warn",
        "Every observation lies within the session's hours.",
        "Compare the hours with the exchange's circular: a special session may be missing from the calendar.",
    ),
    Spec(
        "zero_volume",
        "warn",
        "No bar has prices of trades and a volume of zero.",
        "The vendor filled the bar forward; a back-test would trade where nobody did.",
    ),
    Spec(
        "crossed_quotes",
        "error",
        "No tick bids more than it asks.",
        "The quote cannot be traded on; fields may be exchanged, or two books mixed.",
        INTRADAY,
    ),
    Spec(
        "locked_quotes",
        "info",
        "No tick bids what it asks.",
        "It happens for an instant in a fast market; many of them point to a delayed feed.",
        INTRADAY,
    ),
    Spec(
        "outliers",
        "warn",
        "No price jumps and comes back at once while its like stays where it is.",
        "Look at the minute in another source; correct the file if the print is wrong.",
    ),
    Spec(
        "stale_prices",
        "warn",
        "No index or liquid future stands still while others trade.",
        "The feed hung: the minutes are not what the market did; ask for them again.",
        (FUTURES, SPOT),
    ),
    Spec(
        "intrinsic_bounds",
        "warn",
        "No option is cheaper than exercising it, or dearer than what it can bring.",
        "The price, the strike or the underlying's price is wrong, or the print is old.",
        (OPTIONS,),
    ),
    Spec(
        "put_call_parity",
        "info",
        "Calls and puts of one strike and minute agree on the underlying's price.",
        "Prints of illiquid strikes are not simultaneous; many deviations point to a wrong expiry or underlying.",
        (OPTIONS,),
    ),
    Spec(
        "row_count",
        "warn",
        "There are as many rows as usual for the session's minutes, and as expected of the source.",
        "Part of the delivery may be missing; compare files and instruments with the day before.",
    ),
    Spec(
        "missing_sessions",
        "warn",
        "The source was asked for this session and for every one since its delivery before.",
        "Import the sessions that are named.",
    ),
)

SPECS_BY_NAME: Final = {spec.name: spec for spec in SPECS}


_ONE_BOOK: Final = frozenset({"NSE"})
"""Markets of one order book each. Where quotes of several venues are put together, they can cross for an instant."""


def specs_of(dataset: str, market_name: str = "NSE") -> tuple[Spec, ...]:
    """List the checks for an observation table.

    Parameters
    ----------
    dataset : str
        Observation table.
    market_name : str, default "NSE"
        Of the source: crossed quotes are wrong data where there is one book, and worth a look elsewhere.

    Returns
    -------
    tuple of Spec

    """
    own = [spec for spec in SPECS if dataset in spec.datasets]
    return tuple(
        replace(spec, severity="warn") if spec.name == "crossed_quotes" and market_name not in _ONE_BOOK else spec
        for spec in own
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """One failing row, refused line, or session.

    Parameters
    ----------
    detail : str
        Its values, and file and line where known.
    instrument_id : int or None
        Row of `instruments`; None where no instrument is meant.
    timestamp : datetime.datetime or None
        UTC, of a stored row.
    bar_seconds : int or None
        Its resolution.

    """

    detail: str
    instrument_id: int | None = None
    timestamp: dt.datetime | None = None
    bar_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found.

    Parameters
    ----------
    examined : int
        Rows, lines or sessions looked at; 0 when there was nothing to judge by.
    failing : int
        How many of them fail.
    expected, found : str
        Both sides, readable.
    detail : str, default ""
        What else a person should know.
    failures : tuple of Failure
        The first `MOST_FAILURES` of those that fail.

    """

    examined: int
    failing: int
    expected: str
    found: str
    detail: str = ""
    failures: tuple[Failure, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing fails."""
        return self.failing == 0
