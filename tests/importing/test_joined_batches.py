"""Batches that a module puts one behind the other are told apart."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archdsl
from archdsl.importing.errors import ImportingError


class Encoder(nn.Module):
    """Takes one tensor, or a list of some that it joins and cuts again."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.norm = norm

    def forward(self, x: torch.Tensor | list[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
        joined = torch.cat(x, dim=0) if isinstance(x, list) else x
        y = torch.relu_(self.norm(self.conv(joined)))
        return y if isinstance(x, torch.Tensor) else [*torch.split(y, len(x[0]))]


class Pair(nn.Module):
    """Compares what an encoder makes of two images."""

    def __init__(self, within: bool = False, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = Encoder(norm or nn.InstanceNorm2d(4))
        self.head = nn.Conv2d(8, 2, 1)
        self.within = within

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        if self.within:
            one, other = self.encoder([left, right])
        else:
            both = self.encoder(torch.cat([left, right])).sigmoid()
            one, other = both.chunk(2)
        y: torch.Tensor = self.head(torch.cat([one, other], 1))
        return y


class Sliced(Pair):
    """Cuts what was joined by a slice for each image."""

    def __init__(self, start: int = 0) -> None:
        super().__init__()
        self.start = start

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        both, size = self.encoder(torch.cat([left, right])), left.shape[0]
        one, other = both[self.start : size + self.start], both[-size:, :]
        y: torch.Tensor = self.head(torch.cat([other, one], 1))
        return y


class Pooled(Pair):
    """Does something to both images together."""

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        both = self.encoder(torch.cat([left, right]))
        one, other = (both - both.mean(0)).chunk(2)
        return torch.cat([one, other], 1)


PAIR = (torch.randn(2, 3, 9, 9), torch.randn(2, 3, 9, 9))


@pytest.mark.parametrize("within", [False, True], ids=["around", "within"])
def test_an_encoder_of_two_images_is_used_twice(within: bool) -> None:
    network = archdsl.from_torch(Pair(within), PAIR)

    assert network.proof.sentence() == "the same, name by name; outputs equal"
    assert "reuse encoder" in network.spec or "reuse conv" in network.spec
    assert network.count().parameters == sum(p.numel() for p in Pair().parameters())


def test_an_encoder_of_two_images_is_used_twice_where_slices_cut() -> None:
    network = archdsl.from_torch(Sliced(), PAIR)

    assert network.proof.sentence() == "the same, name by name; outputs equal"
    assert network.count().parameters == sum(p.numel() for p in Pair().parameters())


@pytest.mark.parametrize(
    "module",
    [Pooled(), Pair(norm=nn.BatchNorm2d(4)), Sliced(start=1)],
    ids=["mean", "statistics", "slice_of_both"],
)
def test_what_is_done_to_all_together_is_refused(module: nn.Module) -> None:
    with pytest.raises(ImportingError, match=r"along the batch|drops the batch axis"):
        _ = archdsl.from_torch(module, PAIR).spec
