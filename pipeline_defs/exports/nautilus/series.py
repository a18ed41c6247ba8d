"""Writes the bars and ticks of a slice, frame by frame, and remembers what was written.

Checking, encoding and file options live in their own modules; here they meet. The precision of an instrument is decided
by the first frame that holds it, the finest bars before coarser ones and ticks, and holds for all its files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.nautilus import checks, encode, files, naming
from pipeline_defs.exports.nautilus.instruments import with_precisions
from pipeline_defs.exports.nautilus.place import where
from pipeline_defs.exports.nautilus.rounding import round_down, shares_of
from pipeline_defs.exports.nautilus.settlement import IS_UNDERLYING
from pipeline_defs.exports.nautilus.ticks import IS_QUOTE, LACKS_SIZE, quotes_of, trades_of
from pipeline_defs.schema.columns import TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

    from pipeline_defs.exports.nautilus.place import Place
    from pipeline_defs.schema.exports import MarketSlice, TickSlice

_BOUNDS: Final[dict[str, pl.DataType]] = {
    "instrument_id": pl.Int32(),
    "rows": pl.Int64(),
    "first_timestamp": TIMESTAMP,
    "last_timestamp": TIMESTAMP,
}


@dataclass
class SeriesWriter:
    """Writes series into a catalog.

    Parameters
    ----------
    place : Place
        Where to.
    named : polars.DataFrame
        Every instrument of the slice, from `naming.with_identifiers`.
    fractional : bool
        Whether volumes and sizes are decimals.

    """

    place: Place
    named: pl.DataFrame
    fractional: bool
    terms: pl.DataFrame = field(init=False)
    counts: dict[str, int] = field(default_factory=dict)
    underlying: list[pl.DataFrame] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    rounded: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start without any decided precision."""
        self.terms = with_precisions(
            self.named, self.named.select("instrument_id", decimals=pl.lit(0, pl.UInt8)).clear()
        )

    def write_bars(self, market: MarketSlice, *, is_finest: bool) -> pl.DataFrame:
        """Write the bars of one resolution.

        Parameters
        ----------
        market : MarketSlice
            One of `MarketSlice.every_resolution`.
        is_finest : bool
            Whether open interest and prices of the underlying are taken from these bars.

        Returns
        -------
        polars.DataFrame
            One row per instrument: `instrument_id`, `bar_seconds`, `rows`, `first_timestamp`, `last_timestamp`,
            `close_sum`, `volume_sum`.

        Raises
        ------
        ExportError
            If there are no bars, the reader gives others than the slice announces, or `checks` refuses one.

        """
        specification = naming.bar_specification(market.bar_seconds)
        check = partial(checks.check_bars, schema=market.bar_schema, start=self.place.start, end=self.place.end)
        sums = []
        for exact in _frames(market.read_bars(), check):
            frame = self._in_whole_shares(exact, "bars", ("volume",))
            terms = self._decide(frame, checks.PRICES, ("volume",))
            bar_types = [f"{engine_id}-{specification}" for engine_id in terms["engine_id"].to_list()]
            self._write("Bar", frame, terms, encode.encode_bars, bar_types)
            sums.append(_sums(frame))
            if is_finest:
                self._write_open_interest(frame, terms)
                self._keep_underlying(frame, terms)
        if not sums:
            raise ExportError(
                f"the reader gave no bars of {market.bar_seconds} seconds",
                where=where(market),
                next_step="import the days first",
            )
        found = pl.concat(sums).with_columns(bar_seconds=pl.lit(market.bar_seconds, pl.Int32))
        _refuse_other_rows_than_announced(found, market.instruments, self.named, "bars")
        return found

    def write_ticks(self, market: MarketSlice, ticks: TickSlice) -> None:
        """Write trades and quotes.

        Parameters
        ----------
        market : MarketSlice
            Whose ticks these are.
        ticks : TickSlice
            Its ticks.

        Raises
        ------
        ExportError
            If the reader gives other ticks than the slice announces, or `checks` refuses one.

        """
        check = partial(checks.check_ticks, schema=market.tick_schema, start=self.place.start, end=self.place.end)
        self.counts |= {"trade_ticks": 0, "quote_ticks": 0}
        self.left_out["quote_sizes"] = 0
        sums = []
        for exact in _frames(ticks.read(), check):
            frame = self._in_whole_shares(exact, "ticks", checks.TICK_SIZES)
            terms = self._decide(frame, checks.TICK_PRICES, checks.TICK_SIZES)
            trades, quotes = trades_of(frame), quotes_of(frame)
            self._write("TradeTick", trades, terms, encode.encode_trades)
            self._write("QuoteTick", quotes, terms, encode.encode_quotes)
            self.counts["trade_ticks"] += trades.height
            self.counts["quote_ticks"] += quotes.height
            self.left_out["quote_sizes"] += frame.filter(IS_QUOTE & LACKS_SIZE).height
            sums.append(_bounds(frame))
        found = pl.concat([pl.DataFrame(schema=_BOUNDS), *sums])
        _refuse_other_rows_than_announced(found, ticks.instruments, self.named, "ticks")

    def _in_whole_shares(self, frame: pl.DataFrame, what: str, sizes: tuple[str, ...]) -> pl.DataFrame:
        """Round sizes of shares down where parts are traded, and count the rows."""
        if not self.fractional:
            return frame
        frame, touched = round_down(frame, shares_of(self.named), sizes)
        self.rounded[what] = self.rounded.get(what, 0) + touched
        return frame

    def _decide(self, frame: pl.DataFrame, prices: tuple[str, ...], sizes: tuple[str, ...]) -> pl.DataFrame:
        """Give the terms of a frame's instruments, and refuse what their precision does not hold."""
        needed = checks.decimals_needed(frame, prices)
        unknown = needed.join(self.named, on="instrument_id", how="anti")
        if unknown.height > 0:
            raise ExportError(
                "the reader gave rows of an instrument that the slice does not announce",
                where=f"instrument {unknown.item(0, 'instrument_id')}",
            )
        new = needed.join(self.terms, on="instrument_id", how="anti", maintain_order="left")
        self.terms = pl.concat([self.terms, with_precisions(self.named, new)])
        terms = needed.join(self.terms.drop("decimals"), on="instrument_id", how="left", maintain_order="left")
        checks.check_precision(frame, terms, prices)
        if self.fractional:
            checks.check_whole_sizes(frame, terms, sizes)
        return terms

    def _write(
        self,
        class_name: str,
        frame: pl.DataFrame,
        terms: pl.DataFrame,
        encoder: Callable[[pl.DataFrame, pa.Schema], pa.Table],
        identifiers: Iterable[str] | None = None,
    ) -> None:
        """Encode a frame once and write a slice of it for each instrument."""
        target = self.place.target
        encoded = encoder(frame, target.schema(class_name))
        names = terms["engine_id"].to_list()
        precisions = zip(terms["price_precision"].to_list(), terms["size_precision"].to_list(), strict=True)
        labels = zip(names, precisions, identifiers or names, strict=True)
        by_id = dict(zip(terms["instrument_id"].to_list(), labels, strict=True))
        for instrument_id, offset, length in encode.instrument_slices(frame):
            engine_id, precision, identifier = by_id[instrument_id]
            metadata = target.metadata(class_name, engine_id, precision, identifier)
            table = encoded.slice(offset, length).replace_schema_metadata(metadata)
            file = files.parquet_file(table, files.SERIES_OPTIONS[class_name])
            self.place.write(file, class_name, identifier)

    def _write_open_interest(self, frame: pl.DataFrame, terms: pl.DataFrame) -> None:
        is_option = _is_any_of(terms.filter(pl.col("kind") == "OPT"))
        has_interest = pl.col("open_interest").is_not_null()
        known = frame.filter(is_option & has_interest).join(
            terms.select("instrument_id", "engine_id"), on="instrument_id", how="left", maintain_order="left"
        )
        self._write("OptionGreeks", known, terms, encode.encode_open_interest)
        self.counts["option_greeks"] = self.counts.get("option_greeks", 0) + known.height
        others = frame.filter(~is_option & has_interest).height
        self.left_out["open_interest"] = self.left_out.get("open_interest", 0) + others

    def _keep_underlying(self, frame: pl.DataFrame, terms: pl.DataFrame) -> None:
        underlying = frame.filter(_is_any_of(terms.filter(IS_UNDERLYING)))
        self.underlying.append(underlying)
        if self.place.target.has_index_prices:
            index = frame.filter(_is_any_of(terms.filter(IS_UNDERLYING & (pl.col("kind") == "SPOT"))))
            self._write("IndexPriceUpdate", index, terms, encode.encode_index_prices)
            self.counts["index_prices"] = self.counts.get("index_prices", 0) + index.height


