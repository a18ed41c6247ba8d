"""What an object store is given and what it answers, as types."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from pipeline_defs.storage.locations import S3Location


@dataclass(frozen=True, slots=True)
class Stored:
    """One object of a listing.

    Parameters
    ----------
    size_bytes : int
        Its size.
    etag : str
        Changes with its content; what it is made of differs between stores.
    last_modified : datetime.datetime
        By the store's clock.

    """

    size_bytes: int
    etag: str
    last_modified: dt.datetime


@dataclass(frozen=True, slots=True)
class Content:
    """One object, read.

    Parameters
    ----------
    data : bytes
        All of it.
    etag : str
        As in `Stored`.
    age_seconds : float
        How long ago it was written, by the store's own clock.

    """

    data: bytes
    etag: str
    age_seconds: float


class Answer(Enum):
    """Why there is no content."""

    MISSING = "missing"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way to the store.

    Parameters
    ----------
    path : Path
        The file.
    target : S3Location
        Where it goes.
    sha256 : str
        Of its content, in hexadecimal.
    size_bytes : int
        Its size.

    """

    path: Path
    target: S3Location
    sha256: str
    size_bytes: int
