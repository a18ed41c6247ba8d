"""Whether a connection may go without encryption: on this machine yes, on a private network with a warning, else no.

Passwords and keys travel with every connection to the database, the object store and a vendor. Loopback addresses and
unix sockets are exempt. Addresses that only a private network knows (RFC 1918 and the like, names without a dot) are
warned of, once a process. Everything else is refused, unless ``PIPELINE_PLAINTEXT_HOSTS`` names the host.
"""

from __future__ import annotations

import ipaddress
import logging
import os
from functools import cache
from typing import Final
from urllib.parse import urlsplit

from pipeline_defs.errors import ConfigurationError

HOSTS_VARIABLE: Final = "PIPELINE_PLAINTEXT_HOSTS"
REQUIRE_VARIABLE: Final = "PIPELINE_REQUIRE_TLS"
_ENCRYPTED_MODES: Final = frozenset({"require", "verify-ca", "verify-full"})

_log = logging.getLogger(__name__)


def check_endpoint(url: str, variable: str) -> None:
    """Refuse an ``http`` or ``ws`` address that goes beyond this machine and its private network.

    Parameters
    ----------
    url : str
        Where requests will go; other schemes pass.
    variable : str
        Which setting it comes from.

    Raises
    ------
    ConfigurationError
        If requests would go out unencrypted.

    """
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme.lower(), parts.hostname or ""
    except ValueError:
        return  # no address at all: whoever reads it says so
    if host and scheme in {"http", "ws"}:  # without a host it is no address either
        _judge(host, variable, f"{scheme}://{host}", f"use {'https' if scheme == 'http' else 'wss'}://")


def check_database(parameters: dict[str, str], variable: str) -> None:
    """Refuse a database beyond this machine and its private network that is not made to encrypt.

    Parameters
    ----------
    parameters : dict of str to str
        As libpq understands the address: ``host``, ``sslmode``, …
    variable : str
        Which setting it comes from.

    Raises
    ------
    ConfigurationError
        If the connection could be unencrypted.

    """
    mode = parameters.get("sslmode") or os.environ.get("PGSSLMODE") or "prefer"
    if mode in _ENCRYPTED_MODES:
        return
    hosts = parameters.get("hostaddr") or parameters.get("host") or os.environ.get("PGHOST") or ""
    for host in hosts.split(","):
        if host and not host.startswith(("/", "@")):
            _judge(
                host, variable, f"the database at {host} with sslmode={mode}",
                "add ?sslmode=verify-full&sslrootcert=/path/to/ca.pem to it",
            )  # fmt: skip


def _judge(host: str, variable: str, what: str, remedy: str) -> None:
    kind = _kind_of(host)
    if kind == "own" or host.lower() in _allowed():
        return
    if kind == "private" and not os.environ.get(REQUIRE_VARIABLE):
        _warn(what, variable)
        return
    raise ConfigurationError(
        f"passwords and data would travel to {what} without being encrypted",
        where=variable,
        next_step=f"{remedy}; or name the host in {HOSTS_VARIABLE} if nobody else can listen on the way",
    )


def _allowed() -> set[str]:
    return {host.strip().lower() for host in os.environ.get(HOSTS_VARIABLE, "").split(",") if host.strip()}


@cache
def _warn(what: str, variable: str) -> None:
    _log.warning("%s: passwords and data travel to %s without being encrypted, on a private network", variable, what)


def _kind_of(host: str) -> str:
    """Give ``own`` for this machine, ``private`` for a network of one's own, else ``public``."""
    name = host.lower().rstrip(".")
    try:
        address = ipaddress.ip_address(name.partition("%")[0].strip("[]"))
    except ValueError:
        if name == "localhost" or name.endswith(".localhost"):
            return "own"
        return "private" if name and "." not in name and not name.isdecimal() else "public"
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback:
        return "own"
    # On link-local addresses clouds answer for credentials of the machine: nothing of ours lies there.
    is_ours = address.is_private and not (address.is_unspecified or address.is_link_local)
    return "private" if is_ours else "public"
