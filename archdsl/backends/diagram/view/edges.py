"""The tensors between boxes, the main path among them, and the shortcuts beside it."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import chain, pairwise
from operator import itemgetter

from archdsl.backends.diagram.view.scope_tree import ScopeTree
from archdsl.backends.diagram.view.view import Box, Edge
from archdsl.graph import CheckedGraph, Output
from archdsl.layers.base import Shape


def edges_between(tree: ScopeTree, boxes: Sequence[Box]) -> Sequence[Edge]:
    """Return the edges of the graph that lead from one box to another, not yet rated.

    A box of several nodes shows a tensor that it reads once; a single layer shows each input.
    """
    nodes, sources = tree.nodes, tree.sources
    where = [0] * len(nodes)  # the box that each node stands in
    for box in boxes:
        where[box.start : box.start + len(box.nodes)] = [box.index] * len(box.nodes)
    aside = {where[place] for place in tree.in_training(0, len(nodes))}
    edges: list[Edge] = []
    for box in boxes:
        index, start, end = box.index, box.start, box.start + len(box.nodes)
        if box.output:
            place, only = tree.places[box.output.node], box.output.training_only
            edges.append(Edge(where[place], index, nodes[place].facts.output, only))
            continue
        always = _read_at_inference(tree, box) if index in aside else None
        seen: set[int] = set()
        for reads in sources[start:end]:
            for place in reads:
                if start <= place < end or place in seen:
                    continue
                if end - start > 1:
                    seen.add(place)
                only = always is not None and place not in always
                edges.append(Edge(where[place], index, nodes[place].facts.output, only))
    return edges


def _read_at_inference(tree: ScopeTree, box: Box) -> Container[int]:
    """Return what a box reads at inference, of which a part is for training alone."""
    end = box.start + len(box.nodes)
    training = {*tree.in_training(box.start, end)}
    read = [tree.sources[place] for place in range(box.start, end) if place not in training]
    return {*chain.from_iterable(read)}


def longest_paths(
    order: Sequence[int], boxes: Sequence[Box], edges: Sequence[Edge]
) -> Mapping[int, tuple[int, ...]]:
    """Return the longest way of boxes to each output, from its beginning on, by the box it ends at.

    The way with the most layers is the longest, so that it stays the same when blocks fold.
    Boxes are taken in the order of their first nodes in the graph, by their places. Two folded
    blocks may each read the other, if `reuse` applies one again; an edge against that order is no
    part of any way, since nothing is known yet of the box that it comes from.
    """
    ranks = [order[box.start] if box.nodes else len(order) + box.index for box in boxes]
    into: dict[int, list[int]] = {}
    for edge in edges:
        into.setdefault(edge.target, []).append(edge.source)
    length = [0] * len(boxes)
    before: dict[int, int] = {}
    for index in sorted(range(len(boxes)), key=ranks.__getitem__):
        longest = 0
        for source in into.get(index, ()):
            if length[source] > longest:
                longest, before[index] = length[source], source
        length[index] = longest + max(1, len(boxes[index].nodes))
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


def output_of(outputs: Sequence[Output]) -> Output | None:
    """Return the main output of a network: the first that it always has."""
    return next((output for output in outputs if not output.training_only), None)


def rated(boxes: Sequence[Box], edges: Sequence[Edge], main: Sequence[int]) -> tuple[Edge, ...]:
    """Mark the main path and the shortcuts, and choose where shapes are written.

    A tensor that several boxes read has its shape beside the first of the edges, and wherever
    it skips others on its way to a merge.
    """
    steps = set(pairwise(main))
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
