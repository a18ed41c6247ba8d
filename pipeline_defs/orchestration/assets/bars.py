"""Hourly and daily bars of options as assets: they follow `options_ticks`, one partition a trading session.

An import refreshes the bars it touched by itself. Materialising them makes sure of it, and gives them a place in the
lineage where checks can hold them against the observations.
"""

import datetime as dt
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import dagster as dg

import pipeline_defs
from pipeline_defs.errors import WarehouseError
from pipeline_defs.orchestration import evidence, pictures
from pipeline_defs.orchestration.assets import teaching
from pipeline_defs.orchestration.assets.describing import BARS, OWNERS, failures_explained
from pipeline_defs.orchestration.assets.sources import table_key
from pipeline_defs.orchestration.columns import BAR_SCHEMA
from pipeline_defs.orchestration.partitions import session_partitions
from pipeline_defs.orchestration.resources import WAREHOUSE, open_warehouse_of
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.days import day_bounds

BAR_TABLES: Final = {
    "options_hourly": "Session hours of each option; the first begins at the session's open.",
    "options_daily": "Sessions of each option.",
}


def build_bar_assets(sources: Sequence[str]) -> dg.AssetsDefinition:
    """Make the assets of the bar tables.

    Parameters
    ----------
    sources : sequence of str
        Adapters whose options the bars are made of.

    Returns
    -------
    dagster.AssetsDefinition
        `options_hourly` and `options_daily`, refreshed together.

    """
    partitions = session_partitions()

    @dg.multi_asset(
        name="refresh_bars",
        specs=[_spec(*table, sources, partitions) for table in BAR_TABLES.items()],
        required_resource_keys={WAREHOUSE},
    )
    def bar_assets(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        """Bring one session's bars up to date with its observations."""
        trade_date = dt.date.fromisoformat(context.partition_key)
        started = time.perf_counter()
        with failures_explained():
            opened = open_warehouse_of(context.resources)
            _refresh(opened, trade_date)
        seconds = time.perf_counter() - started
        for table in BAR_TABLES:
            state = evidence.bar_state(opened, table, trade_date)
            with failures_explained():
                _refuse_nothing(table, trade_date, state.rows)
            yield dg.MaterializeResult(
                asset_key=table,
                data_version=dg.DataVersion(state.content_hash),
                metadata={
                    "dagster/partition_row_count": state.rows,
                    "instruments": state.instruments,
                    "seconds": round(seconds, 3),
                    **(pictures.bar_pictures(opened, trade_date) if table == "options_daily" else {}),
                },
            )

    return bar_assets


def _spec(table: str, meaning: str, sources: Sequence[str], partitions: dg.PartitionsDefinition) -> dg.AssetSpec:
    return dg.AssetSpec(
        table,
        deps=[table_key(source, "options_ticks") for source in sources],
        description=teaching.of_bars(meaning),
        group_name=BARS,
        owners=OWNERS,
        kinds={"sql", "postgres"},
        tags={"market": "nse"},
        code_version=pipeline_defs.__version__,
        partitions_def=partitions,
        metadata={"dagster/table_name": f"public.{table}", "dagster/column_schema": BAR_SCHEMA},
    )


def _refresh(warehouse: Warehouse, trade_date: dt.date) -> None:
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("CALL refresh_bars(%s, %s)", day_bounds(trade_date))


def _refuse_nothing(table: str, trade_date: dt.date, rows: int) -> None:
    if rows == 0:
        raise WarehouseError(
            f"{table} has no bar on {trade_date}",
            where="options_ticks",
            next_step=f"materialise options_ticks of {trade_date} first",
        )
