"""Makes checked graphs by hand, for tests of what stands on them: no parser and no elaborator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from archdsl.diagnostics import Source, Span
from archdsl.dtypes import follow
from archdsl.graph import CheckedGraph, Node, Output, Scope
from archdsl.layers.base import Dtype, Facts, Layer, Shape, construct
from archdsl.layers.registry import Registry
from archdsl.layers.sizes import Formula, Size
from archdsl.layers.tensor import InputTensor

LAYERS = Registry()
SPAN = Span(Source("built.arch", "network net {}\n"), 0, 11)

H, W = Formula.named("H"), Formula.named("W")


class Builder:
    """A network that grows node by node; each reads the one before unless told otherwise.

    `flow` is the node that the last call gave. There are two ways to say where a node stands:
    `put` takes its full name, whose dots make its scopes (`blocks` names the block that a scope
    uses); in `with block(...)`, `layer` and `merge` take labels, or number the stages.
    """

    def __init__(
        self,
        name: str = "net",
        blocks: Mapping[str, str] | None = None,
        *,
        description: str = "",
        **arguments: object,
    ) -> None:
        self.blocks = dict(blocks or {})
        self.scope = Scope("", None, name, SPAN, arguments, description)
        self.scopes = {"": self.scope}
        self.nodes: dict[str, Node] = {}
        self.outputs: list[Output] = []
        self.dtypes: dict[str, Dtype] = {}
        self.flow = ""

    # --- nodes by their full names ----------------------------------------------------------

    def input(self, name: str, *shape: Size, dtype: Dtype = "float") -> str:
        if dtype != "float":
            self.dtypes[name] = dtype
        return self._add(name, name, InputTensor(shape=shape), (), self.scopes[""])

    def put(self, name: str, layer: Layer, *reads: str, shares: str = "", **facts: object) -> str:
        """Add a node; `facts` replaces some of those that the layer infers."""
        if not reads and self.flow and not layer.word:
            reads = (self.flow,)
        scope = self._scope(name.rpartition(".")[0])
        return self._add(name, "", layer, reads, scope, shares, facts)

    def _scope(self, name: str) -> Scope:
        if name not in self.scopes:
            parent = self._scope(name.rpartition(".")[0])
            self.scopes[name] = Scope(name, parent, self.blocks.get(name, ""), SPAN)
        return self.scopes[name]

    # --- nodes by their labels --------------------------------------------------------------

    @contextmanager
    def block(self, label: str, block: str = "", /, **arguments: object) -> Iterator[str]:
        """Open a scope: the use of a block, or a group if `block` is empty."""
        around, name = self.scope, self.path(label)
        self.scope = self.scopes.setdefault(name, Scope(name, around, block, SPAN, arguments))
        yield self.flow
        self.scope = around

    def layer(self, kind: str, label: str = "", /, *reads: str, **arguments: object) -> str:
        """Add a layer by the name of its kind."""
        layer = construct(LAYERS[kind], arguments)
        name = label or str(sum(1 for node in self.nodes.values() if node.scope is self.scope))
        return self._add(self.path(name), label, layer, reads or (self.flow,), self.scope)

    def merge(self, word: str, *reads: str, label: str = "") -> str:
        """Join tensors by the word of the language."""
        name = self.path(label or word)
        while name in self.nodes:
            name += "_"
        return self._add(name, label, construct(LAYERS.word(word), {}), reads, self.scope)

    def own(self, label: str, *shape: int) -> str:
        """Add a tensor that the network owns; the flow stays."""
        flow = self.flow
        tensor = construct(LAYERS.word("parameter"), {"shape": shape})
        made = self._add(self.path(label), label, tensor, (), self.scope)
        self.flow = flow
        return made

    def path(self, label: str) -> str:
        return f"{self.scope.name}.{label}" if self.scope.name else label

    # --- the whole --------------------------------------------------------------------------

    def output(self, name: str, node: str = "", training_only: bool = False) -> None:
        self.outputs.append(Output(name, node or self.flow, training_only, SPAN))

    def checked(self) -> CheckedGraph:
        """Return the graph; the flow is the output unless one was named."""
        if not self.outputs:
            self.output("output")
        inputs: dict[str, Shape] = {
            name: node.shape
            for name, node in self.nodes.items()
            if isinstance(node.layer, InputTensor)
        }
        always = self._needed(each.node for each in self.outputs if not each.training_only)
        root = self.scopes[""]
        graph = CheckedGraph(
            name=root.block,
            description=root.description,
            arguments=root.arguments,
            inputs=inputs,
            nodes=self.nodes,
            outputs=tuple(self.outputs),
            scopes=self.scopes,
            span=SPAN,
            contents=(SPAN.source.text.encode(),),
            agreements=tuple(
                pair for node in self.nodes.values() for pair in node.facts.agreements
            ),
            training_only=frozenset(self.nodes.keys() - always - inputs.keys()),
        )
        names = [*self.nodes]
        held = {names[number]: dtype for number, dtype in follow(graph)[0].items()}
        return replace(graph, dtypes={**held, **self.dtypes})

    def _needed(self, ends: Iterable[str]) -> set[str]:
        left, found = list(ends), set[str]()
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += self.nodes[name].inputs
        return found

    def _add(
        self,
        name: str,
        label: str,
        layer: Layer,
        reads: tuple[str, ...],
        scope: Scope,
        shares: str = "",
        facts: Mapping[str, object] | None = None,
    ) -> str:
        assert name not in self.nodes, name
        found: Facts = layer.infer(tuple(self.nodes[read].shape for read in reads))
        found = found._replace(**(facts or {}))
        self.nodes[name] = Node(name, label, layer, reads, found, scope, SPAN, shares=shares)
        self.flow = name
        return name
