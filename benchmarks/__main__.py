"""``python -m benchmarks``: every benchmark, one after the other, each printing one JSON object."""

# ruff: noqa: INP001 -- scripts to run, not a package to import

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
SHARED = {"measuring", "watching", "questions", "hastened"}
"""What the scripts use; nothing to run by itself."""


def main() -> int:
    """Run the scripts beside this one; the exit code of the first that fails."""
    for script in sorted(path for path in FOLDER.glob("[a-z]*.py") if path.stem not in SHARED):
        sys.stderr.write(f"== {script.name}\n")
        command = [sys.executable, "-m", f"benchmarks.{script.stem}"]
        code = subprocess.run(command, cwd=FOLDER.parent, check=False).returncode  # noqa: S603 -- our own script
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
