"""Deformable convolution of torchvision, as a module and as a function, comes back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import archdsl
from archdsl.importing.errors import ImportingError

operators = pytest.importorskip("torchvision.ops")


class Deforms(nn.Module):
    """Applies a deformable convolution to an offset, and to a mask, of the image itself."""

    def __init__(self, masks: bool = False, offsets: int = 1, **how: Any) -> None:
        super().__init__()
        alike = {name: how[name] for name in ("stride", "padding") if name in how}
        self.offset = nn.Conv2d(4, 18 * offsets, 3, **alike)
        self.mask = nn.Conv2d(4, 9 * offsets, 3, **alike) if masks else None
        self.dcn = operators.DeformConv2d(4, 6, 3, **how)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = None if self.mask is None else self.mask(x).sigmoid()
        return self.applied(x, self.offset(x), mask).relu()

    def applied(self, x: Any, offset: Any, mask: Any) -> torch.Tensor:
        y: torch.Tensor = self.dcn(x, offset, mask) if mask is not None else self.dcn(x, offset)
        return y


class ByFunction(Deforms):
    """Uses the weights of a layer that is never called."""

    def applied(self, x: Any, offset: Any, mask: Any) -> torch.Tensor:
        one = self.dcn
        y: torch.Tensor = operators.deform_conv2d(
            x, offset, one.weight, one.bias, one.stride, one.padding, one.dilation, mask
        )
        return y


class WithNone(Deforms):
    """Says that there is no mask."""

    def applied(self, x: Any, offset: Any, mask: Any) -> torch.Tensor:
        y: torch.Tensor = self.dcn(x, offset, mask)
        return y


class OfComputed(Deforms):
    """Computes the weights."""

    def applied(self, x: Any, offset: Any, mask: Any) -> torch.Tensor:
        y: torch.Tensor = operators.deform_conv2d(x, offset, self.dcn.weight * 2)
        return y


MODULES: dict[str, tuple[nn.Module, str]] = {
    "module": (Deforms(), "DeformConv2d(6, 3)"),
    "masks": (Deforms(masks=True, padding=1), "DeformConv2d(6, 3, padding = 1)"),
    "offsets": (Deforms(offsets=2, bias=False), "DeformConv2d(6, 3, bias = false)"),
    "groups": (Deforms(groups=2, dilation=1), "DeformConv2d(6, 3, groups = 2)"),
    "none": (WithNone(stride=2), "DeformConv2d(6, 3, stride = 2)"),
    "function": (ByFunction(padding=1, groups=2), "DeformConv2d(6, 3, padding = 1, groups = 2)"),
    "function with masks": (ByFunction(masks=True, bias=False), "DeformConv2d(6, 3, bias = false)"),
}


@pytest.mark.parametrize("name", MODULES)
def test_deformable_convolution_comes_back(name: str) -> None:
    module, written = MODULES[name]

    network = archdsl.from_torch(module, torch.randn(2, 4, 9, 8))

    assert network.proof.sentence() == "the same, name by name; outputs equal"
    assert f"dcn: {written}" in network.spec


def test_weights_that_are_computed_are_refused() -> None:
    network = archdsl.from_torch(OfComputed(), torch.randn(2, 4, 9, 8))

    with pytest.raises(ImportingError, match="`deform_conv2d` with weights that belong to no mod"):
        _ = network.spec
