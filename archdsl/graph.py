"""The graph of a network: its nodes in the order in which they were made."""

from __future__ import annotations

from collections import Counter
from collections.abc import (
    Callable,
    Collection,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    Sequence,
    Set,
    ValuesView,
)
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from archdsl.diagnostics import Diagnostic, Span, Use
from archdsl.layers.base import NOTHING, Dtype, Facts, Layer, Shape, TorchModule, TorchTensor
from archdsl.layers.sizes import Size, numel
from archdsl.layers.tensor import OwnTensor
from archdsl.layers.traced import Trace
from archdsl.records import Record


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


class Tie(Record):
    """A parameter of a module that is that of another module, or a tensor of the network's own.

    Attributes:
        name: of the parameter in its module; `place` is its place among those of the module.
        owner: name of the node whose parameter it is; `of` is that one's name there, "" for a
            tensor of the network's own.
    """

    name: str
    place: int
    owner: str
    of: str

    @property
    def path(self) -> str:
        """The name of the parameter that it is in the state_dict."""
        return f"{self.owner}.{self.of}" if self.of else self.owner


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
        ties: those of its module's parameters that are another's. They are not in `facts.params`.
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
    ties: tuple[Tie, ...] = ()

    @property
    def shape(self) -> Shape:
        """Shape of the output, without batch."""
        return self.facts.output

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the nodes that its numbers come of.

        A constant of a free size has none: it reads the shape of a tensor, and nothing else.
        """
        return sources_of(self.facts, self.inputs)

    @property
    def type(self) -> str:
        """What the language calls it: the layer's name, "concat", "input", "buffer"."""
        return type_of(self.layer)


def type_of(layer: Layer) -> str:
    """Return what the language calls a layer."""
    if isinstance(layer, OwnTensor) and not layer.learnable:
        return "buffer" if layer.stored else "constant"
    return layer.word or type(layer).__name__


Read = TypeVar("Read", str, int)


def sources_of(facts: Facts, reads: tuple[Read, ...]) -> tuple[Read, ...]:
    """Return those of the nodes that one reads of which its numbers come."""
    return () if len(facts.shape_only) == len(reads) else reads


class Output:
    """An output of a network: its name, the node that gives it, and when it does.

    Attributes:
        number: place of the node in the graph.
    """

    __slots__ = ("_node", "name", "number", "span", "training_only")

    def __init__(
        self,
        name: str,
        node: str | Callable[[int], str],
        training_only: bool,
        span: Span,
        number: int = -1,
    ) -> None:
        """Make an output; a function tells the name of its node by the number."""
        self.name = name
        self._node = node
        self.training_only = training_only
        self.span = span
        self.number = number

    @property
    def node(self) -> str:
        """Name of the node that gives it."""
        # most counts don't ask, and to know it all nodes have to be named
        if not isinstance(self._node, str):
            self._node = self._node(self.number)
        return self._node

    def __reduce__(self) -> tuple[object, ...]:
        return Output, (self.name, self.node, self.training_only, self.span, self.number)

    def __repr__(self) -> str:
        return f"<Output {self.name} of {self.node}>"


class Loop(Record):
    """Turns of a loop that are alike, by number: each node is what the one `size` before it is.

    It has the same layer and the same facts, and reads what that reads, those from `floor` on moved
    by `size`. What comes behind the loop reads nothing in it but what its last turn made.

    Attributes:
        first: the number of the first node of the first of the turns.
        size: how many nodes a turn has; turns: how many there are.
        inner: the loops in the first turn.
    """

    first: int
    size: int
    turns: int
    inner: tuple[Loop, ...] = ()

    @property
    def end(self) -> int:
        """The number behind its last node."""
        return self.first + self.turns * self.size

    @property
    def floor(self) -> int:
        """The first number that is another in each turn; the turn before the first has it."""
        return self.first - self.size

    def hides(self, number: int) -> bool:
        """Tell whether a node is in another turn than the last, or in that of a loop within it."""
        if not self.first <= number < self.end:
            return False
        turn, inside = divmod(number - self.first, self.size)
        if turn < self.turns - 1:
            return True
        return any(loop.hides(self.first + inside) for loop in self.inner)


