"""Where things are kept: a local folder, or a bucket and prefix; and the layout below a base.

Names only: nothing here opens a file or speaks to a server. What lies at a place is the business of the other modules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from pipeline_defs.errors import ConfigurationError, showable

if TYPE_CHECKING:
    import datetime as dt

S3_SCHEME: Final = "s3://"

_BUCKET: Final = re.compile(r"[a-z0-9A-Z][a-z0-9A-Z._-]{1,254}")
_FOLDER: Final = re.compile(r"[^./\\\s]([^/\\\n\t]*[^/\\\s])?")
_LONGEST_FOLDER_BYTES: Final = 200
_OTHER_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True, order=True)
class S3Location:
    """An object, or a prefix that is used as a folder is.

    Parameters
    ----------
    bucket : str
        Name of the bucket.
    key : str, default ""
        Key or prefix, without a slash at either end; empty for the whole bucket.

    """

    bucket: str
    key: str = ""

    def __str__(self) -> str:
        """Give the URL: ``s3://bucket/key``."""
        return f"{S3_SCHEME}{self.bucket}/{self.key}".rstrip("/")

    def __truediv__(self, below: str) -> Self:
        """Give the place below this one, as a path does."""
        below = below.strip("/")
        return type(self)(self.bucket, f"{self.key}/{below}" if self.key else below)

    @property
    def folder(self) -> str:
        """What the keys of everything below begin with."""
        return f"{self.key}/" if self.key else ""


type Location = Path | S3Location
"""A local folder or a prefix; both are joined by ``/`` and printed by ``str``."""


def parse_s3(text: str) -> S3Location:
    """Read an ``s3://bucket/prefix`` URL.

    Parameters
    ----------
    text : str
        Slashes at the end do not count.

    Returns
    -------
    S3Location

    Raises
    ------
    ConfigurationError
        If it has another scheme, no or an impossible bucket, a login (credentials do not belong into URLs, and are not
        repeated in the message), a query, or a part that is empty, ``.`` or ``..``.

    """
    if not text.startswith(S3_SCHEME):
        raise ConfigurationError(f"expected s3://bucket/prefix, found {text!r}")
    # Whatever stands beside a colon or before an @ may be a secret, which may hold a slash.
    host, _, key = text.removeprefix(S3_SCHEME).partition("/")
    if "@" in host or ":" in host:
        raise ConfigurationError(
            "an s3:// URL holds a login, expected s3://bucket/prefix",
            next_step="give credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile",
        )
    key = key.rstrip("/")
    if not _BUCKET.fullmatch(host):
        raise ConfigurationError(f"{host!r} is no name of a bucket, expected s3://bucket/prefix", where=text)
    if key and any(part in {"", ".", ".."} for part in key.split("/")):
        raise ConfigurationError("has an empty, '.' or '..' part, expected s3://bucket/prefix", where=text)
    if "?" in key or "#" in key:
        raise ConfigurationError("has a query or fragment, expected s3://bucket/prefix", where=text.partition("?")[0])
    return S3Location(host, key)


def parse_location(text: str) -> Location:
    """Read what a user names: an ``s3://`` URL or a local path.

    Parameters
    ----------
    text : str
        A path may begin with ``~``.

    Returns
    -------
    Path or S3Location
        A path is absolute.

    Raises
    ------
    ConfigurationError
        If it is an ``s3://`` URL that `parse_s3` refuses, or a URL of another kind.

    """
    if text.startswith(S3_SCHEME):
        return parse_s3(text)
    if _OTHER_SCHEME.match(text):
        raise ConfigurationError(
            f"does not know {text.partition(':')[0].lower()}:// addresses",
            where=text.rpartition("@")[2],
            next_step="name a folder, or s3://bucket/prefix",
        )
    try:
        return Path(_without_nul(text)).expanduser().absolute()
    except RuntimeError:
        raise ConfigurationError(
            "begins with the home of a user who is not known", where=text, next_step="write the whole path"
        ) from None


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ConfigurationError(f"{text!r} is no path: it holds a NUL", next_step="correct it")
    return text


def folder_name(name: str) -> str:
    """Give the name of something as that of one folder below another; it may be a stranger's, an underlying's say.

    Parameters
    ----------
    name : str
        Any text.

    Returns
    -------
    str
        The same.

    Raises
    ------
    ConfigurationError
        If it is empty, begins with a dot, is longer than 200 bytes, or holds a slash, a backslash or what is not seen:
        as a folder it would lie elsewhere, or not be found again.

    """
    if _FOLDER.fullmatch(name) is None or showable(name) != name or len(name.encode()) > _LONGEST_FOLDER_BYTES:
        raise ConfigurationError(
            f"{name[:_LONGEST_FOLDER_BYTES]!r} cannot be the name of a folder",
            next_step="export it by itself, into a folder that you name",
        )
    return name


def as_uri(location: Location) -> str:
    """Give a place as other programs take it: ``file:///…`` or ``s3://…``."""
    return location.as_uri() if isinstance(location, Path) else str(location)


def catalog_place(base: Location, format_name: str, underlying: str, month: str) -> Location:
    """Give the place of one partition: ``<base>/catalogs/<format>/<UNDERLYING>/<YYYY-MM>``.

    Parameters
    ----------
    base : Path or S3Location
        Configured base.
    format_name, underlying, month : str
        The partition, e.g. ``nautilus``, ``NIFTY``, ``2025-08``.

    """
    return base / "catalogs" / folder_name(format_name) / folder_name(underlying) / folder_name(month)


def raw_place(base: Location, source: str, day: dt.date) -> Location:
    """Give the place of what a source delivered for a month: ``<base>/raw/<source>/<MM-YYYY>``.

    Parameters
    ----------
    base : Path or S3Location
        Configured base.
    source : str
        Adapter name.
    day : datetime.date
        Any of the month.

    """
    return base / "raw" / source / f"{day:%m-%Y}"
