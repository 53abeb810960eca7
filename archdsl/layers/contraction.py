"""How torch's einsum multiplies two tensors, as far as a training step's memory goes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from archdsl.layers.sizes import Size
from archdsl.layers.strides import contiguous

if TYPE_CHECKING:
    from archdsl.layers.autograd import Autograd, Tensor


def contracted(torch: Autograd, left: Tensor, right: Tensor, kept: int) -> Tensor:
    """Multiply two tensors of as many axes, and sum over those from the axis `kept` on.

    Axes of size 1 are spread. What one tensor alone has is summed before, and the rest is a product
    of matrices. Source: `sumproduct_pair` in `aten/src/ATen/native/Linear.cpp` of torch.
    """
    rest = range(kept, len(left.shape))
    both = [axis for axis in rest if left.shape[axis] != 1 and right.shape[axis] != 1]
    left, right = _summed(torch, left, rest, both), _summed(torch, right, rest, both)
    if not both:
        return torch.mul(left, right)
    batch: list[int] = []
    mine: list[int] = []
    other: list[int] = []
    for axis in range(kept):
        here, there = left.shape[axis] != 1, right.shape[axis] != 1
        (batch if here and there else mine if here else other).append(axis)

    def size(x: Tensor, axes: Sequence[int]) -> Size:
        return prod([x.shape[axis] for axis in axes])

    rows = torch.permute(left, [*batch, *mine, *rest, *other])
    columns = torch.permute(right, [*batch, *rest, *other, *mine])
    sizes = size(left, batch), size(left, mine), size(left, both)
    product = torch.matmul(
        torch.reshape(rows, sizes),
        torch.reshape(columns, (sizes[0], sizes[2], size(right, other))),
    )
    shape = [left.shape[axis] for axis in (*batch, *mine)] + [1] * len(rest)
    shape += [right.shape[axis] for axis in other]
    order = [*batch, *mine, *rest, *other]
    whole = torch.view(product, tuple(shape), contiguous(tuple(shape)))
    return torch.permute(whole, [order.index(axis) for axis in range(len(order))])


def _summed(torch: Autograd, x: Tensor, axes: Sequence[int], both: Sequence[int]) -> Tensor:
    """Sum over axes that the other tensor lacks."""
    alone = [axis for axis in axes if axis not in both and x.shape[axis] != 1]
    if not alone:
        return x
    shape = tuple([1 if axis in alone else size for axis, size in enumerate(x.shape)])
    return torch.result((x,), shape, width=x.width)
