"""What TWS says of a request, as what a user should read and whether asking again helps.

TWS numbers its messages, but one number stands for several things: 162 is "there is nothing", "too fast" and "not
subscribed", told apart by its text only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.asking.calling import TryAgainError

if TYPE_CHECKING:
    from pipeline_defs.errors import PipelineError

UNKNOWN_CONTRACT: Final = 200
CLIENT_ID_IN_USE: Final = 326
HISTORY_FARM_BROKEN: Final = 2105

SAME_REQUEST_SECONDS: Final = 15.0
"""TWS refuses an identical request within so long."""

PACING_SECONDS: Final = 60.0
"""Its count of requests runs over ten minutes, and its restart takes a few: so long between tries."""

MESSAGES_SECONDS: Final = 2.0
"""It counts messages by the second; the request itself was not taken."""

START_TWS: Final = (
    "start TWS or IB Gateway and log in, tick 'Enable ActiveX and Socket Clients' in its API settings, and compare the"
    " port there (TWS 7497 paper, 7496 live; Gateway 4002 paper, 4001 live) with"
    " PIPELINE_INTERACTIVE_BROKERS_ENDPOINT"
)

_FINE: Final = frozenset({1101, 1102})
_LOST: Final = frozenset({1100, 1300, 2110})
_FARM_BROKEN: Final = frozenset({2103, HISTORY_FARM_BROKEN, 2157})
_HISTORY_FARM_BACK: Final = frozenset({2106, 2107})
_NOT_CONNECTED: Final = frozenset({502, 503, 504})
_NOT_SUBSCRIBED: Final = frozenset({354, 10089, 10090, 10091, 10168, 10186, 10197})
_TOO_MANY_MESSAGES: Final = 100
_FORGOTTEN: Final = frozenset({366})
_WARNINGS: Final = range(2100, 2200)
_DELAYED: Final = 10167

_NOTHING_THERE: Final = re.compile(r"returned no data|no historical data available|no data of type", re.IGNORECASE)
_PACING: Final = re.compile(r"pacing violation|simultaneous api|max(imum)? number of", re.IGNORECASE)
_PERMISSION: Final = re.compile(
    r"no market data permissions?(?: for (?P<what>[A-Z0-9 ./-]+))?|not subscribed", re.IGNORECASE
)
_ELSEWHERE: Final = re.compile(r"different ip address|competing live session", re.IGNORECASE)
_PREFIX: Final = re.compile(r"^(Historical Market Data Service (error|query) message:\s*)+", re.IGNORECASE)


class UnknownContractError(SourceError):
    """TWS knows no such contract: whoever asked may look for another."""


@dataclass(frozen=True, slots=True)
class NothingThere:
    """TWS says that it has nothing of what was asked for.

    Parameters
    ----------
    text : str
        In its own words.

    """

    text: str


def verdict(code: int, text: str, *, first_wait_seconds: float = 1.0) -> NothingThere | PipelineError | None:
    """Tell what a message means for the request, or the connection, that it is about.

    Parameters
    ----------
    code : int
        TWS's number.
    text : str
        What it says.
    first_wait_seconds : float, default 1
        The caller's patience: the waits that TWS asks for are multiples of it.

    Returns
    -------
    NothingThere, PipelineError or None
        Confirmed emptiness; an error to raise; or None where the request goes on.

    """
    said = _PREFIX.sub("", " ".join(text.split()))
    if code in _FINE or code == _DELAYED or (code in _WARNINGS and code not in _LOST | _FARM_BROKEN):
        return None
    if code in _NOT_SUBSCRIBED or _PERMISSION.search(said):
        return _not_subscribed(code, said)
    if code == _TOO_MANY_MESSAGES:
        return TryAgainError(
            f"TWS was told too much at once ({code}: {said})", wait_seconds=MESSAGES_SECONDS * first_wait_seconds
        )
    if _PACING.search(said):
        return TryAgainError(
            f"TWS counts too many requests ({code}: {said})",
            next_step="ask for less at once, or go on in ten minutes; other programs at this TWS count as well",
            wait_seconds=PACING_SECONDS * first_wait_seconds,
        )
    if _NOTHING_THERE.search(said):
        return NothingThere(said)
    return _connection_trouble(code, said, first_wait_seconds) or _refusal(code, said)


def is_about_a_farm(code: int) -> bool:
    """Tell whether a message is about one of IB's data farms, not about TWS's own connection."""
    return code in _FARM_BROKEN


def history_farm(code: int, text: str) -> tuple[str, bool] | None:
    """Read a message about a farm that holds history.

    Returns
    -------
    tuple of str and bool, or None
        Its name, and whether it is broken; None when the message is about something else.

    """
    if code != HISTORY_FARM_BROKEN and code not in _HISTORY_FARM_BACK:
        return None
    return text.rpartition(":")[2].strip(), code == HISTORY_FARM_BROKEN


def doubtful_nothing(farms: str, first_wait_seconds: float) -> TryAgainError:
    """Say that "nothing" is not believed while the farm that would know is down."""
    return TryAgainError(
        f"TWS says it has nothing, but a data farm of IB is down ({farms})",
        next_step="nothing was stored; run the partition again when it is back",
        wait_seconds=SAME_REQUEST_SECONDS * first_wait_seconds,
    )


def not_answered(seconds: float, said: str, first_wait_seconds: float) -> TryAgainError:
    """Say that TWS stayed silent: never the same as having nothing."""
    told = f"; it said: {said}" if said else ""
    return TryAgainError(
        f"TWS did not answer within {seconds:g} s{told}",
        next_step="look at TWS: is it logged in, and is a dialog waiting for somebody?",
        wait_seconds=SAME_REQUEST_SECONDS * first_wait_seconds,
    )


def connection_lost(what: str, first_wait_seconds: float) -> TryAgainError:
    """Say that the connection to TWS ended."""
    return TryAgainError(
        f"lost the connection to TWS: {what}",
        next_step="nothing was stored; TWS restarts once a day: run the partition again when it is back",
        wait_seconds=SAME_REQUEST_SECONDS * first_wait_seconds,
    )


def not_back_yet(what: str, first_wait_seconds: float) -> TryAgainError:
    """Say that a TWS that was there a moment ago is gone: it restarts itself once a day, which takes minutes."""
    return TryAgainError(
        f"TWS was there a moment ago and is gone: {what}",
        next_step="nothing was stored; TWS restarts once a day: run the partition again when it is back",
        wait_seconds=PACING_SECONDS * first_wait_seconds,
    )


def not_running(endpoint: str, what: str) -> SourceError:
    """Say that nobody speaks TWS's protocol at an address."""
    return SourceError(f"no TWS at {endpoint}: {what}", where="interactive_brokers", next_step=START_TWS)


