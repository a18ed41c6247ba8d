"""The answers of one window to one batch a trade date; every row of every answer in exactly one."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.markets.market import trades_in_parts
from pipeline_defs.schema.batches import (
    BATCH_ACTION_SCHEMA,
    CONTRACT_SCHEMA,
    FILE_SCHEMA,
    FRACTIONAL_OBSERVATION_SCHEMA,
    OBSERVATION_SCHEMA,
    REJECT_SCHEMA,
    Finding,
    ImportBatch,
)
from pipeline_defs.sources.asking.judging import GATHERED, gather, judge
from pipeline_defs.sources.asking.questions import Action

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from pipeline_defs.markets.market import Market
    from pipeline_defs.schema.batches import Delivery, ImportRequest
    from pipeline_defs.sources.asking.questions import Answer, Dataset, Question

INSTRUMENTS_ANSWERED: Final = "instruments_answered"
"""Finding: every instrument that trades each day has rows."""

_MAY_BE_SILENT: Final = frozenset({"OPT"})
"""Kinds that need not trade on every day."""

_MAX_SHOWN: Final = 10


class WindowOfAnswers:
    """All answers of a dataset's window.

    Parameters
    ----------
    source, layout : str
        Adapter's name; what its answers are called in provenance.
    dataset : Dataset
        What was asked.
    asked : sequence of (Question, Answer)
        All instruments.
    market : Market
        Whose days are meant.

    """

    def __init__(
        self,
        source: str,
        layout: str,
        dataset: Dataset,
        asked: Sequence[tuple[Question, Answer]],
        market: Market,
    ) -> None:
        self._source, self._layout, self._dataset, self._market = source, layout, dataset, market
        self._asked = asked
        self._rows = gather(asked, market)
        self._fractional = [index for index, (question, _) in enumerate(asked) if _is_in_parts(question.listed.terms)]

    def batch(
        self, day: dt.date, request: ImportRequest, delivery: Delivery | None, now: dt.datetime
    ) -> tuple[ImportBatch | None, str]:
        """Make the batch of one session.

        Parameters
        ----------
        day : datetime.date
            One of the window's sessions.
        request : ImportRequest
            What it is part of.
        delivery : Delivery or None
            How the warehouse knows it again; None while the source's answer is not final.
        now : datetime.datetime
            UTC.

        Returns
        -------
        tuple of ImportBatch or None, and str
            The batch; or what is wrong: a session of which no instrument has any row is an error, not an empty day.

        """
        wanted = [index for index, (question, _) in enumerate(self._asked) if question.listed.is_wanted(day)]
        if not wanted:
            reason = "no instrument of the universe is wanted on this day"
            return self._empty(day, reason, request, delivery), ""
        # A window may be wider than an instrument's own days: what was not wanted is another day's question.
        is_own = pl.col("file_index").is_in(wanted) | pl.col("reason").is_not_null()
        own = self._rows.filter((pl.col("trade_date") == day) & is_own)
        if own.is_empty():
            names = ", ".join(self._asked[index][0].listed.symbol for index in wanted[:_MAX_SHOWN])
            return None, (
                f"{self._source} {self._dataset.table} {day}: 0 bars on a trading day, of {len(wanted)} instruments"
                f" asked for ({names})"
            )
        judged = judge(own, self._dataset, day, self._market, now, fractional=self._fractional)
        good, refused = judged.filter(pl.col("reason").is_null()), judged.filter(pl.col("reason").is_not_null())
        actions = self._actions(day, wanted)
        used = pl.concat([good["file_index"], actions["file_index"]]).unique().sort()
        schema = _schema_of(fractional=bool(self._fractional))
        keys = pl.DataFrame(
            {"file_index": used, "contract_key": pl.int_range(len(used), dtype=pl.UInt32(), eager=True)}
        )
        observations = (
            good.join(keys, on="file_index", how="left", maintain_order="left")
            .with_columns(settlement_price=None)
            .select(pl.col(name).cast(dtype) for name, dtype in schema.items())
            .sort("contract_key", "timestamp", "sequence")
        )
        return ImportBatch(
            table=self._dataset.table,
            bar_seconds=self._dataset.bar_seconds,
            trade_date=day,
            contracts=self._contracts(used.to_list()),
            observations=observations,
            rejects=refused.with_columns(pl.col("text").fill_null(_shown())).select(
                pl.col(name).cast(dtype) for name, dtype in REJECT_SCHEMA.items()
            ),
            files=self._files(own, wanted, day),
            findings=(self._answered(wanted, set(good["file_index"].to_list())),),
            underlying=request.underlying,
            delivery=delivery,
            timezone=self._market.zone,
            actions=actions.join(keys, on="file_index").select(list(BATCH_ACTION_SCHEMA))
            if self._tells_actions
            else None,
        ), ""

    @property
    def _tells_actions(self) -> bool:
        """Tell whether all answers speak of actions: no word of them is not the same as none."""
        return bool(self._asked) and all(answer.actions is not None for _, answer in self._asked)

    def _empty(self, day: dt.date, reason: str, request: ImportRequest, delivery: Delivery | None) -> ImportBatch:
        return empty_batch(
            self._dataset,
            day,
            reason,
            zone=self._market.zone,
            request=request,
            delivery=delivery,
            fractional=bool(self._fractional),
        )

    def _told(self, actions: pl.DataFrame) -> pl.DataFrame | None:
        return actions if self._tells_actions else None

    def _actions(self, day: dt.date, wanted: list[int]) -> pl.DataFrame:
        found = [
            (index, *action)
            for index in (wanted if self._tells_actions else [])
            for action in self._asked[index][1].actions or ()
            if action.ex_date == day
        ]
        schema = {"file_index": pl.UInt32(), **{name: BATCH_ACTION_SCHEMA[name] for name in Action._fields}}
        return pl.DataFrame(found, schema=schema, orient="row")

    def _contracts(self, indices: list[int]) -> pl.DataFrame:
        rows = [
            {**dict.fromkeys(CONTRACT_SCHEMA), **self._asked[index][0].listed.terms, "contract_key": key}
            for key, index in enumerate(indices)
        ]
        return pl.DataFrame(rows, schema=CONTRACT_SCHEMA)

    def _files(self, own: pl.DataFrame, wanted: list[int], day: dt.date) -> pl.DataFrame:
        """Describe each answer as a file of that day: also one without rows, which says that earlier rows are gone."""
        parts = {key[0]: part for key, part in own.partition_by("file_index", as_dict=True).items()}
        files = []
        for index in sorted({*wanted, *parts}):
            question, _ = self._asked[index]
            content = _content(parts.get(index, own.clear()))
            files.append(
                (
                    index,
                    question.where,
                    None,
                    f"{self._dataset.bar_seconds}/{day}/{question.listed.vendor_id}",
                    hashlib.sha256(content).hexdigest(),
                    len(content),
                    self._layout,
                )
            )
        return pl.DataFrame(files, schema=FILE_SCHEMA, orient="row")

    def _answered(self, wanted: list[int], used: set[int]) -> Finding:
        silent = [self._asked[index][0].listed for index in wanted if index not in used]
        missed = [listed for listed in silent if listed.kind not in _MAY_BE_SILENT]
        shown = ", ".join(listed.symbol for listed in (missed or silent)[:_MAX_SHOWN])
        return Finding(
            INSTRUMENTS_ANSWERED,
            passed=not missed,
            expected=f"rows of {len(wanted)} instruments; options need not trade",
            found=f"rows of {len(wanted) - len(silent)}",
            detail=f"without: {shown}" if silent else "",
        )


def empty_batch(
    dataset: Dataset,
    day: dt.date,
    reason: str,
    *,
    zone: str,
    request: ImportRequest,
    delivery: Delivery | None,
    fractional: bool,
) -> ImportBatch:
    """Make the batch of a day on which the market was closed.

    Parameters
    ----------
    dataset : Dataset
        What would have been asked.
    day : datetime.date
        The day.
    reason : str
        Why nothing traded.
    zone : str
        Of the market.
    request : ImportRequest
        What it is part of.
    delivery : Delivery or None
        How the warehouse knows it again; None while the answer is not final.
    fractional : bool
        Whether parts of a unit trade.

    Returns
    -------
    ImportBatch

    """
    return ImportBatch(
        table=dataset.table,
        bar_seconds=dataset.bar_seconds,
        trade_date=day,
        contracts=pl.DataFrame(schema=CONTRACT_SCHEMA),
        observations=pl.DataFrame(schema=_schema_of(fractional=fractional)),
        rejects=pl.DataFrame(schema=REJECT_SCHEMA),
        files=pl.DataFrame(schema=FILE_SCHEMA),
        empty_reason=reason,
        underlying=request.underlying,
        delivery=delivery,
        timezone=zone,
    )


def _is_in_parts(terms: Mapping[str, Any]) -> bool:
    return trades_in_parts(terms["kind"], terms.get("venue"), terms.get("currency"))


def _schema_of(*, fractional: bool) -> dict[str, pl.DataType]:
    return FRACTIONAL_OBSERVATION_SCHEMA if fractional else OBSERVATION_SCHEMA


def _shown() -> pl.Expr:
    """Show a refused row as it was understood."""
    names = ("timestamp", "open", "high", "low", "close", "volume")
    return pl.concat_str((pl.col(name).cast(pl.String).fill_null("") for name in names), separator=",")


def _content(rows: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    rows.select([name for name in GATHERED if name not in {"file_index", "line", "trade_date"}]).write_csv(buffer)
    return buffer.getvalue()
