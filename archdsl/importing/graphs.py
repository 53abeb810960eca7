"""Makes the graph of a network from a recorded pass, without a text: to count and draw any module.

What the language has a layer for is that layer, as in a network that was read. All else is a node
of its own, "from torch": its parameters are the module's, and what it computes is what torch's
counter says (`archdsl.importing.costs`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, cast

from torch import nn

from archdsl.diagnostics import Diagnostic, Source, Span
from archdsl.graph import CheckedGraph, Output, Scope, Tie
from archdsl.graph import Node as GraphNode
from archdsl.importing.bodies import Body, Node
from archdsl.importing.costs import Cost, macs_of, not_counted, numbers_of
from archdsl.importing.functions import kind_of
from archdsl.importing.lowering import Lowering
from archdsl.importing.making import NOWHERE
from archdsl.importing.naming import fresh, fresh_in
from archdsl.importing.record import Value
from archdsl.layers.base import (
    ANY,
    GLOBAL,
    Dtype,
    Facts,
    Kind,
    Layer,
    Shapes,
    TorchFunction,
    construct,
)
from archdsl.layers.registry import Registry
from archdsl.layers.tensor import InputTensor, OwnTensor

ANYTHING = Kind("anything", lambda value: value)
FROM_TORCH = "from torch: "  # before the name of what is no layer


class FromTorch(Layer):
    """A part of a module that the language has no layer for."""

    family = "own"
    takes = ANY

    facts: Annotated[object, ANYTHING]
    kind: Annotated[str, ANYTHING]

    def infer(self, inputs: Shapes) -> Facts:
        return cast(Facts, self.facts)

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        return cast(Dtype, self.kind)


@cache
def kind_called(name: str) -> type[FromTorch]:
    """Return the class of such parts that are called so."""
    return type(f"{FROM_TORCH}{name}", (FromTorch,), {"__module__": __name__})


class PartsFromTorch(Diagnostic):
    """Parts of a module that the language has no layer for.

    Their parameters are counted exactly, their multiply-accumulates by torch's flop counter, and
    what that doesn't know is listed.
    """

    text = "{parts} of `{name}` {are} no layer of the language: {kinds}{ignored}"
    mend = "their multiply-accumulates are those of torch's flop counter"

    name: str
    count: int
    kinds: str
    ignored: str

    @property
    def severity(self) -> str:
        return "note"

    @property
    def parts(self) -> str:
        """How many parts, in words."""
        return "1 part" if self.count == 1 else f"{self.count} parts"

    @property
    def are(self) -> str:
        """The verb for them."""
        return "is" if self.count == 1 else "are"


class GraphMaker:
    """Makes the nodes of one pass."""

    def __init__(
        self,
        name: str,
        module: nn.Module,
        lowering: Lowering,
        inputs: Mapping[int, str],
        given: Sequence[Value],
    ) -> None:
        self.name, self.module, self.lowering = name, module, lowering
        self.functions = lowering.functions
        self.batch = self.functions.batch
        self.span = Span(Source(f"{type(module).__module__}.{type(module).__qualname__}", ""), 0, 0)
        self.scopes: dict[str, Scope] = {"": Scope("", None, type(module).__name__, self.span)}
        self.nodes: dict[str, GraphNode] = {}
        self.dtypes: dict[str, Dtype] = {}
        self.made: dict[Value, str] = {}
        self.taken: set[str] = set()
        self.first: dict[str, str] = {}  # which node applies a module first, by its path
        self.seen: set[int] = set()  # lists of costs that were counted
        # of each list of costs, what layers of the language count of it
        self.counted: Counter[int] = Counter()
        self.torch: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self.parameters: Mapping[str, Any] = dict(module.named_parameters())
        for number, value in enumerate(given):
            self.add(value, inputs[number], InputTensor(shape=self.shape(value)), (), "")

    def shape(self, value: Value) -> tuple[int, ...]:
        """Return the shape of a tensor for one sample."""
        if self.functions.is_shared(value) or not value.shape:
            return value.shape
        first, *rest = value.shape
        if first == self.batch:
            return tuple(rest)
        if first % self.batch == 0:
            return (first // self.batch, *rest)
        return value.shape

    def scope(self, path: str) -> Scope:
        """Return the scope of a module, with those around it."""
        if path in self.scopes:
            return self.scopes[path]
        parent = self.scope(path.rpartition(".")[0])
        module = self.module.get_submodule(path)
        plain = isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)
        block = "" if plain else type(module).__name__
        self.scopes[path] = Scope(path, parent, block, self.span)
        return self.scopes[path]

    def add(
        self,
        value: Value,
        name: str,
        layer: Layer,
        inputs: Sequence[str],
        path: str,
        facts: Facts | None = None,
        shares: str = "",
        ties: tuple[Tie, ...] = (),
    ) -> None:
        """Add a node that gives a value."""
        name = fresh_in(name, self.taken)
        facts = layer.infer(()) if facts is None else facts
        self.nodes[name] = GraphNode(
            name, "", layer, tuple(inputs), facts, self.scope(path), self.span, (), shares, ties
        )
        self.made[value] = name
        kind = kind_of(value.dtype)
        if kind in ("int", "bool", "complex"):
            self.dtypes[name] = cast(Dtype, kind)

    def given(self, value: Value) -> str:
        """Return the name of the node that gives a value."""
        if value not in self.made:
            stored = bool(value.own)
            if not value.held:  # made where torch calls nobody, as custom operators do
                self.torch[NOWHERE] += 1
                facts = Facts(output=self.shape(value), torch=TorchFunction("{0}"))
                self.add(value, "unseen", kind_called(NOWHERE)(facts=facts, kind="float"), (), "")
                return self.made[value]
            learned = stored and value.own in self.parameters
            layer = OwnTensor(shape=value.shape, learnable=learned, stored=stored)
            path = value.own.rpartition(".")[0]
            self.add(value, value.own or "constant", layer, (), path if stored else "")
        return self.made[value]

    def body(self, body: Body) -> None:
        """Add the nodes of a body."""
        for item in body.items:
            if isinstance(item, Body):
                self.body(item)
            else:
                self.node(item, body.path)

    def node(self, node: Node, path: str) -> None:
        """Add a node: a layer, or a part from torch."""
        inputs = [self.given(self.functions.find(value)) for value in node.inputs]
        word = node.use.layer
        own = node.path or f"{path}.{word}".lstrip(".")
        scope = own.rpartition(".")[0] if node.path else path
        shares = self.first.get(node.path, "") if node.path and node.owns else ""
        found = None if node.missing else self.layer(node)
        if found is None:
            layer, facts = self.from_torch(node)
        else:
            layer, facts = found
            share = self.batch if facts.batched else 1
            self.counted[id(node.costs)] += cast(int, facts.macs) * share
        if node.weights:
            inputs += [self.given(value) for value in node.weights.values()]
            left = {key: one for key, one in facts.params.items() if key not in node.weights}
            facts = facts._replace(params=left)
        ties = tuple(
            Tie(name, at, self.first.get(of.rpartition(".")[0], own), of.rpartition(".")[2])
            for at, (name, of) in enumerate(node.ties.items())
        )
        if ties:
            left = {key: one for key, one in facts.params.items() if key not in node.ties}
            facts = facts._replace(params=left)
        self.add(node.output, own, layer, inputs, scope, facts, shares, ties)
        if node.path and node.owns:
            self.first.setdefault(node.path, self.made[node.output])

    def layer(self, node: Node) -> tuple[Layer, Facts] | None:
        """Return the layer of a node with its facts, or None if it doesn't give what was given."""
        registry = Registry()
        kind = registry.word(node.use.layer) if node.merges else registry[node.use.layer]
        values = [self.functions.find(value) for value in node.inputs]
        batched = [not self.functions.is_shared(value) for value in values]
        shapes = tuple(self.shape(value) for value in values)
        try:
            layer = construct(kind, plainly(node.use.arguments))
            facts = layer.infer(shapes) if all(batched) else layer.infer_shared(shapes, batched)
        except ValueError:
            return None
        return (layer, facts) if tuple(facts.output) == self.shape(node.output) else None

    def from_torch(self, node: Node) -> tuple[Layer, Facts]:
        """Return the layer and the facts of what is no layer of the language."""
        costs: Sequence[Cost] = () if id(node.costs) in self.seen else node.costs
        self.seen.add(id(node.costs))
        params: dict[str, tuple[int, ...]] = {}
        buffers: dict[str, tuple[int, ...]] = {}
        if node.path and node.owns:
            module = self.module.get_submodule(node.path)
            params = {name: tuple(one.shape) for name, one in module.named_parameters()}
            stored = module.state_dict()
            buffers = {name: tuple(one.shape) for name, one in stored.items() if name not in params}
        share = 1 if self.functions.is_shared(node.output) else self.batch
        ignored = not_counted(costs)
        name = node.use.layer.strip("_") + (" (not counted)" if ignored else "")
        self.torch[node.use.layer.strip("_")] += 1
        self.ignored.update(ignored)
        facts = Facts(
            output=self.shape(node.output),
            torch=TorchFunction("{0}"),
            params=MappingProxyType(params),
            buffers=MappingProxyType(buffers),
            macs=max(macs_of(costs) - self.counted[id(node.costs)], 0) // share,
            other={"elementwise": numbers_of(costs) // share},
            windows=GLOBAL,
            batched=not self.functions.is_shared(node.output),
        )
        kind = kind_of(node.output.dtype)
        kind = kind if kind in ("int", "bool", "complex") else "float"
        return kind_called(name)(facts=facts, kind=kind), facts

    def graph(self, shapes: Mapping[str, tuple[int, ...]]) -> CheckedGraph:
        """Return the graph."""
        self.body(self.lowering.root)
        self.unused()
        outputs: list[Output] = []
        taken: set[str] = set()
        numbers = {name: at for at, name in enumerate(self.nodes)}
        for value in dict.fromkeys(self.lowering.outputs):
            said = self.lowering.root.names.get(value, "")
            node = self.given(value)
            numbers = {name: at for at, name in enumerate(self.nodes)}
            name = fresh(said, taken) if said else fresh_in("output", taken)
            outputs.append(Output(name, node, False, self.span, numbers[node]))
        notes: list[Diagnostic] = []
        if self.torch:
            count, kinds, ignored = sum(self.torch.values()), times(self.torch), times(self.ignored)
            ignored = f"; not counted, as torch's counter doesn't know them: {ignored}" * bool(
                ignored
            )
            notes.append(PartsFromTorch(name=self.name, count=count, kinds=kinds, ignored=ignored))
        return CheckedGraph(
            name=self.name,
            description="",
            arguments={},
            inputs=shapes,
            nodes=self.nodes,
            outputs=tuple(outputs),
            scopes=self.scopes,
            span=self.span,
            dtypes=self.dtypes,
            warnings=tuple(notes),
        )

    def unused(self) -> None:
        """Add the parameters that the pass doesn't use: they are the module's all the same."""
        used = {
            f"{name}.{part}" if part else name
            for name, node in self.nodes.items()
            for part in (*node.facts.params, *node.facts.buffers)
        }
        used |= {value.own for value in self.made}
        every = dict(self.module.named_parameters(remove_duplicate=False))
        same = {id(every[name]) for name in used if name in every}
        for name, one in self.parameters.items():
            if name not in used and id(one) not in same:
                value = Value(0, tuple(one.shape), str(one.dtype).removeprefix("torch."))
                value.own = name
                self.given(value)


def plainly(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments without those that are written as expressions."""
    return {
        name: getattr(value, "value", value) if isinstance(value, str) else value
        for name, value in arguments.items()
    }


def times(counts: Counter[str]) -> str:
    """List names with how often they come, most frequent first."""
    return ", ".join(
        name if count == 1 else f"{name} ({count} times)" for name, count in counts.most_common()
    )
