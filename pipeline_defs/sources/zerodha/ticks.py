"""What the ticker tells to the rows of an answer.

Kite tells the state of an instrument, several times a second, and not its trades: a message without a new trade is a
change of the quotes, and its volume is zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.sources.asking.exact import prices_of
from pipeline_defs.sources.asking.questions import answer_rows
from pipeline_defs.sources.asking.streaming import Heard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_defs.sources.asking.questions import Listed

_ROW: Final[dict[str, pl.DataType]] = {
    "token": pl.Int64(),
    "second": pl.Int64(),
    "price": pl.String(),
    "quantity": pl.Int64(),
    "day_volume": pl.Int64(),
    "interest": pl.Int64(),
    "bid_price": pl.String(),
    "bid_size": pl.Int64(),
    "ask_price": pl.String(),
    "ask_size": pl.Int64(),
}
_HAS_INTEREST: Final = frozenset({"FUT", "OPT"})


class Ticks:
    """Reads ticks, remembering each instrument's volume of the day.

    Parameters
    ----------
    listed : sequence of Listed
        Instruments that are listened to.

    """

    def __init__(self, listed: Sequence[Listed]) -> None:
        self._listed = {int(one.vendor_id): one for one in listed}
        self._volumes: dict[int, int] = {}

    def heard(self, told: list[list[Any]]) -> list[Heard]:
        """Read rows of `pipeline_defs.sources.zerodha.ticker_process.row_of`, with prices as text.

        Parameters
        ----------
        told : list of list
            In the order in which they came, of any instruments.

        Returns
        -------
        list of Heard
            One for each instrument, in that order.

        """
        frame = pl.DataFrame(told, schema=_ROW, orient="row").filter(pl.col("token").is_in(list(self._listed)))
        return [
            self._one(int(key[0]), part)
            for key, part in frame.partition_by("token", maintain_order=True, as_dict=True).items()
        ]

    def _one(self, token: int, part: pl.DataFrame) -> Heard:
        listed = self._listed[token]
        before = part["day_volume"].shift(1)
        if token in self._volumes:
            before = pl.concat([pl.Series([self._volumes[token]], dtype=pl.Int64), before[1:]])
        is_new = (part["day_volume"] != before).fill_null(value=True)
        volume = part["quantity"].zip_with(is_new, pl.zeros(part.height, pl.Int64, eager=True))
        last = part["day_volume"].drop_nulls()
        if len(last):
            self._volumes[token] = last[-1]
        price = prices_of(part["price"])
        return Heard(
            listed,
            answer_rows(
                {
                    "timestamp": pl.from_epoch(part["second"], time_unit="s")
                    .dt.replace_time_zone("UTC")
                    .cast(TIMESTAMP),
                    **dict.fromkeys(("open", "high", "low", "close"), price),
                    "volume": volume if part["quantity"].null_count() == 0 else part["quantity"],
                    "open_interest": part["interest"]
                    if listed.kind in _HAS_INTEREST
                    else pl.Series([None] * part.height, dtype=pl.Int64),
                    "bid_price": prices_of(part["bid_price"]),
                    "bid_size": part["bid_size"],
                    "ask_price": prices_of(part["ask_price"]),
                    "ask_size": part["ask_size"],
                }
            ),
        )
