#!/usr/bin/env python3
"""Take the pictures of the docs: the asset graph, a partition with its plots, a failed check, the data report.

    python tools/screenshots.py [NAME]...     all of them, or those named (asset-graph, partition, failed-check, ...)
    python tools/screenshots.py --keep        leave the state and its UI's address for another look; Ctrl-C ends it

Nobody need watch: a state of its own is made in a temporary folder (five sample sessions, one of them full of defects,
their bars, one catalog, the report), the UI is started on it, the pictures are taken with a headless Chromium (see
pipeline_tests/servers/browser.py), and everything is stopped and removed. Takes some minutes. Exit code 0 only if every
picture was taken and is small enough for the repository.
"""

# ruff: noqa: PLC0415 -- this tree is put on the path first, and its settings into the environment
from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the pictures are of this tree, whatever is installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_tests.servers.browser import Page

IMAGES = ROOT / "docs" / "images"
LARGEST_BYTES = 300_000
UI_SECONDS = 300
PAGE_SECONDS = 180
SETTLE_SECONDS = 3.0
"""After what was waited for is there, the page draws on for a moment."""

GROUPS = ("ingestion", "bars", "greeks", "reconciliation")
DIRTY_DATE = "2025-08-12"
LAST_DATE = "2025-08-14"
MONTH = "2025-08|NIFTY"


@dataclass(frozen=True)
class Shot:
    """One picture.

    Parameters
    ----------
    name : str
        Of the file, without its ending.
    path : str
        Address below the UI's, with the names of `State` in braces; ``report`` is the file of the data report.
    width, height : int
        Of the window.
    ready : str
        A script that tells whether the page is ready.
    action : str
        A script to run then, before the picture is taken.
    done : str
        A script that tells whether that is done.

    """

    name: str
    path: str
    width: int
    height: int
    ready: str
    action: str = ""
    done: str = "true"


def click(words: str) -> str:
    """Write a script that clicks on the innermost element that holds these words."""
    return (
        "(() => { const found = [...document.querySelectorAll('a, button, span, div')]"
        f".filter((one) => one.textContent.trim() === {words!r}); if (found.length) found.at(-1).click(); }})()"
    )


# The buttons at the lower right are: nearer, farther, and then others. They say nothing by which to know them.
ZOOM_OUT = """
(() => {
  const places = [...document.querySelectorAll("button")].map((one) => [one.getBoundingClientRect(), one]);
  const corner = places.filter(([box]) => box.left > innerWidth - 80 && box.top > innerHeight / 2);
  corner.sort(([one], [other]) => one.top - other.top);
  // A click counts from the zoom that is drawn: each waits for the one before.
  for (let times = 0; times < 4; times += 1) setTimeout(() => corner[1][1].click(), 500 * times);
})()
"""


def shows(words: str) -> str:
    """Write a script that tells whether the page shows these words and has loaded what it shows."""
    text = "document.body.innerText"
    return f"{text}.includes({words!r}) && !/Loading|fetching/.test({text})"


SHOTS = (
    Shot(
        "asset-graph",
        f"/asset-groups?expanded={quote(','.join(f'global@global:{group}' for group in GROUPS))}",
        *(1500, 2000),
        # Only what lies in the window is drawn, and the layout decides what that is.
        f"({' || '.join(shows(name) for name in ('options_daily', 'nautilus', 'futures_ticks', 'option_greeks'))})",
        ZOOM_OUT,
    ),
    Shot(
        "partition",
        f"/assets/nse_csv/options_ticks?view=partitions&partition={DIRTY_DATE}",
        *(1500, 1100),
        f"{shows('[Show Markdown]')} && {shows('gdfl-minute')}",
        click("[Show Markdown]"),
        "[...document.images].some((one) => one.src.startsWith('data:image/svg') && one.naturalWidth > 300)",
    ),
    Shot(
        "failed-check",
        "/assets/nse_csv/{dataset}?view=checks&checkDetail={check_name}",
        *(1500, 1000),
        f"{shows('Failed')} && {shows('found')}",
        click("[Show Markdown]"),
        "!document.body.innerText.includes('[Show Markdown]') || document.querySelector('table td') !== null",
    ),
    Shot("data-report", "report", 1280, 1500, shows("Data report")),
)


STOPPED: list[int] = []


def stop(number: int, frame: object) -> None:
    """End by an exception, so that what follows `finally` happens, too."""
    del frame
    STOPPED.append(number)
    sys.exit(128 + number)


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass(frozen=True)
class State:
    """What is looked at.

    Parameters
    ----------
    report : Path
        File of the data report.
    dataset, check_name : str
        A table, and its check of the day with the defects that has the most failing rows.

    """

    report: Path
    dataset: str
    check_name: str


_MOST_FAILING = """
SELECT dataset, check_name FROM quality_latest
WHERE NOT passed AND source = 'nse_csv' AND trade_date = %s AND check_id IN (SELECT check_id FROM quality_failures)
ORDER BY severity = 'info', failing DESC, dataset, check_name LIMIT 1
"""


