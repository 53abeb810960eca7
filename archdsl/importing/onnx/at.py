"""What an operator's entry gets: the node, what comes in, and the ways to say what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from archdsl.importing.numbers import by_place
from archdsl.importing.onnx.reading import OnnxFile, OnnxNode

MOST_LISTED = 64  # numbers that are computed of constants, and listed where no formula is found
MOST_GIVEN = 2**16  # numbers that say how a node works
MOST_NUMBERS = 2**28  # in a tensor that is computed
LARGEST = 3.4e38  # stands for infinity in 32 bits, which the language hasn't
Array = np.ndarray[Any, Any]
Entry = Callable[..., Any]
Given = torch.Tensor | Array | None  # what flows, what is known before, and what is left out


KINDS = {
    1: torch.float32,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    11: torch.float64,
}  # of ONNX by their numbers


class Missing(Exception):
    """What a node does has no words, or can't be followed."""


class TooLarge(Exception):
    """A node makes a tensor of more numbers than are computed."""


def require_size(shape: Sequence[int]) -> None:
    """Refuse to make a tensor that is too large, or of no size at all."""
    if any(size < 0 for size in shape) or prod(shape) > MOST_NUMBERS:
        raise TooLarge(f"a tensor of {'x'.join(map(str, shape))} numbers")


class Run(Protocol):
    """What knows all nodes of a file while they are computed.

    Attributes:
        values: by name what was given or computed so far.
        readers: by name the nodes that read a value.
        names: by identity the names of the tensors that the file holds.
        follows: identities of known values that follow from the sizes of what comes in.
        done: nodes whose result another one gives.
        wholes: by name a tensor of which the named one is but another shape.
        shapes: by name the shapes for the file's own batch.
        building: whether it runs on the meta device, and makes layers where it meets them.
        batch, now: the file's own batch, 0 if it has none, and the one that there is.
    """

    file: OnnxFile
    values: dict[str, Any]
    readers: dict[str, list[OnnxNode]]
    names: dict[int, str]
    follows: set[int]
    done: set[OnnxNode]
    shapes: dict[str, tuple[int, ...]]
    wholes: dict[str, torch.Tensor]
    building: bool
    batch: int
    now: int

    def layer(
        self, at: At, make: Callable[[], nn.Module], weights: Mapping[str, Array]
    ) -> nn.Module:
        """Return the module of a node."""

    def parameter(self, at: At, value: Array) -> torch.Tensor:
        """Return a tensor of the network's own."""

    def row(self, value: Array) -> Array:
        """Return the first row of known numbers, under their name."""

    def spend_constants(self, numbers: int) -> None:
        """Refuse to compute more of constants in one pass than a file of its size needs."""


