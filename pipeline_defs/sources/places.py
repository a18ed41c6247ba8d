"""Where the universe file lies, and the one thing that definitions must know of it: whose days partitions are.

Apart from ``asking.universe``, which checks the file, because Dagster's definitions are imported by every run.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_defs.markets.market import MARKETS
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping


def universe_path() -> Path:
    """Where the universe file lies: ``PIPELINE_UNIVERSE``, default ``universe.yaml`` in ``PIPELINE_HOME``."""
    named = os.environ.get("PIPELINE_UNIVERSE")
    return Path(named).expanduser() if named else load_settings().home / "universe.yaml"


def universe_market(source: str) -> str | None:
    """Read which market the universe file names for a source.

    Parameters
    ----------
    source : str
        Adapter's name.

    Returns
    -------
    str or None
        None when it names none that there is; whoever reads the file whole says what is wrong with it.

    """
    section = _sections(universe_path()).get(source)
    named = section.get("market") if isinstance(section, dict) else None
    return named if isinstance(named, str) and named in MARKETS else None


@cache
def _sections(path: Path) -> Mapping[str, object]:
    import yaml  # noqa: PLC0415 -- most runs need no universe

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}
