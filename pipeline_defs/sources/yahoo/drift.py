"""The error about a reply that no longer looks as replies did."""

from __future__ import annotations

from pipeline_defs.errors import SchemaDriftError


def drift(what: str) -> SchemaDriftError:
    """Make the error; what to do next is always the same.

    Parameters
    ----------
    what : str
        Which key, what came and what was expected.

    Returns
    -------
    SchemaDriftError

    """
    return SchemaDriftError(
        what, next_step="Yahoo has changed its replies: nothing was stored; report it with this message"
    )
