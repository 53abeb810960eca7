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


WITH_ROOM = '''\
class WithRoom(nn.Module):
    """Copies a tensor into one that has room for more channels behind it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        channels_last = input.dim() == 4 and input.stride(1) == 1
        output = torch.empty(
            (len(input), self.channels, *input.shape[2:]),
            dtype=input.dtype,
            device=input.device,
            memory_format=torch.channels_last if channels_last else torch.contiguous_format,
        )
        output[:, : input.shape[1]] = input
        return output
'''

APPEND = '''\
class Append(nn.Module):
    """Writes channels into a tensor that has room for them, from channel `start` on."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start

    def forward(self, whole: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
        whole[:, self.start : self.start + part.shape[1]] = part
        return whole
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


class WithRoom(Layer):
    """A copy of a tensor, with room for more channels behind it."""

    family = "merge"

    channels: Integer

    def infer(self, inputs: Shapes) -> Facts:
        _, *places = single(inputs)
        return Facts(
            output=(self.channels, *places),
            torch=TorchModule("WithRoom", (self.channels,), source=WITH_ROOM),
        )


class Append(Layer):
    """What has room, with more of its channels written: in the memory of the first input."""

    family = "merge"

    start: Integer

    def infer(self, inputs: Shapes) -> Facts:
        whole, _ = inputs
        return Facts(
            output=whole,
            torch=TorchModule("Append", (self.start,), source=APPEND),
            view=True,
        )
