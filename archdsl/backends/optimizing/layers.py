"""Layers that only the passes make: the language has no use for them."""

from __future__ import annotations

from archdsl.layers.arguments import Integer
from archdsl.layers.base import (
    Facts,
    Layer,
    Shape,
    Shapes,
    TorchFunction,
    TorchModule,
    numel,
    single,
)

CLAMP = '''\
class ChannelClamp(nn.Module):
    """Keeps the numbers of each channel between a lower and an upper one."""

    lower: torch.Tensor
    upper: torch.Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("lower", torch.full(shape, -torch.inf))
        self.register_buffer("upper", torch.full(shape, torch.inf))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return torch.clamp(input, self.lower, self.upper)
'''

SCALED_RELU = '''\
class ScaledReLU(nn.Module):
    """A ReLU behind a factor for each channel and what is added to it."""

    factor: torch.Tensor
    summand: torch.Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("factor", torch.ones(shape))
        self.register_buffer("summand", torch.zeros(shape))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(self.summand, input, self.factor).relu_()
'''


def _along_channels(shape: Shape) -> Shape:
    """Return the shape of one number for each channel, beside a sample of that shape."""
    return (shape[0], *(1,) * (len(shape) - 1))


class ChannelClamp(Layer):
    """Keeps the numbers of each channel between a lower and an upper one."""

    family = "activation"
    buffers_move = False

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        one = _along_channels(shape)
        return Facts(
            output=shape,
            torch=TorchModule("ChannelClamp", one, source=CLAMP, overwritable=True),
            buffers={"lower": one, "upper": one},
            other={"activation": 2 * numel(shape)},
            apart=True,
        )


class ScaledReLU(Layer):
    """A ReLU behind a factor for each channel and what is added to it."""

    family = "activation"
    buffers_move = False

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        one = _along_channels(shape)
        return Facts(
            output=shape,
            torch=TorchModule("ScaledReLU", one, source=SCALED_RELU),
            buffers={"factor": one, "summand": one},
            other={"normalization": 2 * numel(shape), "activation": numel(shape)},
            apart=True,
        )


class SomeChannels(Layer):
    """The channels from `start` up to `stop`."""

    family = "slicing"

    start: Integer
    stop: Integer

    def infer(self, inputs: Shapes) -> Facts:
        channels, *places = single(inputs)
        bounds = f"{self.start or ''}:{'' if self.stop == channels else self.stop}"
        return Facts(
            output=(self.stop - self.start, *places),
            torch=TorchFunction(f"{{0}}[:, {bounds}]"),
            view=True,
        )
