"""A network on its way through the passes: its graph, and the weights that go with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import count

import torch

from archdsl.analysis.cost import in_state
from archdsl.graph import CheckedGraph, Node, Output, Scope
from archdsl.layers.base import Layer
from archdsl.layers.sizes import Shape, Size
from archdsl.records import Record

Tensors = Mapping[str, torch.Tensor]
RELU = ("relu", (), "")  # what `Layer.onednn` gives of it


class Program(Record):
    """What a pass takes and gives: a graph, and the tensors of its state_dict by their names."""

    checked: CheckedGraph
    weights: Tensors


class Edit:
    """Changes to a program that are made all at once.

    Attributes:
        readers: how many nodes and outputs read each node.
    """

    def __init__(self, program: Program) -> None:
        self.checked = program.checked
        self.nodes: dict[str, Node] = dict(program.checked.nodes)
        self.weights: dict[str, torch.Tensor] = dict(program.weights)
        self.readers = Counter(name for node in self.nodes.values() for name in node.inputs)
        self.readers.update(output.node for output in program.checked.outputs)
        self._reader = {name: node.name for node in self.nodes.values() for name in node.inputs}
        self._shared = {node.shares for node in self.nodes.values()}
        self._shared.update(tie.owner for node in self.nodes.values() for tie in node.ties)
        self._instead: dict[str, str] = {}
        self._at: dict[str, str] = {}  # what comes in the place of which node
        self._inserted: dict[str, list[str]] = {}  # what is new, by the node that it comes before
        self._exchanged: dict[str, str] = {}  # what reads a node that nothing else reads any more

    def stands_for(self, name: str) -> str:
        """Return the node that is read now where that one was."""
        while name in self._instead:
            name = self._instead[name]
        return name

    def reader(self, node: Node) -> Node | None:
        """Return what alone reads a node, if it is a node that does."""
        name = node.name
        while self.readers[name] == 1 and name in self._reader:
            name = self._reader[name]
            if name in self.nodes:
                return self.nodes[name]
            if self.stands_for(name) != node.name:  # it became part of another that it read
                return None
        return None

    def shapes(self, node: Node) -> tuple[Shape, ...]:
        """Return the shapes of what a node reads."""
        return tuple([self.nodes[self.stands_for(name)].shape for name in node.inputs])

    def is_alone(self, node: Node) -> bool:
        """Tell whether nothing else has a node's module, or tensors of it."""
        return not node.shares and not node.ties and node.name not in self._shared

    def stored(self, node: Node) -> Tensors:
        """Return what a node's module owns, by its names there."""
        return {name: self.weights[path] for name, path in _paths(node)}

    def own(self, node: Node) -> Tensors:
        """Return the floats that a node's module owns, by their names there, in float64."""
        stored = self.stored(node).items()
        return {name: each.double() for name, each in stored if each.is_floating_point()}

    def kind(self, node: Node) -> torch.dtype:
        """Return the kind of floats that a node's module owns."""
        kinds = (each.dtype for each in self.stored(node).values())
        return next(kind for kind in kinds if kind.is_floating_point)

    def put_layer(self, node: Node, layer: Layer, tensors: Tensors) -> Node:
        """Let a node be another layer, whose module owns of these tensors what it needs."""
        facts = layer.infer(self.shapes(node))
        put = replace(node, layer=layer, facts=facts)
        self.put(put, {name: tensors[name] for name in (*facts.params, *facts.buffers)})
        return put

    def insert(
        self,
        node: Node,
        before: str,
        tensors: Tensors | None = None,
        kind: torch.dtype = torch.float32,
    ) -> None:
        """Put a node that is new in front of another one.

        Args:
            tensors: what its module owns; `kind` is the kind of numbers that it is to hold.
        """
        self.nodes[node.name] = node
        self._inserted.setdefault(before, []).append(node.name)
        for name, path in _paths(node):
            self.weights[path] = (tensors or {})[name].to(kind)

    def free_name(self, scope: Scope, label: str) -> str:
        """Return a name for a new node: the label, with a number if it is taken."""
        names = {*self.checked.nodes, *self.nodes, *self.checked.scopes}
        numbers = count(2)
        name = scope.full_name(label)
        while name in names:
            name = scope.full_name(f"{label}{next(numbers)}")
        return name

    def exchange(self, first: Node, second: Node) -> None:
        """Let what read another node come before it."""
        self.nodes[second.name] = replace(second, inputs=first.inputs)
        self.nodes[first.name] = replace(first, inputs=(second.name,))
        self._at |= {first.name: second.name, second.name: first.name}
        self._exchanged[first.name] = second.name
        for node in (self.nodes[second.name], self.nodes[first.name]):
            shapes = [
                self.nodes[name if node.name == first.name else self.stands_for(name)].shape
                for name in node.inputs
            ]
            self.nodes[node.name] = replace(node, facts=node.layer.infer(tuple(shapes)))
        self._instead[second.name] = first.name

    def drop(self, name: str, instead: str) -> None:
        """Take a node away; what reads it reads another one from now on."""
        for _, path in _paths(self.nodes.pop(name)):
            del self.weights[path]
        self._instead[name] = instead

    def put(
        self,
        node: Node,
        tensors: Tensors | None = None,
        at: str = "",
        kind: torch.dtype | None = None,
    ) -> None:
        """Put a node in the place of that of its name.

        Args:
            tensors: what its module owns, which gets the type of what was there, or `kind`.
            at: the node in whose place it comes, where it reads what comes later than itself.
        """
        if tensors is not None:
            gone = [self.weights.pop(path) for _, path in _paths(self.nodes[node.name])]
            for name, path in _paths(node):
                self.weights[path] = tensors[name].to(kind or gone[0].dtype)
        self.nodes[node.name] = node
        if at:
            self._at[at] = node.name

    def result(self) -> Program:
        """Return the program as it is now."""
        moved = {*self._at.values()}
        names: list[str] = []
        for name in self.checked.nodes:
            names += self._inserted.get(name, ())
            if name in self._at or (name in self.nodes and name not in moved):
                names.append(self._at.get(name, name))
        outputs = [
            Output(each.name, self.stands_for(each.node), each.training_only, each.span)
            for each in self.checked.outputs
        ]
        nodes = {}
        owners: dict[str, str] = {}  # of modules whose node became part of another
        for name in names:
            node = self.nodes[name]
            if node.shares and node.shares not in self.nodes:
                owner = owners.setdefault(node.shares, name)
                node = replace(node, shares="" if owner == name else owner)
            if name not in self._exchanged:
                node = replace(node, inputs=tuple(map(self.stands_for, node.inputs)))
            nodes[name] = node
        return Program(remade(self.checked, nodes, outputs, self.stands_for), self.weights)


