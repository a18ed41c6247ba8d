"""Pages of aggregates to the rows of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypedDict

import polars as pl

from pipeline_defs.errors import ConfigurationError, SchemaDriftError, SourceError
from pipeline_defs.schema.columns import SIZE, TIMESTAMP
from pipeline_defs.schema.tables import DAY, MINUTE
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.asking.exact import prices_of, sizes_of
from pipeline_defs.sources.asking.questions import ANSWER_SCHEMA, answer_rows
from pipeline_defs.sources.polygon.numbers import check_keys, plain, text_frame

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.markets.market import Market
    from pipeline_defs.sources.asking.questions import Listed

PRICE_KEYS: Final = {"o": "open", "h": "high", "l": "low", "c": "close"}
NAMES: Final = ("t", "o", "h", "l", "c", "v")
_KNOWN: Final = {*NAMES, "T", "vw", "n", "otc", "dv"}
"""`dv` is the volume with its fraction, as text, beside a `v` of whole shares; a stream's bars have it."""
_HOUR: Final = 3600
_MS: Final = 1000


def span_of(bar_seconds: int) -> tuple[int, str]:
    """Name a length of bars as the vendor does: ``(5, "minute")``.

    Raises
    ------
    ConfigurationError
        If the vendor has no such bars.

    """
    if bar_seconds == DAY:
        return 1, "day"
    for seconds, name in ((_HOUR, "hour"), (MINUTE, "minute"), (1, "second")):
        if 0 < bar_seconds < DAY and bar_seconds % seconds == 0:
            return bar_seconds // seconds, name
    raise ConfigurationError(
        f"bars of {bar_seconds} s cannot be had from Polygon: expected from 1s to 1d",
        where="universe, section polygon",
        next_step="choose a length such as 1m; longer bars are made of minutes by the warehouse",
    )


def results_of_pages(pages: list[dict[str, Any]], ticker: str, what: str) -> list[dict[str, Any]]:
    """Put the results of all pages together, once they agree with what was asked and what the pages say of themselves.

    Parameters
    ----------
    pages : list of dict
        As `pipeline_defs.sources.polygon.pages.all_pages` gives them.
    ticker : str
        Asked for.
    what : str
        Names it in messages.

    Returns
    -------
    list of dict
        Empty only if every page says so.

    Raises
    ------
    TryAgainError
        If a page is not whole, or does not come after the one before.
    SourceError
        If the reply is about something else.

    """
    every: list[dict[str, Any]] = []
    last: dt.datetime | None = None
    for number, page in enumerate(pages, start=1):
        place = f"page {number} of {what}"
        _check_is_asked(page, ticker, place)
        results = page.get("results") or []
        if not isinstance(results, list):
            raise SchemaDriftError(f"Polygon {place}: 'results' is no list; nothing stored")
        counted, queried = _count(page, "resultsCount", place), _count(page, "queryCount", place)
        if counted != len(results):
            raise TryAgainError(
                f"Polygon {place} is not whole: {len(results)} bars, but it counts {counted}; nothing stored"
            )
        if queried < counted or (queried > 0 and len(pages) == 1 and not results):
            raise TryAgainError(
                f"Polygon {place} contradicts itself: {counted} bars of {queried} that it looked at; nothing stored"
            )
        stamps = _stamps(text_frame(results, ("t",), place)["t"]).drop_nulls()
        if not stamps.is_sorted() or (len(stamps) and last is not None and stamps[0] <= last):
            raise TryAgainError(f"Polygon {place} goes back in time, or repeats the page before; nothing stored")
        last = stamps[-1] if len(stamps) else last
        every += results
    return every


