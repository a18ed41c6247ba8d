"""Chaos: many small worlds, each with its faults, each checked against what it would be without.

``python -m tools.chaos [--seeds 200] [--first 1] [--seed N] [--repeat K] [--shrink]`` runs seeds one after the other on
a server of its own and prints what did not hold; the exit code is 1 if anything did not. With ``--shrink``, a schedule
that failed is run again and again with less in it, and the least that still fails is printed. What there is to go
wrong: docs/production/faults.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from pipeline_tests.chaos.planning import CHAOS_FAULTS
from pipeline_tests.chaos.running import Engine


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--repeat", type=int, default=1, help="run each so often: what happens when is not in the seed")
    parser.add_argument("--shrink", action="store_true", help="find the least that still fails")
    options = parser.parse_args()
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server is stopped on the way out
    os.environ["TZ"] = "UTC"
    time.tzset()
    failed: list[int] = []
    seen: Counter[str] = Counter()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, Engine(Path(folder)) as engine:
        for seed in (seed for seed in seeds for _ in range(options.repeat)):
            outcome = engine.run(seed)
            seen.update(outcome.plan.faults)
            if outcome.violations:
                failed.append(seed)
                print((engine.shrink(outcome) if options.shrink else outcome).tell(), flush=True)
            else:
                print(f"seed {seed}: held, {outcome.seconds:.1f} s, {outcome.looks} looks", flush=True)
            if options.seed is not None and not outcome.violations:
                print("\n".join([*outcome.plan.lines(), *outcome.ends]))
    used = sum(
        of.ru_utime + of.ru_stime for of in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    print(f"{len(seen)} of {len(CHAOS_FAULTS)} kinds of faults: {dict(sorted(seen.items()))}")
    print(f"{time.monotonic() - began:.0f} s, {used:.0f} CPU s of clients; failed: {sorted(set(failed)) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
