"""CSV files that Backtrader loads with a plain ``GenericCSVData(dataname=path)``, and a loader that knows contracts.

``naming``      what contracts and files are called, and how a bar length is said in Backtrader
``checks``      what a frame of bars must be before a byte of it is written
``text``        frames to the text of the files, column by column
``settlement``  what a contract that expires within the export is worth at its expiry
``contracts``   the sidecar ``contracts.json``: what Backtrader has no place for
``build``       the order of these things
``exporter``    the export port: builds, has it verified
``truth``       what a verification expects, as files for another process
``verify``      that process: loads the files with Backtrader itself and compares
``readback``    what the texts say exactly, and what Backtrader makes of them
``validate``    checks a folder without the slice it was made from, in a process of its own
``values``      what the sidecar says, as value types
``broker``      a Backtrader broker that settles contracts at their expiry
``lots``        quantities in lots, and contracts whose lot changes
``loader``      for users: feeds and commission schemes from an exported folder

Nothing here reads the warehouse or publishes a directory. Only `verify`, `validate`, `readback`, `broker` and `loader`
import Backtrader.
"""
