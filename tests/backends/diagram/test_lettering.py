"""Text in SVG: as wide as the room that Graphviz left for it, whatever fonts the viewer has."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from graphs import Builder, inception, unet

from archdsl import load
from archdsl.backends.diagram import draw
from archdsl.backends.diagram.dot.engines import ENGINES, render
from archdsl.backends.diagram.dot.lettering import FONTS, width_of
from archdsl.graph import CheckedGraph

playwright = pytest.importorskip(
    "playwright.sync_api", reason="text is measured with Playwright: pip install playwright"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
in_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="text is measured in Chromium: apt-get install chromium"
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
# Of each text what it says, where it is, and the least box of the picture that its middle is in.
MEASURE = """() => {
  const frame = (element) => {
    const { left, top, right, bottom } = element.getBoundingClientRect();
    return { left, top, right, bottom };
  };
  const area = (box) => (box.right - box.left) * (box.bottom - box.top);
  const boxes = [...document.querySelectorAll("polygon, path, ellipse")]
    .filter((shape) => !shape.closest(".edge")).map(frame).sort((a, b) => area(a) - area(b));
  return [...document.querySelectorAll("text")].map((text) => {
    const place = frame(text);
    const x = (place.left + place.right) / 2;
    const y = (place.top + place.bottom) / 2;
    const box = boxes.find((b) => b.left < x && x < b.right && b.top < y && y < b.bottom);
    return { text: text.textContent, place, box };
  });
}"""


@pytest.fixture(scope="module")
def dejavu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser on a machine that has no font but DejaVu Sans."""
    folder = tmp_path_factory.mktemp("fonts")
    asked = ["fc-list", "-f", "%{file}\n", "DejaVu Sans:slant=0"]
    files = subprocess.run(asked, capture_output=True, text=True).stdout.split("\n")
    if not any("DejaVuSans" in file for file in files):
        pytest.skip("DejaVu Sans is not installed (apt-get install fonts-dejavu-core)")
    for file in filter(None, files):
        shutil.copy(file, folder)
    (folder / "fonts.conf").write_text(
        f"<fontconfig><dir>{folder}</dir><cachedir>{folder}</cachedir></fontconfig>"
    )
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(
            executable_path=CHROMIUM,
            headless=True,
            args=FLAGS,
            env=os.environ | {"FONTCONFIG_FILE": str(folder / "fonts.conf")},
        )
        yield running
        running.close()


def strange() -> CheckedGraph:
    """Return a network whose labels have all kinds of letters."""
    b = Builder("strange", description="Letters: ÄÖÜ, кириллица, 漢字, 🙂, and <b>&amp;</b>")
    b.input("x", 4, 8, 8)
    labels = ["".join(map(chr, range(start, start + 24))) for start in range(33, 127, 24)]
    for label in [*labels, "WWWWMMMM", "iiiillll", "ÄÖÜß", "слой", "卷积层", "🙂🙂", "a\u0301"]:
        with b.block(f"{label}.", f"B{label}"):
            b.layer("Conv2d", label, out_channels=4, kernel_size=1)
            b.layer("MaxPool2d", f"{label}2", kernel_size=1)
    return b.checked()


PICTURES: dict[str, tuple[Any, dict[str, Any]]] = {
    "lenet5": (lambda: load("lenet5").checked, {"direction": "LR"}),
    "resnet50": (lambda: load("resnet50").checked, {"unfold": ["layer1.0"], "counts": True}),
    "googlenet": (lambda: load("googlenet").checked, {}),
    "densenet121": (lambda: load("densenet121").checked, {}),
    "vit_b_16": (lambda: load("vit_b_16").checked, {}),
    "inception": (lambda: inception(1), {"depth": 9}),
    "unet": (unet, {"heat": "macs"}),
    "strange": (strange, {"depth": 9}),
}


def engines() -> Sequence[str]:
    return [name for name, find in ENGINES.items() if find()]


@in_chromium
@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("engine", ENGINES)
def test_with_dejavu_alone_no_text_leaves_its_box_or_lies_on_another(
    dejavu: Any, tmp_path: Path, engine: str, name: str
) -> None:
    if not ENGINES[engine]():
        pytest.skip(f"{engine} is not installed")
    make, choices = PICTURES[name]
    path = tmp_path / "net.svg"
    draw(make(), engine=engine, **choices).save(path)
    page = dejavu.new_page()
    page.goto(path.as_uri())
    texts = page.evaluate(MEASURE)
    page.close()

    assert len(texts) > 12
    for text in texts:
        place, box = text["place"], text["box"]
        assert box["left"] - 0.5 <= place["left"], text
        assert place["right"] <= box["right"] + 0.5, text
    for number, one in enumerate(texts):
        for other in texts[number + 1 :]:
            assert not overlap(one["place"], other["place"]), (one, other)


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    """Tell whether texts overlap: their letters, which are lower than their lines."""
    across = min(one["right"], other["right"]) - max(one["left"], other["left"])
    down = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
    return across > 1.5 and down > 0.25 * (one["bottom"] - one["top"])


@pytest.mark.parametrize("name", PICTURES)
def test_the_length_is_what_graphviz_leaves_room_for(name: str) -> None:
    make, choices = PICTURES[name]
    dot = draw(make(), format="dot", **choices).source
    measured = dict.fromkeys(drawn(json.loads(render(dot, "json", "graphviz-pure"))))

    assert len(measured) > 8
    for text, size, bold, width in measured:
        if "\\" in text:  # of which JSON has one more, and a letter too many at the end
            continue
        assert width_of(text, size, bold) <= width + 0.1, text
        if text.isascii():
            assert width_of(text, size, bold) == pytest.approx(width, abs=0.1), text


def drawn(placed: Any) -> Iterator[tuple[str, float, bool, float]]:
    """Yield each text that Graphviz puts down, with its size, weight and width."""
    if isinstance(placed, list):
        for each in placed:
            yield from drawn(each)
    elif isinstance(placed, dict):
        for key, value in placed.items():
            if not key.endswith("draw_"):
                yield from drawn(value)
                continue
            size, bold = 0.0, False
            for each in value:
                size = each["size"] if each["op"] == "F" else size
                bold = bool(each["fontchar"] & 1) if each["op"] == "t" else bold
                if each["op"] == "T":
                    yield each["text"], size, bold, each["width"]


def test_fonts_are_named_from_the_measured_one_to_whatever_there_is() -> None:
    svg = draw(inception(1)).data.decode()

    assert re.findall(r'font-family="([^"]*)"', svg) == [FONTS]
    assert FONTS.split(", ") == [
        *("Helvetica", "Arial", "Liberation Sans", "Nimbus Sans", "sans-serif")
    ]
    assert svg.count("<text ") == svg.count("textLength=") > 20
