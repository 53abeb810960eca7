"""The tensors between boxes, the main path among them, and the shortcuts beside it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from operator import itemgetter

from archdsl.backends.diagram.folding import output_of
from archdsl.backends.diagram.view import Box, Edge
from archdsl.graph import CheckedGraph
from archdsl.layers.base import Shape


def edges_between(checked: CheckedGraph, boxes: Sequence[Box]) -> Sequence[Edge]:
    """Return the edges of the graph that lead from one box to another, not yet rated.

    A box of several nodes shows a tensor that it reads once; a single layer shows each input.
    """
    where = {node.name: box.index for box in boxes for node in box.nodes}
    nodes, training = checked.nodes, checked.training_only
    edges: list[Edge] = []
    for box in boxes:
        target = box.index
        if box.output:
            name = box.output.node
            edges.append(
                Edge(where[name], target, nodes[name].facts.output, box.output.training_only)
            )
            continue
        seen: set[str] = set()
        single = len(box.nodes) == 1
        for node in box.nodes:
            for name in node.inputs:
                source = where[name]
                if source == target or name in seen:
                    continue
                if not single:
                    seen.add(name)
                only = name in training or node.name in training
                edges.append(Edge(source, target, nodes[name].facts.output, only))
    return edges


def order_of(checked: CheckedGraph, boxes: Sequence[Box]) -> Mapping[int, int]:
    """Return the place of each box in the flow: that of the first node in it."""
    place = {name: number for number, name in enumerate(checked.nodes)}
    behind = len(place)
    return {
        box.index: place[box.nodes[0].name] if box.nodes else behind + box.index for box in boxes
    }


def longest_paths(
    order: Mapping[int, int], boxes: Sequence[Box], edges: Sequence[Edge]
) -> Mapping[int, tuple[int, ...]]:
    """Return the longest way of boxes to each output, from its beginning on, by the box it ends at.

    The way with the most layers is the longest, so that it stays the same when blocks fold.
    Two folded blocks may each read the other; an edge against the `order` of the graph is no part
    of any way.
    """
    into: dict[int, list[int]] = {}
    for edge in edges:
        if order[edge.source] < order[edge.target]:
            into.setdefault(edge.target, []).append(edge.source)
    length: dict[int, int] = {}
    before: dict[int, int] = {}
    for box in sorted(boxes, key=lambda box: order[box.index]):
        longest = 0
        for source in into.get(box.index, ()):
            if length[source] > longest:
                longest, before[box.index] = length[source], source
        length[box.index] = longest + max(1, len(box.nodes))
    return {box.index: _way(before, box.index) for box in boxes if box.output}


def _way(before: Mapping[int, int], end: int) -> tuple[int, ...]:
    path = [end]
    while path[-1] in before:
        path.append(before[path[-1]])
    return tuple(reversed(path))


def main_path(
    checked: CheckedGraph, boxes: Sequence[Box], paths: Mapping[int, tuple[int, ...]]
) -> tuple[int, ...]:
    """Return the longest way to the main output, of those to all outputs."""
    main = output_of(checked.outputs)
    return next((paths[box.index] for box in boxes if box.output and box.output is main), ())


def rated(boxes: Sequence[Box], edges: Sequence[Edge], main: Sequence[int]) -> tuple[Edge, ...]:
    """Mark the main path and the shortcuts, and choose where shapes are written.

    A tensor that several boxes read has its shape beside the first of the edges, and wherever
    it skips others on its way to a merge.
    """
    steps = set(itertools.pairwise(main))
    targets: dict[int, list[int]] = {}
    sources: dict[int, list[int]] = {}
    for edge in edges:
        targets.setdefault(edge.source, []).append(edge.target)
        sources.setdefault(edge.target, []).append(edge.source)
    place = {(edge.source, edge.target): number for number, edge in enumerate(edges)}
    said: set[tuple[int, Shape]] = set()
    stepped: set[tuple[int, int]] = set()
    found: list[tuple[int, Edge]] = []
    for edge in sorted(edges, key=lambda edge: (edge.source, edge.target) not in steps):
        source, target = step = edge.source, edge.target
        on_main = step in steps and step not in stepped
        stepped.add(step)
        given = source, edge.shape
        labelled = given not in said
        said.add(given)
        to_merge = boxes[target].kind == "merge"
        single = len(targets[source]) == 1
        alone = single and len(sources[target]) == 1
        crowded = to_merge and len({*sources[target]}) > 1
        straight = single and (alone or on_main) and not crowded
        shortcut = to_merge and not on_main and not single and len({*targets[source]}) > 1
        look = on_main, alone, straight, shortcut, labelled
        found.append((place[step], Edge(*step, edge.shape, edge.training_only, *look)))
    found.sort(key=itemgetter(0))
    return tuple([edge for _, edge in found])
