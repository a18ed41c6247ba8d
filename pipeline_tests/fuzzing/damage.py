"""Damage that leaves enough whole to get past a header: one edit at a time, of words, lines, cells, values or bytes.

An edit is three numbers, so that hypothesis can shrink it and a coverage-guided fuzzer can draw it: the same damage is
done by both.
"""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from pipeline_tests.fuzzing.target import Form


class Edit(NamedTuple):
    """One edit.

    Parameters
    ----------
    kind : int
        Which of the edits of the form; taken modulo their number.
    place : int
        Where; taken modulo the number of places.
    value : int
        What to put there; likewise.

    """

    kind: int
    place: int
    value: int


MOST: Final = 1 << 16
"""Numbers of an edit are below this."""

NUMBERS: Final = (
    *("0", "-0", "-5", "1e5", "1E-7", "1_000", "0x10", "12,345.50", "1.", ".5", "+7", "007", "1.10", "0.1000"),
    *("٣", "３", "²", "½", "−5", "NaN", "nan", "Infinity", "-inf", "1e400", "1e-400", "0.123456789", "1.5 ", " 1.5"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "2147483648", "999999999999.99999999"),
    *("1000000000000", "0.00000001", "0.000000001", "1" * 40, "9" * 400, "1e16", "1e99999999", "--1", "1.2.3", "true"),
)
"""Of which some are numbers, some look like them, and some are too large or too fine to keep."""

DATES: Final = (
    *("2023-02-29", "29-Feb-2023", "29-FEB-2024", "2024-02-29", "00-JAN-2024", "31/04/2025", "1/2/25", "25-08-14"),
    *("20230229", "20240229", "230229", "99999999", "0000-01-01", "9999-12-31", "10000-01-01", "1677-09-21"),
    *("24:00:00", "23:59:60", "25:61:61", "09:15", "9:15:00 AM", "2025-03-09T02:30:00", "2025-11-02T01:30:00"),
    *("2025-08-14T09:15:00+05:30", "2025-08-14T09:15:00Z", "2025-08-14 09:15:00-99:99", "2025-W33-4", "١٤/٠٨/٢٠٢٥"),
    *("14-Août-2025", "-1", "253402300800", "1755143100", "1755143100000"),
)
"""Of which many never were: leap days, leap seconds, hours that a clock skipped or showed twice."""

WORDS: Final = (
    *(
        "",
        " ",
        "\t",
        "\u00a0",
        "null",
        "None",
        "-",
        "--",
        "N/A",
        "#REF!",
        "=1+1",
        "'",
        '"',
        '""',
        '"a"b',
        "\\",
        "/",
        ";",
    ),
    *(
        "\x00",
        "\x1a",
        "\x7f",
        "\ufeff",
        "\u202e",
        "é",
        "日本",
        "\U0001f4b0",
        "A" * 300,
        "..",
        "../../etc/passwd",
        "C:\\x",
    ),
    *("%s", "{0}", "{}", "[]", "[", "}", "<a>", "&amp;", "$1", "*", "?", "!!python/object:os.system", "&a", "*a", "|"),
    *("True", "yes", "on", "~", "CE", "PE", "FUT", "XX", "EQ", "BE", "NSE", "USD"),
)
"""Words that are nothing, mean something elsewhere, or are what another field has."""

ODD: Final = (*NUMBERS, *DATES, *WORDS)

VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 1.5, -0.0, float("nan"), float("inf"), 1e300, 1e-300, 2**31, 2**63, -(2**63) - 1),
    *(10**30, "", " ", "0", "1", "-1", "1.5", "1e5", "x", "null", "2023-02-29", "é", "\x00", "\ud800", "9" * 50, "NaN"),
    *([], {}, [[]], [{}], [None], {"": None}, {"a": 1}, [1, 2, 3], ["a", "b"], 1755143100, 1755143100000),
)
"""Of JSON, of every kind."""

