"""What operators of ONNX become that look through windows, or bring numbers to a scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from archdsl.importing.onnx.at import Array, At, Entry, Given, Missing, entering, number

ENTRIES: dict[str, Entry] = {}
operator = entering(ENTRIES)


# --- windows --------------------------------------------------------------------------------------


def windows(at: At, x: torch.Tensor, kernel: Sequence[int]) -> tuple[Any, Any, Any, list[int]]:
    """Return strides, dilations, padding of both sides alike, and padding to do before.

    What is to be done before is a list as `pad` takes it, empty where both sides are alike.
    """
    count = len(kernel)
    strides = at.get("strides", (1,) * count)
    dilations = at.get("dilations", (1,) * count)
    pads = at.get("pads", (0,) * 2 * count)
    kind = at.get("auto_pad", "NOTSET")
    if kind not in ("NOTSET", "VALID"):
        sizes = x.shape[2:]
        sides = []
        for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
            total = max((-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size, 0)
            less, more = total // 2, total - total // 2
            sides.append((less, more) if kind == "SAME_UPPER" else (more, less))
        pads = tuple(one for one, _ in sides) + tuple(other for _, other in sides)
    elif kind == "VALID":
        pads = (0,) * 2 * count
    if not len(strides) == len(dilations) == len(pads) / 2 == count:
        raise Missing(f"`{at.node.op}` whose attributes are of another number of axes")
    if pads[:count] == pads[count:]:
        return strides, dilations, pads[:count], []
    before = [one for axis in reversed(range(count)) for one in (pads[axis], pads[count + axis])]
    return strides, dilations, (0,) * count, before


def kernel_of(at: At, kernel: Array) -> tuple[int, ...]:
    """Return the sizes of a window, which a node may say besides its weight."""
    sizes = tuple(kernel.shape[2:])
    said = at.get("kernel_shape", sizes)
    if said != sizes:
        raise ValueError(f"its `kernel_shape` is {[*said]}, and that of its weight {[*sizes]}")
    return sizes


def of_axes(kinds: Sequence[Any], count: int, what: str) -> Any:
    """Return the class of torch for so many axes."""
    if not 1 <= count <= len(kinds):
        raise Missing(f"`{what}` over {count} axes")
    return kinds[count - 1]


@operator("Conv")
def conv(at: At, x: Given, weight: Given, bias: Given = None) -> Any:
    tensor, kernel = at.tensor(x), at.array(weight, "weight")
    strides, dilations, padding, before = windows(at, tensor, kernel_of(at, kernel))
    if before:
        tensor = functional.pad(tensor, before)
    groups = at.get("group", 1)
    weights = {"weight": kernel}
    if bias is not None:
        weights["bias"] = at.array(bias, "bias")
    kind = of_axes((nn.Conv1d, nn.Conv2d, nn.Conv3d), kernel.ndim - 2, "Conv")
    return at.layer(
        kind, kernel.shape[1] * groups, kernel.shape[0], kernel.shape[2:], strides, padding,
        dilations, groups, bias is not None, weights=weights,
    )(tensor)  # fmt: skip


@operator("ConvTranspose")
def conv_transpose(at: At, x: Given, weight: Given, bias: Given = None) -> Any:
    tensor, kernel = at.tensor(x), at.array(weight, "weight")
    if at.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or at.get("output_shape"):
        raise Missing("`ConvTranspose` whose padding follows from its output")
    strides, dilations, padding, before = windows(at, tensor, kernel_of(at, kernel))
    if before:
        raise Missing("`ConvTranspose` with other padding on each side")
    count = kernel.ndim - 2
    groups = at.get("group", 1)
    weights = {"weight": kernel}
    if bias is not None:
        weights["bias"] = at.array(bias, "bias")
    kinds = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    return at.layer(
        of_axes(kinds, count, "ConvTranspose"), kernel.shape[0], kernel.shape[1] * groups,
        kernel.shape[2:], strides, padding, at.get("output_padding", (0,) * count), groups,
        bias is not None, dilations, weights=weights,
    )(tensor)  # fmt: skip


@operator("MaxPool")
def max_pool(at: At, x: Given) -> Any:
    tensor, kernel = at.tensor(x), at.get("kernel_shape", ())
    strides, dilations, padding, before = windows(at, tensor, kernel)
    padding, ceil, parts = rounded_up(at, tensor, kernel, strides, dilations, padding, before)
    function = of_axes(
        (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d),
        len(kernel),
        "MaxPool",
    )
    return function(tensor, kernel, strides, padding, dilations, ceil)[parts]


@operator("AveragePool")
def average_pool(at: At, x: Given) -> Any:
    tensor, kernel = at.tensor(x), at.get("kernel_shape", ())
    strides, dilations, padding, before = windows(at, tensor, kernel)
    whole = bool(at.get("count_include_pad", 0))
    if any(one != 1 for one in dilations):
        raise Missing("`AveragePool` with dilation")
    if before and whole:
        tensor, before = functional.pad(tensor, before), []
    padding, ceil, parts = rounded_up(at, tensor, kernel, strides, dilations, padding, before)
    if tuple(kernel) == tuple(tensor.shape[2:]) and not any(padding) and len(kernel) == 2:
        return functional.adaptive_avg_pool2d(tensor, 1)
    function = of_axes(
        (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d),
        len(kernel),
        "AveragePool",
    )
    # padding of zero is counted or not: it is all the same
    whole = whole or (not any(padding) and not ceil)
    return function(tensor, kernel, strides, padding, ceil, whole)[parts]


def rounded_up(
    at: At, x: torch.Tensor, kernel: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int], padding: Sequence[int], before: Sequence[int],
) -> tuple[Sequence[int], bool, Any]:  # fmt: skip
    """Return padding as torch has it, whether sizes are rounded up, and the part that is wanted.

    More padding behind than before, which counts for nothing, is what torch does to round up; else
    there is as much before, and the windows that begin in it are left out.
    """
    if not before:
        return padding, bool(at.get("ceil_mode", 0)), ...
    sides = [(before[2 * n], before[2 * n + 1]) for n in reversed(range(len(before) // 2))]
    up = whole = True
    parts = [slice(None), slice(None)]
    for size, k, stride, dilation, (first, last) in zip(
        x.shape[2:], kernel, strides, dilations, sides, strict=True
    ):
        reach = dilation * (k - 1) + 1
        wanted = (size + first + last - reach) // stride + 1
        rounded = -(-(size + 2 * first - reach) // stride) + 1
        if (rounded - 1) * stride >= size + first:
            rounded -= 1  # no window begins behind the end
        up = up and wanted == rounded and 2 * first <= k
        skipped = max(last - first, 0)
        parts.append(slice(skipped // stride, skipped // stride + wanted))
        whole = whole and not skipped % stride and 2 * max(first, last) <= k
    if up:
        return [first for first, _ in sides], True, ...
    if not whole:
        raise Missing(f"`{at.node.op}` with other padding on each side")
    return [max(side) for side in sides], False, tuple(parts)


@operator("GlobalAveragePool")
def global_average_pool(at: At, x: Given) -> Any:
    tensor = at.tensor(x)
    kinds = (
        functional.adaptive_avg_pool1d,
        functional.adaptive_avg_pool2d,
        functional.adaptive_avg_pool3d,
    )
    return of_axes(kinds, tensor.dim() - 2, "GlobalAveragePool")(tensor, 1)


@operator("GlobalMaxPool")
def global_max_pool(at: At, x: Given) -> Any:
    tensor = at.tensor(x)
    return torch.amax(tensor, [*range(2, tensor.dim())], True)


# --- norms ----------------------------------------------------------------------------------------


@operator("BatchNormalization")
def batch_norm(at: At, x: Given, scale: Given, bias: Given, mean: Given, variance: Given) -> Any:
    tensor = at.tensor(x)
    if at.get("training_mode", 0):
        raise Missing("`BatchNormalization` in training mode")
    weights = {
        "weight": at.array(scale, "scale"),
        "bias": at.array(bias, "bias"),
        "running_mean": at.array(mean, "mean"),
        "running_var": at.array(variance, "variance"),
    }
    axes = max(tensor.dim() - 2, 1)
    kind = of_axes((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), axes, "BatchNormalization")
    eps = number(at.get("epsilon", 1e-5))
    return at.layer(kind, weights["weight"].size, eps=eps, weights=weights)(tensor)


@operator("InstanceNormalization")
def instance_norm(at: At, x: Given, scale: Given, bias: Given) -> Any:
    tensor = at.tensor(x)
    weights = {"weight": at.array(scale, "scale"), "bias": at.array(bias, "bias")}
    kinds = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
    kind = of_axes(kinds, tensor.dim() - 2, "InstanceNormalization")
    eps = number(at.get("epsilon", 1e-5))
    size = weights["weight"].size
    return at.layer(kind, size, eps=eps, affine=True, weights=weights)(tensor)


@operator("GroupNormalization")
def group_norm(at: At, x: Given, scale: Given, bias: Given) -> Any:
    tensor, groups = at.tensor(x), at.get("num_groups", 1)
    weights = {"weight": at.array(scale, "scale"), "bias": at.array(bias, "bias")}
    channels = tensor.shape[1]
    if at.opset < 21:  # a number for each group
        if any(one.size != groups for one in weights.values()):
            raise ValueError(f"it has {groups} groups, and other numbers of scales or biases")
        weights = {name: one.repeat(channels // groups) for name, one in weights.items()}
    eps = number(at.get("epsilon", 1e-5))
    return at.layer(nn.GroupNorm, groups, channels, eps, weights=weights)(tensor)


@operator("LayerNormalization")
def layer_norm(at: At, x: Given, scale: Given, bias: Given = None) -> Any:
    tensor = at.tensor(x)
    shape = tuple(tensor.shape[at.axis(at.get("axis", -1), tensor.dim()) :])
    eps = number(at.get("epsilon", 1e-5))
    if at.known:  # weights that are brought to a scale themselves
        added = None if bias is None else at.tensor(bias).expand(shape)
        return functional.layer_norm(tensor, shape, at.tensor(scale).expand(shape), added, eps)
    weights = {"weight": at.spread(scale, shape, "scale")}
    if bias is not None:
        weights["bias"] = at.spread(bias, shape, "bias")
    return at.layer(nn.LayerNorm, shape, eps, bias=bias is not None, weights=weights)(tensor)


@operator("RMSNormalization")
def rms_norm(at: At, x: Given, scale: Given) -> Any:
    tensor = at.tensor(x)
    shape = tuple(tensor.shape[at.axis(at.get("axis", -1), tensor.dim()) :])
    weights = {"weight": at.spread(scale, shape, "scale")}
    eps = number(at.get("epsilon", 1e-5))
    return at.layer(nn.RMSNorm, shape, eps, weights=weights)(tensor)


@operator("LRN")
def lrn(at: At, x: Given) -> Any:
    alpha, beta = number(at.get("alpha", 1e-4)), number(at.get("beta", 0.75))
    size, bias = at.get("size"), number(at.get("bias", 1.0))
    if size % 2 == 0:
        raise Missing("`LRN` over an even number of channels")  # torch has the middle elsewhere
    return functional.local_response_norm(at.tensor(x), size, alpha, beta, bias)


@operator("LpNormalization")
def lp_norm(at: At, x: Given) -> Any:
    return functional.normalize(at.tensor(x), at.get("p", 2), at.get("axis", -1))


@operator("Dropout")
def dropout(at: At, x: Given, ratio: Given = None, training: Given = None) -> Any:
    share = number(at.one(ratio, "ratio", at.get("ratio", 0.5)))
    if at.one(training, "mode", False):
        raise Missing("`Dropout` in training mode")
    if at.known:
        return x
    return at.layer(nn.Dropout, share)(at.tensor(x))
