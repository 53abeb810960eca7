"""What operators of ONNX become that change shapes, take parts, or make tensors of sizes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from archdsl.diagnostics import printable
from archdsl.importing.onnx.at import (
    KINDS,
    At,
    Entry,
    Given,
    Missing,
    entering,
    number,
    require_size,
)

ENTRIES: dict[str, Entry] = {}
operator = entering(ENTRIES)


@operator("Constant")
def constant(at: At) -> Any:
    kinds = {"float": torch.float32, "floats": torch.float32, "int": torch.int64,
             "ints": torch.int64}  # fmt: skip
    for name, kind in kinds.items():
        value = at.get(f"value_{name}")
        if value is not None:
            return torch.tensor(value, dtype=kind)
    held = at.get("value")
    if isinstance(held, np.ndarray):
        return torch.from_numpy(held)
    raise Missing("`Constant` of something else than numbers")


@operator("ConstantOfShape")
def constant_of_shape(at: At, shape: Given) -> Any:
    sizes = at.numbers(shape, "sizes")
    require_size(sizes)
    value = at.get("value")
    if value is None:
        return torch.zeros(sizes)
    return torch.full(sizes, value.reshape(-1)[0].item(), dtype=torch.from_numpy(value).dtype)


@operator("Range")
def range_(at: At, start: Given, stop: Given, step: Given) -> Any:
    first, last, by = (at.one(one, "bounds") for one in (start, stop, step))
    if by == 0 or abs((last - first) / by) > 2**24:
        raise Missing("`Range` of too many numbers")
    return torch.arange(first, last, by)


@operator("EyeLike")
def eye_like(at: At, x: Given) -> Any:
    tensor = at.tensor(x)
    rows, columns = tensor.shape
    require_size((rows, columns))
    return torch.eye(rows, columns, dtype=KINDS.get(at.get("dtype"), tensor.dtype))


@operator("Shape")
def shape_of(at: At, x: Given) -> Any:
    assert x is not None
    sizes = [*x.shape][slice(at.get("start", 0), at.get("end"))]
    return at.from_sizes(np.array(sizes, dtype="int64"))


@operator("Size")
def size_of(at: At, x: Given) -> Any:
    assert x is not None
    return at.from_sizes(np.array(prod(x.shape), dtype="int64"))


# --- another shape --------------------------------------------------------------------------------


@operator("Reshape")
def reshape(at: At, x: Given, shape: Given) -> Any:
    tensor = at.tensor(x)
    sizes = at.numbers(shape, "sizes")
    follows = at.is_from_sizes(shape) and sizes[:1] == [*tensor.shape[:1]]
    if not at.get("allowzero", 0):
        follows = follows or at.batch_axis(tensor) in [n for n, s in enumerate(sizes) if s == 0]
        sizes = [tensor.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    if not at.known and not follows:
        sizes = for_batch(at, tensor, sizes)
    whole = at.root.wholes.get(at.node.inputs[0])
    if whole is not None and len(sizes) == 3 and torch.reshape(whole, sizes).shape == whole.shape:
        return whole
    batch = [*tensor.shape[:1]]
    if batch and sizes in ([*batch, -1], [*batch, prod(tensor.shape[1:])]):
        return torch.flatten(tensor, 1)
    return torch.reshape(tensor, sizes)


def for_batch(at: At, x: torch.Tensor, sizes: list[int]) -> list[int]:
    """Return sizes for the batch that there is, where the file has numbers for its own.

    The batch grew by a factor. In which of the new axes it is follows from where it stood before:
    how many numbers there are from one sample to the next.
    """
    factor = at.factor
    known = prod(size for size in sizes if size != -1)
    if factor == 1 or (known == x.numel() and -1 not in sizes):
        return sizes
    before, axis = at.shape_before(0), at.batch_axis(x)
    if before is None or axis is None:
        return sizes
    whole = prod(before)
    found = [*sizes]
    if -1 in found:
        found[found.index(-1)] = whole // max(known, 1)
    if prod(found) != whole:
        return sizes  # it follows the batch by itself
    apart = prod(before[axis + 1 :])
    batch = before[axis]
    places = [
        n for n in range(len(found))
        if prod(found[n + 1 :]) <= apart and apart * batch <= prod(found[n:])
    ]  # fmt: skip
    exact = [n for n in places if prod(found[n + 1 :]) == apart and found[n] == batch]
    # heads that are parted from the features stand beside the batch, and what is joined with it
    # before it
    inner = len(found) >= len(before)
    if exact:
        found[min(exact, key=lambda place: abs(place - axis))] *= factor
    elif places:
        found[places[-1 if inner else 0]] *= factor
    else:
        return sizes
    return found


@operator("archdsl.Turned")
def turned(at: At, x: Given, rows: Given, last: Given) -> Any:
    """Turn the last two axes; exporters join those before for so long."""
    tensor = at.tensor(x)
    sizes, whole = at.numbers(rows, "sizes"), at.numbers(last, "sizes")
    if tensor.dim() == 4 and [*tensor.shape[1:]] == [whole[1], *sizes[1:]]:
        return tensor.transpose(-1, -2)
    joined = torch.reshape(tensor, sizes).transpose(-1, -2)
    return torch.reshape(joined, for_batch(at, tensor, whole))


@operator("Flatten")
def flatten(at: At, x: Given) -> Any:
    tensor, axis = at.tensor(x), at.get("axis", 1)
    axis = axis + tensor.dim() if axis < 0 else axis
    if axis == 1:
        return torch.flatten(tensor, 1)
    return torch.reshape(tensor, (prod(tensor.shape[:axis]), prod(tensor.shape[axis:])))


@operator("Transpose")
def transpose(at: At, x: Given) -> Any:
    tensor = at.tensor(x)
    return torch.permute(tensor, at.get("perm", tuple(reversed(range(tensor.dim())))))


@operator("Squeeze")
def squeeze(at: At, x: Given, axes: Given = None) -> Any:
    tensor, found = at.tensor(x), at.axes(axes)
    whole = at.root.wholes.get(at.node.inputs[0])
    if whole is not None and found == [1] and tensor.squeeze(1).shape == whole.shape:
        return whole
    if found is None:
        found = [axis for axis, size in enumerate(tensor.shape) if size == 1]
    for axis in sorted((at.axis(axis, tensor.dim()) for axis in found), reverse=True):
        if tensor.shape[axis] != 1:
            raise Missing("`Squeeze` of an axis that isn't of size 1")
        tensor = torch.squeeze(tensor, axis)
    return tensor


@operator("Unsqueeze")
def unsqueeze(at: At, x: Given, axes: Given = None) -> Any:
    tensor, found = at.tensor(x), at.axes(axes) or []
    rank = tensor.dim() + len(found)
    for axis in sorted(at.axis(axis, rank) for axis in found):
        tensor = torch.unsqueeze(tensor, axis)
    return tensor


@operator("Expand")
def expand(at: At, x: Given, shape: Given) -> Any:
    tensor, sizes = at.tensor(x), at.numbers(shape, "sizes")
    whole = [*np.broadcast_shapes(tuple(tensor.shape), tuple(sizes))]
    require_size(whole)
    return tensor if [*tensor.shape] == whole else tensor.expand(whole)


@operator("Tile")
def tile(at: At, x: Given, repeats: Given) -> Any:
    tensor, times = at.tensor(x), at.numbers(repeats, "repeats")
    require_size([size * n for size, n in zip(tensor.shape, times, strict=True)])
    return tensor.repeat(times)


# --- parts ----------------------------------------------------------------------------------------


@operator("Concat")
def concat(at: At, *values: Given) -> Any:
    axis = at.get("axis")
    if axis > 0:
        values = tuple(map(at.for_each_sample, values))
    tensors = [at.tensor(one) for one in values]
    batch = max(one.shape[0] for one in tensors if one.dim())
    if (
        not at.known
        and at.axis(axis, tensors[0].dim()) != 0
        and any(o.shape[0] != batch for o in tensors)
    ):
        # a token for the file's own batch
        tensors = [
            one.expand(batch, *one.shape[1:]) if one.shape[0] == 1 else one for one in tensors
        ]
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, axis)


@operator("Split")
def split(at: At, x: Given, sizes: Given = None) -> Any:
    tensor, axis = at.tensor(x), at.get("axis", 0)
    given, count = at.axes(sizes, "split"), at.get("num_outputs", len(at.node.outputs))
    size = tensor.shape[axis]
    if given is None:
        part = -(-size // count)
        given = [min(part, size - part * number) for number in range(count)]
    if sum(given) != size or len(given) != len(at.node.outputs) or min(given) < 0:
        raise ValueError(f"it parts an axis of size {size} into {len(at.node.outputs)}: {given}")
    found, start = [], 0
    for part in given:
        found.append(part_of(tensor, axis, start, start + part, 1))
        start += part
    return found


def part_of(x: torch.Tensor, axis: int, start: int, stop: int, step: int) -> torch.Tensor:
    """Return a part of a tensor along an axis."""
    axis = range(x.dim())[axis]
    if (start, step) == (0, 1) and stop >= x.shape[axis]:
        return x
    return x[(slice(None),) * axis + (slice(start, stop, step),)]


@operator("Slice")
def slice_(
    at: At, x: Given, starts: Given = None, ends: Given = None, axes: Given = None,
    steps: Given = None,
) -> Any:  # fmt: skip
    tensor = at.tensor(x)
    first = at.axes(starts, "starts") or []
    last = at.axes(ends, "ends") or []
    along = at.axes(axes) or [*range(len(first))]
    by = at.optional(steps, "steps") or [1] * len(first)
    for start, stop, axis, step in zip(first, last, along, by, strict=True):
        size = tensor.shape[axis]
        if step < 0:
            if step != -1 or (start < size - 1 and start != -1):
                raise Missing("`Slice` that goes backwards over a part")
            tensor = torch.flip(tensor, [at.axis(axis, tensor.dim())])
            continue
        start, stop, _ = slice(start, stop).indices(size)
        tensor = part_of(tensor, axis, start, stop, step)
    return tensor


@operator("Gather")
def gather(at: At, x: Given, indices: Given) -> Any:
    axis = at.get("axis", 0)
    flows = isinstance(indices, torch.Tensor)
    table = isinstance(x, np.ndarray) and x.ndim == 2 and x.dtype.kind == "f" and axis == 0
    if isinstance(x, np.ndarray) and table and flows:
        return at.layer(nn.Embedding, *x.shape, weights={"weight": x})(indices)
    tensor = at.tensor(x)
    if flows and not at.known:
        raise Missing("`Gather` at places that follow from what comes in")
    if indices is None:
        raise Missing("`Gather` without places")
    size = tensor.shape[axis]
    places = np.asarray(indices).astype("int64")
    if places.size and not (-size <= places.min() and places.max() < size):
        raise ValueError(f"it takes places that an axis of size {size} doesn't have")
    places = places % max(size, 1)
    if places.ndim == 0:
        return tensor.select(axis, int(places))
    flat = places.reshape(-1)
    if places.ndim == 1 and flat.size and (np.diff(flat) == 1).all():
        return part_of(tensor, axis, int(flat[0]), int(flat[-1]) + 1, 1)
    found = torch.index_select(tensor, axis, torch.tensor(flat, device=tensor.device))
    if places.ndim == 1:
        return found
    axis = at.axis(axis, tensor.dim())
    return found.reshape(*tensor.shape[:axis], *places.shape, *tensor.shape[axis + 1 :])


@operator("ScatterND")
def scatter_nd(at: At, x: Given, places: Given, updates: Given) -> Any:
    """Write into a constant, as exporters do to make the masks of shifted windows."""
    if not at.known or at.get("reduction", "none") != "none":
        raise Missing("`ScatterND` into what comes in, or that adds")
    held, index, new = at.tensor(x), at.tensor(places), at.tensor(updates)
    depth = index.shape[-1]
    rows = index.reshape(-1, depth)
    return held.index_put(
        tuple(rows[:, axis] for axis in range(depth)), new.reshape(-1, *held.shape[depth:])
    )


@operator("Pad")
def pad(at: At, x: Given, pads: Given = None, value: Given = None, axes: Given = None) -> Any:
    tensor, mode, default = at.tensor(x), at.get("mode", "constant"), at.get("value", 0)
    sides = at.axes(pads, "pads") or at.get("paddings") or []
    along = at.optional(axes, "axes") or [*range(tensor.dim())]
    count = len(along)
    if len(sides) != 2 * count:
        raise ValueError(f"it has {len(sides)} numbers of padding for {count} axes")
    both = {
        at.axis(axis, tensor.dim()): (sides[n], sides[count + n]) for n, axis in enumerate(along)
    }
    # less than nothing is added where something is taken away
    for axis, (before, after) in both.items():
        size = tensor.shape[axis]
        tensor = part_of(tensor, axis, max(-before, 0), size - max(-after, 0), 1)
        both[axis] = (max(before, 0), max(after, 0))
    require_size([size + sum(both.get(n, (0, 0))) for n, size in enumerate(tensor.shape)])
    while both and both.get(min(both)) == (0, 0):
        del both[min(both)]
    if not both:
        return tensor
    listed = [
        side for axis in range(tensor.dim() - 1, min(both) - 1, -1)
        for side in both.get(axis, (0, 0))
    ]  # fmt: skip
    kinds = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    if mode != "constant":
        if mode not in kinds:
            raise Missing(f"`Pad` of the mode {mode}")
        return functional.pad(tensor, listed, kinds[mode])
    return functional.pad(tensor, listed, value=number(float(at.one(value, "value", default))))


@operator("DepthToSpace")
def depth_to_space(at: At, x: Given) -> Any:
    tensor, size = at.tensor(x), at.get("blocksize")
    if at.get("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(tensor, size)
    batch, channels, height, width = tensor.shape
    parted = tensor.reshape(batch, size, size, channels // size**2, height, width)
    turned = parted.permute(0, 3, 4, 1, 5, 2)
    return turned.reshape(batch, channels // size**2, height * size, width * size)


@operator("SpaceToDepth")
def space_to_depth(at: At, x: Given) -> Any:
    tensor, size = at.tensor(x), at.get("blocksize")
    batch, channels, height, width = tensor.shape
    parted = tensor.reshape(batch, channels, height // size, size, width // size, size)
    turned = parted.permute(0, 3, 5, 1, 2, 4)
    return turned.reshape(batch, channels * size**2, height // size, width // size)


@operator("Trilu")
def trilu(at: At, x: Given, k: Given = None) -> Any:
    function = torch.triu if at.get("upper", 1) else torch.tril
    return function(at.tensor(x), at.one(k, "diagonal", 0))


# --- other sizes ----------------------------------------------------------------------------------


# What exporters write of other modes
OF_OTHERS = {
    "nearest": {"cubic_coeff_a", "exclude_outside", "antialias", "extrapolation_value"},
    "linear": {"cubic_coeff_a", "nearest_mode", "extrapolation_value"},
    "cubic": {"nearest_mode", "extrapolation_value"},
}


@operator("Resize", "Upsample")
def resize(at: At, x: Given, *given: Given) -> Any:
    tensor = at.tensor(x)
    if at.node.op == "Upsample" or at.opset < 11:
        scales, sizes = (given[0] if given else None), None
        mode, where = at.get("mode", "nearest"), "asymmetric"
        factors = at.get("scales") if scales is None else at.numbers(scales, "scales")
    else:
        _, scales, sizes = (*given, None, None, None)[:3]
        mode = at.get("mode", "nearest")
        where = at.get("coordinate_transformation_mode", "half_pixel")
        factors = at.optional(scales, "scales")
    at.asked.update(OF_OTHERS.get(mode, ()))
    if at.get("axes") or at.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Missing("`Resize` of some axes")
    wanted = at.optional(sizes, "sizes")
    if not wanted:
        if not factors or len(factors) != tensor.dim():
            raise Missing("`Resize` without sizes")
        wanted = [floored(size * by) for size, by in zip(tensor.shape, factors, strict=True)]
    if [*wanted][1] != tensor.shape[1]:
        raise Missing("`Resize` of channels")
    require_size(wanted)
    target = tuple(int(size) for size in wanted[2:])
    by = [number(one) for one in factors[2:]] if factors else []
    pairs = [*zip(tensor.shape[2:], target, strict=True)]
    size: dict[str, Any] = {"size": target}
    if by and (all((64 * one).is_integer() for one in by) or not fits(pairs, by)):
        # a factor holds for all sizes; others are what an exporter made of two sizes
        size = {"scale_factor": by[0] if len({*by}) == 1 else tuple(by)}
    rank = len(target)
    how = {"nearest": "nearest", "linear": ("linear", "bilinear", "trilinear")[min(rank, 3) - 1],
           "cubic": "bicubic"}.get(mode)  # fmt: skip
    if how is None:
        raise Missing(f"`Resize` of the mode {mode}")
    if how == "nearest":
        rounding = at.get("nearest_mode", "floor" if at.opset < 11 else "round_prefer_floor")
        exact = nearest(pairs, by, where, rounding)
        if exact is None:
            raise Missing(f"`Resize` to the nearest, {where} and {rounding}")
        return functional.interpolate(tensor, **size, mode="nearest-exact" if exact else "nearest")
    how_aligned = {"half_pixel": False, "pytorch_half_pixel": False, "align_corners": True}
    corners = how_aligned.get(where)
    if corners is None:
        raise Missing(f"`Resize` of the mode {mode}, {where}")
    if where == "pytorch_half_pixel" and 1 in target:
        raise Missing("`Resize` to one place, of the middle by half of pixels")
    if at.get("antialias", 0):
        size["antialias"] = True
    return functional.interpolate(tensor, **size, mode=how, align_corners=corners)


def floored(size: float) -> int:
    """Return a size rounded down, but for what 32 bits lack to a whole number."""
    return round(size) if abs(size - round(size)) < 1e-4 else int(size)


def fits(pairs: Sequence[tuple[int, int]], by: Sequence[float]) -> bool:
    """Tell whether sizes are to others as factors say, without any rounding down."""
    both = zip(pairs, by, strict=True)
    return all(abs(before * one - after) < 1e-4 for (before, after), one in both)


def nearest(
    pairs: Sequence[tuple[int, int]], by: Sequence[float], where: str, rounding: str
) -> bool | None:
    """Tell whether the nearest places are those of torch's exact mode, or of its other one.

    None if they are of neither. ONNX has many ways to say where a place lies and how it is
    rounded; of these the places are worked out and compared.
    """
    found: set[bool] = {False, True}
    for axis, (before, after) in enumerate(pairs):
        scale = by[axis] if by else after / before
        step = np.arange(after)
        place = {
            "half_pixel": (step + 0.5) / scale - 0.5,
            "pytorch_half_pixel": ((step + 0.5) / scale - 0.5) * (after > 1),
            "asymmetric": step / scale,
            "align_corners": step * ((before - 1) / max(after - 1, 1)),
            "tf_half_pixel_for_nn": (step + 0.5) / scale,
        }.get(where)
        if place is None:
            return None
        place = {
            "floor": np.floor(place),
            "ceil": np.ceil(place),
            "round_prefer_floor": np.ceil(place - 0.5),
            "round_prefer_ceil": np.floor(place + 0.5),
        }[rounding]
        wanted = np.clip(place, 0, before - 1)
        for exact in (False, True):
            theirs = np.floor((step + exact / 2) / scale)
            if not np.array_equal(wanted, np.clip(theirs, 0, before - 1)):
                found.discard(exact)
    return None if not found else False not in found


# Modes of `GridSample` by their words in torch: those of opset 20, and those before.
SAMPLED = {
    "linear": "bilinear",
    "bilinear": "bilinear",
    "nearest": "nearest",
    "cubic": "bicubic",
    "bicubic": "bicubic",
}


@operator("GridSample")
def grid_sample(at: At, x: Given, grid: Given) -> Any:
    usual = "linear" if at.opset >= 20 else "bilinear"
    mode, beyond = at.get("mode", usual), at.get("padding_mode", "zeros")
    if mode not in SAMPLED or (
        mode != "nearest" and (mode in ("linear", "cubic")) != (at.opset >= 20)
    ):
        raise ValueError(f"it has `mode` of {printable(mode[:40])}, which opset {at.opset} hasn't")
    image, places = (at.tensor(at.for_each_sample(one)) for one in (x, grid))
    if image.dim() not in (4, 5) or (image.dim() == 5 and SAMPLED[mode] == "bicubic"):
        raise Missing(f"`GridSample` of a tensor of {image.dim()} axes, of the mode {mode}")
    if at.root.batch:  # what the file holds for its own batch is the same for each sample
        batch = max(len(image), len(places))
        image, places = (
            one.expand(batch, *one.shape[1:])
            if isinstance(held, np.ndarray) and len(one) == 1
            else one
            for one, held in ((image, x), (places, grid))
        )
    if len(image) != len(places):
        raise ValueError(f"it has {len(image)} images and {len(places)} grids")
    return functional.grid_sample(
        image, places, SAMPLED[mode], beyond, align_corners=bool(at.get("align_corners", 0))
    )
