"""Finds where `reuse` applies a whole scope again, so that its module is called again.

In the graph such a use is a row of nodes, each like one of the scope's own, that share their
modules. Where the row is like all of the scope, node by node, it is one event; where it isn't,
or the scope has no forward pass, each node is an event of its own.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field

from archdsl.graph import CheckedGraph, Node


def home_of(node: Node) -> str:
    """Return the name of the scope that holds a node: a dotted label reaches into other scopes."""
    return node.name.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a network computes in one go: a node, or a scope that is applied again.

    Attributes:
        home: name of the scope in which it happens.
        scope: name of the scope that is applied again, or "".
        nodes: the node, or those of the scope applied again.
        same: for a scope applied again, what stands for each tensor of its first use.
    """

    home: str
    scope: str
    nodes: tuple[Node, ...]
    same: dict[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> Iterator[str]:
        """The tensors that it reads, less those that it computes or owns itself."""
        own = {node.name for node in self.nodes}
        own |= {old for old, new in self.same.items() if old == new and self._holds(old)}
        return (name for node in self.nodes for name in node.inputs if name not in own)

    def _holds(self, name: str) -> bool:
        return bool(self.scope) and name.startswith(f"{self.scope}.")


def events(checked: CheckedGraph, opened: Container[str]) -> list[Event]:
    """Return what a network computes, in order; scopes in `opened` are never one event."""
    order = [node for name, node in checked.nodes.items() if name not in checked.inputs]
    finder = _Finder(order, opened)
    found: list[Event] = []
    at = 0
    for end, has_reuse in _rows(order):
        while at < end:
            event = finder.replay(at, end) if has_reuse else None
            event = event or Event(home_of(order[at]), "", (order[at],))
            found.append(event)
            at += len(event.nodes)
    return found


def _rows(order: Sequence[Node]) -> Iterator[tuple[int, bool]]:
    """Yield the end of each row of nodes that one statement made, and whether it was a `reuse`."""
    at = 0
    while at < len(order):
        start = at
        first = order[start]
        while at < len(order) and order[at].span == first.span and order[at].trail == first.trail:
            at += 1
        yield at, any(node.shares for node in order[start:at])


class _Finder:
    """Compares rows of nodes with what scopes did when they were first used."""

    def __init__(self, order: Sequence[Node], opened: Container[str]) -> None:
        self.order = order
        self.opened = opened
        self.first: dict[str, int] = {}  # where the nodes of each scope begin
        self.own: dict[str, list[Node]] = {}  # the nodes of the first use of a scope
        self.tensors: dict[str, list[str]] = {}  # those in a scope that read nothing
        for at, node in enumerate(order):
            scope = home_of(node)
            while scope and (scope not in self.first or not node.inputs):
                self.first.setdefault(scope, at)
                if not node.inputs:
                    self.tensors.setdefault(scope, []).append(node.name)
                scope = scope.rpartition(".")[0]

    def replay(self, at: int, end: int) -> Event | None:
        """Return the widest scope that is applied again by the nodes from `at` on."""
        names = home_of(self.order[at]).split(".")
        for depth in range(1, len(names) + 1 if names[0] else 1):
            scope = ".".join(names[:depth])
            if scope in self.opened or not self._begins_like(scope, at):
                continue
            own = self._own(scope, at, end - at)
            nodes = self.order[at : at + len(own)]
            if own and (same := _pair(own, nodes)) is not None:
                self.own[scope] = own
                for name in self.tensors.get(scope, ()):
                    same.setdefault(name, name)
                return Event(scope.rpartition(".")[0], scope, tuple(nodes), same)
        return None

    def _begins_like(self, scope: str, at: int) -> bool:
        start = self.first[scope]
        while start < at and not self.order[start].inputs:
            start += 1
        return start < at and _alike(self.order[start], self.order[at])

    def _own(self, scope: str, at: int, most: int) -> list[Node]:
        """Return the nodes of the first use of a scope that compute something from others.

        They are looked for up to a place in the order; more than so many are none.
        """
        if scope in self.own:
            return self.own[scope] if len(self.own[scope]) <= most else []
        own: list[Node] = []
        for place in range(self.first[scope], at):
            node = self.order[place]
            home = home_of(node)
            if home != scope and not home.startswith(f"{scope}."):
                self.own[scope] = own
                break
            if node.inputs:
                own.append(node)
            if len(own) > most:
                return []
        return own


def _alike(own: Node, node: Node) -> bool:
    """Tell whether a node may repeat another."""
    module = own.shares or own.name
    same = node.shares == module or (not node.shares and not own.shares)
    return same and home_of(node) == home_of(own) and node.layer == own.layer


def _pair(own: Sequence[Node], nodes: Sequence[Node]) -> dict[str, str] | None:
    """Return what stands for each tensor if one row of nodes is like another, else None."""
    inside = {node.name for node in own}
    same: dict[str, str] = {}
    for old, new in zip(own, nodes, strict=True):
        if not _alike(old, new) or len(old.inputs) != len(new.inputs):
            return None
        for before, after in zip(old.inputs, new.inputs, strict=True):
            if before in inside and before not in same:
                return None
            if same.setdefault(before, after) != after:
                return None
        same[old.name] = new.name
    return same
