"""The format of Nautilus 2, as its pre-release 2.0.0rc6 writes it: decimals, time stamps, plural folders.

Version 2 cannot be installed beside 1.231, so its schemas are said here; a test and every verification read the files
with the pre-release in an environment of its own. Arrow only.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa

from pipeline_defs.exports.nautilus.files import ROW_OPTIONS, parquet_file
from pipeline_defs.exports.nautilus.targets import FIXED_PRECISION, Target

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION: Final = "2.0.0rc6"
"""The version whose own files these schemas are; pinned in ``requirements-nautilus2.txt``."""

_INSTANT: Final = pa.timestamp("ns", "UTC")
_FIXED: Final = pa.decimal128(38, FIXED_PRECISION)
_LABEL: Final = pa.dictionary(pa.int8(), pa.string())
_TEXT: Final = pa.string()
_SMALL: Final = pa.uint8()

_FOLDERS: Final = {
    "Bar": "bars",
    "TradeTick": "trades",
    "QuoteTick": "quotes",
    "OptionGreeks": "option_greeks",
    "IndexPriceUpdate": "index_prices",
    "IndexInstrument": "index_instrument",
    "Equity": "equity",
    "FuturesContract": "futures_contract",
    "OptionContract": "option_contract",
    "CurrencyPair": "currency_pair",
}
_GREEKS: Final = ("delta", "gamma", "vega", "theta", "rho")
_IMPLIED: Final = ("mark_iv", "bid_iv", "ask_iv", "underlying_price", "open_interest")
_LIMITS: Final = ("max_quantity", "min_quantity", "max_price", "min_price")

_TYPES: Final = {
    "price_precision": _SMALL,
    "size_precision": _SMALL,
    "activation_ns": _INSTANT,
    "expiration_ns": _INSTANT,
    "ts_event": _INSTANT,
    "ts_init": _INSTANT,
    "info": pa.json_(pa.string()),
}
"""Columns of instruments that are not text."""

_NULLABLE: Final = {*_LIMITS, "max_notional", "min_notional", "tick_scheme", "info", "isin", "exchange"}
_TAIL: Final = ("margin_init", "margin_maint", "tick_scheme", "info", "ts_event", "ts_init")

_NAMES: Final = ("id", "raw_symbol")
_INCREMENTS: Final = ("price_increment", "size_increment")
_PRECISIONS: Final = ("price_precision", "size_precision")
_LOTS: Final = ("multiplier", "lot_size")
_LIFE: Final = ("activation_ns", "expiration_ns")
_CONTRACT: Final = (*_NAMES, "underlying", "asset_class", "exchange")

_INSTRUMENTS: Final[dict[str, tuple[str, ...]]] = {
    "IndexInstrument": (
        *(*_NAMES, "currency", "price_precision", "price_increment", "size_precision", "size_increment"),
        *_TAIL[2:],
    ),
    "Equity": (*_NAMES, "currency", "price_precision", "price_increment", "lot_size", "isin", *_LIMITS, *_TAIL),
    "FuturesContract": (*_CONTRACT, "currency", *_PRECISIONS, *_INCREMENTS, *_LOTS, *_LIFE, *_LIMITS, *_TAIL),
    "OptionContract": (
        *(*_CONTRACT, "option_kind", "strike_price", "currency", *_LIFE),
        *(*_PRECISIONS, *_INCREMENTS, *_LOTS, *_LIMITS, *_TAIL),
    ),
    "CurrencyPair": (
        *(*_NAMES, "base_currency", "quote_currency", *_PRECISIONS, *_INCREMENTS, *_LOTS),
        *("max_quantity", "min_quantity", "max_notional", "min_notional", "max_price", "min_price"),
        *_TAIL,
    ),
}
"""Columns of each class in order."""

_OPTIONAL_LOT: Final = {"Equity", "CurrencyPair"}


def _required(names: Iterable[str], kind: pa.DataType) -> list[pa.Field]:
    return [pa.field(name, kind, nullable=False) for name in names]


_TIMES: Final = _required(("ts_event", "ts_init"), _INSTANT)
_SERIES: Final = {
    "Bar": _required(("open", "high", "low", "close", "volume"), _FIXED),
    "TradeTick": [
        *_required(("price", "size"), _FIXED),
        *_required(("aggressor_side",), _LABEL),
        *_required(("trade_id",), _TEXT),
    ],
    "QuoteTick": _required(("bid_price", "ask_price", "bid_size", "ask_size"), _FIXED),
    "OptionGreeks": [
        *_required(("convention",), _LABEL),
        *_required(_GREEKS, pa.float64()),
        *(pa.field(name, pa.float64()) for name in _IMPLIED),
    ],
    "IndexPriceUpdate": [pa.field("value", _FIXED)],
}


@functools.cache
def _schema(class_name: str) -> pa.Schema:
    if class_name in _SERIES:
        return pa.schema([*_SERIES[class_name], *_TIMES])
    optional = _NULLABLE | ({"lot_size"} if class_name in _OPTIONAL_LOT else set())
    return pa.schema(
        [pa.field(name, _TYPES.get(name, _TEXT), nullable=name in optional) for name in _INSTRUMENTS[class_name]]
    )


class Target2(Target):
    """What the pre-releases of Nautilus 2 read."""

    name = "2"
    engine = f"nautilus_trader {VERSION}"
    has_index_prices = True

    def schema(self, class_name: str) -> pa.Schema:  # noqa: D102 -- the port says it
        return _schema(class_name)

    def folder(self, class_name: str) -> str:  # noqa: D102 -- the port says it
        return _FOLDERS[class_name]

    def metadata(  # noqa: D102 -- the port says it
        self, class_name: str, instrument_id: str, precisions: tuple[int, int], bar_type: str
    ) -> dict[str, str]:
        price, size = (str(precision) for precision in precisions)
        words = {"bar_type": bar_type} if class_name == "Bar" else {}
        words |= {"instrument_id": instrument_id}
        if class_name != "OptionGreeks":
            words |= {"price_precision": price}
        if class_name in {"Bar", "TradeTick", "QuoteTick"}:
            words |= {"size_precision": size}
        return words | {"type_name": class_name}

    def instrument_files(self, class_name: str, rows: pl.DataFrame) -> list[bytes]:  # noqa: D102 -- the port says it
        schema = self.schema(class_name)
        told = rows.with_columns(
            tick_scheme=pl.lit(None, pl.String),
            # Version 2 gives contracts the smallest quantity of one unit by itself, and says so in its files.
            min_quantity=pl.when(pl.col("kind").is_in(["FUT", "OPT"])).then(pl.lit("1")).otherwise("min_quantity"),
            info=pl.when(pl.col("info") != "{}").then("info"),
        ).with_columns(
            pl.col(field.name).cast(pl.Int64).cast(pl.Datetime("ns", "UTC"))
            for field in schema
            if pa.types.is_timestamp(field.type)
        )
        plain = pa.schema([field.with_type(_stored(field.type)) for field in schema])
        table = told.select(schema.names).to_arrow().cast(plain).combine_chunks()
        columns = [
            pa.ExtensionArray.from_storage(field.type, column.combine_chunks())
            if isinstance(field.type, pa.BaseExtensionType)
            else column
            for field, column in zip(schema, table.columns, strict=True)
        ]
        whole = pa.Table.from_arrays(columns, schema=schema)
        options = ROW_OPTIONS | {"store_schema": True}
        return [
            parquet_file(
                whole.slice(row, 1).replace_schema_metadata({"instrument_id": engine_id, "type_name": class_name}),
                options,
            ).to_pybytes()
            for row, engine_id in enumerate(rows["id"].to_list())
        ]


def _stored(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
