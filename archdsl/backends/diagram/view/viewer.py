"""CheckedGraph -> View: folds a network, and chooses how far when nobody says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import NamedTuple

from archdsl.backends.diagram.notation import Notation
from archdsl.backends.diagram.view.edges import edges_between, longest_paths, main_path, rated
from archdsl.backends.diagram.view.folding import Folder
from archdsl.backends.diagram.view.inline_groups import grouped
from archdsl.backends.diagram.view.scope_tree import ScopeTree
from archdsl.backends.diagram.view.summaries import Summaries, breaks
from archdsl.backends.diagram.view.view import Box, Cluster, Edge, View, boxes_in
from archdsl.backends.formulas import readable
from archdsl.graph import CheckedGraph, Scope

MOST_BOXES = 60  # by default: what is read at a glance
# By default: as high as the text of an A4 page, 257 mm, if letters of 11 points are shown at 5.
MOST_POINTS = 1_600
# From left to right: as wide as lines of such a page, and so many of them as leave it legible.
MOST_LINES = 2
# Of one line: 257 mm as well, less what widths that are only estimated may be wrong by.
MOST_ACROSS = 1_560
FULL = 0.9  # lines are not equally long
MOST_OF_A_LINE = 3 / 4
ACROSS = 145  # points of a box, with its arrow and the shape beside it
FEW = 12  # boxes: fewer say so little that a picture may be higher than a page
ROW = 19  # points of a row of a box
GAP = 30  # points between boxes, with the shape beside the arrow
FRAME = 46  # points that the frame of an open block adds
LEGEND = 95  # points


def foldable(checked: CheckedGraph) -> CheckedGraph:
    """Return the network, with groups for blocks put in with `inline` if it is too wide without."""
    if sum(not node.scope.name for node in checked.nodes.values()) <= MOST_BOXES:
        return checked
    tree = ScopeTree(checked)
    return grouped(tree) if Folder(tree).count(1, MOST_BOXES) > MOST_BOXES else checked


class Viewer:
    """A network with all that is needed to look at it in several ways.

    Attributes:
        unfold: names of blocks that are to be open: see `Folder`.
    """

    def __init__(self, checked: CheckedGraph, unfold: Sequence[str] = ()) -> None:
        self.checked = checked
        self.tree = ScopeTree(checked)
        self.folder = Folder(self.tree, unfold)
        self.notation = Notation(readable(checked))
        self.summaries = Summaries(self.tree, self.notation)

    def view(self, depth: int) -> View:
        """Fold blocks with `depth` and more around them, and find the edges and the main path."""
        return self._view(self._outline(depth))

    def _outline(self, depth: int) -> _Outline:
        """Fold the network, and find the edges and the longest ways."""
        children = self.folder.fold(depth)
        boxes = tuple(boxes_in(children))
        edges = edges_between(self.tree, boxes)
        return _Outline(children, boxes, edges, longest_paths(self.tree.order, boxes, edges))

    def _view(self, outline: _Outline) -> View:
        boxes = outline.boxes
        main = main_path(self.tree, boxes)
        items = chain.from_iterable(box.turn for box in boxes if box.kind in ("block", "run"))
        said = {item.name: self.summaries.of(item) for item in items if isinstance(item, Scope)}
        edges = rated(boxes, outline.edges, main)
        return View(self.checked, outline.children, boxes, edges, main, self.notation, said)

    def fitting(self, direction: str = "TB") -> View:
        """Open as many levels of blocks as fit on a page, and at least the first.

        The page is upright for pictures from top to bottom, and on its side for others.
        """
        outline, depth = self._outline(1), 1
        while any(box.kind == "block" for box in outline.boxes):
            depth += 1
            if self.folder.count(depth, MOST_BOXES) > MOST_BOXES:
                break
            deeper = self._outline(depth)
            if direction == "TB":
                fits = self._height(deeper) <= MOST_POINTS
            else:
                fits = _width(deeper) <= MOST_LINES * FULL * MOST_ACROSS
            if not fits and len(outline.boxes) > FEW:
                break
            # Lines from left to right must be able to end within large frames: see `_breaks`.
            if direction != "TB" and not _breaks(deeper):
                break
            outline = deeper
        return self._view(outline)

    def height(self, view: View) -> int:
        """Estimate how high a view is drawn, in points, from the longest way through it."""
        paths = longest_paths(self.tree.order, view.boxes, view.edges)
        return self._height(_Outline(view.children, view.boxes, view.edges, paths))

    def _height(self, outline: _Outline) -> int:
        path = max(outline.paths.values(), key=len, default=())
        framed = {outline.boxes[index].scope for index in path} - {""}
        rows = sum(self._rows(outline.boxes[index]) for index in path)
        return LEGEND + ROW * rows + GAP * len(path) + FRAME * len(framed)

    def _rows(self, box: Box) -> int:
        """Count the rows of a box; the title of a group takes two if it is long."""
        if box.kind in ("block", "run"):
            groups = [item for item in box.turn if isinstance(item, Scope) and not item.block]
            broken = sum(breaks(group.label, self.summaries.of(group)) for group in groups)
            return len(box.turn) + broken + (box.kind == "run")
        return len(box.heads) + max(1, len(box.items)) + (box.times > 1)

    def deepest_below(self, boxes: int) -> int:
        """Return the largest depth with at most that many boxes; 0 if the first has more."""
        most = boxes - len(self.checked.outputs)
        deepest = 1 + max(map(_depth, self.checked.scopes.values()))
        more = (depth for depth in range(deepest) if self.folder.count(depth + 1, most) > most)
        return next(more, deepest)


def _depth(scope: Scope) -> int:
    """Count the scopes around a scope."""
    return 1 + _depth(scope.parent) if scope.parent else 0


class _Outline(NamedTuple):
    """What is seen of a network, with the longest way to each output."""

    children: tuple[Box | Cluster, ...]
    boxes: tuple[Box, ...]
    edges: Sequence[Edge]
    paths: Mapping[int, tuple[int, ...]]


def _width(outline: _Outline) -> int:
    path = max(outline.paths.values(), key=len, default=())
    framed = {outline.boxes[index].scope for index in path} - {""}
    return ACROSS * len(path) + FRAME * len(framed)


def _breaks(outline: _Outline) -> bool:
    """Tell whether lines from left to right may end within frames that take most of a line.

    Arrows that lead past such a frame, or from its middle, would run over boxes.
    """
    path = max(outline.paths.values(), key=len, default=())
    steps = {*pairwise(path)}
    for child in outline.children:
        inside = {box.index for box in boxes_in([child])}
        if ACROSS * len(inside.intersection(path)) <= MOST_OF_A_LINE * MOST_ACROSS:
            continue
        first, last = min(inside), max(inside)
        for edge in outline.edges:
            leads_out = (edge.source in inside) != (edge.target in inside)
            leads_past = edge.source < first and edge.target > last
            if (leads_out or leads_past) and (edge.source, edge.target) not in steps:
                return False
    return True
