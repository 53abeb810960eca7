"""The layers of the literature that torch lacks, number by number."""

from __future__ import annotations

import pytest
import torch
from torch_facts import Built

from archdsl.layers.base import ArgumentErrors, LayerError
from archdsl.layers.classic import RBF, Subsampling, ZeroPadShortcut
from archdsl.layers.convolution import Conv2d


def test_subsampling_scales_the_sum_of_each_window() -> None:
    ours = Built(Subsampling().infer(((2, 2, 4),)).torch).own
    with torch.no_grad():
        ours.weight.copy_(torch.tensor([0.5, 10.0]))
        ours.bias.copy_(torch.tensor([1.0, -1.0]))
    x = torch.tensor([[[1.0, 2, 3, 4], [5, 6, 7, 8]], [[1, 1, 1, 1], [2, 2, 0, 0]]])

    assert ours(x[None]).tolist() == [[[[8.0, 12.0]], [[59.0, 19.0]]]]


def test_subsampling_windows_may_overlap() -> None:
    facts = Subsampling(kernel_size=(2, 3), stride=1).infer(((1, 3, 3),))
    ours = Built(facts.torch).own
    with torch.no_grad():
        ours.weight.fill_(1)
        ours.bias.fill_(0)

    assert ours(torch.arange(9.0).view(1, 1, 3, 3)).tolist() == [[[[15.0], [33.0]]]]
    assert facts.other == {"pooling": 12, "bias": 2}


def test_rbf_is_the_squared_distance_from_each_code() -> None:
    layer = RBF(out_features=2, codes=((1, -1, 1), (0, 0, 2)))
    ours = Built(layer.infer(((3,),)).torch).own

    assert ours(torch.tensor([[1.0, 1.0, 0.0]])).tolist() == [[5.0, 6.0]]
    assert list(ours.state_dict()) == ["weight"]
    assert list(ours.parameters()) == []


def test_codes_are_drawn_from_minus_one_and_one() -> None:
    torch.manual_seed(0)
    weight = Built(RBF(out_features=10).infer(((84,),)).torch).own.weight

    assert weight.unique().tolist() == [-1.0, 1.0]
    assert weight.dtype == torch.float32


def test_trainable_codes_learn() -> None:
    ours = Built(RBF(out_features=2, trainable=True).infer(((4, 3),)).torch).own
    ours(torch.zeros(1, 4, 3)).sum().backward()

    assert ours.weight.grad.shape == (2, 3)


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        pytest.param(((1, 1, 1),), "has 2 outputs and 1 codes", id="too-few"),
        pytest.param(((1, 1), (1, 1)), "a code of 2 numbers for 3 features", id="too-short"),
    ],
)
def test_codes_must_fit(codes: tuple[tuple[int, ...], ...], reason: str) -> None:
    with pytest.raises(LayerError, match=reason):
        RBF(out_features=2, codes=codes).infer(((3,),))


@pytest.mark.parametrize(("padding", "before", "after"), [("after", 0, 3), ("both", 1, 2)])
def test_zero_padding_appends_channels(padding: str, before: int, after: int) -> None:
    layer = ZeroPadShortcut(out_channels=5, stride=2, padding=padding)
    ours = Built(layer.infer(((2, 5, 4),)).torch)
    x = torch.randn(2, 2, 5, 4)
    zeros = torch.zeros(2, 3, 3, 2)

    expected = torch.cat([zeros[:, :before], x[:, :, ::2, ::2], zeros[:, :after]], dim=1)
    assert torch.equal(ours(x), expected)


def test_zero_padding_alone_leaves_the_places() -> None:
    ours = Built(ZeroPadShortcut(out_channels=2, stride=(1, 3)).infer(((2, 5, 4),)).torch)
    x = torch.randn(2, 2, 5, 4)

    assert torch.equal(ours(x), x[:, :, :, ::3])


def test_zero_padding_never_drops_channels() -> None:
    with pytest.raises(LayerError, match="cannot bring 4 channels to 3"):
        ZeroPadShortcut(out_channels=3).infer(((4, 5, 5),))


@pytest.mark.parametrize("stride", [1, (1, 2)])
def test_zero_padding_copies_nothing_where_no_channel_is_missing(stride: object) -> None:
    facts = ZeroPadShortcut(out_channels=2, stride=stride).infer(((2, 5, 4),))
    x = torch.randn(2, 2, 5, 4)

    assert facts.view
    assert Built(facts.torch)(x).data_ptr() == x.data_ptr()


@pytest.mark.parametrize("row", [(), (0, 0), (0, -1), (1.0,), (True,), ("0",)])
def test_connections_name_different_channels(row: tuple[object, ...]) -> None:
    with pytest.raises(ArgumentErrors) as caught:
        Conv2d(out_channels=2, kernel_size=3, connections=((0,), row))

    assert list(caught.value.reasons) == ["connections"]


def test_connections_must_fit() -> None:
    layer = Conv2d(out_channels=2, kernel_size=3, connections=((0,), (1, 2)))

    assert layer.infer(((3, 5, 5),)).params == {"weight": (3, 1, 3, 3), "bias": (2,)}
    with pytest.raises(LayerError, match="connects input channel 2, and the last one is 1"):
        layer.infer(((2, 5, 5),))
    with pytest.raises(LayerError, match="has 3 output channels and connections for 2"):
        layer.model_copy({"out_channels": 3}).infer(((3, 5, 5),))
