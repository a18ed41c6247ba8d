"""What can be said about the goodness of a stored partition, and what was said of it before.

Put a check here when it judges rows that are stored, lines that were refused, or sessions that should be there. What
an import refuses row by row is decided by the adapters; whether what was loaded is accounted for, in the Dagster wing.
A check has a line in `specs`, which Dagster's definitions read, and a function in one of the modules that judge.
"""
