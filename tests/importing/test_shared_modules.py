"""Modules that are applied several times, and weights that several hold, wherever they stand.

The text has branches in another order than the module computes them in, so that what is written
first is often what is computed last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import archdsl
from archdsl.importing.errors import ImportingError
from archdsl.importing.imported import Imported


class Inner(nn.Module):
    """Two layers, of which the second may have the weights of the first."""

    def __init__(self, tied: bool = False) -> None:
        super().__init__()
        self.p, self.q = nn.Linear(4, 4), nn.Linear(4, 4)
        if tied:
            self.q.weight = self.p.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.q(torch.relu(self.p(x)))


class Shared(nn.Module):
    """Layers `a` to `d`, bodies `i` and `k`, and what a test does with them.

    `ties` are pairs of names of which the first gets the weight of the second.
    """

    def __init__(
        self, function: Callable[[Any, torch.Tensor], Any], *ties: str, inner: bool = False
    ) -> None:
        super().__init__()
        self.function = function
        for name in "abcd":
            setattr(self, name, nn.Linear(4, 4))
        self.i, self.k = Inner(inner), Inner()
        for names in ties:
            name, of = names.split()
            self.get_submodule(name).weight = self.get_submodule(of).weight

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)


def swapped(m: Any, x: torch.Tensor) -> torch.Tensor:
    first, second = m.a(x), m.b(x)
    return second + first


def longer_first(m: Any, x: torch.Tensor) -> torch.Tensor:
    first = m.a(x)
    return first + m.d(torch.relu(m.c(torch.relu(m.b(x)))))


def aside(m: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    first = m.a(x)
    return m.c(m.b(x)), first


def unused_first(m: Any, x: torch.Tensor) -> torch.Tensor:
    m.a(x)
    return torch.relu(m.b(x))


def three(m: Any, x: torch.Tensor) -> torch.Tensor:
    first, second, third = m.a(x), m.b(x), m.c(x)
    return third * second + first


def applied_swapped(m: Any, x: torch.Tensor) -> torch.Tensor:
    first, second = m.a(x), m.a(m.b(x))
    return second + first


def applied_longer_first(m: Any, x: torch.Tensor) -> torch.Tensor:
    first = m.a(x)
    return first + m.c(torch.relu(m.a(torch.relu(m.b(x)))))


def applied_unused(m: Any, x: torch.Tensor) -> torch.Tensor:
    m.a(x)
    return torch.relu(m.a(2 * x))


def read_later(m: Any, x: torch.Tensor) -> torch.Tensor:
    first = m.a(x)
    second = m.a(torch.tanh(first))
    return m.b(torch.relu(m.c(second))) * second + first


def part_again(m: Any, x: torch.Tensor) -> torch.Tensor:
    return m.i.p(m.i(x)) + m.a(x)


def body_swapped(m: Any, x: torch.Tensor) -> torch.Tensor:
    first, second = m.i(x), m.i(m.a(x))
    return second * first


def body_longer_first(m: Any, x: torch.Tensor) -> torch.Tensor:
    first = m.i(x)
    return first + m.b(torch.tanh(m.a(torch.relu(m.i(m.a(x))))))


def bodies(m: Any, x: torch.Tensor) -> torch.Tensor:
    first, second = m.i(x), m.k(m.a(x))
    return second * first


def bodies_longer_first(m: Any, x: torch.Tensor) -> torch.Tensor:
    first = m.i(x)
    return first + m.a(torch.relu(m.k(torch.relu(m.k(m.a(x))))))


class Relative(nn.Module):
    """A module of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.c, self.d = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, q: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return self.c(q) * v + self.d(v)


class Holder(nn.Module):
    """A residual branch with a module that others hold too."""

    def __init__(self, held: Relative) -> None:
        super().__init__()
        self.q, self.v, self.held = nn.Linear(4, 4), nn.Linear(4, 4), held

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.held(self.q(x), self.v(x))


def holders() -> nn.Module:
    held = Relative()
    return nn.Sequential(Holder(held), Holder(held), Holder(held))


CASES: dict[str, Callable[[], nn.Module]] = {
    "tied in swapped branches": lambda: Shared(swapped, "b a"),
    "tied in the longer branch": lambda: Shared(longer_first, "b a"),
    "tied beside an output": lambda: Shared(aside, "b a"),
    "tied to what nothing needs": lambda: Shared(unused_first, "b a"),
    "tied three times": lambda: Shared(three, "b a", "c a"),
    "applied in swapped branches": lambda: Shared(applied_swapped),
    "applied in the longer branch": lambda: Shared(applied_longer_first),
    "applied where nothing needs it": lambda: Shared(applied_unused),
    "applied, and read later": lambda: Shared(read_later),
    "a part of a body again": lambda: Shared(part_again),
    "bodies in swapped branches": lambda: Shared(body_swapped),
    "bodies in the longer branch": lambda: Shared(body_longer_first),
    "bodies of which one is tied": lambda: Shared(bodies, "k.p i.p"),
    "bodies tied crosswise": lambda: Shared(bodies, "k.q i.p", inner=True),
    "a module of two inputs that three hold": holders,
    "tied bodies applied twice": lambda: Shared(bodies_longer_first, "k.p i.p"),
}


def brought(module: nn.Module) -> Imported:
    torch.manual_seed(0)
    return archdsl.from_torch(module, torch.randn(2, 4))


@pytest.mark.parametrize("name", CASES)
def test_what_is_written_first_has_the_parameters(name: str) -> None:
    network = brought(CASES[name]())

    assert network.proof.same, network.proof.sentence()
    assert network.proof.sentence().endswith("outputs equal")
    assert not network.proof.surplus


def part_before(m: Any, x: torch.Tensor) -> torch.Tensor:
    return m.i(m.i.p(x)) + m.a(x)


class Scaled(Inner):
    """A body that is told by what it multiplies."""

    def forward(self, x: torch.Tensor, times: int = 2) -> torch.Tensor:
        return self.q(times * self.p(x))


class Changing(nn.Module):
    """A body that does something else each time it is applied."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Scaled()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) + self.inner(torch.relu(x), 3)


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "a part before its body": (lambda: Shared(part_before), "of which a part is applied by itself"),
    "another way the second time": (Changing, "does something else when it is applied again"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_name_reaches_is_refused(name: str) -> None:
    make, said = REFUSED[name]
    with pytest.raises(ImportingError, match=said):
        _ = brought(make()).spec
