"""What the manifest says about a catalog beyond its files: conventions, prices of settlement, and every shortcoming."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa

from pipeline_defs.exports.nautilus import naming
from pipeline_defs.exports.nautilus.rounding import DETAIL, rounding_notes
from pipeline_defs.exports.nautilus.settlement import (
    official_notes,
    settlement_notes,
    settlements,
)
from pipeline_defs.exports.nautilus.targets import FIXED_BYTES
from pipeline_defs.exports.periods import change_notes

if TYPE_CHECKING:
    from pipeline_defs.exports.nautilus.place import Place
    from pipeline_defs.exports.nautilus.series import SeriesWriter
    from pipeline_defs.schema.exports import MarketSlice

_NAMES_SHOWN: Final = 5


def catalog_details(
    market: MarketSlice, place: Place, written: SeriesWriter, changes: pl.DataFrame, official: pl.DataFrame
) -> dict[str, Any]:
    """Say what cannot be read off the files.

    Parameters
    ----------
    market : MarketSlice
        What was exported.
    place : Place
        Where to.
    written : SeriesWriter
        After everything was written.
    changes : polars.DataFrame
        From `periods.changing_terms`.
    official : polars.DataFrame
        From `settlement.official_settlements`.

    Returns
    -------
    dict
        `details` of the manifest.

    """
    terms = written.terms
    expiries = settlements(terms.filter(pl.col("kind") == "OPT"), pl.concat(written.underlying), place.end)
    venue = terms.item(0, "venue")
    underlying = f"{terms.item(0, 'root')}.{venue}"
    no_lot = terms.filter(pl.col("lot_size").is_null() & pl.col("kind").is_in(["FUT", "OPT"])).sort("engine_id")
    notes = settlement_notes(expiries, underlying, market.bar_seconds)
    notes += official_notes(official)
    if place.target.has_index_prices and official["is_delivered"].any():
        notes.append("this version settles options on a share only in a run that holds trades of the share")
    notes += change_notes(
        changes, terms.select("instrument_id", name="engine_id"), "the instrument's info, under 'terms'"
    )
    if no_lot.height > 0:
        shown = ", ".join(no_lot["engine_id"].head(_NAMES_SHOWN).to_list())
        more = ", ..." if no_lot.height > _NAMES_SHOWN else ""
        notes.append(f"the lot size of {no_lot.height} contracts is not known, 1 was written: {shown}{more}")
    notes += _left_out_notes(written.left_out)
    notes += rounding_notes(written.rounded)
    classes = {"Bar", "OptionGreeks", *(naming.CLASSES[kind] for kind in terms["kind"].unique())}
    if market.ticks is not None:
        classes |= {"TradeTick", "QuoteTick"}
    if place.target.has_index_prices:
        classes |= {"IndexPriceUpdate"}
    return {
        "nautilus_trader": place.target.engine.rpartition(" ")[2],
        "target": place.target.name,
        "pyarrow": pa.__version__,
        "precision_bytes": FIXED_BYTES,
        "schema_fingerprint": place.target.fingerprint(classes),
        "schema_classes": sorted(classes),
        "venue": venue,
        "bar_specifications": [naming.bar_specification(part.bar_seconds) for part in market.every_resolution],
        "stamp": "close of the bar, in ts_event and in ts_init, UTC",
        "expiration": "close of the last session plus 1 ns",
        "start": place.start.isoformat(),
        "end": place.end.isoformat(),
        "settlements": [
            {
                "expiry": row["expiry"].isoformat(),
                "underlying": underlying,
                "price": None if row["close"] is None else str(row["close"]),
                "timestamp": None if row["timestamp"] is None else row["timestamp"].isoformat(),
            }
            for row in expiries.iter_rows(named=True)
        ],
        "lot_size_unknown": no_lot.height,
        "terms_changing": changes["instrument_id"].n_unique(),
        "open_interest_left_out": written.left_out.get("open_interest", 0),
        "notes": notes,
        **({DETAIL: written.rounded} if any(written.rounded.values()) else {}),
    }


def _left_out_notes(left_out: dict[str, int]) -> list[str]:
    sentences = {
        "open_interest": "open interest of {} bars is left out: Nautilus has a place for that of options only",
        "quote_sizes": "{} quotes came without a size on one side, 0 was written there",
    }
    return [sentence.format(left_out[what]) for what, sentence in sentences.items() if left_out.get(what, 0) > 0]
