"""The rows of one trade date, table and resolution to one batch; every line in exactly one.

Contracts get the batch's own numbers here, refused lines find their batch, and the findings are collected.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.schema.batches import (
    CONTRACT_SCHEMA,
    FRACTIONAL_OBSERVATION_SCHEMA,
    OBSERVATION_SCHEMA,
    REJECT_SCHEMA,
    Finding,
    ImportBatch,
)
from pipeline_defs.schema.columns import MARKET_ZONE, SIZE
from pipeline_defs.schema.previews import MAX_TOLD, NothingUsableError, RefusedLine
from pipeline_defs.schema.tables import TICK
from pipeline_defs.sources.manual_csv.chunks import line_text
from pipeline_defs.sources.manual_csv.contracts import Contracts, describe_contracts
from pipeline_defs.sources.manual_csv.lines import LINE
from pipeline_defs.sources.manual_csv.rows import PLACE, REFUSED_SCHEMA
from pipeline_defs.sources.manual_csv.settling import settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.schema.batches import ImportRequest
    from pipeline_defs.sources.manual_csv.inputs import Input
    from pipeline_defs.sources.manual_csv.spool import Spool

MIN_ROWS_TO_JUDGE: Final = 100
_MAX_SHOWN: Final = 5

type Key = tuple[dt.date, str, int, bool]


@dataclass(slots=True)
class Reading:
    """Everything that was read for a request.

    Parameters
    ----------
    request : ImportRequest
        What is wanted.
    inputs : list of Input
        Files; position k is file index k.
    files : polars.DataFrame
        `FILE_SCHEMA` of the same.
    contracts : Contracts
        Of all rows.
    spool : Spool
        Rows by `PLACE`.
    refused : polars.DataFrame
        `REFUSED_SCHEMA`.
    counts : polars.DataFrame
        ``file_index``, `PLACE` and ``rows``: how many good rows each file has where.
    findings : tuple of Finding
        That hold for all batches.

    """

    request: ImportRequest
    inputs: list[Input]
    files: pl.DataFrame
    contracts: Contracts
    spool: Spool
    refused: pl.DataFrame
    counts: pl.DataFrame
    max_damaged_fraction: float
    findings: tuple[Finding, ...] = field(default=())


def build_batches(reading: Reading) -> Iterator[ImportBatch]:
    """Give the batches of a reading, by trade date, table and resolution.

    Parameters
    ----------
    reading : Reading
        Its spool is emptied.

    Yields
    ------
    ImportBatch
        Also for a table of which only refused lines are known, and, of an export, for a session without any row.

    Raises
    ------
    SourceError
        If no row and no refused line belongs to a trade date that was asked for.

    """
    refused = _placed(reading)
    stored = {_key(key) for key in reading.spool.keys()}  # noqa: SIM118 -- a spool is no dictionary
    told = {_key(key) for key in refused.select(PLACE).unique().iter_rows()}
    empty = _silent_sessions(reading, stored | told)
    for key in sorted(stored | told | set(empty)):
        if key in empty:
            yield _empty_batch(reading, key, empty[key])
        else:
            yield _batch(reading, key, refused)


def _batch(reading: Reading, key: Key, refused: pl.DataFrame) -> ImportBatch:
    trade_date, table, bar_seconds, is_pair = key
    schema = _schema_of(fractional=is_pair)
    own = refused.filter(_is_at(key)).select(list(REJECT_SCHEMA))
    contracts, observations = pl.DataFrame(schema=CONTRACT_SCHEMA), pl.DataFrame(schema=schema)
    findings = []
    parts = reading.spool.take(key)
    if parts:
        rows = pl.concat(parts, how="vertical_relaxed")
        schema = _schema_of(fractional=rows.schema["volume"] == SIZE)
        exported = {index: one.terms for index, one in enumerate(reading.inputs) if one.terms is not None}
        contracts, keys, disputed = describe_contracts(
            reading.contracts.terms(), rows["contract"], trade_date, exported
        )
        paths = [str(one.path) for one in reading.inputs]
        settled = settle(rows.with_columns(contract_key=keys), is_ticks=bar_seconds == TICK, paths=paths)
        contracts, observations = _only_used(contracts, settled.rows, schema)
        own = pl.concat([own, _with_texts(reading, settled.refused)])
        findings = [*_judge_order(settled.out_of_order), *_judge_terms(disputed)]
    findings += _judge_damage(own.height, own.height + observations.height, reading.max_damaged_fraction)
    spoken = pl.concat([observations["file_index"], own["file_index"]]).unique()
    return ImportBatch(
        table=table,
        bar_seconds=bar_seconds,
        trade_date=trade_date,
        contracts=contracts,
        observations=observations,
        rejects=own.sort("file_index", "line"),
        files=reading.files.filter(pl.col("file_index").is_in(spoken.implode())),
        findings=(*findings, *reading.findings),
        underlying=reading.request.underlying,
        timezone=_zone(is_pair=is_pair),
    )


def _empty_batch(reading: Reading, key: Key, indices: list[int]) -> ImportBatch:
    trade_date, table, bar_seconds, is_pair = key
    names = ", ".join(reading.inputs[index].logical_name for index in indices)
    return ImportBatch(
        table=table,
        bar_seconds=bar_seconds,
        trade_date=trade_date,
        contracts=pl.DataFrame(schema=CONTRACT_SCHEMA),
        observations=pl.DataFrame(schema=_schema_of(fractional=is_pair)),
        rejects=pl.DataFrame(schema=REJECT_SCHEMA),
        files=reading.files.filter(pl.col("file_index").is_in(indices)),
        findings=reading.findings,
        empty_reason=f"{names} holds no row of this session",
        underlying=reading.request.underlying,
        timezone=_zone(is_pair=is_pair),
    )


def _placed(reading: Reading) -> pl.DataFrame:
    """Find the batch of each refused line: its own, else that of most rows of its file, else the first there is."""
    is_known = pl.all_horizontal(pl.col(PLACE).is_not_null())
    refused = reading.refused
    votes = pl.concat(
        [
            reading.counts,
            refused.filter(is_known)
            .group_by("file_index", *PLACE)
            .agg(rows=pl.len().cast(pl.Int64))
            # A file without a good row goes where most of its refused lines go.
            .with_columns(pl.col("rows") - 2**40),
        ]
    ).filter(_is_covered(reading.request, "trade_date"))
    ranked = votes.sort("rows", *PLACE, descending=[True, False, False, False, False])
    if ranked.is_empty():
        raise _nothing_usable(reading)
    main = ranked.unique("file_index", keep="first", maintain_order=True).select("file_index", *PLACE)
    homeless = refused.filter(~is_known).drop(PLACE)
    found = homeless.join(main, on="file_index", how="left", maintain_order="left")
    first = main.sort(PLACE).row(0, named=True)
    found = found.with_columns(pl.col(name).fill_null(first[name]) for name in PLACE).select(list(REFUSED_SCHEMA))
    return pl.concat([refused.filter(is_known), found]).filter(_is_covered(reading.request, "trade_date"))


def _silent_sessions(reading: Reading, spoken: set[Key]) -> dict[Key, list[int]]:
    """Find the sessions of which an export speaks without having a row: confirmed to be empty."""
    silent: dict[Key, list[int]] = {}
    for index, one in enumerate(reading.inputs):
        places = reading.counts.filter(pl.col("file_index") == index).select("table", "bar_seconds", "is_pair").unique()
        for table, bar_seconds, is_pair in places.iter_rows():
            for day in one.sessions:
                key = (day, str(table), int(bar_seconds), bool(is_pair))
                if key not in spoken and reading.request.covers(day):
                    silent.setdefault(key, []).append(index)
    return silent


def _only_used(
    contracts: pl.DataFrame, rows: pl.DataFrame, schema: dict[str, pl.DataType]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep contracts that have rows, number them without gaps, and give rows the canonical columns."""
    used = rows["contract_key"].unique().sort()
    numbers = pl.DataFrame({"contract_key": used}).with_row_index("key")
    rows = rows.join(numbers, on="contract_key", how="left", maintain_order="left").with_columns(contract_key="key")
    kept = contracts[used].with_columns(contract_key=pl.int_range(pl.len(), dtype=pl.UInt32()))
    return kept, rows.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _with_texts(reading: Reading, refused: pl.DataFrame) -> pl.DataFrame:
    """Look up the lines of rows refused because of other rows, in the files once more: there are few, and seldom."""
    found = [pl.DataFrame(schema=REJECT_SCHEMA)]
    for (index,), own in refused.group_by("file_index", maintain_order=True):
        one = reading.inputs[int(str(index))]
        for chunk in one.chunks():
            lines = chunk.fields.filter(pl.col(LINE).is_in(own["line"].implode()))
            texts = lines.select(line=LINE).with_columns(text=line_text(lines, one.mapping.separator))
            found.append(own.join(texts, on="line", how="inner").select(list(REJECT_SCHEMA)))
    return pl.concat(found)


