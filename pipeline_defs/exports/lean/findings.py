"""What is wrong with a data folder: one finding a defect, with the rule it breaks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """What a data folder must be."""

    PATH = "path"
    """A zip lies where LEAN looks for one."""
    ARCHIVE = "archive"
    """A zip can be read to its end, and holds entries."""
    ENTRY = "entry"
    """An entry is named as LEAN would ask for it, and is not empty."""
    LINE = "line"
    """A line has the form that LEAN reads."""
    ORDER = "order"
    """Lines ascend in time."""
    SCALE = "scale"
    """Prices and strikes are scaled as the security type wants it."""
    HOURS = "hours"
    """LEAN has market hours for the symbol, and the data lie within them."""
    PROPERTIES = "properties"
    """LEAN has a row of symbol properties where its defaults do not do."""
    UNIVERSE = "universe"
    """Every session with contracts that live on has a file that names them."""
    MAPPING = "mapping"
    """Every share has a map file and a factor file."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A defect.

    Parameters
    ----------
    rule : Rule
        What is broken.
    where : str
        Path, entry and line.
    what : str
        What was expected and what is there.

    """

    rule: Rule
    where: str
    what: str

    def __str__(self) -> str:
        """Write the finding as a line of a report."""
        return f"{self.rule}: {self.where}: {self.what}"
