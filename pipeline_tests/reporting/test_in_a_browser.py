"""The report in a real browser, from a file: that it can be read, used, and asks nobody for anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.reporting.building import build_report
from pipeline_defs.reporting.rendering import write_report
from pipeline_tests.reporting.conftest import NOW
from pipeline_tests.reporting.filling import fill
from pipeline_tests.servers.browser import Page, running_browser
from pipeline_tests.servers.places import ServerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline_defs.warehouse.connection import Warehouse

# Words and their ground, as the browser worked them out; grounds that let through what is below are looked through.
CONTRASTS = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d");
  const parse = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (rgb) => {
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = rgb.slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = parse(getComputedStyle(at).backgroundColor);
      if (found[3] === 255) return found;
    }
    return parse("Canvas");
  };
  const found = {};
  const words = "h1, h2, p, a, dt, dd, caption, th, td, .status, button, figcaption, svg text, label, summary, li";
  for (const element of document.querySelectorAll(words)) {
    if (!element.textContent.trim() || element.closest(".skip")) continue;
    const style = getComputedStyle(element);
    const color = parse(element.tagName === "text" ? style.fill : style.color);
    const [a, b] = [light(color), light(ground(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    const name = `${element.tagName.toLowerCase()}.${element.getAttribute("class") || ""}`;
    if (!(name in found) || contrast < found[name]) found[name] = contrast;
  }
  return found;
})()
"""

OVERLAPS = """
(() => {
  const found = [];
  for (const picture of document.querySelectorAll("svg.plot")) {
    const frame = picture.getBoundingClientRect();
    const words = [...picture.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
    words.forEach(([one, a], at) => {
      if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.bottom > frame.bottom + 1 || a.top < frame.top - 1)
        found.push(`${one} leaves the picture`);
      for (const [other, b] of words.slice(at + 1))
        if (a.left < b.right && b.left < a.right && a.top + 2 < b.bottom - 2 && b.top + 2 < a.bottom - 2)
          found.push(`${one} touches ${other}`);
    });
  }
  return found;
})()
"""


@pytest.fixture(scope="module")
def new_page() -> Iterator[Callable[[], Page]]:
    """A browser; a machine that cannot have one skips these tests, unless it is CI."""
    try:
        with running_browser() as opened:
            yield opened
    except ServerUnavailableError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(f"no browser: {error}")


@pytest.fixture
def page(watched: Warehouse, new_page: Callable[[], Page], tmp_path: Path) -> Page:
    """The report of a filled warehouse, in a window of 1280 by 900."""
    fill(watched)
    output = tmp_path / "a report.html"
    write_report(build_report(watched, NOW), output)
    opened = new_page()
    opened.size(1280, 900)
    opened.open(output.as_uri())
    return opened


def column(page: Page, table: str, number: int) -> list[Any]:
    rows = f"[...document.querySelectorAll('#{table} tbody tr')].filter((row) => !row.hidden)"
    found: list[Any] = page.evaluate(f"{rows}.map((row) => row.cells[{number}].textContent.trim())")
    return found


def test_it_opens_from_a_file_without_an_error_or_another_request(page: Page) -> None:
    assert page.evaluate("location.protocol") == "file:"
    assert page.errors == []
    assert [url for url in page.requests if not url.startswith("file:") or not url.endswith("a%20report.html")] == []


def test_the_key_numbers_are_on_the_page(page: Page, watched: Warehouse) -> None:
    for name, fact in build_report(watched, NOW).facts().items():
        if not name.startswith("sizes"):  # the server counts on by itself
            assert page.evaluate(f"document.getElementById('{name}').textContent") == fact.value
    assert page.evaluate("document.getElementById('made-at').innerText") == "2025-08-20 23:30 IST"
    assert page.evaluate("document.querySelectorAll('section').length") == 7


def test_a_hostile_symbol_is_seen_as_it_is_written(page: Page) -> None:
    assert "<script>document.title = 'taken'</script>" in column(page, "gaps-fillable-table", 4)
    assert page.evaluate("document.title") == "Data report, 2025-08-20 23:30 IST"


def test_a_click_on_a_heading_sorts_by_the_number_behind_what_is_read(page: Page) -> None:
    click = "document.querySelectorAll('#provenance-loads-table th button')[6].click()"
    page.evaluate(click)
    read = [int(text.replace(",", "")) for text in column(page, "provenance-loads-table", 6)]
    assert read == sorted(read)
    assert len(set(read)) > 3
    page.evaluate(click)
    assert column(page, "provenance-loads-table", 6) == [f"{count:,}" for count in sorted(read, reverse=True)]
    sort = "document.querySelectorAll('#provenance-loads-table th')[6].getAttribute('aria-sort')"
    assert page.evaluate(sort) == "descending"


def test_words_in_the_filter_leave_the_rows_that_have_all_of_them(page: Page) -> None:
    every = column(page, "provenance-loads-table", 2)
    page.evaluate(
        "(() => { const input = document.querySelector('#provenance-loads-table input');"
        " input.value = 'SPOT zerodha'; input.dispatchEvent(new Event('input')); })()"
    )
    left = column(page, "provenance-loads-table", 2)

    assert set(left) == {"spot_prices"}
    assert 0 < len(left) < len(every)
    counted = page.evaluate("document.querySelector('#provenance-loads-table output').textContent")
    assert counted == f"{len(left)} of {len(every)} rows"


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_sticks_out_of_the_window(page: Page, width: int) -> None:
    page.size(width, 800)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sticking = (
        "[...document.querySelectorAll('body *')].filter((element) => !element.closest('.scroll, .skip, script'))"
        f".filter((element) => element.getBoundingClientRect().right > {width} + 1)"
        ".map((one) => one.outerHTML.slice(0, 80))"
    )
    assert page.evaluate(sticking) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(page: Page, scheme: str) -> None:
    page.prefer(scheme)
    found = page.evaluate(CONTRASTS)

    assert len(found) > 12
    assert {name: round(contrast, 2) for name, contrast in found.items() if contrast < 4.5} == {}
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 22, 27)")


def test_words_in_pictures_do_not_touch(page: Page) -> None:
    assert page.evaluate("document.querySelectorAll('svg.plot').length") >= 3
    assert page.evaluate(OVERLAPS) == []


def test_without_a_script_everything_is_there(page: Page) -> None:
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    page.open(page.requests[0])
    text = page.call("DOM.getOuterHTML", nodeId=page.call("DOM.getDocument")["root"]["nodeId"])["outerHTML"]

    assert 'id="freshness-late">' in text
    assert "<button" not in text
