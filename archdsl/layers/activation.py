"""Activations, element by element, and those that compare numbers along an axis.

Operations are listed under "activation", per number as the formula in the docstring has them: an
addition, a multiplication, a division, a comparison (also max, min and the absolute value), exp,
log, tanh and erf are one each. Of two cases the dearer one counts, and the comparison besides.
Counts are those of evaluation mode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from archdsl.layers.agreeing import agree
from archdsl.layers.arguments import (
    AtLeastZero,
    Dim,
    FreeSize,
    Nonzero,
    Number,
    axis_of,
    choice,
)
from archdsl.layers.base import (
    GLOBAL,
    POINTWISE,
    TO_FLOATS,
    Back,
    Example,
    Facts,
    Form,
    Layer,
    LayerError,
    Shapes,
    Torch,
    TorchModule,
    axis_name,
    dtypes,
    numel,
    single,
    unpack,
)
from archdsl.layers.strides import pointwise

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

SCALED_TANH = '''\
class ScaledTanh(nn.Module):
    """Hyperbolic tangent with an amplitude and a slope."""

    def __init__(self, amplitude: float = 1.7159, slope: float = 2 / 3) -> None:
        super().__init__()
        self.amplitude, self.slope = amplitude, slope

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self.amplitude * torch.tanh(self.slope * input)
'''

OneDNN = tuple[str, tuple[float, ...], str]

PLAIN = (Example({}, inputs=((4, 3, 3),), output=(4, 3, 3)),)


class Activation(Layer):
    """An activation of each number by itself."""

    family = "activation"
    operations: ClassVar[int]
    steps: ClassVar[int] = 0  # results as large as the output that torch keeps on the way to it
    overwritable: ClassVar[bool] = True  # its gradient follows from what came in
    overwrites: ClassVar[bool] = False
    back: ClassVar[Back] = "gradient"
    keeps = "input"

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        return Facts(
            output=shape,
            torch=TorchModule(
                f"nn.{self.torch_name()}",
                keywords=self.for_torch(),
                overwritable=self.overwritable,
                overwrites=self.overwrites,
            ),
            other={"activation": self.operations * numel(shape)},
            inside=self.steps * numel(shape),
            apart=True,
            back=self.back,
        )


class ReLU(Activation):
    """Rectified linear unit: max(x, 0)."""

    keeps_zeros = True
    # torch compares integers as well, and complex numbers have no order
    takes = dtypes(int="int", float="float")
    overwritable = False  # its gradient is 1 where the result is above 0
    keeps = "output"
    overwrites = True
    back = "rectified"
    operations = 1
    examples = PLAIN

    def onednn(self) -> OneDNN:
        return "relu", (), ""


class ReLU6(Activation):
    """ReLU cut off at 6: min(max(x, 0), 6)."""

    keeps_zeros = True
    takes = dtypes(int="int", float="float")
    overwrites = True  # spares a tensor at inference; to train torch keeps a copy of the input
    back = "rectified"
    operations = 2
    examples = PLAIN

    def onednn(self) -> OneDNN:
        return "hardtanh", (0.0, 6.0), ""


class LeakyReLU(Activation):
    """x, or negative_slope x where x is negative."""

    keeps_zeros = True
    operations = 2
    examples = (Example({"negative_slope": 0.2}, inputs=((8,),), output=(8,)),)

    negative_slope: Number = 0.01

    def onednn(self) -> OneDNN:
        return "leaky_relu", (self.negative_slope,), ""


class RReLU(Activation):
    """x, or a x where x is negative; a is random between the bounds, in evaluation their mean."""

    operations = 2
    examples = PLAIN

    lower: Number = 1 / 8
    upper: Number = 1 / 3

    def infer(self, inputs: Shapes) -> Facts:
        if self.lower > self.upper:
            raise LayerError(f"needs lower = {self.lower} to be at most upper = {self.upper}")
        # the slopes that are drawn, which the gradient needs
        return super().infer(inputs)._replace(inside_training=numel(single(inputs)))

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return torch.result((x,), x.shape, saves=(x, torch.new(x.shape)))

    def exported(self, inputs: Shapes, form: Form) -> Torch:
        """Take the mean of the bounds as the slope: torch writes no ONNX of what draws one."""
        return TorchModule("nn.LeakyReLU", ((self.lower + self.upper) / 2,))


class PReLU(Activation):
    """x, or a x where x is negative, with a learnable a for all channels or for each."""

    operations = 2
    examples = (
        Example({}, inputs=((4, 3, 3),), output=(4, 3, 3), params=1),
        Example({"num_parameters": 4}, inputs=((4, 3),), output=(4, 3), params=4),
    )

    num_parameters: FreeSize = 1
    init: Number = 0.25

    def infer(self, inputs: Shapes) -> Facts:
        channels = (*single(inputs), 1)[0]  # a single number has one for itself
        count = self.num_parameters
        if count != 1 and not agree(count, channels):
            raise LayerError(
                f"has {count} parameters for {channels} channels",
                help=f"num_parameters may be 1 or {channels} here",
            )
        facts = super().infer(inputs)
        equal = ((count, channels),) if count not in (1, channels) else ()
        return facts._replace(params={"weight": (count,)}, agreements=equal)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,), weight = inputs, torch.own["weight"]
        places = (1,) * (len(x.shape) - 2)
        slopes = torch.reshape(weight, (1, *weight.shape, *places))
        return torch.pointwise((x, slopes), (x, slopes))


class ELU(Activation):
    """Exponential linear unit: x, or alpha (exp(x) - 1) where x is negative."""

    keeps_zeros = True
    operations = 4
    examples = PLAIN

    alpha: Number = 1.0


class SELU(Activation):
    """1.0507 times: x, or 1.6733 (exp(x) - 1) where x is negative."""

    keeps_zeros = True
    operations = 5
    examples = PLAIN


class CELU(Activation):
    """x, or alpha (exp(x / alpha) - 1) where x is negative."""

    keeps_zeros = True
    operations = 5
    examples = PLAIN

    alpha: Nonzero = 1.0


class GELU(Activation):
    """x/2 (1 + erf(x / sqrt(2))), or x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x x x)))."""

    keeps_zeros = True
    operations = 5
    examples = (
        Example({}, inputs=((5, 8),), output=(5, 8)),
        Example({"approximate": "tanh"}, inputs=((5, 8),), output=(5, 8)),
    )

    approximate: Annotated[Literal["none", "tanh"], choice("none", "tanh")] = "none"

    def infer(self, inputs: Shapes) -> Facts:
        # x / sqrt(2), erf, + 1, x / 2 and their product; the other form has 8 around its tanh
        operations = 5 if self.approximate == "none" else 9
        other = {"activation": operations * numel(single(inputs))}
        return super().infer(inputs)._replace(other=other)

    def onednn(self) -> OneDNN:
        return "gelu", (), self.approximate


class Sigmoid(Activation):
    """Logistic function: 1 / (1 + exp(-x))."""

    takes = TO_FLOATS
    overwritable = False  # its gradient is y (1 - y)
    keeps = "output"
    operations = 4
    examples = PLAIN

    def onednn(self) -> OneDNN:
        return "sigmoid", (), ""


class LogSigmoid(Activation):
    """-log(1 + exp(-x))."""

    operations = 5
    steps = 1  # exp(-|x|), of which torch makes the gradient
    examples = PLAIN

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return torch.result((x,), x.shape, saves=(x, torch.new(x.shape)))


class SiLU(Activation):
    """x / (1 + exp(-x)), also called swish."""

    keeps_zeros = True
    operations = 4
    elsewhere = (("swish", "SiLU"),)
    examples = PLAIN

    def onednn(self) -> OneDNN:
        return "swish", (), ""


class Mish(Activation):
    """x tanh(log(1 + exp(x)))."""

    keeps_zeros = True
    operations = 5
    examples = PLAIN


class Hardsigmoid(Activation):
    """min(max(x + 3, 0), 6) / 6."""

    operations = 4
    examples = PLAIN

    def onednn(self) -> OneDNN:
        return "hardsigmoid", (), ""


class Hardswish(Activation):
    """x min(max(x + 3, 0), 6) / 6."""

    keeps_zeros = True
    operations = 5
    examples = PLAIN

    def onednn(self) -> OneDNN:
        return "hardswish", (), ""


class Tanh(Activation):
    """Hyperbolic tangent: tanh(x)."""

    keeps_zeros = True
    takes = TO_FLOATS
    overwritable = False  # its gradient is 1 - y y
    keeps = "output"
    operations = 1
    examples = PLAIN

    def onednn(self) -> OneDNN:
        return "tanh", (), ""


class ScaledTanh(Activation):
    """amplitude tanh(slope x), by default 1 at 1 and -1 at -1, as in LeNet-5."""

    takes = TO_FLOATS
    operations = 3
    steps = 1  # the tanh, before it is multiplied with the amplitude
    examples = (
        Example({}, inputs=((6, 2, 2),), output=(6, 2, 2)),
        Example({"amplitude": 2, "slope": 0.5}, inputs=((8,),), output=(8,)),
    )

    amplitude: Number = 1.7159
    slope: Number = 2 / 3

    def infer(self, inputs: Shapes) -> Facts:
        module = TorchModule(
            "ScaledTanh", keywords=self.for_torch(), source=SCALED_TANH, overwritable=True
        )
        return super().infer(inputs)._replace(torch=module)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        scaled = torch.function(inputs[0])
        return torch.function(torch.function(scaled, "output"))


class Hardtanh(Activation):
    """min(max(x, min_val), max_val)."""

    operations = 2
    examples = PLAIN

    min_val: Number = -1.0
    max_val: Number = 1.0

    def infer(self, inputs: Shapes) -> Facts:
        if self.min_val >= self.max_val:
            raise LayerError(f"needs min_val = {self.min_val} below max_val = {self.max_val}")
        # from 0 on it is a ReLU that is cut off
        return super().infer(inputs)._replace(back="rectified" if self.min_val == 0 else "gradient")

    def onednn(self) -> OneDNN:
        return "hardtanh", (self.min_val, self.max_val), ""


class Hardshrink(Activation):
    """x, or 0 where |x| is at most lambd."""

    operations = 2
    examples = PLAIN

    lambd: Number = 0.5


class Softshrink(Activation):
    """x - lambd above lambd, x + lambd below -lambd, otherwise 0."""

    operations = 3
    examples = PLAIN

    lambd: AtLeastZero = 0.5


class Tanhshrink(Activation):
    """x - tanh(x)."""

    takes = dtypes(int="float", float="float", complex="complex")
    operations = 2
    steps = 1  # tanh(x)
    examples = PLAIN

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.add(inputs[0], torch.function(inputs[0], "output"))


class Softplus(Activation):
    """log(1 + exp(beta x)) / beta, or x where beta x is above threshold."""

    operations = 6
    examples = PLAIN

    beta: Nonzero = 1.0
    threshold: Number = 20.0


class Softsign(Activation):
    """x / (1 + |x|)."""

    takes = dtypes(int="float", float="float", complex="complex")
    operations = 3
    steps = 1  # 1 + |x|
    examples = PLAIN

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return torch.div(x, torch.function(torch.function(x, "input")))


class Threshold(Activation):
    """x, or value where x is at most threshold."""

    operations = 1
    examples = (Example({"threshold": 0.1, "value": 20}, inputs=((8,),), output=(8,)),)

    threshold: Number
    value: Number

    def infer(self, inputs: Shapes) -> Facts:
        # nothing of what is below zero comes through, and nothing else comes in its place
        rectifies = self.threshold >= 0 and self.value == 0
        return super().infer(inputs)._replace(back="rectified" if rectifies else "gradient")


class GLU(Layer):
    """Gated linear unit: a / (1 + exp(-b)), where a and b are the halves along `dim`."""

    family = "activation"
    examples = (
        Example({}, inputs=((4, 6),), output=(4, 3)),
        Example({"dim": 1}, inputs=((4, 3, 3),), output=(2, 3, 3)),
    )

    dim: Dim = -1
    batchless = True

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        axis = axis_of(self.dim, shape)
        size = shape[axis]
        odd = size % 2
        if odd == 1:
            name = axis_name(axis, len(shape))
            raise LayerError(f"halves dim = {self.dim} ({name}), which has the odd size {size}")
        output = (*shape[:axis], size // 2, *shape[axis + 1 :])
        return Facts(
            output=output,
            torch=TorchModule("nn.GLU", keywords=self.for_torch(), overwritable=True),
            other={"activation": 4 * numel(output)},
            # along other axes than the channels an output reads two places that lie apart
            windows=POINTWISE if axis == 0 else GLOBAL,
            agreements=((size, size // 2 * 2),) if odd else (),
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        half = torch.output, x.strides
        return torch.result((x,), torch.output, pointwise(torch.output, (half, half)), (x,))


class AlongAxis(Layer):
    """An activation of the numbers along an axis together."""

    family = "activation"
    operations: ClassVar[int]
    batchless = True

    dim: Dim

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        axis = axis_of(self.dim, shape)
        return Facts(
            output=shape,
            torch=TorchModule(f"nn.{self.torch_name()}", keywords=self.for_torch()),
            other={"activation": self.operations * numel(shape)},
            windows=POINTWISE if axis == 0 else GLOBAL,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.softmax(inputs[0])


class Softmax(AlongAxis):
    """y / sum(y) with y = exp(x - max(x)), along `dim`.

    torch's default for `dim` is deprecated and gives a warning, so that it has none here.
    """

    operations = 5
    examples = (
        Example({"dim": 1}, inputs=((10,),), output=(10,)),
        Example({"dim": -1}, inputs=((5, 8),), output=(5, 8)),
    )


class Softmin(AlongAxis):
    """Softmax of -x, along `dim`."""

    operations = 6
    examples = (Example({"dim": 1}, inputs=((4, 3, 3),), output=(4, 3, 3)),)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.softmax(torch.function(inputs[0]))


class LogSoftmax(AlongAxis):
    """z - log(sum(exp(z))) with z = x - max(x), along `dim`."""

    operations = 5
    examples = (Example({"dim": 1}, inputs=((10,),), output=(10,)),)


class Softmax2d(Activation):
    """Softmax over the channels at each place of an image."""

    operations = 5
    overwritable = False  # its gradient is worked out from its result, as of every softmax
    examples = PLAIN

    def infer(self, inputs: Shapes) -> Facts:
        unpack(inputs, "channels height width")
        return super().infer(inputs)._replace(apart=False)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.softmax(inputs[0])
