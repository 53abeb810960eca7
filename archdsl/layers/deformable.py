"""Deformable convolution, which reads places that are computed.

Dai et al., Deformable Convolutional Networks, 2017, arXiv:1703.06211; with a mask Zhu et al.,
Deformable ConvNets v2, 2018, arXiv:1811.11168.

Multiply-accumulates are those of a convolution of the same kernel. Under "resize" stands what it
takes to interpolate what each place of the kernel reads, in each channel: 4 multiplications and 3
additions; under "elementwise" the additions that place it (2 for each offset group) and, with a
mask, a multiplication for each number that is read. What the weights of the four neighbours take is
left out, as in every interpolation.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated

from archdsl.layers.agreeing import agree, require_positive
from archdsl.layers.arguments import Flag, Positive, spread
from archdsl.layers.base import (
    GLOBAL,
    Example,
    Facts,
    Layer,
    LayerError,
    Shapes,
    TorchModule,
    by,
    numel,
    several,
    squeeze,
)
from archdsl.layers.convolution import check_groups
from archdsl.layers.same_padding import extent
from archdsl.layers.sizes import Size

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

MOST_INPUTS = 3  # with a mask
# arguments, with their defaults, that a convolution has to share to give an offset
ALIKE = {"stride": 1, "padding": 0, "dilation": 1}
INTERPOLATED = 7  # operations for a number between four others


class DeformConv2d(Layer):
    """Convolution whose kernel reads places that are shifted: `from image, offset, mask`.

    The offset holds two numbers, down and right, for each place of the kernel at each place of the
    output: [2 * kernel places * offset groups, height, width]. The mask, if there is one, holds a
    factor for each. It is torchvision's, which a module with it needs. As places may be shifted
    without bounds, it sees all of the image.
    """

    family = "convolution"
    elsewhere = (
        ("dcn", "DeformConv2d"),
        ("deformableconv2d", "DeformConv2d"),
        ("dcnv2", "DeformConv2d"),
    )
    examples = (
        Example(
            {"out_channels": 5, "kernel_size": 3},
            inputs=((3, 10, 10), (18, 8, 8)),
            output=(5, 8, 8),
            params=140,
            macs=8_640,
        ),
        Example(
            {"out_channels": 4, "kernel_size": 2, "dilation": 2, "bias": False},
            inputs=((6, 5, 6), (16, 3, 4)),
            output=(4, 3, 4),
            params=96,
            macs=1_152,
        ),
        Example(
            {"out_channels": 6, "kernel_size": (1, 3), "padding": (0, 1), "stride": 2, "groups": 2},
            inputs=((4, 7, 8), (12, 4, 4), (6, 4, 4)),
            output=(6, 4, 4),
            params=42,
            macs=576,
        ),
    )

    out_channels: Positive
    kernel_size: Annotated[tuple[int, ...], spread(2)]
    stride: Annotated[tuple[int, ...], spread(2)] = (1, 1)
    padding: Annotated[tuple[int, ...], spread(2, "natural")] = (0, 0)
    dilation: Annotated[tuple[int, ...], spread(2)] = (1, 1)
    groups: Positive = 1
    bias: Flag = True

    def infer(self, inputs: Shapes) -> Facts:
        image, offset, *masks = several(inputs, least=2, most=MOST_INPUTS)
        if len(image) != 3:
            raise LayerError("takes an image of the shape [channels, height, width] first")
        channels = image[0]
        check_groups(channels, self.out_channels, self.groups)
        rows = zip(
            image[1:], self.kernel_size, self.stride, self.padding, self.dilation, strict=True
        )
        places = tuple(
            (size + 2 * pad - extent(kernel, gap)) // step + 1
            for size, kernel, step, pad, gap in rows
        )
        require_positive(places, "has a kernel larger than its padded input")
        kernel = prod(self.kernel_size)
        offsets = self.offset_groups(channels, offset)
        agreements: list[tuple[Size, Size]] = []
        for name, given, wanted in (
            ("an offset", offset, 2 * kernel * offsets),
            *(("a mask", mask, kernel * offsets) for mask in masks),
        ):
            shape = (wanted, *places)
            if len(given) != 3 or not all(map(agree, given, shape)):
                text, has = (" x ".join(map(str, each)) for each in (shape, given))
                raise LayerError(f"takes {name} of {text} for this image, and has one of {has}")
            agreements += [pair for pair in zip(given, shape, strict=True) if pair[0] != pair[1]]
        output = (self.out_channels, *places)
        seen = channels // self.groups
        weight = (self.out_channels, seen, *self.kernel_size)
        read = channels * kernel * numel(places)
        moved = 2 * kernel * offsets * numel(places)
        each = by(self.kernel_size, seen)
        return Facts(
            output=output,
            torch=TorchModule(
                "torchvision.ops.DeformConv2d",
                (channels, self.out_channels),
                self.for_torch("out_channels"),
                overwritable=True,
            ),
            params={"weight": weight} | ({"bias": (self.out_channels,)} if self.bias else {}),
            macs=numel(output) * numel(weight[1:]),
            other={
                "resize": INTERPOLATED * read,
                "elementwise": moved + (read if masks else 0),
            }
            | ({"bias": numel(output)} if self.bias else {}),
            windows=GLOBAL,
            # the zeros that stand for what is not there
            inside=(0 if masks else 1) + (0 if self.bias else self.out_channels),
            arithmetic=by(f"({each} + 1)" if self.bias else each, self.out_channels),
            agreements=tuple(agreements),
        )

    def offset_groups(self, channels: Size, offset: tuple[Size, ...]) -> int:
        """Return how many groups of channels have offsets of their own."""
        each, numbers = 2 * prod(self.kernel_size), offset[0] if offset else 0
        if not isinstance(numbers, int) or not isinstance(channels, int):
            raise LayerError("needs to know the channels of its image and of its offset")
        groups = numbers // each
        if numbers % each or not groups or channels % groups:
            given = {name: squeeze(getattr(self, name)) for name in ("kernel_size", *ALIKE)}
            more = "".join(
                [f", {name} = {value}" for name, value in given.items() if value != ALIKE.get(name)]
            )
            raise LayerError(
                f"takes an offset of {each} channels, or of {each} for each group of its "
                f"{channels} input channels, and {numbers} come in",
                help=f"`Conv2d({each}{more.replace('(', '[').replace(')', ']')})` gives one",
            )
        return groups

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        # torchvision makes zeros of a mask and of a bias that are not there, and keeps them too
        parts = [*inputs, torch.own["weight"]]
        if len(inputs) < MOST_INPUTS:
            parts.append(torch.new((inputs[0].shape[0], 1)))
        parts.append(torch.own["bias"] if self.bias else torch.new((self.out_channels,)))
        return torch.result(parts, torch.output, saves=parts)
