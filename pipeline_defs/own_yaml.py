"""YAML that people wrote, read in one way: short and shallow, unfolding to nothing larger, and never run.

What is small to write may be large to read: ten lines of aliases are a thousand million entries, and a number of a
million digits is minutes of arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.settings import read_own_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import yaml

DEEPEST: Final = 32
LONGEST_VALUE: Final = 4096
"""Characters of one value."""

_NEXT: Final = "correct the file"


def read_own_yaml(path: Path, *, next_step: str | None = None) -> object:
    """Read a YAML file that a person wrote.

    Parameters
    ----------
    path : Path
        The file.
    next_step : str, optional
        What to do if it cannot be read.

    Returns
    -------
    object
        What it says in dicts, lists, texts, numbers and dates; None if it says nothing.

    Raises
    ------
    ConfigurationError
        If it cannot be read, is too long or no UTF-8, or as in `load_own_yaml`.

    """
    return load_own_yaml(read_own_text(path, next_step=next_step), str(path))


def load_own_yaml(text: str, where: str) -> object:
    """Read YAML.

    Parameters
    ----------
    text : str
        Of the file.
    where : str
        How messages name it.

    Returns
    -------
    object
        As `read_own_yaml`.

    Raises
    ------
    ConfigurationError
        If it is no YAML, asks for an object of Python, uses aliases, is nested too deeply, or has a value that is too
        long; the line is named.

    """
    import yaml  # noqa: PLC0415 -- only whoever reads such a file needs it

    return _read(text, where, yaml.safe_load, takes_aliases=False)


def compose_own_yaml(text: str, where: str) -> yaml.Node | None:
    """Read YAML as nodes, which know their lines; otherwise as `load_own_yaml`.

    Aliases are taken: a node that is named twice is one node, read as often as the reader of the nodes asks for it.
    """
    import yaml  # noqa: PLC0415 -- as above

    return _read(text, where, lambda text: yaml.compose(text, Loader=yaml.SafeLoader), takes_aliases=True)


def _read[T](text: str, where: str, reader: Callable[[str], T], *, takes_aliases: bool) -> T:
    import yaml  # noqa: PLC0415 -- as above

    try:
        _refuse_bombs(text, where, takes_aliases=takes_aliases)
        return reader(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or str(error).partition("\n")[0]
        place = where if mark is None else f"{where} line {mark.line + 1}"
        raise ConfigurationError(f"is no YAML: {said}", where=place, next_step=_NEXT) from None
    except ValueError as error:  # of dates that never were
        raise ConfigurationError(f"is no YAML: {error}", where=where, next_step=_NEXT) from None


def _refuse_bombs(text: str, where: str, *, takes_aliases: bool) -> None:
    import yaml  # noqa: PLC0415 -- as above

    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        place = where if event.start_mark is None else f"{where} line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) and not takes_aliases:
            raise ConfigurationError(
                "uses aliases (*name), which are not taken here", where=place, next_step="write out what they name"
            )
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > LONGEST_VALUE:
            raise ConfigurationError(
                f"a value has {len(event.value)} characters, more than {LONGEST_VALUE}", where=place, next_step=_NEXT
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ConfigurationError("is nested too deeply", where=place, next_step=_NEXT)
