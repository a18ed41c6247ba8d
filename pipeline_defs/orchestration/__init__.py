"""The Dagster wing: everything that knows Dagster, and nothing that knows markets, files or SQL tables better.

``partitions``  trading sessions, and month x underlying
``resources``   the two ports (sources in, catalogs out) and the warehouse
``assets``      one factory for the tables of a source, one for bars, one for catalogs
``checks``      what must hold before anything downstream may run
``freshness``   policies, and the check that is exact by sessions
``automation``  jobs, schedules and sensors: after a close, while a market is open, at a month's end, on arrival
``uploads``     people's own files: asset, job and sensor
``commands``    what the command line does, as jobs: imports and exports
``evidence``    what a partition of the warehouse holds and where it came from
``comparisons`` what checks hold against each other
``intraday``    the course of a session, for plots
``importing``   one session of one source into the warehouse
``landing``     which trade dates the landing folder holds
``columns``     column schemas for the UI
``display``     tables and small plots for metadata
``pictures``    the pictures of materialisations
``pools``       how many runs may ask a source at once
``instance``    the local Dagster home
``runs``        the same assets, run in this process

An asset reads its partition, calls one function of another room and reports. Nothing outside this folder imports it
but the command line, and nothing here may import polars, a database driver or an engine at module level: every run,
step, sensor tick and code server imports these modules first.
"""
