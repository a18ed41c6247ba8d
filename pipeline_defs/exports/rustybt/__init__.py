"""Folders that rustybt 0.3.3 opens as its ``ZIPLINE_ROOT``.

A folder holds two bundles of the same bars. The *decimal bundle* (Parquet, in the layout of rustybt's own ingestion) is
exact and is read by rustybt's Polars readers and portal. The *run bundle* (zipline's bcolz layout) is what
``rustybt run`` and ``run_algorithm`` read rightly; it is written where its whole numbers can hold the bars exactly.

What is here: names and refusals (`naming`, `checks`), the two bundles (`parquet_bundle`, `run_bundle` with `bcolz`,
`calendars` and `adjustments`), SQLite files of fixed bytes (`databases`), and the verification by rustybt in an
environment of its own (`engine`, `reading`, `truth`, `verify`).
"""
