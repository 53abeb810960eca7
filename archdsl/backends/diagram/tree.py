"""The scopes of a network as a tree: what stands directly in each, and where in the graph."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import NamedTuple

from archdsl.graph import CheckedGraph, Node, Scope
from archdsl.layers.base import Layer

Item = Node | Scope


class Level(NamedTuple):
    """What stands directly in a scope, in the order of the spec.

    Attributes:
        items: layers, and the scopes among them.
        starts: the place of the first node of each item; at the end, where the last item ends.
        plain: whether all of them are layers.
    """

    items: Sequence[Item]
    starts: Sequence[int]
    plain: bool = False


class Tree:
    """A network by scopes. Nodes have places: their numbers in the order of the graph.

    Attributes:
        places: of the nodes, by their names.
        sources: for each node the places of those that it reads.
        reads: for each node how often it is read: by other nodes, and as output of the network.
        shared: where a node applies the module of another again, the place of that.
        numbers: for each node a number that nodes with equal layers have in common.
    """

    def __init__(self, checked: CheckedGraph) -> None:
        self.checked = checked
        self.nodes = nodes = tuple(checked.nodes.values())
        self.places = dict(zip(checked.nodes, range(len(nodes)), strict=True))
        place_of = self.places.__getitem__
        self.sources = [tuple(map(place_of, node.inputs)) for node in nodes]
        self.reads = [0] * len(nodes)
        for source in chain.from_iterable(self.sources):
            self.reads[source] += 1
        for output in checked.outputs:
            self.reads[place_of(output.node)] += 1
        self.shared = {at: place_of(node.shares) for at, node in enumerate(nodes) if node.shares}
        self.numbers = _numbers(nodes)
        self._training = sorted([self.places[name] for name in checked.training_only])
        self._scopes = list(map(attrgetter("scope"), nodes))
        self._starts: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self._hold_scopes: set[str] = set()
        self._levels: dict[str, Level] = {}
        start = 0
        for scope, group in groupby(self._scopes):
            end = start + len(list(group))
            self._starts.setdefault(scope.name, start)
            self._ends[scope.name] = end
            around = scope.parent
            while around:
                self._hold_scopes.add(around.name)
                self._starts.setdefault(around.name, start)
                self._ends[around.name] = end
                around = around.parent
            start = end

    def level(self, scope: Scope) -> Level:
        """Return what stands directly in a scope. It is found once, when asked for."""
        if scope.name not in self._levels:
            self._levels[scope.name] = self._level(scope)
        return self._levels[scope.name]

    def _level(self, scope: Scope) -> Level:
        place = self._starts.get(scope.name, 0)
        end = self._ends.get(scope.name, 0)
        if scope.name not in self._hold_scopes:
            return Level(self.nodes[place:end], range(place, end + 1), plain=True)
        items: list[Item] = []
        starts = [place]
        while place < end:
            within = self._scopes[place]
            if within is scope:
                items.append(self.nodes[place])
                place += 1
            else:
                while within.parent and within.parent is not scope:
                    within = within.parent
                items.append(within)
                place = self._ends[within.name]
            starts.append(place)
        return Level(items, starts)

    def inside(self, scope: Scope) -> Sequence[Node]:
        """Return all nodes in a scope and in those within it: they follow each other."""
        return self.nodes[self._starts.get(scope.name, 0) : self._ends.get(scope.name, 0)]

    def in_training(self, start: int, end: int) -> list[int]:
        """Return the places from one to another whose nodes only training-only outputs need."""
        aside = self._training
        return aside[bisect_left(aside, start) : bisect_left(aside, end)] if aside else aside


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
