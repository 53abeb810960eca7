"""The page of a sweep in a real browser: its table and its scatter are linked, without network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import archdsl
from archdsl.variants.writing import FORMS

playwright = pytest.importorskip(
    "playwright.sync_api", reason="the page is tried with Playwright: pip install playwright"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="the page is tried in Chromium: apt-get install chromium"
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
NET = Path(__file__).with_name("net.arch")
HOSTILE = '</script><b>"x" & {data}'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sweep = archdsl.sweep(
        NET,
        width=[4, 8, 12],
        depth=[1, 2, 7],
        unit="Plain,Grouped(groups = 4)",
        act=["relu", HOSTILE],
    )
    path = tmp_path_factory.mktemp("page") / "sweep.html"
    path.write_bytes(FORMS["html"].write(sweep, list(sweep)))
    return path


@pytest.fixture
def page(browser: Any, path: Path) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    page.set_default_timeout(5_000)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith((path.as_uri(), "data:"))] == []


def column(page: Any, name: str) -> list[str]:
    names = page.eval_on_selector_all("th button", "all => all.map(b => b.textContent)")
    place = [one.rstrip(" ↑↓") for one in names].index(name) + 1
    return list(
        page.eval_on_selector_all(f"td:nth-child({place})", "all => all.map(c => c.textContent)")
    )


def test_all_rows_are_there_with_their_errors(page: Any) -> None:
    assert page.text_content("#totals") == "36 of 36 variants, 2 on the front; 12 failed"
    assert len(column(page, "width")) == 36
    assert column(page, "act")[1] == HOSTILE
    assert "E0301" in column(page, "error")[8]
    assert page.query_selector("b") is None
    assert column(page, "parameters")[:1] == ["310"]


def test_rows_are_sorted_by_a_column(page: Any) -> None:
    page.click("th button:text('parameters')")
    up = [text for text in column(page, "parameters") if text != "-"]
    numbers = [int(text.replace(",", "")) for text in up]
    assert numbers == sorted(numbers)
    assert column(page, "parameters")[-12:] == ["-"] * 12  # what failed is last
    page.click("th button:text('parameters')")
    assert [text for text in column(page, "parameters") if text != "-"] == up[::-1] or numbers[0]
    assert page.get_attribute("th[aria-sort=descending]", "aria-sort") == "descending"
    assert column(page, "parameters")[-12:] == ["-"] * 12


def test_rows_are_filtered(page: Any) -> None:
    for text, left in [
        ("width = 8", 12),
        ("width > 4 and depth < 7", 16),
        ("parameters < 1,000 and width != 4", None),
        ("unit : group", 18),
        ("grouped", 18),
        ("E0301", 12),
        ("act = relu and unit = Plain", 9),
        ("nothing of that", 0),
    ]:
        page.fill("#filter", text)
        found = len(page.query_selector_all("tbody tr"))
        assert page.text_content("#totals").startswith(f"{found} of 36")
        assert page.text_content("#wrong") == ""
        assert left is None or found == left, text
        assert page.is_visible("#none") == (found == 0)
    for text, said in [("wodth > 3", "there is no column wodth"), ("width > x", "x is no number")]:
        page.fill("#filter", text)
        assert page.text_content("#wrong") == said


def test_a_row_and_its_point_are_chosen_together(page: Any) -> None:
    page.click("tbody tr:nth-child(14)")
    page.mouse.move(0, 0)
    assert page.is_visible("#tip")
    assert "8" in page.text_content("#tip")
    number = page.get_attribute("tr.chosen", "data-number")
    spot = page.evaluate(f"spots.find(one => one.number === {number})")
    page.keyboard.press("Escape")
    assert page.query_selector("tr.chosen") is None

    frame = page.locator("#plot").bounding_box()
    page.mouse.click(frame["x"] + spot["x"], frame["y"] + spot["y"])

    chosen = page.get_attribute("tr.chosen", "data-number")
    same = page.evaluate(f"rows[{chosen}][at[state.x]] === rows[{number}][at[state.x]]")
    assert same
    page.keyboard.press("ArrowDown")
    assert page.get_attribute("tr.chosen", "data-number") != chosen


def test_the_front_is_the_one_of_python(page: Any) -> None:
    from archdsl.variants.choosing import Wish, front

    rows = page.evaluate("rows.map((row, n) => ({n, width: row[at.width], macs: row[at.macs]}))")
    page.select_option("#x", "width")
    page.select_option("#y", "macs")
    page.click("#x-way")
    expected = front(rows, [Wish("width", True), Wish("macs", False)])

    page.click("#only")

    shown = page.eval_on_selector_all("tbody tr", "all => all.map(r => Number(r.dataset.number))")
    assert sorted(shown) == [row["n"] for row in expected]
    assert page.text_content("#x-way") == "width: more is better"


def test_what_is_shown_stands_in_the_address(browser: Any, page: Any, path: Path) -> None:
    page.fill("#filter", "width = 8")
    page.click("#y-log")
    page.select_option("#colour", "unit")
    fragment = page.evaluate("location.hash")

    page.goto("about:blank")
    page.goto(f"{path.as_uri()}{fragment}")

    assert page.text_content("#totals").startswith("12 of 36")
    assert page.get_attribute("#y-log", "aria-pressed") == "true"
    assert "Grouped(groups = 4)" in page.text_content("#legend")
    page.goto("about:blank")
    page.goto(f"{path.as_uri()}#x=act&y=nothing&constructor=1&sort=__proto__")
    assert page.text_content("#totals").startswith("36 of 36")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Any, path: Path, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True
    )
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.get_attribute("html", "data-theme") == scheme
    heights = page.eval_on_selector_all(
        "nav button, nav select, nav input", "all => all.map(one => one.offsetHeight)"
    )
    assert min(heights) >= 40
    context.close()


def test_a_page_of_too_many_rows_is_refused() -> None:
    sweep = archdsl.sweep(NET, width=[1])
    with pytest.raises(archdsl.ArchError, match="50,001 rows"):
        FORMS["html"].write(sweep, [{}] * 50_001)