class At:
    """A node while it is computed."""

    def __init__(self, node: OnnxNode, root: Run, home: nn.Module, label: str, known: bool) -> None:
        self.node, self.root, self.home, self.label = node, root, home, label
        self.known = known  # whether nothing of what comes in flows
        self.opset = root.file.opset
        self.gives: Sequence[str] = node.outputs  # names for what it gives
        self.own = 0  # parameters of the network's own so far
        self.asked: set[str] = set()  # names of the attributes that its entry looked at

    def reader(self, op: str) -> OnnxNode | None:
        """Return the node that reads the first output, if it is but one and of an operator."""
        name = self.node.outputs[0]
        readers = self.root.readers.get(name, ())
        if len(readers) != 1 or readers[0].op != op or name in self.root.file.outputs:
            return None
        return readers[0]

    def with_reader(self, node: OnnxNode) -> None:
        """Compute another node, which reads what this one gives, together with it."""
        self.gives = node.outputs
        self.root.done.add(node)

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, and note that it was looked at."""
        self.asked.add(name)
        return self.node.attributes.get(name, default)

    def beside(self, node: OnnxNode) -> Array | None:
        """Return what is known before of the two inputs of a node that reads this one."""
        values = [self.root.values.get(name) for name in node.inputs]
        return next((one for one in values if isinstance(one, np.ndarray)), None)

    @property
    def factor(self) -> int:
        """By how much the batch is larger than the one that the file has a number for."""
        return self.root.now // self.root.batch if self.root.batch else 1

    def shape_before(self, place: int) -> tuple[int, ...] | None:
        """Return the shape that an input has for the file's own batch."""
        return self.root.shapes.get(self.node.inputs[place])

    def batch_axis(self, x: torch.Tensor) -> int | None:
        """Return the axis of the first input that grew with the batch, if one did."""
        before = self.shape_before(0)
        if before is None or len(before) != x.dim():
            return None
        pairs = enumerate(zip(before, x.shape, strict=True))
        return next((axis for axis, (was, now) in pairs if was != now), None)

    def is_from_sizes(self, value: Given) -> bool:
        """Tell whether what is known follows from the sizes of what comes in."""
        return id(value) in self.root.follows

    def from_sizes(self, array: Array) -> Array:
        """Return known numbers, and note that they follow from the sizes of what comes in."""
        if not self.known:
            self.root.follows.add(id(array))
        return array

    # --- what is known --------------------------------------------------------------------------

    def numbers(self, value: Given, what: str) -> list[Any]:
        """Return known numbers.

        Raises:
            Missing: they follow from what comes into the network.
        """
        if isinstance(value, torch.Tensor) and not self.known:
            raise Missing(f"`{self.node.op}` whose {what} follow from what comes in")
        if value is None:
            raise Missing(f"`{self.node.op}` without its {what}")
        count = prod(value.shape)
        if count > MOST_GIVEN:
            raise Missing(f"`{self.node.op}` whose {what} are {count:,} numbers")
        return [*value.reshape(-1).tolist()]

    def optional(self, value: Given, what: str) -> list[Any] | None:
        """Return known numbers, or None if there are none."""
        return None if value is None else self.numbers(value, what)

    def one(self, value: Given, what: str, default: Any = None) -> Any:
        """Return a known number."""
        if value is None:
            return default
        found = self.numbers(value, what)
        if len(found) != 1:
            raise Missing(f"`{self.node.op}` whose {what} is {len(found)} numbers")
        return found[0]

    def axes(self, value: Given, name: str = "axes") -> list[int] | None:
        """Return axes, which later opsets take as an input and earlier ones as an attribute."""
        if value is not None:
            return self.numbers(value, name)
        given = self.get(name)
        return None if given is None else [*given]

    def axis(self, axis: int, rank: int) -> int:
        """Return an axis counted from the front.

        Raises:
            ValueError: there is no such axis.
        """
        if not -rank <= axis < rank:
            raise ValueError(f"it names axis {axis} of {rank}")
        return axis % rank

    # --- what flows -----------------------------------------------------------------------------

    def tensor(self, value: Given) -> torch.Tensor:
        """Return a value as a tensor: what is known is a parameter or a constant then."""
        if isinstance(value, torch.Tensor):
            return value
        if value is None:
            raise Missing(f"`{self.node.op}` without one of its inputs")
        if self.is_parameter(value):
            return self.root.parameter(self, value)
        value = self.finite(value)
        if self.root.building:
            return torch.empty(value.shape, dtype=torch.from_numpy(value).dtype, device="meta")
        return torch.tensor(value)

    def for_each_sample(self, value: Given) -> Given:
        """Return one row of known numbers that have an equal row for each sample of the file's.

        Exporters repeat what is the same for all samples, as a token of a class, for their batch.
        """
        batch = self.root.batch
        if not isinstance(value, np.ndarray) or self.known or batch < 2:
            return value
        if value.ndim < 2 or value.shape[0] != batch or bool((value != value[:1]).any()):
            return value
        return self.root.row(value)

    def finite(self, value: Array) -> Array:
        """Return known numbers with a very large one in the place of infinity, as in masks.

        Raises:
            ValueError: there is something that is no number among them.
        """
        if value.dtype.kind != "f" or self.known or bool(np.isfinite(value).all()):
            return value
        if np.isnan(value).any():
            raise ValueError("it takes NaN, which is no number")
        return np.clip(value, -LARGEST, LARGEST)

    def is_parameter(self, value: Array) -> bool:
        """Tell whether known numbers are the file's weights, and follow from no sizes."""
        if value.dtype.kind != "f" or value.size < 2 or id(value) in self.root.follows:
            return False
        if bool(np.isinf(value).any()):
            return False  # a mask
        if id(value) in self.root.names:
            return True
        same = bool((value == value.flat[0]).all())
        return same or (value.size > MOST_LISTED and not by_place(torch.from_numpy(value)))

    def operand(self, value: Given, other: Given) -> Any:
        """Return one of two values that are joined element by element: one number is a number."""
        if not isinstance(value, np.ndarray) or not isinstance(other, torch.Tensor):
            return self.tensor(value)
        if value.size == 1 and value.ndim <= other.dim():
            one = self.finite(value).item()
            return number(one) if value.dtype == np.float32 else one
        return self.tensor(value)

    # --- layers ---------------------------------------------------------------------------------

    def layer(
        self,
        make: Callable[..., nn.Module],
        *arguments: Any,
        weights: Mapping[str, Array] | None = None,
        **named: Any,
    ) -> nn.Module:
        """Return a module of torch with the file's weights: the same one at each pass."""
        if self.known:
            raise Missing(f"`{self.node.op}` of what is known before")
        return self.root.layer(self, lambda: make(*arguments, **named), weights or {})

    def array(self, value: Given, what: str) -> Array:
        """Return known weights.

        Raises:
            Missing: they are computed of what comes in.
        """
        if not isinstance(value, np.ndarray):
            raise Missing(f"`{self.node.op}` whose {what} is computed of what comes in")
        return value

    def spread(self, value: Given, shape: Sequence[int], what: str) -> Array:
        """Return known weights, repeated to a shape."""
        array = self.array(value, what)
        self.root.spend_constants(prod(shape))
        return np.broadcast_to(array, tuple(shape)).copy()


def number(value: float) -> float:
    """Return a number that was stored in 32 bits as it was written: 0.1, not 0.10000000149."""
    found = float(np.format_float_positional(np.float32(value), unique=True))
    return found if np.float32(found) == np.float32(value) else value


def entering(entries: dict[str, Entry]) -> Callable[..., Callable[[Entry], Entry]]:
    """Return a decorator that enters what operators become, by their names."""

    def operator(*names: str) -> Callable[[Entry], Entry]:
        def enter(entry: Entry) -> Entry:
            for name in names:
                entries[name] = entry
            return entry

        return enter

    return operator
