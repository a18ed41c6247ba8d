"""Questions as the shared code would ask them."""

from __future__ import annotations

import datetime as dt

from pipeline_defs.sources.asking.calling import Patience
from pipeline_defs.sources.asking.questions import Dataset, Listed, Question, Window
from pipeline_defs.sources.polygon.adapter import PolygonSource
from pipeline_tests.sources.polygon.offline import DAY

QUICK = Patience(tries=3, total_seconds=5, try_seconds=2, first_wait_seconds=0.01)
NOW = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
DATASETS = {dataset.table: dataset for dataset in PolygonSource.datasets}


def question(
    source: PolygonSource, table: str = "spot_prices", *, name: str = "AAPL", dataset: Dataset | None = None
) -> Question:
    """Make the question about one instrument on `DAY`."""
    of = dataset or DATASETS[table]
    kind = "OPT" if name.startswith("O:") else "SPOT" if name.startswith("I:") else "EQ"
    listed = Listed(name, {"kind": kind, "symbol": name, "underlying": name})
    start, end = source.market.bounds(DAY)
    return Question(source.name, source.version, of, listed, Window(DAY, DAY), start, end)
