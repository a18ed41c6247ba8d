"""What the ``pipeline`` command ends with: numbers that scripts can rely on."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes; 0 only if everything that was asked for is done."""

    SUCCESS = 0
    FAILED = 1
    """A source, the database, a store or an engine refused; data is damaged; or a check found something wrong."""
    USAGE = 2
    """The command line itself is wrong; nothing was begun."""
    STILL_MISSING = 3
    """``backfill``: the sources answered, and minutes are missing all the same. ``migrate``: a bundle, or bars of one,
    are left in quarantine."""
    DEFECT = 70
    """A defect of the pipeline; the message says where its traceback is."""
    INTERRUPTED = 130
    """Ctrl-C."""
    BROKEN_PIPE = 141
    """Whoever read the output went away, as ``head`` does."""
