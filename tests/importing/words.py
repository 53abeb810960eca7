"""Modules that say in torch's own ways what the language has words for."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812


class Windows(nn.Module):
    """Attention in windows that are joined with the batch, with a table of relative positions."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.proj = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        self.table = nn.Parameter(torch.randn(49, 2))
        row, column = torch.arange(16) // 4, torch.arange(16) % 4
        places = (row[:, None] - row + 3) * 7 + (column[:, None] - column + 3)
        self.register_buffer("places", places, persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        n, c, h, w = image.shape
        x = torch.roll(image.permute(0, 2, 3, 1), (-2, -2), (1, 2))
        x = x.view(n, h // 4, 4, w // 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, c)
        qkv = self.qkv(self.norm(x)).reshape(x.shape[0], 16, 3, 2, 4)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q * 0.5) @ k.transpose(-2, -1)
        bias = self.table[self.places.view(-1)].view(16, 16, 2).permute(2, 0, 1)
        weights = (weights + bias.unsqueeze(0)).softmax(-1)
        x = self.proj((weights @ v).transpose(1, 2).reshape(-1, 16, c)) + x
        x = x.view(n, h // 4, w // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        return torch.roll(x, (2, 2), (1, 2)).permute(0, 3, 1, 2)


class Masks(nn.Module):
    """Attention with masks that the pass makes, and heads that share keys."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        seen = torch.tril(torch.ones(64, 64, dtype=torch.bool)).view(1, 1, 64, 64)
        self.register_buffer("seen", seen, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, length, width = x.shape
        parts = self.qkv(x).split(8, dim=2)
        q, k, v = (part.view(n, length, 2, 4).transpose(1, 2) for part in parts)
        weights = q @ k.transpose(-2, -1) / 2
        weights = weights.masked_fill(self.seen[:, :, :length, :length] == 0, -1e9).softmax(-1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True) + weights @ v
        mask = torch.ones(length, length, dtype=torch.bool).tril()
        few = k[:, :1].expand(-1, 2, -1, -1)
        y = y + F.scaled_dot_product_attention(q, few, v, attn_mask=mask, scale=0.3)
        grouped = (q, k[:, :1], v[:, :1])
        y = y + F.scaled_dot_product_attention(*grouped, enable_gqa=True)
        return y.transpose(1, 2).reshape(n, length, width)


class Numbers(nn.Module):
    """Arithmetic with numbers and of several tensors, comparisons, and parts."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = 1 - x
        z = x / (y.abs() + 1)
        z = torch.einsum("bij,bkj->bik", z, y) + torch.einsum("...i,...i->...", x, y)[..., None]
        z = torch.where(z > 0, z, 0.5 * z) + torch.where((x < 0.5) & ~(y >= 0.5), 2.0, z)
        z = z + (x.flip(1) @ x.mT) + x.repeat(1, 2, 1)[:, 3:8] + 2 / (x.exp() + 3)
        z = z.cumsum(-1) / z.norm(dim=-1, keepdim=True)
        z = z + x.var(dim=2, unbiased=False, keepdim=True) + x.amax(2, keepdim=True) ** 3
        return z + z.max(dim=1, keepdim=True)[0] - torch.arange(5.0) + torch.maximum(x, y)


class SecondAxis(nn.Module):
    """Sequences whose batch is the second axis, as torch has them unless it is told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.attention = nn.LSTM(8, 4), nn.MultiheadAttention(4, 2)
        self.out = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.rnn(x.transpose(0, 1))
        z, _ = self.attention(y, y, y)
        return self.out(z).mean(0)


class LastState(nn.Module):
    """The last state of a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(8, 4, num_layers=2, batch_first=True)
        self.out = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(x)[1][-1])


class Tied(nn.Module):
    """A head that has the weights of the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(10, 8), nn.Linear(8, 10, bias=False)
        self.head.weight = self.words.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.words(x)))


class Rows(nn.Module):
    """Batch normalization of all places of all samples together, and of stacked results."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(8, 6), nn.BatchNorm1d(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.linear(x)
        y = self.norm(x.flatten(0, 1)).reshape_as(x)
        return torch.stack([x, y]).sum(0) * 2 + 1


class Adds(nn.Module):
    """Weights and a bias that no module of their own uses, and gradients that stop."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(4, 6, bias=False)
        self.bias, self.weight = nn.Parameter(torch.randn(3)), nn.Parameter(torch.randn(5, 6))
        self.fixed = nn.Linear(5, 5)
        self.fixed.requires_grad_(False)
        self.register_buffer("wave", torch.randn(300))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bias = torch.cat([self.bias, torch.zeros(3)])
        y = F.linear(F.linear(x, self.qkv.weight, bias), self.weight)
        return self.fixed(y.detach()) + self.wave[:5]


class Odd(nn.Module):
    """Much that the language has no words for, and parameters that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.conv = nn.Linear(4, 6), nn.Conv1d(1, 2, 3)
        self.weight = nn.Parameter(torch.randn(3, 6))
        self.kernel = nn.Parameter(torch.randn(2, 2, 3))
        self.spare = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.linear(x)
        best, places = torch.topk(y, 3)
        z = torch.logcumsumexp(y, 1) @ self.weight.t()
        z[:, 0] = 2 * best[:, 0]
        maps = self.conv((best + z).reshape(-1, 1, 3))
        maps = F.conv1d(F.pad(maps, (1, 1)), torch.softmax(self.kernel, 0))
        return maps, places


def windows_of(x: torch.Tensor) -> torch.Tensor:
    n, c, h, w = x.shape
    return x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(-1, c, 2, 2)


class WindowConvolution(nn.Module):
    """A convolution of windows that are joined with the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(windows_of(image))
        return y.reshape(image.shape[0], -1)


class OwnFilters(nn.Module):
    """A convolution whose filters each sample makes for itself, as CondConv's."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Linear(3, 5 * 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        samples = len(image)
        filters = self.filters(image.mean((2, 3))).reshape(samples * 5, 3, 1, 1)
        together = F.conv2d(image.reshape(1, samples * 3, 4, 4), filters, groups=samples)
        return together.reshape(samples, 5, 4, 4)


class Computes(nn.Module):
    """Weights that are computed or fixed, parts that are written over, and a table of rows."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.bias = nn.Parameter(torch.randn(6, 3, 3, 3)), nn.Parameter(torch.randn(6))
        self.table = nn.Parameter(torch.randn(49, 2))
        row, column = torch.arange(16) // 4, torch.arange(16) % 4
        places = (row[:, None] - row + 3) * 7 + (column[:, None] - column + 3)
        self.register_buffer("places", places)
        self.blur = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        mean = self.kernel.mean((1, 2, 3), keepdim=True)
        kernel = (self.kernel - mean) / (self.kernel.std((1, 2, 3), keepdim=True) + 1e-5)
        x = F.conv2d(image, kernel, self.bias, padding=1)
        x = F.conv2d(x, self.blur[None, None].expand(6, 1, 3, 3), groups=6, stride=2)
        y = x.clone()
        y[:, 2:4, 1:] = x[:, 0:2, 1:] * 2
        table = self.table[self.places.view(-1)].view(16, 16, 2).permute(2, 0, 1)
        return y.flatten(2)[:, :2, :9] @ table[0, :9, :9]


class Waves(nn.Module):
    """A table of sines that is too large to be listed, and a mask of shifted windows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = torch.arange(x.shape[1], dtype=torch.float32)[:, None]
        waves = places / 10000.0 ** (torch.arange(x.shape[2]).float() / 64)
        image = torch.zeros(1, 8, 8, 1)
        image[:, -2:], image[:, :, -2:] = 1, 2
        parts = image.view(1, 2, 4, 2, 4, 1).permute(0, 1, 3, 2, 4, 5).reshape(4, 16)
        mask = (parts[:, None] - parts[:, :, None]).masked_fill(parts[:, None] != 0, -1.0)
        return x + waves.sin() + mask.sum()


class Biases(nn.Module):
    """A table of relative positions whose indices are too many for a list."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(2, 25))
        row, column = torch.arange(25) // 5, torch.arange(25) % 5
        self.places = (row[:, None] - row).abs() * 5 + (column[:, None] - column).abs()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, None] + self.table[:, self.places]


class Sizes(nn.Module):
    """Numbers that follow the size of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 8)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.conv(image)
        n, c, h, w = x.shape
        y = x.view(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(-1, 16, c)
        y = self.linear(y).reshape(n, -1, c).mean(1)
        x = x[:, :, : h // 2] + F.interpolate(x, size=(h // 2, w))
        return x.flatten(2).mean(2) + y


class Rests(nn.Module):
    """What is decided, padded or cut by the rest that a size leaves."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        if self.how == "pads":
            x = F.pad(x, (0, -width % 8, 0, -height % 8))
        if self.how == "decides" and height % 2:
            x = F.pad(x, (0, 0, 0, 1), value=1.0)
        y: torch.Tensor = self.conv(x)
        if self.how == "cuts":
            return y[:, :, : (y.shape[2] + 1) // 2].mean((2, 3))
        if self.how == "refuses" and height % 4:
            raise ValueError("takes sizes that 4 divides")
        return y


class Turns(nn.Module):
    """Another function for large images."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.relu() if image.shape[-1] < 60 else image.sigmoid()


class Counts(nn.Module):
    """A constant that is as long as the image is wide."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image + torch.arange(image.shape[-1])


class Shared(nn.Module):
    """One activation, and one convolution, that several modules hold."""

    def __init__(self) -> None:
        super().__init__()
        act, conv = nn.SiLU(), nn.Conv2d(4, 4, 3, padding=1)
        self.one = nn.Sequential(nn.Conv2d(4, 4, 1), act, conv)
        self.other = nn.Sequential(conv, nn.BatchNorm2d(4), act)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.other(self.one(x))
        return y


class ForEach(nn.Module):
    """Constants that are made for each sample: kinds and places of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.kinds = nn.Embedding(20, 8), nn.Embedding(2, 8)
        self.places, self.spread = nn.Embedding(12, 8), nn.Linear(3, 8)
        self.register_buffer("kind", torch.zeros(1, 9, dtype=torch.long), persistent=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        n, length = tokens.shape
        kinds = self.kinds(self.kind[:, :length].expand(n, length))
        places = torch.ones(n, length, dtype=torch.long).cumsum(1) + 1
        grid = torch.zeros(n, length, 3).fill_(0.5)
        y: torch.Tensor = self.tokens(tokens) + kinds + self.places(places) + self.spread(grid)
        return y


class Dropped(nn.Module):
    """Paths that are dropped by rounding down, and attention that drops in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (part.unsqueeze(1) for part in self.qkv(x).chunk(3, -1))
        chance = 0.1 if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=chance).squeeze(1)
        y = self.proj(y)
        if self.training:
            kept = 0.75
            noise = kept + torch.rand((x.shape[0], 1, 1), dtype=x.dtype)
            noise.floor_()
            y = y.div(kept) * noise
        return x + y


class Transposed(nn.Module):
    """A linear map whose matrix is stored the other way round, and a vector that is spread."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(8, 6)), nn.Parameter(torch.zeros(6))
        self.first = nn.Parameter(torch.zeros(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(*x.shape[:-1], 6)
        return torch.cat([self.first.expand(x.shape[0], 1, -1), y], dim=1)


class Biased(nn.Module):
    """Attention that hands on the bias that it looked up, as T5's first block does."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = BiasedLayer(True), BiasedLayer(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, bias = self.first(x, None)
        y: torch.Tensor = self.second(x, bias)[0]
        return y


class BiasedLayer(nn.Module):
    """One layer of it."""

    def __init__(self, has_bias: bool) -> None:
        super().__init__()
        self.proj = nn.Linear(8, 8)
        self.table = nn.Embedding(9, 1) if has_bias else None

    def forward(
        self, x: torch.Tensor, bias: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if bias is None:
            assert self.table is not None
            places = torch.arange(5)[:, None] - torch.arange(5)[None, :] + 4
            bias = self.table(places).permute(2, 0, 1)
        weights = (x @ x.transpose(-2, -1) + bias).softmax(-1)
        return self.proj(weights @ x), bias


class ConvolvedWindows(nn.Module):
    """Convolutions, normalization and pooling of windows that are joined with the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.wide, self.norm = nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6)
        self.pool, self.reduce = nn.MaxPool2d(2), nn.Conv2d(6, 4, 2, bias=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        n, c, h, w = image.shape
        x = image.view(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(-1, c, 4, 4)
        x = self.pool(self.norm(self.wide(self.deep(x))).relu())
        x = self.reduce(x).view(n, -1, 4)
        y: torch.Tensor = F.max_pool1d(F.pad(x, (1, 0), value=float("-inf")), 2, 1) + x
        return y


class Heads(nn.Module):
    """Pooling of each head, by a convolution and by a layer, with the heads before the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv1d(4, 4, 3, padding=1, groups=4), nn.AvgPool1d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, length, _ = x.shape
        heads = x.view(n, length, 2, 4).permute(2, 0, 3, 1).reshape(2 * n, 4, length)
        y: torch.Tensor = self.pool(self.conv(heads))
        return y.view(2, n, 4, length // 2).permute(1, 3, 0, 2).flatten(2)


class Inner(nn.Module):
    """A layer of two streams, of which the inner one goes into the outer one, as TNT's."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.proj = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = y + self.inner(y)
        return x + self.proj(y), y


class Streams(nn.Module):
    """Layers of two streams, in lists whose name is a word of the language."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.ModuleList([Inner(), Inner(), Inner()])
        self.branch = nn.ModuleList([nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for one in self.block:
            x, y = one(x, y)
        for layers in self.branch:
            x = layers[0](x)
        return x


class Distances(nn.Module):
    """Products with a matrix for each place of an axis, which stands before the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.tables, self.one = (
            nn.Parameter(torch.randn(5, 4, 3)),
            nn.Parameter(torch.randn(1, 3, 2)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, length, _ = x.shape
        rows = x.view(n, length, 2, 4).permute(1, 0, 2, 3).reshape(length, n * 2, 4)
        y = (rows @ self.tables @ self.one).transpose(0, 1)
        return y.view(n, 2, length, 2).permute(0, 2, 1, 3).flatten(2)
