"""Prices that jump and come back at once, measured by how much instruments of the same class move.

The scale of a class is the median absolute log return from one bar to the next (times 1.4826, which makes it the
standard deviation of a normal distribution), so that no outlier can widen its own yardstick. Classes: each index,
future, share and pair by itself; options by underlying, expiry, side and price band, since an option at 2 rupees moves
in steps that one at 400 never makes. Busy half hours have a scale of their own. No scale is smaller than one tick.

A defect is a price that leaves and returns within one row, or a high or low far outside of what surrounds it, while the
others of its market stay where they are: a gap of the whole market does neither. A share's day is held against the
median close of the days before, which no single wrong day moves; where a split is known, it is not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.quality.rows import describe_rows, first_of
from pipeline_defs.quality.series import within_series
from pipeline_defs.quality.specs import DAILY, Outcome
from pipeline_defs.schema.tables import DAY

if TYPE_CHECKING:
    from pipeline_defs.quality.day import Day

MOST_SCALES: Final = 12.0
"""A move beyond so many scales of its class is none of its ordinary ones."""

MATERIAL: Final = {"SPOT": 0.004, "FUT": 0.004, "CONT": 0.004, "EQ": 0.03, "PAIR": 0.03, "OPT": 0.25}
"""Log return by kind below which a jump is not worth anybody's look, however quiet the day."""

MATERIAL_DAILY: Final = 0.4
"""The same for the daily high or low of a share against its open and close: beyond every price band."""

MATERIAL_DAYS: Final = math.log(2)
"""The same for a day's close against the days before: doubled or halved."""

_RETURNED_SHARE: Final = 0.5
"""What is left of a jump after it came back is at most this part of it."""

_LIKEWISE_SHARE: Final = 0.3
"""If the others of the market moved the same way by this part of the jump, the market moved."""

_MARKET: Final = (
    pl.when(pl.col("kind").is_in(["OPT", "FUT", "CONT"]))
    .then(pl.concat_str("underlying", pl.col("kind").replace("CONT", "FUT"), pl.col("option_type").fill_null("")))
    .otherwise("kind")
    .alias("market")
)
"""Whose moves explain a jump: futures, and options of a side, have those of their underlying; an index, share or pair
has all of its kind."""

_NORMAL: Final = 1.4826
_BANDS_AN_OCTAVE: Final = 1
_BUCKET_MICROSECONDS: Final = 30 * 60 * 1_000_000
_FEWEST_RETURNS: Final = 30
"""A class with fewer in a half hour takes its scale from the whole day."""

_CLOSES_BEFORE: Final = """
SELECT o.instrument_id, percentile_disc(0.5) WITHIN GROUP (ORDER BY o.close) AS before
FROM {table} AS o
WHERE o."timestamp" >= %(start)s - interval '10 days' AND o."timestamp" <= %(start)s
  AND o.source = %(source)s AND o.bar_seconds = 86400
  AND NOT EXISTS (SELECT FROM corporate_actions AS a
                  WHERE a.instrument_id = o.instrument_id AND a.kind = 'split'
                    AND a.ex_date > %(trade_date)s - 10 AND a.ex_date <= %(trade_date)s)
GROUP BY o.instrument_id
"""


def judge_outliers(day: Day, series: pl.DataFrame) -> Outcome:
    """Look for prices that jump and come back.

    Parameters
    ----------
    day : Day
        The partition.
    series : polars.DataFrame
        Its prices, as `pipeline_defs.quality.series.read_series` gives them.

    Returns
    -------
    Outcome

    """
    # A daily bar of a derivative spans a life of its own; only shares have enough of their like.
    judged = series.filter((pl.col("bar_seconds") < DAY) | (pl.col("kind") == "EQ"))
    moves = _moves(judged).with_columns(from_before=_from_before(day, judged))
    # No limit is below what is material: on most days nothing is, and no scale need be worked out.
    none = pl.lit(0.0)
    if moves.filter(_jumps(none) | _sticks_out(none) | _strays(none)).height:
        moves = _with_scales(moves)
    else:
        moves = moves.clear().with_columns(scale=none)
    scale = pl.col("scale")
    candidates = moves.filter(_jumps(scale) | _sticks_out(scale) | _strays(scale)).with_columns(
        jump=pl.when(_strays(scale).fill_null(value=False))
        .then("from_before")
        .when(_jumps(scale).fill_null(value=False))
        .then("came")
        .otherwise(pl.when(pl.col("above") >= pl.col("below")).then("above").otherwise(-pl.col("below")))
    )
    found = _alone(candidates, moves, day.instruments) if candidates.height else candidates
    shown = first_of(found)
    notes = [
        f"{math.expm1(jump):+.1%} against what surrounds it, usual {scale:.2%}"
        for jump, scale in shown.select("jump", "scale").iter_rows()
    ]
    return Outcome(
        judged.height,
        found.height,
        f"moves within {MOST_SCALES:.0f} scales of their class, or that last",
        f"{found.height} of {judged.height} prices came and went" if found.height else f"{judged.height} prices",
        failures=describe_rows(day, shown, notes),
    )


def _limit(scale: pl.Expr) -> pl.Expr:
    return pl.max_horizontal(MOST_SCALES * scale, pl.col("material"))


