"""How a symbol becomes an instrument, by the dated terms of the contract master."""

from __future__ import annotations

import datetime as dt
import difflib
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.markets.market import market_of
from pipeline_defs.portal.errors import UnknownSymbolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_defs.portal.store import Snapshot, Store

from pipeline_defs.portal.instruments import Instrument

# By its own name, by a name that some source has for it, by the name of what is traded itself, or as exported folders
# call contracts; whatever is the same thing elsewhere comes with it.
_NAMED: Final = """
WITH asked AS (SELECT unnest(%(symbols)s::text[]) AS asked), named AS MATERIALIZED (
    SELECT a.asked, t.instrument_id, t.kind, t.underlying, t.expiry, t.strike, t.option_type, t.rank, 1 AS level,
           t.valid_from, t.valid_to
    FROM asked AS a JOIN {instrument_terms} AS t ON t.symbol = a.asked
    UNION ALL
    SELECT a.asked, t.instrument_id, t.kind, t.underlying, t.expiry, t.strike, t.option_type, t.rank, 2,
           t.valid_from, t.valid_to
    FROM asked AS a JOIN instrument_aliases AS n ON n.symbol = a.asked
    JOIN {instrument_terms} AS t USING (instrument_id)
    UNION ALL
    SELECT a.asked, t.instrument_id, t.kind, t.underlying, t.expiry, t.strike, t.option_type, t.rank, 3,
           t.valid_from, t.valid_to
    FROM asked AS a JOIN {instrument_terms} AS t ON t.underlying = a.asked AND t.kind IN ('EQ', 'SPOT', 'PAIR')
    UNION ALL
    SELECT a.asked, t.instrument_id, t.kind, t.underlying, t.expiry, t.strike, t.option_type, t.rank, 4,
           t.valid_from, t.valid_to
    FROM (SELECT asked, regexp_match(asked, '^(.+)_([0-9]{6})_(?:FUT|([0-9]+(?:[.][0-9]+)?)_(CE|PE))$') AS part
          FROM asked) AS a
    JOIN {instrument_terms} AS t
        ON t.underlying = a.part[1] AND to_char(t.expiry, 'YYMMDD') = a.part[2]
       AND t.kind = CASE WHEN a.part[4] IS NULL THEN 'FUT' ELSE 'OPT' END
       AND t.option_type IS NOT DISTINCT FROM a.part[4] AND t.strike IS NOT DISTINCT FROM a.part[3]::numeric
)
"""

_FIND: Final = f"""{_NAMED}, known AS MATERIALIZED (
    SELECT n.*, n.valid_to > %(date)s::date AS is_valid FROM named AS n WHERE n.valid_from <= %(date)s::date
)
SELECT DISTINCT ON (k.asked, t.instrument_id) k.asked, k.level, k.is_valid,
       k.instrument_id = t.instrument_id AS is_named, t.instrument_id, t.kind, t.venue, t.underlying, t.expiry,
       t.strike, t.option_type, t.rank, t.series, t.lot_size, t.tick_size, t.currency, i.base_currency
FROM known AS k
CROSS JOIN LATERAL (
    SELECT s.instrument_id FROM {{instrument_terms}} AS s
    WHERE s.underlying = k.underlying AND s.kind = k.kind AND s.valid_from <= %(date)s AND s.valid_to > %(date)s
      AND (s.strike, s.option_type, s.rank) IS NOT DISTINCT FROM (k.strike, k.option_type, k.rank)
      AND (s.kind = 'CONT' OR s.expiry IS NOT DISTINCT FROM k.expiry)
    UNION SELECT k.instrument_id) AS same
JOIN {{instrument_terms}} AS t ON t.instrument_id = same.instrument_id AND t.valid_from <= %(date)s
JOIN instruments AS i ON i.instrument_id = t.instrument_id
ORDER BY k.asked, t.instrument_id, is_named DESC, k.is_valid DESC, k.level, t.valid_from DESC
"""

# Between two of these dates a symbol means the same.
_DATES: Final = f"""{_NAMED}
SELECT DISTINCT n.asked, d.date FROM named AS n
JOIN {{instrument_terms}} AS t ON t.underlying = n.underlying AND t.kind = n.kind
CROSS JOIN LATERAL (VALUES (t.valid_from), (t.valid_to)) AS d (date) WHERE isfinite(d.date)
"""

_BY_ID: Final = """
SELECT DISTINCT ON (t.instrument_id) t.instrument_id, t.symbol, t.kind, t.venue, t.underlying, t.expiry, t.strike,
       t.option_type, t.rank, t.series, t.lot_size, t.tick_size, t.currency, i.base_currency
FROM {instrument_terms} AS t JOIN instruments AS i USING (instrument_id)
WHERE t.instrument_id = %(id)s AND t.valid_from <= %(date)s ORDER BY t.instrument_id, t.valid_from DESC
"""

