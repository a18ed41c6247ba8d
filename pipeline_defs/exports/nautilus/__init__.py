"""Catalogs that Nautilus Trader opens with a plain ``ParquetDataCatalog(path)``.

``naming``       what things are called: instrument ids, bar types, folders, files
``checks``       what a frame of bars must be before a byte of it is written
``encode``       frames to Nautilus' columns
``files``        tables to Parquet files, always the same bytes
``instruments``  contract terms to Nautilus' instrument files
``settlement``   on which prices the engine will settle the slice's options
``build``        a slice to a catalog: the order of all these
``exporter``     the export port: builds a catalog, has it verified
``readback``     a catalog through Nautilus' own decoder
``truth``        what a verification expects, as files for another process
``verify``       that process: reads a catalog with Nautilus itself and compares

Nothing here reads the warehouse or publishes a directory. `exporter` imports without Nautilus.
"""
