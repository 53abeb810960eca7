"""Dropouts of batches that a module joins draw other numbers than those of each batch do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archdsl


class Joined(nn.Module):
    """Drops numbers of two batches at once."""

    def __init__(self, dropout: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.dropout = dropout

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        one, other = self.dropout(self.conv(torch.cat([left, right]))).chunk(2)
        y: torch.Tensor = one - 2 * other
        return y


PAIR = (torch.randn(2, 3, 6, 6), torch.randn(2, 3, 6, 6))
DROPOUTS = {"numbers": nn.Dropout(), "channels": nn.Dropout2d(0.3), "alpha": nn.AlphaDropout()}


@pytest.mark.parametrize("dropout", DROPOUTS.values(), ids=DROPOUTS)
def test_they_are_compared_with_the_same_numbers_for_each_sample(dropout: nn.Module) -> None:
    network = archdsl.from_torch(Joined(dropout), PAIR)

    assert network.proof.sentence() == (
        "the same, name by name; outputs equal; in training mode dropouts of joined batches draw "
        "the same for each sample"
    )


class Other(Joined):
    """Drops numbers of both, and no others in evaluation."""

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        one, other = self.dropout(self.conv(torch.cat([left, right]))).chunk(2)
        y: torch.Tensor = one.flip(0) - other if self.training else one - other
        return y


def test_another_result_in_training_is_none_of_it() -> None:
    with pytest.raises(archdsl.ArchError):
        _ = archdsl.from_torch(Other(nn.Dropout()), PAIR).spec


class Shared(Joined):
    """Drops the same numbers of all samples."""

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(left + right)
        mask: torch.Tensor = self.dropout(torch.ones_like(y[:1]))
        return y * mask


def test_a_mask_that_samples_share_is_never_taken_for_one_of_each() -> None:
    try:
        proof = archdsl.from_torch(Shared(nn.Dropout()), PAIR).proof
    except archdsl.ArchError:
        return
    assert "joined batches" not in proof.sentence()
