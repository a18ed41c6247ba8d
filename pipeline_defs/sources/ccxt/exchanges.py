"""Clients of exchanges: spot only, at their own addresses or another one, with keys where there are any."""

from __future__ import annotations

import difflib
import os
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.sources.asking.credentials import guard_logger, read_credential

API_KEY: Final = "CCXT_API_KEY"
SECRET: Final = "CCXT_SECRET"  # noqa: S105 -- the name of a variable
_LOGGERS: Final = ("ccxt.base.exchange", "ccxt.async_support.base.exchange")
_OTHER_TYPES: Final = "fetchMarkets"
_NEAR: Final = 5


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
