"""What no input changes is spread over the samples: tokens of a class, queries, tables of places.

The batch is one of its axes for torch then, and what counts axes counts it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import archdsl

Function = Callable[[Any, torch.Tensor], torch.Tensor]


class Spread(nn.Module):
    """A parameter of some shape with two layers, and what a test does with them."""

    def __init__(self, function: Function, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.function = function
        self.p = nn.Parameter(torch.randn(shape))
        self.f, self.g, self.act = nn.Linear(4, 4), nn.Linear(4, 4), nn.Softmax(-1)
        self.register_buffer("table", torch.randn(1, 5, 5, 4), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)


def joined(x: torch.Tensor, more: torch.Tensor) -> torch.Tensor:
    return torch.cat([more, x], 1)


def places(m: Any, x: torch.Tensor) -> torch.Tensor:
    scores = m.g(m.table).expand(len(x), -1, -1, -1).permute(0, 3, 1, 2)
    return ((x @ x.transpose(1, 2)).unsqueeze(1) + m.act(scores)).sum(1) @ x


def queries(m: Any, x: torch.Tensor) -> torch.Tensor:
    q = m.g(m.p.unsqueeze(0).repeat(len(x), 1, 1)).reshape(len(x), 3, 2, 2).permute(0, 2, 1, 3)
    return (q @ x.reshape(len(x), 5, 2, 2).permute(0, 2, 3, 1)).softmax(-1)


CASES: dict[str, tuple[Function, tuple[int, ...]]] = {
    "row": (lambda m, x: joined(x, m.p.expand(len(x), -1).unsqueeze(1)), (4,)),
    "row of one": (lambda m, x: joined(x, m.p[None].expand(len(x), -1).unsqueeze(1)), (4,)),
    "row with an axis": (lambda m, x: joined(x, m.p.expand(len(x), 1, -1)), (4,)),
    "rows": (lambda m, x: joined(x, m.p.expand(len(x), -1, -1)), (2, 4)),
    "rows turned": (lambda m, x: joined(x, m.p.expand(len(x), -1, -1).transpose(1, 2)), (4, 2)),
    "computed": (lambda m, x: joined(x, (m.p * 2).expand(len(x), -1, -1)), (1, 1, 4)),
    "by a layer before": (lambda m, x: joined(x, m.g(m.p).expand(len(x), -1, -1)), (1, 1, 4)),
    "by a layer after": (lambda m, x: joined(x, m.g(m.p.expand(len(x), -1, -1))), (1, 3, 4)),
    "part": (lambda m, x: x + m.p.expand(len(x), -1, -1)[:, 0].unsqueeze(1), (3, 4)),
    "mean": (lambda m, x: x + m.p.expand(len(x), -1, -1).mean(1, keepdim=True), (3, 4)),
    "row of numbers": (lambda m, x: x.flatten(1) + m.p.expand(len(x), -1, -1).flatten(1), (5, 4)),
    "along an axis": (lambda m, x: x + m.p.expand(len(x), -1, -1).softmax(1), (5, 4)),
    "tile": (lambda m, x: x + m.p.tile((5, 2)), (1, 1, 2)),
    "tile with another axis": (lambda m, x: x + m.p.tile(1, 5, 2) * x, (1, 2)),
    "repeated for each": (lambda m, x: m.f(m.p.repeat(len(x), 5, 2)) + x, (1, 1, 2)),
    "repeated with an axis": (lambda m, x: m.f(m.p.repeat(len(x), 5, 2)) + x, (1, 2)),
    "as many times as there are samples": (
        lambda m, x: x + m.p.unsqueeze(0).expand(2, -1, -1).reshape(-1, 4)[:5],
        (3, 4),
    ),
    "places": (places, (3,)),
    "queries": (queries, (3, 4)),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_spread_over_the_samples_is_said(name: str) -> None:
    torch.manual_seed(0)
    module = Spread(*CASES[name])

    network = archdsl.from_torch(module, torch.randn(2, 5, 4))

    assert network.proof.sentence().endswith("outputs equal")
    assert not network.proof.surplus
