"""Catalogs that Nautilus Trader opens with a plain ``ParquetDataCatalog(path)``.

``naming``       what things are called: instrument ids, bar types, folders, files
``checks``       what a frame of bars must be before a byte of it is written
``encode``       frames to Nautilus' Parquet files, column by column
``instruments``  contract terms to Nautilus' instrument files, column by column
``exporter``     the export port: builds a catalog, has it verified
``truth``        what a verification expects, as files for another process
``verify``       that process: reads a catalog with Nautilus itself and compares

Nothing here reads the warehouse or publishes a directory. `exporter` imports without Nautilus.
"""