_MERGES: Final = """
SELECT duplicate_id, instrument_id FROM instrument_merges_as_of(coalesce(%(known_at)s::timestamptz, 'infinity'))
"""

_NAMES: Final = """
SELECT DISTINCT name FROM (
    SELECT symbol AS name FROM {instrument_terms} AS t WHERE upper(left(symbol, 1)) = upper(left(%(symbol)s, 1))
    UNION ALL SELECT underlying FROM {instrument_terms} AS t
) AS n LIMIT 50000
"""

_TERMS: Final = (
    "kind", "underlying", "venue", "currency", "base_currency", "expiry", "strike", "option_type", "rank", "series",
    "lot_size", "tick_size",
)  # fmt: skip

_ONE_SHARE: Final = frozenset({None, "", "EQ", "BE", "BZ"})
"""Series under which one and the same Indian share trades, at different times."""


class AssetFinder:
    """Finds instruments by the dated terms of the warehouse.

    Parameters
    ----------
    store : Store
        The warehouse in the portal's state of knowledge.
    market : str, optional
        Prefer this market where a symbol means something in several.
    source : str, optional
        Prefer what this source delivered, likewise.

    """

    def __init__(self, store: Store, *, market: str | None = None, source: str | None = None) -> None:
        self._store = store
        self._market = market
        self._source = source
        self._dates: dict[str, list[dt.date]] = {}
        self._found: dict[tuple[str, int], Instrument] = {}

    def lookup_symbol(
        self, symbol: str, as_of_date: dt.date | None = None, *, series: str | None = None, market: str | None = None
    ) -> Instrument:
        """Find what a symbol meant on a date.

        Parameters
        ----------
        symbol : str
            Its name in the contract master or in any source; of shares, indices and pairs also the plain name; of
            contracts also ``NIFTY_250814_24600_CE`` and ``NIFTY_250828_FUT``.
        as_of_date : datetime.date, optional
            Default today. A name that is given only later is not known yet; one that is no longer in use means what
            had it last.
        series : str, optional
            Of an Indian security, where the symbol has several.
        market : str, optional
            ``NSE``, ``US`` or ``CRYPTO``, where the symbol means something in several.

        Returns
        -------
        Instrument

        Raises
        ------
        UnknownSymbolError
            If there is none, with near names; or if several are meant, with what they are.

        """
        (found,) = self._find([symbol], as_of_date, series, market)
        return found

    def lookup_symbols(self, symbols: Sequence[str], as_of_date: dt.date | None = None) -> list[Instrument]:
        """Find several at once; as `lookup_symbol`, in the order asked."""
        return self._find(symbols, as_of_date, None, None)

    def retrieve_asset(self, sid: int, as_of_date: dt.date | None = None) -> Instrument:
        """Find an instrument by its row of `instruments`; nothing that looks like it comes with it.

        Raises
        ------
        UnknownSymbolError
            If there is none with terms of that date or before.

        """
        date = as_of_date or dt.datetime.now(dt.UTC).date()
        rows = self._store.read(lambda snapshot: snapshot.rows(_BY_ID, id=int(sid), date=date), f"instrument {sid}")
        if not rows:
            raise UnknownSymbolError(f"no instrument has the number {sid} on {date}")
        (row,) = rows
        return Instrument((row["instrument_id"],), row["symbol"], **{name: row[name] for name in _TERMS})

    def forget(self) -> None:
        """Look everything up anew."""
        self._dates.clear()
        self._found.clear()

    def _find(
        self, symbols: Sequence[str], as_of_date: dt.date | None, series: str | None, market: str | None
    ) -> list[Instrument]:
        date = as_of_date or dt.datetime.now(dt.UTC).date()
        if series is not None or market is not None:
            found = self._read(symbols, date, series, market)
            return [found[symbol] for symbol in symbols]
        if unseen := [symbol for symbol in symbols if symbol not in self._dates]:
            told = self._store.read(lambda snapshot: snapshot.tuples(_DATES, symbols=unseen), "symbols")
            self._dates |= {symbol: sorted(day for asked, day in told if asked == symbol) for symbol in unseen}
        keys = {symbol: (symbol, bisect_right(self._dates[symbol], date)) for symbol in symbols}
        if missing := [symbol for symbol, key in keys.items() if key not in self._found]:
            found = self._read(missing, date, None, None)
            self._found |= {keys[symbol]: one for symbol, one in found.items()}
        return [self._found[keys[symbol]] for symbol in symbols]

    def _read(
        self, symbols: Sequence[str], date: dt.date, series: str | None, market: str | None
    ) -> dict[str, Instrument]:
        return self._store.read(lambda snapshot: self._find_in(snapshot, symbols, date, series, market), "symbols")

    def _find_in(
        self, snapshot: Snapshot, symbols: Sequence[str], date: dt.date, series: str | None, market: str | None
    ) -> dict[str, Instrument]:
        rows = snapshot.rows(_FIND, symbols=list(dict.fromkeys(symbols)), date=date)
        merges: dict[int, int] = dict(snapshot.tuples(_MERGES)) if rows else {}
        found = {}
        for symbol in dict.fromkeys(symbols):
            own = [row for row in rows if row["asked"] == symbol and row["instrument_id"] not in merges]
            if not own:
                raise self._unknown(snapshot, symbol, date)
            found[symbol] = self._only_one(snapshot, symbol, _things(own), series=series, market=market, merges=merges)
        return found

    def _only_one(
        self,
        snapshot: Snapshot,
        symbol: str,
        things: dict[tuple[Any, ...], list[dict[str, Any]]],
        *,
        series: str | None,
        market: str | None,
        merges: dict[int, int],
    ) -> Instrument:
        left = things
        if series is not None:
            left = {key: rows for key, rows in left.items() if any(row["series"] == series for row in rows)}
        for wanted in (market, self._market):
            if wanted is not None and (narrowed := {key: rows for key, rows in left.items() if key[0] == wanted}):
                left = narrowed
        # One in use goes before one that was; a name of its own before one that a source has for it.
        for better in (lambda row: not row["is_valid"], lambda row: row["level"]):
            least = min((min(map(better, rows)) for rows in left.values()), default=None)
            left = {key: rows for key, rows in left.items() if min(map(better, rows)) == least}
        if len(left) > 1 and self._source is not None:
            spoken = snapshot.spoken_of(self._source, [row["instrument_id"] for rows in left.values() for row in rows])
            narrowed = {key: rows for key, rows in left.items() if any(row["instrument_id"] in spoken for row in rows)}
            left = narrowed or left
        if len(left) > 1 and (shares := {key: rows for key, rows in left.items() if key[-1] == "share"}):
            left = shares
        if len(left) != 1:
            raise _ambiguous(symbol, left or things)
        (rows,) = left.values()
        return _instrument(symbol, rows, merges)

    def _unknown(self, snapshot: Snapshot, symbol: str, date: dt.date) -> UnknownSymbolError:
        names = [name for (name,) in snapshot.tuples(_NAMES, symbol=symbol)]
        near = difflib.get_close_matches(symbol, names, n=5) or difflib.get_close_matches(symbol.upper(), names, n=5)
        hint = f"near it: {', '.join(near)}" if near else "no name is near it"
        return UnknownSymbolError(
            f"no instrument is called {symbol!r} on {date}; {hint}",
            next_step="check the spelling, or import it first: 'pipeline import'",
        )


