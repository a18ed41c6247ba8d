"""Files that no vendor meant to send: each must be refused with a word, and change nothing."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING, Final

from pipeline_tests.chaos.world import DAYS, FIRST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_tests.chaos.world import Deliveries

_MINUTES: Final = f"gdfl_fo_minute/GFDLNFO_BACKADJUSTED_{DAYS[0]:%d%m%Y}.csv"
_DAILY: Final = f"fo_bhavcopy/BhavCopy_NSE_FO_0_0_0_{DAYS[0]:%Y%m%d}_F_0000.csv.zip"


def _ends_early(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _is_not_text(content: bytes) -> bytes:
    return bytes(range(256)) * (len(content) // 256)


def _is_full_of_zeros(content: bytes) -> bytes:
    head, _, lines = content.partition(b"\n")
    return head + b"\n" + b"\n".join(b"\x00" + line for line in lines.split(b"\n"))


def _has_swapped_columns(content: bytes) -> bytes:
    lines = content.split(b"\n")
    return b"\n".join(b",".join(reversed(line.split(b","))) for line in lines)


def _has_no_numbers(content: bytes) -> bytes:
    head, *lines = content.split(b"\n")
    spoilt = [
        b",".join([*line.split(b",")[:3], *[b"NaN", b"inf", b"-1", b"-inf", b"nan", b"0"]]) for line in lines if line
    ]
    return b"\n".join([head, *spoilt])


def _has_huge_fields(content: bytes) -> bytes:
    head, *lines = content.split(b"\n")
    return b"\n".join([head, *[line + b"9" * 5_000 for line in lines if line]])


def _is_utf16(content: bytes) -> bytes:
    return content.decode().encode("utf-16")


POISONS: Final[dict[str, tuple[str, Callable[[bytes], bytes]]]] = {
    "a zip that ends early": (_DAILY, _ends_early),
    "a zip that is none": (_DAILY, _is_not_text),
    "bytes that are no text": (_MINUTES, _is_not_text),
    "zero bytes in every line": (_MINUTES, _is_full_of_zeros),
    "swapped columns": (_MINUTES, _has_swapped_columns),
    "prices that are no numbers": (_MINUTES, _has_no_numbers),
    "fields of five thousand digits": (_MINUTES, _has_huge_fields),
    "another encoding": (_MINUTES, _is_utf16),
}
"""What is wrong: which file, and how it is spoilt."""


def poison(folder: Path, seed: int, deliveries: Deliveries) -> Path:
    """Make a folder with one poisoned file, chosen by a seed."""
    return poison_with(folder, random.Random(seed).choice(sorted(POISONS)), deliveries)  # noqa: S311 -- as the plan


def poison_with(folder: Path, name: str, deliveries: Deliveries) -> Path:
    """Make a folder with a file that is spoilt in a named way, and nothing else."""
    file, spoil = POISONS[name]
    shutil.rmtree(folder, ignore_errors=True)
    target = folder / file
    target.parent.mkdir(parents=True)
    target.write_bytes(spoil((deliveries.landing(FIRST) / file).read_bytes()))
    return folder
