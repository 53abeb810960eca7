"""Makes checked graphs by hand, so that the compiler can be tested without the front end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from archdsl.diagnostics import Source, Span
from archdsl.dtypes import follow
from archdsl.graph import CheckedGraph, Node, Output, Scope
from archdsl.layers.base import Layer, Shape, construct
from archdsl.layers.registry import Registry
from archdsl.layers.tensor import InputTensor

LAYERS = Registry()
SPAN = Span(Source("built.arch", "network built {}"), 0, 7)


class Builder:
    """A network in the making. Each call adds a node and returns its name; `flow` goes along."""

    def __init__(self, name: str = "built", description: str = "", **arguments: object) -> None:
        self.scope = Scope("", None, name, SPAN, arguments, description)
        self.scopes = {"": self.scope}
        self.nodes: dict[str, Node] = {}
        self.inputs: dict[str, Shape] = {}
        self.outputs: list[Output] = []
        self.training_only: set[str] = set()
        self.positions: dict[str, int] = {}
        self.flow: tuple[str, ...] = ()
        self.training = False

    def input(self, name: str, shape: Shape) -> str:
        layer = InputTensor(shape=shape)
        facts = layer.infer(())
        self.nodes[name] = Node(name, name, layer, (), facts, self.scope, SPAN)
        self.inputs[name] = shape
        self.flow = (name,)
        return name

    @contextmanager
    def block(
        self, label: str = "", block: str = "", description: str = "", **arguments: object
    ) -> Iterator[Scope]:
        """Open a scope: the use of a block, or a group if `block` is empty."""
        around = self.scope
        name = self._full(label or self._position())
        if label and name not in self.scopes:
            self._position()
        if name not in self.scopes:
            self.scopes[name] = Scope(name, around, block, SPAN, arguments, description)
        self.scope = self.scopes[name]
        yield self.scope
        self.scope = around

    def layer(self, kind: str, label: str = "", *, shares: str = "", **arguments: object) -> str:
        """Add a layer of the registry that reads the flow."""
        position = self._position() if not shares else ""
        name = f"{shares}@{len(self.nodes)}" if shares else self._full(label or position)
        return self._add(name, label, construct(LAYERS[kind], arguments), self.flow, shares)

    def add(self, layer: Layer, label: str) -> str:
        """Add a layer that is made already."""
        return self._add(self._full(label), label, layer, self.flow)

    def merge(self, word: str, *inputs: str, label: str = "", **arguments: object) -> str:
        """Join tensors by the word of the language."""
        stem = self._full(word)
        name = next(
            n for i in range(10**6) if (n := f"{stem}_{i}" if i else stem) not in self.nodes
        )
        return self._add(name, label, construct(LAYERS.word(word), arguments), inputs)

    def tensor(self, label: str, shape: Shape, word: str = "parameter", **arguments: object) -> str:
        """Add a tensor that the network owns; the flow stays."""
        flow = self.flow
        arguments = {"shape": shape, "learnable": word == "parameter", **arguments}
        kind = LAYERS.word("parameter")
        name = self._add(self._full(label), label, construct(kind, arguments), ())
        self.flow = flow
        return name

    def output(self, name: str, node: str = "", training_only: bool = False) -> None:
        self.outputs.append(Output(name, node or self.flow[0], training_only, SPAN))

    def checked(self) -> CheckedGraph:
        """Return the graph; the flow is the main output unless one was named."""
        if not any(not output.training_only for output in self.outputs):
            self.outputs.insert(0, Output("output", self.flow[0], False, SPAN))
        graph = CheckedGraph(
            name=self.scope.block,
            description=self.scope.description,
            arguments=self.scope.arguments,
            inputs=self.inputs,
            nodes=self.nodes,
            outputs=tuple(self.outputs),
            scopes=self.scopes,
            span=SPAN,
            contents=(b"network built {}",),
            training_only=frozenset(self.training_only),
        )
        return replace(graph, dtypes=follow(graph)[0])

    def _position(self) -> str:
        position = self.positions.get(self.scope.name, 0)
        self.positions[self.scope.name] = position + 1
        return str(position)

    def _full(self, label: str) -> str:
        return f"{self.scope.name}.{label}" if self.scope.name else label

    def _add(
        self, name: str, label: str, layer: Layer, inputs: tuple[str, ...], shares: str = ""
    ) -> str:
        assert name not in self.nodes
        facts = layer.infer(tuple(self.nodes[each].shape for each in inputs))
        self.nodes[name] = Node(name, label, layer, inputs, facts, self.scope, SPAN, (), shares)
        if self.training:
            self.training_only.add(name)
        self.flow = (name,)
        return name


def chain(builder: Builder, *layers: tuple[str, str, Mapping[str, object]]) -> None:
    """Add layers one after the other: kind, label, arguments."""
    for kind, label, arguments in layers:
        builder.layer(kind, label, **arguments)
