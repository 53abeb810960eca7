"""Modules that tests bring in: each with one thing that is to be recovered."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class Unit(nn.Module):
    """A residual block whose shortcut is there where the shape changes."""

    def __init__(self, width: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module | None = None
        if stride != 1 or width != out:
            self.shortcut = nn.Conv2d(width, out, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        identity = x if self.shortcut is None else self.shortcut(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.conv2(y)
        y += identity
        return self.relu(y)


class Residuals(nn.Module):
    """Blocks in a row, functions between them, and a head by functions alone."""

    def __init__(self, width: int = 8, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.Sequential(
            Unit(width, width), Unit(width, width), Unit(width, width), Unit(width, 2 * width, 2)
        )
        self.fc = nn.Linear(2 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu(self.stem(x))
        x = self.body(x)
        x = nn.functional.adaptive_avg_pool2d(x, (1, 1))
        return self.fc(x.view(x.size(0), -1))


class Layer(nn.Module):
    """A layer of a dense block, which takes a list."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, growth, 3, padding=1)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        return nn.functional.relu(self.conv(torch.cat(maps, 1)))


class Dense(nn.Module):
    """A dense block."""

    def __init__(self, layers: int = 5) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(4 + 2 * i, 2) for i in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = [x]
        for layer in self.layers:
            maps.append(layer(maps))
        return torch.cat(maps, 1)


class Heads(nn.Module):
    """A second output in training mode alone, from the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.aux = nn.Linear(6, 2)
        self.second = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor | dict[str, torch.Tensor]:
        x = self.first(x).relu()
        if not self.training:
            return self.second(x)
        return {"out": self.second(x), "aux": self.aux(x)}


class Crossed(nn.Module):
    """What reaches far: a tensor that no merge leads to, used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.a(x)
        b = self.b(a)
        c = self.c(b + x)
        return torch.cat([a * c, b - c, x], dim=1)


class Two(nn.Module):
    """Two inputs, one of which is brought to the size of the other."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(2, 4, 1), nn.Conv2d(3, 4, 1)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        up = nn.functional.interpolate(self.coarse(coarse), size=fine.shape[-2:], mode="nearest")
        return self.fine(fine) + up


class Tokens(nn.Module):
    """Parameters of its own, attention, and a place that is selected."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.position = nn.Parameter(torch.randn(1, 5, 8))
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.position
        y = self.norm(x)
        return (x + self.attention(y, y, y, need_weights=False)[0])[:, 0]


class Twice(nn.Module):
    """A module that is applied twice."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.map(torch.tanh(self.map(x)))


class Own(nn.LayerNorm):
    """A normalization whose parameters a function takes, with something behind it."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        shape, weight, bias = self.normalized_shape, self.weight, self.bias
        return nn.functional.gelu(nn.functional.layer_norm(input, shape, weight, bias, self.eps))


