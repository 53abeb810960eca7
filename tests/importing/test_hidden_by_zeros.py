"""Weights that begin with zero, or nearly so, hide nothing from the comparison."""

from __future__ import annotations

from collections.abc import Callable

import modules
import pytest
import torch
from torch import nn

import archdsl
from archdsl.importing.proof import Proof, load_text, prove


class Zeros(nn.Module):
    """A residual branch that ends with a layer of zeros."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.map, self.last = nn.Linear(4, 4), last
        for one in last.parameters():
            nn.init.zeros_(one)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.last(self.map(x).relu())
        return x + y


class Small(nn.Module):
    """A residual branch that begins as small as in ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.gate = nn.Linear(4, 4), nn.Parameter(torch.full((4,), 1e-7))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.gate * self.map(x).relu()


class Trained(nn.Module):
    """A branch that only training has."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.gate = nn.Linear(4, 4), nn.Parameter(torch.zeros(4))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = self.map(x)
        return (y, self.gate * y.relu()) if self.training else (y,)


LAST = "network Net {{ input x: [4]; residual {{ map: Linear(4) -> {} -> last: {} }} }}"
GATE = """network Net {{
    input x: [4]
    parameter gate: [4] = {}
    residual {{
        map: Linear(4) -> y: {}
        mul {{ branch {{ from gate }} branch {{ from y }} }}
    }} shortcut {{ from x }}
}}"""
TRAINED = """network Net {{
    input x: [4]
    parameter gate: [4]
    map: Linear(4)
    output aux when training {{
        y: {}
        mul {{ branch {{ from gate }} branch {{ from y }} }}
    }}
    output out
}}"""
CASES: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "linear": (lambda: Zeros(nn.Linear(4, 4)), LAST.replace("last: {}", "last: Linear(4)")),
    "norm": (lambda: Zeros(nn.BatchNorm1d(4)), LAST.replace("last: {}", "last: BatchNorm1d")),
    "small": (Small, GATE.replace("= {}", "= 0.0000001")),
    "gate": (lambda: modules.Gated(lambda x, y: y.relu()), GATE.replace(" = {}", "")),
    "training": (Trained, TRAINED),
}


def proved(name: str, layer: str) -> tuple[Proof, nn.Module]:
    torch.manual_seed(0)
    make, text = CASES[name]
    module = make()
    return prove(load_text(text.format(layer), "Net"), module, [torch.randn(2, 4)]), module


@pytest.mark.parametrize("name", CASES)
def test_another_branch_is_a_difference(name: str) -> None:
    right, _ = proved(name, "ReLU")
    wrong, _ = proved(name, "Tanh")

    assert right.sentence() == "the same, name by name; outputs equal"
    assert "differ by" in wrong.sentence()


def test_parameters_behind_zeros_are_needed_by_outputs() -> None:
    module = Zeros(nn.Linear(4, 4))

    text = LAST.replace("map: Linear(4) -> {} -> ", "").format("Linear(4)")
    proof = prove(load_text(text, "Net"), module, [torch.randn(2, 4)])

    assert proof.missing == ("map.weight", "map.bias")
    assert not proof.same


def test_another_way_for_more_samples_is_seen_behind_a_gate() -> None:
    module = modules.Gated(lambda x, y: y if len(x) < 3 else y.relu())
    assert not archdsl.from_torch(module, torch.randn(2, 4)).proof.same


class Counting(nn.Module):
    """Counts its passes in buffers, and fails in one of them."""

    def __init__(self, fails: int) -> None:
        super().__init__()
        self.map, self.norm, self.fails, self.passes = nn.Linear(4, 4), nn.BatchNorm1d(4), fails, 0
        self.gate = nn.Parameter(torch.zeros(4))
        self.register_buffer("unstored", torch.zeros(4), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        if self.passes == self.fails:
            raise KeyboardInterrupt
        self.unstored += 1
        return x + self.gate * self.norm(self.map(x))


@pytest.mark.parametrize("fails", range(1, 7))
def test_what_the_module_holds_is_put_back_exactly(fails: int) -> None:
    module = Counting(fails).eval()
    held = {name: one.clone() for name, one in module.named_parameters()}
    held |= {name: one.clone() for name, one in module.named_buffers()}
    text = GATE.replace(" = {}", "").format("BatchNorm1d").replace("y:", "norm:")
    network = load_text(text.replace("from y", "from norm"), "Net")

    try:
        proof = prove(network, module, [torch.randn(2, 4)])
    except KeyboardInterrupt:
        assert fails <= 4
    else:
        assert proof.sentence() == "the same, name by name; outputs equal"
        assert fails > 4

    now = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    assert {*now} == {*held}
    assert all(torch.equal(now[name], one) for name, one in held.items())
    assert not module.training
