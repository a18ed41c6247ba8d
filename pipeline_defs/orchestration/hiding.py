"""Errors as they may stand in Dagster's event log: what clients of databases, stores and vendors say, without secrets.

Dagster keeps the text of an error, of what caused it and of what it came up in, for everybody who may see the UI.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from pipeline_defs.errors import PipelineError
from pipeline_defs.operations.logs import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator


def without_secrets_in(error: Exception) -> Exception:
    """Take secrets out of an error and of those that led to it.

    Parameters
    ----------
    error : Exception
        Is changed: whoever else holds it reads the same.

    Returns
    -------
    Exception
        The same; or one that stands for it, without what led to it, where a secret cannot be taken out.

    """
    for one in _chain(error):
        one.args = tuple(without_secrets(said) if isinstance(said, str) else said for said in one.args)
        if isinstance(one, PipelineError):
            one.what = without_secrets(one.what)
            one.where = None if one.where is None else without_secrets(one.where)
            one.next_step = None if one.next_step is None else without_secrets(one.next_step)
        one.__notes__ = [without_secrets(note) for note in getattr(one, "__notes__", ())]
    for one in _chain(error):
        said = "".join(traceback.format_exception_only(one))
        if without_secrets(said) != said:
            hidden = PipelineError(
                f"{type(error).__name__}: {without_secrets(str(error))}",
                next_step="see the causes on the host: they held a secret, and are not shown here",
            )
            return hidden.with_traceback(error.__traceback__)
    return error


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]
            if isinstance(one, BaseExceptionGroup):
                waiting += one.exceptions
