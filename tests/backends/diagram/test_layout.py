"""Where things stand: the main path is straight, text is free, and nothing runs over a box."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from graphs import Builder, densenet, inception, resnet, unet

from archdsl import load
from archdsl.backends.diagram import draw
from archdsl.backends.diagram.diagram import Choices, style_of, view_of
from archdsl.backends.diagram.dot.arrows import MAIN
from archdsl.backends.diagram.dot.digraph import names_of, to_dot
from archdsl.backends.diagram.dot.engines import ENGINES, render
from archdsl.backends.diagram.dot.html_labels import SMALL
from archdsl.backends.diagram.dot.lettering import width_of
from archdsl.backends.diagram.view.viewer import MOST_BOXES, Viewer, foldable
from archdsl.graph import CheckedGraph

Point = tuple[float, float]
Placed = Sequence[Mapping[str, Any]]
STEPS = 40  # points of a curve that are looked at
ARROWHEAD = 8.5  # points that one is long, with the width of its line
LINE = 4.5  # half the height of a shape's text, in points


def graph_of(name: str) -> CheckedGraph:
    made = {"inception": inception, "resnet": resnet, "densenet": densenet, "unet": unet}
    return made[name]() if name in made else load(name).checked


class Picture:
    """A picture as Graphviz laid it out."""

    def __init__(self, checked: CheckedGraph, **choices: Any) -> None:
        chosen = Choices(**choices)
        self.view = view_of(checked, chosen)
        source = to_dot(self.view, style_of(self.view, chosen), chosen.direction)
        laid_out = json.loads(render(source, "json", chosen.engine))
        self.edges: Placed = laid_out["edges"]
        objects: Placed = [each for each in laid_out["objects"] if each.get("style") != "invis"]
        self.edges = [each for each in self.edges if each.get("style") != "invis"]
        self.boxes: Placed = [each for each in objects if "pos" in each]
        self.frames: Placed = [each for each in objects if "bb" in each]
        self.place = {each["name"]: numbers(each["pos"]) for each in self.boxes}

    def main(self) -> list[Point]:
        names = names_of(self.view.boxes)
        return [self.place[names[index]] for index in self.view.main]

    def crossed_titles(self) -> list[str]:
        curves = [list(curve(edge)) for edge in self.edges]
        return [
            frame["tooltip"]
            for frame in self.frames
            if any(within(point, *title_of(frame)) for each in curves for point in each)
        ]

    def boxes_run_over(self) -> list[tuple[str, str]]:
        return [
            (edge["_gvid"], box["name"])
            for edge in self.edges
            for box in self.boxes
            if box["_gvid"] not in (edge["tail"], edge["head"])
            and any(within(point, *rectangle(box, -1)) for point in curve(edge))
        ]

    def shapes(self) -> Iterator[tuple[Point, float]]:
        """Yield the middle of each shape beside an edge, and half its width."""
        for edge in self.edges:
            text = (edge.get("taillabel") or edge.get("label") or "").strip()
            at = edge.get("tail_lp") or edge.get("lp")
            if text:
                yield numbers(at), len(text) * 2.3


def numbers(text: str) -> Point:
    x, y = map(float, text.split(","))
    return x, y


def curve(edge: Mapping[str, Any]) -> Iterator[Point]:
    """Yield points of the Bezier curves that an edge is drawn as."""
    points = [numbers(part) for part in edge["pos"].split() if part[:2] not in ("e,", "s,")]
    for at in range(0, len(points) - 3, 3):
        a, b, c, d = points[at : at + 4]
        for step in range(STEPS + 1):
            t = step / STEPS
            u = 1 - t
            parts = (u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t)
            x, y = (
                sum(part * point[axis] for part, point in zip(parts, (a, b, c, d), strict=True))
                for axis in (0, 1)
            )
            yield x, y


def title_of(frame: Mapping[str, Any]) -> tuple[Point, float, float]:
    return numbers(frame["lp"]), 36 * float(frame["lwidth"]), 36 * float(frame["lheight"])


def rectangle(box: Mapping[str, Any], grown: float) -> tuple[Point, float, float]:
    half = 36 * float(box["width"]) + grown, 36 * float(box["height"]) + grown
    return numbers(box["pos"]), *half


def within(point: Point, middle: Point, width: float, height: float) -> bool:
    return abs(point[0] - middle[0]) < width and abs(point[1] - middle[1]) < height


NAMES = (
    "inception",
    "resnet",
    "densenet",
    "unet",
    "lenet5",
    "googlenet",
    "inception_v3",
    "deeplabv3_resnet50",
    "mobilenet_v2",
    "xception",
    "vit_b_16",
)


@pytest.mark.parametrize("depth", [None, 9])
@pytest.mark.parametrize("name", NAMES)
def test_the_main_path_runs_straight_down(name: str, depth: int | None) -> None:
    picture = Picture(graph_of(name), depth=depth)

    (first, *others) = picture.main()
    assert {round(x) for x, _ in others} == {round(first[0])}
    assert all(above[1] > below[1] for above, below in pairwise([first, *others]))


@pytest.mark.parametrize("depth", [None, 9])
@pytest.mark.parametrize("name", NAMES)
def test_every_arrow_points_down_and_over_no_box(name: str, depth: int | None) -> None:
    picture = Picture(graph_of(name), depth=depth)
    high = {box["_gvid"]: numbers(box["pos"])[1] for box in picture.boxes}

    assert all(high[edge["tail"]] > high[edge["head"]] for edge in picture.edges)
    assert picture.boxes_run_over() == []


@pytest.mark.parametrize("depth", [None, 9])
@pytest.mark.parametrize("name", NAMES)
def test_shapes_stand_free_of_boxes_and_frames(name: str, depth: int | None) -> None:
    picture = Picture(graph_of(name), depth=depth)

    for (x, y), half in picture.shapes():
        for box in picture.boxes:
            middle, width, height = rectangle(box, -1)
            assert not within((x, y), middle, width, height), box["name"]
        for frame in picture.frames:
            left, low, right, high = map(float, frame["bb"].split(","))
            beside = x + half < left or x - half > right
            assert beside or min(abs(low - y), abs(high - y)) > LINE, frame["tooltip"]


@pytest.mark.parametrize("name", NAMES)
def test_no_arrow_runs_over_a_title(name: str) -> None:
    assert Picture(graph_of(name)).crossed_titles() == []


@pytest.mark.parametrize(
    "name", [name for name in (*NAMES, "inception_v4") if name != "inception_v3"]
)
def test_no_arrow_runs_over_a_title_of_an_open_block(name: str) -> None:
    assert Picture(graph_of(name), depth=9).crossed_titles() == []


def test_few_arrows_run_over_titles_where_wide_blocks_follow_each_other() -> None:
    """A branch that hangs low at the left edge of a frame has an arrow that runs along it."""
    assert len(Picture(graph_of("inception_v3"), depth=9).crossed_titles()) <= 1


def test_an_arrow_into_a_frame_arrives_from_above() -> None:
    picture = Picture(inception(1), depth=9)
    names = {box["_gvid"]: box["name"] for box in picture.boxes}
    middle = {box["name"]: numbers(box["pos"])[0] for box in picture.boxes}
    ends = {
        names[edge["head"]]: numbers(edge["pos"].split()[0].removeprefix("e,"))
        for edge in picture.edges
        if "concat" not in names[edge["head"]]
    }

    assert len(ends) > 4
    assert all(abs(x - middle[name]) < 1 for name, (x, _) in ends.items())


def test_the_main_path_comes_straight_to_what_adds_a_tensor_of_its_own() -> None:
    """The tensor stands in the frame of the block, where nothing from outside can stand beside."""
    b = Builder()
    b.input("x", 4, 8, 8)
    b.layer("ReLU", "before")
    with b.block("embed", "Embed") as flow:
        own = b.own("position", 4, 1, 1)
        b.merge("add", flow, own)
        b.layer("MaxPool2d", kernel_size=2)
    picture = Picture(b.checked(), depth=9)

    assert len({round(x) for x, _ in picture.main()}) == 1


@pytest.mark.parametrize("label", ["a", "classifier", "x" * 30, "名" * 20])
def test_a_box_is_as_wide_as_the_title_above_it_needs(label: str) -> None:
    b = Builder()
    b.input("x", 4, 8, 8)
    with b.block(label, "InvertedResidual"):
        b.layer("ReLU")
        b.layer("MaxPool2d", kernel_size=2)
    b.layer("ReLU")

    assert Picture(b.checked(), depth=9).crossed_titles() == []


@pytest.mark.parametrize("name", [*NAMES, "vgg19", "bn_inception", "resnet152", "densenet201"])
def test_by_default_a_network_fits_on_a_page(name: str) -> None:
    """A4 with margins of 2 cm has 482 x 728 points; letters of 11 points are to be 5 there."""
    checked = foldable(graph_of(name))
    viewer = Viewer(checked)
    seen = viewer.fitting()
    source = to_dot(seen, style_of(seen, Choices()))
    svg = render(source, "svg").decode()
    sizes = re.search(r'width="(\d+)pt" height="(\d+)pt"', svg)
    assert sizes
    width, height = map(int, sizes.groups())

    assert len(seen.boxes) <= MOST_BOXES
    assert 11 * min(482 / width, 728 / height) >= 5
    assert viewer.height(seen) == pytest.approx(height, rel=0.08)


def test_branches_hang_beside_the_merge_that_waits_for_them() -> None:
    picture = Picture(inception(1), depth=9)
    ends = [
        numbers(box["pos"])[1] - 36 * float(box["height"])
        for box in picture.boxes
        for edge in picture.edges
        if edge["tail"] == box["_gvid"] and "Mixed_0.concat" in names_at(picture, edge["head"])
    ]

    assert len(ends) == 4
    assert max(ends) - min(ends) < 1


def names_at(picture: Picture, number: int) -> str:
    (name,) = [box["name"] for box in picture.boxes if box["_gvid"] == number]
    return str(name)


def test_from_left_to_right_boxes_are_narrow() -> None:
    """What is said of a layer stands below its name, in lines that break behind commas."""
    checked = resnet((1, 3))
    beside = Picture(checked, depth=2)
    below = Picture(checked, depth=2, direction="LR")

    def widest(picture: Picture) -> float:
        return max(float(box["width"]) for box in picture.boxes)

    assert widest(below) < 0.75 * widest(beside)
    assert len({round(y) for _, y in below.main()}) == 1
    assert below.boxes_run_over() == []
    source = to_dot(below.view, style_of(below.view, Choices()), "LR")
    assert 'width 128,<BR ALIGN="LEFT"/>stride 2<BR ALIGN="LEFT"/>' in source


UNET = """\
network unet(classes: int = 2) {
  input image: [1, 512, 512]
  for i in range(4) {
    "enc{i}": Double(64 * 2 ** i)
    MaxPool2d(2)
  }
  middle: Double(1024)
  for i in [3, 2, 1, 0] {
    "up{i}": ConvTranspose2d(64 * 2 ** i, 2, 2)
    concat { branch { from "enc{i}" } branch {} }
    "dec{i}": Double(64 * 2 ** i)
  }
  out: Conv2d(classes, 1)
}
block Double(width) { repeat 2 { Conv2d(width, 3, padding = 1) -> ReLU } }
"""
LONG = (*NAMES, "resnet152", "inception_v4", "vgg19", "densenet121", "efficientnet_b7")


def unet_of(folder: Path) -> CheckedGraph:
    path = folder / "unet.arch"
    path.write_text(UNET)
    return load(str(path)).checked


@pytest.mark.parametrize("name", ["U-Net", *LONG])
def test_from_left_to_right_a_network_fits_on_a_page_on_its_side(name: str, tmp_path: Path) -> None:
    """A4 on its side has 728 x 482 points between margins of 2 cm."""
    checked = foldable(unet_of(tmp_path) if name == "U-Net" else graph_of(name))
    seen = view_of(checked, Choices(direction="LR"))
    svg = render(to_dot(seen, style_of(seen, Choices()), "LR"), "svg").decode()
    sizes = re.search(r'width="(\d+)pt" height="(\d+)pt"', svg)
    assert sizes
    width, height = map(int, sizes.groups())

    assert 11 * min(728 / width, 482 / height) >= 5


@pytest.mark.parametrize("engine", ["graphviz-pure", "dot"])
@pytest.mark.parametrize("name", ["U-Net", *LONG])
def test_lines_run_to_and_fro_from_the_upper_to_the_lower(
    name: str, engine: str, tmp_path: Path
) -> None:
    if not ENGINES[engine]():
        pytest.skip(f"{engine} is not installed")
    checked = foldable(unet_of(tmp_path) if name == "U-Net" else graph_of(name))
    picture = Picture(checked, direction="LR", engine=engine)
    forward, turns = True, 0
    for (x, y), (next_x, next_y) in pairwise(picture.main()):
        if abs(next_x - x) < 1:
            assert next_y < y - 20  # a line ends, and the next begins below
            forward, turns = not forward, turns + 1
        else:
            assert (next_x > x) == forward

    assert turns == (0 if name in ("inception", "lenet5", "deeplabv3_resnet50") else turns)
    assert name not in ("U-Net", "inception_v3", "resnet50", "googlenet") or turns == 1


@pytest.mark.parametrize("depth", [0, 1, 2, 9])
@pytest.mark.parametrize("name", ["U-Net", "training", "inception", "googlenet", "vit_b_16"])
def test_from_left_to_right_every_arrow_is_there(name: str, depth: int, tmp_path: Path) -> None:
    """Whichever way it is written, and whether or not the network has a main output."""
    b = Builder()
    b.input("x", 4, 8, 8)
    for number in range(30):
        b.layer("Conv2d", f"convolution{number}", out_channels=8 + number, kernel_size=1)
    b.output("aux", training_only=True)
    made = {"U-Net": lambda: unet_of(tmp_path), "training": b.checked}
    picture = Picture(made[name]() if name in made else graph_of(name), depth=depth, direction="LR")
    names = names_of(picture.view.boxes)
    expected = sorted(
        tuple(sorted((names[edge.source], names[edge.target]))) for edge in picture.view.edges
    )
    ends = [
        (names_at(picture, edge["tail"]), names_at(picture, edge["head"])) for edge in picture.edges
    ]

    assert sorted(tuple(sorted(pair)) for pair in ends) == expected


def test_what_skips_from_a_line_to_the_next_leads_down_over_no_box(tmp_path: Path) -> None:
    picture = Picture(unet_of(tmp_path), direction="LR")
    skips = [edge for edge in picture.edges if "AA3377" in edge.get("color", "")]
    place = {box["_gvid"]: numbers(box["pos"]) for box in picture.boxes}
    lengths = [place[edge["head"]][0] - place[edge["tail"]][0] for edge in skips]

    assert len(skips) == 4
    assert picture.boxes_run_over() == []
    assert max(map(abs, lengths)) < 0.4 * max(x for x, _ in picture.place.values())


def test_no_arrow_of_a_line_runs_over_a_box_or_a_shape() -> None:
    for name in ("inception_v3", "resnet50", "googlenet", "mobilenet_v2", "vgg19"):
        picture = Picture(foldable(graph_of(name)), direction="LR")
        points = [point for edge in picture.edges for point in curve(edge)]
        assert picture.boxes_run_over() == []
        for edge in picture.edges:
            if r"\n" in edge.get("label", ""):
                wide = max(len(line) for line in edge["label"].split(r"\n")) * 2.3
                middle = numbers(edge["lp"])
                others = [point for point in points if within(point, middle, wide - 2, 7)]
                assert not others, (name, edge["label"])


LONG_FORMULAS = """\
network long() {
  input image: [3, H, W]
  Conv2d(8, 3, stride = 2, padding = 1); ReLU
  MaxPool2d(3, stride = 2); Conv2d(16, 5, stride = 2)
  concat {
    branch { Conv2d(16, 3, padding = 1) }
    branch { AvgPool2d(3, stride = 1, padding = 1) -> Conv2d(8, 1) }
  }
  add { branch { Conv2d(24, 3, padding = 1) } branch {} }
  Flatten
}
"""


def test_formulas_beside_horizontal_arrows_leave_the_arrowheads_alone(tmp_path: Path) -> None:
    """Parentheses reach down into the line of the arrow, which is as long as its label asks for."""
    path = tmp_path / "long.arch"
    path.write_text(LONG_FORMULAS)
    looked_at = 0
    for edge in Picture(load(str(path)).checked, direction="LR").edges:
        lines = [line.strip() for line in edge.get("label", "").split(r"\n") if line.strip()]
        (tip,) = [numbers(part[2:]) for part in edge["pos"].split() if part[:2] in ("e,", "s,")]
        if lines and any("(" in line for line in lines):
            x, _ = numbers(edge["lp"])
            half = max(width_of(line, SMALL) for line in lines) / 2
            assert abs(tip[0] - x) - half > ARROWHEAD + 3
            looked_at += 1

    assert looked_at > 5


def test_the_arrows_of_latex_lead_as_the_network_does(tmp_path: Path) -> None:
    """Graphviz is told of those in lines that run back from their heads to their tails."""
    source = draw(unet_of(tmp_path), format="tex", direction="LR").source
    ends = re.findall(r"\\draw\[arrow[^]]*,main\] \(([^)]*)\).* -- \(([^)]*)\);", source)
    steps = [(numbers(start), numbers(end)) for start, end in ends if start and end]
    right = [step for step in steps if step[1][0] > step[0][0] + 5]
    left = [step for step in steps if step[1][0] < step[0][0] - 5]

    assert len(right) > 8
    assert len(left) > 5
    assert r"1 x \\ 512 x 512" in source


@pytest.mark.parametrize("depth", [None, 9])
@pytest.mark.parametrize("name", [*NAMES, "inception_v4"])
def test_shapes_stand_free_of_each_other_and_of_arrows(name: str, depth: int | None) -> None:
    picture = Picture(graph_of(name), depth=depth)
    shapes = list(picture.shapes())
    points = [point for edge in picture.edges for point in curve(edge)]

    for number, (middle, half) in enumerate(shapes):
        assert not any(within(point, middle, half - 2, 3.5) for point in points)
        assert not any(
            within(other, middle, half + width, 8) for other, width in shapes[number + 1 :]
        )


@pytest.mark.parametrize("depth", [None, 9])
@pytest.mark.parametrize("name", NAMES)
def test_the_arrows_of_the_main_path_do_not_bend(name: str, depth: int | None) -> None:
    picture = Picture(graph_of(name), depth=depth)
    middle = picture.main()[0][0]
    main = [edge for edge in picture.edges if int(edge.get("weight", 1)) >= MAIN]

    assert len(main) >= len(picture.view.main) - 1
    assert all(abs(x - middle) < 1.5 for edge in main for x, _ in curve(edge))
