"""The titles of open blocks, and how wide boxes must be so that arrows pass beside them.

An arrow that comes into a frame runs down to the middle of a box. The title stands at the left: it
stays free if it is no wider than what is left of the box's middle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from archdsl.backends.diagram.escaping import visible
from archdsl.backends.diagram.view import Box, Cluster, View
from archdsl.graph import Scope

TITLE = 10  # size of a title, in points
TITLE_LEAST = 8
LONGEST_TITLE = 28  # characters of a line
NARROW = 11  # characters of a line for which a title has its full size
MARGIN = 10  # points between a frame and what is in it
INSET = 8  # points between a frame and its title
CLEAR = 4  # points between a title and an arrow
# Widths of characters in bold Helvetica, for a size of 1: of some, of capitals, and of most.
WIDTHS = {**dict.fromkeys("fijlt.,:;'|()[]/! ", 0.33), **dict.fromkeys("mwMW@%", 0.92)}
CAPITAL, LETTER, IDEOGRAPH = 0.7, 0.58, 1.0


@dataclass(frozen=True, slots=True)
class Title:
    """What stands at the head of a frame: its label, and the name of the block.

    Attributes:
        size: of its letters, in points; together: whether all stands in one line.
    """

    label: str
    block: str
    size: int
    together: bool

    @property
    def width(self) -> float:
        """How wide it is drawn, in points."""
        lines = [f"{self.label} {self.block}"] if self.together else [self.label, self.block]
        return max(sum(map(_width, line)) for line in lines) * self.size


def _width(character: str) -> float:
    if character >= "\u1100":
        return IDEOGRAPH
    return WIDTHS.get(character) or (CAPITAL if character.isupper() else LETTER)


def title_of(scope: Scope) -> Title:
    """Return the title of an open block or group."""
    label, block = (visible(text, LONGEST_TITLE) for text in (scope.label, scope.block))
    if len(label) + len(block) < NARROW:
        return Title(label, block, TITLE, True)
    longest = max(len(label), len(block))
    size = max(TITLE_LEAST, min(TITLE, TITLE * NARROW // longest))
    return Title(label, block, size, False)


def least_widths(view: View) -> Mapping[int, int]:
    """Return how wide boxes must be, in points, for titles above them that arrows leave alone."""
    around = frames_around(view)
    needed: dict[Cluster, float] = {}
    widths: dict[int, int] = {}
    for edge in view.edges:
        for level, cluster in enumerate(reversed(around[edge.target])):
            if cluster in around[edge.source]:
                break
            beside = MARGIN * (1 + level) - INSET
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


def frames_around(view: View) -> Mapping[int, tuple[Cluster, ...]]:
    """Return the frames around each box, by its index, the outermost first."""
    return dict(_around(view.children, ()))


def _around(
    children: Sequence[Box | Cluster], clusters: tuple[Cluster, ...]
) -> Iterator[tuple[int, tuple[Cluster, ...]]]:
    """Yield each box with the frames around it. Blocks nest to a limited depth, as this does."""
    for child in children:
        if isinstance(child, Box):
            yield child.index, clusters
        else:
            yield from _around(child.children, (*clusters, child))
