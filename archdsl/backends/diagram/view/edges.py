"""The tensors between boxes, the main path among them, and the shortcuts beside it."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import chain, pairwise
from operator import itemgetter

from archdsl.backends.diagram.view.scope_tree import ScopeTree
from archdsl.backends.diagram.view.view import Box, Edge
from archdsl.graph import Output
from archdsl.layers.base import Shape


def edges_between(tree: ScopeTree, boxes: Sequence[Box]) -> Sequence[Edge]:
    """Return the edges of the graph that lead from one box to another, not yet rated.

    A box of several nodes shows a tensor that it reads once; a single layer shows each input.
    """
    nodes, sources = tree.nodes, tree.sources
    where = _box_of_each_node(tree, boxes)
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


def _box_of_each_node(tree: ScopeTree, boxes: Sequence[Box]) -> Sequence[int]:
    where = [0] * len(tree.nodes)
    for box in boxes:
        where[box.start : box.start + len(box.nodes)] = [box.index] * len(box.nodes)
    return where


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

    A box counts as many layers as it has, so a way is about as long when its blocks are folded.
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


def main_way(tree: ScopeTree) -> tuple[int, ...]:
    """Return the places of the nodes on the way with the most layers to the main output.

    It is found among the layers and not among boxes, so it stays the same whatever is folded. Of
    ways that are equally long the one that comes first in the inputs of a layer is taken.
    """
    main = output_of(tree.checked.outputs)
    if main is None:
        return ()
    length = [0] * len(tree.nodes)
    before: dict[int, int] = {}
    for place in sorted(range(len(tree.nodes)), key=tree.order.__getitem__):
        longest = 0
        for source in tree.sources[place]:
            if length[source] > longest:
                longest, before[place] = length[source], source
        length[place] = longest + 1
    return _way(before, tree.places[main.node])


def main_path(tree: ScopeTree, boxes: Sequence[Box]) -> tuple[int, ...]:
    """Return the boxes that the main way leads through, to that of the output."""
    main = output_of(tree.checked.outputs)
    where = _box_of_each_node(tree, boxes)
    path: dict[int, None] = {}
    for place in main_way(tree):
        # Where `reuse` applies one block again between two uses of another, the way leads back
        # into a folded box. It leaves that in the end by an arrow of its own: the loop is left out.
        if where[place] in path:
            while next(reversed(path)) != where[place]:
                path.popitem()
        path[where[place]] = None
    return (*path, *(box.index for box in boxes if box.output and box.output is main))


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
    # several edges may lead from one box to the same other; they stay side by side
    place = {(edge.source, edge.target): number for number, edge in enumerate(edges)}
    said: set[tuple[int, Shape]] = set()
    stepped: set[tuple[int, int]] = set()
    found: list[tuple[int, Edge]] = []
    # The main path comes first: where a tensor is read several times, its shape stands there.
    for edge in sorted(edges, key=lambda edge: (edge.source, edge.target) not in steps):
        source, target = step = edge.source, edge.target
        on_main = step in steps and step not in stepped  # of `add(x, x)` one edge is enough
        stepped.add(step)
        given = source, edge.shape
        labelled = given not in said
        said.add(given)
        to_merge = boxes[target].kind == "merge"
        single = len(targets[source]) == 1
        alone = single and len(sources[target]) == 1
        crowded = to_merge and len({*sources[target]}) > 1  # others may push it aside
        straight = single and (alone or on_main) and not crowded
        shortcut = to_merge and not on_main and not single and len({*targets[source]}) > 1
        look = on_main, alone, straight, shortcut, labelled
        found.append((place[step], Edge(*step, edge.shape, edge.training_only, *look)))
    found.sort(key=itemgetter(0))
    return tuple([edge for _, edge in found])
