"""The head of a text says where a module's gradients are others than those of what it computes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import archdsl


class Turned(torch.autograd.Function):
    """The same numbers, and gradients that are turned round."""

    @staticmethod
    def forward(_: object, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(_: object, gradient: torch.Tensor) -> torch.Tensor:
        return -gradient


class Net(nn.Module):
    """Two linear maps, and what a function does between them."""

    def __init__(self, between: Callable[[Net, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.between = nn.Linear(4, 4), nn.Linear(4, 4), between
        self.gain = nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.second(self.between(self, self.first(x)))
        return y


def within(net: Net, y: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return y * 2


def a_layer(net: Net, y: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        z: torch.Tensor = net.second(y)
    return z + y


def of_a_parameter(net: Net, y: torch.Tensor) -> torch.Tensor:
    with torch.set_grad_enabled(False):
        gain = net.gain.exp()
    return y * gain


@torch.no_grad()
def decorated(net: Net, y: torch.Tensor) -> torch.Tensor:
    return y.relu()


def hooked(net: Net, y: torch.Tensor) -> torch.Tensor:
    if y.requires_grad:
        y.register_hook(lambda gradient: gradient * 10)
    return y * 2


def always_hooked(net: Net, y: torch.Tensor) -> torch.Tensor:
    handle = y.register_hook(lambda gradient: gradient * 10)
    handle.remove()
    return y * 2


STOP, OWN = "# gradients stop in the module", "# gradients are the module's own"
SAID: dict[str, tuple[Callable[[Net, torch.Tensor], torch.Tensor], str]] = {
    "no_grad": (within, STOP),
    "no_grad around a layer": (a_layer, STOP),
    "set_grad_enabled": (of_a_parameter, STOP),
    "a decorator": (decorated, STOP),
    "detach": (lambda net, y: y + (y.relu() - y).detach(), STOP),
    "a function": (lambda net, y: Turned.apply(y), OWN),
    "a hook": (hooked, OWN),
    "a hook that isn't asked for": (always_hooked, OWN),
}


def masked(net: Net, y: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        mask = y > 0
        table = torch.arange(4.0) * 2
    with torch.enable_grad():
        y = y * 2
    return torch.where(mask, y, y * table)


PLAIN: dict[str, Callable[[Net, torch.Tensor], torch.Tensor]] = {
    "masks and constants": masked,
    "asking": lambda net, y: y * 2 if torch.is_grad_enabled() else y * 3 * 2 / 3,
    "nothing": lambda net, y: y * 2,
}


@pytest.mark.parametrize("name", SAID)
def test_gradients_of_the_modules_own_are_said(name: str) -> None:
    function, said = SAID[name]
    network = archdsl.from_torch(Net(function), torch.randn(2, 4))

    assert network.proof.same, network.proof
    (line,) = [one for one in network.spec.splitlines() if one.startswith("# gradients")]
    assert line.startswith(said)
    assert "test_gradients_said.py:" in line
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("name", PLAIN)
def test_other_modules_say_nothing_of_gradients(name: str) -> None:
    network = archdsl.from_torch(Net(PLAIN[name]), torch.randn(2, 4))

    assert network.proof.same, network.proof
    assert "gradients" not in network.spec.partition("network")[0]
    assert torch.is_grad_enabled()


def test_hooks_that_were_there_before_are_said() -> None:
    module = Net(PLAIN["nothing"])
    module.gain.requires_grad_()
    module.first.weight.register_hook(lambda gradient: gradient * 2)
    module.second.register_full_backward_hook(lambda *_: None)

    head = archdsl.from_torch(module, torch.randn(2, 4)).spec.partition("network")[0]

    assert "hooks" in head
    assert "second, first.weight" in head
