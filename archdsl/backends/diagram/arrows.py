"""View -> the edges of DOT: how hard they pull, and where the shapes beside them stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import atan2, degrees, hypot

from archdsl.backends.diagram.escaping import attributes_of, visible
from archdsl.backends.diagram.frames import MARGIN, Frames
from archdsl.backends.diagram.labels import SMALL
from archdsl.backends.diagram.lettering import width_of
from archdsl.backends.diagram.rows import Style
from archdsl.backends.diagram.view import Edge, View

BESIDE = 6  # points between an edge and the shape beside it: its arrowhead is half as wide
BELOW = 10  # points from the box down to the middle of the shape
FRAME_LINE = 2  # points between a frame and the shape below it
# Graphviz keeps a cluster narrow with a weight of 128; a straight line counts for more.
PLAIN, CHAIN, MAIN = 1, 200, 1000
LONGEST_BRANCH = 64  # boxes


def arrows(
    view: View, style: Style, names: Mapping[int, str], around: Frames, direction: str
) -> Iterator[str]:
    """Yield the edges of a view between boxes of these quoted names, with these frames around them.

    From top to bottom an edge that bends arrives in the middle of a box that reads nothing else,
    from above: beside the title of the frame around it.
    """
    comes = Counter([edge.target for edge in view.edges])
    for edge, weight in zip(view.edges, weights(view.edges), strict=True):
        shape, tail = None, None
        if edge.labelled:
            shape = visible(view.words.shape(edge.shape))
            if edge.straight and direction == "TB":
                source, target = around[edge.source], around[edge.target]
                left = sum([frame not in target for frame in source]) if source else 0
                tail = left, source != target
        color = style.theme.accent if edge.shortcut else ""
        bent = direction == "TB" and not edge.main and not edge.alone and comes[edge.target] == 1
        length = _least_length(view, edge, around) if edge.main and comes[edge.target] > 1 else 1
        look = _look(weight, shape, tail, edge.main, color, edge.training_only, bent, length)
        yield f"{names[edge.source]} -> {names[edge.target]}{look}"


def _least_length(view: View, edge: Edge, around: Frames) -> int:
    """Return over how many rows an edge goes at least: so many that it comes from above the frame.

    Its target may be computed from tensors of the block's own as well. They stand in the frame,
    and nothing from outside can stand in a row with them unless it moves aside.
    """
    frame = next((each for each in around[edge.target] if each not in around[edge.source]), None)
    above: dict[int, int] = {}  # how many rows of the frame a box has above it
    for each in view.edges if frame else ():
        if frame in around[each.source] and frame in around[each.target]:
            rows = above.get(each.source, 0) + 1
            above[each.target] = max(rows, above.get(each.target, 0))
    return 1 + above.get(edge.target, 0)


@lru_cache(512)  # a picture has few shapes, and few looks
def _look(
    weight: int,
    shape: str | None,
    tail: tuple[int, bool] | None,
    main: bool,
    color: str,
    training_only: bool,
    bent: bool,
    length: int,
) -> str:
    """Write the attributes of an edge, with its shape beside the tail or in the middle."""
    look: dict[str, str] = {}
    if weight != PLAIN:
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
    if length > 1:
        look["minlen"] = str(length)
    return f" [{attributes_of(look)}]" if look else ""


def _beside_tail(shape: str, left: int, across: bool) -> Mapping[str, str]:
    """Put a shape right beside the tail of a straight edge, below the `left` frames it leaves.

    A label proper takes part in the layout, and bends the edge where it has little room. This one
    stands at an angle that depends on the length of the text. Where the edge goes across frames, an
    empty label keeps room between them.
    """
    aside = width_of(shape, SMALL) / 2 + BESIDE
    below = BELOW + (MARGIN * left + FRAME_LINE if left else 0)
    return {
        "taillabel": shape,
        "labeldistance": f"{hypot(aside, below) / 10:.3f}",
        "labelangle": f"{degrees(atan2(aside, below)):.1f}",
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
