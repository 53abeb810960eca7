"""What packages of models do in their modules, and small modules of one's own hardly."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

import archdsl


class Activation(nn.Module):
    """An activation of a package's own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.gelu(x)


class NormAct(nn.BatchNorm2d):
    """A normalization that holds the activation behind it."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = Activation()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, var = self.running_mean, self.running_var
        x = functional.batch_norm(x, mean, var, self.weight, self.bias, self.training)
        y: torch.Tensor = self.act(x)
        return y


class ActInLayer(nn.Module):
    """Two uses of such a normalization, with what comes out of the activation used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.bn, self.more = NormAct(4), NormAct(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.bn(x)
        return self.more(y) * y.tanh()


class StandardConv(nn.Conv2d):
    """A convolution whose weights are normalized as if they were one sample."""

    def __init__(self, *sizes: int, gain: bool) -> None:
        super().__init__(*sizes)
        self.gain = nn.Parameter(torch.rand(self.out_channels, 1, 1, 1) + 0.5) if gain else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.weight.reshape(1, self.out_channels, -1)
        gain = None if self.gain is None else (self.gain * 0.3).view(-1)
        weight = functional.batch_norm(
            rows, None, None, weight=gain, training=True, momentum=0.0, eps=1e-4
        )
        return functional.conv2d(x, weight.reshape_as(self.weight), self.bias)


class Biased(nn.Module):
    """Attention in windows with a bias by distance, kept while the module evaluates.

    The bias is made before the windows are normalized.
    """

    kept: torch.Tensor | None = None

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv = nn.LayerNorm(8), nn.Linear(8, 24)
        self.biases = nn.Parameter(torch.randn(2, 4))
        table = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]])
        self.register_buffer("table", table, persistent=False)

    def train(self, mode: bool = True) -> Biased:
        super().train(mode)
        if mode:
            self.kept = None
        return self

    def bias(self) -> torch.Tensor:
        table = self.table
        assert isinstance(table, torch.Tensor)
        if self.training:
            return self.biases[:, table]
        if self.kept is None:
            self.kept = self.biases[:, table]
        return self.kept

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count, height, width, channels = x.shape
        x = functional.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        rows, columns = x.shape[1] // 2, x.shape[2] // 2
        x = x.view(count, rows, 2, columns, 2, channels).transpose(2, 3).reshape(-1, 4, channels)
        bias = self.bias()
        parts = self.qkv(self.norm(x)).view(len(x), 4, 2, 12).split([4, 4, 4], dim=3)
        q, k, v = (one.permute(0, 2, 1, 3) for one in parts)
        x = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = x.transpose(1, 2).reshape(count, rows, columns, 2, 2, channels).transpose(2, 3)
        return x.reshape(count, 2 * rows, 2 * columns, channels)[:, :height, :width]


class Unrolled(nn.Module):
    """Places of an image by the parts that they lie in, three times over: nine axes."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count, height, width, channels = x.shape
        for _ in range(3):
            height, width = height // 2, width // 2
            x = x.view(-1, height, 2, width, 2, channels).permute(0, 2, 4, 1, 3, 5)
            x = x.reshape(-1, height, width, channels)
        x = x.reshape(count, -1, height * width, channels).transpose(1, 2)
        y: torch.Tensor = self.map(x.reshape(count, -1, channels))
        return y


class Placed(nn.Module):
    """Tables of relative places: with a token that has rows of its own, and of several kinds."""

    def __init__(self, side: int) -> None:
        super().__init__()
        line = torch.arange(side)
        across = (line[None] - line[:, None]).repeat(side, side)
        down = (line[None] - line[:, None]).repeat_interleave(side, 0).repeat_interleave(side, 1)
        far = across**2 + down**2
        self.register_buffer("kinds", torch.stack([across, down, far], -1).float(), False)
        places = functional.pad(across + 2 * side * down, (1, 0, 1, 0), value=7)
        places[0], places[0, 0] = 99, 101
        self.register_buffer("places", places.double().float(), False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kinds, places = self.kinds, self.places
        assert isinstance(kinds, torch.Tensor)
        assert isinstance(places, torch.Tensor)
        return (x[:, 1:, 1:, None] * kinds).sum(-1) + (x * places).mean((1, 2), keepdim=True)


class MadeAnew(nn.Module):
    """A table that is made for the number of tokens, and kept as a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(1, 1, 1), persistent=False)
        self.map = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.table.shape[1] != x.shape[1]:
            self.table = torch.arange(4.0).expand(1, x.shape[1], -1) + 1
        y: torch.Tensor = self.map(self.table.expand(len(x), -1, -1)) * x
        return y