def _frames(read: Iterator[pl.DataFrame], check: Callable[[pl.DataFrame], None]) -> Iterator[pl.DataFrame]:
    """Give the reader's frames, checked, each instrument in one of them only."""
    seen = pl.Series(dtype=pl.Int32())
    for frame in read:
        if frame.is_empty():
            continue
        check(frame)
        ids = frame["instrument_id"].unique()
        again = ids.filter(ids.is_in(seen.implode()))
        if again.len() > 0:
            raise ExportError(
                "the reader gave the rows of one instrument in two frames, expected one",
                where=f"instrument {again[0]}",
            )
        seen = seen.append(ids)
        yield frame


def _bounds(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.group_by("instrument_id").agg(
        rows=pl.len().cast(pl.Int64),
        first_timestamp=pl.col("timestamp").min(),
        last_timestamp=pl.col("timestamp").max(),
    )


def _sums(bars: pl.DataFrame) -> pl.DataFrame:
    sums = bars.group_by("instrument_id").agg(close_sum=pl.col("close").sum(), volume_sum=pl.col("volume").sum())
    return _bounds(bars).join(sums, on="instrument_id")


def _is_any_of(terms: pl.DataFrame) -> pl.Expr:
    return pl.col("instrument_id").is_in(terms["instrument_id"].implode())


def _refuse_other_rows_than_announced(
    found: pl.DataFrame, announced: pl.DataFrame, named: pl.DataFrame, what: str
) -> None:
    """Expiries were checked against what the slice announces, so that must be what was written."""
    pairs = {"row_count": "rows", "first_timestamp": "first_timestamp", "last_timestamp": "last_timestamp"}
    told = announced.select("instrument_id", *pairs).join(
        named.select("instrument_id", "engine_id"), on="instrument_id", how="left", maintain_order="left"
    )
    both = told.join(
        found.select("instrument_id", **{f"found_{name}": pl.col(was) for name, was in pairs.items()}),
        on="instrument_id",
        how="full",
        coalesce=True,
        maintain_order="left_right",
    )
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"found_{name}")) for name in pairs)
    for row in both.filter(differs).head(1).iter_rows(named=True):
        raise ExportError(
            f"the reader gave {row['found_row_count'] or 0} {what} from {row['found_first_timestamp']} to "
            f"{row['found_last_timestamp']}, but the slice announces {row['row_count']} from "
            f"{row['first_timestamp']} to {row['last_timestamp']}",
            where=row["engine_id"] or f"instrument {row['instrument_id']}",
            next_step="the data changed while it was read: export again",
        )