class Scaled(nn.Module):
    """Parameters that go through functions before they meet what comes in; padding of a map whose
    channels come last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.scale = nn.Parameter(torch.rand(4))
        self.mask = nn.Parameter(torch.rand(1, 4, 6, 6))
        self.factors = nn.Parameter(torch.rand(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.conv(x).mul(self.scale.reshape(1, -1, 1, 1))
        x = x + torch.sigmoid(self.mask) * self.factors[1]
        x = nn.functional.pad(x.permute(0, 2, 3, 1), (0, 0, 0, 1, 0, 1)).permute(0, 3, 1, 2)
        return nn.functional.pad(x, (1, 1, 0, 2), value=-1.0)


class Attends(nn.Module):
    """Attention by functions, whose heads come of an axis before the batch; a shared token."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)
        self.scale = nn.Parameter(torch.rand(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, 2, 4).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        y = nn.functional.scaled_dot_product_attention(query, key, value)
        return x + self.scale * self.proj(y.transpose(1, 2).reshape(batch, length, width))


class Drops(nn.Module):
    """Stochastic depth as many write it by themselves, which only training has."""

    def __init__(self, share: float = 0.25) -> None:
        super().__init__()
        self.map, self.share = nn.Linear(4, 4), share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.map(x)
        if self.training:
            kept = 1 - self.share
            noise = y.new_empty((y.shape[0], 1)).bernoulli_(kept).div_(kept)
            y = y * noise
        return x + y


class Branches(nn.Module):
    """A part that gives two tensors, to one that takes two."""

    def __init__(self) -> None:
        super().__init__()
        self.split, self.join = Splits(), Joins()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.join(*self.split(x))


class Splits(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.a(x)
        return x, self.b(x).relu()


class Joins(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.second, self.first = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.first(x) - self.second(y)


class Decides(nn.Module):
    """Its way depends on the numbers that come in."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.relu() if bool(x.sum() > 0) else x.tanh()


class Sorts(nn.Module):
    """It does what the language has no word for, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.map(torch.logcumsumexp(torch.logcumsumexp(x, 1), 1))


class Unused(nn.Module):
    """It holds parameters that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.spare = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.map(x)


class Fails(nn.Module):
    """Its forward pass raises."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise KeyError("nothing there")


def answer() -> int:
    """Make no module."""
    return 42


def broken() -> nn.Module:
    """Fail to make one."""
    raise ZeroDivisionError("by design")


ready = nn.Sequential(nn.Linear(4, 3), nn.ReLU())


class OfBatch(nn.Module):
    """Goes another way for many samples."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.map(x)
        return y if len(x) < 3 else y.relu()


class OnTheWay(nn.Module):
    """Gives a tensor, and two that were made on the way to it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        first = torch.relu(self.a(x))
        second = self.b(first) + first
        return self.c(second), first, second


class ReadsOnTheWay(nn.Module):
    """Reads all that a part gives, and some of what another one gives."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.last = OnTheWay(), OnTheWay(), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, first, second = self.one(x)
        z, _, other = self.two(y + first * second)
        read: torch.Tensor = self.last(z * first) + self.last(other)
        return read


class Same(nn.Module):
    """Gives what came in."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class AsksConstants(nn.Module):
    """Asks what numbers a mask holds that the pass makes, as transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = torch.ones(1, x.shape[1], device=x.device)
        mask.mul_(2)
        if (mask[:, -1] == 0).all():
            return x
        y: torch.Tensor = self.layer(x) * (mask.cumsum(1) if mask.sum().item() > 3 else mask)
        return y


class Of(nn.Module):
    """Some function of what comes in, and of a linear map of it."""

    def __init__(self, function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.map, self.function = nn.Linear(4, 4), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, self.map(x))


class Gated(Of):
    """The same, behind a gate that begins with zero."""

    def __init__(self, function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__(function)
        self.gate = nn.Parameter(torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.gate * super().forward(x)


class Several(nn.Module):
    """Gives several tensors by names."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.names = names

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        first = self.a(x)
        second = torch.relu(self.b(first))
        return dict(zip(self.names, (first, second, self.c(second)), strict=True))


class Takes(nn.Module):
    """Two of what gives several tensors by names, all of which are used."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self.several, self.others = Several(names), Several(names)
        self.fuse = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b, c = self.several(x).values()
        d, e, f = self.others(x).values()
        return a * self.fuse(b) + c * e - d + f


class Scales(nn.Module):
    """Has numbers of its own, beside those that all of its kind have in a row."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.map, self.factor = nn.Linear(4, 4), factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.map(x) * self.factor
        for factor in (2.0, 0.5, 3.0):
            x = torch.tanh(x * factor)
        return x


class Differs(nn.Module):
    """Takes two tensors of one shape that don't mean the same."""

    def __init__(self) -> None:
        super().__init__()
        self.ask, self.map = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.ask(query) - 2 * self.map(key)
        return y
