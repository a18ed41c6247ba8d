"""Numbers in Prometheus' text form: printed, written for node_exporter, or served over HTTP.

A part is a function that reads some numbers when it is scraped. One that fails is counted as failed, and the others
are told all the same. What is read belongs to the modules that know it.
"""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest, write_to_textfile
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

import pipeline_defs
from pipeline_defs.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from wsgiref.simple_server import WSGIServer

    from prometheus_client import Metric

    type Part = Callable[[], Iterable[Metric]]

REUSE_SECONDS: Final = 10.0
"""Two scrapers, or one that is impatient, cost the database no more than one."""


class Parts(Collector):
    """Reads each part when it is scraped, one scrape at a time.

    Parameters
    ----------
    parts : mapping of str to callable
        By name.
    reuse_seconds : float, default 10
        How long an answer serves the next scrape as well.

    """

    def __init__(self, parts: Mapping[str, Part], reuse_seconds: float = REUSE_SECONDS) -> None:
        self._parts = parts
        self._reuse_seconds = reuse_seconds
        self._turn = threading.Lock()
        self._read: list[Metric] = []
        self._read_at = float("-inf")

    def describe(self) -> Iterator[Metric]:
        """Tell nothing beforehand: registering a collector must not read the database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Read all parts.

        Yields
        ------
        prometheus_client.Metric

        """
        with self._turn:
            if time.monotonic() - self._read_at >= self._reuse_seconds:
                self._read = list(self._collect())
                self._read_at = time.monotonic()
            yield from self._read

    def _collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("pipeline_build", "Version of the pipeline", {"version": pipeline_defs.__version__})
        success = GaugeMetricFamily("pipeline_collector_success", "1 if a part could be read", labels=["part"])
        seconds = GaugeMetricFamily("pipeline_collector_duration_seconds", "Time that a part took", labels=["part"])
        for name, part in self._parts.items():
            begun = time.monotonic()
            try:
                yield from list(part())
                read = 1
            except Exception:  # noqa: BLE001 -- told by its number, and by `pipeline health`
                read = 0
            success.add_metric([name], read)
            seconds.add_metric([name], time.monotonic() - begun)
        yield success
        yield seconds


def registry_of(parts: Mapping[str, Part], reuse_seconds: float = REUSE_SECONDS) -> CollectorRegistry:
    """Make a registry of parts alone, without the process's own numbers."""
    registry = CollectorRegistry()
    registry.register(Parts(parts, reuse_seconds))
    return registry


def render(registry: CollectorRegistry) -> str:
    """Give the text of one scrape."""
    return generate_latest(registry).decode()


def write_file(registry: CollectorRegistry, path: Path) -> None:
    """Write the text of one scrape to a file, which is replaced as a whole.

    Raises
    ------
    ConfigurationError
        If node_exporter would not read the file: its name ends otherwise than in ``.prom``.

    """
    if path.suffix != ".prom":
        raise ConfigurationError(
            f"node_exporter reads files whose name ends in .prom, and {path.name!r} does not", next_step="rename it"
        )
    write_to_textfile(str(path), registry)


def serve(registry: CollectorRegistry, host: str, port: int) -> tuple[WSGIServer, threading.Thread]:
    """Serve scrapes on ``/metrics`` until the server is shut down; port 0 takes a free one."""
    from prometheus_client import start_http_server  # noqa: PLC0415 -- only the listener needs it

    return start_http_server(port, addr=host, registry=registry)


def parse_address(text: str) -> tuple[str, int]:
    """Read ``host:port``; of IPv6, ``[::1]:9464``.

    Raises
    ------
    ConfigurationError
        If it is none.

    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")  # of nothing would be every network
    if not host or re.fullmatch("[0-9]{1,5}", port) is None or int(port) > 0xFFFF:  # noqa: PLR2004 -- of TCP
        raise ConfigurationError(f"{text!r} is no address to listen on", next_step="e.g. 127.0.0.1:9464")
    return host, int(port)
