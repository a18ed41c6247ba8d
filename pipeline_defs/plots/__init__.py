"""Pictures of the data, for Dagster's metadata and the data report: one module a picture, each a function to SVG."""
