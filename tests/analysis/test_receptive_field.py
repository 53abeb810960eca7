"""Receptive fields against published ones, and against what gradients show."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest
import torch
from building import Builder, H, W
from sketches import biased, convolution, resnet50, unet, vgg16

from archdsl.analysis.receptive_field import Field, Reach, receptive_fields
from archdsl.graph import CheckedGraph
from archdsl.layers.activation import GELU, Softmax
from archdsl.layers.adaptive_pooling import AdaptiveAvgPool2d
from archdsl.layers.base import Layer
from archdsl.layers.convolution import Conv1d, Conv2d
from archdsl.layers.linear import Linear
from archdsl.layers.merge import Add, Concat, Mul
from archdsl.layers.normalization import BatchNorm1d, LayerNorm
from archdsl.layers.padding import ZeroPad1d
from archdsl.layers.pooling import MaxPool1d, MaxPool2d
from archdsl.layers.reshape import Flatten, Permute, Transpose, Unflatten
from archdsl.layers.resize import ResizeLike
from archdsl.layers.tensor import OwnTensor
from archdsl.layers.transposed_convolution import ConvTranspose1d


def field(checked: CheckedGraph, node: str, of: str = "image") -> Field:
    along = receptive_fields(checked, of)[node]
    assert len(set(along)) == 1
    return along[0]


def test_two_and_three_3x3_see_as_much_as_a_5x5_and_a_7x7() -> None:
    net = Builder()
    net.input("image", 1, 32, 32)
    for name in ("one", "two", "three"):
        net.put(name, biased(1, 3, padding=1))

    sizes = [field(net.checked(), name).size for name in ("one", "two", "three")]

    assert sizes == [3, 5, 7]


def test_vgg16() -> None:
    """As in the literature: 196 at conv5_3, 212 after the last pooling, 404 for what is dense."""
    checked = vgg16()

    assert field(checked, "conv5_3").size == 196
    assert field(checked, "conv5_3").stride == 16
    assert field(checked, "pool5").size == 212
    assert field(checked, "pool5").stride == 32
    assert field(checked, "fc8").size == 404
    assert field(checked, "fc8").stride is None


def test_resnet50() -> None:
    """483 with the strides of the paper (Araujo et al., 2019); 427 with those of torchvision."""
    paper, torchvision = resnet50(stride_first=True), resnet50()

    assert field(paper, "layer4.2.add").size == 483
    assert field(torchvision, "layer4.2.add").size == 427
    assert field(torchvision, "layer4.2.add").stride == 32
    assert field(torchvision, "layer4.2.add").start == -213
    assert field(torchvision, "avgpool").size == 427 + 6 * 32


def test_unet() -> None:
    head = field(unet(256, 256), "head")

    assert head.size == 204
    assert head.stride == 1
    assert field(unet(H, W), "head") == head


def test_a_small_unet_is_what_gradients_show() -> None:
    net = Builder()
    net.input("x", 1, 64)
    three = Conv1d(out_channels=1, kernel_size=3, padding=1)
    skips = []
    for level in range(2):
        skips.append(net.put(f"enc{level}", three))
        net.put(f"down{level}", Conv1d(out_channels=1, kernel_size=2, stride=2))
    net.put("middle", three)
    for level in (1, 0):
        up = net.put(f"up{level}", ConvTranspose1d(out_channels=1, kernel_size=2, stride=2))
        net.put(f"sum{level}", Add(), skips[level], up)
        net.put(f"dec{level}", three)
    (found,) = receptive_fields(net.checked(), "x")[net.flow]
    x = torch.ones(1, 1, 64, dtype=torch.double, requires_grad=True)
    around, pair = torch.ones(1, 1, 3).double(), torch.ones(1, 1, 2).double()

    flow, kept = x, []
    for _ in range(2):
        kept.append(torch.conv1d(flow, around, padding=1))
        flow = torch.conv1d(kept[-1], pair, stride=2)
    flow = torch.conv1d(flow, around, padding=1)
    for skip in reversed(kept):
        flow = torch.conv1d(skip + torch.conv_transpose1d(flow, pair, stride=2), around, padding=1)

    widest = 0
    for place in range(24, 40):
        (gradient,) = torch.autograd.grad(flow[0, 0, place], x, retain_graph=True)
        seen = gradient.flatten().nonzero().flatten().tolist()
        assert found.reach(place) == (seen[0], seen[-1] + 1)
        widest = max(widest, len(seen))
    assert found.size == widest


def test_axes_differ() -> None:
    net = Builder()
    net.input("image", 1, 32, 32)
    tall = biased(1, 1).model_copy(update={"kernel_size": (7, 1), "stride": (2, 1)})
    net.put("tall", tall)

    height, width = receptive_fields(net.checked(), "image")["tall"]

    assert (height.size, height.stride) == (7, 2)
    assert (width.size, width.stride) == (1, 1)


def test_branches_meet_in_the_hull() -> None:
    net = Builder()
    net.input("image", 1, 32, 32)
    net.put("left", biased(1, 5, padding=1))
    net.put("right", biased(1, 5, padding=3), "image")
    net.put("middle", biased(1, 3, padding=1), "image")
    net.put("crop", biased(1, 5), "right")
    net.put("both", Concat(), "left", "crop", agreements=())

    assert field(net.checked(), "left").start == -1
    assert field(net.checked(), "crop").start == -3
    assert field(net.checked(), "both").size == 9
    assert field(net.checked(), "both").start == -3


def test_a_gate_sees_everything_and_keeps_the_stride() -> None:
    net = Builder()
    net.input("image", 4, 32, 32)
    net.put("x", convolution(4, 3, stride=2, padding=1))
    net.put("pool", AdaptiveAvgPool2d(output_size=1))
    gate = net.put("gate", biased(4, 1))
    net.put("gated", Mul(), "x", gate)
    net.put("after", biased(4, 3, padding=1))

    checked = net.checked()

    assert field(checked, "gate").size == 3 + 15 * 2
    assert field(checked, "gated").size == 3 + 15 * 2
    assert field(checked, "gated").whole
    assert field(checked, "gated").stride == 2
    assert field(checked, "after") == field(checked, "gated")


def test_a_pooled_image_that_is_enlarged_again_is_seen_whole() -> None:
    net = Builder()
    net.input("image", 4, 32, 32)
    net.put("x", convolution(4, 3, stride=2, padding=1))
    net.put("pool", AdaptiveAvgPool2d(output_size=1))
    net.put("large", ResizeLike(), "pool", "x")
    net.put("both", Concat(), "x", "large")
    checked = net.checked()

    assert field(checked, "large").size == 3 + 15 * 2
    assert field(checked, "large").whole
    assert field(checked, "both").size == 3 + 15 * 2
    assert field(checked, "both").stride == 2


def test_an_input_that_only_lends_its_shape_is_not_seen() -> None:
    net = Builder()
    net.input("image", 4, 32, 32)
    net.input("like", 4, 64, 64)
    net.put("large", ResizeLike(mode="nearest"), "image", "like")
    checked = net.checked()

    assert field(checked, "large").size == 1
    assert field(checked, "large").stride == Fraction(1, 2)
    assert "large" not in receptive_fields(checked, "like")


def test_branches_of_different_strides_see_all_of_both() -> None:
    net = Builder()
    net.input("image", 1, 8, 8)
    net.put("fine", convolution(1, 5))
    net.put("coarse", convolution(1, 2, stride=2), "image")
    net.put("both", Concat(), "fine", "coarse")

    both = field(net.checked(), "both")

    assert both.whole
    assert both.stride is None
    assert (both.start, both.size) == (0, 8)


def test_what_is_joined_along_an_axis_of_places_is_seen_whole() -> None:
    net = Builder()
    net.input("image", 1, 8, 6)
    net.put("seen", convolution(1, 3), "image")
    net.put("both", Concat(dim=2), "image", "image")

    height, width = receptive_fields(net.checked(), "image")["both"]

    assert (height.size, height.whole) == (8, True)
    assert (width.size, width.stride) == (6, None)


def test_one_place_that_is_spread_is_seen_whole_by_all_that_read_it() -> None:
    """Also where what it is spread over does not come from the same input."""
    net = Builder()
    net.input("image", 4, 8, 8)
    net.input("other", 4, 32, 32)
    net.put("pool", AdaptiveAvgPool2d(output_size=1), "image")
    net.put("sum", Add(), "other", "pool")
    net.put("after", biased(4, 3, padding=1))
    checked = net.checked()

    assert (field(checked, "after").start, field(checked, "after").size) == (0, 8)
    assert field(checked, "sum").stride is None
    assert field(checked, "after", "other").size == 3


def test_branches_whose_strides_are_free_are_joined() -> None:
    net = Builder()
    net.input("image", 4, 7 * H, 7 * H)
    pool = net.put("pool", AdaptiveAvgPool2d(output_size=7))
    seen = net.put("seen", biased(4, 3, padding=1), pool)
    net.put("sum", Add(), pool, seen)

    assert field(net.checked(), "sum") == Field(H, (Reach(-H, 2 * H),))


@pytest.mark.parametrize("layer", [BatchNorm1d(), MaxPool1d(kernel_size=2), ZeroPad1d(padding=1)])
def test_what_works_along_channels_leaves_the_field_of_places(layer: Layer) -> None:
    net = Builder()
    net.input("image", 4, 9)
    net.put("seen", Conv1d(out_channels=4, kernel_size=3))
    net.put("turned", Transpose(dim0=1, dim1=2))
    net.put("after", layer)
    checked = net.checked()

    assert field(checked, "after") == field(checked, "seen") == Field(1, (Reach(0, 3),))


def test_channels_that_are_put_last_and_back_change_nothing() -> None:
    """As ConvNeXt is written: normalization and linear maps of each place by itself."""
    net = Builder()
    net.input("image", 3, 20, 24)
    net.put("conv", biased(4, 7, padding=3))
    net.put("last", Permute(dims=(0, 2, 3, 1)))
    for name, layer in (("norm", LayerNorm()), ("up", Linear(out_features=8)), ("act", GELU())):
        net.put(name, layer)
    net.put("back", Permute(dims=(0, 3, 1, 2)))
    net.put("down", Conv2d(out_channels=4, kernel_size=2, stride=2))
    net.put("again", biased(4, 3, padding=1))
    checked = net.checked()

    assert {field(checked, name).size for name in ("conv", "last", "norm", "up", "act")} == {7}
    assert field(checked, "again") == Field(2, (Reach(-5, 7),))


def test_axes_that_are_exchanged_take_their_fields_along() -> None:
    net = Builder()
    net.input("image", 1, 9, 9)
    net.put("tall", Conv2d(out_channels=1, kernel_size=(3, 1)))
    net.put("turned", Transpose(dim0=2, dim1=3))
    net.put("wide", Conv2d(out_channels=1, kernel_size=(3, 1), stride=(2, 1)))
    net.put("first", Transpose(dim0=1, dim1=2))
    net.put("mixed", Conv2d(out_channels=1, kernel_size=1))
    along = receptive_fields(net.checked(), "image")

    assert [axis.size for axis in along["tall"]] == [3, 1]
    assert [(axis.size, axis.stride) for axis in along["wide"]] == [(3, 1), (3, 2)]
    assert along["first"] == along["wide"]
    # a convolution that takes columns for its channels sees all of them
    assert [axis.size for axis in along["mixed"]] == [3, 9]


def test_tokens_of_an_image_see_all_of_it() -> None:
    """As ViT is written: other axes than the image's are exchanged, and exchanged back."""
    net = Builder()
    net.input("image", 3, 8, 8)
    net.put("patches", Conv2d(out_channels=4, kernel_size=4, stride=4))
    net.put("row", Flatten(start_dim=2))
    net.put("tokens", Permute(dims=(0, 2, 1)))
    net.put("norm", LayerNorm())
    net.put("turned", Transpose(dim0=1, dim1=2))
    net.put("map", Unflatten(dim=2, unflattened_size=(2, 2)))
    net.put("conv", biased(4, 3, padding=1))

    assert field(net.checked(), "patches").size == 4
    for name in ("row", "tokens", "norm", "turned", "map", "conv"):
        assert field(net.checked(), name).size == 8


