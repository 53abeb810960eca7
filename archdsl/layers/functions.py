"""Functions of each number by itself.

Under `other` stands, as "elementwise", one operation for each number; a clamp has one a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from archdsl.layers.arguments import NUMBER, Number, optional
from archdsl.layers.base import (
    ANY,
    TO_FLOATS,
    Dtype,
    Example,
    Facts,
    Layer,
    LayerError,
    Shapes,
    TorchFunction,
    WrongDtype,
    dtypes,
    numel,
    single,
    widest,
)


class Function(Layer):
    """A function of each number by itself, without arguments."""

    family = "arithmetic"
    function: ClassVar[str]
    overwritable: ClassVar[bool] = True  # its gradient follows from what came in
    keeps = "input"

    def infer(self, inputs: Shapes) -> Facts:
        return elementwise(inputs, f"torch.{self.function}({{0}})", self.overwritable)


def elementwise(inputs: Shapes, expression: str, overwritable: bool) -> Facts:
    """Return the facts of what takes one operation for each number."""
    shape = single(inputs)
    function = TorchFunction(expression, overwritable=overwritable)
    return Facts(output=shape, torch=function, other={"elementwise": numel(shape)}, apart=True)


class Abs(Function):
    """Absolute value."""

    takes = dtypes(int="int", float="float", complex="float")
    function = "abs"
    examples = (Example({}, inputs=((3, 4),), output=(3, 4)),)


class Square(Function):
    """Square."""

    takes = dtypes(bool="int", int="int", float="float", complex="complex")
    function = "square"
    examples = (Example({}, inputs=((3, 4),), output=(3, 4)),)


class Sqrt(Function):
    """Square root; of a negative number NaN."""

    takes = TO_FLOATS
    function = "sqrt"
    overwritable = False  # its gradient is 1 / (2 y)
    keeps = "output"
    examples = (Example({}, inputs=((3, 4),), output=(3, 4)),)


class Exp(Function):
    """The exponential function."""

    takes = TO_FLOATS
    function = "exp"
    overwritable = False  # it is its own gradient
    keeps = "output"
    examples = (Example({}, inputs=((3, 4),), output=(3, 4)),)


class Log(Function):
    """Natural logarithm; of a negative number NaN."""

    takes = TO_FLOATS
    function = "log"
    examples = (Example({}, inputs=((3, 4),), output=(3, 4)),)


class Rsqrt(Function):
    """One by the square root; of a negative number NaN."""

    takes = TO_FLOATS
    function = "rsqrt"
    overwritable = False  # its gradient is -y^3 / 2
    keeps = "output"
    examples = (Example({}, inputs=((3, 4),), output=(3, 4)),)


class Reciprocal(Function):
    """One by the number."""

    takes = TO_FLOATS
    function = "reciprocal"
    overwritable = False  # its gradient is -y^2
    keeps = "output"
    elsewhere = (("inverse", "Reciprocal"),)
    examples = (Example({}, inputs=((3, 4),), output=(3, 4)),)


class Sin(Function):
    """Sine."""

    takes = TO_FLOATS
    function = "sin"
    examples = (Example({}, inputs=((3, 4),), output=(3, 4)),)


class Cos(Function):
    """Cosine."""

    takes = TO_FLOATS
    function = "cos"
    examples = (Example({}, inputs=((3, 4),), output=(3, 4)),)


class Neg(Function):
    """The number with its sign turned."""

    takes = dtypes(int="int", float="float", complex="complex")
    function = "neg"
    keeps = ""
    examples = (Example({}, inputs=((3, 4),), output=(3, 4)),)


class Scale(Layer):
    """Every number times a constant factor, as in the residual branches of Inception-ResNet."""

    family = "arithmetic"
    takes = ANY
    examples = (Example({"factor": 0.17}, inputs=((3, 4, 4),), output=(3, 4, 4)),)

    factor: Number
    keeps = ""

    def infer(self, inputs: Shapes) -> Facts:
        return elementwise(inputs, f"{{0}} * {self.factor}", overwritable=True)

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        # a number of Python makes floats of integers, and integers of booleans
        return widest([*inputs, "int" if isinstance(self.factor, int) else "float"])


class Shift(Layer):
    """Every number plus a constant amount."""

    family = "arithmetic"
    takes = ANY
    keeps = ""
    elsewhere = tuple((name, "Shift(amount)") for name in ("addconstant", "addscalar", "offset"))
    examples = (Example({"amount": 0.5}, inputs=((3, 4, 4),), output=(3, 4, 4)),)

    amount: Number

    def infer(self, inputs: Shapes) -> Facts:
        # torch subtracts nothing from booleans, but adds what is negative
        first, sign = (self.amount, "{0}") if self.amount < 0 else ("{0}", self.amount)
        return elementwise(inputs, f"{first} + {sign}", overwritable=True)

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        return widest([*inputs, "int" if isinstance(self.amount, int) else "float"])


class Pow(Layer):
    """Every number raised to a power."""

    family = "arithmetic"
    takes = dtypes(bool="int", int="int", float="float", complex="complex")
    keeps = "input"
    elsewhere = (("power", "Pow(exponent)"),)
    examples = (Example({"exponent": 3}, inputs=((3, 4),), output=(3, 4)),)

    exponent: Number

    def infer(self, inputs: Shapes) -> Facts:
        return elementwise(inputs, f"torch.pow({{0}}, {self.exponent})", overwritable=True)

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        given = super().dtype(inputs)
        whole = isinstance(self.exponent, int)
        if given == "int" and whole and self.exponent < 0:
            raise WrongDtype(0, f"raises to the power of {self.exponent}, so it takes floats")
        return given if whole else widest([given, "float"])


class Clamp(Layer):
    """min(max(x, `min`), `max`): every number brought between two bounds, or one of them."""

    family = "arithmetic"
    takes = dtypes(bool="int", int="int", float="float")
    keeps = "input"
    elsewhere = (("clip", "Clamp(min, max)"), ("clipbyvalue", "Clamp(min, max)"))
    examples = (
        Example({"min": 0, "max": 1}, inputs=((3, 4),), output=(3, 4)),
        Example({"min": 1e-6}, inputs=((3, 4),), output=(3, 4)),
    )

    min: Annotated[float | None, optional(NUMBER)] = None
    max: Annotated[float | None, optional(NUMBER)] = None

    def infer(self, inputs: Shapes) -> Facts:
        bounds = {"min": self.min, "max": self.max}
        given = [f"{name}={value}" for name, value in bounds.items() if value is not None]
        if not given:
            raise LayerError("needs `min` or `max`")
        facts = elementwise(inputs, f"torch.clamp({{0}}, {', '.join(given)})", overwritable=True)
        return facts._replace(other={"elementwise": len(given) * numel(facts.output)})

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        given = super().dtype(inputs)
        whole = all(bound is None or isinstance(bound, int) for bound in (self.min, self.max))
        return given if whole else widest([given, "float"])