_TOKEN: Final = re.compile(r"\d+(?:[.:/-]\d+)*|\w+|\s|.", re.DOTALL)
_ENDS: Final = ("\n", "\r\n", "\r", "\n\n", "\x0b", "\x0c", "\u2028", "\x85")
_SEPARATORS: Final = (",", ";", "\t", "|", ":", ",,", '","')
_BYTES: Final = (b"", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xc3\x28", b"\x80", b"\r\n", b"\n", b'"', b"\x1f\x8b", b"PK")
_COUNTS: Final = (0, 1, 2, 5, 100)


def damaged(data: bytes, edits: Sequence[tuple[int, int, int]], form: Form) -> bytes:
    """Damage an input.

    Parameters
    ----------
    data : bytes
        One that is whole, or was damaged before.
    edits : sequence of tuple of int
        As `Edit`; done in this order.
    form : str
        Which edits there are.

    Returns
    -------
    bytes

    """
    kinds = _KINDS[form]
    for kind, place, value in edits:
        data = kinds[kind % len(kinds)](data, place, value)
    return data


def random_edits(random: Random) -> list[Edit]:
    """Draw one to four edits."""
    return [Edit(*(random.randrange(MOST) for _ in range(3))) for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4)))]


def _at(place: int, length: int) -> int:
    return place % length if length else 0


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass") if any("\ud800" <= c <= "\udc7f" for c in text) else _plain(text)


