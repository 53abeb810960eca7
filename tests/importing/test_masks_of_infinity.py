"""Infinity in masks: the largest number stands for it where that gives the same."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import archdsl

LOW = -math.inf
SEEN = torch.ones(5, 5).tril()
KEEPS = torch.tensor([[1.0, 1, 1, 0, 0], [1, 1, 1, 1, 1]])  # the second sample has no padding
ADDED = torch.zeros(5, 5).masked_fill(SEEN == 0, LOW)


class Attention(nn.Module):
    """Attention that masks its scores in some way."""

    def __init__(self, how: Callable[..., torch.Tensor], ends: bool = True) -> None:
        super().__init__()
        self.q, self.k, self.how, self.ends = nn.Linear(8, 8), nn.Linear(8, 8), how, ends
        self.register_buffer("seen", SEEN.clone())
        self.register_buffer("visible", SEEN.view(1, 5, 5).bool())
        self.register_buffer("added", ADDED.clone())
        self.register_buffer("loose", ADDED.clone(), persistent=False)
        # too many numbers to be written, and no formula
        odd = torch.arange(900.0).mul(7.1).sin().view(30, 30)
        self.register_buffer("odd", odd.masked_fill(torch.eye(30).roll(3, 0) > 0, LOW))

    def forward(self, x: torch.Tensor, *masks: torch.Tensor) -> torch.Tensor:
        scores = self.how(self, self.q(x) @ self.k(x).transpose(1, 2) / 3, *masks)
        return scores.softmax(-1) @ x if self.ends else scores


def fused(m: Any, s: torch.Tensor) -> torch.Tensor:
    return nn.functional.scaled_dot_product_attention(s, s, s, attn_mask=m.loose)


WAYS: dict[str, Callable[..., torch.Tensor]] = {
    "causal": lambda m, s: s.masked_fill(m.seen == 0, LOW),
    "in place": lambda m, s: s.masked_fill_(m.seen == 0, LOW),
    "where": lambda m, s: torch.where(m.seen > 0, s, LOW),
    "where, of a buffer": lambda m, s: torch.where(m.visible, s, torch.tensor(LOW)),
    "where, of two tensors": lambda m, s: torch.where(m.seen > 0, s, torch.full_like(s, LOW)),
    "where, the other way round": lambda m, s: torch.where(m.seen == 0, LOW, s),
    "added, stored": lambda m, s: s + m.added,
    "added, with other numbers": lambda m, s: s + m.odd[:5, :5],
    "added, not stored": lambda m, s: s + m.loose,
    "added, made": lambda m, s: s + torch.full((5, 5), LOW).triu(1),
    "added, of a buffer": lambda m, s: s + torch.zeros(5, 5).masked_fill(m.seen == 0, LOW),
    "added twice": lambda m, s: s + m.loose + m.added,
    "fused": fused,
    "largest": lambda m, s: torch.where(m.seen > 0, s, LOW).amax(-1, keepdim=True) + s,
}
PADDING: dict[str, Callable[..., torch.Tensor]] = {
    "masked": lambda m, s, keeps: s.masked_fill(keeps[:, None] == 0, LOW),
    "where": lambda m, s, keeps: torch.where(keeps[:, None] > 0, s, LOW),
    "added": lambda m, s, k: s + torch.zeros_like(s).masked_fill(k[:, None] == 0, LOW),
    "with causal": lambda m, s, k: s.masked_fill(k[:, None] == 0, LOW) + m.loose,
}


@pytest.mark.parametrize("name", WAYS)
def test_masks_of_infinity_are_said(name: str) -> None:
    torch.manual_seed(0)

    network = archdsl.from_torch(Attention(WAYS[name]), torch.randn(2, 5, 8))

    assert network.proof.same, network.proof.sentence()
    assert not re.search(r"\binf\b", network.spec.partition("network ")[2])
    head = "\n".join(network.notes)
    assert ("infinity in the module" in head) != ("or hold infinity" in head) or "twice" in name


@pytest.mark.parametrize("name", PADDING)
def test_padding_is_masked_by_what_comes_in(name: str) -> None:
    torch.manual_seed(0)

    network = archdsl.from_torch(Attention(PADDING[name]), [torch.randn(2, 5, 8), KEEPS])

    assert network.proof.same, network.proof.sentence()
    assert "infinity in the module is the largest number here" in "\n".join(network.notes)


def test_a_row_that_is_masked_as_a_whole_is_a_difference() -> None:
    given = [torch.randn(2, 5, 8), torch.stack([KEEPS[0], torch.zeros(5)])]

    proof = archdsl.from_torch(Attention(PADDING["masked"]), given).proof

    assert proof.sentence().startswith("not the same: outputs in evaluation mode differ")


@pytest.mark.parametrize(
    "after", [lambda s: s, lambda s: s.log_softmax(-1), lambda s: s.sigmoid() * s]
)
def test_infinity_that_comes_out_is_a_difference(after: Callable[..., torch.Tensor]) -> None:
    def way(m: Any, scores: torch.Tensor) -> torch.Tensor:
        return after(scores.masked_fill(m.seen == 0, LOW))

    assert not archdsl.from_torch(Attention(way, ends=False), torch.randn(2, 5, 8)).proof.same


def test_a_text_with_a_mask_runs_with_16_bits() -> None:
    network = archdsl.from_torch(Attention(WAYS["causal"]), torch.randn(2, 5, 8))

    module = network.compile(dtype="bfloat16")

    assert bool(module(torch.randn(2, 5, 8, dtype=torch.bfloat16)).isfinite().all())
