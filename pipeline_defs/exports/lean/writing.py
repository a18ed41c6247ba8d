"""Writes bars and quotes into the zips, batch by batch, in the order of names.

Bars come contract by contract, zips are day by day; so each batch of contracts adds its entries to all days.
Contracts are read in the order of their names, not of their numbers in the database, so that the bytes depend on
neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.lean.checks import PRICES, check_bars, check_decimals
from pipeline_defs.exports.lean.columns import QUOTE_PRICES, cut, interest_lines, quote_lines, trade_lines
from pipeline_defs.exports.lean.entries import entry_of
from pipeline_defs.exports.lean.grid import Sessions, with_starts
from pipeline_defs.exports.lean.interest import with_interest_times
from pipeline_defs.exports.lean.kinds import RESOLUTION_OF_SECONDS, OptionStyle, Resolution, SecurityType, TickType
from pipeline_defs.exports.lean.paths import DataFile
from pipeline_defs.exports.lean.quotes import quote_frames
from pipeline_defs.exports.lean.symbols import contract_of
from pipeline_defs.exports.lean.universes import daily_bars

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.exports.lean.archive import ZipFolder
    from pipeline_defs.schema.exports import MarketSlice, TickSlice

ROWS_AT_A_TIME: Final = 500_000
"""Rows formatted at once: some 150 MB with what is made of them."""

_WITH_INTEREST: Final = ("OPT", "FUT")


class FolderWriter:
    """What is written of a slice, and what came of it.

    Parameters
    ----------
    zips : ZipFolder
        Where to.
    grid : polars.DataFrame
        Of `pipeline_defs.exports.lean.grid.session_grid`.
    timezone : str
        Zone of the data in LEAN.

    """

    def __init__(self, zips: ZipFolder, grid: Sessions, timezone: str) -> None:
        self._zips = zips
        self._grid = grid
        self._timezone = timezone
        self.daily: list[pl.DataFrame] = []
        """Daily bars of everything written, the finest first."""
        self.summaries: list[pl.DataFrame] = []
        """One row per instrument and resolution."""
        self.counts = {"quotes": 0, "open_interest": 0}

    def write_bars(self, part: MarketSlice, named: pl.DataFrame) -> None:
        """Write all bars of one resolution.

        Parameters
        ----------
        part : MarketSlice
            The slice at that resolution.
        named : polars.DataFrame
            Its instruments, of `pipeline_defs.exports.lean.symbols.with_symbols`.

        Raises
        ------
        ExportError
            If a bar cannot be written, or the reader gives other bars than the slice announces.

        """
        resolution = RESOLUTION_OF_SECONDS[part.bar_seconds]
        summaries = []
        for batch in batches(named):
            frames = list(part.read_bars(batch["instrument_id"].to_list()))
            for frame in frames:
                check_bars(frame, part.bar_schema, named)
            if not frames:
                continue
            bars = with_starts(_ordered(pl.concat(frames), batch), self._grid, part.bar_seconds)
            self._write_batch(bars, batch, resolution)
            summaries.append(_summary(bars, batch, part.bar_seconds))
            self.daily.append(daily_bars(bars))
        if not summaries:
            raise ExportError("the reader gave no bars", where=part.underlying, next_step="import the days first")
        summary = pl.concat(summaries)
        _refuse_other_bars_than_announced(summary, named)
        self.summaries.append(summary)

    def write_quotes(self, ticks: TickSlice, market: MarketSlice, named: pl.DataFrame) -> None:
        """Write the quotes of ticks as bars of a minute.

        Parameters
        ----------
        ticks : TickSlice
            Of the slice.
        market : MarketSlice
            The slice.
        named : polars.DataFrame
            The instruments that have ticks, named.

        """
        quoted = named.filter(pl.col("security") != SecurityType.INDEX)
        for batch in batches(quoted):
            for frame in quote_frames(ticks, market.tick_schema, self._grid, batch["instrument_id"].to_list()):
                bars = _ordered(frame, batch)
                is_scaled = SecurityType(batch.item(0, "security")).is_scaled
                if is_scaled:
                    check_decimals(bars, batch, QUOTE_PRICES)
                fields = quote_lines(bars, Resolution.MINUTE, self._timezone, is_scaled=is_scaled)
                self._write_entries(fields, bars, batch, Resolution.MINUTE, TickType.QUOTE)
                self.counts["quotes"] += bars.height

    def _write_batch(self, bars: pl.DataFrame, batch: pl.DataFrame, resolution: Resolution) -> None:
        is_scaled = SecurityType(batch.item(0, "security")).is_scaled
        if is_scaled:
            check_decimals(bars, batch, PRICES)
        fields = trade_lines(bars, resolution, self._timezone, is_scaled=is_scaled)
        self._write_entries(fields, bars, batch, resolution, TickType.TRADE)
        if batch.item(0, "kind") in _WITH_INTEREST:
            known = with_interest_times(bars, self._grid, resolution, self._timezone)
            lines = interest_lines(known, resolution, self._timezone)
            self._write_entries(lines, known, batch, resolution, TickType.OPEN_INTEREST)
            self.counts["open_interest"] += known.height

    def _write_entries(
        self, fields: pl.DataFrame, bars: pl.DataFrame, batch: pl.DataFrame, resolution: Resolution, tick_type: TickType
    ) -> None:
        symbols = {row["instrument_id"]: row for row in batch.iter_rows(named=True)}
        stamp = "known" if tick_type is TickType.OPEN_INTEREST else "start"
        by_year = resolution.is_coarse and SecurityType(batch.item(0, "security")).is_option
        cuts = pl.col("session_date")
        if resolution.is_coarse:
            # A file a year for options, one for all time for the others.
            cuts = pl.col(stamp).dt.convert_time_zone(self._timezone).dt.date().dt.truncate("1y")
            cuts = cuts if by_year else pl.lit(None, pl.Date())
        keys = bars.select("instrument_id", cut=cuts)
        for first, text in cut(fields, keys):
            instrument_id, day = keys.row(first)
            row = symbols[instrument_id]
            file = data_file(row, resolution, tick_type)
            file = file.on(day) if not resolution.is_coarse else file.in_year(day.year) if by_year else file
            self._zips.write(file.path, entry_of(file, contract_of(row)).name, text)


def data_file(row: dict[str, Any], resolution: Resolution, tick_type: TickType) -> DataFile:
    """Say which zips an instrument's data lie in, but for the date.

    Parameters
    ----------
    row : dict
        Of `pipeline_defs.exports.lean.symbols.with_symbols`.
    resolution : Resolution
        Of the data.
    tick_type : TickType
        Of the data.

    Returns
    -------
    DataFile

    """
    style = None if row["style"] is None else OptionStyle(row["style"])
    return DataFile(SecurityType(row["security"]), row["market"], resolution, row["ticker"], tick_type, style=style)


def batches(named: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Cut instruments into batches of one symbol and a bounded number of rows, in the order of their names.

    Parameters
    ----------
    named : polars.DataFrame
        Sorted by `engine_id`, with `row_count`.

    Yields
    ------
    polars.DataFrame
        Rows of `named`.

    """
    numbered = named.with_columns(
        symbol=pl.concat_str("security", "market", "ticker", separator="/"),
        batch=pl.col("row_count").cum_sum().sub(1).floordiv(ROWS_AT_A_TIME),
    )
    for batch in numbered.partition_by("symbol", "batch", maintain_order=True):
        yield batch.drop("symbol", "batch")


