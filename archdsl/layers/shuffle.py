"""Shuffles: channels made places, places made channels, channels among each other.

They only move numbers: nothing is computed, hence nothing is counted.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from archdsl.layers.arguments import Positive
from archdsl.layers.base import (
    ANY,
    Example,
    Facts,
    Layer,
    LayerError,
    Shapes,
    TorchModule,
    Window,
    single,
    unpack,
)
from archdsl.layers.sizes import Formula, Size

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor


class Shuffle(Layer):
    """A layer that moves numbers to other places."""

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        return torch.resized(inputs[0], torch.output)


class PixelShuffle(Shuffle):
    """Channels made places: [channels r r, height, width] to [channels, r height, r width]."""

    family = "shuffle"
    takes = ANY
    examples = (Example({"upscale_factor": 2}, inputs=((12, 5, 4),), output=(3, 10, 8)),)

    upscale_factor: Positive

    def infer(self, inputs: Shapes) -> Facts:
        channels, height, width = unpack(inputs, "channels height width")
        factor = self.upscale_factor
        return Facts(
            output=(channels // factor**2, height * factor, width * factor),
            torch=TorchModule("nn.PixelShuffle", (factor,), overwritable=True),
            # output i reads place i // factor, the first not below (i + 1 - factor) / factor
            windows=(Window(1, Fraction(1, factor), Fraction(1 - factor, factor)),) * 2,
            agreements=divided(channels, factor**2, "the square of upscale_factor", "channels"),
        )


class PixelUnshuffle(Shuffle):
    """Places made channels: [channels, r height, r width] to [channels r r, height, width]."""

    family = "shuffle"
    takes = ANY
    examples = (Example({"downscale_factor": 2}, inputs=((3, 10, 8),), output=(12, 5, 4)),)

    downscale_factor: Positive

    def infer(self, inputs: Shapes) -> Facts:
        channels, height, width = unpack(inputs, "channels height width")
        factor = self.downscale_factor
        pairs = divided(height, factor, "downscale_factor", "height")
        pairs += divided(width, factor, "downscale_factor", "width")
        return Facts(
            output=(channels * factor**2, height // factor, width // factor),
            torch=TorchModule("nn.PixelUnshuffle", (factor,), overwritable=True),
            windows=(Window(factor, factor),) * 2,
            agreements=pairs,
        )


class ChannelShuffle(Shuffle):
    """Channels dealt out: of `groups` groups first the first of each, then the second, ..."""

    family = "shuffle"
    takes = ANY
    examples = (Example({"groups": 3}, inputs=((12, 4, 4),), output=(12, 4, 4)),)

    groups: Positive

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        if len(shape) < 2:
            raise LayerError("takes an input of channels and at least one further axis")
        return Facts(
            output=shape,
            torch=TorchModule("nn.ChannelShuffle", (self.groups,), overwritable=True),
            agreements=divided(shape[0], self.groups, "groups", "channels"),
        )


def divided(size: Size, by: int, name: str, axis: str) -> tuple[tuple[Size, Size], ...]:
    """Refuse a size that a factor doesn't divide; of a free one return that it has to."""
    rest = size % by
    if isinstance(rest, Formula):
        return ((rest, 0),)
    if rest:
        raise LayerError(f"needs {name}, {by}, to divide its {axis}, {size}")
    return ()