def _judge_order(out_of_order: int) -> list[Finding]:
    return [Finding("out_of_order", out_of_order == 0, "0 rows behind a later one", f"{out_of_order} rows, sorted")]


def _judge_terms(disputed: list[str]) -> list[Finding]:
    if not disputed:
        return []
    return [
        Finding(
            "disputed_terms",
            passed=False,
            expected="one lot, tick, ISIN and currency for each contract of a trade date",
            found=f"{len(disputed)} contracts with several; the first was taken",
            detail=shown(disputed),
        )
    ]


def _judge_damage(rejected: int, read: int, most: float) -> list[Finding]:
    if read < MIN_ROWS_TO_JUDGE or rejected <= most * read:
        return []
    expected = f"at most {most:.0%} of lines refused"
    return [Finding("damaged_fraction", passed=False, expected=expected, found=f"{rejected} of {read}")]


def shown(names: list[str]) -> str:
    """Name some of many.

    Parameters
    ----------
    names : list of str
        All of them.

    Returns
    -------
    str

    """
    more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
    return ", ".join(names[:_MAX_SHOWN]) + more


def _is_covered(request: ImportRequest, column: str) -> pl.Expr:
    after = pl.lit(value=True) if request.start_date is None else pl.col(column) >= request.start_date
    return after if request.end_date is None else after & (pl.col(column) <= request.end_date)


