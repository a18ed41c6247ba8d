"""What keeps an instance of Dagster well, and tells how it is.

Put here what reads or tidies runs, events, heartbeats and queues. What needs no Dagster (the database, disks, buckets,
the form of metrics and log lines) is in `pipeline_defs.operations`.
"""