def bar_rows(
    results: list[dict[str, Any]], bar_seconds: int, market: Market, what: str, *, has_volume: bool, units: int = 1
) -> pl.DataFrame:
    """Make rows of aggregates.

    Parameters
    ----------
    results : list of dict
        Keys as the vendor writes them, numbers as text.
    bar_seconds : int
        Their length.
    market : Market
        Whose days daily bars are of.
    what : str
        Names them in messages.
    has_volume : bool
        Whether a volume must be there; an index has none.
    units : int, default 1
        How many units one of the volume is: the vendor counts options in contracts.

    Returns
    -------
    polars.DataFrame
        `ANSWER_SCHEMA`, one row for each result.

    Raises
    ------
    SchemaDriftError
        If a key is missing or not known.

    """
    check_keys(results, set(NAMES) if has_volume else set(NAMES) - {"v"}, _KNOWN, what)
    if not results:
        return pl.DataFrame(schema=ANSWER_SCHEMA)
    texts = text_frame(results, NAMES, what)
    stamps = _stamps(texts["t"])
    times = _closes_of_days(stamps, market) if bar_seconds == DAY else stamps.dt.offset_by(f"{bar_seconds}s")
    prices = {name: prices_of(plain(texts[key])) for key, name in PRICE_KEYS.items()}
    volume = (_exact_volume(texts["v"], text_frame(results, ("dv",), what)["dv"]) * units).cast(SIZE, strict=False)
    frame = pl.DataFrame({"timestamp": times, **prices, "volume": volume})
    reason = (
        pl.when(pl.col("timestamp").is_null())
        .then(pl.lit("bad_time"))
        .when(pl.any_horizontal(pl.col(name).is_null() for name in PRICE_KEYS.values()))
        .then(pl.lit("bad_price"))
        .when(pl.col("volume").is_null() & texts["v"].is_not_null())
        .then(pl.lit("bad_quantity"))
    )
    frame = frame.with_columns(reason=reason)
    if frame["reason"].null_count() < frame.height:
        shown = texts.select(pl.struct(NAMES).struct.json_encode()).to_series()
        frame = frame.with_columns(text=pl.when(pl.col("reason").is_not_null()).then(shown))
    return answer_rows({name: frame[name] for name in frame.columns})


def _exact_volume(counted: pl.Series, exact: pl.Series) -> pl.Series:
    """Read volumes: the exact one where there is one, as long as both are the same but for the part of a share.

    Null for what is no number of at most eight decimals, and where the two contradict each other.
    """
    volume = sizes_of(plain(counted))
    if exact.null_count() == len(exact):
        return volume
    found = sizes_of(plain(exact))
    agrees = ((found - volume).abs() < 1).fill_null(value=False)
    return found.set(~agrees, None).zip_with(exact.is_not_null(), volume)


class VolumeRules(TypedDict):
    """How `bar_rows` reads volumes."""

    has_volume: bool
    units: int


def volume_of(listed: Listed) -> VolumeRules:
    """Say how volumes of an instrument are read: an index has none, and those of an option count contracts."""
    units = listed.terms.get("lot_size") if listed.kind == "OPT" else None
    return {"has_volume": listed.kind != "SPOT", "units": units or 1}


def _check_is_asked(page: dict[str, Any], ticker: str, place: str) -> None:
    for key, expected in (("ticker", ticker), ("adjusted", False)):
        got = page.get(key, expected)
        if got != expected:
            raise SourceError(
                f"Polygon {place}: asked for {key} {expected}, got {got}; nothing stored",
                next_step="nothing was stored; if a proxy stands between, look whether it keeps replies",
            )


def _count(page: dict[str, Any], key: str, place: str) -> int:
    text = page.get(key)
    if not isinstance(text, str) or not (text.isascii() and text.isdigit()):
        raise SchemaDriftError(
            f"Polygon {place}: no number {key!r}, got {', '.join(sorted(page))}",
            next_step="nothing was stored; the vendor's format has changed: report it with this message",
        )
    return int(text)


def _stamps(texts: pl.Series) -> pl.Series:
    """Read milliseconds since 1970; null for what is none."""
    texts = texts.set(~texts.str.contains(r"^[0-9]{1,14}$"), None)
    return (texts.cast(pl.Int64) * _MS).cast(TIMESTAMP)


def _closes_of_days(stamps: pl.Series, market: Market) -> pl.Series:
    """Give daily bars, which begin at midnight of the market, the close of their session; null for other stamps.

    A day without a session gets its own end: the shared rules say then that it was none.
    """
    local = stamps.dt.convert_time_zone(market.zone)
    days = local.dt.date().set(local.dt.time().cast(pl.Int64) != 0, None)
    known = days.drop_nulls().unique()
    closes = pl.Series([_close(market, day) for day in known], dtype=TIMESTAMP)
    return days.replace_strict(known, closes, default=None, return_dtype=TIMESTAMP)


def _close(market: Market, day: dt.date) -> dt.datetime:
    first, last = market.covered
    is_session = first <= day <= last and market.closed_reason(day) is None
    return market.close(day) if is_session else market.bounds(day)[1]
