"""Errors a user reads: what was wrong, where, and what to do next.

Every error the package raises on purpose derives from `PipelineError`. Put a new class here only
when a caller must tell it apart; otherwise raise the nearest one with a precise message.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection


UNSHOWN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""What commands a terminal, hides or turns round what stands beside it, or cannot be written at all."""


def showable(text: str, *, one_line: bool = False) -> str:
    r"""Give a text of strangers as it can be printed and logged: what acts and is not seen is spelled, as ``\x1b``.

    Parameters
    ----------
    text : str
        With file names, symbols or answers in it.
    one_line : bool, default False
        Spell ends of lines and tabs, too.

    """
    spelled = UNSHOWN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return spelled.replace("\n", "\\n").replace("\t", "\\t") if one_line else spelled


class PipelineError(Exception):
    """Base of all errors raised on purpose; what it says is `showable`, where it was on one line.

    Parameters
    ----------
    what : str
        What was wrong, with the offending value and what was expected.
    where : str, optional
        File, member, line, column, symbol or partition.
    next_step : str, optional
        What the user can do about it.

    """

    def __init__(self, what: str, *, where: str | None = None, next_step: str | None = None) -> None:
        self.what = showable(what)
        self.where = None if where is None else showable(where, one_line=True)
        self.next_step = None if next_step is None else showable(next_step)
        parts = [self.what if self.where is None else f"{self.where}: {self.what}"]
        if self.next_step is not None:
            parts.append(f"Next: {self.next_step}")
        super().__init__("\n".join(parts))


class ConfigurationError(PipelineError):
    """A setting, argument or environment variable is missing or wrong."""


class UnknownNameError(ConfigurationError):
    """A name that somebody wrote stands for nothing: of a source, a format, a table.

    Parameters
    ----------
    kind : str
        What it should name, e.g. ``source``.
    name : str
        As it was written.
    known : collection of str
        The names there are.
    aliases : collection of str, optional
        Other names that are understood, and not listed.

    """

    def __init__(self, kind: str, name: str, known: Collection[str], aliases: Collection[str] = ()) -> None:
        from difflib import get_close_matches  # noqa: PLC0415 -- only when something went wrong

        spelt = name.lower().replace("-", "_")
        alike = {one.lower().replace("-", "_"): one for one in (*known, *aliases)}
        near = [alike[one] for one in get_close_matches(spelt, alike, n=3)]
        super().__init__(
            f"no {kind} {name!r}, expected one of {', '.join(sorted(known))}",
            next_step=f"did you mean {' or '.join(near)}?" if near else "check the spelling",
        )


class TickerError(PipelineError):
    """A ticker does not follow its declared grammar, or reads two ways."""


class MarketRuleError(PipelineError):
    """No session, expiry or contract rule covers what was asked."""


class SourceError(PipelineError):
    """A source delivered nothing usable: unknown layout, damaged archive, empty input."""


class UnansweredError(SourceError):
    """A source could not be asked successfully now; later it may."""


class NothingGivenError(SourceError):
    """A source was asked, and answered that it has nothing of a session."""


class SchemaDriftError(SourceError):
    """Columns differ from every layout known for the source."""


class DamageError(SourceError):
    """So much of a partition was damaged that nothing of it was stored."""


class DataError(SourceError, ValueError):
    """A batch is not what the contract of sources says: a defect of its adapter."""


class WarehouseError(PipelineError):
    """The database refused, or its state does not match the migrations."""


class ExportError(PipelineError):
    """An export could not be built, or the engine did not confirm it; nothing was published."""


class StorageError(PipelineError):
    """An object store or the cache refused, cannot be reached, or holds something else than was published."""
