"""Moving in from rustybt and zipline: old stores are read, planned and imported; they are never written.

One idea a module, in the order in which they build on each other:

``legacy``           what an old store says about itself, as values
``frames``           the frames in which old bars leave the readers
``plan``             what was found and is to be done, as values
``reasons``          why a bundle is quarantined, why a line is no bar, what is compared

``walking``          what lies below a folder, completely
``read_only``        SQLite files, read without a trace
``global_databases`` ``assets-8.db`` to ``assets-10.db``
``bundle_databases`` ``metadata.db`` inside a bundle
``amounts``          columns of whatever type to exact rows and refused lines
``parquet_files``    Parquet files of bundles and caches
``blosc_columns``    columns of bcolz
``bcolz_daily``, ``bcolz_minute``  the tables made of them
``ingestions``       folders of zipline's ingestions, and their symbols
``adjustments``      their splits and dividends
``csvdir``           folders of CSV files

``discovery``        which folders are bundles
``contents``         the files of a bundle of any kind
``scanning``         one pass over its bars: counts and sums
``readings``         that pass, and recorded checksums
``numbering``        whose a number is
``continuity``       whether a number goes on as the same symbol
``venues``           in which market it trades
``comparing``        stated against found
``deciding``         taken or quarantined
``bundle_planning``, ``caches``, ``planning``  plans of one bundle, of cached answers, of a store
``reading``          the bars of a plan
"""
