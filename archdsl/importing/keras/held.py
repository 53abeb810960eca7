"""Tensors in the order of torch, and what Keras holds in their place.

Keras has channels last, and what torch has for windows takes them first. A tensor stays as the
layer before gave it until one needs it otherwise, so that networks of images have no permutations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch

LAST, FIRST = "last", "first"
Order = str | tuple[int, ...]


class Held:
    """A tensor.

    Its numbers are read in an order that the reader names (`last`, `first`, `within`), or one by
    one (`each`), or together with the order that they have (`pair`).

    Attributes:
        order: "last" if its axes stand as Keras has them; "first" if the last one stands behind
            the batch; or the sizes, channels last, that were flattened with the channels first.
    """

    def __init__(self, tensor: torch.Tensor, order: Order = LAST) -> None:
        self._tensor, self.order = tensor, order

    @property
    def pair(self) -> tuple[torch.Tensor, Order]:
        """The tensor, and its order."""
        return self._tensor, self.order

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that Keras has, with the batch."""
        sizes = tuple(self._tensor.shape)
        return (sizes[0], *sizes[2:], sizes[1]) if self.order == FIRST else sizes

    @property
    def rank(self) -> int:
        """How many axes it has, with the batch."""
        return self._tensor.dim()

    @property
    def last(self) -> torch.Tensor:
        """The tensor with its axes as Keras has them."""
        if self.order == LAST:
            return self._tensor
        if self.order == FIRST:
            batch, channels, *sizes = self._tensor.shape
            if prod(sizes) == 1:
                return self._tensor.reshape(batch, *sizes, channels)
            return self._tensor.permute(0, *range(2, self.rank), 1)
        *sizes, channels = map(int, self.order)
        if prod(sizes) == 1:
            return self._tensor
        apart = torch.unflatten(self._tensor, 1, (channels, *sizes))
        return apart.permute(0, *range(2, len(sizes) + 2), 1).flatten(1)

    @property
    def first(self) -> torch.Tensor:
        """The tensor with its channels behind the batch."""
        if self.order == FIRST or self.rank < 3:
            return self._tensor if self.order in (FIRST, LAST) else self.last
        batch, *sizes, channels = self._tensor.shape
        if prod(sizes) == 1:
            return self._tensor.reshape(batch, channels, *sizes)
        return self._tensor.permute(0, self.rank - 1, *range(1, self.rank - 1))

    @property
    def ordered(self) -> Held:
        """The same; what was flattened has its numbers as Keras has them."""
        return Held(self.last) if isinstance(self.order, tuple) else self

    def axis(self, number: int) -> int:
        """Return which axis of the tensor is one of those that Keras counts, without negatives."""
        if self.order != FIRST or number == 0:
            return number
        return 1 if number == self.rank - 1 else number + 1

    def within(self, order: Order) -> torch.Tensor:
        """Return the tensor in an order."""
        if order == self.order:
            return self._tensor
        if not isinstance(order, tuple):
            return self.first if order == FIRST else self.last
        apart = torch.unflatten(self.last, 1, order)
        return apart.permute(0, len(order), *range(1, len(order))).flatten(1)

    def each(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Held:
        """Return what a function makes of each number by itself."""
        return Held(function(self._tensor), self.order)


def alike(given: Sequence[Held]) -> list[Held]:
    """Return tensors in the same order, that of most of them."""
    orders = {one.order for one in given}
    if len(orders) == 1:
        return [*given]
    ranks = {one.rank for one in given}
    if len(ranks) == 1 and FIRST in orders and ranks.isdisjoint({1, 2}):
        return [Held(one.first, FIRST) for one in given]
    return [Held(one.last) for one in given]
