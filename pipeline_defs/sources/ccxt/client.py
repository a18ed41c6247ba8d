"""One exchange's client: spot only, at its own address or another one, and what each reply really was.

The client turns a page of HTML, a reply cut short and a reply without candles into no rows at all, and leaves rows out
whose time it cannot read. So three of its steps are watched: the reply as it arrives, its JSON, and the candles in it.
"""

from __future__ import annotations

import difflib
import email.utils
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from pipeline_defs.errors import ConfigurationError, PipelineError, SchemaDriftError
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.asking.credentials import guard_logger, read_credential
from pipeline_defs.sources.ccxt.refusals import translate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import polars as pl

from pipeline_defs.sources.ccxt.rows import candle_texts

API_KEY: Final = "CCXT_API_KEY"
SECRET: Final = "CCXT_SECRET"  # noqa: S105 -- the name of a variable
_LOGGERS: Final = ("ccxt.base.exchange", "ccxt.async_support.base.exchange")
_OTHER_TYPES: Final = "fetchMarkets"
_USUAL_LIMIT: Final = 100
"""Candles a page, where the client does not know the exchange's own limit: fewer than any gives, so that an empty page
is not taken for more than it says."""
_SHOWN: Final = 80
_NEAR: Final = 5
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


def make_exchange(module: Any, name: str, endpoint: str | None, seconds: float) -> Any:  # noqa: ANN401 -- untyped
    """Make a client for spot markets; it neither waits nor tries again by itself.

    Parameters
    ----------
    module : module
        ``ccxt`` or ``ccxt.pro``.
    name : str
        Exchange's id.
    endpoint : str or None
        Where to ask in place of the exchange's own addresses.
    seconds : float
        At most so long for one request.

    Returns
    -------
    ccxt.Exchange

    Raises
    ------
    ConfigurationError
        If there is no such exchange.

    """
    if name not in module.exchanges:
        near = difflib.get_close_matches(name, module.exchanges, _NEAR, 0.5)
        raise ConfigurationError(
            f"exchange {name!r} is unknown to CCXT {module.__version__}",
            where="universe file, section ccxt",
            next_step=f"write one of its ids; near names: {', '.join(near) or 'none'}",
        )
    exchange = getattr(module, name)(
        {
            "enableRateLimit": False,
            "timeout": round(seconds * 1000),
            # With a key some clients would list margins and fees of the account as well.
            "options": {"defaultType": "spot", "fetchCurrencies": False, "fetchMargins": False},
            **_credentials(),
        }
    )
    guard_logger(*_LOGGERS)
    exchange.has["fetchCurrencies"] = False
    types = exchange.options.get(_OTHER_TYPES)
    if isinstance(types, dict) and "types" in types:
        types["types"] = ["spot"]
    elif isinstance(types, list):
        exchange.options[_OTHER_TYPES] = ["spot"]
    if endpoint is not None:
        exchange.urls["api"] = _moved(exchange.urls["api"], endpoint)
    return exchange


def timeframe_of(exchange: Any, seconds: int, ability: str) -> str:  # noqa: ANN401 -- untyped
    """Name bars of a length as the client does.

    Parameters
    ----------
    exchange : ccxt.Exchange
        Which one.
    seconds : int
        The length.
    ability : str
        What the exchange must be able to do: ``fetchOHLCV`` or ``watchOHLCV``.

    Returns
    -------
    str

    Raises
    ------
    ConfigurationError
        If the exchange has no such bars.

    """
    if exchange.has.get(ability) is not True:
        raise ConfigurationError(
            f"{exchange.id} has no {ability}: it gives no candles of its own that way",
            where="universe file, section ccxt",
            next_step="choose another exchange",
        )
    lengths: dict[int, str] = {
        exchange.parse_timeframe(text): text for text in exchange.timeframes if not text.endswith("M")
    }
    if seconds not in lengths:
        raise ConfigurationError(
            f"{exchange.id} has no bars of {seconds} s; it has {', '.join(lengths.values())}",
            where="universe file, section ccxt",
            next_step="write one of these under bars: spot_prices",
        )
    return lengths[seconds]


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


def _credentials() -> dict[str, str]:
    """Keys are not needed for prices; who has one may name it."""
    named = [name for name in (API_KEY, SECRET) if os.environ.get(name) or os.environ.get(f"{name}_FILE")]
    if not named:
        return {}
    return {
        "apiKey": read_credential(API_KEY, "the exchange's API key (it is optional, but not one without the other)"),
        "secret": read_credential(SECRET, "the secret of the exchange's API key"),
    }


def _moved(urls: Any, endpoint: str) -> Any:  # noqa: ANN401 -- a tree of texts
    """Put another origin before the paths of all addresses, also of streams."""
    if isinstance(urls, dict):
        return {name: _moved(url, endpoint) for name, url in urls.items()}
    if not isinstance(urls, str):
        return urls
    place, old = urlsplit(endpoint), urlsplit(urls)
    scheme = place.scheme if old.scheme.startswith("http") else place.scheme.replace("http", "ws", 1)
    return urlunsplit((scheme, place.netloc, place.path.rstrip("/") + old.path, old.query, ""))
