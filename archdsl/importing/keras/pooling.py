"""Pooling, and what changes the sizes of images."""

from __future__ import annotations

from math import prod
from typing import Any

from torch.nn import functional

from archdsl.importing.keras.at import At, axes_of, layer, single
from archdsl.importing.keras.convolution import around, given_back, same_sides, taken
from archdsl.importing.keras.errors import Missing, Wrong
from archdsl.importing.keras.held import FIRST, LAST, Held
from archdsl.importing.keras.settings import is_size, shown

MAXIMUM = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)
AVERAGE = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)


@layer(
    "MaxPooling1D", "MaxPooling2D", "MaxPooling3D",
    "AveragePooling1D", "AveragePooling2D", "AveragePooling3D",
)  # fmt: skip
def pooling(at: At, *given: Any) -> Held:
    count = axes_of(at.layer.kind)
    x, settings = taken(at, given, count), at.settings
    window = settings.wholes("pool_size", count, 2)
    strides = settings.wholes("strides", count) if settings.value("strides") else window
    word = settings.word("padding", ("valid", "same"), "valid")
    sides = [(0, 0)] * count
    if word == "same":
        sides = same_sides(x.shape[2:], window, strides, (1,) * count)
    before = [one for one, _ in sides]
    if any(2 * one > k for one, k in zip(before, window, strict=True)):
        raise Missing("padding of more than half its window")
    most = at.layer.kind.startswith("Max")
    function: Any = (MAXIMUM if most else AVERAGE)[count - 1]
    named = {} if most else {"count_include_pad": False}
    # what stands behind the image is left out of a window, as it is before: so it may be cut off
    uneven = any(one != other for one, other in sides)
    y = function(x, window, strides, before, ceil_mode=uneven, **named)
    wanted = [-(-size // stride) for size, stride in zip(x.shape[2:], strides, strict=True)]
    if word == "same" and [*y.shape[2:]] != wanted:
        if not most:
            raise Missing("uneven padding of means, where windows stand side by side")
        # the largest number of a window stays the same where those at its edge come again
        y = function(functional.pad(x, around(sides), mode="replicate"), window, strides)
    return given_back(at, y)


@layer(
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D",
)  # fmt: skip
def over_all(at: At, *given: Any) -> Held:
    count = axes_of(at.layer.kind)
    x = taken(at, given, count)
    keep = at.settings.flag("keepdims")
    axes = [*range(2, count + 2)]
    if "Average" in at.layer.kind:
        y = x.mean(axes, keepdim=keep)
    else:
        y = x.amax(axes, keepdim=keep)
    return given_back(at, y) if keep else Held(y)


@layer("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def widened(at: At, *given: Any) -> Held:
    count = axes_of(at.layer.kind)
    x = taken(at, given, count)
    return given_back(at, functional.pad(x, around(sides_of(at, "padding", count))))


@layer("Cropping1D", "Cropping2D", "Cropping3D")
def cropped(at: At, *given: Any) -> Held:
    count = axes_of(at.layer.kind)
    x = taken(at, given, count)
    for axis, (before, behind) in enumerate(sides_of(at, "cropping", count)):
        left = x.shape[axis + 2] - before - behind
        if left < 1:
            raise Wrong("leaves nothing of an axis")
        x = x.narrow(axis + 2, before, left)
    return given_back(at, x)


def sides_of(at: At, name: str, count: int) -> list[tuple[int, int]]:
    """Return two numbers for each axis, which a config writes in several ways."""
    held = at.settings.value(name, 1)
    if count == 1 and isinstance(held, list) and len(held) == 2:
        held = [held]
    if isinstance(held, int):
        held = [held] * count
    if isinstance(held, list) and len(held) == count:
        pairs = [[one, one] if isinstance(one, int) else one for one in held]
        if all(
            isinstance(one, list) and len(one) == 2 and all(n == 0 or is_size(n) for n in one)
            for one in pairs
        ):
            return [(one[0], one[1]) for one in pairs]
    raise at.settings.wrong(name, f"two whole numbers for each of {count} axes")


@layer("UpSampling1D", "UpSampling2D", "UpSampling3D")
def enlarged(at: At, *given: Any) -> Held:
    count = axes_of(at.layer.kind)
    x, settings = taken(at, given, count), at.settings
    times = settings.wholes("size", count, 2)
    how = settings.value("interpolation", "nearest")
    if how == "nearest":
        y = functional.interpolate(x, scale_factor=[*map(float, times)], mode="nearest")
    elif how == "bilinear" and count == 2:
        y = functional.interpolate(
            x, scale_factor=[*map(float, times)], mode=how, align_corners=False
        )
    elif how == "bicubic":
        raise Missing("bicubic interpolation, of which torch has another kind")
    else:
        raise Missing(f"the interpolation {shown(how)}")
    return given_back(at, y)


@layer("Flatten")
def flattened(at: At, *given: Any) -> Held:
    x = single(given)
    first = at.settings.value("data_format") == "channels_first"
    if x.rank < 3:
        return x if x.rank == 2 else Held(x.last.unsqueeze(1))
    if x.order == FIRST and not first:
        one = all(size == 1 for size in x.shape[1:-1])
        return Held(x.first.flatten(1), LAST if one else x.shape[1:])
    if first:  # then it puts the channels last before
        return Held(Held(x.last, FIRST).last.flatten(1))
    return Held(x.last.flatten(1))


@layer("Reshape")
def reshaped(at: At, *given: Any) -> Held:
    x = single(given)
    wanted = at.settings.value("target_shape")
    fits = isinstance(wanted, list) and all(one == -1 or is_size(one) for one in wanted)
    if not fits or wanted.count(-1) > 1:
        raise at.settings.wrong("target_shape", "sizes, of which one may be -1")
    batch = x.shape[0]
    known = 1
    for one in wanted:
        known *= one if one > 0 else 1
    whole = prod(x.shape[1:])
    if whole % known or (-1 not in wanted and whole != known):
        raise Wrong(f"makes {shown(wanted)} of {whole:,} numbers")
    sizes = [one if one > 0 else whole // known for one in wanted]
    if len(sizes) > 2 and all(one == 1 for one in sizes[:-1]):
        flat = x.first if all(one == 1 for one in x.shape[1:-1]) else x.last
        return Held(flat.reshape(batch, sizes[-1], *sizes[:-1]), FIRST)
    tensor, order = x.pair
    alone = not isinstance(order, tuple) and sum(one > 1 for one in x.shape[1:]) < 2
    # the order of axes doesn't matter where one is alone
    return Held((tensor if alone else x.last).reshape(batch, *sizes))


@layer("Permute")
def permuted(at: At, *given: Any) -> Held:
    x = single(given)
    dims = at.settings.value("dims")
    if not isinstance(dims, list) or sorted(map(str, dims)) != [str(n) for n in range(1, x.rank)]:
        raise at.settings.wrong("dims", f"the numbers from 1 to {x.rank - 1}")
    return Held(x.last.permute(0, *dims))


@layer("RepeatVector")
def repeated(at: At, *given: Any) -> Held:
    x = single(given)
    times = at.settings.whole("n")
    if x.rank != 2:
        raise Wrong("takes one axis besides the batch")
    return Held(x.last.unsqueeze(1).expand(-1, times, -1))
