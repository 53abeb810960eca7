"""Where pictures from left to right are broken into lines, and that this takes no time."""

from __future__ import annotations

from time import process_time

import pytest
from graphs import Builder
from hypothesis import given
from hypothesis import strategies as st

from archdsl.backends.diagram.diagram import Choices, style_of
from archdsl.backends.diagram.dot.clusters import clusters_around
from archdsl.backends.diagram.dot.digraph import to_dot
from archdsl.backends.diagram.dot.wrapping import Wrapping, wrapped
from archdsl.backends.diagram.view.view import View
from archdsl.backends.diagram.view.viewer import MOST_ACROSS, Viewer

GAP = 20


def chain(boxes: int, aside: int = 0) -> View:
    """Return a view of layers that follow each other, with a branch that leads on aside."""
    b = Builder()
    b.input("x", 4, 8, 8)
    for number in range(boxes - 2):  # besides the input and the output
        b.layer("Conv2d", f"c{number}", out_channels=4 + number % 7, kernel_size=1)
        if number == boxes // 2:
            middle = b.flow
    b.output("out")
    if aside:
        b.flow = middle
        for number in range(aside):
            b.layer("Conv2d", f"a{number}", out_channels=4 + number % 7, kernel_size=1)
        b.output("aux", training_only=True)
    return Viewer(b.checked(), ("*",)).view(1)


def wrap(view: View, widths: list[int]) -> Wrapping:
    around = clusters_around(view)
    return wrapped(view, around, lambda index: widths[index], lambda source, target: GAP)


def length(view: View, widths: list[int], line: list[int]) -> int:
    return sum(widths[index] for index in line) + GAP * (len(line) - 1)


@given(st.lists(st.integers(30, 900), min_size=3, max_size=40))
def test_lines_hold_the_main_path_in_order(widths: list[int]) -> None:
    view = chain(len(widths))
    made = wrap(view, widths)
    whole = length(view, widths, [*view.main])
    if whole <= MOST_ACROSS:
        assert made == Wrapping()
        return
    lines = [made.of[index] for index in view.main]

    assert lines == sorted(lines)
    assert {*lines} == {*range(max(lines) + 1)}
    assert len(made.turns) == max(lines) == len(made.left) - 1
    for source, target in made.turns:
        assert made.part(source, target)
        assert made.runs_back(target) == (lines[view.main.index(target)] % 2 == 1)
    assert max(lines) + 1 >= whole / (MOST_ACROSS + GAP)


@given(st.lists(st.integers(30, 900), min_size=3, max_size=12))
def test_two_lines_where_two_are_enough(widths: list[int]) -> None:
    """The second stands under the first and runs back; columns are as wide as their widest box."""
    view = chain(len(widths))
    at_least = []
    for cut in range(1, len(widths)):
        first, second = widths[:cut], widths[cut:]
        under = second[: len(first)] + [0] * (len(first) - len(second))
        columns = [*second[len(first) :][::-1], *map(max, first, reversed(under))]
        at_least.append(sum(columns) + GAP * (len(columns) - 1))
    whole = sum(widths) + GAP * (len(widths) - 1)

    assert (max(wrap(view, widths).of, default=0) == 1) == (
        whole > MOST_ACROSS and min(at_least) <= MOST_ACROSS
    ) or min(at_least) > MOST_ACROSS


def test_what_skips_from_the_first_box_does_not_count_as_a_box_beside_the_path() -> None:
    b = Builder()
    b.input("x", 4, 8, 8)
    b.layer("Conv2d", "c", out_channels=4, kernel_size=1)
    b.layer("Conv2d", "d", out_channels=4, kernel_size=1)
    b.flow = b.merge("add", b.flow, "x")
    view = Viewer(b.checked()).view(1)
    widths = [1_000, 100, 100, 50, 100]

    assert len(view.main) == 5
    assert wrap(view, widths) == Wrapping()


@pytest.mark.parametrize("aside", [0, 60])
def test_the_time_grows_with_the_boxes(aside: int) -> None:
    """And with them alone, where a branch aside is wider than a page, so that no line helps."""

    def seconds(boxes: int) -> float:
        view = chain(boxes, aside)
        style = style_of(view, Choices())
        begin = process_time()
        to_dot(view, style, "LR")
        return process_time() - begin

    seconds(200)
    few, many = min(seconds(200) for _ in range(3)), seconds(1_600)

    assert many < 8 * 6 * few  # the third power of eight is 512
