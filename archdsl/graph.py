"""The graph of a network: its nodes in the order in which they were made, and as NetworkX graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from archdsl.diagnostics import Diagnostic, Span, Use
from archdsl.layers.base import Dtype, Facts, Layer, Shape, TorchModule, TorchTensor
from archdsl.layers.sizes import Size
from archdsl.layers.tensor import OwnTensor
from archdsl.layers.traced import Trace

if TYPE_CHECKING:
    import networkx


NOTHING: Mapping[str, object] = {}  # in the place of many empty ones; nobody fills it


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """A named place that holds stages: the network, the use of a block, or a group.

    Attributes:
        name: the labels that lead there, with dots: "Mixed_5b.branch1x1"; "" for the network.
        parent: the scope around it; None for the network.
        block: name of the block that is used here; for the network its own name, for a group "".
        arguments: the values of the block's or network's parameters, by name.
        description: the text with which the block or network begins.
        inputs: what the block calls the tensors that come in, in its order, with the place of
            each among the nodes of the graph; empty where it declares none.
    """

    name: str
    parent: Scope | None
    block: str
    span: Span
    arguments: Mapping[str, object] = field(default_factory=lambda: NOTHING)
    description: str = ""
    inputs: tuple[tuple[str, int], ...] = ()

    @property
    def label(self) -> str:
        """The last part of its name."""
        return self.name[len(self.parent.name) :].lstrip(".") if self.parent else self.name

    def full_name(self, label: str) -> str:
        """Return the name of what has that label here, from the network on."""
        return f"{self.name}.{label}" if self.name else label

    @property
    def depth(self) -> int:
        """How many scopes are around it."""
        return self.name.count(".") + 1 if self.name else 0


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A network input, or one use of a layer or merge.

    Attributes:
        name: unique in the graph. For a module it is the path that its parameters have in the
            state_dict ("Mixed_5b.branch1x1.conv"); for a merge or other wiring the scope and the
            word ("Mixed_5b.concat"), which no label can be.
        label: what the spec calls the tensor, or "" if nothing.
        layer: what it is; an `InputTensor` for the inputs of the network.
        inputs: names of the nodes that it reads, in the order of its arguments.
        shares: for `reuse`, the name of the node whose module is applied again: the first that
            applies it. Its parameters are counted there, and not here.
        span: the place in the spec; trail: the uses of blocks that led there, innermost first.
    """

    name: str
    label: str
    layer: Layer
    inputs: tuple[str, ...]
    facts: Facts
    scope: Scope
    span: Span
    trail: tuple[Use, ...] = ()
    shares: str = ""

    @property
    def shape(self) -> Shape:
        """Shape of the output, without batch."""
        return self.facts.output

    @property
    def type(self) -> str:
        """What the language calls it: the layer's name, "concat", "input", "buffer"."""
        if isinstance(self.layer, OwnTensor) and not self.layer.learnable:
            return "buffer"
        return self.layer.word or type(self.layer).__name__


@dataclass(frozen=True, slots=True)
class Output:
    """An output of a network: its name, the node that gives it, and when it does."""

    name: str
    node: str
    training_only: bool
    span: Span


@dataclass(frozen=True)
class Graph:
    """What elaboration makes. Every node comes after the nodes that it reads.

    Attributes:
        name: of the network.
        description: its text, or "".
        arguments: the value of each of the network's parameters.
        inputs: shape of each input, by its name, which is the name of its node as well.
        nodes: by name, the inputs among them.
        outputs: the main output first, if there is one.
        scopes: by name, in the order in which they were entered; the network's own is "".
        agreements: pairs of sizes with free names that must be equal.
        registered: labels by the scope's name, in the order in which their modules stand in the
            state_dict, where the spec says so with `register`; elsewhere it is that of the nodes.
        declared: what the spec itself says of the inputs whose shape was given from outside.
        files: that it was made of, as they were read.
        trace: how its numbers came about, where they were followed: for what compiles.
    """

    name: str
    description: str
    arguments: Mapping[str, object]
    inputs: Mapping[str, Shape]
    nodes: Mapping[str, Node]
    outputs: tuple[Output, ...]
    scopes: Mapping[str, Scope]
    span: Span
    agreements: tuple[tuple[Size, Size], ...] = ()
    files: tuple[bytes, ...] = field(default=(), repr=False)
    registered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    declared: Mapping[str, Shape] = field(default_factory=dict)
    trace: Trace | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.name}: {len(self.nodes):,} nodes>"

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its files, each after its length, in hexadecimal; "" if it comes of none."""
        from hashlib import sha256  # which takes milliseconds that only what compiles needs

        whole = sha256()
        for data in self.files:
            whole.update(len(data).to_bytes(8, "big") + data)
        return whole.hexdigest() if self.files else ""

    def members(self) -> set[str]:
        """Names of the nodes that are modules, or tensors of the network's own."""
        return {
            name
            for name, node in self.nodes.items()
            if name not in self.inputs
            and not node.shares
            and isinstance(node.facts.torch, TorchModule | TorchTensor)
        }


@dataclass(frozen=True, repr=False)
class CheckedGraph(Graph):
    """A graph in which nothing is wrong. Only `check` makes one; every backend needs one.

    Attributes:
        training_only: names of the nodes that only training-only outputs need.
        dtypes: what each node's output holds, for those that hold no floats.
        warnings: what is worth saying of it, though nothing is wrong.
        again: works the network out once more, with other values for some of its parameters (a
            formula leaves one open), and if asked to, with a trace. Raises ArchError. None for a
            graph that comes of no spec.
    """

    training_only: frozenset[str] = frozenset()
    dtypes: Mapping[str, Dtype] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()
    again: Callable[[Mapping[str, Any], bool], CheckedGraph] | None = field(
        default=None, compare=False, repr=False
    )

    def dtype(self, name: str) -> Dtype:
        """Return what kind of numbers a node's output holds."""
        return self.dtypes.get(name, "float")

    def owner(self, node: Node) -> Node:
        """Return the node whose module a node applies: itself, save for `reuse`."""
        return self.nodes[node.shares] if node.shares else node

    @cached_property
    def networkx(self) -> networkx.MultiDiGraph[str]:
        """The same as a NetworkX graph; see `docs/graph.md` for the attributes."""
        from archdsl.networkx_graph import to_networkx

        return to_networkx(self)
