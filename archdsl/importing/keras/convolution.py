"""Convolutions and dense layers, whose kernels Keras keeps with the channels last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from archdsl.importing.keras.at import At, axes_of, layer, require_rank, single
from archdsl.importing.keras.errors import Missing, Wrong
from archdsl.importing.keras.functions import activated
from archdsl.importing.keras.held import FIRST, LAST, Held

CONVOLUTIONS: tuple[Any, ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED: tuple[Any, ...] = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


# --- channels -------------------------------------------------------------------------------------


def channels_first(at: At) -> bool:
    """Tell whether a layer takes the channels behind the batch, in Keras as well."""
    words = ("channels_last", "channels_first")
    at.settings.held = {key: one for key, one in at.settings.held.items() if one is not None}
    return at.settings.word("data_format", words, "channels_last") == "channels_first"


def taken(at: At, given: Sequence[Any], count: int) -> torch.Tensor:
    """Return what a layer of windows is called on, its channels behind the batch."""
    x = single(given)
    require_rank(x, count + 2)
    return x.last if channels_first(at) else x.first


def given_back(at: At, tensor: torch.Tensor) -> Held:
    """Return what such a layer gives, as Keras counts its axes."""
    return Held(tensor, LAST if channels_first(at) else FIRST)


# --- padding --------------------------------------------------------------------------------------


def same_sides(
    sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[tuple[int, int]]:
    """Return by how much "same" padding widens each axis, before and behind it.

    The larger part of an odd number stands behind. Source: the documentation of `tf.nn`, "Notes
    on padding".
    """
    found: list[tuple[int, int]] = []
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size, 0)
        found.append((total // 2, total - total // 2))
    return found


def around(sides: Sequence[tuple[int, int]]) -> list[int]:
    """Return padding as torch takes it, the last axis first."""
    return [one for pair in reversed(sides) for one in pair]


def padded(
    at: At,
    x: torch.Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Return a tensor and by how much a convolution is to widen it besides."""
    count = len(kernel)
    words = ("valid", "same", "causal") if count == 1 else ("valid", "same")
    word = at.settings.word("padding", words, "valid")
    if word == "valid":
        return x, (0,) * count
    if word == "causal":
        return functional.pad(x, [(kernel[0] - 1) * dilations[0], 0]), (0,)
    sides = same_sides(x.shape[2:], kernel, strides, dilations)
    if all(before == behind for before, behind in sides):
        return x, tuple(before for before, _ in sides)
    return functional.pad(x, around(sides)), (0,) * count


# --- convolutions ---------------------------------------------------------------------------------


def turned(kernel: torch.Tensor) -> torch.Tensor:
    """Return a kernel with the last two axes, in and out, in front, out first."""
    rank = kernel.dim()
    return kernel.permute(rank - 1, rank - 2, *range(rank - 2))


def by_channel(kernel: torch.Tensor) -> torch.Tensor:
    """Return the kernel of a convolution of each channel by itself."""
    rank = kernel.dim()
    apart = kernel.permute(rank - 2, rank - 1, *range(rank - 2))
    return apart.flatten(0, 1).unsqueeze(1)


