"""Numbers that a module reads out of its own tensors are never written in silence."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import archdsl
from archdsl.importing.errors import ImportingError


class Reads(nn.Module):
    """A linear map, and what a function makes of it and of the module's own tensors."""

    def __init__(self, function: Callable[[Reads, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.linear, self.function = nn.Linear(6, 6), function
        self.gain = nn.Parameter(torch.tensor(5.0))
        self.register_buffer("heat", torch.tensor(2.5))
        self.register_buffer("count", torch.tensor(3))
        self.register_buffer("on", torch.tensor(True))
        self.register_buffer("mean", torch.arange(6.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, self.linear(x))


READ: dict[str, tuple[Callable[[Reads, torch.Tensor], torch.Tensor], str]] = {
    "item": (lambda m, y: y / m.heat.item(), "`heat` are read (`item`)"),
    "float": (lambda m, y: y * float(m.count), "`count` are read (`__float__`)"),
    "int": (lambda m, y: y * int(m.count), "`count` are read (`__int__`)"),
    "tolist": (lambda m, y: y - torch.tensor(m.mean.tolist()), "`mean` are read (`tolist`)"),
    "numpy": (lambda m, y: y - torch.tensor(m.mean.numpy()), "`mean` are read (`numpy`)"),
    "copied numpy": (
        lambda m, y: y - torch.from_numpy(m.mean.cpu().numpy().copy()),
        "`mean` are read (`numpy`)",
    ),
    "bool": (lambda m, y: y if m.on else -y, "`on` are read (`__bool__`)"),
    "compared": (lambda m, y: y * 2 if m.count == 3 else y, "`count` are read (`__bool__`)"),
    "a parameter": (lambda m, y: y if m.gain.abs() < 9 else -y, "`gain` are read (`__bool__`)"),
    "computed": (
        lambda m, y: y * float(m.linear.weight.norm()),
        "`linear.weight` are read (`__float__`)",
    ),
    "of two": (lambda m, y: y * float(m.heat * m.gain), "`heat`, `gain` are read (`__float__`)"),
    "data": (lambda m, y: y * m.gain.data.item(), "`gain` are read (`item`)"),
    "equal": (
        lambda m, y: y if torch.equal(m.heat, m.gain) else -y,
        "`heat`, `gain` are read (`equal`)",
    ),
    "contains": (lambda m, y: y if 3.0 in m.mean else -y, "`mean` are read (`__contains__`)"),
    "sizes": (lambda m, y: y[:, : m.count], "`count` are read (`__index__`)"),
    "a place": (lambda m, y: y[:, range(6)[m.count]], "`count` are read (`__index__`)"),
    "a shape": (lambda m, y: y.view(-1, m.count, 2), "`count` are read (`__index__`)"),
    "filled": (lambda m, y: y + torch.full((6,), m.heat), "`full`"),
    "a new tensor": (lambda m, y: y + torch.tensor([m.heat] * 6), "`tensor`"),
    "arange": (lambda m, y: y + torch.arange(m.count * 2), "`arange`"),
    "new_tensor": (lambda m, y: y + y.new_zeros(6, m.count).sum(1), "`new_tensor`"),
    "format": (lambda m, y: y * float(f"{m.heat:.3f}"), "`heat` are read (`__format__`)"),
    "math": (lambda m, y: y * __import__("math").sqrt(m.heat), "`heat` are read (`__float__`)"),
    "dims": (lambda m, y: y.roll(m.count, 1), "`count` are read (`__index__`)"),
    "dropout": (lambda m, y: F.leaky_relu(y, m.heat), "`leaky_relu`"),
    "scale": (lambda m, y: torch.add(y, y, alpha=m.heat), "`add`"),
    "indexed": (lambda m, y: y[:, m.count : m.count + 1], "`count` are read (`__index__`)"),
    "repeat": (lambda m, y: y.repeat(1, m.count), "`count` are read (`__index__`)"),
    "chunk": (lambda m, y: y.chunk(m.count, 1)[0], "`count` are read (`__index__`)"),
    "iter": (lambda m, y: y * sum(float(one) for one in m.mean), "`mean` are read (`__float__`)"),
}


@pytest.mark.parametrize("name", READ)
def test_numbers_of_own_tensors_are_refused_where_they_are_read(name: str) -> None:
    function, said = READ[name]

    network = archdsl.from_torch(Reads(function), torch.randn(2, 6))

    with pytest.raises(ImportingError) as caught:
        _ = network.spec
    assert said in str(caught.value)
    assert network.count().macs == 36


TENSORS: dict[str, Callable[[Reads, torch.Tensor], torch.Tensor]] = {
    "factors": lambda m, y: y * m.heat + m.count * m.gain,
    "a mask": lambda m, y: torch.where(m.mean > 2, y, m.heat),
    "places": lambda m, y: y * m.mean[m.mean.shape[0] - 6 :].sin(),
    "counted": lambda m, y: y[:, : len(m.mean) // 2] * m.gain.dim() + m.mean.shape[0],
}


@pytest.mark.parametrize("name", TENSORS)
def test_own_tensors_that_are_computed_with_are_written(name: str) -> None:
    module = Reads(TENSORS[name])
    network = archdsl.from_torch(module, torch.randn(2, 6))

    assert network.proof.same, network.proof
    assert "gradients" not in network.spec
    with torch.no_grad():
        module.heat.fill_(7.5)
        module.mean.copy_(module.mean.flip(0))
    numbers, made = torch.randn(3, 6), network.compile().eval()
    held = module.state_dict()
    made.load_state_dict({key: held[key] for key in made.state_dict()})
    torch.testing.assert_close(made(numbers), module(numbers))


def test_a_choice_at_random_is_refused() -> None:
    function = lambda m, y: y if m.training and torch.rand(()) < 2 else y * 1.0  # noqa: E731
    network = archdsl.from_torch(Reads(function), torch.randn(2, 6))

    with pytest.raises(ImportingError, match="reads random numbers"):
        _ = network.spec


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
@pytest.mark.parametrize("layers", [1, 3])
def test_dropout_between_recurrent_layers_is_compared(kind: type[nn.Module], layers: int) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            chance = 0.4 if layers > 1 else 0.0
            self.first = kind(4, 6, num_layers=layers, batch_first=True, dropout=chance)
            self.drop = nn.Dropout(0.5)
            self.second = kind(6, 3, num_layers=2, batch_first=True, dropout=0.3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            other = self.drop(x)
            y: torch.Tensor = self.second(self.first(x)[0])[0]
            return y + other[..., :3]

    proof = archdsl.from_torch(Net(), torch.randn(2, 5, 4)).proof

    assert proof.sentence() == "the same, name by name; outputs equal"


def copied(m: Reads, y: torch.Tensor) -> torch.Tensor:
    made = torch.empty(len(y), 6)
    made.copy_(y)
    return made * torch.empty(6).fill_(2.0)


def in_parts(m: Reads, y: torch.Tensor) -> torch.Tensor:
    made = torch.empty(len(y), 6)
    made[:, :2].copy_(y[:, :2])
    made[:, 2:] = y[:, 2:]
    return made


def test_a_tensor_that_is_made_empty_and_filled_is_written() -> None:
    network = archdsl.from_torch(Reads(copied), torch.randn(2, 6))

    assert network.proof.same
    assert "Scale(2" in network.spec or "= 2.0" in network.spec
    with pytest.raises(ImportingError, match="a tensor made by `empty`, which holds no numbers"):
        _ = archdsl.from_torch(Reads(in_parts), torch.randn(2, 6)).spec


BESIDE: dict[str, Callable[[Reads, torch.Tensor], torch.Tensor]] = {
    "a linear map": lambda m, y: F.linear(y, F.normalize(m.linear.weight.abs() + m.gain)),
    "a product": lambda m, y: y @ m.linear.weight.t(),
    "a sum": lambda m, y: y + m.linear.bias,
}


@pytest.mark.parametrize("name", BESIDE)
def test_parameters_of_a_layer_that_are_used_beside_it_are_refused(name: str) -> None:
    network = archdsl.from_torch(Reads(BESIDE[name]), torch.randn(2, 6))

    with pytest.raises(ImportingError, match="which the layer `linear` has, used beside it"):
        _ = network.spec


class Cosine(nn.Module):
    """A classifier that compares directions."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(5, 6)), nn.Parameter(torch.randn(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(F.normalize(x), F.normalize(self.weight), self.bias) * 30


def test_linear_maps_whose_weights_are_computed_take_rows() -> None:
    network = archdsl.from_torch(Cosine(), torch.randn(2, 6))

    assert network.proof.same, network.proof


class Latents(nn.Module):
    """Queries that are learned ask what comes in, several times."""

    def __init__(self) -> None:
        super().__init__()
        self.latents, self.both = nn.Parameter(torch.randn(3, 6)), nn.Linear(6, 12)
        self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in range(3)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.latents.expand(x.shape[0], 3, 6)
        for layer in self.layers:
            keys, values = self.both(x).chunk(2, -1)
            found = found + layer(F.scaled_dot_product_attention(found, keys, values))
        return found


def test_learned_queries_are_given_to_attention_for_each_sample() -> None:
    network = archdsl.from_torch(Latents(), torch.randn(2, 4, 6))

    assert network.proof.same, network.proof


class Keeps(nn.Module):
    """Keeps what it computed of its weights, and a constant, for the next call."""

    def __init__(self, weights: bool) -> None:
        super().__init__()
        self.linear, self.weights = nn.Linear(6, 6), weights
        self.kept: torch.Tensor | None = None
        self.seen: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kept is None:
            self.kept = self.linear.weight.sum(0) if self.weights else torch.arange(6.0)
        self.seen = self.linear(x)
        return self.seen * self.kept


def test_what_is_kept_of_weights_is_no_constant() -> None:
    with pytest.raises(ImportingError, match=r"nobody saw whence"):
        _ = archdsl.from_torch(Keeps(weights=True), torch.randn(2, 6)).spec

    assert archdsl.from_torch(Keeps(weights=False), torch.randn(2, 6)).proof.same
