"""Checks that look at one row at a time: the tally counts them, the failing ones are looked up.

Also how a failing row is told to a person, whichever check found it: its values, and the file it came from.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.quality.day import CONDITIONS, IN_DAY
from pipeline_defs.quality.specs import MOST_FAILURES, Failure, Outcome

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from pipeline_defs.quality.day import Day

type Key = tuple[int, dt.datetime, int, int]
"""Instrument id, timestamp, bar seconds, sequence."""

_KEYS: Final = f"""
SELECT o.instrument_id, o."timestamp", o.bar_seconds, o.sequence FROM {{table}} AS o
WHERE {IN_DAY} AND o.instrument_id = ANY (%(ids)s) AND (__CONDITION__)
ORDER BY o."timestamp", o.instrument_id, o.bar_seconds, o.sequence LIMIT %(most)s
"""

# A load that spoke of an instrument names the files; which of several it was is not stored with the row.
_VALUES: Final = """
SELECT o.instrument_id, o."timestamp", o.bar_seconds, o.sequence, o.open, o.high, o.low, o.close, o.volume,
       o.bid_price, o.ask_price, o.load_id, f.file
FROM unnest(%(ids)s::integer[], %(timestamps)s::timestamptz[], %(lengths)s::integer[], %(sequences)s::integer[])
    WITH ORDINALITY AS k (instrument_id, "timestamp", bar_seconds, sequence, position)
JOIN {table} AS o ON (o."timestamp", o.instrument_id, o.bar_seconds, o.sequence, o.source)
                   = (k."timestamp", k.instrument_id, k.bar_seconds, k.sequence, %(source)s)
CROSS JOIN LATERAL (
    SELECT string_agg(DISTINCT concat_ws('/', f.path, f.member), ' or ') AS file
    FROM load_instruments AS l JOIN load_files AS f USING (load_id, file_index)
    WHERE l.load_id = o.load_id AND l.instrument_id = o.instrument_id) AS f
ORDER BY k.position
"""

_NO_VOLUME: Final = ("SPOT",)
"""Kinds that are not traded: their volume is zero by nature."""

_EXPECTED: Final = {
    "ohlc": "low <= open, close <= high, all given or none",
    "duplicates": "one bar an instrument and time",
    "outside_session": "observations within the session",
    "zero_volume": "volume above zero wherever there are prices of trades",
    "crossed_quotes": "bid at most ask",
    "locked_quotes": "bid below ask",
}


def judge_rows(day: Day, name: str) -> Outcome:
    """Judge a partition by a condition on single rows.

    Parameters
    ----------
    day : Day
        The partition.
    name : str
        A check that is a condition of `pipeline_defs.quality.day.CONDITIONS`.

    Returns
    -------
    Outcome

    """
    tally = day.tally
    if name == "zero_volume":
        untraded = day.instruments.filter(pl.col("kind").is_in(_NO_VOLUME))["instrument_id"]
        tally = tally.filter(~pl.col("instrument_id").is_in(untraded.implode()), pl.col("bar_seconds") > 0)
    examined = int(tally["quoted" if name.endswith("_quotes") else "rows"].sum())
    failing = int(tally[name].sum())
    detail = ""
    if name == "outside_session":
        detail = (
            f"{day.market.name} was closed on {day.trade_date}"
            if day.hours is None
            else f"the session was {' to '.join(map(day.clock, day.hours))} {day.market.zone}"
        )
    ids = tally.filter(pl.col(name) > 0)["instrument_id"].unique().sort().to_list()
    return Outcome(
        examined,
        failing,
        _EXPECTED[name],
        f"{failing} of {examined} rows fail" if failing else f"{examined} rows",
        detail if failing else "",
        _first_meeting(day, CONDITIONS[name], ids) if failing else (),
    )


def judge_expiry(day: Day) -> Outcome:
    """Look for observations of contracts that had expired before the trade date."""
    expired = day.instruments.filter(pl.col("expiry") < day.trade_date)
    ids = expired["instrument_id"].to_list()
    tally = day.tally
    failing = int(tally.filter(pl.col("instrument_id").is_in(ids))["rows"].sum())
    examined = int(tally["rows"].sum())
    named = ", ".join(
        f"{symbol} expired on {expiry}" for symbol, expiry in expired.select("symbol", "expiry").head(5).iter_rows()
    )
    return Outcome(
        examined,
        failing,
        f"contracts that expire on {day.trade_date} or later",
        f"{failing} of {examined} rows of {len(ids)} expired contracts" if failing else f"{examined} rows",
        named,
        _first_meeting(day, "true", ids) if failing else (),
    )


def describe(day: Day, keys: Sequence[Key], notes: Sequence[str] = ()) -> tuple[Failure, ...]:
    """Tell the values of stored rows, and which file they came from.

    Parameters
    ----------
    day : Day
        The partition.
    keys : sequence of Key
        Which rows.
    notes : sequence of str, optional
        What to say about each of them before its values.

    Returns
    -------
    tuple of Failure
        In the order of `keys`.

    """
    ids, timestamps, lengths, sequences = (list(column) for column in zip(*keys, strict=True)) if keys else ([],) * 4
    rows = day.ask(_VALUES, ids=ids, timestamps=timestamps, lengths=lengths, sequences=sequences)
    by_key = {row[:4]: row[4:] for row in rows}
    noted = notes or [""] * len(keys)
    return tuple(
        Failure(
            "; ".join(filter(None, (note, _values(key[3], by_key[tuple(key)])))),
            key[0],
            key[1],
            key[2],
        )
        for key, note in zip(keys, noted, strict=True)
    )


def first_of(failing: pl.DataFrame) -> pl.DataFrame:
    """Give the failing rows that are shown: the earliest."""
    return failing.sort("timestamp", "instrument_id").head(MOST_FAILURES)


def describe_rows(day: Day, shown: pl.DataFrame, notes: Sequence[str]) -> tuple[Failure, ...]:
    """Do the same as `describe` for rows of a frame with the columns of their keys."""
    return describe(day, shown.select("instrument_id", "timestamp", "bar_seconds", "sequence").rows(), notes)


def _first_meeting(day: Day, condition: str, ids: list[int]) -> tuple[Failure, ...]:
    template = _KEYS.replace("__CONDITION__", condition)
    return describe(day, day.ask(template, ids=ids, most=MOST_FAILURES))


def _values(sequence: int, row: tuple[object, ...]) -> str:
    names = ("open", "high", "low", "close", "volume", "bid", "ask")
    values = [f"{name} {_plain(value)}" for name, value in zip(names, row, strict=False) if value is not None]
    load_id, file = row[-2:]
    order = [f"sequence {sequence}"] if sequence else []
    return f"{' '.join(values + order)}; load {load_id}" + (f", file {file}" if file else "")


def _plain(value: object) -> str:
    """Write a decimal without the zeros that its type adds."""
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return text.rstrip("0").rstrip(".") if "." in text else text
