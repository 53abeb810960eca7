"""The scopes of a network as a tree: what stands directly in each, and where in the graph."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence, Set
from itertools import chain, groupby
from operator import attrgetter
from typing import NamedTuple

from archdsl.graph import CheckedGraph, Node, Scope
from archdsl.layers.base import Layer

NodeOrScope = Node | Scope


class Level(NamedTuple):
    """What stands directly in a scope, in the order of the spec.

    Attributes:
        items: layers, and the scopes among them.
        starts: the place of the first node of each item; at the end, where the last item ends.
        plain: whether all of them are layers.
    """

    items: Sequence[NodeOrScope]
    starts: Sequence[int]
    plain: bool = False


class Spans(NamedTuple):
    """Where in a sequence of nodes the scopes stand, by their names.

    Attributes:
        starts: the place of the first node in a scope; ends: where the last one ends.
        around: the scopes that hold others.
        whole: whether nothing stands between the nodes of a scope.
    """

    starts: Mapping[str, int]
    ends: Mapping[str, int]
    around: Set[str]
    whole: bool


class ScopeTree:
    """A network by scopes. Nodes have places: all in a scope follow each other.

    In the graph they do so too, save for what `reuse` adds to the scope of a block later on.

    Attributes:
        nodes: by their places.
        order: for each of them its number in the order of the graph.
        places: of the nodes, by their names.
        sources: for each node the places of those that it reads.
        reads: for each node how often it is read: by other nodes, and as output of the network.
        shared: where a node applies the module of another again, the place of that.
        numbers: for each node a number that nodes with equal layers have in common.
    """

    def __init__(self, checked: CheckedGraph) -> None:
        self.checked = checked
        self.nodes = nodes = tuple(checked.nodes.values())
        self.order: Sequence[int] = range(len(nodes))
        self._spans = _spans(nodes)
        if not self._spans.whole:  # only `reuse` tears scopes apart, so few networks pay for this
            self.order = _together(nodes, self._spans.starts)
            self.nodes = nodes = tuple([nodes[at] for at in self.order])
            self._spans = _spans(nodes)
        self._levels: dict[str, Level] = {}
        self.places = {node.name: place for place, node in enumerate(nodes)}
        place_of = self.places.__getitem__
        self.sources = [tuple(map(place_of, node.sources)) for node in nodes]
        self.reads = [0] * len(nodes)
        for source in chain.from_iterable(self.sources):
            self.reads[source] += 1
        for output in checked.outputs:
            self.reads[place_of(output.node)] += 1
        self.shared = {at: place_of(node.shares) for at, node in enumerate(nodes) if node.shares}
        self.numbers = _numbers(nodes)
        self._training = sorted(map(place_of, checked.training_only))

    def level(self, scope: Scope) -> Level:
        """Return what stands directly in a scope. It is found once, when asked for."""
        if scope.name not in self._levels:
            self._levels[scope.name] = self._level(scope)
        return self._levels[scope.name]

    def _level(self, scope: Scope) -> Level:
        ends = self._spans.ends
        place, end = self.span(scope)
        if scope.name not in self._spans.around:  # most scopes: no need to go node by node
            return Level(self.nodes[place:end], range(place, end + 1), plain=True)
        items: list[NodeOrScope] = []
        found = [place]
        while place < end:
            within = self.nodes[place].scope
            if within is scope:
                items.append(self.nodes[place])
                place += 1
            else:
                while within.parent and within.parent is not scope:
                    within = within.parent
                items.append(within)
                place = ends[within.name]
            found.append(place)
        return Level(items, found)

    def span(self, scope: Scope) -> tuple[int, int]:
        """Return the place of the first node in a scope, and where the last one ends."""
        return self._spans.starts.get(scope.name, 0), self._spans.ends.get(scope.name, 0)

    def inside(self, scope: Scope) -> Sequence[Node]:
        """Return all nodes in a scope and in those within it."""
        start, end = self.span(scope)
        return self.nodes[start:end]

    def in_training(self, start: int, end: int) -> list[int]:
        """Return the places from one to another whose nodes only training-only outputs need."""
        aside = self._training
        return aside[bisect_left(aside, start) : bisect_left(aside, end)] if aside else aside


def _spans(nodes: Sequence[Node]) -> Spans:
    """Find where the scopes of nodes stand, from the first to the last node of each."""
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}
    outer: set[str] = set()
    whole, start = True, 0
    for scope, group in groupby(map(attrgetter("scope"), nodes)):
        end = start + len(list(group))
        around: Scope | None = scope
        while around:
            if around.name not in starts:
                starts[around.name] = start
            elif ends[around.name] != start:  # it began before, and others came between
                whole = False
            ends[around.name] = end
            around = around.parent
            if around:
                outer.add(around.name)
        start = end
    return Spans(starts, ends, outer, whole)


def _together(nodes: Sequence[Node], starts: Mapping[str, int]) -> Sequence[int]:
    """Return the numbers of nodes in such an order that all in a scope follow each other."""
    keys: dict[str, tuple[int, ...]] = {}

    def key(scope: Scope) -> tuple[int, ...]:
        """Return where the scopes around a scope begin, and it itself; they nest to a limit."""
        if scope.name not in keys:
            around = (*key(scope.parent), starts[scope.name]) if scope.parent else ()
            keys[scope.name] = around
        return keys[scope.name]

    return sorted(range(len(nodes)), key=lambda at: (*key(nodes[at].scope), at))


def _numbers(nodes: Sequence[Node]) -> Sequence[int]:
    """Number the layers of nodes. Few are compared, since most equal layers are the same."""
    layers = [node.layer for node in nodes]
    keys = list(map(id, layers))
    first: dict[Layer, int] = {}
    numbers: dict[int, int] = {}
    for key, layer in dict(zip(keys, layers, strict=True)).items():
        try:
            numbers[key] = first.setdefault(layer, len(numbers))
        except TypeError:  # a user's own layer with an argument such as a list
            numbers[key] = len(numbers)
    return [numbers[key] for key in keys]
