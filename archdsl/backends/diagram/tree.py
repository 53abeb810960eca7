"""The scopes of a network as a tree: what stands directly in each, and what in all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from archdsl.graph import CheckedGraph, Node, Scope

Item = Node | Scope
T = TypeVar("T")

NETWORK_OUTPUT = ""  # among the readers of a node: no node has that name


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """A network by scopes.

    Attributes:
        items: what stands directly in a scope, by its name, in the order of the spec.
        inside: all nodes in a scope and in those within it, in the order of the graph.
        depth: how many scopes are around a scope; 0 for the network.
        readers: names of the nodes that read a node; `NETWORK_OUTPUT` where the network gives it.
    """

    checked: CheckedGraph
    items: Mapping[str, tuple[Item, ...]]
    inside: Mapping[str, tuple[Node, ...]]
    depth: Mapping[str, int]
    readers: Mapping[str, tuple[str, ...]]

    def nodes_of(self, item: Item) -> tuple[Node, ...]:
        """Return the nodes that an item stands for."""
        return self.inside[item.name] if isinstance(item, Scope) else (item,)


def tree_of(checked: CheckedGraph) -> Tree:
    """Arrange the nodes of a network by their scopes."""
    items: dict[str, list[Item]] = {}
    inside: dict[str, list[Node]] = {}
    depth: dict[str, int] = {}
    readers: dict[str, list[str]] = {name: [] for name in checked.nodes}
    for node in checked.nodes.values():
        new: Item | None = node
        for scope in _around(node.scope):
            known = scope.name in inside
            if new:
                items.setdefault(scope.name, []).append(new)
            inside.setdefault(scope.name, []).append(node)
            new = None if known else scope
        for read in node.inputs:
            readers[read].append(node.name)
    for output in checked.outputs:
        readers[output.node].append(NETWORK_OUTPUT)
    for node in checked.nodes.values():
        around = _around(node.scope)
        if around[0].name not in depth:
            depth |= {scope.name: level for level, scope in enumerate(reversed(around))}
    return Tree(checked, _frozen(items), _frozen(inside), depth, _frozen(readers))


def _around(scope: Scope) -> list[Scope]:
    """Return a scope and those around it, the network last."""
    around = [scope]
    while (parent := around[-1].parent) is not None:
        around.append(parent)
    return around


def _frozen(lists: Mapping[str, list[T]]) -> dict[str, tuple[T, ...]]:
    return {name: tuple(items) for name, items in lists.items()}
