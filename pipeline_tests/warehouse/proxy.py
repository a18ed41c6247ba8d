"""A door on loopback between client and server that can be slammed: the faults of a network, made on purpose."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

CHUNK_BYTES = 16_384


class Proxy:
    """Forwards connections to a database, and cuts them when told.

    Parameters
    ----------
    url : str
        Of the database; `url` of the proxy leads to the same one.

    """

    def __init__(self, url: str) -> None:
        self.target = url
        self.connections = 0
        self.cut_when: Callable[[int, bytes], bool] = lambda _sent, _chunk: False
        """Asked with the bytes a connection has sent before and what it sends now; True cuts it after that."""
        self.delay_seconds = 0.0
        """Each packet of a client waits so long: a slow disk looks like that."""
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        """The database through this door."""
        parts = urlsplit(self.target)
        login = parts.netloc.rpartition("@")[0]
        return parts._replace(netloc=f"{login}@127.0.0.1:{self._listener.getsockname()[1]}").geturl()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut every connection."""
        for pair in self._pairs:
            _close(*pair)
        self._pairs.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            address = urlsplit(self.target)
            try:
                server = socket.create_connection((address.hostname or "", address.port or 0))
            except OSError:
                client.close()
                continue
            self.connections += 1
            self._pairs.append((client, server))
            threading.Thread(target=self._forward, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._forward, args=(server, client, False), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, is_client: bool) -> None:  # noqa: FBT001
        sent = 0
        with contextlib.suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                is_last = is_client and self.cut_when(sent, chunk)
                if is_client and self.delay_seconds:
                    time.sleep(self.delay_seconds)
                if is_last:
                    source.shutdown(socket.SHUT_RDWR)  # the client will not hear of what the server is asked last
                sink.sendall(chunk)
                sent += len(chunk)
                if is_last:
                    threading.Event().wait(0.2)
                    break
        _close(source, sink)


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
