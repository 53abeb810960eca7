"""What is written into a tensor through a view of it is followed, or refused with its line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import archdsl
from archdsl.importing.errors import ImportingError

Write = Callable[[torch.Tensor], object]


class Net(nn.Module):
    """Writes into a tensor of one kind, and computes with it and with what was made of it."""

    def __init__(self, write: Write, of: str) -> None:
        super().__init__()
        self.write, self.of = write, of
        self.map, self.table = nn.Linear(6, 6), nn.Parameter(torch.randn(4, 6))
        self.after = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.map(x)
        if self.of == "a parameter":
            table = self.table.clone()
            self.write(table[None])
            return self.after(y + table)
        if self.of == "what comes in":
            self.write(x)
            return self.after(x + y)
        if self.of == "a constant":
            table = torch.arange(24.0).view(1, 4, 6).clone()
            self.write(table)
            return self.after(y + table)
        z = y * 2
        flat = z.view(len(z), 24)
        self.write(z)
        return self.after(z) + flat.view(-1, 4, 6)[:, :, :3]


def halved(x: torch.Tensor) -> None:
    first, second = x.chunk(2, dim=-1)
    first.mul_(3).add_(second)
    second.copy_(first.abs())


def turned(x: torch.Tensor) -> None:
    x.transpose(1, 2)[:, 2:4].mul_(0.5)


def between(x: torch.Tensor) -> None:
    part = x[:, 1:3]
    x.mul_(2)
    part += part.sum(-1, keepdim=True)
    x[:, 0] = part[:, 1]


def written(x: torch.Tensor) -> None:
    x[:, :, 1:3][...] = x[:, :, 3:5] * 2


def shared(x: torch.Tensor) -> None:
    x.unsqueeze(2).flatten(1)[:, 5:9].fill_(0.25)


def rows(x: torch.Tensor) -> None:
    for row in x.unbind(1)[:2]:
        row.tanh_()


WRITES: dict[str, Write] = {
    "slice": lambda x: x[:, 1:3].zero_(),
    "select": lambda x: x.select(1, 2).fill_(2.0),
    "last": lambda x: x[..., -1].mul_(4),
    "chunk": halved,
    "unsqueeze": lambda x: x.unsqueeze(1)[:, :, :2].add_(1),
    "transpose": turned,
    "setitem": written,
    "number": lambda x: x[:, 2:].__setitem__((slice(None), 0), 7.0),
    "every second": lambda x: x[:, ::2].zero_(),
    "data": lambda x: x.data.view(-1, 4, 6)[:, :1].neg_(),
    "rows": rows,
    "between": between,
    "out": lambda x: torch.add(x[:, :1], 1, out=x[:, 1:2]),
    "relu": lambda x: nn.functional.relu(x[:, :, 2:], inplace=True),
    "module": lambda x: nn.Identity()(x[:, 1:3]).clamp_(min=0),
}


@pytest.mark.parametrize("of", ["a parameter", "what comes in", "a constant", "what was computed"])
@pytest.mark.parametrize("name", WRITES)
def test_it_is_followed(name: str, of: str) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(2, 4, 6)
    before = inputs.clone()

    network = archdsl.from_torch(Net(WRITES[name], of), inputs, name="net")

    assert network.proof.same
    assert torch.equal(inputs, before)


def test_what_flattens_axes_is_followed_or_refused() -> None:
    refused = archdsl.from_torch(Net(shared, "what was computed"), torch.randn(2, 4, 6))

    with pytest.raises(ImportingError, match=r"no slice of each axis.*\n?.*flatten\(1\)"):
        print(refused.spec)


class Biased(nn.Module):
    """A linear map whose bias has a part that is not used, as the keys' in Swin v2."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(4, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bias = self.qkv.bias.clone()
        bias[2:4].zero_()
        return nn.functional.linear(x, self.qkv.weight, bias)


def test_a_bias_whose_part_is_zeroed_is_a_parameter_all_the_same() -> None:
    module = Biased()

    network = archdsl.from_torch(nn.Sequential(module), torch.randn(2, 3, 4))

    assert network.proof.same
    assert network.compile().state_dict().keys() == nn.Sequential(module).state_dict().keys()


class ForGood(nn.Module):
    """Writes into a parameter, which the next pass finds so."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.scale.data[1:3].mul_(2)
        return x * self.scale


def test_a_parameter_written_over_for_good_is_refused() -> None:
    network = archdsl.from_torch(nn.Sequential(ForGood()), torch.randn(2, 3, 4))

    with pytest.raises(ImportingError, match=r"for good.*\n?.*mul_"):
        print(network.spec)


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ((slice(None), slice(5, 9)), "[5 <= j < 9 for i, j]"),
        ((slice(2, 9), slice(15, 20)), "[2 <= i < 9 and j >= 15 for i, j]"),
        ((4, slice(3, None, 2)), "[i == 4 and j >= 3 and j % 2 == 1 for i, j]"),
        ((slice(None, None, 3),), "[i % 3 == 0 for i, j]"),
    ],
    ids=["slice", "corner", "row", "every third"],
)
def test_a_constant_that_is_true_in_a_part_is_a_formula(
    part: tuple[object, ...], text: str
) -> None:
    from archdsl.importing.numbers import of_tensor

    tensor = torch.zeros(18, 20, dtype=torch.bool)
    tensor[part] = True

    assert of_tensor(tensor) == text
