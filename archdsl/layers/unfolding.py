"""Windows of an image laid side by side, and put together again.

`Unfold` copies, hence nothing is counted. `Fold` adds what overlaps: as "elementwise" one operation
for each number that comes in.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated

from archdsl.layers.agreeing import agree, require_positive
from archdsl.layers.arguments import spread
from archdsl.layers.base import (
    GLOBAL,
    SAMPLE_AXES,
    Example,
    Facts,
    Layer,
    LayerError,
    Shape,
    Shapes,
    TorchModule,
    dtypes,
    numel,
    squeeze,
    unpack,
)
from archdsl.layers.shuffle import divided
from archdsl.layers.sizes import Size

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor


class Windowed(Layer):
    """What has to do with windows that slide over an image."""

    family = "reshape"

    if TYPE_CHECKING:
        kernel_size: tuple[int, ...]
        dilation: tuple[int, ...]
        padding: tuple[int, ...]
        stride: tuple[int, ...]

    def places(self, image: Shape) -> Shape:
        """Return how many windows stand along each axis of an image."""
        rows = zip(image, self.kernel_size, self.dilation, self.padding, self.stride, strict=True)
        found = tuple(
            (size + 2 * pad - gap * (kernel - 1) - 1) // step + 1
            for size, kernel, gap, pad, step in rows
        )
        require_positive(found, "has a kernel larger than its padded input")
        return found

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.result(inputs, torch.output, width=inputs[0].width)


class Unfold(Windowed):
    """All windows of an image: [channels, height, width] to [channels * places, windows].

    Each window is a column: all places of the first channel, then those of the second.
    """

    takes = dtypes(bool="bool", float="float", complex="complex")
    elsewhere = (("im2col", "Unfold(kernel_size)"), ("extractpatches", "Unfold(kernel_size)"))
    examples = (
        Example({"kernel_size": 2, "stride": 2}, inputs=((3, 4, 6),), output=(12, 6)),
        Example(
            {"kernel_size": (3, 2), "dilation": (1, 2), "padding": (1, 0)},
            inputs=((2, 5, 6),),
            output=(12, 20),
        ),
    )

    kernel_size: Annotated[tuple[int, ...], spread(2)]
    dilation: Annotated[tuple[int, ...], spread(2)] = (1, 1)
    padding: Annotated[tuple[int, ...], spread(2, "natural")] = (0, 0)
    stride: Annotated[tuple[int, ...], spread(2)] = (1, 1)

    def infer(self, inputs: Shapes) -> Facts:
        channels, *image = unpack(inputs, SAMPLE_AXES[2])
        return Facts(
            output=(channels * prod(self.kernel_size), numel(self.places(tuple(image)))),
            torch=TorchModule(
                "nn.Unfold",
                (squeeze(self.kernel_size),),
                self.for_torch("kernel_size"),
                overwritable=True,
            ),
            windows=GLOBAL,
        )


class Fold(Windowed):
    """Windows put together to an image of `output_size`; where they overlap they are added."""

    takes = dtypes(float="float", complex="complex")
    elsewhere = (("col2im", "Fold(output_size, kernel_size)"),)
    examples = (
        Example(
            {"output_size": (4, 6), "kernel_size": 2, "stride": 2},
            inputs=((12, 6),),
            output=(3, 4, 6),
        ),
        Example({"output_size": 5, "kernel_size": 3}, inputs=((18, 9),), output=(2, 5, 5)),
    )

    output_size: Annotated[tuple[int, ...], spread(2)]
    kernel_size: Annotated[tuple[int, ...], spread(2)]
    dilation: Annotated[tuple[int, ...], spread(2)] = (1, 1)
    padding: Annotated[tuple[int, ...], spread(2, "natural")] = (0, 0)
    stride: Annotated[tuple[int, ...], spread(2)] = (1, 1)

    def infer(self, inputs: Shapes) -> Facts:
        rows, windows = unpack(inputs, "channels length")
        wanted: Size = numel(self.places(self.output_size))
        if not agree(windows, wanted):
            raise LayerError(
                f"puts {wanted} windows together to {' x '.join(map(str, self.output_size))}, "
                f"and {windows} come in"
            )
        pairs = divided(rows, prod(self.kernel_size), "the places of a window", "first axis")
        sizes = (squeeze(self.output_size), squeeze(self.kernel_size))
        return Facts(
            output=(rows // prod(self.kernel_size), *self.output_size),
            torch=TorchModule(
                "nn.Fold", sizes, self.for_torch("output_size", "kernel_size"), overwritable=True
            ),
            other={"elementwise": rows * windows},
            windows=GLOBAL,
            agreements=(*pairs, *([(windows, wanted)] if windows != wanted else [])),
        )
