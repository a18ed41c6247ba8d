"""What a target is, and what counts as a fault.

A target reads bytes with one of the product's parsers and checks what came out. It ends in one of two ways: the bytes
were read, or they were refused by an error of the product's own kind that says what is wrong and names the place.
Anything else (another exception, a broken promise, too much time) is a fault.
"""

from __future__ import annotations

import signal
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pipeline_defs.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE: Final = Path(__file__).parent
CORPUS: Final = HERE / "corpus"
CRASHES: Final = HERE / "crashes"

type Form = Literal["text", "json", "lines", "binary", "archive"]
type Outcome = Literal["read", "refused"]


class Hang(BaseException):
    """An input took longer than its target allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One parser, or several that are only used together.

    Parameters
    ----------
    name : str
        Names its folders of inputs.
    reads : tuple of str
        The functions that are tried: ``room.module:function``, without ``pipeline_defs.``.
    check : callable
        Reads bytes and checks what came out.
    form : str
        Of its inputs; decides how they are damaged.
    seeds : tuple of bytes
        Inputs that are read, from which damage starts. Those of the kept corpus come in addition.
    place : str, default ""
        What an error must name: a file, a setting. Empty where the value itself is the place.
    refusals : tuple of type
        Errors by which an input may be refused.
    pays : bool, default True
        Whether coverage of Python code guides the search well; a parser that hands bytes to Polars or Arrow shows
        little of what it does, and is tried with damaged inputs alone.
    seconds : float, default 5
        Of the processor, after which an input hangs: a busy machine makes none.
    prepare : callable, optional
        Makes what is made once, such as a client, before the time of an input runs.

    """

    name: str
    reads: tuple[str, ...]
    check: Callable[[bytes], object]
    form: Form
    seeds: tuple[bytes, ...]
    place: str = ""
    refusals: tuple[type[Exception], ...] = field(default=(PipelineError,))
    pays: bool = True
    seconds: float = 5.0
    prepare: Callable[[], object] | None = None

    def run(self, data: bytes) -> Outcome:
        """Try one input.

        Returns
        -------
        str
            ``read`` or ``refused``.

        Raises
        ------
        BaseException
            Whatever is a fault.

        """
        if self.prepare is not None:
            self.prepare()
        try:
            with within(self.seconds):
                self.check(data)
        except self.refusals as refusal:
            told = str(refusal)
            assert told.strip(), f"{type(refusal).__name__} says nothing"
            assert self.place in told, f"{type(refusal).__name__} does not name {self.place!r}: {told[:500]}"
            return "refused"
        return "read"

    def kept(self) -> list[bytes]:
        """Give the inputs that are kept: seeds, corpus, and what once failed."""
        return [*self.seeds, *(path.read_bytes() for path in [*files_of(CORPUS / self.name), *self.crashes()])]

    def crashes(self) -> list[Path]:
        """List the inputs that once failed."""
        return files_of(CRASHES / self.name)


def files_of(folder: Path) -> list[Path]:
    """List the files of a folder, which need not exist, by name."""
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise `Hang` if the block takes more of the processor: of Python at once, of native code when it comes back."""

    def ring(*_: object) -> None:
        raise Hang(f"not done within {seconds:g} processor seconds")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def fault_of(error: BaseException) -> str:
    """Tell one fault from another: its kind, and the line of the product or of a target that it came out of.

    Returns
    -------
    str
        For example ``ValueError at sources/zerodha/login.py:78 in _token_of``.

    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/pipeline_" in frame.filename]
    ours = [frame for frame in frames if "/pipeline_defs/" in frame.filename]
    frames = [frame for frame in frames if frame.name != "ring"]
    chosen = frames if isinstance(error, AssertionError) else ours or frames
    if not chosen:
        return type(error).__name__
    path = chosen[-1].filename
    short = path.rpartition("/pipeline_defs/")[2] if "/pipeline_defs/" in path else Path(path).name
    return f"{type(error).__name__} at {short}:{chosen[-1].lineno} in {chosen[-1].name}"
