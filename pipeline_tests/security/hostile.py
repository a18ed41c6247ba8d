"""Texts that somebody may send in place of a name, each for what it tries."""

from __future__ import annotations

from typing import Final

HOSTILE: Final = {
    "parent folder": "../../outside",
    "parent folder, windows": "..\\..\\outside",
    "parent folder, encoded": "%2e%2e%2foutside",
    "absolute path": "/etc/passwd",
    "home folder": "~root/outside",
    "nul": "NIFTY\x00.csv",
    "line end": "NIFTY\nERROR forged line",
    "carriage return": "NIFTY\rforged",
    "terminal escape": "\x1b[2J\x1b]0;owned\x07NIFTY",
    "c1 escape": "\x9b31mNIFTY",
    "sql quote": "NIFTY'; DROP TABLE loads; --",
    "sql identifier": 'loads" CASCADE; --',
    "sql dollar": "$$; SELECT pg_sleep(9); $$",
    "sql wildcard": "%_%",
    "psycopg placeholder": "%(name)s %s",
    "format string": "{0.__class__.__mro__} {name} %n%s",
    "shell": "$(touch outside); `touch outside` | touch outside &",
    "option": "--help",
    "csv formula": "=cmd|' /C calc'!A0",
    "csv formula with at": "@SUM(1+1)",
    "script": "<script>alert(1)</script>",
    "attribute": '" onmouseover="alert(1)',
    "template": "{{ 7 * 7 }}{% raw %}",
    "very long": "A" * 70_000,
    "look-alike": "NIFT\u0423",
    "bidi": "NIFTY\u202eEC",
    "zero width": "NIF\u200bTY",
    "half a character": "NIFTY\ud83d",
    "json": '{"$ne": null}',
    "yaml tag": "!!python/object/apply:os.system [true]",
    "jndi": "${jndi:ldap://127.0.0.1/x}",
    "metadata address": "http://169.254.169.254/latest/meta-data/",
    "file address": "file:///etc/passwd",
    "empty": "",
    "dots": "..",
    "blank": " ",
}
