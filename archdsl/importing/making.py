"""Makes nodes of layers that are found by the function of torch that they become."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from archdsl.importing.bodies import Node
from archdsl.importing.layers import Use, kinds_of, squeezed
from archdsl.importing.record import Call, Value, tensors
from archdsl.layers.base import ArgumentErrors, Layer, construct

# Arguments that say how torch is to compute, and not what.
HOW = {
    "inplace", "training", "return_indices", "_stacklevel", "dtype", "out", "momentum",
    "use_input_stats", "half_to_float",
}  # fmt: skip
MOST_TRIALS = 400


class Unsayable(Exception):
    """The language has no words for something; the text says for what."""


class Making:
    """Nodes that one call after the other becomes, and which values are others under another name.

    Attributes:
        batch: how many samples were given.
        alias: for a value that is another one: which.
        permuted: for a value whose batch is not its first axis: of which value it is, and how.
    """

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.alias: dict[Value, Value] = {}
        self.permuted: dict[Value, tuple[Value, tuple[int, ...]]] = {}
        # for what has its axes in another order, but the batch first: the same
        self.ordered: dict[Value, tuple[Value, tuple[int, ...]]] = {}
        self.number = 0
        self.nodes: list[Node] = []
        self.place = ""
        self.blank: set[Value] = set()  # tensors that were made and hold nothing yet
        self.noise: dict[Value, tuple[float, bool]] = {}  # the share of ones, and whether scaled
        self.sharing = False  # whether nothing that comes in takes part

    def find(self, value: Value) -> Value:
        """Return the value that another name of it stands for."""
        while value in self.alias:
            value = self.alias[value]
        return value

    def fresh(self, shape: Sequence[int], dtype: str) -> Value:
        """Return a value between two stages."""
        self.number -= 1
        return Value(self.number, tuple(shape), dtype)

    def become(self, result: Value, value: Value) -> None:
        """Let a result be a value that is there already."""
        self.alias[result] = value
        if value in self.permuted:
            self.permuted[result] = self.permuted[value]

    def stage(
        self, function: str, inputs: Sequence[Value], output: Value, /, **arguments: Any
    ) -> None:
        """Add the layer that becomes a function of torch, with some arguments."""
        for kind in kinds_of(function):
            if arguments.keys() <= kind.model_fields.keys() and all(
                name in arguments or not one.is_required()
                for name, one in kind.model_fields.items()
            ):
                try:
                    construct(kind, arguments)
                except ArgumentErrors:  # another layer of that function takes such arguments
                    continue
                use = Use(kind.__name__, tidy(kind, arguments))
                self.nodes.append(Node(use, [*inputs], output, place=self.place))
                return
        raise Unsayable(f"`{function}`")

    def merge(self, word: str, inputs: Sequence[Value], output: Value, **arguments: Any) -> None:
        """Add a merge."""
        use = Use(word, arguments)
        self.nodes.append(Node(use, [*inputs], output, merges=True, place=self.place))

    def batched(self, value: Value) -> Value:
        """Return a value whose first axis is the batch, or refuse it."""
        if value in self.permuted:
            raise Unsayable("what moves the batch from the first axis to another")
        return value

    def whole(self, result: Any) -> Value:
        """Return a result that is one tensor with the batch as its first axis."""
        if not isinstance(result, Value):
            raise Unsayable("a function that gives several tensors")
        if self.sharing:
            return result  # of parameters alone: it has no batch
        if not result.shape or result.shape[0] != self.batch:
            raise Unsayable("what changes or drops the batch axis")
        return result

    def as_layer(
        self, call: Call, name: str, arguments: list[Any], named: Mapping[str, Any]
    ) -> None:
        """Find the layer that does what a function does, with the parameters that it is given."""
        given = bound(call.function, arguments, named)
        inputs = [one for one in tensors([*given.values()]) if not one.own]
        own = {key: one for key, one in given.items() if isinstance(one, Value) and one.own}
        result = call.result
        if isinstance(result, dict | list | tuple):
            result = next(tensors(result), None)
        self.whole(result)
        kinds = kinds_of(name) or [
            kind for axes in (1, 2, 3) for kind in kinds_of(f"{name}{axes}d")
        ]
        if not kinds:
            raise Unsayable(f"`{name}`")
        if self.sharing:
            self.of_parameters(name, kinds, given, result)
            return
        shapes = tuple(tuple(self.batched(one).shape[1:]) for one in inputs)
        for kind in kinds:
            for fields in self.candidates(kind, given, own, inputs):
                try:
                    facts = construct(kind, fields).infer(shapes)
                except ValueError:
                    continue
                if tuple(facts.output) != result.shape[1:]:
                    continue
                if not own and (facts.params or facts.buffers):
                    continue
                prefixes = {one.own.rpartition(".")[0] for one in own.values()}
                if own and len(prefixes) > 1:
                    raise Unsayable(f"`{name}` with parameters of several modules")
                prefix = next(iter(prefixes), "")
                names = {one.own.rpartition(".")[2]: one.shape for one in own.values()}
                ours = {**facts.params, **facts.buffers}
                counter = "num_batches_tracked"
                if {k: tuple(v) for k, v in ours.items() if k != counter} != names:
                    continue
                use = Use(kind.__name__, tidy(kind, fields))
                node = Node(use, inputs, result, prefix, place=self.place, owns=bool(own))
                self.nodes.append(node)
                return
        raise Unsayable(f"`{name}` as it is used here")

    def of_parameters(
        self, name: str, kinds: Sequence[type[Layer]], given: Mapping[str, Any], result: Value
    ) -> None:
        """Say a function of parameters alone, which has no batch."""
        inputs = [*tensors([*given.values()])]
        shapes = tuple(one.shape for one in inputs)
        for kind in kinds:
            for fields in self.candidates(kind, given, {}, inputs):
                try:
                    facts = construct(kind, fields).infer_shared(shapes, [False] * len(inputs))
                except ValueError:
                    continue
                if tuple(facts.output) == result.shape and not facts.params and not facts.batched:
                    use = Use(kind.__name__, tidy(kind, fields))
                    self.nodes.append(Node(use, inputs, result, place=self.place))
                    return
        raise Unsayable(f"`{name}` of parameters")

    def candidates(
        self, kind: type[Layer], given: Mapping[str, Any], own: Mapping[str, Value], inputs: Any
    ) -> Any:
        """Yield arguments for a layer: those given by name, and for others what sizes suggest."""
        fields: dict[str, Any] = {}
        unknown: dict[str, list[Any]] = {}
        weights = [size for value in own.values() for size in value.shape]
        kernels = [tuple(value.shape[2:]) for value in own.values() if len(value.shape) > 2]
        surplus = [
            name
            for name, value in given.items()
            if name not in kind.model_fields
            and not isinstance(value, Value)
            and name not in HOW
            and name not in ("normalized_shape", "num_groups")
            and not (isinstance(value, list) and any(True for _ in tensors(value)))
            and value not in (None, False)
        ]
        if surplus:
            return
        for name, one in kind.model_fields.items():
            value = given.get(name)
            if isinstance(value, list):
                value = tuple(value)
            if name == "bias":
                value = isinstance(given.get("bias"), Value)
            if name in given or name == "bias":
                try:
                    fields[name] = one.check(value)
                    continue
                except ValueError:
                    pass
            trials = [] if one.is_required() else [one.default]
            trials += [*weights, *kernels, *(v for v in given.values() if isinstance(v, int))]
            if not one.is_required() and isinstance(one.default, bool):
                trials = [one.default, not one.default]
            elif not one.is_required() and name not in ("axes", "num_parameters"):
                trials = [one.default]
            elif name in ("axes",):
                trials = [1, 2, 3, 4]
            found: list[Any] = []
            for trial in trials:
                try:
                    checked = one.check(trial)
                except ValueError:
                    continue
                if checked not in found:
                    found.append(checked)
            unknown[name] = found
        for number, values in enumerate(product(*unknown.values())):
            if number > MOST_TRIALS:
                return
            yield fields | dict(zip(unknown, values, strict=True))


def tidy(kind: type[Layer], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that differ from a layer's defaults, as the layer takes them."""
    try:
        made = construct(kind, arguments)
    except (ValueError, TypeError) as error:
        raise Unsayable(f"{kind.__name__}: {error}") from None
    kept: dict[str, Any] = {
        name: getattr(made, name)
        for name, one in kind.model_fields.items()
        if one.is_required() or getattr(made, name) != one.default
    }
    return squeezed(kind, kept)


def bound(function: Any, arguments: list[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name; of a function that shows none by position."""
    try:
        names = list(inspect.signature(function).parameters)
    except (ValueError, TypeError):
        names = []
    if not names or names[0] in ("args", "self"):
        layers = kinds_of(getattr(function, "__name__", ""))
        names = ["input", *(layers[0].model_fields if layers else ())]
    pairs: dict[str, Any] = {}
    for number, value in enumerate(arguments):
        pairs[names[number] if number < len(names) else f"argument{number}"] = value
    return pairs | dict(named)
