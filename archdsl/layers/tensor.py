"""Tensors that no layer computes: the inputs of a network, and those that it owns itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from archdsl.layers.arguments import FLAG, SIZE, each
from archdsl.layers.base import (
    Dtype,
    Facts,
    Kind,
    Layer,
    LayerError,
    Shape,
    Shapes,
    TorchFunction,
    TorchTensor,
    widest,
)
from archdsl.layers.reshape import size_text
from archdsl.layers.sizes import Formula, Size
from archdsl.layers.traced import Followed, joined

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

SHAPE = Kind("a list of positive integers", each(SIZE.check))


# Where a tensor's values come from, with the arguments that torch.nn.init takes and their defaults.
DISTRIBUTIONS: dict[str, dict[str, float]] = {
    "normal": {"mean": 0.0, "std": 1.0},
    "uniform": {"low": 0.0, "high": 1.0},
    "trunc_normal": {"mean": 0.0, "std": 1.0, "low": -2.0, "high": 2.0},
}


@dataclass(frozen=True, slots=True)  # no record: a tuple would be a list of values
class Distribution:
    """Random first values: the name of a distribution and the arguments given for it."""

    name: str
    arguments: tuple[tuple[str, float], ...] = ()


class InputTensor(Layer):
    """An input of the network, or what flows where nothing was computed yet."""

    family = "tensor"
    word = "input"

    shape: Annotated[tuple[Size, ...], SHAPE]

    def infer(self, inputs: Shapes) -> Facts:
        return Facts(output=self.shape, torch=TorchTensor("", learnable=False))

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        return "float"  # unless what reads it needs something else (`archdsl/dtypes.py`)


@dataclass(frozen=True, slots=True)
class Formulas:
    """Numbers by a formula of their place: torch's text for it, with a hole for each free size.

    Attributes:
        parts: the text, with the free sizes that stand in it, and the numbers that are followed.
        dtype: what it holds.
        reached: integers that are surely among them, the smallest and largest that are known.
    """

    parts: tuple[str | Formula | Followed, ...]
    dtype: Dtype
    reached: tuple[Size, ...] = ()


class OwnTensor(Layer):
    """A tensor of the module's own: learnable (`parameter`) or not (`buffer`, `constant`).

    `value` is what it holds at first: a number, a nested list of as many, a distribution, or
    formulas. What isn't `stored` always holds that, and is not in the state_dict. Where its size is
    that of a tensor that flows, it is computed in each forward pass, and reads that tensor's shape.
    """

    family = "tensor"
    word = "parameter"
    buffers_move = False

    shape: Annotated[tuple[Size, ...], SHAPE]
    value: object = 0.0
    learnable: Annotated[bool, FLAG] = True
    batched: Annotated[bool, FLAG] = False
    stored: Annotated[bool, FLAG] = True

    def infer(self, inputs: Shapes) -> Facts:
        if inputs:
            return self.computed(inputs[0])
        stored = (1, *self.shape) if self.batched else self.shape
        held = {"": stored}
        # a leading 1 stands for the batch, as in the class token of a vision transformer
        if isinstance(self.value, Formulas):
            parts = [str(p) if isinstance(p, Formula) else p for p in self.value.parts]
            text = joined(["(", *parts, ")[None]"] if self.batched else parts)
        else:
            text = initial(stored, self.value, self.dtype(()))
        return Facts(
            output=self.shape,
            torch=TorchTensor(
                text,
                self.learnable,
                "{tensor}.expand({batch}, " + ", ".join(["-1"] * len(self.shape)) + ")"
                if self.batched
                else "{tensor}",
                self.stored,
            ),
            params=held if self.learnable else {},
            buffers={} if self.learnable or not self.stored else held,
            # no place of it comes of a place of an input
            windows="global",
            batched=self.batched,
        )

    def computed(self, example: Shape) -> Facts:
        """Return the facts where sizes are those of a tensor that flows.

        Raises:
            LayerError: a size is none of that tensor's.
        """
        assert isinstance(self.value, Formulas)
        texts: list[str | Followed] = []
        for part in self.value.parts:
            text = size_text(part, example) if isinstance(part, Formula) else part
            if text is None:
                raise LayerError(f"has a size {part}, which is none of what flows here")
            texts.append(text)
        return Facts(
            output=self.shape,
            torch=TorchFunction(joined(texts), overwritable=True),
            windows="global",
            shape_only=(0,),
            batched=False,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        held = torch.own.get("")
        if held is None:  # a constant: the module's as well, unless it is made in the forward pass
            width = {"bool": 1, "int": 8}.get(self.dtype(()), torch.width)
            shape = (1, *torch.output[1:]) if self.batched else torch.output
            held = torch.new(shape, width, own=not inputs)
        return torch.expand(held, torch.output) if self.batched else held

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        if isinstance(self.value, Formulas) and not self.learnable:
            return self.value.dtype
        return "float" if self.learnable else held(self.value)


def held(value: object) -> Dtype:
    """Return what a tensor of some first values holds, as `torch.tensor` makes it of them.

    Integers alone make it one of integers; one number with a point makes floats of all.
    """
    if isinstance(value, tuple):
        return widest([held(item) for item in value])
    if isinstance(value, bool):
        return "bool"
    return "int" if isinstance(value, int) else "float"


def numbers(value: object) -> list[int]:
    """Return the integers among first values, in lists nested as a tensor is.

    Of numbers by a formula they are those that it is known to reach.
    """
    if isinstance(value, Formulas):
        return [number for number in value.reached if isinstance(number, int)]
    if isinstance(value, tuple):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, int) else []


def initial(shape: Shape, value: object, dtype: Dtype) -> str:
    """Return the torch expression that makes a tensor of that shape with its first values."""
    size = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    sizes = f"({', '.join(map(str, shape)) or '()'})"  # as arguments
    if isinstance(value, Distribution):
        given = DISTRIBUTIONS[value.name] | dict(value.arguments)
        if value.name == "normal":
            return f"torch.empty{sizes}.normal_({given['mean']!r}, {given['std']!r})"
        if value.name == "uniform":
            return f"torch.empty{sizes}.uniform_({given['low']!r}, {given['high']!r})"
        arguments = ", ".join(repr(given[name]) for name in ("mean", "std", "low", "high"))
        return f"nn.init.trunc_normal_(torch.empty{sizes}, {arguments})"
    if isinstance(value, tuple):
        kind = ", dtype=torch.float32" if dtype == "float" else ""  # else it is as torch takes it
        fitted = "" if _sizes(value) == shape else f".reshape{sizes}"
        return f"torch.tensor({_listed(value)}{kind}){fitted}"
    if dtype != "float":
        return f"torch.full({size}, {value!r})"
    assert isinstance(value, int | float)
    # as people write it
    if value in (0, 1):
        return f"torch.{'ones' if value else 'zeros'}{sizes}"
    return f"torch.full({size}, {float(value)!r})"


def _sizes(value: object) -> Shape:
    """Return the shape that lists of equal lengths are nested as."""
    return (len(value), *_sizes(value[0])) if isinstance(value, tuple) else ()


def _listed(value: object) -> object:
    return list(map(_listed, value)) if isinstance(value, tuple) else value
