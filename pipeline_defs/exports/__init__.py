"""Engine-verified exports: frames in, published catalogs out, one folder per engine format.

``registry``   the formats by name; a new one is a folder and a line there
``run``        the one way from a slice to a published export: build, verify, manifest, publish
``manifest``   what an export says about itself, and whether its files still agree with that
``validating`` any export on its own: its manifest, and what its format can say of the files
``nautilus``   catalogs for Nautilus Trader
``backtrader`` CSV files, a contracts sidecar and a loader for Backtrader
``generic``    CSV and Parquet files for any tool, described by a sidecar

A format knows the schema and its engine, not the warehouse and not the other formats.
"""
