"""Arithmetic, comparisons and choices of several tensors, element by element.

Axes of size 1 are spread, as in merges. Under `other` stands one operation for each number of the
result, as "elementwise". Comparisons give booleans, such as masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar

from archdsl.layers.arguments import NUMBER, Number, optional
from archdsl.layers.base import (
    ANY,
    DTYPES,
    TO_FLOATS,
    Dtype,
    Example,
    Facts,
    LayerError,
    Shapes,
    TorchFunction,
    WrongDtype,
    dtypes,
    several,
    widest,
)
from archdsl.layers.functions import elementwise
from archdsl.layers.merge import Elementwise

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor


class Pair(Elementwise):
    """A function of two tensors, element by element."""

    family = "arithmetic"
    merges = False
    function: ClassVar[str]

    def infer(self, inputs: Shapes) -> Facts:
        facts = super().infer(several(inputs, least=2, most=2))
        expression = f"torch.{self.function}({{0}}, {{1}})"
        return facts._replace(torch=TorchFunction(expression, overwritable=True))

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.pointwise(inputs, saves=inputs)


class Div(Pair):
    """The first tensor divided by the second."""

    takes = TO_FLOATS
    function = "div"
    elsewhere = (("divide", "Div"), ("truediv", "Div"))
    examples = (Example({}, inputs=((3, 4, 4), (3, 1, 1)), output=(3, 4, 4)),)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.div(*inputs)


class Maximum(Pair):
    """The larger of two numbers at each place."""

    takes = dtypes(bool="bool", int="int", float="float")
    function = "maximum"
    examples = (Example({}, inputs=((3, 4), (3, 4)), output=(3, 4)),)


class Minimum(Pair):
    """The smaller of two numbers at each place."""

    takes = dtypes(bool="bool", int="int", float="float")
    function = "minimum"
    examples = (Example({}, inputs=((3, 4), (1, 4)), output=(3, 4)),)


class Comparison(Pair):
    """Booleans that say of each place of two tensors, or of one and a number, how they compare."""

    takes = dtypes(bool="bool", int="bool", float="bool")

    number: Annotated[float | None, optional(NUMBER)] = None

    def infer(self, inputs: Shapes) -> Facts:
        if self.number is not None:
            return elementwise(inputs, f"torch.{self.function}({{0}}, {self.number})", True)
        if len(inputs) == 1:
            raise LayerError(
                "compares two tensors, or one with a number",
                help=f"`{type(self).__name__}(0)`, or hand it two with `from a, b`",
            )
        return super().infer(inputs)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        found = torch.pointwise(inputs, width=1)
        found.needs_grad = False
        return found


class Greater(Comparison):
    """Whether the first tensor is greater than the second, or than a number."""

    function = "gt"
    elsewhere = (("gt", "Greater"),)
    examples = (
        Example({}, inputs=((3, 4), (1, 4)), output=(3, 4)),
        Example({"number": 0}, inputs=((3, 4),), output=(3, 4)),
    )


class GreaterEqual(Comparison):
    """Whether the first tensor is greater than the second, or than a number, or equal to it."""

    function = "ge"
    elsewhere = (("ge", "GreaterEqual"),)
    examples = (
        Example({}, inputs=((3, 4), (3, 4)), output=(3, 4)),
        Example({"number": 0.5}, inputs=((3, 4),), output=(3, 4)),
    )


class Less(Comparison):
    """Whether the first tensor is less than the second, or than a number."""

    function = "lt"
    elsewhere = (("lt", "Less"),)
    examples = (
        Example({}, inputs=((3, 4), (3, 4)), output=(3, 4)),
        Example({"number": 0.5}, inputs=((3, 4),), output=(3, 4)),
    )


class LessEqual(Comparison):
    """Whether the first tensor is less than the second, or than a number, or equal to it."""

    function = "le"
    elsewhere = (("le", "LessEqual"),)
    examples = (
        Example({}, inputs=((4, 1), (1, 4)), output=(4, 4)),
        Example({"number": 0}, inputs=((3, 4),), output=(3, 4)),
    )


class Equal(Comparison):
    """Whether the first tensor is equal to the second, or to a number."""

    takes = dtypes(bool="bool", int="bool", float="bool", complex="bool")
    function = "eq"
    elsewhere = (("eq", "Equal"),)
    examples = (
        Example({}, inputs=((4, 1), (1, 4)), output=(4, 4)),
        Example({"number": 0}, inputs=((3, 4),), output=(3, 4)),
    )


class NotEqual(Comparison):
    """Whether the first tensor differs from the second, or from a number: `NotEqual(0)` is a mask
    of the tokens that are no padding.
    """

    takes = dtypes(bool="bool", int="bool", float="bool", complex="bool")
    function = "ne"
    elsewhere = (("ne", "NotEqual"),)
    examples = (
        Example({}, inputs=((3, 4), (3, 4)), output=(3, 4)),
        Example({"number": 0}, inputs=((3, 4),), output=(3, 4)),
    )


class Where(Elementwise):
    """The second tensor where the first, of booleans, is true, and elsewhere the third."""

    family = "arithmetic"
    merges = False
    takes = ANY
    wants = MappingProxyType({0: "bool"})
    examples = (
        Example(
            {},
            inputs=((3, 4), (3, 4), (3, 1)),
            output=(3, 4),
        ),
    )

    def infer(self, inputs: Shapes) -> Facts:
        facts = super().infer(several(inputs, least=3, most=3))
        return facts._replace(
            torch=TorchFunction("torch.where({0}, {1}, {2})", overwritable=True),
            other={"elementwise": facts.other["elementwise"] // 2},  # one choice for each number
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        width = max(x.width for x in inputs[1:])
        return torch.pointwise(inputs, saves=inputs[:1], width=width)

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        require_booleans(inputs, 0, "a condition")
        return widest(inputs[1:])


class MaskedFill(Elementwise):
    """The first tensor with `value` at each place where the second, of booleans, is true."""

    family = "arithmetic"
    merges = False
    takes = dtypes(float="float", bool="float")
    wants = MappingProxyType({1: "bool"})
    examples = (
        Example(
            {"value": -1e9},
            inputs=((3, 4), (1, 4)),
            output=(3, 4),
        ),
    )

    value: Number

    def infer(self, inputs: Shapes) -> Facts:
        facts = super().infer(several(inputs, least=2, most=2))
        if len(facts.output) == len(inputs[0]) and any(
            size == 1 != wanted for size, wanted in zip(inputs[0], facts.output, strict=True)
        ):
            raise LayerError("has a mask of more places than the tensor that it fills")
        expression = f"{{0}}.masked_fill({{1}}, {self.value})"
        return facts._replace(torch=TorchFunction(expression, overwritable=True))

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.result(inputs, torch.output, saves=inputs[1:], width=inputs[0].width)

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        if inputs[0] != "float":
            raise WrongDtype(0, "fills a tensor of floats")
        require_booleans(inputs, 1, "a mask")
        return "float"


def require_booleans(inputs: Sequence[Dtype], at: int, noun: str) -> None:
    """Refuse what is no tensor of booleans.

    Raises:
        WrongDtype: it holds something else.
    """
    if inputs[at] != "bool":
        raise WrongDtype(
            at, f"takes {noun} of booleans, as `Greater(0)` makes of {DTYPES[inputs[at]]}"
        )
