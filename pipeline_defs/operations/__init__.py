"""How an installation tells that it is well: checks that a probe runs, numbers that are scraped, lines that are parsed.

Put here what asks the database, the disks, the clock or the object store how they are, and the form in which it is
told. What is read from Dagster's instance is in `pipeline_defs.orchestration.operations`; what is wrong with the data
itself is for `quality`, `gaps` and `doctor` to say.
"""
