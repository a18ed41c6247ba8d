"""The product on one page: sources come in, bars are derived, verified catalogs go out, checks watch over all."""

from itertools import chain

import dagster as dg

from pipeline_defs.exports.registry import EXPORTERS
from pipeline_defs.orchestration import (
    assets,
    automation,
    checks,
    commands,
    freshness,
    log_lines,
    resources,
    uploads,
)
from pipeline_defs.orchestration.assets import gaps, report
from pipeline_defs.orchestration.executors import choose_executor
from pipeline_defs.sources.registry import SOURCES, api_sources, trading_at

log_lines.choose_format()
sources, formats = sorted(SOURCES), sorted(EXPORTERS)

defs: dg.Definitions = dg.Definitions(
    assets=[
        *map(assets.build_source_assets, sources),
        assets.build_bar_assets(trading_at("NSE", "options_ticks")),
        assets.build_greeks_asset(trading_at("NSE", "options_ticks")),
        *map(assets.build_catalog_assets, formats),
        assets.build_certificate_asset(formats),
        assets.build_reconciliation_asset(),
        uploads.uploads_asset,
        report.report_asset,
        *map(gaps.build_gap_asset, sources),
        gaps.backfill_asset,
    ],
    asset_checks=[
        *chain.from_iterable(map(checks.build_source_checks, sources)),
        *chain.from_iterable(map(checks.build_quality_checks, sources)),
        *chain.from_iterable(map(gaps.build_gap_checks, sources)),
        *checks.build_bar_checks(),
        assets.build_greeks_checks(),
        *map(checks.build_catalog_checks, formats),
        *map(freshness.build_freshness_check, api_sources()),
    ],
    resources=resources.build_resources(sources, formats),
    jobs=[*automation.JOBS, *commands.JOBS, uploads.TAKE_IN_UPLOADS, gaps.FILL_GAPS],
    schedules=automation.SCHEDULES,
    sensors=[*automation.SENSORS, uploads.uploads_sensor],
    executor=choose_executor(),
)
