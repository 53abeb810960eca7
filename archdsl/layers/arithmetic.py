"""Arithmetic without parameters: matrix products, sums over axes, functions of each number.

Multiply-accumulates are those of matrix products alone. Under `other` stand, as "pooling", one
operation for each number that goes into a sum, mean or maximum, and, as "elementwise", one
operation for each number of an element by element function (two where it scales and shifts).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from archdsl.layers.arguments import NUMBERS, Dims, Flag, Number, axes_of
from archdsl.layers.base import (
    ANY,
    DTYPES,
    GLOBAL,
    POINTWISE,
    TO_FLOATS,
    Disagreement,
    Dtype,
    Example,
    Facts,
    Layer,
    LayerError,
    Shape,
    Shapes,
    TorchFunction,
    TorchModule,
    Window,
    Windows,
    WrongDtype,
    agree,
    axis_name,
    dtypes,
    numel,
    several,
    single,
    widest,
    without_batch,
)
from archdsl.layers.merge import Mul, aligned

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

# Numbers, not tensors, so that the state_dict is without them; and, multiplied with a tensor of any
# type, they are as exact there as in torchvision's code, which this has to equal.
AFFINE_SOURCE = '''\
class ChannelAffine(nn.Module):
    """Each channel times its scale, plus its shift. Both are fixed."""

    def __init__(self, scale: list[float], shift: list[float]) -> None:
        super().__init__()
        self.scale, self.shift = scale, shift

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        channels = zip(input.unbind(1), self.scale, self.shift, strict=True)
        return torch.stack([x * scale + shift for x, scale, shift in channels], dim=1)
'''


class MatMul(Layer):
    """Product of matrices, which the last two axes hold: [..., n, k] and [..., k, m].

    The axes before them must agree; those of size 1 are spread.
    """

    family = "arithmetic"
    takes = dtypes(float="float", complex="complex")
    examples = (
        Example({}, inputs=((6, 8), (8, 5)), output=(6, 5), macs=240),
        Example({}, inputs=((4, 6, 8), (1, 8, 3)), output=(4, 6, 3), macs=576),
    )

    def infer(self, inputs: Shapes) -> Facts:
        left, right = several(inputs, least=2, most=2)
        if len(left) != len(right):
            raise Disagreement(())
        rank = len(left)
        if rank < 2:
            raise LayerError("takes tensors with at least two axes, rows and columns")
        inner, rows = left[-1], right[-2]
        if not agree(inner, rows):
            raise LayerError(f"cannot multiply rows of {inner} numbers with columns of {rows}")
        differ = [
            axis_name(axis, rank)
            for axis, (one, other) in enumerate(zip(left[:-2], right[:-2], strict=True))
            if 1 not in (one, other) and not agree(one, other)
        ]
        if differ:
            raise Disagreement(differ)
        spread = Mul().infer((left[:-2], right[:-2]))
        output = (*spread.output, left[-2], right[-1])
        return Facts(
            output=output,
            torch=TorchFunction("torch.matmul({0}, {1})", overwritable=True),
            macs=numel(output) * inner,
            windows=GLOBAL,
            agreements=spread.agreements + (((inner, rows),) if inner != rows else ()),
        )

    def infer_shared(self, inputs: Shapes, batched: Sequence[bool]) -> Facts:
        if not all(len(shape) >= 2 for shape in inputs):
            raise LayerError("takes tensors with at least two axes, rows and columns")
        facts = self.infer(aligned(inputs, batched))
        return facts if any(batched) else without_batch(facts)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.matmul(*inputs)

    def dtype(self, inputs: Sequence[Dtype]) -> Dtype:
        # elsewhere torch widens the narrower kind, but not for matrix products
        given = super().dtype(inputs)
        if inputs[0] != inputs[1]:
            raise WrongDtype(1, f"needs a second tensor of {DTYPES[inputs[0]]} as the first is")
        return given


class Reduction(Layer):
    """One number of all that lie along some axes."""

    family = "arithmetic"
    function: ClassVar[str]
    # For the gradient of a maximum torch looks for the places that equal the result.
    overwritable: ClassVar[bool] = False
    batchless = True

    dim: Dims
    keepdim: Flag = False

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        axes = axes_of(self.dim, shape)
        output = tuple(
            1 if axis in axes else size
            for axis, size in enumerate(shape)
            if self.keepdim or axis not in axes
        )
        keepdim = ", keepdim=True" if self.keepdim else ""
        return Facts(
            output=output,
            torch=TorchFunction(
                f"torch.{self.function}({{0}}, dim={self.dim}{keepdim})",
                overwritable=self.overwritable,
            ),
            other={"pooling": numel(shape)},
            windows=self.windows(shape, axes),
            apart=0 not in axes,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,), finds = inputs, not self.overwritable
        return torch.result((x,), torch.output, saves=(x,) * finds, saves_result=finds)

    def windows(self, shape: Shape, axes: tuple[int, ...]) -> Windows:
        """Return the windows along the axes after the first, which must all be there still."""
        if not self.keepdim:
            return GLOBAL
        if axes == (0,):
            return POINTWISE
        # the one place that is left reads all: a window as long as the axis, and no second one
        whole = enumerate(shape[1:], start=1)
        return tuple(Window(size, size) if axis in axes else Window(1) for axis, size in whole)


class Mean(Reduction):
    """Mean along axes: `Mean([2, 3])` is global average pooling and drops height and width."""

    takes = dtypes(float="float", complex="complex")
    function = "mean"
    overwritable = True
    examples = (
        Example({"dim": (2, 3)}, inputs=((8, 7, 7),), output=(8,)),
        Example({"dim": 1, "keepdim": True}, inputs=((8, 7, 7),), output=(1, 7, 7)),
    )


class Sum(Reduction):
    """Sum along axes."""

    takes = dtypes(bool="int", int="int", float="float", complex="complex")
    function = "sum"
    overwritable = True
    examples = (Example({"dim": -1}, inputs=((8, 7),), output=(8,)),)


class Max(Reduction):
    """Maximum along axes."""

    takes = dtypes(bool="bool", int="int", float="float")
    function = "amax"  # unlike `max` it takes several axes, and gives no indices besides
    examples = (Example({"dim": (2, 3), "keepdim": True}, inputs=((8, 7, 7),), output=(8, 1, 1)),)


class Min(Reduction):
    """Minimum along axes."""

    takes = dtypes(bool="bool", int="int", float="float")
    function = "amin"
    examples = (Example({"dim": 1}, inputs=((8, 7),), output=(7,)),)


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


class ChannelAffine(Layer):
    """A fixed affine change of the input by channel: each times its scale, plus its shift.

    Both are lists of one number a channel, and no parameters. With 0.229 / 0.5 as a scale and
    (0.485 - 0.5) / 0.5 as a shift, and so on, it is what torchvision's GoogLeNet and Inception v3
    do with `transform_input`, to the last bit.
    """

    family = "arithmetic"
    takes = TO_FLOATS
    examples = (
        Example(
            {"scale": (0.458, 0.448, 0.45), "shift": (-0.03, -0.088, -0.188)},
            inputs=((3, 8, 8),),
            output=(3, 8, 8),
        ),
    )

    scale: Annotated[tuple[float, ...], NUMBERS]
    shift: Annotated[tuple[float, ...], NUMBERS]

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        if not shape:
            raise LayerError("takes an input with channels")
        for name, numbers in (("scale", self.scale), ("shift", self.shift)):
            if agree(len(numbers), shape[0]):
                continue
            raise LayerError(f"has a {name} for {len(numbers)} channels, and {shape[0]} come in")
        if len(self.scale) != len(self.shift):
            raise LayerError(f"has {len(self.scale)} scales and {len(self.shift)} shifts")
        both = (list(map(float, self.scale)), list(map(float, self.shift)))
        free = shape[0] != len(self.scale)
        return Facts(
            output=shape,
            torch=TorchModule("ChannelAffine", both, source=AFFINE_SOURCE, overwritable=True),
            other={"elementwise": 2 * numel(shape)},
            apart=True,
            agreements=((shape[0], len(self.scale)),) if free else (),
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        parts = [torch.select(inputs[0], 1) for _ in self.scale]
        return torch.cat([torch.function(torch.function(x)) for x in parts], torch.output)
