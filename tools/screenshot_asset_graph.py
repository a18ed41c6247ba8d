#!/usr/bin/env python3
"""Take the picture of the asset graph in the docs from a running UI (`make ui`), with a headless Chromium.

Usage: tools/screenshot_asset_graph.py [URL of the UI]
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "asset-graph.png"
GROUPS = ("ingestion", "bars", "catalogs")
WINDOW = "1500,1800"
LARGEST_BYTES = 300_000
SECONDS = 90


def main() -> int:
    """Write the picture.

    Returns
    -------
    int
        0 on success, 1 if there is no browser, no UI, or the picture is too large for the repository.

    """
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:3000"
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.stderr.write("no Chromium found; on Debian: apt-get install chromium\n")
        return 1
    expanded = quote(",".join(f"global@global:{group}" for group in GROUPS))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        command = [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
            f"--user-data-dir={profile}",
            f"--window-size={WINDOW}",
            "--virtual-time-budget=20000",  # milliseconds the page is given to load its data
            f"--screenshot={PICTURE}",
            f"{url}/asset-groups?expanded={expanded}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode != 0 or not PICTURE.is_file():
        sys.stderr.write(done.stderr)
        return 1
    size = PICTURE.stat().st_size
    sys.stdout.write(f"{PICTURE}: {size} bytes\n")
    return 0 if size <= LARGEST_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
