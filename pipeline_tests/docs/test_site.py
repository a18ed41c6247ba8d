"""The site builds without a warning, without a network, and refers to nothing that is not there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.docs.blocks import pages

if TYPE_CHECKING:
    from pathlib import Path

LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}
"""What a browser fetches by itself, by the attribute that names it."""
WITHOUT_A_PAGE = {"genindex.html", "py-modindex.html", "search.html"}


class Page(HTMLParser):
    """What a page loads, where its links lead, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value is not None}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in LOADED and LOADED[tag] in found and found.get("rel") not in {"canonical", "next", "prev"}:
            self.loads.append(found[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once as `make docs` does, in a process that no proxy lets out."""
    folder = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    finished = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", str(folder)],
        cwd=PROJECT_ROOT,
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return folder


@pytest.fixture(scope="module")
def built(site: Path) -> dict[str, Page]:
    return {
        path.relative_to(site).as_posix(): Page(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
    }


def test_every_page_of_the_docs_is_in_the_site(built: dict[str, Page]) -> None:
    wanted = {page.removeprefix("docs/").replace(".md", ".html") for page in pages() if page != "README.md"}
    notebooks = {f"notebooks/{path.stem}.html" for path in (PROJECT_ROOT / "docs/notebooks").glob("*.ipynb")}
    assert (wanted | notebooks) - built.keys() == set()


def test_every_page_can_be_reached_from_the_first_one(built: dict[str, Page]) -> None:
    reached, waiting = set(), ["index.html"]
    while waiting:
        page = waiting.pop()
        if page in reached or page not in built:
            continue
        reached.add(page)
        waiting += [target for link in built[page].links if (target := inside(page, link)[0]) is not None]
    assert built.keys() - reached - WITHOUT_A_PAGE == set()


def test_every_internal_link_leads_to_a_place_that_is_there(site: Path, built: dict[str, Page]) -> None:
    broken = []
    for name, page in built.items():
        for link in page.links:
            target, anchor = inside(name, link)
            if target is None:
                continue
            if not (site / target).exists():
                broken.append(f"{name}: {link}")
            elif anchor and target in built and anchor not in built[target].ids:
                broken.append(f"{name}: {link} (no such place on the page)")
    assert broken == []


def test_a_browser_fetches_nothing_from_elsewhere(site: Path, built: dict[str, Page]) -> None:
    elsewhere = [f"{name}: {one}" for name, page in built.items() for one in page.loads if urlsplit(one).netloc]
    assert elsewhere == []
    styles = [path for path in site.rglob("*.css") if re.search(r"url\(['\"]?(https?:)?//", path.read_text())]
    assert styles == []


def test_links_of_the_readme_lead_to_files_that_are_there() -> None:
    text = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text)
    assert len(links) > 20
    assert [link for link in links if not urlsplit(link).netloc and not (PROJECT_ROOT / link).exists()] == []


def inside(page: str, link: str) -> tuple[str | None, str]:
    """Resolve a link against its page: a file of the site and an anchor, or None if it leads elsewhere."""
    split = urlsplit(link)
    if split.scheme or split.netloc:
        return None, ""
    folder = page.rpartition("/")[0]
    target = os.path.normpath(os.path.join(folder, unquote(split.path))) if split.path else page  # noqa: PTH118
    return target, unquote(split.fragment)
