"""The real assets of one API with a policy of a minute, for `tools/watch_freshness.py`: definitions, and nothing else.

What differs from the product: the smallest window a policy can have, sensors that are on, and partitions that end with
the last session that is over, so that declarative automation can be left to work by itself.
"""

import datetime as dt

import dagster as dg

from pipeline_defs.markets.market import market
from pipeline_defs.orchestration import assets, freshness, resources
from pipeline_defs.orchestration.automation import jobs, stale
from pipeline_defs.orchestration.partitions import first_partition_date

SOURCE = "ccxt"
SECONDS = 30
WHEN_STALE = (
    dg.AutomationCondition.freshness_failed()
    & dg.AutomationCondition.in_latest_time_window()
    & ~dg.AutomationCondition.in_progress()
)


def impatient(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Give a spec the smallest window, and the condition that requests what it found stale."""
    days = dg.DailyPartitionsDefinition(first_partition_date().isoformat(), timezone=market("CRYPTO").zone)
    policy = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(seconds=60))
    return spec.replace_attributes(partitions_def=days, freshness_policy=policy, automation_condition=WHEN_STALE)


defs = dg.Definitions(
    assets=[assets.build_source_assets(SOURCE).map_asset_specs(impatient)],
    asset_checks=[freshness.build_freshness_check(SOURCE)],
    resources=resources.build_resources([SOURCE], []),
    sensors=[
        stale.build_stale_sensor(
            {SOURCE: jobs.daily_job(SOURCE)}, seconds=SECONDS, status=dg.DefaultSensorStatus.RUNNING
        ),
        dg.AutomationConditionSensorDefinition(
            "automation",
            target=dg.AssetSelection.all(),
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=SECONDS,
        ),
    ],
    executor=dg.in_process_executor,
)
