"""Indian exchange data as vendors and the exchanges publish it in CSV files.

One idea a module, in the order the data flows:

``entries``    files and archive members, and which are left out by name
``archives``   listing and reading folders, zips and zips in zips, within limits
``gzipped``    the limits, and gzip files unpacked under them
``products``   what a vendor's file name says: date, layout, table
``layouts``    the declared layouts
``headers``    which of them a file has
``deliveries`` files read once each: identity, twins, layout
``lines``      bytes to a frame of text fields; lines that do not fit become rejects
``fields``     text to exact decimals, integers, dates and seconds
``reasons``    every reason for which a line is refused, in the order they are tried
``checks``     rows that may be stored told from rows refused
``contracts``  distinct tickers to contracts
``parts``      one trade date of one layout, and rows told apart by date
``normalize``  minute and tick rows to canonical rows
``bhavcopy``   the exchanges' daily files to canonical rows
``validate``   duplicates, order among ticks, conflicting files
``findings``   what is worth knowing about a whole partition
``batches``    canonical rows to one batch per table, resolution and trade date
``reading``    what is read when
``adapter``    the `Source` that runs it all
"""
