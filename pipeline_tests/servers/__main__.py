"""Run the tests on every server, at once, and say at the end how many on which.

    python -m pipeline_tests.servers [--thorough] [--server NAME]... [argument of pytest]...

All tests run on the embedded server, with coverage; those that speak to the database run again on the others. A
server that this machine cannot have is named with the reason; where ``CI`` is set, that is a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline_tests.servers import SERVERS, prepare
from pipeline_tests.servers.again import ROOMS
from pipeline_tests.servers.places import ServerUnavailableError

ROOT = Path(__file__).resolve().parent.parent.parent
MOST_WORKERS = 4
COVERAGE = ("--cov", "--cov-report=term:skip-covered", "--cov-fail-under=90")


@dataclass(frozen=True)
class Outcome:
    """What became of the tests of one server.

    Parameters
    ----------
    server : str
        Its name.
    said : str
        Counts, or why nothing ran.
    passed : bool
        Whether nothing failed; a server that cannot be had fails in CI.

    """

    server: str
    said: str
    passed: bool

    def __str__(self) -> str:
        """Give the line of the summary."""
        return f"{self.server}: {self.said}"


def counts(report: Path) -> str:
    """Count the tests of a report in JUnit's form by what became of them."""
    suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314 -- pytest wrote it a moment ago
    if suite is None:
        return "no test"
    bad = {name: int(suite.get(name, 0)) for name in ("failures", "errors", "skipped")}
    passed = int(suite.get("tests", 0)) - sum(bad.values())
    words = {"failures": "failed", "errors": "errors", "skipped": "skipped"}
    return ", ".join([f"{passed} passed", *(f"{number} {words[name]}" for name, number in bad.items() if number)])


def run(
    server: str, arguments: list[str], *, strict: bool, thorough: bool = False, output: IO[str] | None = None
) -> Outcome:
    """Run the tests of one server, printing to a file if one is given."""
    _say(f"== tests on the {server} server")
    begun = time.monotonic()
    try:
        prepare(server)
    except ServerUnavailableError as error:
        return Outcome(server, f"not run: {error}", passed=not strict)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        coverage = COVERAGE if server == "embedded" and not arguments else ("--no-cov",)
        command = [sys.executable, "-m", "pytest", "-q", f"--server={server}", f"--junit-xml={report}", *coverage]
        if server == "embedded" and not arguments:
            # A worker has a server of its own; the tests of a file share what the file makes for them.
            command += [
                "-n",
                str(min(os.cpu_count() or 1, MOST_WORKERS)),
                "--dist",
                "loadfile",
                "--no-loadscope-reorder",
            ]
        # The folder is named, because the option is of its conftest, which is read before the configured folders are.
        command += ["--thorough"] if thorough else []
        # No other folder is run again on a server, so no other needs to be collected for it.
        command += arguments or [str(Path("pipeline_tests", room)) for room in ROOMS.get(server, ("",))]
        code = subprocess.run(command, cwd=ROOT, check=False, stdout=output, stderr=output).returncode
        said = counts(report) if report.exists() else "no report"
    seconds = f"{time.monotonic() - begun:.0f} s"
    return Outcome(server, f"{said}, {seconds}" + (f", exit code {code}" if code else ""), passed=code == 0)


def run_together(servers: list[str], arguments: list[str], *, strict: bool, thorough: bool = False) -> list[Outcome]:
    """Run the tests of several servers at once: the first prints as it goes, the others' output follows it.

    Those of the full edition wait for one process that works on one core, and leave half of a small machine idle.
    """
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(servers)) as pool:
        later = [stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in servers[1:]]
        outcomes = list(
            pool.map(
                lambda server, output: run(server, arguments, strict=strict, thorough=thorough, output=output),
                servers,
                [None, *later],
            )
        )
        for server, output in zip(servers[1:], later, strict=True):
            output.seek(0)
            _say(f"== said by the tests on the {server} server", output.read())
    return outcomes


def _say(*lines: object) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Run what is asked for, and print the summary."""
    parser = argparse.ArgumentParser(prog="python -m pipeline_tests.servers", description=__doc__)
    parser.add_argument("--server", choices=SERVERS, action="append", help="only this one; may be repeated")
    parser.add_argument("--thorough", action="store_true", help="more examples, and what is left to this")
    chosen, rest = parser.parse_known_args(arguments)
    strict = "CI" in os.environ
    outcomes = run_together(chosen.server or [*SERVERS], rest, strict=strict, thorough=chosen.thorough)
    _say("== per server", *outcomes)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
