"""Layers that only the passes make: the language has no use for them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from archdsl.layers.arguments import Integer
from archdsl.layers.base import (
    Facts,
    Layer,
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


class ByChannel(Layer):
    """What has two numbers for each channel, in buffers that never change."""

    family = "activation"
    buffers_move = False
    source: ClassVar[str]
    names: ClassVar[tuple[str, str]]
    operations: ClassVar[Mapping[str, int]]  # for each number, by their headings

    def infer(self, inputs: Shapes) -> Facts:
        shape = single(inputs)
        one = (shape[0], *(1,) * (len(shape) - 1))  # beside a sample
        return Facts(
            output=shape,
            torch=TorchModule(type(self).__name__, one, source=self.source),
            buffers=dict.fromkeys(self.names, one),
            other={heading: each * numel(shape) for heading, each in self.operations.items()},
            apart=True,
        )


class ChannelClamp(ByChannel):
    """Keeps the numbers of each channel between a lower and an upper one."""

    source = CLAMP
    names = ("lower", "upper")
    operations = MappingProxyType({"activation": 2})


class ScaledReLU(ByChannel):
    """A ReLU behind a factor for each channel and what is added to it."""

    source = SCALED_RELU
    names = ("factor", "summand")
    operations = MappingProxyType({"normalization": 2, "activation": 1})


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