@layer("Conv1D", "Conv2D", "Conv3D")
def convolution(at: At, *given: Any) -> Held:
    count = axes_of(at.layer.kind)
    settings, x = at.settings, taken(at, given, count)
    kernel = settings.wholes("kernel_size", count)
    strides = settings.wholes("strides", count, 1)
    dilations = settings.wholes("dilation_rate", count, 1)
    filters, groups = settings.whole("filters"), settings.whole("groups", 1)
    bias, channels = settings.flag("use_bias", True), x.shape[1]
    if channels % groups or filters % groups:
        raise Wrong(f"has {groups} groups, which don't divide its channels")
    x, padding = padded(at, x, kernel, strides, dilations)
    module = at.module(
        lambda: CONVOLUTIONS[count - 1](
            channels, filters, kernel, strides, padding, dilations, groups, bias
        )
    )
    at.fill(module, "weight", at.variable(0, *kernel, channels // groups, filters), turned)
    if bias:
        at.fill(module, "bias", at.variable(1, filters))
    return activated(at, given_back(at, module(x)))


@layer("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise(at: At, *given: Any) -> Held:
    count = axes_of(at.layer.kind)
    x = taken(at, given, count)
    bias = at.settings.flag("use_bias", True)
    for unused in ("filters", "groups"):
        at.settings.value(unused)
    x = by_channels(at, x, count, bias)
    return activated(at, given_back(at, x))


def by_channels(at: At, x: torch.Tensor, count: int, bias: bool, name: str = "") -> torch.Tensor:
    """Return what a convolution of each channel by itself gives."""
    settings, channels = at.settings, x.shape[1]
    kernel = settings.wholes("kernel_size", count)
    strides = settings.wholes("strides", count, 1)
    dilations = settings.wholes("dilation_rate", count, 1)
    times = settings.whole("depth_multiplier", 1)
    x, padding = padded(at, x, kernel, strides, dilations)
    module = at.module(
        lambda: CONVOLUTIONS[count - 1](
            channels, channels * times, kernel, strides, padding, dilations, channels, bias
        ),
        name,
    )
    at.fill(module, "weight", at.variable(0, *kernel, channels, times), by_channel)
    if bias:
        at.fill(module, "bias", at.variable(1, channels * times))
    found: torch.Tensor = module(x)
    return found


@layer("SeparableConv1D", "SeparableConv2D")
def separable(at: At, *given: Any) -> Held:
    """It is two: each channel by itself, and then places."""
    count = axes_of(at.layer.kind)
    x, settings = taken(at, given, count), at.settings
    settings.value("groups")
    bias, filters = settings.flag("use_bias", True), settings.whole("filters")
    x = by_channels(at, x, count, False, "depthwise")
    channels = x.shape[1]
    module = at.module(
        lambda: CONVOLUTIONS[count - 1](channels, filters, 1, bias=bias), "pointwise"
    )
    at.fill(module, "weight", at.variable(1, *[1] * count, channels, filters), turned)
    if bias:
        at.fill(module, "bias", at.variable(2, filters))
    return activated(at, given_back(at, module(x)))


@layer("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def transposed(at: At, *given: Any) -> Held:
    count = axes_of(at.layer.kind)
    x, settings = taken(at, given, count), at.settings
    kernel = settings.wholes("kernel_size", count)
    strides = settings.wholes("strides", count, 1)
    if settings.value("groups", 1) != 1 or settings.value("output_padding") is not None:
        raise Missing("groups or `output_padding`")
    if settings.wholes("dilation_rate", count, 1) != (1,) * count:
        raise Missing("its setting `dilation_rate`")
    word = settings.word("padding", ("valid", "same"), "valid")
    bias, filters, channels = (
        settings.flag("use_bias", True), settings.whole("filters"), x.shape[1],
    )  # fmt: skip
    # what "same" padding of the convolution that goes the other way would have widened
    over = [max(k - s, 0) if word == "same" else 0 for k, s in zip(kernel, strides, strict=True)]
    even = all(one % 2 == 0 for one in over)
    more = tuple(max(s - k, 0) for k, s in zip(kernel, strides, strict=True))
    sides = tuple(one // 2 if even else 0 for one in over)
    module = at.module(
        lambda: TRANSPOSED[count - 1](channels, filters, kernel, strides, sides, more, bias=bias)
    )
    at.fill(module, "weight", at.variable(0, *kernel, filters, channels), turned)
    if bias:
        at.fill(module, "bias", at.variable(1, filters))
    y = module(x)
    if not even:
        for axis, one in enumerate(over):
            y = y.narrow(axis + 2, one // 2, y.shape[axis + 2] - one)
    return activated(at, given_back(at, y))


# --- dense layers ---------------------------------------------------------------------------------


def unflattened(order: Any, weight: torch.Tensor) -> torch.Tensor:
    """Return weights of features that Keras counts channels last, for channels that come first.

    Args:
        order: sizes that were flattened, channels last.
        weight: with the features on its first axis.
    """
    if not isinstance(order, tuple):
        return weight
    apart = weight.reshape(*order, *weight.shape[1:])
    count = len(order)
    return apart.permute(count - 1, *range(count - 1), *range(count, apart.dim())).flatten(
        0, count - 1
    )


@layer("Dense")
def dense(at: At, *given: Any) -> Held:
    x, settings = single(given), at.settings
    units, bias = settings.whole("units"), settings.flag("use_bias", True)
    if x.rank < 2:
        raise Wrong("takes at least one axis besides the batch")
    tensor, order = at.settled(x if isinstance(x.order, tuple) else Held(x.last))
    width = tensor.shape[-1]
    module = at.module(lambda: nn.Linear(width, units, bias))
    at.fill(module, "weight", at.variable(0, width, units), lambda one: unflattened(order, one).T)
    if bias:
        at.fill(module, "bias", at.variable(1, units))
    return activated(at, Held(module(tensor)))
