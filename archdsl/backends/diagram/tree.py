"""The scopes of a network as a tree: what stands directly in each, and what in all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from archdsl.graph import CheckedGraph, Node, Scope
from archdsl.layers.base import Layer

Item = Node | Scope

NETWORK_OUTPUT = ""  # among the readers of a node: no node has that name


class Tree(NamedTuple):
    """A network by scopes.

    Attributes:
        items: what stands directly in a scope, by its name, in the order of the spec.
        inside: all nodes in a scope and in those within it, in the order of the graph.
        depth: how many scopes are around a scope; 0 for the network.
        readers: names of the nodes that read a node; `NETWORK_OUTPUT` where the network gives it.
        numbers: by the `id` of a layer, a number that equal layers have in common.
    """

    checked: CheckedGraph
    items: Mapping[str, Sequence[Item]]
    inside: Mapping[str, Sequence[Node]]
    depth: Mapping[str, int]
    readers: Mapping[str, Sequence[str]]
    numbers: Mapping[int, int]

    def nodes_of(self, item: Item) -> Sequence[Node]:
        """Return the nodes that an item stands for."""
        return self.inside[item.name] if isinstance(item, Scope) else (item,)


def tree_of(checked: CheckedGraph) -> Tree:
    """Arrange the nodes of a network by their scopes."""
    items: dict[str, list[Item]] = {}
    inside: dict[str, list[Node]] = {}
    around: dict[str, list[str]] = {}
    readers: dict[str, list[str]] = {name: [] for name in checked.nodes}

    def enter(scope: Scope) -> list[str]:
        """Put a scope into the one around it. Blocks nest to a limited depth, as this does."""
        name, parent = scope.name, scope.parent
        outer = [] if parent is None else around.get(parent.name) or enter(parent)
        if parent is not None:
            items[parent.name].append(scope)
        items[name], inside[name] = [], []
        around[name] = [*outer, name]
        return around[name]

    for scope, group in groupby(checked.nodes.values(), attrgetter("scope")):
        nodes = list(group)
        for name in around.get(scope.name) or enter(scope):
            inside[name] += nodes
        items[scope.name] += nodes
        for node in nodes:
            for read in node.inputs:
                readers[read].append(node.name)
    for output in checked.outputs:
        readers[output.node].append(NETWORK_OUTPUT)
    depth = {name: len(names) - 1 for name, names in around.items()}
    return Tree(checked, items, inside, depth, readers, _numbers(checked.nodes.values()))


def _numbers(nodes: Iterable[Node]) -> Mapping[int, int]:
    """Number the layers of nodes. Few are compared, since most equal layers are the same."""
    layers = {id(node.layer): node.layer for node in nodes}
    first: dict[Layer, int] = {}
    numbers: dict[int, int] = {}
    for key, layer in layers.items():
        try:
            numbers[key] = first.setdefault(layer, len(numbers))
        except TypeError:  # a user's own layer with an argument such as a list
            numbers[key] = len(numbers)
    return numbers
