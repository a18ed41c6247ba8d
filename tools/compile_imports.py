"""Import what the product and Dagster's services import, so that Python keeps the bytecode of exactly that.

Whoever runs them later may not write next to the code (a service, a container without root), and compiling takes five
of the eight seconds in which the definitions load. A module that cannot be imported here is none that starts here:
those of an extra that is not installed, and those of engines with environments of their own.
"""

from __future__ import annotations

import contextlib
import pkgutil
from importlib import import_module

import pipeline_defs

SERVICES = ("dagster._cli", "dagster._core.executor.child_process_executor", "dagster._daemon.cli", "dagster_webserver")


def main() -> None:
    """Import them; the interpreter writes what it compiles."""
    ours = [found.name for found in pkgutil.walk_packages(pipeline_defs.__path__, "pipeline_defs.")]
    for name in (*ours, *SERVICES):
        if name.rpartition(".")[2] != "__main__":
            with contextlib.suppress(Exception):
                import_module(name)


if __name__ == "__main__":
    main()