def _plain(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _token(data: bytes, place: int, value: int) -> bytes:
    """Replace a word or number by an odd one."""
    tokens = _TOKEN.findall(_text(data))
    if tokens:
        tokens[_at(place, len(tokens))] = ODD[_at(value, len(ODD))]
    return _bytes("".join(tokens))


def _number(data: bytes, place: int, value: int) -> bytes:
    """Replace a number by an odd one or a date."""
    text = _text(data)
    found = list(re.finditer(r"\d+(?:[.:/-]\d+)*", text))
    if not found:
        return data
    at = found[_at(place, len(found))]
    odd = (*NUMBERS, *DATES)
    return _bytes(text[: at.start()] + odd[_at(value, len(odd))] + text[at.end() :])


def _swap(data: bytes, place: int, value: int) -> bytes:
    """Exchange two words."""
    tokens = _TOKEN.findall(_text(data))
    if tokens:
        one, other = _at(place, len(tokens)), _at(value, len(tokens))
        tokens[one], tokens[other] = tokens[other], tokens[one]
    return _bytes("".join(tokens))


def _line(data: bytes, place: int, value: int) -> bytes:
    """Take a line away, or have it several times."""
    lines = data.splitlines(keepends=True)
    if lines:
        at = _at(place, len(lines))
        lines[at : at + 1] = [lines[at]] * _COUNTS[_at(value, len(_COUNTS))]
    return b"".join(lines)


def _move(data: bytes, place: int, value: int) -> bytes:
    """Put a line elsewhere."""
    lines = data.splitlines(keepends=True)
    if lines:
        lines.insert(_at(value, len(lines)), lines.pop(_at(place, len(lines))))
    return b"".join(lines)


def _cell(data: bytes, place: int, value: int) -> bytes:
    """Replace a cell by an odd value, take it away, or have it twice."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    at = _at(place, len(lines))
    body = lines[at].rstrip(b"\r\n")
    cells = body.split(b",")
    cell = _at(place // max(len(lines), 1), len(cells))
    choice = value % 8
    if choice == 0:
        del cells[cell]
    elif choice == 1:
        cells.insert(cell, cells[cell])
    elif choice == 2:
        cells[cell] = b'"' + cells[cell] + b'"'
    else:
        cells[cell] = _bytes(ODD[_at(value // 8, len(ODD))])
    lines[at] = b",".join(cells) + lines[at][len(body) :]
    return b"".join(lines)


def _ends_of_lines(data: bytes, place: int, value: int) -> bytes:
    """Write all ends of lines, or one of them, in another way."""
    end = _bytes(_ENDS[_at(value, len(_ENDS))])
    lines = data.splitlines(keepends=True)
    every = place % 2 == 0
    at = _at(place // 2, len(lines))
    return b"".join(line.rstrip(b"\r\n") + end if every or number == at else line for number, line in enumerate(lines))


def _separators(data: bytes, place: int, value: int) -> bytes:
    """Write another separator, everywhere or once."""
    other = _SEPARATORS[_at(value, len(_SEPARATORS))].encode()
    if place % 2 == 0:
        return data.replace(b",", other)
    parts = data.split(b",")
    at = _at(place // 2, len(parts))
    return b",".join(parts[:at]) + (other if at else b"") + b",".join(parts[at:])


def _encoding(data: bytes, place: int, value: int) -> bytes:
    """Write it in another encoding, with a mark in front, or with an odd byte in between."""
    text = data.decode("utf-8", "replace")
    choice = place % 5
    if choice == 0:
        return b"\xef\xbb\xbf" + data
    if choice == 1:
        return text.encode("utf-16")
    if choice == 2:
        return text.replace("a", "é").encode("latin-1", "replace")
    return _insert(data, value, place)


def _insert(data: bytes, place: int, value: int) -> bytes:
    """Put odd bytes in between."""
    at = _at(place, len(data) + 1)
    return data[:at] + _BYTES[_at(value, len(_BYTES))] + data[at:]


def _cut(data: bytes, place: int, value: int) -> bytes:
    """Cut the end off, or a piece out."""
    at = _at(place, len(data) + 1)
    return data[:at] if value % 2 == 0 else data[:at] + data[at + 1 + value % 32 :]


def _flip(data: bytes, place: int, value: int) -> bytes:
    """Change one byte."""
    if not data:
        return data
    at = _at(place, len(data))
    return data[:at] + bytes([value % 256]) + data[at + 1 :]


def _integer(data: bytes, place: int, value: int) -> bytes:
    """Put an extreme whole number of one to eight bytes over some."""
    width = 1 << (value % 4)
    extremes = (0, 1, (1 << 8 * width) - 1, (1 << (8 * width - 1)) - 1, 1 << (8 * width - 1), 1 << (4 * width))
    number = extremes[_at(value // 4, len(extremes))].to_bytes(width, "big" if value % 8 < 4 else "little")
    at = _at(place, len(data) + 1)
    return data[:at] + number + data[at + width :]


def _node(data: bytes, place: int, value: int) -> bytes:
    """Replace, drop or repeat one value of a JSON document."""
    try:
        root = [json.loads(data)]
    except (ValueError, RecursionError):
        return _token(data, place, value)
    holders: list[tuple[Any, Any]] = []
    waiting: list[Any] = [root]
    while waiting and len(holders) < MOST:
        holder = waiting.pop()
        for key, inner in holder.items() if isinstance(holder, dict) else enumerate(holder):
            holders.append((holder, key))
            if isinstance(inner, dict | list):
                waiting.append(inner)
    holder, key = holders[_at(place, len(holders))]
    choice = value % 6
    if choice == 0 and len(root) > 0 and holder is not root:
        del holder[key]
    elif choice == 1 and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif choice == 2 and isinstance(holder, dict):
        holder[str(ODD[_at(value // 6, len(ODD))])] = holder.pop(key)
    elif choice == 3:
        holder[key] = ODD[_at(value // 6, len(ODD))]
    else:
        holder[key] = VALUES[_at(value // 6, len(VALUES))]
    return json.dumps(root[0] if root else None).encode()


def _member(data: bytes, place: int, value: int) -> bytes:
    """Damage a member of a zip archive, or its name, and pack it again: plain damage dies at the first checksum."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError, ValueError):
        return _flip(data, place, value)
    if not members:
        return data
    at = _at(place, len(members))
    name, content = members[at]
    choice, value = value % 12, value // 12
    if choice == 0:
        members[at] = (_text(_bytes(ODD[_at(value, len(ODD))])).replace("\x00", "") or "x", content)
    elif choice == 1:
        members.append((name, content))
    else:
        edit = _TEXT[_at(choice, len(_TEXT))]
        members[at] = (name, edit(content, place // len(members), value))
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # of a name that stands there twice
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name.encode("utf-8", "replace").decode()), content)
    return stream.getvalue()


_TEXT: Final = (_token, _token, _number, _number, _swap, _insert, _cut, _encoding)
_KINDS: Final[dict[str, tuple[Callable[[bytes, int, int], bytes], ...]]] = {
    "text": (*_TEXT, _line),
    "lines": (_cell, _cell, _cell, _number, _token, _line, _move, _ends_of_lines, _separators, _encoding, _cut),
    "json": (_node, _node, _node, _node, _node, _token, _cut, _insert),
    "binary": (_flip, _flip, _integer, _insert, _cut),
    "archive": (_member, _member, _member, _member, _member, _flip, _integer, _cut),
}
