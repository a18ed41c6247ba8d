"""All targets, by name. A new one is a line in its room's `TARGETS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_tests.fuzzing.rooms import answers, catalogs, configuration, files, names, stores, streams

if TYPE_CHECKING:
    from pipeline_tests.fuzzing.target import Target

ROOMS: Final = (names, configuration, answers, streams, files, catalogs, stores)
TARGETS: Final[dict[str, Target]] = {target.name: target for room in ROOMS for target in room.TARGETS}

ROOM_OF: Final = {target.name: room.__name__.rpartition(".")[2] for room in ROOMS for target in room.TARGETS}
"""Target to the module in `rooms` that has it."""
