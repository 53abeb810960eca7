"""An import leaves the random numbers of whoever asks for it as they were."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import archdsl
from archdsl.importing.errors import ImportingError
from archdsl.importing.imported import graph_of
from archdsl.importing.randomness import seed, untouched


class Noisy(nn.Module):
    """Draws in evaluation mode too."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


class Failing(nn.Module):
    """Draws and fails."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError(float(torch.rand(())))


def test_what_is_drawn_after_an_import_is_what_would_have_been() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    given = torch.randn(2, 4)
    before = torch.get_rng_state()

    archdsl.from_torch(module, given)
    assert torch.equal(torch.get_rng_state(), before)
    graph_of(module, (given,), "net")
    assert torch.equal(torch.get_rng_state(), before)
    archdsl.from_torch(Noisy(), given)  # which has no text
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(ImportingError):
        archdsl.from_torch(Failing(), given)
    assert torch.equal(torch.get_rng_state(), before)


def test_generators_of_gpus_that_are_used_are_put_back_too(monkeypatch: pytest.MonkeyPatch) -> None:
    of_gpu = torch.Generator().manual_seed(7)
    monkeypatch.setattr(torch.cuda, "default_generators", (of_gpu,))
    before = of_gpu.get_state()

    with untouched():
        seed()
        torch.rand(3, generator=of_gpu)

    assert torch.equal(of_gpu.get_state(), before)
