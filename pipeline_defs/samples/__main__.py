"""``python -m pipeline_defs.samples``: write a preset into a folder, print a summary as JSON."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from pipeline_defs.errors import PipelineError
from pipeline_defs.samples.generate import DEMO, benchmark_day, generate, tiny_day


def main(arguments: list[str] | None = None) -> int:
    """Write a preset.

    Parameters
    ----------
    arguments : list of str, optional
        Default is the command line.

    Returns
    -------
    int
        0 on success, 1 when the sample cannot be made.

    """
    parser = argparse.ArgumentParser(prog="python -m pipeline_defs.samples", description="Write sample market data.")
    parser.add_argument("--preset", choices=("demo", "benchmark", "tiny"), default="demo")
    parser.add_argument("--output", type=Path, required=True, help="folder to write into")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the benchmark day")
    parser.add_argument("--files", type=int, default=2_500, help="files of the benchmark day")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    try:
        if options.preset == "tiny":
            sample = tiny_day(options.output)
        else:
            spec = DEMO if options.preset == "demo" else benchmark_day(options.rows, options.files)
            sample = generate(spec, options.output)
    except PipelineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    summary = {"preset": options.preset, **sample.summary(), "seconds": round(time.perf_counter() - started, 3)}
    sys.stdout.write(json.dumps(summary) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
