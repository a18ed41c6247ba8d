"""Functions that are called like parsers and need no target, each with the reason."""

from __future__ import annotations

from typing import Final

EXEMPT: Final[dict[str, str]] = {
    "cli.help_page:parse_args": "hands arguments on to the library of the command line",
    "exports.backtrader.truth:_read": "reads the warehouse",
    "exports.generic.datasets:read": "reads the warehouse",
    "exports.lean.lookup:_read": "calls a reader that has a target, and makes a finding of its refusal",
    "exports.lean.lookup:_read_properties": "hands a file to `symbol_properties.read_rows`, which has a target",
    "exports.lean.merging:_read": "hands a folder to `manifest.read_manifest`, which has a target",
    "exports.nautilus.engine_2:read_all": "runs in the environment of Nautilus 2; the engine decodes",
    "exports.nautilus.readback:_decode": "the engine decodes; its tests damage whole catalogs",
    "exports.nautilus.reading_2:read_with_version_2": "starts the process that decodes",
    "exports.rustybt.engine:read_decimal_bundle": "runs in the environment of rustybt; the engine decodes",
    "exports.rustybt.engine:read_run_bundle": "runs in the environment of rustybt; the engine decodes",
    "exports.rustybt.reading:read_with_rustybt": "starts the process that decodes",
    "markets.session_tables:_read_regular_hours": "reads a table of the package with `tables.parse_table`, which has targets",  # noqa: E501
    "migration.assembling:read": "takes bars that readers with targets gave",
    "migration.moving:_read": "reads the ledger in the database",
    "migration.moving:read_files": "goes through files with `contents.read_file`, whose readers have targets",
    "migration.reading:read_actions": "chooses among readers that have targets",
    "migration.reading:read_series": "chooses among readers that have targets",
    "migration.readings:read_contents": "chooses among readers that have targets",
    "quality.day:read": "reads the warehouse",
    "sources.interactive_brokers.ticks:read_all": "asks for pages, whose rows `replies.read_ticks` reads, which has a target",  # noqa: E501
    "sources.polygon.connection:read_key": "calls `credentials.read_credential`, which has a target",
    "sources.zerodha.client:_parse_instruments": "keeps the vendor's client from parsing",
    "storage.objects:read": "gives bytes as they are",
    "warehouse.migrations.files:read_layers": "reads files of the package",
    "warehouse.migrations.files:read_migrations": "reads files of the package",
    "warehouse.transport:_parse_timestamps": "reads what PostgreSQL wrote; tested for every value beside the module",
}
