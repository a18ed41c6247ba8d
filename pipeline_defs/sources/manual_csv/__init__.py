"""CSV and Parquet files and workbooks of one's own, and whatever the generic exports wrote.

One idea a module, in the order the data flows:

``names``     which names mean something beside a file
``mapping``   what the columns of a file mean, declared beside it
``exported``  what ``schema.json`` beside an exported file says, as such a mapping, and the terms of its contracts
``inputs``    files below a path, each with its mapping
``lines``     the bytes of a CSV file to a frame of text; lines that do not fit become rejects
``unpacking`` how large a workbook is, found out before anything makes room for it
``workbooks`` a sheet of a workbook to frames of text, every cell exact
``chunks``    a file, whatever its format, as a sequence of frames of bounded size
``fields``    columns of text, or of types that hold them exactly, to decimals and whole numbers
``stamps``    timestamps to instants in UTC, never by guessing
``contracts`` what names a contract, checked once for each distinct one
``sessions``  trade dates, and when the venues whose calendar is known were open
``rows``      a frame to canonical rows and refused lines
``reasons``   every reason for which a line is refused, in the order they are tried
``spool``     rows waiting for their trade date, on disk when there are many
``settling``  rows judged against each other: duplicates, the order of ticks
``batches``   one batch per table, resolution and trade date
``previewing`` how the columns of a file are read, with its first values
``adapter``   the `Source` that runs it all
"""