def _things(rows: list[dict[str, Any]]) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Group rows by what is traded, whatever venue or source says so."""
    things: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        where = market_of(row["kind"], row["venue"], row["currency"]).name
        kept = "share" if row["series"] in _ONE_SHARE else row["series"]
        terms = ("kind", "underlying", "strike", "option_type", "rank")
        key = (where, *(row[name] for name in terms), None if row["kind"] == "CONT" else row["expiry"], kept)
        things.setdefault(key, []).append(row)
    return things


def _instrument(symbol: str, rows: list[dict[str, Any]], merges: dict[int, int]) -> Instrument:
    ordered = sorted(
        rows, key=lambda row: (not row["is_named"], not row["is_valid"], row["level"], row["instrument_id"])
    )
    ids = list(dict.fromkeys(row["instrument_id"] for row in ordered))
    ids += [duplicate for duplicate, kept in merges.items() if kept in ids and duplicate not in ids]
    return Instrument(tuple(ids), symbol, **{name: ordered[0][name] for name in _TERMS})


def _ambiguous(symbol: str, things: dict[tuple[Any, ...], list[dict[str, Any]]]) -> UnknownSymbolError:
    told = [
        f"{row['kind']} {row['underlying']} at {row['venue']}{'' if row['series'] is None else ' ' + row['series']}"
        for rows in things.values()
        for row in rows[:1]
    ]
    return UnknownSymbolError(
        f"{symbol!r} means {len(things)} instruments: {'; '.join(told[:6])}",
        next_step="name the calendar or the source of the portal, or take the one you mean from"
        " asset_finder.lookup_symbol(symbol, series=…, market=…)",
    )
