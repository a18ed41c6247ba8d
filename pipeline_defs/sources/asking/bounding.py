"""How large an answer of a vendor may be, unpacked: what grows without end ends here, and not with the memory.

``PIPELINE_ANSWER_MIB`` says it for all sources. An honest answer, a page of bars or a list of all contracts, has a few
MiB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import SourceError
from pipeline_defs.settings import whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE: Final = "PIPELINE_ANSWER_MIB"
DEFAULT_MIB: Final = 64
_MOST_MIB: Final = 1 << 14
_MIB: Final = 1 << 20


class TooLargeError(SourceError):
    """An answer is larger than any that was expected; asking again does not help."""


class AnswerBound:
    """Counts the bytes of one answer after another.

    Parameters
    ----------
    vendor : str
        Whose answers they are, for the message.

    Raises
    ------
    ConfigurationError
        If ``PIPELINE_ANSWER_MIB`` is no whole number from 1 to 16384.

    """

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        self.most_bytes = whole_number(VARIABLE, DEFAULT_MIB, _MOST_MIB, "MiB") * _MIB
        self._seen_bytes = 0

    def begin(self) -> None:
        """Begin with another answer."""
        self._seen_bytes = 0

    def exceeds(self, size_bytes: int) -> bool:
        """Count a portion; tell whether the answer is too large with it."""
        self._seen_bytes += size_bytes
        return self._seen_bytes > self.most_bytes

    def count(self, size_bytes: int) -> None:
        """Count a portion.

        Raises
        ------
        TooLargeError
            If the answer is too large with it.

        """
        if self.exceeds(size_bytes):
            raise self.refusal()

    def refusal(self) -> TooLargeError:
        """Say that the answer is too large."""
        return TooLargeError(
            f"{self.vendor}'s answer has more than {self.most_bytes // _MIB} MiB; nothing of it was used",
            next_step=f"see who answers at that address; if the answer is genuine, raise {VARIABLE}",
        )

    def guard(self, session: Any) -> None:  # noqa: ANN401 -- of a library that most sources do not need
        """Have a session of ``requests`` count what it unpacks, before anything else looks at an answer.

        Parameters
        ----------
        session : requests.Session
            The client's.

        """

        def watched(response: Any, *_: object, **__: object) -> None:  # noqa: ANN401
            unpack = response.raw.stream

            def stream(*args: Any, **options: Any) -> Iterator[bytes]:  # noqa: ANN401
                self.begin()
                for portion in unpack(*args, **options):
                    self.count(len(portion))
                    yield portion

            response.raw.stream = stream

        session.hooks["response"].insert(0, watched)