def _jumps(scale: pl.Expr) -> pl.Expr:
    """Tell whether a price leaves and returns."""
    came, went, limit = pl.col("came"), pl.col("went"), _limit(scale)
    left = (came + went).abs()
    return (
        (came.abs() > limit)
        & (went.abs() > limit)
        & (came * went < 0)
        & (left < _RETURNED_SHARE * pl.min_horizontal(came.abs(), went.abs()))
    )


def _sticks_out(scale: pl.Expr) -> pl.Expr:
    """Tell whether a high or low lies far outside of what surrounds it."""
    return pl.max_horizontal("above", "below") > _limit(scale)


def _strays(scale: pl.Expr) -> pl.Expr:
    """Tell whether a day's close is far from the days before."""
    return pl.col("from_before").abs() > pl.max_horizontal(MOST_SCALES * scale, MATERIAL_DAYS)


def _from_before(day: Day, moves: pl.DataFrame) -> pl.Series:
    """Give the log return of each daily row of a share from the median close of the days before."""
    if day.dataset != DAILY:
        return pl.repeat(None, moves.height, dtype=pl.Float64, eager=True)
    before = day.read(_CLOSES_BEFORE, {"instrument_id": pl.Int32(), "before": pl.Float64()})
    joined = moves.join(before, on="instrument_id", how="left", maintain_order="left")
    return joined.select((pl.col("close") / pl.col("before")).log()).to_series()


def _moves(series: pl.DataFrame) -> pl.DataFrame:
    """Give each row its log returns from the row before and to the row after, and how far its extremes stick out."""
    before, after = within_series("close", 1), within_series("close", -1)
    body = pl.max_horizontal("open", "close"), pl.min_horizontal("open", "close")
    surroundings = pl.max_horizontal(body[0], before, after), pl.min_horizontal(body[1], before, after)
    daily = pl.col("bar_seconds") >= DAY
    return series.with_columns(
        came=pl.when(daily).then((pl.col("close") / pl.col("open")).log()).otherwise((pl.col("close") / before).log()),
        went=pl.when(~daily).then((after / pl.col("close")).log()),
        above=(pl.col("high") / surroundings[0]).log(),
        below=(surroundings[1] / pl.col("low")).log(),
        # Of what was there before, so that a spike does not choose its own band.
        band=(pl.min_horizontal(before, "close").log(2) * _BANDS_AN_OCTAVE).floor().cast(pl.Int32),
        material=pl.when(daily)
        .then(MATERIAL_DAILY)
        .otherwise(pl.col("kind").replace_strict(MATERIAL, default=MATERIAL["OPT"], return_dtype=pl.Float64)),
    )


def _with_scales(moves: pl.DataFrame) -> pl.DataFrame:
    """Give each row the scale of its class, of its half hour where that has enough returns, but never a calmer one."""
    # Daily rows of shares are too few by themselves: all of a price band are one class.
    daily = pl.col("bar_seconds") >= DAY
    is_option = pl.col("kind") == "OPT"
    moves = moves.with_columns(
        size=pl.col("came").abs(),
        bucket=pl.col("timestamp").to_physical() // _BUCKET_MICROSECONDS,
        group=pl.when(~daily).then("class"),
        band=pl.when(is_option | daily).then("band"),
    )
    scale = _NORMAL * pl.col("size").median()
    of_class = ["bar_seconds", "group", "band"]
    whole = moves.group_by(of_class).agg(day_scale=scale)
    halves = moves.group_by(*of_class, "bucket").agg(half_scale=scale, returns=pl.col("size").count())
    # Half hours of a quiet class take the day's scale, and a quiet half hour of a lively class as well.
    scales = halves.join(whole, on=of_class, nulls_equal=True).select(
        *of_class,
        "bucket",
        class_scale=pl.max_horizontal("day_scale", pl.when(pl.col("returns") >= _FEWEST_RETURNS).then("half_scale")),
    )
    return moves.join(
        scales, on=[*of_class, "bucket"], how="left", nulls_equal=True, maintain_order="left"
    ).with_columns(scale=pl.max_horizontal("class_scale", pl.col("tick_size") / pl.col("low")))


def _alone(candidates: pl.DataFrame, moves: pl.DataFrame, instruments: pl.DataFrame) -> pl.DataFrame:
    """Keep the jumps that the others of the same market did not make."""
    at_once = ["market", "bar_seconds", "timestamp"]
    markets = instruments.select("instrument_id", _MARKET)
    numbered = candidates.join(markets, on="instrument_id").with_row_index("number")
    others = (
        moves.join(candidates.select("bar_seconds", "timestamp").unique(), on=["bar_seconds", "timestamp"], how="semi")
        .join(markets, on="instrument_id")
        .join(numbered.select("number", "jump", *at_once, own="instrument_id"), on=at_once)
        .filter(pl.col("instrument_id") != pl.col("own"))
        .with_columns(
            likewise=pl.max_horizontal(
                pl.col("came") * pl.col("jump").sign(), pl.when(pl.col("jump") > 0).then("above").otherwise("below")
            )
        )
        .group_by("number")
        .agg(pl.col("likewise").median())
    )
    return numbered.join(others, on="number", how="left").filter(
        pl.col("likewise").fill_null(0.0) < _LIKEWISE_SHARE * pl.col("jump").abs()
    )
