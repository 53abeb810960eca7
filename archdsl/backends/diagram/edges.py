"""The tensors between boxes, the main path among them, and the shortcuts beside it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from archdsl.backends.diagram.folding import output_of
from archdsl.backends.diagram.view import Box, Edge
from archdsl.graph import CheckedGraph


def edges_between(checked: CheckedGraph, boxes: Sequence[Box]) -> tuple[Edge, ...]:
    """Return the edges of the graph that lead from one box to another.

    A box of several nodes shows a tensor that it reads once; a single layer shows each input.
    """
    where = {node.name: box.index for box in boxes for node in box.nodes}
    edges: list[Edge] = []
    for box in boxes:
        if box.output:
            tensor = checked.nodes[box.output.node]
            edges.append(
                Edge(where[tensor.name], box.index, tensor.shape, box.output.training_only)
            )
            continue
        seen: set[str] = set()
        for node in box.nodes:
            for name in node.inputs:
                if where[name] == box.index or (len(box.nodes) > 1 and name in seen):
                    continue
                seen.add(name)
                training = name in checked.training_only or node.name in checked.training_only
                edges.append(Edge(where[name], box.index, checked.nodes[name].shape, training))
    return tuple(edges)


def order_of(checked: CheckedGraph, boxes: Sequence[Box]) -> Mapping[int, int]:
    """Return the place of each box in the flow: that of the first node in it."""
    place = {name: number for number, name in enumerate(checked.nodes)}
    behind = len(place)
    return {
        box.index: place[box.nodes[0].name] if box.nodes else behind + box.index for box in boxes
    }


def longest_path(
    checked: CheckedGraph, boxes: Sequence[Box], edges: Sequence[Edge], end: int
) -> tuple[int, ...]:
    """Return the longest way of boxes to the box `end`, from its beginning on.

    The way with the most layers is the longest, so that it stays the same when blocks fold.
    Two folded blocks may each read the other; an edge against the order of the graph is no part
    of any way.
    """
    order = order_of(checked, boxes)
    into: dict[int, list[int]] = {}
    for edge in edges:
        if order[edge.source] < order[edge.target]:
            into.setdefault(edge.target, []).append(edge.source)
    weight = {box.index: max(1, len(box.nodes)) for box in boxes}
    length: dict[int, int] = {}
    before: dict[int, int] = {}
    for box in sorted(order, key=order.__getitem__):
        sources = into.get(box, [])
        if sources:
            before[box] = max(sources, key=length.__getitem__)
        length[box] = weight[box] + (length[before[box]] if sources else 0)
    path = [end]
    while path[-1] in before:
        path.append(before[path[-1]])
    return tuple(reversed(path))


def main_path(
    checked: CheckedGraph, boxes: Sequence[Box], edges: Sequence[Edge]
) -> tuple[int, ...]:
    """Return the longest way to the main output."""
    main = output_of(checked.outputs)
    ends = [box.index for box in boxes if box.output and box.output is main]
    return longest_path(checked, boxes, edges, ends[0]) if ends else ()


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
    said: set[tuple[int, object]] = set()
    stepped: set[tuple[int, int]] = set()
    found: list[Edge] = []
    for edge in sorted(edges, key=lambda edge: (edge.source, edge.target) not in steps):
        step = (edge.source, edge.target)
        on_main = step in steps and step not in stepped
        stepped.add(step)
        to_merge = boxes[edge.target].kind == "merge"
        shortcut = to_merge and len(set(targets[edge.source])) > 1 and not on_main
        labelled = (edge.source, edge.shape) not in said
        said.add((edge.source, edge.shape))
        single = len(targets[edge.source]) == 1
        crowded = to_merge and len(set(sources[edge.target])) > 1
        alone = single and len(sources[edge.target]) == 1
        found.append(
            Edge(
                edge.source,
                edge.target,
                edge.shape,
                edge.training_only,
                main=on_main,
                alone=alone,
                straight=single and (alone or on_main) and not crowded,
                shortcut=shortcut,
                labelled=labelled,
            )
        )
    place = {(edge.source, edge.target): number for number, edge in enumerate(edges)}
    return tuple(sorted(found, key=lambda edge: place[edge.source, edge.target]))
