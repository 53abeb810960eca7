"""Tensors that a module gives are told apart: by name, whatever that is, else by their order."""

from __future__ import annotations

from collections.abc import Sequence

import modules
import pytest
import torch
from torch import nn

import archdsl

NAMES = {
    "numbers": ("0", "1", "2"),
    "those of its layers": ("c", "b", "a"),
    "words of the language": ("in", "output", "add"),
    "alike when written": ("x-y", "x_y", "x.y"),
    "numbers as they are written": ("_0", "0", "_0_"),
    "those of layers of the language": ("Linear", "residual", "image"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [modules.Several, modules.Takes])
def test_tensors_given_by_name_are_told_apart(name: str, kind: type[nn.Module]) -> None:
    torch.manual_seed(0)

    network = archdsl.from_torch(kind(NAMES[name]), torch.randn(2, 4))

    assert network.proof.sentence().endswith("outputs equal")


class Maps(nn.Module):
    """Gives maps of several stages, in an order; in training mode perhaps more of them."""

    def __init__(self, order: Sequence[int], in_training: int = 0) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.d = nn.Conv2d(4, 4, 1)
        self.order, self.in_training = order, in_training

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        a = self.a(x)
        b = self.b(a)
        maps = (a, b, self.c(b), self.d(a))
        given = self.order if self.training else self.order[: len(self.order) - self.in_training]
        return tuple(maps[number] for number in given)


@pytest.mark.parametrize("in_training", [0, 1])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2), (2, 0, 3, 1)], ids=str)
def test_outputs_come_in_the_order_of_the_module(order: Sequence[int], in_training: int) -> None:
    module, image = Maps(order, in_training), torch.randn(2, 3, 4, 4)

    network = archdsl.from_torch(module, image)

    assert network.proof.sentence() == "the same, name by name; outputs equal"
    for mode in (True, False):
        given = network.compile().train(mode)(image)
        for one, other in zip(given, module.train(mode)(image), strict=True):
            assert torch.equal(one, other)


class Turned(Maps):
    """Gives the main output last in training mode."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        *others, last = super().forward(x)
        return (*others, last) if self.training else (last,)


def test_another_order_in_training_mode_is_said() -> None:
    network = archdsl.from_torch(Turned((0, 1, 2, 3)), torch.randn(2, 3, 4, 4))

    said = "the same, name by name; outputs equal; in training mode outputs come in another order"
    assert network.proof.sentence() == said
