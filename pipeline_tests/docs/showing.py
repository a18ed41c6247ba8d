"""Whether a command says what a page shows, apart from what differs from run to run."""

from __future__ import annotations

import re
from typing import Final

_VARYING: Final = (
    # What stands on a page, and what may stand in its place.
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)", r"\S+[ T]?\S+"),  # an instant of a run
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", r"\S+ \S+"),  # one without its zone
    (r"\b[0-9a-f]{32,64}\b", r"[0-9a-f]+"),  # a digest
)
_LOAD: Final = re.compile(r"\b(load(?:s|_id)?[ =:\"]+|--load )(\d+)")


class Loads:
    """Which loads of this run are the loads of a page: both number them, from different beginnings."""

    def __init__(self) -> None:
        self.ours: dict[str, str] = {}

    def translate(self, words: list[str]) -> list[str]:
        """Put this run's numbers into a command."""
        found = list(words)
        for position, word in enumerate(words[1:], start=1):
            if words[position - 1] == "--load" and word in self.ours:
                found[position] = self.ours[word]
        return found

    def differs(self, shown: str, said: str) -> str | None:
        """Say where the two differ; None if they do not."""
        pattern, names = self._pattern(shown)
        matched = re.fullmatch(pattern, said.rstrip("\n"), flags=re.DOTALL)
        if matched is None:
            return f"the page shows\n{shown}\nand the command says\n{said}"
        for group, number in names.items():
            self.ours[number] = matched[group]
        return None

    def _pattern(self, shown: str) -> tuple[str, dict[str, str]]:
        """Turn what is shown into a pattern: ``…`` is anything, a load is any load, but the same one each time."""
        names: dict[str, str] = {}
        pieces = []
        for piece in re.split(r"(…)", shown.rstrip("\n")):
            if piece == "…":
                pieces.append(".*?")
                continue
            text = ""
            position = 0
            for load in _LOAD.finditer(piece):
                text += self._escaped(piece[position : load.end(1)])
                number = load[2]
                if number in self.ours:
                    text += re.escape(self.ours[number])
                elif number in names.values():
                    text += f"(?P=load{number})"
                else:
                    names[f"load{number}"] = number
                    text += f"(?P<load{number}>\\d+)"
                position = load.end()
            pieces.append(text + self._escaped(piece[position:]))
        return "".join(pieces), names

    def _escaped(self, text: str) -> str:
        """Escape a piece; numbers that stand alone, as in a table, may be those of loads."""
        parts = re.split(r"(?<![\w.:+-])(\d+)(?![\w.:+-])", text)
        return "".join(
            f"(?:{part}|{self.ours[part]})" if n % 2 and part in self.ours else _escaped(part)
            for n, part in enumerate(parts)
        )


def _escaped(text: str) -> str:
    """Escape a piece, but for what varies."""
    for what, instead in _VARYING:
        parts = re.split(f"({what})", text)
        if len(parts) > 1:
            return "".join(instead if n % 2 else _escaped(part) for n, part in enumerate(parts))
    return re.escape(text)
