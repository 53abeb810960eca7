"""Wraps a picture from left to right into lines, where one would be wider than a page.

Every second line runs back, from right to left: where one ends, the next begins right below. So the
halves of a U-Net stand above each other, and what skips from one to the other goes down.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from math import ceil
from typing import NamedTuple

from archdsl.backends.diagram.dot.clusters import ClustersAround, aside
from archdsl.backends.diagram.view.view import View
from archdsl.backends.diagram.view.viewer import MOST_ACROSS

MOST_TRIED = 200  # boxes on the main path: of longer ones not every place to turn is tried
# Beside frames Graphviz doesn't hold three lines in their order: they get between each other.
MOST_FRAMED = 2  # lines

Cuts = tuple[int, ...]  # the places on the main path at which lines begin, but for the first


class Wrapping(NamedTuple):
    """Which line each box of a picture stands in.

    Attributes:
        of: the number of the line of each box, by its index; empty if there is one line.
        left: the indices of the boxes at the left ends of the lines.
        turns: the steps of the main path that lead from a line to the next.
    """

    of: Sequence[int] = ()
    left: Sequence[int] = ()
    turns: frozenset[tuple[int, int]] = frozenset()

    def runs_back(self, index: int) -> bool:
        """Tell whether a box stands in a line from right to left."""
        return bool(self.of) and self.of[index] % 2 == 1

    def part(self, source: int, target: int) -> bool:
        """Tell whether two boxes stand in different lines."""
        return bool(self.of) and self.of[source] != self.of[target]


def wrapped(
    view: View,
    around: ClustersAround,
    width: Callable[[int], float],
    gap: Callable[[int, int], float],
) -> Wrapping:
    """Break the main path into as few lines as fit on a page.

    A line ends between what stands at the top level; where that doesn't do, within frames, which
    then go around parts of several lines.

    Args:
        width: of a box, by its index; gap: between two boxes that follow each other.
    """
    main = view.main
    tails = _tails(view, width, gap)
    beside = _beside(view, width)
    path = _Path(
        [max(width(index), beside.get(index, 0)) for index in main],
        [gap(*step) for step in pairwise(main)],
        [tails.get(index, 0) for index in main],
    )
    if not main or path.across(()) <= MOST_ACROSS:
        return Wrapping()
    skips = _skips(view)
    framed = any(around.values())
    found: list[tuple[float, int, int, Cuts]] = []  # the least is the best
    for level in (0, 1) if framed else (0,):
        units = [_unit(around, index, level) for index in main]
        places = [at for at, (one, other) in enumerate(pairwise(units), 1) if one != other]
        for cuts in path.cuts(places, skips, MOST_FRAMED if framed else len(main)):
            excess = max(0, path.across(cuts) - MOST_ACROSS)
            found.append((excess, len(cuts), level, cuts))
            if not excess:
                break
        if found and not min(found)[0]:
            break  # within frames lines end only where that is needed
    if not found:
        return Wrapping()
    _, _, level, cuts = min(found)
    turns = frozenset((main[at - 1], main[at]) for at in cuts)
    ends = pairwise((0, *cuts, len(main)))
    left = [main[end - 1 if line % 2 else start] for line, (start, end) in enumerate(ends)]
    return Wrapping(_spread(view, around, cuts, level), left, turns)


class _Path(NamedTuple):
    """The main path: how wide boxes are, the gaps between them, and what hangs on each aside."""

    widths: Sequence[float]
    gaps: Sequence[float]
    tails: Sequence[float]

    def cuts(
        self, places: Sequence[int], skips: Mapping[tuple[int, int], int], most: int
    ) -> Iterator[Cuts]:
        """Yield ways to break the path at some of these places, the fewest lines first.

        Two lines turn where what skips from one to the other goes down most steeply. More, of which
        there are at most `most`, are about equally long.
        """
        if places and len(self.widths) <= MOST_TRIED:
            two = [(self.across((at,)), at) for at in places]
            yield (min((max(0, w - MOST_ACROSS), _aslant(skips, at), w, at) for w, at in two)[-1],)
        # Fewer lines can't do, even without gaps. With twice as many, something is in the way that
        # no further line helps with, such as a branch that leads on aside over a page: to try all
        # would take a long path the third power of its length.
        least = max(2, ceil(sum(self.widths) / MOST_ACROSS))
        most = min(most, 2 * least + 2, len(places) + 1)
        steps = [width + gap for width, gap in zip(self.widths, [*self.gaps, 0.0], strict=True)]
        starts = [0.0, *accumulate(steps)]
        turns = [starts[at] for at in places]
        for lines in range(min(least, most), most + 1) if places else ():
            wanted = [starts[-1] * line / lines for line in range(1, lines)]
            yield tuple(sorted({places[_nearest(turns, x)] for x in wanted}))

    def across(self, cuts: Cuts) -> float:
        """Return how wide the lines are. Boxes above each other are as wide as the widest.

        That is how Graphviz arranges them: a column is a rank, and a rank is as wide as what is in
        it.
        """
        columns, lines = _columns(len(self.widths), cuts)
        first, last = min(columns), max(columns)
        widest, between = [0.0] * (1 + last - first), [0.0] * (1 + last - first)
        before = columns[0]
        for at, column in enumerate(columns):
            widest[column - first] = max(widest[column - first], self.widths[at])
            if column != before:
                side = min(before, column) - first
                between[side] = max(between[side], self.gaps[at - 1])
            before = column
        steps = [width + gap for width, gap in zip(widest, between, strict=True)]
        starts = [0.0, *accumulate(steps)]
        left, right = 0.0, starts[-1]
        for column, line, tail in zip(columns, lines, self.tails, strict=True):
            start = starts[column - first]
            if line % 2:  # it runs back, and what hangs on it leads to the left
                left = min(left, start - tail)
            else:
                right = max(right, start + widest[column - first] + tail)
        return right - left


def _columns(boxes: int, cuts: Cuts) -> tuple[Sequence[int], Sequence[int]]:
    """Return the column and the line of each box of the main path.

    The first box of a line stands right below the last of the line before.
    """
    columns: list[int] = []
    lines: list[int] = []
    column = 0
    for line, (start, end) in enumerate(pairwise((0, *cuts, boxes))):
        forward = -1 if line % 2 else 1
        columns += range(column, column + forward * (end - start), forward)
        lines += [line] * (end - start)
        column = columns[-1]
    return columns, lines


def _nearest(turns: Sequence[float], wanted: float) -> int:
    """Return the number of the place that lies nearest; of two, that of the first."""
    behind = bisect_left(turns, wanted)
    if behind == len(turns) or (behind and wanted - turns[behind - 1] <= turns[behind] - wanted):
        return behind - 1
    return behind


def _aslant(skips: Mapping[tuple[int, int], int], cut: int) -> int:
    """Count the arrows from a line to the next, and the columns over which they lead."""
    return sum(
        times * (1 + abs(cut - 1 - source - (target - cut)))
        for (source, target), times in skips.items()
        if source < cut <= target
    )


def _skips(view: View) -> Mapping[tuple[int, int], int]:
    """Return from where to where on the main path arrows lead beside it, by places, and how many.

    What the main path reads from aside stands beside the box before the one that reads it.
    """
    places = {index: at for at, index in enumerate(view.main)}
    near = {edge.source: places[edge.target] - 1 for edge in view.edges if edge.target in places}
    near |= places
    return Counter(
        (near[edge.source], near[edge.target])
        for edge in view.edges
        if not edge.main and edge.source in near and edge.target in near
    )


def _beside(view: View, width: Callable[[int], float]) -> Mapping[int, float]:
    """Return how wide that is which stands above or below each box of the main path, in points.

    The next one reads it as well.
    """
    before = {target: source for source, target in pairwise(view.main)}
    on_main = {*view.main}
    beside: dict[int, float] = {}
    for edge in view.edges:
        if not edge.main and edge.target in before and edge.source not in on_main:
            column = before[edge.target]
            beside[column] = max(beside.get(column, 0), width(edge.source))
    return beside


def _tails(
    view: View, width: Callable[[int], float], gap: Callable[[int, int], float]
) -> Mapping[int, float]:
    """Return how far what the main output doesn't need leads on behind each box, in points."""
    apart = aside(view)
    tails: dict[int, float] = {}
    for edge in reversed(view.edges):  # those that lead on come before
        if edge.target in apart:
            length = gap(edge.source, edge.target) + width(edge.target) + tails.get(edge.target, 0)
            tails[edge.source] = max(tails.get(edge.source, 0), length)
    return tails


def _unit(around: ClustersAround, index: int, level: int) -> object:
    """Return the frame around a box that stands in `level` others, or the box."""
    frames = around[index]
    return frames[level] if level < len(frames) else index


def _spread(view: View, around: ClustersAround, cuts: Cuts, level: int) -> Sequence[int]:
    """Return the line of each box: beside the main path, that of what it reads or who reads it."""
    lines: dict[object, int] = {}
    for at, index in enumerate(view.main):
        lines.setdefault(_unit(around, index, level), sum(cut <= at for cut in cuts))
    tops = [_unit(around, box.index, level) for box in view.boxes]
    for edge in view.edges:  # in the order of those that read
        source, target = tops[edge.source], tops[edge.target]
        if source in lines and target not in lines:
            lines[target] = lines[source]
    for edge in reversed(view.edges):
        source, target = tops[edge.source], tops[edge.target]
        if target in lines and source not in lines:
            lines[source] = lines[target]
    return [lines.get(top, 0) for top in tops]
