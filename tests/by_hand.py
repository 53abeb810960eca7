"""Checked graphs put together by hand, for tests of what stands on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from archdsl.diagnostics import Source, Span
from archdsl.graph import CheckedGraph, Node, Output, Scope
from archdsl.layers.base import Dtype, Facts, Layer, Shape
from archdsl.layers.sizes import Formula
from archdsl.layers.tensor import InputTensor

SPAN = Span(Source("by_hand.arch", "network by_hand {}\n"), 0, 7)

H, W = Formula.named("H"), Formula.named("W")


class Sketch:
    """A network that grows node by node; each reads the one before unless told otherwise.

    The dots of a node's name make its scopes; `blocks` names the block that a scope uses.
    """

    def __init__(self, name: str = "by_hand", blocks: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.blocks = dict(blocks or {})
        self.scopes = {"": Scope("", None, name, SPAN)}
        self.nodes: dict[str, Node] = {}
        self.outputs: list[Output] = []
        self.dtypes: dict[str, Dtype] = {}
        self.last = ""

    def input(self, name: str, *shape: int | Formula, dtype: Dtype = "float") -> str:
        if dtype != "float":
            self.dtypes[name] = dtype
        return self.put(name, InputTensor(shape=shape))

    def put(self, name: str, layer: Layer, *inputs: str, shares: str = "", **facts: object) -> str:
        """Add a node; `facts` replaces some of those that the layer infers."""
        if not inputs and self.last and not layer.word:
            inputs = (self.last,)
        found: Facts = layer.infer(tuple(self.nodes[read].shape for read in inputs))
        if facts:
            found = replace(found, **facts)
        scope = self._scope(name.rpartition(".")[0])
        self.nodes[name] = Node(name, "", layer, inputs, found, scope, SPAN, shares=shares)
        self.last = name
        return name

    def output(self, name: str, node: str = "", training_only: bool = False) -> None:
        self.outputs.append(Output(name, node or self.last, training_only, SPAN))

    def checked(self) -> CheckedGraph:
        if not self.outputs:
            self.output("output")
        inputs: dict[str, Shape] = {
            name: node.shape
            for name, node in self.nodes.items()
            if isinstance(node.layer, InputTensor)
        }
        always = self._needed(out.node for out in self.outputs if not out.training_only)
        return CheckedGraph(
            name=self.name,
            description="",
            arguments={},
            inputs=inputs,
            nodes=self.nodes,
            outputs=tuple(self.outputs),
            scopes=self.scopes,
            span=SPAN,
            agreements=tuple(
                pair for node in self.nodes.values() for pair in node.facts.agreements
            ),
            training_only=frozenset(self.nodes.keys() - always - inputs.keys()),
            dtypes=self.dtypes,
        )

    def _scope(self, name: str) -> Scope:
        if name not in self.scopes:
            parent = self._scope(name.rpartition(".")[0])
            self.scopes[name] = Scope(name, parent, self.blocks.get(name, ""), SPAN)
        return self.scopes[name]

    def _needed(self, ends: object) -> set[str]:
        left, found = list(ends), set()
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += self.nodes[name].inputs
        return found