def _not_subscribed(code: int, said: str) -> SourceError:
    found = _PERMISSION.search(said)
    what = (found["what"] or "").strip(" .") if found else ""
    named = f"the market data subscription for {what} is missing" if what else "a market data subscription is missing"
    return SourceError(
        f"{named} ({code}: {said})",
        next_step="subscribe in IB's Client Portal (Settings, Market Data Subscriptions) for this user, or take the"
        " instrument out of the universe",
    )


def _connection_trouble(code: int, said: str, first_wait_seconds: float) -> PipelineError | None:
    if code in _LOST:
        return TryAgainError(
            f"TWS is cut off from IB ({code}: {said})",
            next_step="nothing was stored; run the partition again when TWS is connected",
            wait_seconds=SAME_REQUEST_SECONDS * first_wait_seconds,
        )
    if code in _FARM_BROKEN:
        return TryAgainError(
            f"a data farm of IB is down ({code}: {said})",
            next_step="nothing was stored; run the partition again when it is back",
            wait_seconds=SAME_REQUEST_SECONDS * first_wait_seconds,
        )
    if code in _FORGOTTEN:
        return TryAgainError(
            f"TWS lost the request ({code}: {said})", wait_seconds=SAME_REQUEST_SECONDS * first_wait_seconds
        )
    if code in _NOT_CONNECTED:
        return SourceError(f"not connected to TWS ({code}: {said})", next_step=START_TWS)
    return None


def _refusal(code: int, said: str) -> PipelineError:
    if code == UNKNOWN_CONTRACT:
        return UnknownContractError(
            f"TWS knows no such contract ({code}: {said})",
            next_step="check symbol, venue and currency in the universe; expired options are not served",
        )
    if code == CLIENT_ID_IN_USE:
        return SourceError(
            f"the client id is in use ({code}: {said})", next_step="set IB_CLIENT_ID to a number that is free"
        )
    if _ELSEWHERE.search(said):
        return SourceError(
            f"this IB user is logged in elsewhere ({code}: {said})", next_step="end the other session, then run again"
        )
    return SourceError(
        f"TWS refused the request ({code}: {said})",
        next_step="look the number up among the TWS API's message codes; if the request is wrong, report it",
    )
