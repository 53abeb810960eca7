"""Arithmetic without parameters: matrix products, sums over axes, norms.

Multiply-accumulates are those of matrix products alone. Under `other` stand, as "pooling", one
operation for each number that goes into a sum, mean or maximum and four for each of a variance;
as "elementwise" one for each number of a running sum, and two where channels are scaled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from archdsl.layers.agreeing import agree
from archdsl.layers.arguments import (
    NUMBERS,
    AboveZero,
    AtLeastZero,
    Dim,
    Dims,
    Flag,
    Natural,
    axes_of,
    axis_of,
)
from archdsl.layers.base import (
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
    axis_name,
    dtypes,
    numel,
    several,
    single,
    without_batch,
)
from archdsl.layers.merge import Mul, aligned
from archdsl.layers.rewriting import Owned

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
    operations: ClassVar[int] = 1  # for each number that comes in
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
                f"torch.{self.function}({{0}}, dim={self.dim}{self.more()}{keepdim})",
                overwritable=self.overwritable,
            ),
            other={"pooling": self.operations * numel(shape)},
            windows=self.windows(shape, axes),
            apart=0 not in axes,
        )

    def more(self) -> str:
        """Write further arguments."""
        return ""

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


class Spread(Reduction):
    """How far numbers lie from their mean. `correction` is taken from their count."""

    takes = dtypes(float="float", complex="float")
    operations = 4  # two additions, for the mean and the variance, a difference and a square
    overwritable = True

    correction: Natural = 1

    def infer(self, inputs: Shapes) -> Facts:
        facts = super().infer(inputs)
        shape = inputs[0]
        count = numel(tuple(shape[axis] for axis in axes_of(self.dim, shape)))
        if isinstance(count, int) and count <= self.correction:
            raise LayerError(
                f"takes the variance of {count} numbers, which needs more than correction = "
                f"{self.correction}",
                help="`correction = 0` divides by their count",
            )
        return facts

    def more(self) -> str:
        return f", correction={self.correction}" if self.correction != 1 else ""

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.result(inputs, torch.output, saves=inputs, saves_result=not self.overwritable)


class Var(Spread):
    """Variance along axes; with `correction = 0` the mean of the squared differences."""

    function = "var"
    elsewhere = (("variance", "Var(dim)"),)
    examples = (
        Example({"dim": (2, 3), "keepdim": True}, inputs=((8, 7, 7),), output=(8, 1, 1)),
        Example({"dim": 1, "correction": 0}, inputs=((8, 7),), output=(7,)),
    )


class Std(Spread):
    """Standard deviation along axes: the root of the variance."""

    function = "std"
    overwritable = False  # its gradient is worked out from it
    examples = (
        Example({"dim": 1}, inputs=((8, 7),), output=(7,)),
        Example({"dim": -1, "correction": 0, "keepdim": True}, inputs=((4, 9),), output=(4, 1)),
    )


class Place(Reduction):
    """The index of a number along one axis."""

    takes = dtypes(int="int", float="int")
    overwritable = True

    dim: Dim

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        found = torch.result(inputs, torch.output, width=8)
        found.needs_grad = False
        return found


class ArgMax(Place):
    """The index of the largest number along an axis, as an integer."""

    function = "argmax"
    examples = (Example({"dim": 1}, inputs=((8, 7, 7),), output=(7, 7)),)


class ArgMin(Place):
    """The index of the smallest number along an axis, as an integer."""

    function = "argmin"
    examples = (Example({"dim": -1, "keepdim": True}, inputs=((8, 7),), output=(8, 1)),)


class CumSum(Layer):
    """Sums along an axis: at each place that of all places up to it."""

    family = "arithmetic"
    takes = dtypes(bool="int", int="int", float="float", complex="complex")
    batchless = True
    examples = (Example({"dim": 1}, inputs=((5, 4),), output=(5, 4)),)

    dim: Dim

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        axis = axis_of(self.dim, shape)
        return Facts(
            output=shape,
            torch=TorchFunction(f"torch.cumsum({{0}}, dim={self.dim})", overwritable=True),
            other={"elementwise": numel(shape)},
            windows=GLOBAL,
            apart=axis != 0,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.result(inputs, torch.output)


class Normalize(Layer):
    """Division by the norm along axes: vectors of length 1, but those shorter than `eps`.

    For each number that is its square, or power `p`, an addition and a division.
    """

    family = "arithmetic"
    batchless = True
    elsewhere = (("l2norm", "Normalize"), ("unitnorm", "Normalize"))
    examples = (
        Example({}, inputs=((8, 3, 4),), output=(8, 3, 4)),
        Example({"dim": -1, "eps": 1e-6}, inputs=((5, 8),), output=(5, 8)),
    )

    p: AboveZero = 2.0
    dim: Dims = 1
    eps: AtLeastZero = 1e-12

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        axes = axes_of(self.dim, shape)
        given = "".join(f", {name}={value}" for name, value in self.for_torch().items())
        return Facts(
            output=shape,
            torch=TorchFunction(f"F.normalize({{0}}{given})", overwritable=True),
            other={"normalization": 3 * numel(shape)},
            windows=POINTWISE if axes == (0,) else GLOBAL,
            apart=0 not in axes,
            # norms, and these brought to `eps`
            inside=2 * numel(tuple(1 if at in axes else n for at, n in enumerate(shape))),
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        dims = self.dim if isinstance(self.dim, tuple) else (self.dim,)
        axes = {dim % len(x.shape) for dim in dims}
        norms = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        norm = torch.result((x,), norms, saves=(x,), saves_result=True)
        return torch.div(x, torch.expand(torch.function(norm, "input"), x.shape))


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

    def channel_scale(self, own: Owned) -> tuple[Any, Any] | None:
        return self.scale, self.shift

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
