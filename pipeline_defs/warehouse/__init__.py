"""PostgreSQL and TimescaleDB: the single source of truth.

Here live the migrations, the one import path, the reads and the bars. SQL knowledge stays in this room: sources hand
over frames, exporters receive frames, and neither sees a table. Nothing here imports Dagster.
"""
