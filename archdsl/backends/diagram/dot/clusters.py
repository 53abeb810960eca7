"""The titles of open blocks, and how wide boxes must be so that arrows pass beside them.

An arrow that comes into a frame runs down to the middle of a box. The title stands at the left: it
stays free if it is no wider than what is left of the box's middle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from archdsl.backends.diagram.dot.lettering import width_of
from archdsl.backends.diagram.notation import visible
from archdsl.backends.diagram.view.view import Box, Cluster, View
from archdsl.graph import Scope

TITLE = 10  # size of a title, in points
TITLE_LEAST = 8
LONGEST_TITLE = 28  # characters of a line
NARROW = 11  # characters of a line for which a title has its full size
MARGIN = 10  # points between a frame and what is in it
INSET = 8  # points between a frame and its title
CLEAR = 4  # points between a title and an arrow

ClustersAround = Mapping[int, tuple[Cluster, ...]]  # those around each box, by its index


class Title(NamedTuple):
    """What stands at the head of a frame: its label, and the name of the block.

    Attributes:
        size: of its letters, in points; together: whether all stands in one line.
        width: how wide it is drawn, in points.
    """

    label: str
    block: str
    size: int
    together: bool
    width: float


def title_of(scope: Scope) -> Title:
    """Return the title of an open block or group."""
    return _title(visible(scope.label, LONGEST_TITLE), visible(scope.block, LONGEST_TITLE))


@lru_cache(256)  # the branches of many blocks have the same names
def _title(label: str, block: str) -> Title:
    if len(label) + len(block) < NARROW:
        line = f"{label} {block}"
        return Title(label, block, TITLE, True, width_of(line, TITLE, bold=True))
    longest = max(len(label), len(block))
    size = max(TITLE_LEAST, min(TITLE, TITLE * NARROW // longest))
    width = max(width_of(label, size, bold=True), width_of(block, size))
    return Title(label, block, size, False, width)


def least_widths(view: View, around: ClustersAround) -> Mapping[int, int]:
    """Return how wide boxes must be, in points, for titles above them that arrows leave alone."""
    needed: dict[Cluster, float] = {}
    widths: dict[int, int] = {}
    for edge in view.edges:
        for level, cluster in enumerate(reversed(around[edge.target])):
            if cluster in around[edge.source]:
                break
            beside = MARGIN * (1 + level) - INSET  # is free anyway, of each frame in between
            if cluster not in needed:
                needed[cluster] = title_of(cluster.scope).width + CLEAR
            width = round(2 * (needed[cluster] - beside))
            widths[edge.target] = max(width, widths.get(edge.target, 0))
    return widths


def aside(view: View) -> frozenset[int]:
    """Return the boxes that the main output does not need."""
    into: dict[int, list[int]] = {}
    for edge in view.edges:
        into.setdefault(edge.target, []).append(edge.source)
    needed: set[int] = set()
    waiting = list(view.main[-1:])
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting += into.get(index, ())
    return frozenset(box.index for box in view.boxes if box.index not in needed)


def clusters_around(view: View) -> ClustersAround:
    """Return the frames around each box, by its index, the outermost first."""
    around: dict[int, tuple[Cluster, ...]] = {}
    _put(view.children, (), around)
    return around


def _put(
    children: Sequence[Box | Cluster],
    clusters: tuple[Cluster, ...],
    around: dict[int, tuple[Cluster, ...]],
) -> None:
    """Put the frames of each box into `around`. Blocks nest to a limited depth, as this does."""
    for child in children:
        if isinstance(child, Box):
            around[child.index] = clusters
        else:
            _put(child.children, (*clusters, child), around)
