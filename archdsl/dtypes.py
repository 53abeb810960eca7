"""Follows what kind of numbers each tensor of a network holds: floats, integers or booleans.

A layer says what it takes and gives (`Layer.dtype`), a tensor of the network's own holds what its
first values are. An input holds floats, unless what reads it, maybe by way of layers that leave
the kind as it is, needs something else: the tokens of a language model are integers because an
`Embedding` looks them up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from archdsl.diagnostics import Diagnostic, Label, Span
from archdsl.graph import Graph, Node
from archdsl.layers.base import (
    DTYPES,
    Dtype,
    Layer,
    LayerError,
    Shape,
    WrongDtype,
    numel,
    shown_shape,
)
from archdsl.layers.own import Given, T, asked
from archdsl.layers.tensor import Formulas, InputTensor, OwnTensor, numbers

FLOAT: Dtype = "float"


class WrongNumbers(Diagnostic):
    """A layer that can't compute with the kind of numbers that comes in.

    Tensors hold floats, integers or booleans. Inputs hold floats, save those that are looked up in
    an `Embedding`; a `buffer` holds what its values are: `[0, 1]` integers, `[0.0, 1.0]` floats,
    `[true, false]` booleans. Layers take what torch takes on every device.
    """

    code = "E0306"
    text = "`{layer}` {reason}, and {held} come in"
    mark = "what comes in is {incoming}"

    layer: str
    inputs: tuple[tuple[Shape, Dtype], ...]
    wrong: Dtype
    reason: str
    origin: Label
    made: Span | None = None

    @property
    def held(self) -> str:
        return DTYPES[self.wrong]

    @property
    def incoming(self) -> str:
        return " and ".join(f"{shown_shape(shape)} ({DTYPES[held]})" for shape, held in self.inputs)

    def others(self) -> Sequence[Label]:
        made = [Label(self.made, "it was made here")] if self.made else []
        return [*made, self.origin]


class NoSuchIndex(Diagnostic):
    """An index that is looked up in a table which is not that long.

    A table of `n` vectors has the indices 0 to n - 1. What a `buffer` or `constant` holds is known;
    what inputs hold is not, and is up to whoever runs the network.
    """

    code = "E0307"
    text = "`{layer}` has indices 0 to {most:,}, and {index:,} comes in"

    layer: str
    most: int
    index: int
    origin: Label

    def others(self) -> Sequence[Label]:
        return [self.origin]


def follow(graph: Graph) -> tuple[Mapping[int, Dtype], list[Diagnostic]]:
    """Return what each node's output holds that holds no floats, and what can't be computed.

    The former comes by the numbers of the nodes.
    """
    wanted = _wanted(graph)
    found: dict[int, Dtype] = {}
    known: dict[tuple[int, tuple[Dtype, ...]], Dtype] = {}
    errors: dict[Span, Diagnostic] = {}  # one a place, however often a block is used
    pairs = zip(graph.arrays.layers, graph.arrays.reads, strict=True)
    for number, (layer, reads) in enumerate(pairs):
        held = (FLOAT,) * len(reads)
        if found:
            held = tuple([found.get(read, FLOAT) for read in reads])
        key = id(layer), held
        if number in wanted:
            dtype = wanted[number][0]
        elif key in known:
            dtype = known[key]
        else:
            try:
                dtype = dtype_of(layer, held)
                if (count := _indices(layer)) is None:
                    known[key] = dtype
                else:  # look at what comes into each such layer
                    errors.update(_outside(graph, _node(graph, number), count))
            except WrongDtype as error:
                node = _node(graph, number)
                if node.span not in errors:
                    names = {graph.names[at]: dtype for at, dtype in found.items()}
                    errors[node.span] = _wrong_numbers(graph, node, error, names, wanted)
                takes = layer.takes  # go on as if it got what it is mostly for
                dtype = takes[FLOAT] if FLOAT in takes else next(iter(takes.values()))
        if dtype != FLOAT:
            found[number] = dtype
    return found, list(errors.values())


def _node(graph: Graph, number: int) -> Node:
    return graph.nodes[graph.names[number]]


def _outside(graph: Graph, node: Node, count: int) -> Iterator[tuple[Span, Diagnostic]]:
    """Yield what is wrong with the indices that come in, of `count`, where they are known."""
    source = graph.looked_up(node)
    if source is None:
        return
    values = numbers(vars(source.layer)["value"])
    for index in (min(values, default=0), max(values, default=0)):
        if not 0 <= index < count:
            hint = ""
            by_place = isinstance(vars(source.layer)["value"], Formulas)
            if by_place and index > 0 and isinstance(numel(source.shape), int):
                hint = (
                    f"its shape is {shown_shape(source.shape)} here: make that shorter, as an "
                    f"input of another size may, or the table longer"
                )
            yield (
                node.span,
                NoSuchIndex(
                    node.span,
                    node.trail,
                    layer=node.type,
                    most=count - 1,
                    index=index,
                    origin=Label(source.span, f"it holds {index:,}"),
                    hint=hint,
                ),
            )


def dtype_of(layer: Layer, inputs: tuple[Dtype, ...]) -> Dtype:
    """Return what a layer gives.

    Raises:
        WrongDtype: it can't take what comes in, or it is a user's own and fails.
    """
    dtype = _asked(layer, layer.dtype, inputs)
    if not isinstance(dtype, str) or dtype not in DTYPES:  # of a layer of a user's own
        home = type(layer).__module__
        raise WrongDtype(0, f"says in {home} that it gives {dtype!r}, none of {', '.join(DTYPES)}")
    return dtype


def _indices(layer: Layer) -> int | None:
    """Return how many indices a layer has, if it looks some up.

    Raises:
        WrongDtype: it is a user's own and fails, or gives no integer.
    """
    count = _asked(layer, layer.indices)
    if count is not None and not isinstance(count, int):
        home = type(layer).__module__
        raise WrongDtype(0, f"says in {home} that it has {count!r} indices, which is no integer")
    return count


def _asked(
    layer: Layer, method: Callable[Given, T], *given: Given.args, **named: Given.kwargs
) -> T:
    try:
        return asked(layer, method, *given, **named)
    except WrongDtype:
        raise
    except LayerError as error:
        raise WrongDtype(0, f"{error}{f' ({error.help})' if error.help else ''}") from None


def _wanted(graph: Graph) -> Mapping[int, tuple[Dtype, int]]:
    """Return the inputs that must hold something else than floats, with the node that says so."""
    layers, reads = graph.arrays.layers, graph.arrays.reads
    kinds: set[type[Layer]] = {*map(type, layers)}
    if all(FLOAT in kind.takes and not kind.wants for kind in kinds):
        return {}
    wanted: dict[int, tuple[Dtype, int]] = {}
    for number in range(len(layers) - 1, -1, -1):  # each comes after those that it reads
        takes, wants = layers[number].takes, layers[number].wants
        wish: tuple[Dtype, int] | None = None
        if FLOAT not in takes:
            wish = next(iter(takes)), number
        elif number in wanted and _keeps(layers[number], len(reads[number]), wanted[number][0]):
            wish = wanted[number]
        for at, read in enumerate(reads[number] if wish or wants else ()):
            if at in wants:
                wanted[read] = wants[at], number
            elif wish:
                wanted[read] = wish
    return {at: wish for at, wish in wanted.items() if isinstance(layers[at], InputTensor)}


def _keeps(layer: Layer, inputs: int, dtype: Dtype) -> bool:
    """Tell whether a layer of so many inputs gives that kind of numbers because it takes them."""
    if not inputs:
        return False
    given: list[Dtype | None] = []
    for held in (dtype, FLOAT):
        try:
            given.append(dtype_of(layer, (held,) * inputs))
        except WrongDtype:
            given.append(None)
    return given[0] == dtype != given[1]


def _wrong_numbers(
    graph: Graph,
    node: Node,
    error: WrongDtype,
    found: Mapping[str, Dtype],
    wanted: Mapping[int, tuple[Dtype, int]],
) -> WrongNumbers:
    read = [graph.nodes[name] for name in node.inputs]
    wrong = found.get(node.inputs[error.position], FLOAT)
    source = _source(graph, node.inputs[error.position], wrong, found)
    label, hint = _origin(graph, source, wrong, node, wanted)
    return WrongNumbers(
        node.span,
        node.trail,
        layer=node.type,
        inputs=tuple((one.shape, found.get(one.name, FLOAT)) for one in read),
        wrong=wrong,
        reason=str(error),
        origin=label,
        made=graph.nodes[node.shares].span if node.shares else None,
        hint=hint,
    )


def _source(graph: Graph, name: str, dtype: Dtype, found: Mapping[str, Dtype]) -> Node:
    """Return the node that a kind of numbers comes from, through what leaves it as it is."""
    other: Dtype = "int" if dtype == FLOAT else dtype
    while True:
        node = graph.nodes[name]
        same = [read for read in node.inputs if found.get(read, FLOAT) == dtype]
        if not same or not _keeps(node.layer, len(node.inputs), other):
            return node
        name = same[0]


def _origin(
    graph: Graph,
    source: Node,
    wrong: Dtype,
    node: Node,
    wanted: Mapping[int, tuple[Dtype, int]],
) -> tuple[Label, str]:
    """Say where a kind of numbers comes from, and how to mend it."""
    layer, held = source.layer, DTYPES[wrong]
    if isinstance(layer, InputTensor):
        number = graph.numbers[source.name]
        if number not in wanted:
            return Label(source.span, f"an input holds {held}"), ""
        reader = _node(graph, wanted[number][1])
        return (
            Label(source.span, f"`{source.name}` holds {held}: `{reader.name}` takes them"),
            f"an input holds one kind of numbers: declare another one for this `{node.type}`",
        )
    hint = ""
    if isinstance(layer, OwnTensor):
        if wrong == "int":
            hint = "one value with a point makes it a tensor of floats: `0.0`"
        elif wrong == FLOAT and layer.learnable:
            hint = "a parameter is learned, so it holds floats; a `buffer` may hold integers"
        elif wrong == FLOAT and "int" in node.layer.takes:
            hint = "values without a point, such as `[0, 1, 2]`, make it a buffer of integers"
        return Label(source.span, f"it holds {held}"), hint
    if wrong == FLOAT and "int" in node.layer.takes:
        hint = "integers come from an input or a `buffer`, by way of layers that leave them so"
    return Label(source.span, f"this gives {held}"), hint
