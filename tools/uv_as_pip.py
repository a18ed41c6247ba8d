"""Run uv with the indexes of pip's configuration, which it does not read: tools/uv_as_pip.py UV ARGUMENT...

The Python is one with pip. What uv is told by its own variables stays as it is.
"""

import ast
import os
import subprocess
import sys

NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
"""Options of pip, and the variables by which uv takes the same."""


def variables(listed: str) -> "dict[str, str]":
    """Give uv's variables for what ``pip config list`` prints: the environment's own word comes after the files'."""
    found: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for line in listed.splitlines():
            key, _, value = line.partition("=")
            where, _, option = key.rpartition(".")
            if where == section and option in NAMES:
                separator = "," if option == "find-links" else " "
                found[NAMES[option]] = separator.join(str(ast.literal_eval(value)).split())
    # As pip does: the same version is the same wherever it lies, and its hash says so.
    return {**found, "UV_INDEX_STRATEGY": "unsafe-best-match"}


def main() -> None:
    """Take the place of this process."""
    command = (sys.executable, "-m", "pip", "config", "list")
    listed = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=False).stdout
    os.execve(sys.argv[1], sys.argv[1:], {**variables(listed), **os.environ})  # noqa: S606 -- a program, no line


if __name__ == "__main__":
    main()