def test_what_lies_differently_meets_as_a_whole() -> None:
    net = Builder()
    image = net.input("image", 1, 6, 6)
    turned = net.put("turned", Transpose(dim0=2, dim1=3))
    net.put("sum", Add(), image, turned)

    assert [axis.size for axis in receptive_fields(net.checked(), "image")["sum"]] == [6, 6]


def test_each_input_has_its_own() -> None:
    net = Builder()
    net.input("image", 1, 8, 8)
    net.input("mask", 1, 8, 8)
    net.put("seen", biased(1, 3, padding=1), "image")
    net.put("sum", Add(), "seen", "mask")
    net.put("own", OwnTensor(shape=(1, 8, 8)))
    net.put("last", Add(), "sum", "own")
    checked = net.checked()

    assert field(checked, "last", "image").size == 3
    assert field(checked, "last", "mask").size == 1
    assert "seen" not in receptive_fields(checked, "mask")
    assert "own" not in receptive_fields(checked, "image")


def test_an_input_without_places_has_fields_without_axes() -> None:
    net = Builder()
    net.input("features", 16)
    net.put("sum", Add(), "features", "features")

    assert receptive_fields(net.checked(), "features")["sum"] == ()


def test_pooling_over_a_free_size() -> None:
    net = Builder()
    net.input("image", 1, H, H)
    net.put("pool", MaxPool2d(kernel_size=2))
    net.put("all", AdaptiveAvgPool2d(output_size=1))

    assert field(net.checked(), "all").size == 2 * (H // 2)


def test_axes_that_were_read_differently_stay_so() -> None:
    net = Builder()
    net.input("image", 1, 36, 32)  # b reads a square
    net.put("a", Conv2d(out_channels=1, kernel_size=(5, 1)))
    net.put("b", Conv2d(out_channels=1, kernel_size=3))

    fields = receptive_fields(net.checked(), "image")["b"]

    assert [each.size for each in fields] == [7, 3]


def test_what_reads_all_places_of_a_free_size() -> None:
    net = Builder()
    net.input("image", 1, H, H)
    net.put("pool", MaxPool2d(kernel_size=2))
    net.put("all", Softmax(dim=2))

    assert field(net.checked(), "all").size == 2 * (H // 2)


def layers(random: Random, exact: bool) -> list[tuple[Layer, torch.nn.Module]]:
    """Draw convolutions; `exact` avoids those whose windows are not all equally wide."""
    found: list[tuple[Layer, torch.nn.Module]] = []
    for _ in range(random.randint(1, 6)):
        stride = random.randint(1, 3)
        if random.random() < 0.45:
            kernel = stride * random.randint(1, 2) if exact else random.randint(1, 4)
            padding = random.randint(0, kernel - 1)
            up = {"kernel_size": kernel, "stride": stride, "padding": padding, "bias": False}
            found.append(
                (ConvTranspose1d(out_channels=1, **up), torch.nn.ConvTranspose1d(1, 1, **up))
            )
        else:
            down = {
                "kernel_size": random.randint(1, 4),
                "stride": stride,
                "padding": random.randint(0, 2),
                "dilation": 1 if exact else random.randint(1, 2),
                "bias": False,
            }
            found.append((Conv1d(out_channels=1, **down), torch.nn.Conv1d(1, 1, **down)))
    return found


@pytest.mark.parametrize("seed", range(24))
def test_no_gradient_comes_from_elsewhere(seed: int) -> None:
    """Each output's gradient lies within its field, and reaches both ends where it can."""
    random, exact = Random(seed), seed % 2 == 0
    drawn = layers(random, exact)
    net = Builder()
    net.input("x", 1, 400)
    for at, (layer, module) in enumerate(drawn):
        net.put(f"n{at}", layer)
        torch.nn.init.ones_(module.weight)
    (found,) = receptive_fields(net.checked(), "x")[net.flow]
    x = torch.ones(1, 1, 400, dtype=torch.double, requires_grad=True)
    outputs = torch.nn.Sequential(*(module for _, module in drawn)).double()(x).flatten()

    widest = 0
    for place in random.sample(range(len(outputs)), k=min(len(outputs), 20)):
        (gradient,) = torch.autograd.grad(outputs[place], x, retain_graph=True)
        seen = gradient.flatten().nonzero().flatten().tolist()
        reach = found.reach(place)
        assert all(reach.start <= each < reach.end for each in seen)
        if exact and seen and reach.start >= 0 and reach.end <= 400:
            assert (reach.start, reach.end) == (seen[0], seen[-1] + 1)
        widest = max(widest, len(seen))
    assert widest <= found.size


def test_upsampling_has_a_fraction_for_its_stride() -> None:
    net = Builder()
    net.input("x", 1, 8)
    net.put("up", ConvTranspose1d(out_channels=1, kernel_size=2, stride=2))

    (found,) = receptive_fields(net.checked(), "x")["up"]

    assert (found.size, found.stride, found.start) == (1, Fraction(1, 2), 0)


def test_too_many_phases_are_not_followed() -> None:
    net = Builder()
    net.input("x", 1, 8)
    net.put("up", ConvTranspose1d(out_channels=1, kernel_size=300, stride=300))

    (found,) = receptive_fields(net.checked(), "x")["up"]

    assert (found.size, found.stride) == (None, Fraction(1, 300))
