"""Lengths of bars as traders write them: ``1m``, ``1h``, ``1d``."""

from __future__ import annotations

import re
from typing import Final

from pipeline_defs.errors import ConfigurationError

_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LENGTH: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])")


def parse_lengths(text: str) -> tuple[int, ...]:
    """Read lengths of bars.

    Parameters
    ----------
    text : str
        One or several, separated by commas, e.g. ``1m,5m,1h,1d``.

    Returns
    -------
    tuple of int
        Seconds, ascending, each once.

    Raises
    ------
    ConfigurationError
        If a part is not a number that begins with 1 to 9, followed by ``s``, ``m``, ``h`` or ``d``.

    """
    lengths = set()
    for part in text.split(","):
        found = _LENGTH.fullmatch(part.strip())
        if found is None:
            raise ConfigurationError(f"{part!r} is not a length of bars; expected e.g. 1m, 5m, 1h or 1d")
        lengths.add(int(found[1]) * _UNIT_SECONDS[found[2]])
    return tuple(sorted(lengths))
