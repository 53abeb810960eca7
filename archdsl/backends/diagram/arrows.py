"""View -> the edges of DOT: how hard they pull, and where the shapes beside them stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import atan2, degrees, hypot

from archdsl.backends.diagram.escaping import attributes_of, dot_quoted, visible
from archdsl.backends.diagram.frames import MARGIN, frames_around
from archdsl.backends.diagram.labels import SMALL
from archdsl.backends.diagram.rows import Style
from archdsl.backends.diagram.view import Edge, View
from archdsl.backends.diagram.wording import shape_of

CHARACTER = 0.52  # mean width of a character of a shape, for a size of 1
BESIDE = 4  # points between an edge and the shape beside it
BELOW = 10  # points from the box down to the middle of the shape
FRAME_LINE = 2  # points between a frame and the shape below it
# Graphviz keeps a cluster narrow with a weight of 128; a straight line counts for more.
PLAIN, CHAIN, MAIN = 1, 200, 1000
LONGEST_BRANCH = 64  # boxes


def arrows(view: View, style: Style, names: Mapping[int, str], direction: str) -> Iterator[str]:
    """Yield the edges of a view between boxes of these names."""
    around = frames_around(view)
    for edge, weight in zip(view.edges, weights(view.edges), strict=True):
        look: dict[str, str] = {}
        if weight != PLAIN:
            look["weight"] = str(weight)
        if edge.labelled:
            shape = visible(shape_of(edge.shape))
            if edge.straight and direction == "TB":
                source, target = around[edge.source], around[edge.target]
                left = sum(frame not in target for frame in source)
                look |= _beside_tail(shape, left, source != target)
            else:
                look["label"] = f" {shape} "
        if edge.main:
            look["penwidth"] = "1.5"
        if edge.shortcut:
            look |= {"color": style.theme.accent, "penwidth": "1.5"}
        if edge.training_only:
            look["style"] = "dashed"
        ends = f"{dot_quoted(names[edge.source])} -> {dot_quoted(names[edge.target])}"
        yield f"{ends} [{attributes_of(look)}]" if look else ends


def width_of(shape: str) -> float:
    """Estimate how wide a shape beside an edge is, in points."""
    return len(shape) * SMALL * CHARACTER


def _beside_tail(shape: str, left: int, across: bool) -> Mapping[str, str]:
    """Put a shape right beside the tail of a straight edge, below the `left` frames it leaves.

    A label proper takes part in the layout, and bends the edge where it has little room. This one
    stands at an angle that depends on the length of the text. Where the edge goes across frames, an
    empty label keeps room between them.
    """
    aside = width_of(shape) / 2 + BESIDE
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
    comes, goes = Counter(edge.target for edge in edges), Counter(edge.source for edge in edges)
    steps: dict[int, int] = {}
    for edge in edges:
        inside = comes[edge.source] == goes[edge.source] == 1  # of a branch
        steps[edge.target] = step = steps.get(edge.source, 0) + 1 if inside else 0
        yield min(step, LONGEST_BRANCH) + (MAIN if edge.main else CHAIN if edge.alone else PLAIN)
