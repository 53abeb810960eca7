"""Normalization over the batch, a sample, groups of channels, a token, or neighbouring channels.

Operations are listed under "normalization", per number and in evaluation mode: two to subtract
the mean and divide by the deviation, one more for a scale and one for a shift. Where the
statistics come from the input itself three more find them: two additions, for the mean and the
variance, and a square. What is done once per channel or group (the root) is not counted.

The `bias` of batch, instance and group normalization is young in torch: 2.15 has it and 2.6 has
not. A compiled module asks for it only where a spec says `bias = false`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from archdsl.layers.arguments import (
    EPSILON,
    EPSILON_ABOVE_ZERO,
    NUMBER,
    POSITIVE,
    Flag,
    Number,
    Positive,
    optional,
)
from archdsl.layers.base import (
    GLOBAL,
    POINTWISE,
    SAMPLE_AXES,
    Example,
    Facts,
    Layer,
    LayerError,
    Shape,
    Shapes,
    TorchModule,
    by,
    dtypes,
    numel,
    single,
    unpack,
)
from archdsl.layers.linear import last_axis
from archdsl.layers.rewriting import Owned
from archdsl.layers.sizes import Size
from archdsl.layers.strides import lies_as, suggested

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

FLOAT32 = 4  # bytes
STATISTICS = 3  # operations for each number, to find mean and variance

# The same steps as in torchvision's ConvNeXt, so that the same weights give the same numbers.
LAYER_NORM_2D = '''\
class LayerNorm2d(nn.LayerNorm):
    """Layer normalization over the channels of an image."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
'''


# The same steps as in torchvision.ops.misc, so that the same weights give the same numbers. What is
# stored are buffers, and files of other batch normalizations may hold a counter besides.
FROZEN_BATCH_NORM = '''\
class FrozenBatchNorm2d(nn.Module):
    """Batch normalization of an image with statistics, a scale and a shift that never change."""

    weight: torch.Tensor
    bias: torch.Tensor
    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(num_features))
        self.register_buffer("bias", torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return input * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)
