"""Dropouts: what leaves numbers out while a network is trained.

All counts are those of evaluation, in which a dropout hands its input on, so that none stand
here. `p` is the probability with which a number, a channel or a sample is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from archdsl.layers.arguments import Probability, choice
from archdsl.layers.base import (
    SAMPLE_AXES,
    Example,
    Facts,
    Layer,
    Shape,
    Shapes,
    TorchModule,
    single,
    unpack,
)

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor

# Draws the same random numbers as torchvision.ops.StochasticDepth.
STOCHASTIC_DEPTH = '''\
class StochasticDepth(nn.Module):
    """Zeroes its input at random while training, whole or sample by sample."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return input
        kept = 1 - self.p
        samples = input.shape[0] if self.mode == "row" else 1
        shape = [samples] + [1] * (input.dim() - 1)
        noise = torch.empty(shape, dtype=input.dtype, device=input.device)
        noise.bernoulli_(kept)
        if kept > 0:
            noise.div_(kept)
        return input * noise
'''


class AnyDropout(Layer):
    """A dropout; its subclasses say of what."""

    family = "dropout"
    inert = True

    # It is no view, as it makes a tensor in training; and nothing behind it may write over its
    # output, since in evaluation mode that is what came in.
    p: Probability = 0.5

    def infer(self, inputs: Shapes) -> Facts:
        return Facts(
            output=single(inputs),
            torch=TorchModule(f"nn.{self.torch_name()}", keywords=self.for_torch()),
            apart=True,
        )

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return torch.dropout(x, self.p, self.noise(x.shape))

    def noise(self, shape: Shape) -> Shape:
        return shape


def for_channels(shape: Shape) -> Shape:
    """Return the shape of what has one number for each channel of each sample."""
    return (*shape[:2], *(1,) * (len(shape) - 2))


class ChannelDropout(AnyDropout):
    """A dropout of whole channels; its subclasses say of how many axes."""

    axes: ClassVar[int]

    def infer(self, inputs: Shapes) -> Facts:
        unpack(inputs, SAMPLE_AXES[self.axes])
        return super().infer(inputs)

    def noise(self, shape: Shape) -> Shape:
        return for_channels(shape)


class Dropout(AnyDropout):
    """Zeroes single numbers at random while training, and scales up the others."""

    examples = (Example({"p": 0.2}, inputs=((8,),), output=(8,)),)


class Dropout1d(ChannelDropout):
    """Zeroes whole channels of a sequence at random while training."""

    axes = 1
    examples = (Example({}, inputs=((4, 6),), output=(4, 6)),)


class Dropout2d(ChannelDropout):
    """Zeroes whole channels of an image at random while training."""

    axes = 2
    examples = (Example({}, inputs=((4, 3, 3),), output=(4, 3, 3)),)


class Dropout3d(ChannelDropout):
    """Zeroes whole channels of a volume at random while training."""

    axes = 3
    examples = (Example({}, inputs=((4, 2, 3, 3),), output=(4, 2, 3, 3)),)


class AlphaDropout(AnyDropout):
    """Dropout that keeps mean and variance behind SELU: it sets to SELU's limit instead of 0."""

    examples = (Example({}, inputs=((8,),), output=(8,)),)

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        dropped = super().trained(torch, x)
        # all of the limit is added where some numbers are left out
        return torch.pointwise((dropped,)) if 0 < self.p < 1 else dropped


class FeatureAlphaDropout(AlphaDropout):
    """Alpha dropout of whole channels."""

    examples = (Example({}, inputs=((4, 3, 3),), output=(4, 3, 3)),)

    def noise(self, shape: Shape) -> Shape:
        return for_channels(shape)


class StochasticDepth(Layer):
    """Zeroes its input at random while training, so that a residual block becomes its shortcut.

    `mode` "row" draws for each sample of a batch, "batch" for all of them together (Huang et al.,
    Deep Networks with Stochastic Depth, 2016; the same as in torchvision.ops).
    """

    family = "dropout"
    inert = True
    examples = (Example({"p": 0.2, "mode": "row"}, inputs=((4, 3, 3),), output=(4, 3, 3)),)

    # torchvision has no defaults either
    p: Probability
    mode: Annotated[Literal["row", "batch"], choice("row", "batch")]

    def infer(self, inputs: Shapes) -> Facts:
        return Facts(
            output=single(inputs),
            torch=TorchModule("StochasticDepth", (self.p, self.mode), source=STOCHASTIC_DEPTH),
            apart=True,
        )

    def noise(self, shape: Shape) -> Shape:
        return (shape[0] if self.mode == "row" else 1, *(1,) * (len(shape) - 1))

    def trained(self, torch: Autograd, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        return x if self.p == 0 else torch.mul(x, torch.new(self.noise(x.shape)))
