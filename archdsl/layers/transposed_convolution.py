"""Transposed convolutions in one to three dimensions."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from archdsl.layers.agreeing import require_positive
from archdsl.layers.arguments import Flag, FreeSize, Positive, spread
from archdsl.layers.base import (
    SAMPLE_AXES,
    Example,
    Facts,
    Layer,
    LayerError,
    Shape,
    Shapes,
    TorchModule,
    Window,
    by,
    numel,
    unpack,
)
from archdsl.layers.convolution import check_groups, sizes_in_torch_order, with_scale
from archdsl.layers.rewriting import Owned
from archdsl.layers.sizes import Size

if TYPE_CHECKING:
    from typing import Self

    from archdsl.layers.autograd import Autograd, Tensor


class TransposedConvolution(Layer):
    """A transposed convolution over some axes; its subclasses say how many."""

    family = "transposed_convolution"
    axes: ClassVar[int]

    out_channels: FreeSize
    kernel_size: tuple[Size, ...]
    stride: tuple[int, ...] = (1,)
    padding: tuple[int, ...] = (0,)
    output_padding: tuple[int, ...] = (0,)
    groups: Positive = 1
    bias: Flag = True
    dilation: tuple[int, ...] = (1,)

    def infer(self, inputs: Shapes) -> Facts:
        channels, *image = unpack(inputs, SAMPLE_AXES[self.axes])
        check_groups(channels, self.out_channels, self.groups)
        sizes: list[Size] = []
        windows: list[Window] = []
        for axis, size in enumerate(image):
            kernel, stride, pad = self.kernel_size[axis], self.stride[axis], self.padding[axis]
            more, dilation = self.output_padding[axis], self.dilation[axis]
            # torch's rule: it chooses between sizes of which a convolution would make the same
            if more >= max(stride, dilation):
                raise LayerError("needs an output_padding smaller than its stride or dilation")
            # An input at place i adds to the outputs i stride - pad + k dilation; so an output j
            # reads the inputs from (j + pad - reach) / stride to (j + pad) / stride.
            reach = dilation * (kernel - 1)
            sizes.append((size - 1) * stride - 2 * pad + reach + more + 1)
            if isinstance(stride, int) and isinstance(reach, int) and isinstance(pad, int):
                windows.append(
                    Window(reach // stride + 1, Fraction(1, stride), Fraction(pad - reach, stride))
                )
        output = (self.out_channels, *sizes)
        require_positive(output, "gives an output without any place")
        weight = (channels, self.out_channels // self.groups, *self.kernel_size)
        seen = by(self.kernel_size, channels // self.groups)
        arithmetic = by(seen, self.out_channels)
        return Facts(
            output=output,
            torch=TorchModule(
                f"nn.ConvTranspose{self.axes}d",
                (channels, self.out_channels),
                self.for_torch("out_channels"),
                overwritable=True,
            ),
            params={"weight": weight} | ({"bias": (self.out_channels,)} if self.bias else {}),
            # every place of the input is multiplied with every weight of its group
            macs=numel(tuple(image)) * numel(weight),
            other={"bias": numel(output)} if self.bias else {},
            windows=tuple(windows) if len(windows) == self.axes else "global",
            arithmetic=by(f"({seen} + 1)", self.out_channels) if self.bias else arithmetic,
        )

    def functional(self) -> str:
        given = self.keywords("out_channels", "kernel_size", "bias")
        weights = f"{{weight}}{', {bias}' if self.bias else ''}"
        return f"F.conv_transpose{self.axes}d({{0}}, {weights}{given})"

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.convolution(inputs[0], torch.output)

    def scaled(
        self, own: Owned, factor: Any, summand: Any, output: Shape
    ) -> tuple[Self, Owned] | None:
        # the input channels of a group have weights for its output channels alone
        channels = own["weight"].shape[0]
        along = factor.reshape(self.groups, -1).repeat_interleave(channels // self.groups, 0)
        along = along.reshape(*along.shape, *(1,) * self.axes)
        return with_scale(self, own, along, factor, summand)

    def in_torch_order(self, inputs: Shapes) -> str:
        sizes = sizes_in_torch_order(self.out_channels, self.kernel_size, self.stride, inputs)
        if sizes is None:
            return ""
        kernel, stride = sizes
        # a kernel of two strides is usual, also a large one: FCN has 64 and 32
        exchanged = kernel % 2 == 0 and kernel >= 8 and stride <= 7 and kernel >= 4 * stride
        return f"{type(self).__name__}({kernel}, {stride})" if exchanged else ""


class ConvTranspose1d(TransposedConvolution):
    """Transposed convolution over the length of a sequence."""

    axes = 1
    examples = (
        Example(
            {"out_channels": 2, "kernel_size": 4, "stride": 2, "padding": 1},
            inputs=((3, 8),),
            output=(2, 16),
            params=26,
            macs=192,
        ),
    )

    kernel_size: Annotated[tuple[Size, ...], spread(1, "size")]
    stride: Annotated[tuple[int, ...], spread(1)] = (1,)
    padding: Annotated[tuple[int, ...], spread(1, "natural")] = (0,)
    output_padding: Annotated[tuple[int, ...], spread(1, "natural")] = (0,)
    dilation: Annotated[tuple[int, ...], spread(1)] = (1,)


class ConvTranspose2d(TransposedConvolution):
    """Transposed convolution over height and width."""

    axes = 2
    examples = (
        Example(
            {"out_channels": 64, "kernel_size": 2, "stride": 2},
            inputs=((128, 28, 28),),
            output=(64, 56, 56),
            params=32_832,
            macs=25_690_112,
        ),
        Example(
            {"out_channels": 2, "kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1},
            inputs=((4, 5, 4),),
            output=(2, 10, 8),
            params=74,
            macs=1_440,
        ),
    )

    kernel_size: Annotated[tuple[Size, ...], spread(2, "size")]
    stride: Annotated[tuple[int, ...], spread(2)] = (1, 1)
    padding: Annotated[tuple[int, ...], spread(2, "natural")] = (0, 0)
    output_padding: Annotated[tuple[int, ...], spread(2, "natural")] = (0, 0)
    dilation: Annotated[tuple[int, ...], spread(2)] = (1, 1)


class ConvTranspose3d(TransposedConvolution):
    """Transposed convolution over depth, height and width."""

    axes = 3
    examples = (
        Example(
            {"out_channels": 2, "kernel_size": 2, "stride": (1, 2, 2), "groups": 2},
            inputs=((4, 2, 4, 4),),
            output=(2, 3, 8, 8),
            params=34,
            macs=1_024,
        ),
    )

    kernel_size: Annotated[tuple[Size, ...], spread(3, "size")]
    stride: Annotated[tuple[int, ...], spread(3)] = (1, 1, 1)
    padding: Annotated[tuple[int, ...], spread(3, "natural")] = (0, 0, 0)
    output_padding: Annotated[tuple[int, ...], spread(3, "natural")] = (0, 0, 0)
    dilation: Annotated[tuple[int, ...], spread(3)] = (1, 1, 1)
