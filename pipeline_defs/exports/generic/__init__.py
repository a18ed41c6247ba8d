"""CSV and Parquet files for any tool, with a sidecar that describes them and that the manual CSV source reads back.

``datasets``  which files a slice becomes, and the frames of each with the contracts' own columns
``checks``    what a frame must be before a byte of it is written
``ordering``  whether rows ascend, from frame to frame
``writing``   frames to files, one after the other
``reading``   files back to frames, by another library than the one that wrote them
``sidecar``   ``schema.json``: what each file holds, described from the schema
``build``     the order of these things
``summaries`` rows to sums and hashes by instrument, the same on both sides of a verification
``truth``     what a verification expects, as files for another process
``verify``    that process: reads every value of every file, and compares
``exporter``  the export port, once for each file format

What the columns are and mean is in `pipeline_defs.schema.interchange`. Nothing here reads the warehouse or publishes a
directory.
"""
