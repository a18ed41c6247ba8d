"""Frames of TWS's protocol, as the server's side of it reads and writes them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

GREETING = b"API\0"


def frame(*fields: object) -> bytes:
    """A message: its length, then its fields, each ended by a zero byte."""
    body = "".join(f"{_text(one)}\0" for one in fields).encode()
    return struct.pack(">I", len(body)) + body


async def read_frame(reader: asyncio.StreamReader) -> list[str]:
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    return (await reader.readexactly(length)).decode().split("\0")[:-1]


async def read_greeting(reader: asyncio.StreamReader) -> str:
    """The client's first words; gives the versions that it speaks, such as ``v157..178``."""
    assert await reader.readexactly(len(GREETING)) == GREETING
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    return (await reader.readexactly(length)).decode()


def _text(field: object) -> str:
    if isinstance(field, bool):
        return "1" if field else "0"
    return "" if field is None else str(field)
