"""The HTML page in a real browser: folding, search, sorting, keys, a phone, no network."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from graphs import Builder, inception, resnet

from archdsl import load
from archdsl.backends.diagram import draw
from archdsl.backends.diagram.box_rows import rows_of
from archdsl.backends.diagram.diagram import Choices, style_of
from archdsl.backends.diagram.style import THEMES
from archdsl.backends.diagram.view.viewer import Viewer
from archdsl.graph import CheckedGraph
from archdsl.layers.sizes import Formula

playwright = pytest.importorskip(
    "playwright.sync_api", reason="the page is tried with Playwright: pip install playwright"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="the page is tried in Chromium: apt-get install chromium"
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        yield running
        running.close()


class Opened:
    """A page in the browser, with all that it complained of and asked the network for."""

    def __init__(
        self,
        browser: Any,
        folder: Path,
        checked: CheckedGraph,
        drawn: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.path = folder / "net.html"
        self.path.write_bytes(draw(checked, format="html", **drawn or {}).data)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(viewport={"width": 1200, "height": 900}, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(5_000)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.go("")

    def go(self, fragment: str) -> None:
        self.page.goto("about:blank")
        self.page.goto(f"{self.path.as_uri()}{fragment}")

    def boxes(self) -> list[str]:
        return list(self.page.eval_on_selector_all(".box", "all => all.map(b => b.ariaLabel)"))

    def has(self, text: str) -> bool:
        return any(text in label for label in self.boxes())

    def box(self, text: str) -> Any:
        return self.page.locator(f'.box[aria-label*="{text}"]').first

    def fragment(self) -> str:
        return str(self.page.evaluate("location.hash"))

    def close(self) -> None:
        own = self.path.as_uri()
        elsewhere = [url for url in self.requests if not url.startswith((own, "data:", "about:"))]
        self.context.close()
        assert not self.complaints
        assert not elsewhere


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Opened]:
    page = Opened(browser, tmp_path, resnet((2, 4)))
    yield page
    page.close()


def test_a_click_unfolds_and_folds_a_block(opened: Opened) -> None:
    before = opened.boxes()
    assert opened.has("3 times")
    opened.page.click("#fold-all")
    assert not opened.has("3 times")
    opened.box("block layer2").click()
    assert opened.has("run Bottleneck")
    opened.box("3 times").click()
    assert not opened.has("3 times")
    opened.box("Bottleneck width 128, stride 1 2").focus()  # brings it into sight
    opened.box("Bottleneck width 128, stride 1 2").click()
    assert opened.has("conv3")
    opened.page.locator(".title", has_text="2 Bottleneck").click()
    assert opened.has("3 times")
    assert set(before) >= {label for label in opened.boxes() if "3 times" in label}


def test_a_run_names_all_that_it_repeats(browser: Any, tmp_path: Path) -> None:
    b = Builder()
    b.input("x", 4, 16, 16)
    for number in range(3):
        b.layer("Conv2d", f"down{number}", out_channels=4, kernel_size=1)
        with b.block(f"body{number}", "Body"):
            b.layer("Conv2d", out_channels=4, kernel_size=1)
            b.layer("MaxPool2d", kernel_size=1)
    opened = Opened(browser, tmp_path, b.checked())
    opened.page.click("#fold-all")

    assert opened.has("run Conv2d 1x1, 4 down0 ... down2, Body body0 ... body2")
    opened.box("3 times").hover()
    assert "Conv2d, Body" in opened.page.inner_text("#details")
    opened.box("3 times").click()
    assert [label for label in opened.boxes() if "down1" in label]
    opened.close()


def test_everything_unfolded_shows_every_node(opened: Opened) -> None:
    opened.page.click("#unfold-all")
    shown = opened.page.evaluate("boxesOf(root).flatMap(box => box.nodes).length")

    assert shown == len(resnet((2, 4)).nodes)
    assert not opened.has("times")


@pytest.mark.parametrize(("depth", "counts"), [(1, False), (2, True), (3, False), (4, True)])
@pytest.mark.parametrize("name", ["inception_v3", "densenet121", "resnet50", "deeplabv3_resnet50"])
def test_a_page_is_folded_as_a_picture_is(
    browser: Any, tmp_path: Path, name: str, depth: int, counts: bool
) -> None:
    """Both show the same boxes with the same rows, and the same main path."""
    checked = load(name).checked
    seen = Viewer(checked).view(depth)
    style = style_of(seen, Choices(counts=counts))
    numbers = {name: number for number, name in enumerate(checked.nodes)}
    wanted = []
    for box in seen.boxes:
        rows = rows_of(seen, box, style) if box.kind in ("layers", "block", "run") else ()
        said = [f"{row.strong} {row.text} {row.name}".split() for row in rows]
        inside = sorted(numbers[node.name] for node in box.nodes)
        wanted.append([inside, said, box.index in seen.main])
    opened = Opened(browser, tmp_path, checked, {"depth": depth, "counts": counts})
    shown = opened.page.evaluate("""() => boxesOf(root).map((box) => [
      box.nodes, ["layers", "block", "run"].includes(box.kind)
        ? box.rows.map((row) => `${row.strong} ${row.text} ${row.name}`.trim().split(/ +/)) : [],
      Boolean(box.main)])""")

    assert sorted(shown, key=str) == sorted(wanted, key=str)
    opened.close()


def test_a_page_opens_what_was_to_be_unfolded_out_of_its_run(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, tmp_path, resnet((2, 4)), {"depth": 1, "unfold": ("layer2.2",)})
    shown = opened.page.evaluate("boxesOf(root).map((box) => nodes[box.nodes[0]]?.name)")

    assert "layer2.2.conv1" in shown
    assert "layer2.1.conv2" not in shown
    assert not opened.has("3 times")
    opened.page.locator(".title", has_text="2 Bottleneck").click()
    assert opened.has("3 times")
    opened.close()


def test_colours_by_costs_that_are_formulas_are_not_offered(browser: Any, tmp_path: Path) -> None:
    """A formula has no share of the most, and neither has a folded block with one in it."""
    height, width = Formula.named("H"), Formula.named("W")
    b = Builder()
    b.input("image", 3, height, width)
    with b.block("body", "Body"):
        b.layer("Conv2d", out_channels=8, kernel_size=3, padding=1)
        b.layer("MaxPool2d", kernel_size=1)
    opened = Opened(browser, tmp_path, b.checked(), {"heat": "macs"})
    colours = "[...colour.options].map((option) => [option.value, option.disabled])"
    offered = dict(opened.page.evaluate(colours))
    assert offered == {"family": False, "macs": True, "parameters": False, "memory": True}
    assert opened.page.input_value("#colour") == "family"
    opened.close()

    b.layer("AdaptiveAvgPool2d", output_size=1)
    b.layer("Flatten")
    with b.block("head", "Head"):
        b.layer("Linear", "fc", out_features=10)
        b.layer("Linear", "fc2", out_features=10)
    opened = Opened(browser, tmp_path, b.checked(), {"heat": "macs", "depth": 1})
    fills = """() => Object.fromEntries(boxesOf(root).filter((box) => box.kind === "block")
      .map((box) => [scopes[box.scope].name, fillOf(box)]))"""
    assert opened.page.evaluate(fills) == {
        "body": THEMES["light"].warm(0),
        "head": THEMES["light"].warm(1),
    }
    assert "or a formula" in opened.page.inner_text("#legend")
    opened.close()


def test_nothing_overlaps_and_edges_point_down(opened: Opened) -> None:
    opened.page.click("#unfold-all")
    overlaps = opened.page.evaluate(
        """() => {
          const all = boxesOf(root);
          const cross = (a, b) => a.left < b.left + b.width && b.left < a.left + a.width
            && a.top < b.top + b.height && b.top < a.top + a.height;
          return all.filter((a, i) => all.slice(i + 1).some((b) => cross(a, b))).length;
        }"""
    )
    upward = opened.page.evaluate(
        "[...document.querySelectorAll('#stage > path')].filter(p => {"
        "const a = p.getPointAtLength(0), b = p.getPointAtLength(p.getTotalLength());"
        "return b.y < a.y }).length"
    )
    assert (overlaps, upward) == (0, 0)


def test_the_main_path_is_straight(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, tmp_path, inception(3))
    for button in ("#fold-all", "#unfold-all"):
        opened.page.click(button)
        bends = opened.page.evaluate(
            "[...document.querySelectorAll('#stage > path.main')].map(p => "
            "Math.abs(p.getPointAtLength(0).x - p.getPointAtLength(p.getTotalLength()).x))"
        )
        assert len(bends) >= 5
        assert max(bends) < 2
    opened.close()


def test_search_finds_shows_and_unfolds(opened: Opened) -> None:
    opened.page.fill("#search", "layer2.2.conv3")
    assert opened.page.inner_text("#hits") == "1 found"
    assert opened.page.locator("tr.found").count() == 1
    assert opened.page.locator(".box.found").count() == 1
    opened.page.press("#search", "Enter")

    assert opened.page.inner_text("#details h2") == "layer2.2.conv3"
    assert opened.page.locator(".box.chosen").count() == 1
    assert opened.has("conv3")


def test_details_say_what_is_known(opened: Opened) -> None:
    opened.box("Conv2d 7x7, 64, /2").hover(position={"x": 8, "y": 6})
    said = opened.page.inner_text("#details")

    for part in ("conv1", "3 x 224 x 224", "64 x 112 x 112", "9,408", "118,013,952", "7 x 7"):
        assert part in said
    assert "built.arch:1:1" in said
    assert "network net {}" in said


def test_the_table_sorts_by_any_column(opened: Opened) -> None:
    def column(number: int) -> list[str]:
        return list(
            opened.page.eval_on_selector_all(
                f"tbody td:nth-child({number})", "all => all.map(cell => cell.textContent)"
            )
        )

    first = column(1)
    for number in range(1, 8):
        button = opened.page.locator(f"thead th:nth-child({number}) button")
        button.click()
        up = column(number)
        button.click()
        down = column(number)
        assert opened.page.locator("th[aria-sort=descending]").count() == 1
        if number in (4, 5, 6):
            values = [int(text.replace(",", "")) for text in up]
            assert values == sorted(values)
        assert up != down
        assert sorted(up) == sorted(down)
        button.click()
        assert column(1) == first


def test_table_and_picture_are_linked(opened: Opened) -> None:
    opened.page.click("#fold-all")
    opened.page.locator("tbody tr", has_text="layer2.0.conv2").click()
    assert opened.has("conv2")
    assert opened.page.locator(".box.chosen").count() == 1

    opened.box("Linear 10").focus()
    opened.box("Linear 10").click()
    assert opened.page.inner_text("tr.chosen td:first-child") == "fc"
    opened.box("Linear 10").hover()
    assert opened.page.inner_text("tr.hovered td:first-child") == "fc"
    opened.page.locator("tbody tr", has_text="maxpool").hover()
    assert opened.page.locator(".box.hovered").count() == 1


def test_everything_by_keyboard(opened: Opened) -> None:
    opened.page.click("#fold-all")
    opened.box("block layer2").focus()
    opened.page.keyboard.press("Enter")
    assert opened.has("3 times")
    focused = "document.activeElement.getAttribute('aria-label')"
    opened.page.keyboard.press("ArrowDown")
    assert "Bottleneck" in opened.page.evaluate(focused)
    opened.page.keyboard.press("Enter")
    assert opened.has("conv1, BatchNorm2d bn1")
    opened.box("conv3").focus()
    opened.page.keyboard.press("Backspace")
    assert not opened.has("conv3")
    opened.page.keyboard.press("/")
    assert opened.page.evaluate("document.activeElement.id") == "search"
    opened.page.keyboard.press("Escape")
    scale = "camera.scale"
    before = opened.page.evaluate(scale)
    opened.page.keyboard.press("+")
    assert opened.page.evaluate(scale) > before
    opened.page.keyboard.press("0")
    assert opened.page.evaluate(scale) == pytest.approx(before, rel=0.5)


def test_a_link_opens_the_same_state(opened: Opened) -> None:
    opened.page.click("#unfold-all")
    opened.page.locator("tbody tr", has_text="layer2.3.conv1").click()
    opened.page.select_option("#colour", "macs")
    boxes, fragment = opened.boxes(), opened.fragment()
    opened.go("")
    assert opened.boxes() != boxes
    opened.go(fragment)

    assert opened.boxes() == boxes
    assert opened.page.inner_text("#details h2") == "layer2.3.conv1"
    assert opened.page.input_value("#colour") == "macs"


@pytest.mark.parametrize(
    "fragment",
    ["#open=99999999999999999999.-1.x&runs=7&at=1e9", "#open=&colour=<b>", "#%", "#open=0.1.2.3"],
)
def test_a_wrong_link_harms_nothing(opened: Opened, fragment: str) -> None:
    opened.go(fragment)

    assert opened.boxes()


def test_zoom_and_pan_with_the_mouse(opened: Opened) -> None:
    box = opened.page.locator("#drawing").bounding_box()
    opened.page.mouse.move(box["x"] + 20, box["y"] + 20)
    before = opened.page.evaluate("({...camera})")
    opened.page.mouse.wheel(0, -300)
    opened.page.wait_for_function(f"camera.scale > {before['scale']}")
    zoomed = opened.page.evaluate("({...camera})")
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + 120, box["y"] + 70, steps=4)
    opened.page.mouse.up()
    moved = opened.page.evaluate("({...camera})")

    assert moved["x"] - zoomed["x"] == pytest.approx(100, abs=2)
    assert moved["y"] - zoomed["y"] == pytest.approx(50, abs=2)


def test_on_a_phone(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, tmp_path, resnet((2, 4)), has_touch=True, is_mobile=True)
    opened.page.set_viewport_size({"width": 360, "height": 740})
    wide = "document.documentElement.scrollWidth <= window.innerWidth"
    assert opened.page.evaluate(wide)
    opened.page.locator("#fold-all").tap()
    opened.box("block layer2").tap()
    assert opened.has("3 times")
    small = opened.page.evaluate(
        "[...document.querySelectorAll('nav button')].filter(b => b.offsetHeight < 40).length"
    )
    assert small == 0
    opened.page.locator("tbody tr", has_text="conv1").first.tap()
    assert opened.page.inner_text("#details h2")
    opened.close()


WIDE, SMALL, PHONE = (1400, 900), (1000, 700), (390, 844)
FOLDING = ("inception_v3", "googlenet", "resnet50", "densenet121", "deeplabv3_resnet50")
PLACES = """() => Object.fromEntries([...document.querySelectorAll("[data-key]")].map((group) => {
  const { left, top, width } = group.getBoundingClientRect();
  return [group.dataset.key, [left + width / 2, top]];
}))"""
AT = """([x, y]) => {
  const group = document.elementFromPoint(x, y).closest("[data-key]");
  return group && group.dataset.key;
}"""


def act(opened: Opened, way: str, key: str, point: tuple[float, float]) -> None:
    """Do what opens or closes the box or title at a point."""
    if way == "keyboard":
        opened.page.locator(f'[data-key="{key}"]').focus()
        opened.page.keyboard.press("Enter")
    elif way == "touch":
        opened.page.touchscreen.tap(*point)
    else:
        opened.page.mouse.click(*point)


@pytest.mark.parametrize(
    ("way", "size"),
    [("mouse", WIDE), ("mouse", SMALL), ("keyboard", WIDE), ("keyboard", PHONE), ("touch", PHONE)],
)
@pytest.mark.parametrize("name", FOLDING)
def test_what_is_opened_or_closed_stays_where_it_was(
    browser: Any, tmp_path: Path, name: str, way: str, size: tuple[int, int]
) -> None:
    """And so does what leads there, and all comes back when it is closed at the same point."""
    width, height = size
    mobile = {"has_touch": True, "is_mobile": True} if size == PHONE else {}
    opened = Opened(browser, tmp_path, load(name).checked, **mobile)
    opened.page.set_viewport_size({"width": width, "height": height})
    keys = opened.page.eval_on_selector_all(
        ".box.block", "all => all.map((box) => box.dataset.key)"
    )
    chosen = keys[:: max(1, len(keys) // 4)][:4]
    assert len(chosen) == 4
    for key in chosen:
        opened.page.evaluate(f"center(shown.get({key!r}))")
        before = opened.page.evaluate(PLACES)
        x, y = before[key]
        point = x, y + 8
        act(opened, way, key, point)
        after = opened.page.evaluate(PLACES)
        at = opened.page.evaluate(AT, point)
        assert set(after) != set(before)
        assert after[at] == pytest.approx(before[key], abs=1)
        above = [each for each in keys[: keys.index(key)] if before[each][0] == pytest.approx(x)]
        assert all(after[each] == pytest.approx(before[each], abs=1) for each in above)
        if at.startswith("n"):  # a head on a box, which Enter would not close
            opened.page.keyboard.press("Backspace")
        else:
            act(opened, way, at, point)
        if key.startswith("r"):  # a run shows its blocks, of which the first was opened now
            assert opened.page.evaluate(PLACES)[at] == pytest.approx(before[key], abs=1)
            act(opened, way, at, point)
        back = opened.page.evaluate(PLACES)
        assert back.keys() == before.keys()
        assert all(back[each] == pytest.approx(before[each], abs=1) for each in before)
    opened.close()


def test_choosing_a_layer_on_a_phone_leaves_the_picture_where_it_is(
    browser: Any, tmp_path: Path
) -> None:
    opened = Opened(browser, tmp_path, resnet((2, 4)), has_touch=True, is_mobile=True)
    opened.page.set_viewport_size({"width": 390, "height": 844})
    opened.page.evaluate("center(homeOf(nodes.length - 1))")
    box = opened.page.locator(".box", has_text="Linear").locator("rect").first
    before = box.bounding_box()
    opened.page.touchscreen.tap(before["x"] + before["width"] / 2, before["y"] + 8)
    line = opened.page.locator("tr.chosen").bounding_box()
    rows = opened.page.locator("#rows").bounding_box()

    assert box.bounding_box() == before
    assert rows["y"] <= line["y"] <= rows["y"] + rows["height"] - line["height"] + 2
    opened.close()


def test_a_finger_that_trembles_still_opens(opened: Opened) -> None:
    """A mouse does so rarely, and a finger always."""
    opened.page.click("#fold-all")
    box = opened.box("block layer2").bounding_box()
    moves = [(8, 8, "down"), (12, 11, "move"), (9, 13, "move"), (9, 13, "up")]
    for dx, dy, kind in moves:
        at = {"clientX": box["x"] + dx, "clientY": box["y"] + dy, "bubbles": True}
        at |= {"pointerId": 5, "pointerType": "touch"}
        opened.page.evaluate(
            "([kind, at]) => drawing.dispatchEvent(new PointerEvent(`pointer${kind}`, at))",
            [kind, at],
        )
    assert opened.box("block layer2").bounding_box() == box
    assert not opened.page.evaluate("moved")


@pytest.mark.parametrize("name", [*FOLDING, "vit_b_16", "efficientnet_b7"])
def test_the_table_shows_macs_and_bytes_beside_the_picture(
    browser: Any, tmp_path: Path, name: str
) -> None:
    opened = Opened(browser, tmp_path, load(name).checked)
    opened.page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
    visible = opened.page.evaluate("""() => {
      const rows = document.getElementById("rows");
      const end = rows.getBoundingClientRect().left + rows.clientWidth;
      return [...document.querySelectorAll("th")].filter((head) =>
        head.getBoundingClientRect().right <= end + 0.5).map((head) => head.textContent);
    }""")

    assert {"Name", "Parameters", "MACs", "Bytes"} <= {*visible}
    opened.close()


def test_in_a_notebook(browser: Any, tmp_path: Path) -> None:
    notebook = tmp_path / "notebook.html"
    shown = draw(resnet((2, 4)), format="html")._repr_mimebundle_()["text/html"]
    notebook.write_text(f"<!doctype html><title>notebook</title>{shown}{shown}")
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(notebook.as_uri())
    frame = page.frames[1]
    frame.click("#fold-all")
    frame.locator('.box[aria-label*="layer2"]').click()
    assert frame.locator('.box[aria-label*="3 times"]').count() == 1
    assert page.frames[2].locator(".box").count() > 3
    assert not complaints
    page.close()


def test_dark_and_light(opened: Opened) -> None:
    look = "getComputedStyle(document.body).backgroundColor"
    light = opened.page.evaluate(look)
    opened.page.click("#theme")

    assert opened.page.evaluate(look) != light


def test_nothing_from_a_spec_runs_or_loads(browser: Any, tmp_path: Path) -> None:
    evil = '</script><img src=x onerror="alert(1)"><a href="javascript:alert(2)">&lt;'
    b = Builder(evil, description=evil + "\u202e\n" + "x" * 10_000)
    b.input("x", 4, 8, 8)
    with b.block("a" + evil, evil, note=evil):
        b.layer("Conv2d", evil, out_channels=4, kernel_size=1)
        b.merge("add", b.flow, b.flow)
    b.output(evil)
    opened = Opened(browser, tmp_path, b.checked())
    opened.page.click("#unfold-all")
    opened.box("Conv2d").click()

    assert opened.page.locator("img, main a, iframe").count() == 0
    assert opened.page.locator("script").count() == 2
    assert evil[:40] in opened.page.inner_text("#details")
    assert evil[:40] in opened.page.inner_text("h1")
    opened.close()


def test_the_page_is_small_and_says_nothing_of_elsewhere() -> None:
    page = draw(inception(11), format="html").data

    assert len(page) < 1_000_000
    assert not re.findall(rb"https?://(?!www\.w3\.org/2000/svg)", page)


def test_the_page_says_nothing_of_the_machine_it_was_made_on() -> None:
    page = load("lenet5").draw(format="html").data.decode()

    assert str(Path(__file__).parents[3]) not in page
    assert '"place":"lenet5.arch:' in page


def test_at_first_text_is_large_enough_to_read(browser: Any, tmp_path: Path) -> None:
    opened = Opened(browser, tmp_path, resnet((3, 4, 6, 3)))
    drawn = opened.page.locator("#drawing .strong").first.evaluate(
        "text => text.getBoundingClientRect().height"
    )

    assert drawn >= 9
    opened.close()


def test_families_of_one_colour_share_an_entry_of_the_legend(opened: Opened) -> None:
    entries = opened.page.locator("#legend li").all_inner_texts()

    assert [entry for entry in entries if "dropout" in entry and "reshape" in entry]