class Decomposed(nn.Module):
    """Attention in windows and heads that are joined with the batch, biased by rows and columns."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.rows = nn.Linear(8, 24), nn.Parameter(torch.randn(3, 4))
        self.columns = nn.Parameter(torch.randn(3, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count, height, width, channels = x.shape
        x = x.view(count, height // 2, 2, width // 2, 2, channels).transpose(2, 3)
        x = x.reshape(-1, 2, 2, channels)
        heads = self.qkv(x).view(len(x), 4, 3, 2, 4).permute(2, 0, 3, 1, 4)
        q, k, v = heads.reshape(3, len(x) * 2, 4, 4).unbind(0)
        place = torch.arange(2)[:, None] - torch.arange(2) + 1
        places = q.reshape(-1, 2, 2, 4)
        down = torch.einsum("bhwc,hkc->bhwk", places, self.rows[place])
        across = torch.einsum("bhwc,wkc->bhwk", places, self.columns[place])
        bias = (down[..., None] + across[:, :, :, None]).reshape(-1, 4, 4)
        y: torch.Tensor = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        y = y.view(count, -1, 2, 4, 4).transpose(2, 3)
        return y.reshape(count, -1, channels)


class Bounded(nn.Module):
    """A linear map between bounds that are buffers, without an end at first."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(4, 4)
        self.register_buffer("low", torch.tensor(-float("inf")))
        self.register_buffer("high", torch.tensor(0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.map(torch.clamp(x, self.low, self.high)).clamp(max=self.high)
        return x.clamp(self.low, 0.25).clamp(-1, 1)


class AsTensor(nn.Module):
    """What is a tensor already, taken for one; with a cast and numbers besides."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.map(x) + torch.as_tensor(torch.asarray(x * 2))
        return y * torch.as_tensor(x > 0, dtype=torch.float32) + torch.as_tensor([1.0, 2, 3, 4])


WAYS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "activation in a layer": (ActInLayer, (4, 5, 5)),
    "standardized weights": (lambda: StandardConv(3, 4, 3, gain=False), (3, 6, 6)),
    "standardized weights with a gain": (lambda: StandardConv(3, 4, 3, gain=True), (3, 6, 6)),
    "padded windows": (Biased, (5, 5, 8)),
    "windows": (Biased, (4, 6, 8)),
    "many axes": (Unrolled, (16, 8, 3)),
    "a table made anew": (MadeAnew, (3, 4)),
    "a bias by rows and columns": (Decomposed, (4, 6, 8)),
    "bounds that are buffers": (Bounded, (3, 4)),
    "as a tensor": (AsTensor, (3, 4)),
    "tables of places": (lambda: Placed(5), (26, 26)),
}


@pytest.mark.parametrize("name", WAYS)
def test_it_comes_in(name: str) -> None:
    torch.manual_seed(0)
    make, shape = WAYS[name]

    network = archdsl.from_torch(make(), torch.randn(2, *shape), name="net")

    assert network.proof.same


def test_tables_of_places_are_formulas() -> None:
    network = archdsl.from_torch(Placed(14), torch.randn(2, 197, 197), name="net")

    assert "(101 if j < 1 else 99) if i == 0 else 7 if j == 0 else" in network.spec
    assert len(network.spec) < 1000


def test_what_a_module_keeps_of_a_run_before_is_forgotten() -> None:
    module, images = Biased().eval(), torch.randn(2, 4, 4, 8)
    with torch.no_grad():
        module(images)

    assert archdsl.from_torch(module, images).proof.same


def test_a_table_that_was_made_anew_is_as_before() -> None:
    module, images = MadeAnew(), torch.randn(2, 3, 4)

    assert archdsl.from_torch(module, images).proof.same
    assert module.table.tolist() == [[[0.0]]]
    assert module(images).abs().sum() > 0
    assert archdsl.from_torch(module, images).proof.same
    assert torch.equal(module.table[0, 0], torch.arange(4.0) + 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_numbers_are_as_short_as_may_be(dtype: torch.dtype) -> None:
    from archdsl.importing.numbers import number

    generator = torch.Generator().manual_seed(0)
    scales = 10.0 ** torch.randint(-4, 4, (50,), generator=generator)
    random = torch.randn(50, generator=generator) * scales
    odd = torch.tensor([0.1, 1 / 3, 2.0**24, 65504.0, torch.finfo(dtype).tiny])
    for one in torch.cat([random, odd, torch.arange(9) / 8]).to(dtype):
        shortest = next(
            float(f"{one.item():.{digits}g}")
            for digits in range(1, 18)
            if torch.tensor(float(f"{one.item():.{digits}g}"), dtype=dtype) == one
        )
        assert number(one) == repr(shortest)