def _ordered(bars: pl.DataFrame, batch: pl.DataFrame) -> pl.DataFrame:
    """Sort by the order of names in place of that of numbers."""
    ranks = batch.select("instrument_id").with_row_index("rank")
    ranked = bars.join(ranks, on="instrument_id", how="left", maintain_order="left")
    return ranked.sort("rank", maintain_order=True).drop("rank")


def _summary(bars: pl.DataFrame, batch: pl.DataFrame, bar_seconds: int) -> pl.DataFrame:
    summary = bars.group_by("instrument_id", maintain_order=True).agg(
        rows=pl.len().cast(pl.Int64),
        first_timestamp=pl.col("timestamp").min(),
        last_timestamp=pl.col("timestamp").max(),
        close_sum=pl.col("close").sum(),
        volume_sum=pl.col("volume").sum(),
    )
    return summary.join(batch.select("instrument_id", "engine_id"), on="instrument_id", how="left").select(
        "instrument_id",
        "engine_id",
        pl.lit(bar_seconds, pl.Int32).alias("bar_seconds"),
        "rows",
        "first_timestamp",
        "last_timestamp",
        "close_sum",
        "volume_sum",
    )


def _refuse_other_bars_than_announced(summary: pl.DataFrame, named: pl.DataFrame) -> None:
    both = named.select("instrument_id", "engine_id", "row_count").join(
        summary.select("instrument_id", "rows"), on="instrument_id", how="left"
    )
    for row in both.filter(pl.col("row_count").ne_missing(pl.col("rows"))).head(1).iter_rows(named=True):
        raise ExportError(
            f"the reader gave {row['rows'] or 0} bars, but the slice announces {row['row_count']}",
            where=row["engine_id"],
            next_step="the data changed while it was read: export again",
        )