def _schema_of(*, fractional: bool) -> dict[str, pl.DataType]:
    return FRACTIONAL_OBSERVATION_SCHEMA if fractional else OBSERVATION_SCHEMA


def _zone(*, is_pair: bool) -> str:
    """Name the zone whose days the trade dates are."""
    return "UTC" if is_pair else MARKET_ZONE


def _is_at(key: Key) -> pl.Expr:
    return pl.all_horizontal(pl.col(name) == value for name, value in zip(PLACE, key, strict=True))


def _key(values: tuple[object, ...]) -> Key:
    day, table, bar_seconds, is_pair = values
    if not isinstance(day, dt.date):
        raise TypeError(f"trade date was {day!r}")
    return day, str(table), int(str(bar_seconds)), bool(is_pair)


def _nothing_usable(reading: Reading) -> SourceError:
    request, refused = reading.request, reading.refused
    days = [day for (day,) in reading.counts.select("trade_date").unique().sort("trade_date").iter_rows()]
    where = ", ".join(str(one.path) for one in reading.inputs[:_MAX_SHOWN])
    if days:
        return SourceError(
            f"holds no trade date from {request.start_date or 'the first'} to {request.end_date or 'the last'};"
            f" it has {days[0]} to {days[-1]}",
            where=where,
            next_step="check the dates asked for",
        )
    if refused.is_empty():
        return SourceError(f"holds no row of underlying {request.underlying}", where=where)
    row = refused.row(0, named=True)
    paths = [str(one.path) for one in reading.inputs]
    first = refused.sort("file_index", "line").head(MAX_TOLD).select("file_index", "line", "reason", "text")
    counts = refused.group_by("file_index", "reason").len()
    return NothingUsableError(
        f"none of {refused.height} lines was usable; the first: line {row['line']}, {row['reason']}: {row['text']}",
        where=where,
        next_step="check the mapping of the file's columns",
        refused=tuple(RefusedLine(paths[index], *rest) for index, *rest in first.iter_rows()),
        counts={(paths[index], reason): lines for index, reason, lines in counts.iter_rows()},
    )