def _paths(node: Node) -> Iterable[tuple[str, str]]:
    """Yield the names of what a node's module owns: there, and in the state_dict."""
    owned = {**node.facts.params, **node.facts.buffers}
    return zip(owned, in_state(node, owned), strict=not node.shares)


def remade(
    checked: CheckedGraph,
    nodes: Mapping[str, Node],
    outputs: Iterable[Output],
    stands_for: Callable[[str], str] = str,
) -> CheckedGraph:
    """Return a graph of other nodes, which comes of no spec any more.

    Args:
        stands_for: gives the node that is read now where another one was.
    """
    numbers = {name: number for number, name in enumerate(nodes)}
    scopes: dict[str, Scope] = {}
    for name, scope in checked.scopes.items():
        given = ((own, stands_for(checked.names[number])) for own, number in scope.inputs)
        inputs = tuple([(own, numbers[read]) for own, read in given if read in numbers])
        parent = scopes[scope.parent.name] if scope.parent else None
        scopes[name] = replace(scope, parent=parent, inputs=inputs)
    return replace(
        checked,
        nodes={name: replace(node, scope=scopes[node.scope.name]) for name, node in nodes.items()},
        scopes=scopes,
        outputs=tuple(outputs),
        training_only=checked.training_only & nodes.keys(),
        dtypes={name: dtype for name, dtype in checked.dtypes.items() if name in nodes},
        registered={},
        trace=None,
        again=None,
    )


def added_up(one: Mapping[str, Size], other: Mapping[str, Size]) -> Mapping[str, Size]:
    """Add up operations by their headings."""
    return {heading: one.get(heading, 0) + other.get(heading, 0) for heading in {**one, **other}}
