"""A number that follows the size of the batch is never written as if it were one of the module."""

from __future__ import annotations

from collections.abc import Callable

import modules
import pytest
import torch

import archdsl
from archdsl.importing.errors import ImportingError

Function = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

FOLLOWING: dict[str, tuple[Function, str]] = {
    "quotient": (lambda x, y: y / x.shape[0], "`factor` of `Scale`"),
    "difference": (lambda x, y: x.size(0) - y, "`amount` of `Shift`"),
    "length": (lambda x, y: y * len(x), "`factor` of `Scale`"),
    "all numbers": (lambda x, y: y * x.numel(), "`factor` of `Scale`"),
    "of a tensor": (lambda x, y: y * torch.tensor(float(x.shape[0])), "`factor` of `Scale`"),
    "part": (lambda x, y: y + x[:, : x.shape[0]].mean(1, keepdim=True), "`stop` of `Slice`"),
    "places": (lambda x, y: y.roll(x.size(0), 1), "`shifts` of `Roll`"),
    "bound": (lambda x, y: y.clamp(max=x.shape[0]), "`max` of `Clamp`"),
    "for each": (lambda x, y: y * torch.full((len(x), 4), 1 / len(x)), "a constant that follows"),
    "for all": (lambda x, y: y + x.new_full((4,), len(x)), "a constant (that follows|of which)"),
    "one of a list": (lambda x, y: y * torch.tensor([1.0, 2, 3, len(x)]), "a constant that"),
    "matrix": (lambda x, y: torch.eye(len(x)) @ y, "a constant that follows"),
    "order": (lambda x, y: y.roll(1, 0), "what puts samples in another order"),
    "turned": (lambda x, y: y.flip(0), "what puts samples in another order"),
}


@pytest.mark.parametrize("name", FOLLOWING)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_follows_the_size_of_the_batch_is_refused(name: str, device: str) -> None:
    function, said = FOLLOWING[name]
    with torch.device(device):
        network = archdsl.from_torch(modules.Gated(function), torch.ones(2, 4))

    with pytest.raises(ImportingError, match=said):
        _ = network.spec
    assert network.count().parameters == 24


@pytest.mark.parametrize("batch", [2, 3, 4])
def test_what_only_has_its_size_is_written(batch: int) -> None:
    module = modules.Of(lambda x, y: y.view(len(x), 2, -1).flatten(1) + torch.ones(len(x), 4) * 3)

    network = archdsl.from_torch(module, torch.randn(batch, 4))

    assert network.proof.same


@pytest.mark.parametrize("batch", [2, 3, 4])
def test_a_number_for_each_sample_is_one_for_all(batch: int) -> None:
    module = modules.Of(lambda x, y: (y.sum(1) * torch.full((len(x),), 2.0))[:, None] + y)

    network = archdsl.from_torch(module, torch.randn(batch, 4))

    assert network.proof.same
    assert "Scale(2.0)" in network.spec