def fill(home: Path) -> State:
    """Make a state to look at."""
    from pipeline_defs.orchestration.runs import materialize_partition, open_instance
    from pipeline_defs.reporting.building import build_report
    from pipeline_defs.reporting.rendering import write_report
    from pipeline_defs.samples.generate import DEMO, generate
    from pipeline_defs.settings import load_settings
    from pipeline_defs.warehouse.connection import open_warehouse

    settings = load_settings()
    sample = generate(DEMO, home)
    warehouse = open_warehouse(settings)
    with open_instance(settings) as instance:
        # The day with the defects last: its check is what the asset's page shows first.
        for day in sorted(sample.trade_dates, key=lambda one: (one.isoformat() == DIRTY_DATE, one)):
            print(f"importing {day}", flush=True)
            materialize_partition("group:ingestion or group:bars", day.isoformat(), instance)
            if STOPPED:  # a run takes the signal for a failure of its own
                sys.exit(143)
        print(f"exporting {MONTH}", flush=True)
        materialize_partition('key:"catalogs/csv"', MONTH, instance)
    report = home / "report.html"
    moment = dt.datetime.fromisoformat(f"{LAST_DATE}T23:00+05:30")
    write_report(build_report(warehouse, moment), report)
    with warehouse.connect() as connection:
        failing = connection.execute(_MOST_FAILING, [DIRTY_DATE]).fetchone()
    return State(report, *(failing or ("spot_prices", "session_findings")))


@contextlib.contextmanager
def user_interface(home: Path) -> Iterator[str]:
    """Run the UI on a state, as `make ui` does; gives its address."""
    port = free_port()
    with (home / "ui.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline_defs.cli.main", "ui", "--port", str(port)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + UI_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"{address}/server_info", timeout=5):  # noqa: S310 -- our own server
                    break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the UI did not start:\n{(home / 'ui.log').read_text()[-2000:]}") from None
                time.sleep(0.5)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def state() -> Iterator[Path]:
    """Make a home of its own, and remove it in the end with the database that was started in it."""
    home = Path(tempfile.mkdtemp(prefix="pipeline-screenshots-"))
    home.chmod(0o755)  # root's database runs as nobody
    os.environ["PIPELINE_HOME"] = str(home)
    os.environ["PYTHONPATH"] = str(ROOT)
    for name in ("PIPELINE_DATABASE_URL", "DAGSTER_HOME"):
        os.environ.pop(name, None)
    try:
        yield home
    finally:
        from pipeline_defs.warehouse import embedded

        embedded.stop(home / "postgres")
        shutil.rmtree(home, ignore_errors=True)


def save(screenshot: bytes, picture: Path) -> None:
    """Write a picture of a page, which has few colours, with a palette: a third of the bytes."""
    from PIL import Image  # Matplotlib brings it

    with Image.open(io.BytesIO(screenshot)) as opened:
        opened.convert("RGB").quantize(256).save(picture, optimize=True)


def take(shot: Shot, page: Page, address: str) -> bool:
    """Take one picture; tells whether it is there and small enough."""
    page.size(shot.width, shot.height)
    page.open(address)
    page.wait(shot.ready, PAGE_SECONDS)
    time.sleep(SETTLE_SECONDS)
    if shot.action:
        page.evaluate(shot.action)
        page.wait(shot.done, PAGE_SECONDS)
    time.sleep(SETTLE_SECONDS)
    picture = IMAGES / f"{shot.name}.png"
    save(page.screenshot(), picture)
    size = picture.stat().st_size
    print(f"{picture}: {size:,} bytes{'' if size <= LARGEST_BYTES else ', TOO LARGE'}", flush=True)
    return size <= LARGEST_BYTES


def main() -> int:
    """Take the pictures.

    Returns
    -------
    int
        0 on success, 1 if a page did not show what was awaited, or a picture is too large for the repository.

    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(shot.name for shot in SHOTS))
    parser.add_argument("--keep", action="store_true", help="leave the UI running until Ctrl-C")
    arguments = parser.parse_args()
    wanted = [shot for shot in SHOTS if not arguments.names or shot.name in arguments.names]
    if unknown := set(arguments.names) - {shot.name for shot in SHOTS}:
        parser.error(f"no picture {', '.join(sorted(unknown))}; there are {', '.join(shot.name for shot in SHOTS)}")
    from pipeline_tests.servers.browser import running_browser

    IMAGES.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, stop)
    passed = True
    with state() as home:
        made = fill(home)
        with user_interface(home) as address, running_browser() as new_page:
            for shot in wanted:
                path = shot.path.format(dataset=made.dataset, check_name=made.check_name)
                target = made.report.as_uri() if path == "report" else f"{address}{path}"
                try:
                    passed &= take(shot, new_page(), target)
                except TimeoutError as error:
                    print(f"{shot.name}: {error}", flush=True)
                    passed = False
            if arguments.keep:
                print(f"{address} until Ctrl-C", flush=True)
                with contextlib.suppress(KeyboardInterrupt):
                    signal.pause()
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
