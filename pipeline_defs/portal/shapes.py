"""How answers are handed over: tidy Polars frames, or the shapes that pandas users know.

A tidy frame has a row for each bar that there is. The classic shapes have a place for each bucket of the window: where
nothing traded, open, high, low, close and open interest are missing, `volume` is 0 and `price` is the last one before.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.schema.columns import PRICE, SIZE, TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from pipeline_defs.portal.calendars import Instants

RESULTS: Final = ("polars", "pandas")
_LABELS: Final[dict[str, pl.Series]] = {}
_MOST_LABELS: Final = 10_000


@dataclass(frozen=True, slots=True)
class BarWindow:
    """The bars of one instrument in a window.

    Parameters
    ----------
    symbol : str
        As it was asked for.
    closes : numpy.ndarray
        The buckets of the window, by their closes; microseconds since 1970.
    stamps : numpy.ndarray
        When each bar that there is was complete.
    columns : dict of str to polars.Series
        Of the bars; among them those that were asked for.
    seed : Decimal or None
        The last price before the window, for `price`; only where a classic shape is asked for.

    """

    symbol: str
    closes: Instants
    stamps: Instants
    columns: dict[str, pl.Series]
    seed: Decimal | None = None


def tidy(windows: Sequence[BarWindow], fields: Sequence[str]) -> pl.DataFrame:
    """Put windows under each other: ``timestamp``, ``symbol`` and the fields, by instrument as asked, then time."""
    frames = [
        pl.DataFrame(
            [one.columns["timestamp"], _label(one.symbol, len(one.stamps)), *map(one.columns.__getitem__, fields)]
        )
        for one in windows
    ]
    if len(frames) == 1:
        return frames[0]
    sizes = [name for name in ("volume", "open_interest") if name in fields]
    if any(len({frame.schema[name] for frame in frames}) > 1 for name in sizes):
        frames = [frame.with_columns(pl.col(sizes).cast(SIZE)) for frame in frames]
    return pl.concat(frames)


def _label(symbol: str, count: int) -> pl.Series:
    label = _LABELS.get(symbol)
    if label is None or len(label) < count:
        if len(_LABELS) > _MOST_LABELS:
            _LABELS.clear()
        label = _LABELS[symbol] = pl.Series("symbol", [symbol], pl.String()).new_from_index(0, max(count, 512))
    return label.slice(0, count)


def classic(
    windows: Sequence[BarWindow], fields: Sequence[str], *, one_asset: bool, one_field: bool, floats: bool
) -> Any:  # noqa: ANN401 -- pandas is optional, and carries no types here
    """Give a window as pandas users know it.

    Parameters
    ----------
    windows : sequence of BarWindow
        One for each instrument.
    fields : sequence of str
        What was asked for.
    one_asset, one_field : bool
        Whether one was asked for by itself, and not as a list of one.
    floats : bool
        Float64 in place of exact decimals.

    Returns
    -------
    pandas.Series or pandas.DataFrame
        A Series by time for one asset and one field; a frame time by field for one asset, time by asset for one field;
        else a frame with rows by (time, asset) and a column for each field.

    """
    pandas = load_pandas()
    closes = _all_closes(windows)
    index = pandas.DatetimeIndex(closes.astype("datetime64[us]"), tz="UTC", name="timestamp")
    filled = {(one.symbol, field): _filled(one, field, closes, floats=floats) for one in windows for field in fields}
    symbols = [one.symbol for one in windows]
    if one_asset and one_field:
        return pandas.Series(filled[symbols[0], fields[0]], index=index, name=symbols[0])
    if one_asset:
        return pandas.DataFrame({field: filled[symbols[0], field] for field in fields}, index=index)
    if one_field:
        return pandas.DataFrame({symbol: filled[symbol, fields[0]] for symbol in symbols}, index=index)
    rows = pandas.MultiIndex.from_product([index, symbols], names=["timestamp", "symbol"])
    columns = {field: np.stack([filled[symbol, field] for symbol in symbols], axis=1).ravel() for field in fields}
    return pandas.DataFrame(columns, index=rows)


def load_pandas() -> ModuleType:
    """Import pandas where it is used.

    Raises
    ------
    ConfigurationError
        If it is not installed.

    """
    try:
        return importlib.import_module("pandas")  # optional, and slow to load
    except ImportError as error:
        raise ConfigurationError(
            "results='pandas' needs pandas, which is not installed", next_step="pip install pandas, or ask for polars"
        ) from error


def _all_closes(windows: Sequence[BarWindow]) -> Instants:
    """Give the buckets of every window; instruments of several markets need not share them."""
    first = windows[0].closes
    if all(one.closes is first for one in windows):
        return first
    return np.unique(np.concatenate([one.closes for one in windows]))


def _filled(window: BarWindow, field: str, closes: Instants, *, floats: bool) -> np.ndarray[Any, np.dtype[Any]]:
    """Put the values of a field in their places."""
    column = window.columns[field]
    # A bar that was complete a little after its bucket's close belongs to that bucket all the same.
    places = np.searchsorted(closes, window.stamps, side="right") - 1
    as_floats = floats and field != "source"
    empty: Any = np.nan if as_floats else None
    if field == "volume":
        empty = 0.0 if as_floats else 0 if column.dtype == pl.Int64 else Decimal(0)
    filled = np.full(len(closes), empty, np.float64 if as_floats else object)
    values = column.cast(pl.Float64).to_numpy() if as_floats else np.array([*column.to_list(), None], object)[:-1]
    filled[places] = values
    if field == "price":
        _carry(filled, places, window.seed, as_floats=as_floats)
    return filled


def _carry(filled: np.ndarray[Any, np.dtype[Any]], places: Instants, seed: Decimal | None, *, as_floats: bool) -> None:
    """Carry prices forward, the one before the window into its beginning."""
    begin = int(places[0]) if len(places) else len(filled)
    if begin and seed is not None:
        filled[:begin] = float(seed) if as_floats else seed
    for at, until in zip(places, [*places[1:], len(filled)], strict=True):
        filled[at:until] = filled[at]


def present(
    symbols: Sequence[str],
    values: dict[str, list[Any]],
    *,
    one_asset: bool,
    one_field: bool,
    results: str,
    floats: bool,
) -> Any:  # noqa: ANN401 -- a scalar, a mapping, or a frame of either library
    """Give present values: a scalar, a row, or a frame, by what was asked for."""
    fields = list(values)
    if floats:
        values = {
            field: [float(one) if isinstance(one, Decimal | int) else one for one in column]
            for field, column in values.items()
        }
    if one_asset and one_field:
        return values[fields[0]][0]
    if results == "pandas":
        pandas = load_pandas()
        if one_asset:
            return pandas.Series({field: values[field][0] for field in fields}, dtype=object, name=symbols[0])
        if one_field:
            return pandas.Series(values[fields[0]], index=list(symbols), dtype=object, name=fields[0])
        return pandas.DataFrame(values, index=list(symbols), dtype=object)
    if one_asset:
        return {field: values[field][0] for field in fields}
    columns = [pl.Series("symbol", list(symbols), pl.String())]
    return pl.DataFrame([*columns, *(_column(field, values[field]) for field in fields)])


def _column(field: str, values: list[Any]) -> pl.Series:
    if field == "last_traded":
        return pl.Series(field, values, TIMESTAMP)
    if field in {"source", "contract"}:
        return pl.Series(field, values, pl.String())
    if any(isinstance(one, float) for one in values):
        return pl.Series(field, values, pl.Float64())
    if field not in {"volume", "open_interest", "bid_size", "ask_size"}:
        return pl.Series(field, values, PRICE)
    has_parts = any(isinstance(one, Decimal) for one in values)
    exact = [None if one is None else Decimal(one) for one in values] if has_parts else values
    return pl.Series(field, exact, SIZE if has_parts else pl.Int64())
