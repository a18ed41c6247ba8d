"""Catalogs that Nautilus Trader opens with a plain ``ParquetDataCatalog(path)``, for 1.231 or for version 2.

Building:

``naming``       what things are called: instrument ids, bar types, folders, files
``checks``       what a frame of bars or ticks must be before a byte of it is written
``ticks``        what of a tick becomes a trade, what a quote
``targets``      the formats: schemas, folders and metadata; ``target_1`` of 1.231, ``target_2`` of version 2
``encode``       frames to a target's columns
``files``        tables to Parquet files, always the same bytes
``place``        where the files of a partition go
``series``       bars and ticks, frame by frame
``instruments``  contract terms to Nautilus' instrument files
``settlement``   on which prices the engine will settle the slice's options, and the exchange's own
``details``      what the manifest says beyond the files
``build``        a slice to a catalog: the order of all these
``exporter``     the export port: builds a catalog, has it verified, validates one

Verifying:

``truth``        what a verification expects, as files for another process
``trials``       which backtest is tried, and what must come of it
``readback``     a catalog through the decoder of 1.231
``reading_2``    a catalog through version 2, which runs as the script ``engine_2`` in its own environment
``compare``      what was read against the truth, whichever version read it
``verify``, ``verify_2``  the processes that do so
``structure``    what can be wrong with files before Nautilus opens them
``validate``     the process that checks a published catalog on its own

For users of a catalog:

``reading``      several months as one backtest; ``combining`` says which may be run together
``s3``           the options with which Nautilus reads from S3

Nothing here reads the warehouse or publishes a directory. `exporter` imports without Nautilus.
"""