class Arrays(Record):
    """What there is to know of nodes by their number, less what they are called.

    Most analyses need no more, and a node takes far less time so. Layers, and facts, that are
    equal are mostly the same object.

    Attributes:
        reads: the numbers of the nodes that each reads.
        shares: for `reuse`, the number of the node whose module is applied again, by its own.
        ties: the numbers of the nodes whose parameters a node's module has as its own.
        loops: of equal turns, which may be worked out as one; none is in another.
    """

    layers: list[Layer]
    facts: list[Facts]
    reads: list[tuple[int, ...]]
    shares: Mapping[int, int]
    ties: Mapping[int, tuple[int, ...]]
    loops: tuple[Loop, ...] = ()


class Outline(Record):
    """The names of nodes by their number, and the scopes around them."""

    names: Sequence[str]
    around: Sequence[Scope]


V = TypeVar("V")


class Later(Mapping[str, V]):
    """A mapping that is made when something in it is asked for. Its size may be known before."""

    def __init__(self, make: Callable[[], Mapping[str, V]], size: int | None = None) -> None:
        self._make = make
        self._made: Mapping[str, V] | None = None
        self._size = size

    @property
    def made(self) -> Mapping[str, V]:
        """All of it."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def __getitem__(self, name: str) -> V:
        return self.made[name]

    def __contains__(self, name: object) -> bool:
        return name in self.made

    def __iter__(self) -> Iterator[str]:
        return iter(self.made)

    def __len__(self) -> int:
        return len(self.made) if self._size is None else self._size

    def keys(self) -> KeysView[str]:
        return self.made.keys()

    def values(self) -> ValuesView[V]:
        return self.made.values()

    def items(self) -> ItemsView[str, V]:
        return self.made.items()

    def get(self, name: str, default: Any = None) -> Any:
        return self.made.get(name, default)

    def __reduce__(self) -> tuple[type, tuple[dict[str, V]]]:
        return dict, (dict(self.made),)  # what makes it can't be written down


class Nodes(Later[Node]):
    """Nodes that are made when one is asked for. What has no name of them is known before.

    So are their names and scopes (`outline`), exactly or as far as it takes no time.
    """

    def __init__(
        self,
        make: Callable[[], Mapping[str, Node]],
        size: int,
        arrays: Callable[[], Arrays],
        outline: Callable[[bool], Outline],
    ) -> None:
        super().__init__(make, size)
        self.arrays = arrays
        self.outline = outline


class EachNode(Later[V]):
    """What each node has, by its name, which is known by its number."""

    def __init__(self, by_number: Sequence[V], names: Callable[[], Sequence[str]]) -> None:
        super().__init__(lambda: dict(zip(names(), by_number, strict=True)), len(by_number))
        self.by_number = by_number


class ByNumber(Later[V]):
    """What some nodes have, by their names, which is known by their numbers."""

    def __init__(self, numbers: Mapping[int, V], names: Callable[[], Sequence[str]]) -> None:
        super().__init__(
            lambda: {names()[at]: value for at, value in numbers.items()}, len(numbers)
        )
        self.numbers = numbers

    def _by_name(self, names: Sequence[str]) -> Mapping[str, V]:
        return {names[number]: value for number, value in self.numbers.items()}


class Numbered(Set[str]):
    """The names of some nodes, by their numbers: names take longer to find."""

    def __init__(self, numbers: frozenset[int], names: Callable[[], Sequence[str]]) -> None:
        self.numbers = numbers
        self._names = names

    @cached_property
    def names(self) -> frozenset[str]:
        """All of them."""
        names = self._names()
        return frozenset([names[number] for number in self.numbers])

    def __contains__(self, name: object) -> bool:
        return bool(self.numbers) and name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.numbers)

    def __reduce__(self) -> tuple[type, tuple[frozenset[str]]]:
        return frozenset, (self.names,)

    @classmethod
    def _from_iterable(cls, names: Iterable[Any]) -> Set[Any]:
        return frozenset(names)  # what `-` and the like make of it


def _arrays(nodes: Mapping[str, Node]) -> Arrays:
    numbers = {name: number for number, name in enumerate(nodes)}
    shares = {numbers[node.name]: numbers[node.shares] for node in nodes.values() if node.shares}
    return Arrays(
        [node.layer for node in nodes.values()],
        [node.facts for node in nodes.values()],
        [tuple([numbers[name] for name in node.inputs]) for node in nodes.values()],
        shares,
        {
            numbers[node.name]: tuple([numbers[tie.owner] for tie in node.ties])
            for node in nodes.values()
            if node.ties
        },
    )


def tally(facts: Sequence[Facts]) -> Sequence[tuple[Facts, int]]:
    """Return the different ones of some facts, each with how often it comes."""
    known = {id(each): each for each in facts}
    times = Counter(map(id, facts))
    return [(each, times[key]) for key, each in known.items()]


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
        contents: of the files that it was made of, as they were read.
        trace: how its numbers came about, where they were followed: for what compiles.
        counts: of the parameters that were left open, the atoms on which a number of turns depends.
        turns: atoms that stand for which turn it is of a loop that turns so, with the number.
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
    contents: tuple[bytes, ...] = field(default=(), repr=False)
    registered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    declared: Mapping[str, Shape] = field(default_factory=dict)
    trace: Trace | None = None
    counts: frozenset[str] = frozenset()
    turns: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.name}: {len(self.nodes):,} nodes>"

    @cached_property
    def arrays(self) -> Arrays:
        """What there is to know of its nodes by their number, less their names."""
        return self.nodes.arrays() if isinstance(self.nodes, Nodes) else _arrays(self.nodes)

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """The loops whose turns are alike also as far as the outputs go."""
        loops, ends = self.arrays.loops, self.ends
        return tuple([one for one in loops if not any(map(one.hides, ends))]) if loops else ()

    @cached_property
    def tally(self) -> Sequence[tuple[Facts, int]]:
        """The different facts of its nodes, each with how many have them.

        Of thousands of nodes most have facts that are one object, since layers that are equal are
        made once. So facts are counted, and what they say is multiplied.
        """
        return tally(self.arrays.facts)

    @cached_property
    def names(self) -> Sequence[str]:
        """The names of its nodes by their number."""
        return self.nodes.outline(False).names if isinstance(self.nodes, Nodes) else [*self.nodes]

    @cached_property
    def around(self) -> Sequence[Scope]:
        """The scopes in which its nodes lie, by their number."""
        if isinstance(self.nodes, Nodes):
            return self.nodes.outline(True).around
        return [node.scope for node in self.nodes.values()]

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """The numbers of its nodes by their name."""
        return {name: number for number, name in enumerate(self.names)}

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """The numbers of the nodes that give its outputs."""
        # a graph that was put together by names knows no numbers of its outputs, and has names
        if all(output.number >= 0 for output in self.outputs):
            return tuple(output.number for output in self.outputs)
        return tuple(self.numbers[output.node] for output in self.outputs)

    def looked_up(self, node: Node) -> Node | None:
        """Return the tensor of the network's own whose numbers, all of them, a node looks up."""
        source = self.nodes[node.inputs[0]]
        while source.facts.view and source.inputs:
            before = self.nodes[source.inputs[0]]
            if numel(before.shape) != numel(source.shape):
                return None  # a part, and nobody knows which
            source = before
        return source if isinstance(source.layer, OwnTensor) else None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its files, each after its length, in hexadecimal; "" if it comes of none."""
        from hashlib import sha256  # which takes milliseconds that only what compiles needs

        whole = sha256()
        for data in self.contents:
            # else files that are cut elsewhere would give the same
            whole.update(len(data).to_bytes(8, "big") + data)
        return whole.hexdigest() if self.contents else ""

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
        training_only: names of the nodes that only training-only outputs need; `aside` has their
            numbers.
        dtypes: what each node's output holds, for those that hold no floats, by name; `held` has
            the same by number.
        warnings: what is worth saying of it, though nothing is wrong.
        again: works the network out once more, with other values for some of its parameters (a
            formula leaves one open), and with a trace if it is told which of them are followed.
            Raises ArchError. None for a graph that comes of no spec.
    """

    training_only: Set[str] = frozenset()
    dtypes: Mapping[str, Dtype] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()
    again: Callable[[Mapping[str, Any], Collection[str] | None], CheckedGraph] | None = field(
        default=None, compare=False, repr=False
    )

    @cached_property
    def aside(self) -> frozenset[int]:
        """The numbers of the nodes that only training-only outputs need."""
        if isinstance(self.training_only, Numbered):
            return self.training_only.numbers
        return frozenset(map(self.numbers.__getitem__, self.training_only))

    @cached_property
    def held(self) -> Mapping[int, Dtype]:
        """What each node's output holds, for those that hold no floats, by number."""
        if isinstance(self.dtypes, ByNumber):
            return self.dtypes.numbers
        return {self.numbers[name]: dtype for name, dtype in self.dtypes.items()}

    def dtype(self, name: str) -> Dtype:
        """Return what kind of numbers a node's output holds."""
        return self.dtypes.get(name, "float")

    def owner(self, node: Node) -> Node:
        """Return the node whose module a node applies: itself, save for `reuse`."""
        return self.nodes[node.shares] if node.shares else node
