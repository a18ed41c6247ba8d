"""What a stream tells: observations as they happen, and the spans in which it could not listen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt

    import polars as pl

    from pipeline_defs.sources.asking.questions import Listed


@dataclass(frozen=True, slots=True)
class Heard:
    """Observations of one instrument.

    Parameters
    ----------
    listed : Listed
        Of what.
    rows : polars.DataFrame
        `pipeline_defs.sources.asking.questions.ANSWER_SCHEMA`, in the order in which they were told.

    """

    listed: Listed
    rows: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Silence:
    """A span of which nothing is known.

    Parameters
    ----------
    start, end : datetime.datetime
        UTC: from the last sign of life to the first one after it.
    reason : str
        What was wrong, without secrets.

    """

    start: dt.datetime
    end: dt.datetime
    reason: str
