"""Charts, one request each, with a fresh cookie and crumb once where Yahoo refuses the old ones."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pipeline_defs.errors import PipelineError, SourceError
from pipeline_defs.sources.yahoo.client import YahooClient
from pipeline_defs.sources.yahoo.replies import ClientRefusedError, UnknownSymbolError, chart_of, document_of

if TYPE_CHECKING:
    import datetime as dt

_CHART: Final = "/v8/finance/chart/"
_SEARCH: Final = "/v1/finance/search"
_NEAR: Final = 5
_ALIKE: Final = 0.5
_EVENTS: Final = {"includePrePost": "false", "events": "div,splits,capitalGains"}


class Charts:
    """Asks for charts.

    Parameters
    ----------
    endpoint : str or None
        Where, in place of Yahoo's own hosts.
    try_seconds : float
        How long one request may take.

    """

    def __init__(self, endpoint: str | None, try_seconds: float) -> None:
        self._endpoint, self._seconds = endpoint, try_seconds
        self._client: YahooClient | None = None
        self._was_refused = False

    def bars(self, symbol: str, interval: str, start: dt.datetime, end: dt.datetime) -> dict[str, Any] | None:
        """Ask for bars and the corporate actions among them.

        Parameters
        ----------
        symbol, interval : str
            As Yahoo calls them.
        start, end : datetime.datetime
            The latter exclusive.

        Returns
        -------
        dict or None
            As `pipeline_defs.sources.yahoo.replies.chart_of`; its errors are raised, too.

        """
        span = {"period1": int(start.timestamp()), "period2": int(end.timestamp())}
        return self._ask(symbol, {**span, "interval": interval, **_EVENTS})

    def actions(self, symbol: str) -> dict[str, Any] | None:
        """Ask for all corporate actions of a symbol, with bars so long that the reply is small."""
        return self._ask(symbol, {"range": "max", "interval": "3mo", **_EVENTS})

    def close(self) -> None:
        """Let go of the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _ask(self, symbol: str, params: dict[str, str | int]) -> dict[str, Any] | None:
        if self._client is None:
            self._client = YahooClient(self._endpoint, self._seconds)
        reply = self._client.get(f"{_CHART}{quote(symbol, safe='')}", params)
        try:
            chart = chart_of(reply, symbol)
        except ClientRefusedError as error:
            self._client.forget_cookies()
            self.close()
            if self._was_refused:
                raise SourceError(
                    f"{error.what}, and fresh ones as well",
                    next_step="Yahoo keeps some networks out, data centres among them: try later or from another one",
                ) from None
            self._was_refused = True
            raise
        except UnknownSymbolError as error:
            raise UnknownSymbolError(error.what, next_step=_hint(symbol, self._client)) from None
        self._was_refused = False
        return chart


def _hint(symbol: str, client: YahooClient) -> str:
    """Say what a symbol may have been meant to be, as far as Yahoo's search knows."""
    near = get_close_matches(symbol.upper(), _found(symbol, client), n=_NEAR, cutoff=_ALIKE)
    meant = f"did you mean {', '.join(near)}? " if near else ""
    return f"{meant}correct the universe file; shares of the NSE end in .NS, of the BSE in .BO, indices begin with ^"


def _found(symbol: str, client: YahooClient) -> list[str]:
    asked: dict[str, str | int] = {"q": symbol, "quotesCount": 2 * _NEAR, "newsCount": 0}
    try:
        quotes = document_of(client.get(_SEARCH, asked)).get("quotes")
        return [str(one["symbol"]) for one in quotes or [] if "symbol" in one]
    except (PipelineError, TypeError):
        return []  # no name is near then; the message about the symbol is what matters
