"""Modules that torch lacks give the numbers of torchvision's, drawn from the same seed."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch_facts import Built
from torchvision.models.convnext import LayerNorm2d as TheirLayerNorm2d

from archdsl.layers.activation import ScaledTanh
from archdsl.layers.dropout import StochasticDepth
from archdsl.layers.normalization import FrozenBatchNorm2d, LayerNorm2d


@pytest.mark.parametrize("mode", ["row", "batch"])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("training", [True, False])
def test_stochastic_depth(mode: str, p: float, training: bool) -> None:
    image = torch.randn(6, 2, 3, 3)
    ours = Built(StochasticDepth(p=p, mode=mode).infer(((2, 3, 3),)).torch).train(training)
    theirs = torchvision.ops.StochasticDepth(p, mode).train(training)

    torch.manual_seed(1)
    found = ours(image)
    torch.manual_seed(1)
    assert torch.equal(found, theirs(image))


def test_layer_norm_2d() -> None:
    image = torch.randn(2, 8, 3, 5)
    ours = Built(LayerNorm2d(eps=1e-6).infer(((8, 3, 5),)).torch)
    theirs = TheirLayerNorm2d(8, eps=1e-6)
    theirs.load_state_dict({"weight": torch.randn(8), "bias": torch.randn(8)})
    ours.own.load_state_dict(theirs.state_dict())

    assert torch.equal(ours(image), theirs(image))


def test_scaled_tanh_is_1_at_1() -> None:
    module = Built(ScaledTanh().infer(((2,),)).torch)

    output = module(torch.tensor([[1.0, -1.0]]))

    assert torch.allclose(output, torch.tensor([[1.0, -1.0]]), atol=1e-4)


def test_frozen_batch_norm() -> None:
    image = torch.randn(2, 8, 3, 5)
    ours = Built(FrozenBatchNorm2d(eps=1e-3).infer(((8, 3, 5),)).torch)
    theirs = torchvision.ops.misc.FrozenBatchNorm2d(8, eps=1e-3)
    theirs.load_state_dict({name: torch.rand(8) for name in theirs.state_dict()})

    ours.own.load_state_dict(theirs.state_dict())
    assert list(ours.own.state_dict()) == list(theirs.state_dict())
    assert torch.equal(ours.train()(image), theirs(image))
