"""A fixed affine change of the input, to the last bit; and products of matrices."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch_facts import Built
from torchvision.models import GoogLeNet, Inception3

from archdsl.layers.arithmetic import ChannelAffine, MatMul, Mean
from archdsl.layers.base import Disagreement, LayerError, Window
from archdsl.layers.sizes import Formula

SCALE = (0.229 / 0.5, 0.224 / 0.5, 0.225 / 0.5)
SHIFT = ((0.485 - 0.5) / 0.5, (0.456 - 0.5) / 0.5, (0.406 - 0.5) / 0.5)


@pytest.mark.parametrize("reference", [GoogLeNet, Inception3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_channel_affine_is_what_torchvision_does_to_an_image(
    reference: type[torch.nn.Module], dtype: torch.dtype
) -> None:
    ours = Built(ChannelAffine(scale=SCALE, shift=SHIFT).infer(((3, 19, 17),)).torch)
    x = torch.randn(2, 3, 19, 17).to(dtype)

    expected = reference._transform_input(SimpleNamespace(transform_input=True), x)
    assert torch.equal(ours(x), expected)
    assert ours.state_dict() == {}


def test_channel_affine_needs_a_number_for_each_channel() -> None:
    with pytest.raises(LayerError, match="has a scale for 3 channels, and 4 come in"):
        ChannelAffine(scale=SCALE, shift=SHIFT).infer(((4, 2, 2),))
    with pytest.raises(LayerError, match="has a shift for 2 channels, and 3 come in"):
        ChannelAffine(scale=SCALE, shift=SHIFT[:2]).infer(((3, 2, 2),))


def test_matrix_products_spread_axes_of_size_1_and_no_others() -> None:
    facts = MatMul().infer(((1, 5, 2, 3), (4, 1, 3, 6)))
    assert facts.output == (4, 5, 2, 6)
    assert facts.macs == 4 * 5 * 2 * 3 * 6

    with pytest.raises(Disagreement, match="agree in depth"):
        MatMul().infer(((4, 5, 2, 3), (4, 6, 3, 6)))
    with pytest.raises(Disagreement, match="the number of axes"):
        MatMul().infer(((5, 2, 3), (3, 6)))
    with pytest.raises(LayerError, match="rows of 3 numbers with columns of 4"):
        MatMul().infer(((2, 3), (4, 6)))


def test_free_sizes_of_a_matrix_product_must_agree() -> None:
    n = Formula.named("N")
    assert MatMul().infer(((2, n), (3, 6))).agreements == ((n, 3),)


def test_a_mean_that_keeps_its_axes_has_windows() -> None:
    width = Mean(dim=3, keepdim=True).infer(((8, 5, 7),))
    channels = Mean(dim=1, keepdim=True).infer(((8, 5, 7),))

    assert width.windows == (Window(1), Window(7, 7))
    assert channels.windows == "pointwise"
    assert Mean(dim=3).infer(((8, 5, 7),)).windows == "global"
