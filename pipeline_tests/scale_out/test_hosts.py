"""Hosts of plain processes: what they have apart, and what cutting one off does, seen from both ends of its cable."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from pipeline_tests.scale_out.hosts import hosts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_SECONDS = 10
SILENT_SECONDS = 0.5


@pytest.fixture
def service() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_SECONDS)
        yield listening


def connected(address: str, service: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Speak to the service through a cable; give both ends."""
    near = socket.create_connection((address, service.getsockname()[1]), timeout=PATIENCE_SECONDS)
    far, _ = service.accept()
    far.settimeout(PATIENCE_SECONDS)
    near.sendall(b"asked")
    assert far.recv(5) == b"asked"
    far.sendall(b"answered")
    assert near.recv(8) == b"answered"
    return near, far


def has_ended(far: socket.socket) -> bool:
    try:
        return far.recv(1) == b""
    except ConnectionResetError:
        return True


def hears_nothing(near: socket.socket) -> bool:
    near.settimeout(SILENT_SECONDS)
    near.sendall(b"asked")
    try:
        near.recv(1)
    except TimeoutError:
        return True
    return False


def test_without_namespaces_the_reason_is_told_and_each_host_has_folder_address_and_processes_of_its_own(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    with hosts(["north", "south"], tmp_path, told.append, namespaces=False) as (address, made):
        north, south = made["north"], made["south"]
        started = north.start("sleeper", ["sleep", "60"], {})
        assert started.pid in north.processes()
        assert south.processes() == []
        assert north.home != south.home
        assert len({address, north.address, south.address}) == 3
    assert started.poll() is not None
    assert told == ["hosts are plain processes, not network namespaces: they were not asked for"]


def test_a_host_that_is_cut_off_hears_nothing_while_the_service_sees_its_connection_end(
    service: socket.socket, tmp_path: Path
) -> None:
    port = service.getsockname()[1]
    with hosts(["north", "south"], tmp_path, print, namespaces=False) as (_, made):
        north, south = made["north"], made["south"]
        assert north.cable is not None
        assert south.cable is not None
        with north.cable.laid([port]), south.cable.laid([port]):
            near, far = connected(north.gateway, service)
            other, other_far = connected(south.gateway, service)
            north.cut_off()

            assert has_ended(far)
            assert hears_nothing(near)
            tried = socket.create_connection((north.gateway, port))
            assert hears_nothing(tried)
            other_far.sendall(b"still")
            assert other.recv(5) == b"still"

            north.reconnect()
            for end in (*connected(north.gateway, service), near, far, tried, other, other_far):
                end.close()
