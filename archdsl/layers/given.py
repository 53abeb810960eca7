"""Layers whose parameters are tensors that come in: computed weights, and constant ones.

Such a layer is of the same kind as ever, with the same arguments, facts and pictures. It has no
module in torch, whose function it calls with the tensors (`Layer.functional`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from archdsl.layers.agreeing import agree
from archdsl.layers.base import (
    Dtype,
    Facts,
    Layer,
    LayerError,
    Shapes,
    TorchFunction,
    TorchTensor,
    WrongDtype,
    shown_shape,
)

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor


class Given(Layer):
    """What a layer does whose parameters come in; mixed in before the class of its kind."""

    _kind: ClassVar[type[Layer]]
    _names: ClassVar[tuple[str, ...]]

    def __reduce__(self) -> tuple[object, ...]:
        return _made, (self._kind, self._names, vars(self))

    def infer(self, inputs: Shapes) -> Facts:
        return self.infer_shared(inputs, [True] * len(inputs))

    def infer_shared(self, inputs: Shapes, batched: Sequence[bool]) -> Facts:
        names = self._names
        first = len(inputs) - len(names)
        own, kinds = inputs[:first], batched[:first]
        plain = self._kind(**vars(self))
        facts = plain.infer(own) if all(kinds) else plain.infer_shared(own, kinds)
        require_given(facts, names)
        function = self.functional()
        if function is None or facts.buffers:
            raise LayerError(
                f"takes no `{names[0]}` that is computed",
                help="linear maps, convolutions that are padded with zeros, `Embedding`, "
                "`LayerNorm`, `GroupNorm` and `RMSNorm` do",
            )
        require_all_given(facts, names)
        pairs = []
        for at, name in enumerate(names, start=first):
            if batched[at]:
                raise LayerError(
                    f"takes a `{name}` that all samples share, and this one is another for each"
                )
            wanted, found = facts.params[name], inputs[at]
            if len(wanted) != len(found) or not all(map(agree, wanted, found)):
                shapes = f"{shown_shape(wanted)}, and this is {shown_shape(found)}"
                raise LayerError(f"takes a `{name}` of {shapes}")
            pairs += [pair for pair in zip(wanted, found, strict=True) if pair[0] != pair[1]]
            function = function.replace(f"{{{name}}}", f"{{{at}}}")
        torch = TorchFunction(function, overwritable=_overwritable(facts))
        return facts._replace(
            torch=torch, params={}, arithmetic="", agreements=(*facts.agreements, *pairs)
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        names = self._names
        first = len(inputs) - len(names)
        torch.own = dict(zip(names, inputs[first:], strict=True))
        return super().trained(torch, *inputs[:first])

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        names = self._names
        first = len(inputs) - len(names)
        for at, held in enumerate(inputs[first:], start=first):
            if held != "float":
                raise WrongDtype(at, f"takes a `{names[at - first]}` of floats")
        return super().dtype(inputs[:first])


@cache
def with_given(kind: type[Layer], names: tuple[str, ...]) -> type[Layer]:
    """Return a kind of layer whose parameters of those names come in after its other inputs."""
    said = {
        "_kind": kind, "_names": names, "__doc__": kind.__doc__, "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
    }  # fmt: skip
    return type(kind.__name__, (Given, kind), said)


def require_given(facts: Facts, names: Sequence[str]) -> None:
    """Refuse tensors for parameters that a layer doesn't have.

    Raises:
        LayerError: it has none of a name.
    """
    for name in names:
        if name not in facts.params:
            quoted = " and ".join(f"`{each}`" for each in facts.params)
            hint = f"its parameters here are {quoted}" if quoted else "it has no parameters here"
            raise LayerError(f"has no parameter `{name}`", help=hint)


def require_all_given(facts: Facts, names: Sequence[str]) -> None:
    """Refuse a layer that would have parameters of its own beside those that come in.

    Raises:
        LayerError: it would.
    """
    for name, shape in facts.params.items():
        if name not in names:
            sizes = ", ".join(map(str, shape))
            off = "`bias = false` leaves it out, or " if name == "bias" else ""
            raise LayerError(
                f"is given its `{names[0]}`, and would have a `{name}` of its own",
                help=f"{off}give it as well: `parameter {name}: [{sizes}]` and `{name} = from "
                f"{name}`",
            )


def _overwritable(facts: Facts) -> bool:
    return not isinstance(facts.torch, TorchTensor) and facts.torch.overwritable


def _made(kind: type[Layer], names: tuple[str, ...], arguments: dict[str, object]) -> Layer:
    return with_given(kind, names)(**arguments)
