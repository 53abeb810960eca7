"""What rounding makes is told from what is computed otherwise, by computing with 64 bits."""

from __future__ import annotations

import torch
from torch import nn

from archdsl.importing.proof import TOLERANCE, _distance


class Sums(nn.Module):
    """Adds a number and takes another one away, before the rest or after it."""

    def __init__(self, added: float, first: bool, taken: float | None = None) -> None:
        super().__init__()
        self.added, self.first = added, first
        self.taken = added if taken is None else taken

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.first:
            return x + (self.added - self.taken)
        return (x + self.added) - self.taken


def apart(added: float, taken: float | None = None, *, drawn: bool = True) -> float:
    x = torch.linspace(-1, 1, 101)[None]
    pair = Sums(added, True, taken), Sums(added, False)
    return _distance(*pair, [x], "evaluation", numbers=drawn)


def test_more_rounding_is_accepted_with_drawn_weights_alone() -> None:
    assert apart(1e4, drawn=True) == apart(1e3, drawn=False) == TOLERANCE
    assert apart(1e5, drawn=False) > 1e-3
    assert apart(1e5, drawn=True) == TOLERANCE


def test_what_differs_with_64_bits_too_is_a_difference() -> None:
    for added in (1e3, 1e4, 1e5):
        assert apart(added, taken=added + 1e-2) > 5e-3
    assert apart(1e3, taken=1e3 + 1e-4) > TOLERANCE
