"""What reads an image at the places of a grid comes back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import archdsl

# torch says that the default of `align_corners` changed
pytestmark = pytest.mark.filterwarnings("ignore:Default grid_sample")


class Warps(nn.Module):
    """Reads an image at places that are learned from it."""

    def __init__(self, **how: Any) -> None:
        super().__init__()
        self.flow = nn.Conv2d(3, 2, 3, padding=1)
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        grid = self.flow(x).tanh().permute(0, 2, 3, 1)
        return nn.functional.grid_sample(x, grid, **self.how)


class WarpsVolume(nn.Module):
    """Reads a volume at places that come in."""

    def forward(self, x: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        return nn.functional.grid_sample(x, grid, "nearest", "border", False)


class WarpsWindows(nn.Module):
    """Reads each part of an image at places of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        windows = x.view(b * c, 1, h, w)
        grid = self.flow(windows).permute(0, 2, 3, 1)
        y = nn.functional.grid_sample(windows, grid, align_corners=True)
        return nn.functional.avg_pool2d(y, 2).view(b, c, h // 2, w // 2)


class LooksAround(nn.Module):
    """Reads what each place of an image has to do with the others, around that place.

    The places are constants, one for each window, of which there are many in each sample.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, _, h, w = x.shape
        like = torch.matmul(x.flatten(2).transpose(1, 2), x.flatten(2)).view(b * h * w, 1, h, w)
        rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        places = torch.stack([columns, rows]).float()[None].repeat(b, 1, 1, 1)
        around = torch.linspace(-1, 1, 3)
        delta = torch.stack(torch.meshgrid(around, around, indexing="ij"), -1).view(1, 3, 3, 2)
        grid = (places.permute(0, 2, 3, 1).reshape(b * h * w, 1, 1, 2) + delta) / h - 1
        found = nn.functional.grid_sample(like, grid, align_corners=True)
        return found.view(b, h, w, -1).permute(0, 3, 1, 2)


IMAGE = torch.randn(2, 3, 8, 10)
MODULES: dict[str, tuple[nn.Module, tuple[torch.Tensor, ...], str]] = {
    "plain": (Warps(), (IMAGE,), "GridSample\n"),
    "corners": (
        Warps(align_corners=True, mode="bicubic", padding_mode="reflection"),
        (IMAGE,),
        'GridSample(mode = "bicubic", padding_mode = "reflection", align_corners = true)',
    ),
    "volume": (
        WarpsVolume(),
        (torch.randn(2, 3, 4, 5, 6), torch.rand(2, 2, 3, 4, 3)),
        'GridSample(mode = "nearest", padding_mode = "border")',
    ),
    "around": (LooksAround(), (IMAGE,), "GridSample(align_corners = true)"),
    "windows": (WarpsWindows(), (IMAGE,), "GridSample(align_corners = true)"),
}


@pytest.mark.parametrize("name", MODULES)
def test_reading_at_places_comes_back(name: str) -> None:
    module, given, written = MODULES[name]

    network = archdsl.from_torch(module, given)

    assert written in network.spec
    assert network.proof.same
