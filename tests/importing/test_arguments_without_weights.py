"""Modules whose layers or functions have arguments that no weight shows, and joined frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import archdsl
from archdsl.importing.errors import ImportingError

Function = Callable[[torch.Tensor], torch.Tensor]


class Behind(nn.Module):
    """Does something to what a convolution gives."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.function(self.conv(x))
        return y


IMAGE = torch.randn(2, 3, 6, 6)

NORMS: dict[str, tuple[Function, str]] = {
    "module": (nn.LayerNorm([6, 6], elementwise_affine=False), "axes = 2"),
    "module_of_all": (nn.LayerNorm([4, 6, 6], elementwise_affine=False), "axes = 3"),
    "rms_module": (nn.RMSNorm([6, 6], elementwise_affine=False), "axes = 2"),
    "one_axis": (nn.LayerNorm(6, elementwise_affine=False), "LayerNorm(elementwise_affine = fal"),
    "function": (lambda x: F.layer_norm(x, (6, 6)), "axes = 2"),
    "function_of_all": (lambda x: F.layer_norm(x, x.shape[1:]), "axes = 3"),
    "rms": (lambda x: F.rms_norm(x, (6, 6)), "axes = 2"),
    "behind_the_batch": (
        lambda x: F.layer_norm(x.transpose(0, 1), (6, 6)).transpose(0, 1),
        "axes = 2",
    ),
}


@pytest.mark.parametrize(("function", "said"), NORMS.values(), ids=NORMS)
def test_axes_are_found_without_weights(function: Function, said: str) -> None:
    network = archdsl.from_torch(Behind(function), IMAGE)

    assert network.proof.sentence().startswith("the same, name by name; outputs"), network.proof
    assert said in network.spec


def over_the_batch(x: torch.Tensor) -> torch.Tensor:
    y = F.layer_norm(x.permute(1, 2, 3, 0), x.shape[:1])
    return y.permute(3, 0, 1, 2)


def test_a_normalization_over_the_batch_is_refused() -> None:
    with pytest.raises(ImportingError, match="isn't the batch"):
        _ = archdsl.from_torch(Behind(over_the_batch), IMAGE).spec
