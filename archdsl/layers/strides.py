"""How tensors lie in memory, by the rules of torch: strides, views, and the order of the axes.

What the backward pass keeps depends on it: a `reshape` is a view of what came in where its strides
allow that, and otherwise a copy. Shapes here have the batch axis. Strides count numbers, not bytes.
Sizes may be free; where two strides have to be compared, free sizes are taken for large.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from archdsl.layers.sizes import Shape, Size, substitute

Strides = tuple[Size, ...]

LARGE = 10_007  # what a free size is taken for
MOST_KNOWN = 1_024  # shapes whose strides are kept: those of a network come again and again


def weight(size: Size) -> int:
    """Return a number to compare a size by."""
    if isinstance(size, int):
        return size
    found = substitute(size, dict.fromkeys(size.names, LARGE))
    assert isinstance(found, int)
    return found


def contiguous(shape: Shape) -> Strides:
    """Return the strides of a tensor whose last axis is the innermost."""
    return _contiguous(tuple(shape))  # users' own layers may hand over lists


@lru_cache(MOST_KNOWN)
def _contiguous(shape: Shape) -> Strides:
    strides: list[Size] = []
    step: Size = 1
    for size in reversed(shape):
        strides.append(step)
        step = step * size
    return tuple(reversed(strides))


def ordered(shape: Shape, order: Sequence[int]) -> Strides:
    """Return the strides of a tensor without gaps; `order` lists its axes, the innermost first."""
    strides: list[Size] = [0] * len(shape)
    step: Size = 1
    for axis in order:
        strides[axis] = step
        step = step * shape[axis]
    return tuple(strides)


def is_contiguous(shape: Shape, strides: Strides) -> bool:
    """Tell whether numbers lie in the order of the axes; those of size 1 may have any stride."""
    step: Size = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size == 1:
            continue
        if stride != step:
            return False
        step = step * size
    return True


def _channels_last_order(rank: int) -> tuple[int, ...]:
    return (1, *range(rank - 1, 1, -1), 0)


def channels_last(shape: Shape) -> Strides:
    """Return the strides of a map whose channels are the innermost axis."""
    return ordered(shape, _channels_last_order(len(shape)))


def suggests_channels_last(shape: Shape, strides: Strides) -> bool:
    """Tell what torch's `suggest_memory_format` does: channels are the innermost axis of a map.

    That is asked of tensors with two or three axes after the channels; where sizes of 1 leave it
    open, they don't count as such.
    """
    rank = len(shape)
    if rank not in (4, 5) or strides[1] == 0:
        return False
    least = 0
    for axis in _channels_last_order(rank):
        stride = weight(strides[axis])
        if stride < least or (axis == 0 and least == weight(strides[1])):
            return False
        least = stride * (1 if shape[axis] == 1 else weight(shape[axis]))
    return True


def suggested(shape: Shape, like: tuple[Shape, Strides]) -> Strides:
    """Return the strides of a result that is laid out as its input suggests."""
    return channels_last(shape) if _suggests(tuple(like[0]), like[1]) else contiguous(shape)


@lru_cache(MOST_KNOWN)
def _suggests(shape: Shape, strides: Strides) -> bool:
    return suggests_channels_last(shape, strides)


def is_dense(shape: Shape, strides: Strides) -> bool:
    """Tell whether numbers lie side by side without gaps, none of them twice."""
    step: Size = 1
    axes = [axis for axis, size in enumerate(shape) if size != 1]
    for axis in sorted(axes, key=lambda axis: weight(strides[axis])):
        if strides[axis] != step:
            return False
        step = step * shape[axis]
    return True


def viewed(shape: Shape, strides: Strides, new: Shape) -> Strides | None:
    """Return the strides with which a tensor is viewed in another shape; None if it can't be."""
    if is_contiguous(shape, strides):
        return contiguous(new)
    found: list[Size] = [0] * len(new)
    at = len(new) - 1
    base, held, seen = strides[-1], 1, 1  # the numbers of a run of axes, and of those made of it
    run: Size = held
    made: Size = seen
    for axis in range(len(shape) - 1, -1, -1):
        run = run * shape[axis]
        # axes go together where the outer steps over all of the inner
        if axis and (shape[axis - 1] == 1 or strides[axis - 1] == run * base):
            continue
        while at >= 0 and (new[at] == 1 or weight(made) < weight(run)):
            found[at] = made * base
            made = made * new[at]
            at -= 1
        if made != run:
            return None
        if axis:
            base, run, made = strides[axis - 1], 1, 1
    return tuple(found) if at < 0 else None


def pointwise(shape: Shape, operands: Sequence[tuple[Shape, Strides]]) -> Strides:
    """Return the strides of a result that is computed number by number (`TensorIterator`).

    `operands` have fewer axes or sizes of 1 where they are spread.
    """
    whole = all(each == shape for each, _ in operands)
    if whole:
        if all(is_contiguous(*operand) for operand in operands):
            return contiguous(shape)
        last = channels_last(shape) if len(shape) == 4 else None
        if last and all(lies_as(shape, strides, last) for _, strides in operands):
            return last
        first = operands[0][1]
        if is_dense(shape, first) and all(strides == first for _, strides in operands):
            return first
    return ordered(shape, _iterated(shape, [_spread(shape, *operand) for operand in operands]))


def lies_as(shape: Shape, strides: Strides, wanted: Strides) -> bool:
    """Tell whether strides are those wanted, save of axes of size 1, where they don't matter."""
    axes = zip(shape, strides, wanted, strict=True)
    return all(size == 1 or stride == other for size, stride, other in axes)


def _spread(shape: Shape, own: Shape, strides: Strides) -> list[int]:
    """Return what to compare the strides of an operand by: 0 along axes where it is spread."""
    before = len(shape) - len(own)
    return [0] * before + [
        0 if size == 1 and wanted != 1 else weight(stride)
        for size, wanted, stride in zip(own, shape[before:], strides, strict=True)
    ]


def _iterated(shape: Shape, operands: Sequence[Sequence[int]]) -> list[int]:
    """Return the axes in the order in which torch goes through them, the innermost first."""
    order = list(range(len(shape) - 1, -1, -1))
    for start in range(1, len(order)):
        right = start
        for left in range(start - 1, -1, -1):
            comparison = _compared(shape, operands, order[left], order[right])
            if comparison > 0:
                order[left], order[right] = order[right], order[left]
                right = left
            elif comparison < 0:
                break
    return order


def _compared(shape: Shape, operands: Sequence[Sequence[int]], inner: int, outer: int) -> int:
    """Tell whether two axes have to be exchanged (1), must not be (-1), or it is all the same."""
    for strides in operands:
        one, other = strides[inner], strides[outer]
        if one == 0 or other == 0:
            continue
        if one != other:
            return -1 if one < other else 1
        if weight(shape[inner]) > weight(shape[outer]):
            return 1
    return 0
