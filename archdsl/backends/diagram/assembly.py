"""CheckedGraph -> View: folds a network, and chooses how far when nobody says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import NamedTuple

from archdsl.backends.diagram.edges import edges_between, longest_paths, main_path, order_of, rated
from archdsl.backends.diagram.folding import Folding, TooMany, fold, runs_of
from archdsl.backends.diagram.labels import ROW
from archdsl.backends.diagram.runs import Run
from archdsl.backends.diagram.titles import Titles
from archdsl.backends.diagram.tree import Tree, tree_of
from archdsl.backends.diagram.uses import grouped
from archdsl.backends.diagram.view import Box, Cluster, Edge, View, boxes_in
from archdsl.graph import CheckedGraph

MOST_BOXES = 60  # by default: what is read at a glance
# By default: as high as the text of an A4 page, 257 mm, if letters of 11 points are shown at 5.
MOST_POINTS = 1_600
FEW = 12  # boxes: fewer say so little that a picture may be higher than a page
GAP = 30  # points between boxes, with the shape beside the arrow
FRAME = 46  # points that the frame of an open block adds
LEGEND = 95  # points


def foldable(checked: CheckedGraph) -> CheckedGraph:
    """Return the network, with groups for blocks put in with `inline` if it is too wide without."""
    if sum(not node.scope.name for node in checked.nodes.values()) <= MOST_BOXES:
        return checked
    network = Network(checked)
    try:
        fold(network.tree, Folding(1), network.runs, MOST_BOXES)
    except TooMany:
        return grouped(network.tree)
    return checked


@dataclass(frozen=True, eq=False)
class Network:
    """A network with all that is needed to look at it in several ways."""

    checked: CheckedGraph

    @cached_property
    def tree(self) -> Tree:
        return tree_of(self.checked)

    @cached_property
    def titles(self) -> Titles:
        return Titles(self.tree)

    @cached_property
    def runs(self) -> Callable[[str], Sequence[Run]]:
        return runs_of(self.tree)

    @property
    def deepest(self) -> int:
        """The depth at which all blocks are open."""
        return 1 + max(self.tree.depth.values(), default=0)

    def view(self, folding: Folding) -> View:
        """Fold the network, and find the edges and the main path of what is left."""
        return self._view(self._outline(folding))

    def _outline(self, folding: Folding, most: float = inf) -> _Outline:
        """Fold the network, and find the edges and the longest ways.

        Raises:
            TooMany: there are more than `most` boxes.
        """
        children = fold(self.tree, folding, self.runs, most)
        boxes = tuple(boxes_in(children))
        edges = edges_between(self.checked, boxes)
        paths = longest_paths(order_of(self.checked, boxes), boxes, edges)
        return _Outline(children, boxes, edges, paths)

    def _view(self, outline: _Outline) -> View:
        boxes = outline.boxes
        main = main_path(self.checked, boxes, outline.paths)
        blocks = [box.block for box in boxes if box.kind in ("block", "run")]
        titles = {block.name: self.titles.of(block) for block in blocks}
        edges = rated(boxes, outline.edges, main)
        return View(self.checked, outline.children, boxes, edges, main, titles)

    def fitting(self, unfold: tuple[str, ...] = ()) -> View:
        """Open as many levels of blocks as fit on a page, and at least the first."""
        outline = self._outline(Folding(1, unfold))
        deepest = self.deepest if len(outline.boxes) <= MOST_BOXES else 1
        for depth in range(2, deepest + 1):
            try:
                deeper = self._outline(Folding(depth, unfold), MOST_BOXES)
            except TooMany:
                break
            if _height(deeper) > MOST_POINTS and len(outline.boxes) > FEW:
                break
            outline = deeper
        return self._view(outline)

    def height(self, view: View) -> int:
        """Estimate how high a view is drawn, in points, from the longest way through it."""
        paths = longest_paths(order_of(self.checked, view.boxes), view.boxes, view.edges)
        return _height(_Outline(view.children, view.boxes, view.edges, paths))

    def deepest_below(self, boxes: int) -> int:
        """Return the largest depth with at most that many boxes; 0 if the first has more."""
        for depth in range(1, self.deepest + 1):
            try:
                fold(self.tree, Folding(depth), self.runs, boxes - len(self.checked.outputs))
            except TooMany:
                return depth - 1
        return self.deepest


class _Outline(NamedTuple):
    """What is seen of a network, with the longest way to each output."""

    children: tuple[Box | Cluster, ...]
    boxes: tuple[Box, ...]
    edges: Sequence[Edge]
    paths: Mapping[int, tuple[int, ...]]


def _height(outline: _Outline) -> int:
    path = max(outline.paths.values(), key=len, default=())
    framed = {outline.boxes[index].scope for index in path} - {""}
    rows = sum(_rows(outline.boxes[index]) for index in path)
    return LEGEND + ROW * rows + GAP * len(path) + FRAME * len(framed)


def _rows(box: Box) -> int:
    if box.kind == "run":
        return 2
    return len(box.heads) + max(1, len(box.items)) + (box.times > 1)
