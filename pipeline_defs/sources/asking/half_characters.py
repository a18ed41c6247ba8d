"""Half characters: JSON can spell them (``ud83d`` after a backslash, alone), no text and no column can hold them."""

from __future__ import annotations

import json
import re
from typing import Final

_SPELLED: Final = re.compile(r"\\u[dD][89a-fA-F]")
_SPELLED_BYTES: Final = re.compile(_SPELLED.pattern.encode())


def refuse_half_characters(content: object, spelled: str | bytes) -> None:
    """Refuse JSON with half a character in it.

    Parameters
    ----------
    content : object
        What was read.
    spelled : str or bytes
        What it was read from: where no half is spelled, `content` is not looked through.

    Raises
    ------
    UnicodeEncodeError
        A `ValueError`, as the reader of JSON raises for what is none.

    """
    found = _SPELLED.search(spelled) if isinstance(spelled, str) else _SPELLED_BYTES.search(spelled)
    if found is not None:
        json.dumps(content, ensure_ascii=False).encode()


def replace_half_characters(text: str) -> str:
    """Give a text with a question mark for every half character."""
    return text.encode("utf-8", "replace").decode()
