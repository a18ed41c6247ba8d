"""The port: whoever implements it can be told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from pipeline_defs.errors import PipelineError

if TYPE_CHECKING:
    from pipeline_defs.alerting.alert import Message


class AlertError(PipelineError):
    """A message could not be handed over.

    Parameters
    ----------
    what : str
        What was wrong, without any address that carries a token.
    again : bool
        Whether trying again may help.

    """

    def __init__(self, what: str, *, where: str | None = None, next_step: str | None = None, again: bool) -> None:
        super().__init__(what, where=where, next_step=next_step)
        self.again = again


class Notifier(ABC):
    """Hands messages to people or to their programs.

    It is made without arguments and reads its settings from the environment then; secrets through
    `pipeline_defs.sources.asking.credentials.read_credential`, so that they are hidden wherever text is told.
    """

    name: ClassVar[str]
    """As in ``PIPELINE_ALERTS``."""

    @abstractmethod
    def send(self, message: Message, *, timeout_seconds: float) -> None:
        """Hand over one message, once: trying again is done around it.

        Parameters
        ----------
        message : Message
            Its texts hold no secret.
        timeout_seconds : float
            For how long to wait for the other side.

        Raises
        ------
        AlertError
            If it was not taken.

        """
