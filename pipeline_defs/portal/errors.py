"""What the portal refuses, told apart for those who catch it."""

from __future__ import annotations

from pipeline_defs.errors import PipelineError


class PortalError(PipelineError):
    """A question to the portal that has no answer: an argument is wrong, or contradicts another."""


class LookAheadError(PortalError):
    """An explicit question about an instant that the portal's clock has not reached."""


class UnknownSymbolError(PortalError):
    """No instrument, or more than one, is meant by a symbol at the portal's date."""


class StaleDataError(PortalError):
    """In live mode: what is missing at the end could not be had from its source."""
