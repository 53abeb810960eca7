"""View -> the edges of DOT: how hard they pull, and where the shapes beside them stand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import atan2, degrees, hypot

from archdsl.backends.diagram.dot.clusters import MARGIN, ClustersAround
from archdsl.backends.diagram.dot.html_labels import SMALL
from archdsl.backends.diagram.dot.lettering import width_of
from archdsl.backends.diagram.dot.quoting import attributes_of
from archdsl.backends.diagram.dot.wrapping import Wrapping
from archdsl.backends.diagram.notation import visible
from archdsl.backends.diagram.style import Style
from archdsl.backends.diagram.view.view import Cluster, Edge, View

BESIDE = 6  # points between an edge and the shape beside it: its arrowhead is half as wide
BELOW = 10  # points from the box down to the middle of the shape
WITHIN = 5.5  # the same where a frame's line is right below
FRAME_LINE = 2  # points between a frame and the shape below it
# Graphviz keeps a cluster narrow with a weight of 128; a straight line counts for more.
PLAIN, CHAIN, MAIN = 1, 200, 1000
LONGEST_BRANCH = 64  # boxes
LONGEST_SHAPE = 8  # characters that stand in one line beside a horizontal arrow
PLAIN_SHAPE = re.compile(r"[\d x]*").fullmatch
CLEAR_OF_HEAD = "  "  # beside the blank around each label
# How an edge goes in a picture of several lines: back in one, to the next, or elsewhere.
BACK, TURNS, PARTS = "back", "turns", "parts"


def arrows(
    view: View,
    style: Style,
    names: Mapping[int, str],
    around: ClustersAround,
    direction: str,
    wrapping: Wrapping,
) -> Iterator[str]:
    """Yield the edges of a view between boxes of these quoted names, with these frames around them.

    From top to bottom an edge that bends arrives in the middle of a box that reads nothing else,
    from above: beside the title of the frame around it. From left to right those of a line that
    runs back are written from their head to their tail, since Graphviz knows one direction only.
    """
    comes = Counter([edge.target for edge in view.edges])
    within = _edges_within(view.edges, around)
    for edge, weight in zip(view.edges, weights(view.edges), strict=True):
        shape, tail = None, None
        way = _way(wrapping, edge.source, edge.target)
        if edge.labelled:
            shape = visible(view.notation.shape(edge.shape))
            if way == TURNS:
                tail = _beside_turn(around, wrapping, edge)
            elif edge.straight and direction == "TB":
                source, target = around[edge.source], around[edge.target]
                left = sum([frame not in target for frame in source]) if source else 0
                tail = 1, BELOW + (MARGIN * left + FRAME_LINE if left else 0), source != target
            elif direction == "LR":
                shape = beside_horizontal(shape)
        color = style.theme.accent if edge.shortcut else ""
        bent = direction == "TB" and not edge.main and not edge.alone and comes[edge.target] == 1
        length = _least_length(edge, around, within) if edge.main and comes[edge.target] > 1 else 1
        look = _look(weight, shape, tail, edge.main, color, edge.training_only, bent, length, way)
        source_name, target_name = names[edge.source], names[edge.target]
        if way == BACK:
            yield f"{target_name} -> {source_name}{look}"
            continue
        if way == TURNS:
            yield f"{{rank=same {source_name} {target_name}}}"
        yield f"{source_name} -> {target_name}{look}"


def beside_horizontal(shape: str) -> str:
    """Return a shape as it stands beside a horizontal arrow, with the blanks around it.

    The arrow is as long as its label asks for, and the text right above its line. Digits end above
    an arrowhead as well; parentheses and slashes reach down to it, so the lines of a formula have
    more blanks at both ends and stop before it.
    """
    lines = lines_of_shape(shape)
    if PLAIN_SHAPE(shape):
        return "\n".join(lines)
    return "\n".join(f"{CLEAR_OF_HEAD}{line}{CLEAR_OF_HEAD}" for line in lines)


def lines_of_shape(shape: str) -> Sequence[str]:
    """Break a shape beside a horizontal arrow behind its first size, so that it is less wide."""
    first, times, rest = shape.partition(" x ")
    return [first + times.rstrip(), rest] if times and len(shape) > LONGEST_SHAPE else [shape]


def _way(wrapping: Wrapping, source: int, target: int) -> str:
    """Return how an edge goes, or "" where it goes on in a line from left to right."""
    if wrapping.part(source, target):
        return TURNS if (source, target) in wrapping.turns else PARTS
    return BACK if wrapping.runs_back(source) else ""


def _edges_within(edges: Sequence[Edge], around: ClustersAround) -> Mapping[Cluster, list[Edge]]:
    """Return the edges that stay within each frame."""
    within: dict[Cluster, list[Edge]] = {}
    for edge in edges:
        for one, other in zip(around[edge.source], around[edge.target], strict=False):
            if one is not other:
                break
            within.setdefault(one, []).append(edge)
    return within


def _least_length(edge: Edge, around: ClustersAround, within: Mapping[Cluster, list[Edge]]) -> int:
    """Return over how many rows an edge goes at least: so many that it comes from above the frame.

    Its target may be computed from tensors of the block's own as well. They stand in the frame,
    and nothing from outside can stand in a row with them unless it moves aside.
    """
    frame = next((each for each in around[edge.target] if each not in around[edge.source]), None)
    above: dict[int, int] = {}  # how many rows of the frame a box has above it
    for each in within.get(frame, ()) if frame else ():
        rows = above.get(each.source, 0) + 1
        above[each.target] = max(rows, above.get(each.target, 0))
    return 1 + above.get(edge.target, 0)


@lru_cache(512)  # a picture has few shapes, and few looks
def _look(
    weight: int,
    shape: str | None,
    tail: tuple[int, float, bool] | None,
    main: bool,
    color: str,
    training_only: bool,
    bent: bool,
    length: int,
    way: str,
) -> str:
    """Write the attributes of an edge, with its shape beside the tail or in the middle."""
    look: dict[str, str] = {}
    if way == BACK:
        look["dir"] = "back"
    elif way == PARTS:
        look["constraint"] = "false"
    if weight != PLAIN and way != PARTS:
        look["weight"] = str(weight)
    if shape is not None:
        look |= _beside_tail(shape, *tail) if tail else {"label": f" {shape} "}
    if main:
        look["penwidth"] = "1.5"
    if color:
        look |= {"color": color, "penwidth": "1.5"}
    if training_only:
        look["style"] = "dashed"
    if bent:
        look["headport"] = "n"
    if length > 1 and way != TURNS:
        look["minlen"] = str(length)
    return f" [{attributes_of(look)}]" if look else ""


def _beside_turn(around: ClustersAround, wrapping: Wrapping, edge: Edge) -> tuple[int, float, bool]:
    """Return where the shape stands beside an arrow from a line to the next.

    That is on the outer side, where no arrow goes; or in the frame around the box, which has no
    room there.
    """
    outer = -1 if wrapping.runs_back(edge.source) else 1
    leaves = {*around[edge.source]} - {*around[edge.target]}
    return (-outer, WITHIN, False) if leaves else (outer, BELOW, False)


def _beside_tail(shape: str, side: int, below: float, across: bool) -> Mapping[str, str]:
    """Put a shape beside the tail of a straight edge: at its right if `side` is 1, or left of it.

    A label proper takes part in the layout, and bends the edge where it has little room. This one
    stands at an angle that depends on the length of the text. Where the edge goes across frames, an
    empty label keeps room between them.
    """
    aside = width_of(shape, SMALL) / 2 + BESIDE
    return {
        "taillabel": shape,
        "labeldistance": f"{hypot(aside, below) / 10:.3f}",  # Graphviz counts in tens of points
        "labelangle": f"{side * degrees(atan2(aside, below)):.1f}",
    } | ({"label": " "} if across else {})


def weights(edges: Sequence[Edge]) -> Iterator[int]:
    """Yield how hard each edge pulls its ends together.

    It pulls harder with each step of a branch, so that branches hang as low as they can, beside the
    merge that waits for them. Pulled as much from above as from below, a box would be put wherever
    there is room, between the rows of the others.
    """
    comes = Counter([edge.target for edge in edges])
    goes = Counter([edge.source for edge in edges])
    steps: dict[int, int] = {}
    for edge in edges:
        inside = comes[edge.source] == goes[edge.source] == 1  # of a branch
        steps[edge.target] = step = steps.get(edge.source, 0) + 1 if inside else 0
        yield min(step, LONGEST_BRANCH) + (MAIN if edge.main else CHAIN if edge.alone else PLAIN)