'''


def affine(shape: Shape, scale: bool, shift: bool) -> tuple[dict[str, Shape], str]:
    """Return the parameters of a scale and a shift, and their number as arithmetic."""
    params = {"weight": shape} if scale else {}
    # of a single tensor the size says it all
    if scale and shift:
        return params | {"bias": shape}, by(2, shape)
    return params, ""


def running(channels: Size) -> dict[str, Shape]:
    """Return the buffers in which the statistics of the training are kept."""
    return {"running_mean": (channels,), "running_var": (channels,), "num_batches_tracked": ()}


def _as_scale(own: Owned, eps: float) -> tuple[Any, Any]:
    """Return the factor and the summand of a normalization with statistics that were kept."""
    factor = (own["running_var"] + eps) ** -0.5
    if "weight" in own:
        factor = factor * own["weight"]
    summand = -own["running_mean"] * factor
    return factor, summand + own["bias"] if "bias" in own else summand


class BatchNorm(Layer):
    """Batch normalization; its subclasses say of what."""

    family = "normalization"
    axes: ClassVar[int]

    eps: Annotated[float, EPSILON_ABOVE_ZERO] = 1e-5
    momentum: Annotated[float | None, optional(NUMBER)] = 0.1
    affine: Flag = True
    track_running_stats: Flag = True
    bias: Flag = True

    def infer(self, inputs: Shapes) -> Facts:
        shape = self.image(inputs)
        # torch refuses such an input with a batch of one, also in evaluation mode
        if not self.track_running_stats and numel(shape[1:]) == 1:
            raise LayerError(
                "has one number per channel in each sample, of which it can't take statistics",
                help="`track_running_stats = true` uses those of the training",
            )
        params, arithmetic = affine(shape[:1], self.affine, self.bias)
        found = 0 if self.track_running_stats else STATISTICS
        return Facts(
            output=shape,
            torch=TorchModule(
                f"nn.{self.torch_name()}", (shape[0],), self.for_torch(), overwritable=True
            ),
            params=params,
            buffers=running(shape[0]) if self.track_running_stats else {},
            other={"normalization": (2 + len(params) + found) * numel(shape)},
            # in evaluation mode statistics that were kept are constants: nothing else is read then
            windows=POINTWISE if self.track_running_stats else GLOBAL,
            apart=True,
            arithmetic=arithmetic,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return torch.batch_norm(x, x.shape[1], torch.own.get("weight"))

    def channel_scale(self, own: Owned) -> tuple[Any, Any] | None:
        return _as_scale(own, self.eps) if self.track_running_stats else None

    def image(self, inputs: Shapes) -> Shape:
        """Return the shape of the input, which must have the right axes."""
        return unpack(inputs, SAMPLE_AXES[self.axes])


class BatchNorm1d(BatchNorm):
    """Batch normalization of features or of the channels of a sequence."""

    examples = (
        Example({}, inputs=((8,),), output=(8,), params=16),
        Example({"affine": False}, inputs=((8, 5),), output=(8, 5)),
    )

    def image(self, inputs: Shapes) -> Shape:
        if len(shape := single(inputs)) not in (1, 2):
            raise LayerError("takes an input of the shape [features] or [channels, length]")
        return shape


class BatchNorm2d(BatchNorm):
    """Batch normalization of the channels of an image."""

    axes = 2
    examples = (
        Example({}, inputs=((64, 4, 4),), output=(64, 4, 4), params=128),
        Example(
            {"eps": 0.001, "momentum": None, "track_running_stats": False},
            inputs=((4, 2, 3),),
            output=(4, 2, 3),
            params=8,
        ),
    )


class BatchNorm3d(BatchNorm):
    """Batch normalization of the channels of a volume."""

    axes = 3
    examples = (Example({}, inputs=((4, 2, 3, 3),), output=(4, 2, 3, 3), params=8),)


class FrozenBatchNorm2d(Layer):
    """Batch normalization of an image whose statistics, scale and shift are stored and never learn.

    It is that of torchvision's detection models. A product and a sum remain for each number.
    """

    family = "normalization"
    takes = dtypes(bool="float", int="float", float="float")
    buffers_move = False
    examples = (Example({}, inputs=((4, 3, 3),), output=(4, 3, 3)),)

    eps: Annotated[float, EPSILON] = 1e-5

    def infer(self, inputs: Shapes) -> Facts:
        shape = unpack(inputs, SAMPLE_AXES[2])
        names = ("weight", "bias", "running_mean", "running_var")
        return Facts(
            output=shape,
            torch=TorchModule(
                "FrozenBatchNorm2d",
                (shape[0],),
                self.for_torch(),
                FROZEN_BATCH_NORM,
                overwritable=True,
            ),
            buffers=dict.fromkeys(names, shape[:1]),
            other={"normalization": 2 * numel(shape)},
            apart=True,
            inside=shape[0],  # the scale, which is worked out of what is stored
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,), one = inputs, torch.new((1, inputs[0].shape[1], 1, 1))
        return torch.add(torch.mul(x, one), torch.new(one.shape))

    def channel_scale(self, own: Owned) -> tuple[Any, Any] | None:
        return _as_scale(own, self.eps)


class InstanceNorm(Layer):
    """Normalization of each channel of each sample; its subclasses say over how many axes."""

    family = "normalization"
    axes: ClassVar[int]

    eps: Annotated[float, EPSILON] = 1e-5
    momentum: Annotated[float | None, optional(NUMBER)] = 0.1
    affine: Flag = False
    track_running_stats: Flag = False
    bias: Flag = True

    def infer(self, inputs: Shapes) -> Facts:
        shape = unpack(inputs, SAMPLE_AXES[self.axes])
        if numel(shape[1:]) == 1:
            raise LayerError("has one number per channel, of which it can't take statistics")
        params, arithmetic = affine(shape[:1], self.affine, self.bias)
        # unlike in training, where each sample has statistics of its own
        found = 0 if self.track_running_stats else STATISTICS
        return Facts(
            output=shape,
            torch=TorchModule(
                f"nn.{self.torch_name()}", (shape[0],), self.for_torch(), overwritable=True
            ),
            params=params,
            buffers=running(shape[0]) if self.track_running_stats else {},
            other={"normalization": (2 + len(params) + found) * numel(shape)},
            windows=POINTWISE if self.track_running_stats else GLOBAL,
            apart=True,
            arithmetic=arithmetic,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        # the samples as channels of one, with as many copies of all that there is for a channel
        (x,) = inputs
        channels = x.shape[0] * x.shape[1]
        one = torch.reshape(torch.contiguous(x), (1, channels, *x.shape[2:]))
        weight = torch.own.get("weight")
        scales = None if weight is None else torch.result((weight,), (channels,))
        held = [torch.new((channels,)) for _ in range(2 * self.track_running_stats)]
        return torch.reshape(torch.batch_norm(one, channels, scales, *held), x.shape)


class InstanceNorm1d(InstanceNorm):
    """Normalization of each channel of a sequence over its length."""

    axes = 1
    examples = (Example({}, inputs=((4, 6),), output=(4, 6)),)


class InstanceNorm2d(InstanceNorm):
    """Normalization of each channel of an image over height and width."""

    axes = 2
    examples = (
        Example({}, inputs=((4, 3, 3),), output=(4, 3, 3)),
        Example({"affine": True}, inputs=((4, 3, 2),), output=(4, 3, 2), params=8),
    )


class InstanceNorm3d(InstanceNorm):
    """Normalization of each channel of a volume over depth, height and width."""

    axes = 3
    examples = (
        Example({"track_running_stats": True}, inputs=((2, 2, 3, 2),), output=(2, 2, 3, 2)),
    )


class GroupNorm(Layer):
    """Normalization over all places of a group of channels."""

    family = "normalization"
    examples = (
        Example({"num_groups": 2}, inputs=((4, 3, 3),), output=(4, 3, 3), params=8),
        Example({"num_groups": 2, "affine": False}, inputs=((6,),), output=(6,)),
    )

    num_groups: Annotated[int, POSITIVE._replace(samples=(1, 3, 6))]
    eps: Annotated[float, EPSILON] = 1e-5
    affine: Flag = True
    bias: Flag = True

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        if not shape:
            raise LayerError("takes an input with channels")
        channels, groups = shape[0], self.num_groups
        rest = channels % groups
        if isinstance(rest, int) and rest:
            raise LayerError(f"needs num_groups = {groups} to divide its {channels} channels")
        if channels // groups * numel(shape[1:]) == 1:
            raise LayerError("has one number per group, of which it can't take statistics")
        params, arithmetic = affine(shape[:1], self.affine, self.bias)
        return Facts(
            output=shape,
            torch=TorchModule(
                "nn.GroupNorm", (groups, channels), self.for_torch("num_groups"), overwritable=True
            ),
            params=params,
            other={"normalization": (2 + len(params) + STATISTICS) * numel(shape)},
            # no channel is apart from the others of its group
            windows=POINTWISE if len(shape) == 1 else GLOBAL,
            arithmetic=arithmetic,
            agreements=((channels, channels // groups * groups),) if rest else (),
        )

    def functional(self) -> str:
        weights = f"{{weight}}{', {bias}' if self.bias else ''}"
        return f"F.group_norm({{0}}, {self.num_groups}, {weights}, eps={self.eps!r})"

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return torch.normalized(x, (x.shape[0], self.num_groups), suggested(x.shape, x.laid))


def last_axes(inputs: Shapes, axes: int) -> Shape:
    """Return the sizes of the last axes, over which a layer normalizes."""
    shape = single(inputs)
    if len(shape) < axes:
        raise LayerError(f"normalizes the last {axes} axes, and its input has {len(shape)}")
    return shape[-axes:]


class LayerNorm(Layer):
    """Normalization over the last axis, or the last several: the features of each token.

    `axes`, the number of axes, stands for the sizes that torch asks for.
    """

    family = "normalization"
    batchless = True
    examples = (
        Example({"eps": 1e-6}, inputs=((5, 8),), output=(5, 8), params=16),
        Example({"axes": 3, "bias": False}, inputs=((2, 3, 4),), output=(2, 3, 4), params=24),
    )

    eps: Annotated[float, EPSILON] = 1e-5
    elementwise_affine: Flag = True
    bias: Flag = True
    axes: Positive = 1

    def infer(self, inputs: Shapes) -> Facts:
        sizes = last_axes(inputs, self.axes)
        params, arithmetic = affine(sizes, self.elementwise_affine, self.bias)
        shape = inputs[0]
        return Facts(
            output=shape,
            torch=TorchModule(
                "nn.LayerNorm",
                (sizes if len(sizes) > 1 else sizes[0],),
                self.for_torch("axes"),
                overwritable=True,
            ),
            params=params,
            other={"normalization": (2 + len(params) + STATISTICS) * numel(shape)},
            windows=last_axis(shape, self.axes),
            apart=len(shape) > self.axes,
            arithmetic=arithmetic,
        )

    def functional(self) -> str:
        weights = f"{{weight}}{', {bias}' if self.bias else ''}"
        return f"F.layer_norm({{0}}, {{weight}}.shape, {weights}, eps={self.eps!r})"

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return torch.normalized(x, x.shape[: -self.axes], keeps_shift=True)


class LayerNorm2d(Layer):
    """Normalization over the channels at each place of an image, as in ConvNeXt."""

    family = "normalization"
    examples = (
        Example({"eps": 1e-6}, inputs=((8, 3, 4),), output=(8, 3, 4), params=16),
        Example({"elementwise_affine": False}, inputs=((4, 2, 2),), output=(4, 2, 2)),
    )

    eps: Annotated[float, EPSILON] = 1e-5
    elementwise_affine: Flag = True
    bias: Flag = True

    def infer(self, inputs: Shapes) -> Facts:
        shape = unpack(inputs, SAMPLE_AXES[2])
        params, arithmetic = affine(shape[:1], self.elementwise_affine, self.bias)
        return Facts(
            output=shape,
            torch=TorchModule(
                "LayerNorm2d", (shape[0],), self.for_torch(), LAYER_NORM_2D, overwritable=True
            ),
            params=params,
            other={"normalization": (2 + len(params) + STATISTICS) * numel(shape)},
            arithmetic=arithmetic,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        x = torch.permute(inputs[0], (0, 2, 3, 1))
        return torch.permute(torch.normalized(x, x.shape[:-1]), (0, 3, 1, 2))


class RMSNorm(Layer):
    """Division by the root mean square over the last axis, or the last several.

    Per number that is a square and an addition, a division, and a multiplication by the weight.
    `axes`, the number of axes, stands for the sizes that torch asks for.
    """

    family = "normalization"
    batchless = True
    examples = (
        Example({}, inputs=((5, 8),), output=(5, 8), params=8),
        Example({"elementwise_affine": False, "axes": 2}, inputs=((2, 3, 4),), output=(2, 3, 4)),
    )

    eps: Annotated[float | None, optional(EPSILON)] = None
    elementwise_affine: Flag = True
    axes: Positive = 1

    def infer(self, inputs: Shapes) -> Facts:
        sizes = last_axes(inputs, self.axes)
        # there is a scale alone: no mean is taken away, so none is given back
        params, _ = affine(sizes, self.elementwise_affine, shift=False)
        shape = inputs[0]
        return Facts(
            output=shape,
            torch=TorchModule(
                "nn.RMSNorm",
                (sizes if len(sizes) > 1 else sizes[0],),
                self.for_torch("axes"),
                overwritable=True,
            ),
            params=params,
            other={"normalization": (3 + len(params)) * numel(shape)},
            windows=last_axis(shape, self.axes),
            apart=len(shape) > self.axes,
        )

    def functional(self) -> str:
        return f"F.rms_norm({{0}}, {{weight}}.shape, {{weight}}, eps={self.eps!r})"

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        # in single precision, also where floats have 16 bits
        x = torch.to(inputs[0], max(torch.width, FLOAT32))
        ones = (*x.shape[: -self.axes], *(1,) * self.axes)
        mean = torch.result((torch.function(x, "input"),), ones, width=x.width)
        normalized = torch.mul(x, torch.function(torch.function(mean), "output"))
        if "weight" in torch.own:
            normalized = torch.mul(normalized, torch.own["weight"])
        strides = suggested(x.shape, x.laid)
        if not lies_as(x.shape, normalized.strides, strides):
            normalized = torch.copy(normalized, strides)
        return torch.to(normalized, torch.width)


class LocalResponseNorm(Layer):
    """Division by a power of the sum of squares over `size` neighbouring channels, as in AlexNet.

    Per number that is a square, `size` additions (one of them of k), two multiplications (by
    alpha and by 1/size), a power and a division.
    """

    family = "normalization"
    examples = (
        Example({"size": 5, "alpha": 0.0001, "k": 2}, inputs=((8, 3, 3),), output=(8, 3, 3)),
    )

    size: Positive
    alpha: Number = 1e-4
    beta: Number = 0.75
    k: Number = 1.0

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        if len(shape) < 2:
            raise LayerError("takes channels with at least one axis of places")
        return Facts(
            output=shape,
            torch=TorchModule(
                "nn.LocalResponseNorm", (self.size,), self.for_torch("size"), overwritable=True
            ),
            other={"normalization": (self.size + 5) * numel(shape)},
            # squares with a margin of channels, their scaled sum, and its power
            inside=2 * numel(shape) + (shape[0] + self.size - 1) * numel(shape[1:]),
            back="unchanged",  # Zeiler and Fergus use no contrast normalization on the way back
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        samples, channels, first, *others = x.shape
        squares = torch.mul(x, x)
        # over the channels as an axis of places
        places: Shape = (first,)
        if others:
            places = (first, numel(tuple(others)))
            squares = torch.reshape(squares, (samples, 1, channels, *places))
        else:
            squares = torch.unsqueeze(squares, 1)
        padded = torch.padded(squares, (samples, 1, channels + self.size - 1, *places))
        sums = torch.pooled(padded, (samples, 1, channels, *places), maximum=False)
        sums = torch.reshape(torch.squeeze(sums, 1), x.shape)
        powers = torch.function(torch.function(torch.function(sums)), "input")
        return torch.div(x, powers)
