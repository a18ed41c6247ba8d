"""What the process has imported from which all others are forked; nothing here may start a thread."""

# ruff: noqa: F401 -- imported to be there

import importlib.resources.readers

import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet
import pyrate_limiter
import stamina

import pipeline_defs.cli.failing
import pipeline_defs.exports.generic.exporter
import pipeline_defs.exports.generic.verify
import pipeline_defs.greeks.session
import pipeline_defs.ingesting
import pipeline_defs.markets.tickers
import pipeline_defs.publishing
import pipeline_defs.reconciliation.session
import pipeline_defs.sources.manual_csv.adapter
import pipeline_defs.sources.nse_csv.adapter
import pipeline_defs.uploads.taking
import pipeline_defs.warehouse.maintenance
import pipeline_defs.warehouse.migrations
import pipeline_defs.warehouse.seeds
import pipeline_tests.chaos.clocks
import pipeline_tests.chaos.operations
import pipeline_tests.chaos.points
import pipeline_tests.chaos.vendor
