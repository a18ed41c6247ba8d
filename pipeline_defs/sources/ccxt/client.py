"""One exchange that is asked, and what each of its replies really was.

The client turns a page of HTML, a reply cut short and a reply without candles into no rows at all, and leaves rows out
whose time it cannot read. So three of its steps are watched: the reply as it arrives, its JSON, and the candles in it.
"""

from __future__ import annotations

import email.utils
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import PipelineError, SchemaDriftError
from pipeline_defs.sources.asking.bounding import AnswerBound
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.ccxt.exchanges import make_exchange, timeframe_of
from pipeline_defs.sources.ccxt.refusals import translate
from pipeline_defs.sources.ccxt.rows import candle_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import polars as pl

_USUAL_LIMIT: Final = 100
"""Candles a page, where the client does not know the exchange's own limit: few, so that an empty page of an exchange
that gives less than it is asked for is not taken for more than it says."""
_SHOWN: Final = 80
_OK: Final = range(200, 300)
_DEPTH: Final = 6


@dataclass
class Reply:
    """What came back last.

    Parameters
    ----------
    status : int or None
        Of HTTP; None before anything came.
    headers : mapping
        Of HTTP.
    content : object
        The JSON.

    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: object = None

    @property
    def server_ms(self) -> int | None:
        """The exchange's own time in milliseconds, if its reply tells it."""
        told = self.headers.get("Date")
        try:
            return None if told is None else round(email.utils.parsedate_to_datetime(told).timestamp() * 1000)
        except ValueError:
            return None


class Client:
    """An exchange that is asked.

    Parameters
    ----------
    name : str
        The exchange's id.
    endpoint : str or None
        Where to ask in place of the exchange's own addresses.
    seconds : float
        At most so long for one request.

    Raises
    ------
    ConfigurationError
        If there is no such exchange.

    """

    def __init__(self, name: str, endpoint: str | None, seconds: float) -> None:
        import ccxt  # noqa: PLC0415 -- heavy: only asking needs it

        self.name = name
        self.exchange = make_exchange(ccxt, name, endpoint, seconds)
        AnswerBound(name).guard(self.exchange.session)
        self.reply = Reply()
        self._candles: list[Any] | None = None
        exchange = self.exchange
        arrived, parsed, listed = exchange.on_rest_response, exchange.parse_json, exchange.parse_ohlcvs
        exchange.on_rest_response = lambda *reply: self._arrived(arrived, *reply)
        exchange.parse_json = lambda body: self._parsed(parsed, body)
        exchange.parse_ohlcvs = lambda rows, market=None, timeframe="1m", *_limits, **_more: self._listed(
            listed, rows, market, timeframe
        )

    @property
    def page_limit(self) -> int:
        """Candles that one page holds at most."""
        features = ((self.exchange.features or {}).get("spot") or {}).get("fetchOHLCV") or {}
        return int(features.get("limit") or _USUAL_LIMIT)

    @property
    def markets(self) -> dict[str, dict[str, Any]] | None:
        """Everything that is traded, by symbol; None before `load_markets`."""
        return self.exchange.markets or None

    def load_markets(self) -> None:
        """Ask what is traded.

        Raises
        ------
        SourceError
            If the list did not come, or is empty.

        """
        self._asked(self.exchange.load_markets)
        if not self.exchange.markets:
            raise SchemaDriftError(
                f"{self.name} lists no markets: its reply has {shape(self.reply.content)}",
                next_step="look at the exchange's announcements; a newer CCXT may know its new format",
            )
        # Only now: clients compute with numbers while they read markets, and none of them does with candles.
        self.exchange.number = str

    def timeframe(self, seconds: int) -> str:
        """Name bars of a length as the client does.

        Raises
        ------
        ConfigurationError
            If the exchange has no such bars.

        """
        return timeframe_of(self.exchange, seconds, "fetchOHLCV")

    def candles(self, symbol: str, timeframe: str, since: int, limit: int) -> pl.DataFrame:
        """Ask for one page.

        Parameters
        ----------
        symbol, timeframe : str
            As the client names them.
        since : int
            Begin of the first candle in milliseconds.
        limit : int
            At most so many.

        Returns
        -------
        polars.DataFrame
            As in `candle_texts`: all that the exchange gave, asked for or not.

        Raises
        ------
        SourceError
            If the reply was refused, or is not whole.

        """
        self._candles = None
        rows = self._asked(lambda: self.exchange.fetch_ohlcv(symbol, timeframe, since, limit))
        return candle_texts(rows if self._candles is None else self._candles)

    def close(self) -> None:
        """Let go of the connection."""
        self.exchange.session.close()

    def _asked[T](self, request: Callable[[], T]) -> T:
        self.reply = Reply()
        try:
            return request()
        except PipelineError:
            raise
        except Exception as error:  # noqa: BLE001 -- its own hierarchy, and whatever its parsers stumble over
            raise translate(error, self.name, self.reply.status, self.reply.headers, self.markets or {}) from None

    def _arrived(self, original: Callable[..., str], status: int, *rest: Any) -> str:  # noqa: ANN401
        """Remember status and headers: the client's errors tell neither."""
        headers = rest[3]
        self.reply = Reply(int(status), headers)
        return original(status, *rest)

    def _parsed(self, original: Callable[[str], Any], body: str) -> Any:  # noqa: ANN401
        """Refuse what is no JSON, which the client would hand on as text and read as candles without values."""
        content = original(body)
        if content is None and self.reply.status in _OK:
            began = " ".join(body[:_SHOWN].split())
            what = f"is no whole JSON, it begins {began!r}" if body else "is empty"
            raise TryAgainError(
                f"{self.name} answered {self.reply.status}, but the reply {what}; nothing of it was used",
                next_step="a proxy, a login page or maintenance may answer for the exchange: open its address by hand",
            )
        self.reply.content = content
        return content

    def _listed(self, original: Callable[..., list[Any]], rows: Any, market: Any, timeframe: str) -> list[Any]:  # noqa: ANN401
        """Keep every candle, also those that the client would leave out."""
        if not isinstance(rows, list) or not all(isinstance(row, list | tuple | dict) for row in rows):
            self._refuse_shape()
        if not rows and not _holds(self.reply.content, rows, _DEPTH):
            self._refuse_shape()
        self._candles = original(rows, market, timeframe)
        if rows and all(candle[0] is None for candle in self._candles):
            self._refuse_shape()
        return self._candles

    def _refuse_shape(self) -> None:
        raise SchemaDriftError(
            f"{self.name}'s reply holds no candles where they should stand: expected a list of candles, got"
            f" {shape(self.reply.content)}",
            next_step="nothing was stored; a newer CCXT may know the exchange's new format",
        )


def shape(content: object) -> str:
    """Say what a reply is made of, without its values."""
    if isinstance(content, dict):
        return f"keys {', '.join(map(str, list(content)[:10])) or 'none'}"
    if isinstance(content, list):
        inner = f", the first of them {shape(content[0])}" if content else ""
        return f"a list of {len(content)}{inner}"
    return type(content).__name__


def _holds(tree: object, part: object, depth: int) -> bool:
    """Tell whether the very list stands in the reply; a client makes one up where there is none."""
    if tree is part:
        return True
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return depth > 0 and any(_holds(one, part, depth - 1) for one in inner)
