"""Mermaid, TikZ and colours."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from graphs import Builder, densenet, inception, resnet, unet
from hypothesis import given, settings
from hypothesis import strategies as st

from archdsl import load
from archdsl.analysis.agreement import Assumptions
from archdsl.backends.diagram import draw
from archdsl.backends.diagram.mermaid import mermaid_text
from archdsl.backends.diagram.notation import Notation, beginning, short
from archdsl.backends.diagram.style import FAMILIES, THEMES
from archdsl.backends.escaping import latex
from archdsl.backends.formulas import Formulas
from archdsl.backends.html_page import script_json
from archdsl.diagnostics import ArchError
from archdsl.layers.sizes import Formula

NOTATION = Notation(Formulas(Assumptions({})))


@settings(derandomize=True, deadline=None)
@given(st.text() | st.text("$a"))
def test_mermaid_text_is_plain_and_can_be_read_back(text: str) -> None:
    escaped = mermaid_text(text)
    back = re.sub(r"#(\d+);", lambda found: chr(int(found.group(1))), escaped)

    assert back.replace("$\u200b$", "$$").replace("$\u200b$", "$$") == text or "\u200b" in text
    assert "$$" not in back  # Mermaid would set what follows as a formula
    assert not re.search(r'["<>\[\]{}|`\n]|end', escaped)


@settings(derandomize=True, deadline=None)
@given(st.text())
def test_latex_text_has_no_bare_special_characters(text: str) -> None:
    escaped = latex(text)
    bare = re.sub(
        r"\\[a-zA-Z]+(?:34)?\{\}|\\[{}$&#%_]|\{\[\}|-\{\}|\$\\[a-z]+\$|\$-\$", "", escaped
    )

    assert not re.search(r"[\\{}$&#%_^~]", bare)


@settings(derandomize=True, deadline=None)
@given(st.text())
def test_json_in_a_script_cannot_end_it(text: str) -> None:
    import json

    written = script_json({"text": text})

    assert not re.search(r"[<>&\u2028\u2029]", written)
    assert json.loads(written) == {"text": text}


def test_mermaid_has_the_edges_of_the_view() -> None:
    text = draw(resnet((2,)), format="mmd", unfold=["layer1.1"]).source
    boxes = set(re.findall(r"^\s+(b\d+)[\[(]", text, re.MULTILINE))
    edges = re.findall(r"^  (b\d+) (?:==>|-->)(?:\|[^|]*\|)? (b\d+)$", text, re.MULTILINE)

    assert {end for edge in edges for end in edge} == boxes
    assert text.count("subgraph") == len(re.findall(r"^\s+end$", text, re.MULTILINE))
    opened = re.findall(r"subgraph (c\d+)", text)
    assert opened
    assert sorted(re.findall(r"style (c\d+) fill", text)) == opened


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
@pytest.mark.parametrize(
    "checked", [inception(2), densenet((3, 3)), unet(2), resnet((3,))], ids=lambda g: g.name
)
def test_latex_compiles(checked: object, tmp_path: Path) -> None:
    source = draw(checked, format="tex", depth=9, heat="macs").source  # type: ignore[arg-type]
    (tmp_path / "net.tex").write_text(source)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "net.tex"],
        cwd=tmp_path,
        capture_output=True,
    )

    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_latex_takes_any_printable_ascii(tmp_path: Path) -> None:
    every = "".join(map(chr, range(32, 127)))
    b = Builder(every)
    b.input("x", 4, 8, 8)
    for start in range(0, len(every), 30):
        b.layer("Conv2d", every[start : start + 30] + "--", out_channels=4, kernel_size=1)
    (tmp_path / "net.tex").write_text(draw(b.checked(), format="tex").source)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "net.tex"],
        cwd=tmp_path,
        capture_output=True,
    )

    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]


def test_shapes_in_latex_stand_beside_their_edges() -> None:
    source = draw(resnet((2, 2)), format="tex", depth=2).source
    (middle,) = set(re.findall(r"\\draw\[arrow[^]]*,main\] \(([\d.]+),", source))
    shapes = re.findall(r"\\node\[small,text=\w+\] at \(([\d.]+),[\d.]+\) \{\d", source)

    assert len(shapes) > 8
    assert all(abs(float(x) - float(middle)) > 8 for x in shapes)


def test_nothing_in_latex_is_wider_than_its_paper() -> None:
    b = Builder("a_name_that_is_much_wider_than_the_picture_of_a_network_with_a_single_layer")
    b.input("x", 4)
    b.layer("ReLU")
    width = re.search(r"paperwidth=([\d.]+)bp", draw(b.checked(), format="tex").source)

    assert width
    assert float(width.group(1)) > 100 * 4.5


def test_a_network_is_drawn_though_its_totals_are_too_intricate_to_write() -> None:
    b = Builder()
    b.input("x", 1, Formula.named("H"), Formula.named("W"))
    for kernel in range(2, 300):
        b.layer("Conv2d", f"n{kernel}", "x", out_channels=1, kernel_size=kernel, stride=kernel)
    checked = b.checked()

    assert "too intricate a way" in draw(checked, format="dot", depth=0).source
    for choices in ({"heat": "macs"}, {"counts": True}, {"format": "html"}):
        with pytest.raises(ArchError, match="too intricate a way to be shown"):
            draw(checked, **{"format": "dot", "depth": 0} | choices)  # type: ignore[arg-type]


def luminance(color: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES.values(), ids=lambda theme: theme.name)
def test_text_is_legible_on_every_colour(theme: object) -> None:
    from archdsl.backends.diagram.style import Theme

    assert isinstance(theme, Theme)
    fills = [theme.family(family) for family in [*FAMILIES, "mine"]]
    fills += [theme.warm(step / 10) for step in range(11)] + [theme.block, *theme.clusters]
    assert min(contrast(theme.text, fill) for fill in fills) >= 4.5
    assert min(contrast(theme.small, fill) for fill in fills) >= 3.9
    assert min(contrast(theme.muted, fill) for fill in theme.clusters) >= 4.5


# Machado, Oliveira, Fernandes 2009: what somebody without red or green cones sees (linear RGB).
SIGHT = {
    "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
}


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("theme", THEMES.values(), ids=lambda theme: theme.name)
def test_the_commonest_families_differ_for_any_eye(theme: object, sight: str) -> None:
    from itertools import combinations

    from archdsl.backends.diagram.style import Theme

    assert isinstance(theme, Theme)
    common = ("convolution", "linear", "pooling", "normalization", "activation", "merge")
    seen = {}
    for family in common:
        color = theme.family(family)
        parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        seen[family] = [sum(m * c for m, c in zip(row, parts, strict=True)) for row in SIGHT[sight]]
    for one, other in combinations(common, 2):
        distance = sum((a - b) ** 2 for a, b in zip(seen[one], seen[other], strict=True)) ** 0.5
        assert distance > 0.08, (one, other)


def test_arguments_in_short() -> None:
    from archdsl.layers.base import construct
    from archdsl.layers.registry import Registry

    def said(kind: str, **arguments: object) -> str:
        return NOTATION.arguments(construct(Registry()[kind], arguments))

    conv = {"out_channels": 64, "kernel_size": 3}
    assert said("Conv2d", **conv, stride=2, padding=1, bias=False) == "3x3, 64, /2"
    assert said("Conv2d", out_channels=64, kernel_size=(1, 7)) == "1x7, 64"
    assert said("Conv2d", **conv, groups=64) == "3x3, 64, depthwise"
    assert said("Conv2d", **conv, groups=2, dilation=4) == "3x3, 64, dilation 4, groups 2"
    assert said("Conv2d", out_channels=1, kernel_size=1) == "1x1, 1"
    assert said("Conv1d", **conv) == "3, 64"
    assert said("MaxPool2d", kernel_size=2) == "2x2"
    assert said("AdaptiveAvgPool2d", output_size=1) == "1x1"
    assert said("Linear", out_features=10, bias=False) == "10"
    assert said("BatchNorm2d", eps=0.001) == ""
    assert said("Dropout", p=0.2) == "0.2"
    assert said("Conv2d", **conv, connections=((0, 1), (1, 2))) == "3x3, 64, connections [...]"


def test_short_words() -> None:
    assert short("x" * 100_000, 20) == "x" * 12 + "…" + "x" * 7
    assert short(" a\n\tb ") == "a b"
    assert [NOTATION.quantity(n) for n in (0, 999, 1_000, 5_713_216_096, 999_999)] == [
        "0",
        "999",
        "1 k",
        "5.71 G",
        "1,000 k",
    ]
    assert NOTATION.value((3, 3)) == "3"
    assert NOTATION.value([1, 2.5, None, True, "x"]) == '[1, 2.5, none, true, "x"]'
    assert NOTATION.value(((1, 2), (3, 4))) == "[...]"


def test_what_does_not_fit_ends_in_dots() -> None:
    parts = ["width 64", "stride 2", "groups 32"]

    assert beginning(parts, ", ", 40) == "width 64, stride 2, groups 32"
    assert beginning(parts, ", ", 29) == "width 64, stride 2, groups 32"
    assert beginning(parts, ", ", 28) == "width 64, stride 2, ..."
    assert beginning(parts, ", ", 22) == "width 64, ..."
    assert beginning(["x" * 100, "y"], ", ", 20) == short("x" * 100, 20)
    for limit in range(8, 40):
        assert len(beginning(parts, ", ", limit)) <= limit


FREE = """\
network free() {
  input image: [3, H, W]
  Body(64)
  repeat 3 { Unit(64) }
  Down(32)
  down: Down(64, 2)
  low: Conv2d(8, 1)
  up: Upsample(size = (shape(image).height, shape(image).width))
}
block Body(out) { Conv2d(out, 3, padding = 1) -> Conv2d(out, 3, padding = 1) }
block Unit(out) { Conv2d(out, 3, padding = 1) -> Conv2d(out, 1) }
block Down(out, by = 3, high = in.height // 2) {
  MaxPool2d(2) -> Conv2d(out, 3, stride = 2, padding = 1) -> Conv2d(out, by, padding = 1)
}
"""


@pytest.mark.parametrize("depth", [1, 9])
@pytest.mark.parametrize("format", ["dot", "html", "mmd", "tex"])
def test_free_sizes_are_written_as_a_count_writes_them(
    format: str, depth: int, tmp_path: Path
) -> None:
    """Without floors, thousands apart, and with the sizes that this is right for."""
    path = tmp_path / "free.arch"
    path.write_text(FREE)
    network = load(str(path))
    text = draw(network.checked, format=format, depth=depth, counts=True).source
    counted = str(network.count())
    said = html.unescape(text).replace("#42;", "*")

    assert "multiple of" in counted
    assert "//" not in re.sub(r"[%/]{2} .*|https?://\S*|^.*<script>.*", "", _without_code(said))
    for formula in ("H/4", "1,728*H*W", "H a multiple of 16")[depth == 1 :]:
        assert formula in said
        assert formula in counted
    assert ("38,592*H*W" in said) == (depth == 1 or format == "html")  # of the block


def _without_code(page: str) -> str:
    """Return a page without its script, whose comments begin with `//`."""
    return re.sub(r"(?s)<script>.*?</script>", "", page)


def test_a_page_says_what_blocks_and_runs_cost_where_sizes_are_free(tmp_path: Path) -> None:
    path = tmp_path / "free.arch"
    path.write_text(FREE)
    page = draw(load(str(path)).checked, format="html").source
    data = json.loads(
        re.search(r'(?s)<script id="network" type="application/json">(.*?)</script>', page).group(1)  # type: ignore[union-attr]
    )
    costs = {scope["label"]: scope["costs"] for scope in data["scopes"]}
    (run,) = data["scopes"][0]["runs"]

    assert costs["0"]["macs"] == "38,592*H*W"
    assert costs["0"]["parameters"] == 38_720
    assert run["costs"]["macs"] == "122,880*H*W"
    assert draw(resnet((2,)), format="html").source.count('"costs":{}') > 2
